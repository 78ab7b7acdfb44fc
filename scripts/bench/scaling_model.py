"""One round of scheduled runs through scheduler, queue, launcher, Fargate and MLflow, simulated.

Here: how a round flows, given ``Inputs`` (what things take, measured or assumed) and a ``Setting``
(what an operator chooses). Which settings are compared, and what is told of them, is in
``scaling.py``; the engine is in ``scaling_engine.py``.

A round is what is due within one period, six hours. It is kept up with when its last run has ended
before the next round begins.

The daemon is one Python process: scheduler and queue take turns at its processor. A look at the
queue takes a batch, starts it on so many threads, and the next look waits for all of them
(``dagster/_daemon/run_coordinator/queued_run_coordinator_daemon.py``).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scaling_engine import Engine, Process, Station, TokenBucket
from scaling_inputs import Inputs

PERIOD: Final = 6 * 3600.0  # s; `0 */6 * * *`
MINUTE: Final = 60.0  # s; the scheduler looks once a minute
POLL: Final = 0.5  # s; in such steps the daemon waits for its next look
VISIT: Final = 20  # requests to MLflow that are simulated as one
SAMPLE: Final = 77.0  # s between two points of the timeline; at whole minutes all looks alike
TARGET: Final = 0.6  # of an MLflow server's processor; modules/platform, scaling.cpu_percent
UP_MINUTES: Final = 3
DOWN_MINUTES: Final = 15
DUE, QUEUED, TAKEN, LAUNCHED, WORKING, ENDED = range(6)


@dataclass(frozen=True)
class Setting:
    """What an operator chooses.

    Attributes:
        products: Of all deployments together.
        products_per_run: 0 puts all products into one run, as the common schedule does.
        spread: The rounds' runs are due evenly over so many seconds; 0 all at once.
        deployments: Separate stacks, each in an account of its own, with an equal share.
        code_locations: Code servers of one deployment, each with an equal share.
        max_concurrent_runs: Of one deployment.
        interval: Shortest time between two looks at the queue, s.
        start_threads: Threads that start runs; 1 also means none.
        tick_threads: Threads that evaluate schedules; 1 also means none.
        mlflow_servers: The fewest and the most, one worker each.
        database_cores: What the database may grow to.
        max_runtime: A run that works longer is stopped, s; ``run_monitoring`` in dagster.yaml.
        start_rate: RunTask calls per second.
        start_burst: RunTask calls at once.
        vcpu_quota: Fargate processors of one account.
        vcpu_per_run: Fargate processors of a run.
        vcpu_services: Fargate processors of the services.
    """

    products: int
    products_per_run: int = 1
    spread: float = 0.0
    deployments: int = 1
    code_locations: int = 1
    max_concurrent_runs: int = 10
    interval: float = 5.0
    start_threads: int = 4
    tick_threads: int = 1
    mlflow_servers: tuple[int, int] = (1, 1)
    database_cores: int = 8
    max_runtime: float = 14_400.0
    start_rate: float = 20.0
    start_burst: float = 20.0
    vcpu_quota: float = math.inf
    vcpu_per_run: float = 2.0
    vcpu_services: float = 8.0

    @property
    def own_products(self) -> int:
        """Products of one deployment, the largest where they differ."""
        return math.ceil(self.products / self.deployments)

    @property
    def runs(self) -> int:
        """Runs of one deployment in a round."""
        return math.ceil(self.own_products / (self.products_per_run or self.own_products))

    @property
    def loaded_products(self) -> int:
        """Products that a run of this deployment has to load."""
        return math.ceil(self.own_products / self.code_locations)


@dataclass(frozen=True)
class Round:
    """What became of a round in one deployment.

    Attributes:
        moments: shape (runs, 6), s: due, queued, taken from the queue, launched, working, ended;
            NaN where a run did not come so far.
        refused: Runs that Fargate did not start because the quota was used up.
        stopped: Runs that worked longer than allowed.
        timeline: shape (points, 4), s, runs: time, waiting in the queue, under way, working.
        daemon_busy: Share of the round that the daemon's processor worked.
        code_server_busy: Share of the round that one code server worked on ticks.
        database_busy: Share of the round that the database's cores worked.
        mlflow_waited: Mean wait of a request, s.
        mlflow_servers: The most that there were.
        peak_active: The most runs that were under way, their tasks' start included.
        peak_working: The most runs that worked.
    """

    moments: NDArray[np.float64]
    refused: int
    stopped: int
    timeline: NDArray[np.float64]
    daemon_busy: float
    code_server_busy: float
    database_busy: float
    mlflow_waited: float
    mlflow_servers: int
    peak_active: int
    peak_working: int

    @property
    def ended(self) -> int:
        """Runs that worked to their end."""
        return int(np.count_nonzero(np.isfinite(self.moments[:, ENDED])))

    @property
    def seconds(self) -> float:
        """From the beginning of the round to the end of its last run; 0 where none ended."""
        ends = self.moments[:, ENDED]
        return float(np.nanmax(ends)) if self.ended else 0.0

    @property
    def usual_delay(self) -> float:
        """Within what time of being due 19 of 20 runs have ended, s; infinite where one did not."""
        delays = self.moments[:, ENDED] - self.moments[:, DUE]
        return float(np.percentile(delays, 95)) if self.ended == len(delays) else math.inf

    @property
    def keeps_up(self) -> bool:
        """Whether every run has ended before the next round begins."""
        return self.ended == len(self.moments) and self.seconds <= PERIOD

    def between(self, first: int, second: int) -> float:
        """Mean time from one moment of a run to another, s; 0 where no run came so far."""
        passed = self.moments[:, second] - self.moments[:, first]
        return float(np.nanmean(passed)) if np.isfinite(passed).any() else 0.0


def simulate(inputs: Inputs, setting: Setting, *, seed: int = 1, until: float = math.inf) -> Round:
    """Let one round pass through one deployment.

    Args:
        inputs: What things take.
        setting: What was chosen.
        seed: Of the random numbers.
        until: Stop the clock here, s.

    Returns:
        What became of it.
    """
    return _Deployment(inputs, setting, np.random.default_rng(seed)).play(until)


class _Deployment:
    """The state of one deployment while a round passes through it."""

    def __init__(self, inputs: Inputs, setting: Setting, rng: np.random.Generator) -> None:
        self.inputs, self.setting = inputs, setting
        runs, per_run = setting.runs, setting.products_per_run or setting.own_products
        self.moments = np.full((runs, 6), np.nan)
        order = rng.permutation(runs) if setting.spread else np.arange(runs)
        self.moments[:, DUE] = setting.spread * order / runs
        self.work = _work(inputs, setting.own_products, rng)
        self.starts = rng.uniform(*inputs.task_start, runs)
        self.members = [
            self.work[first : first + per_run] for first in range(0, setting.own_products, per_run)
        ]
        self.engine = Engine()
        self.daemon = Station(self.engine, 1)
        self.servers = [Station(self.engine, 1) for _ in range(setting.code_locations)]
        self.ticking = Station(self.engine, max(1, setting.tick_threads))
        self.starting = Station(self.engine, max(1, setting.start_threads))
        self.batch_done = Station(self.engine, 0)
        self.mlflow = Station(self.engine, setting.mlflow_servers[0])
        self.database = Station(self.engine, setting.database_cores)
        self.bucket = TokenBucket(setting.start_rate, setting.start_burst)
        self.queue: deque[int] = deque()
        self.active = self.working = self.over = self.refused = self.stopped = 0
        self.in_batch = self.peak_active = self.peak_working = 0
        self.peak_servers = setting.mlflow_servers[0]
        self.timeline: list[tuple[float, int, int, int]] = []

    def play(self, until: float) -> Round:
        """Start every process and let time pass."""
        for process in (self.scheduler(), self.queue_loop(), self.observer(), self.scaler()):
            self.engine.start(process)
        self.engine.run(until=until)
        passed = max(self.engine.now, 1.0)
        return Round(
            moments=self.moments,
            refused=self.refused,
            stopped=self.stopped,
            timeline=np.array(self.timeline, dtype=np.float64).reshape(-1, 4),
            daemon_busy=self.daemon.busy_area() / passed,
            code_server_busy=max(each.busy_area() for each in self.servers) / passed,
            database_busy=self.database.busy_area() / passed / self.setting.database_cores,
            mlflow_waited=self.mlflow.waiting_area() / max(1, self.mlflow.arrived * VISIT),
            mlflow_servers=self.peak_servers,
            peak_active=self.peak_active,
            peak_working=self.peak_working,
        )

    @property
    def is_over(self) -> bool:
        return self.over == len(self.moments)

    def scheduler(self) -> Process:
        """Once a minute, hand what is due to the threads that evaluate schedules."""
        due = sorted(range(len(self.moments)), key=lambda run: self.moments[run, DUE])
        for run in due:
            moment = math.ceil(self.moments[run, DUE] / MINUTE) * MINUTE
            if moment > self.engine.now:
                yield moment - self.engine.now
            self.engine.start(self.tick(run))

    def tick(self, run: int) -> Process:
        """Evaluate one schedule and put its run into the queue."""
        server = self.servers[run % len(self.servers)]
        yield self.ticking
        yield self.daemon
        yield self.inputs.tick_daemon
        self.daemon.leave()
        yield server
        yield self.inputs.tick_server
        server.leave()
        yield self.inputs.tick_wait
        self.ticking.leave()
        self.moments[run, QUEUED] = self.engine.now
        self.queue.append(run)

    def queue_loop(self) -> Process:
        """Look, start a batch, wait for all of it, look again."""
        inputs, limit = self.inputs, self.setting.max_concurrent_runs
        while not self.is_over:
            began = self.engine.now
            yield self.daemon
            looked = inputs.look + inputs.look_per_active * self.active
            if self.active < limit:
                looked += inputs.look_per_queued * len(self.queue)
            yield looked
            self.daemon.leave()
            room = limit - self.active
            batch = [self.queue.popleft() for _ in range(min(room, len(self.queue)))]
            if batch:
                self.in_batch = len(batch)
                for run in batch:
                    self.engine.start(self.launch(run))
                yield self.batch_done
                self.batch_done.resize(0)
                self.batch_done.leave()
            left = self.setting.interval - (self.engine.now - began)
            if left > 0:
                yield math.ceil(left / POLL) * POLL

    def launch(self, run: int) -> Process:
        """Start one run's task, on one of the threads for it."""
        yield self.starting
        self.moments[run, TAKEN] = self.engine.now
        self.active += 1
        self.peak_active = max(self.peak_active, self.active)
        yield self.daemon
        yield self.inputs.start_daemon
        self.daemon.leave()
        yield self.bucket.take(self.engine.now)
        yield self.inputs.start_wait
        self.starting.leave()
        setting = self.setting
        if self.active * setting.vcpu_per_run + setting.vcpu_services > setting.vcpu_quota:
            self.refused += 1
            self.active -= 1
            self.over += 1
        else:
            self.moments[run, LAUNCHED] = self.engine.now
            self.engine.start(self.task(run))
        self.in_batch -= 1
        if not self.in_batch:
            self.batch_done.resize(1)

    def task(self, run: int) -> Process:
        """The machine starts, Python imports and loads, each product is worked on.

        What is asked of MLflow and the database is part of the measured work where neither is
        busy, and comes on top of it here; that errs by a few per cent, to the safe side.
        """
        inputs = self.inputs
        loading = inputs.imports + inputs.load_per_product * self.setting.loaded_products
        yield float(self.starts[run]) + loading
        self.moments[run, WORKING] = self.engine.now
        self.working += 1
        self.peak_working = max(self.peak_working, self.working)
        visits = max(1, math.ceil(inputs.mlflow_requests / VISIT))
        for seconds in self.members[run]:
            for _ in range(visits):
                yield float(seconds) / visits
                yield self.mlflow
                yield inputs.mlflow_seconds * inputs.mlflow_requests / visits
                self.mlflow.leave()
                yield self.database
                yield inputs.database_seconds / visits
                self.database.leave()
            if self.engine.now - self.moments[run, WORKING] > self.setting.max_runtime:
                self.stopped += 1
                break
        else:
            self.moments[run, ENDED] = self.engine.now
        self.working -= 1
        self.active -= 1
        self.over += 1

    def observer(self) -> Process:
        """Note from time to time how much waits and works."""
        while True:
            self.timeline.append((self.engine.now, len(self.queue), self.active, self.working))
            if self.is_over:
                return
            yield SAMPLE

    def scaler(self) -> Process:
        """Target tracking on the processor, 60 %: up after three minutes, down after fifteen."""
        fewest, most = self.setting.mlflow_servers
        servers, high, low, area = fewest, 0, 0, 0.0
        while not self.is_over and fewest < most:
            yield MINUTE
            area, before = self.mlflow.busy_area(), area
            load = (area - before) / MINUTE / servers
            high = high + 1 if load > TARGET else 0
            low = low + 1 if load < 0.9 * TARGET else 0
            wanted = servers
            if high >= UP_MINUTES:
                wanted = math.ceil(servers * load / TARGET)
            elif low >= DOWN_MINUTES:
                wanted = servers - 1
            wanted = min(most, max(fewest, wanted))
            if wanted == servers:
                continue
            if wanted > servers:
                yield self.inputs.mlflow_delay
                area = self.mlflow.busy_area()
            servers, high, low = wanted, 0, 0
            self.mlflow.resize(servers)
            self.peak_servers = max(self.peak_servers, servers)


def _work(inputs: Inputs, products: int, rng: np.random.Generator) -> NDArray[np.float64]:
    large = rng.random(products) < inputs.large_share
    median = np.where(large, inputs.work[1], inputs.work[0])
    spread = np.exp(inputs.work_sigma * rng.standard_normal(products))
    return np.asarray(median * spread, dtype=np.float64)


def largest_kept_up(
    inputs: Inputs, setting_for: Callable[[int], Setting], *, most: int = 50_000, seed: int = 1
) -> int:
    """The most products whose round ends before the next one begins, to some four per cent.

    Args:
        inputs: What things take.
        setting_for: What is chosen for so many products.
        most: Not looked for beyond.
        seed: Of the random numbers.

    Returns:
        Products; ``most`` where the limit lies beyond.
    """

    def fits(products: int) -> bool:
        return simulate(inputs, setting_for(products), seed=seed, until=PERIOD + 1).keeps_up

    low, high = 0, 1
    while high < most and fits(high):
        low, high = high, min(most, high * 4)
    if high == most and fits(most):
        return most
    while high - low > max(1, low // 25):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
