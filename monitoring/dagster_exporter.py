"""Dagster's state as metrics: ``python -m monitoring.dagster_exporter``.

Reads the web server in the background and serves what it read; a slow or dead Dagster makes no
scrape slow. Counters of what Dagster's storage counts come from there and survive a restart;
ticks and durations are counted since the exporter started, and say so.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interlock.errors import InterlockError
from interlock.settings import load_settings
from monitoring.bounded_http import accepts_connections, seconds_to_answer
from monitoring.catalogue import MAX_VALUES, Families
from monitoring.dagster_reader import DagsterReader
from monitoring.dagster_values import ActiveRuns, Asset, JobHistory, Schedule, Workspace
from monitoring.endpoint import SectionCollector, run_exporter
from monitoring.sections import Loop, Section
from monitoring.tallies import BUCKETS, TICK_STATUSES, Durations, Ticks

PORT: Final = 9200
PROBE_SECONDS: Final = 10.0  # between two probes of the web server
HEALTH: Final = "/healthz"  # answers whoever asks
ASSET_FACTOR: Final = 2  # assets are read half as often as runs
READINGS_KEPT: Final = 4  # a value that was not renewed for so many intervals is dropped


@dataclass(frozen=True)
class Reachability:
    """Whether services answer.

    Attributes:
        webserver_seconds: How long Dagster's web server took; None when it did not answer.
        services: Other services to whether they accept connections.
    """

    webserver_seconds: float | None
    services: Mapping[str, bool]


@dataclass(frozen=True)
class RunState:
    """What is known of runs.

    Attributes:
        history: By job.
        active: By status.
        causes: Failed run to the name of its error.
    """

    history: Mapping[str, JobHistory]
    active: Mapping[str, ActiveRuns]
    causes: Mapping[str, str]


class DagsterExporter:
    """The sections of the exporter, and their metrics.

    Args:
        reader: Dagster.
        services: Name to host and port of services without metrics of their own.
        interval: Seconds between two readings of runs.
        timeout: Of one answer, seconds.
        clock: Unix time.
        monotonic: Monotonic seconds.
    """

    def __init__(
        self,
        reader: DagsterReader,
        *,
        services: Mapping[str, tuple[str, int]],
        interval: float,
        timeout: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader = reader
        self._services = services
        self._timeout = timeout
        self._clock = clock
        self._started = clock()
        self._ended_until = self._started
        self._jobs: tuple[str, ...] = ()
        self._durations = Durations(since=self._started)
        self._ticks = Ticks(since=self._started)
        self._interval = interval

        def section(name: str, read: Callable[[], Any], every: float) -> Section[Any]:
            age = READINGS_KEPT * (every + timeout)
            return Section(name, read, max_age=age, clock=monotonic)

        self.reachability: Section[Reachability] = section("webserver", self._reach, PROBE_SECONDS)
        self.workspace: Section[Workspace] = section("workspace", self._read_workspace, interval)
        self.runs: Section[RunState] = section("runs", self._read_runs, interval)
        self.assets: Section[Sequence[Asset]] = section(
            "assets", reader.assets, ASSET_FACTOR * interval
        )

    @property
    def collector(self) -> SectionCollector:
        """Hands out the metrics."""
        sections = (self.reachability, self.workspace, self.runs, self.assets)
        return SectionCollector(sections, self.fill)

    @property
    def loops(self) -> tuple[Loop, ...]:
        """What is read in the background."""
        return (
            Loop((self.reachability,), PROBE_SECONDS),
            Loop((self.workspace, self.runs), self._interval),
            Loop((self.assets,), ASSET_FACTOR * self._interval),
        )

    def fill(self, out: Families) -> None:
        """Adds the samples of what is known now."""
        if (reach := self.reachability.value) is not None:
            _fill_reachability(out, reach)
            if reach.webserver_seconds is not None and self._reader.admitted is not None:
                out.add("dagster_webserver_admits_exporter", self._reader.admitted)
        if (workspace := self.workspace.value) is not None:
            self._fill_workspace(out, workspace)
        if (runs := self.runs.value) is not None:
            self._fill_runs(out, runs)
        if (assets := self.assets.value) is not None:
            _fill_assets(out, assets)

    def _reach(self) -> Reachability:
        url = f"{self._reader.url}{HEALTH}"
        return Reachability(
            webserver_seconds=seconds_to_answer(url, timeout=self._timeout),
            services={
                name: accepts_connections(host, port, timeout=self._timeout)
                for name, (host, port) in self._services.items()
            },
        )

    def _read_workspace(self) -> Workspace:
        found = self._reader.workspace()
        self._ticks.observe(found.schedules)
        # Runs are in the storage also while a code location is away: its jobs stay known.
        known = () if all(found.locations.values()) else self._jobs
        self._jobs = tuple(sorted({*known, *found.jobs}))
        return found

    def _read_runs(self) -> RunState:
        now, jobs = self._clock(), self._jobs[:MAX_VALUES]
        history = self._reader.history(jobs)
        recent = [run for each in history.values() for run in each.recent]
        if jobs:
            self._durations.know(jobs)
            self._durations.observe(self._reader.ended_since(self._ended_until))
            self._ended_until = now
        return RunState(
            history=history,
            active=self._reader.active(),
            causes=self._reader.causes([run for run in recent if run.status == "failure"]),
        )

    def _fill_workspace(self, out: Families, found: Workspace) -> None:
        for location in out.bounded("location", found.locations):
            out.add("dagster_code_location_loaded", found.locations[location], location)
        for daemon in found.daemons:
            out.add("dagster_daemon_healthy", daemon.healthy, daemon.name)
            if daemon.heartbeat is not None:
                out.add("dagster_daemon_heartbeat_timestamp_seconds", daemon.heartbeat, daemon.name)
        by_name = {schedule.name: schedule for schedule in found.schedules}
        for name in out.bounded("schedule", by_name):
            schedule = by_name[name]
            out.add("dagster_schedule_running", schedule.running, name)
            if schedule.ticks:
                newest = max(tick.due for tick in schedule.ticks)
                out.add("dagster_schedule_last_tick_timestamp_seconds", newest, name)
            if schedule.running:
                overdue = overdue_seconds(schedule, now=self._clock(), since=self._started)
                out.add("dagster_schedule_overdue_seconds", overdue, name)
            for status in TICK_STATUSES:
                count = self._ticks.counts.get((name, status), 0)
                out.add("dagster_schedule_ticks_total", count, name, status)
        completed = {sensor.name: sensor.completed or 0.0 for sensor in found.sensors}
        for name in out.bounded("sensor", completed):
            out.add("dagster_sensor_completed_timestamp_seconds", completed[name], name)

    def _fill_runs(self, out: Families, found: RunState) -> None:
        for job in out.bounded("pipeline", self._jobs):
            history = found.history.get(job)
            if history is None:
                continue
            for status, count in history.counts.items():
                out.add("pipeline_runs_total", count, job, status)
            _fill_recent(out, job, history, found.causes)
        for (job, status), counts in list(self._durations.counts.items()):
            reached = 0
            buckets = []
            for end, count in zip(BUCKETS, counts, strict=True):
                reached += count
                buckets.append(("+Inf" if math.isinf(end) else f"{float(end)}", float(reached)))
            total = self._durations.sums[job, status]
            out.add_histogram("pipeline_duration_seconds", buckets, total, job, status)
        for status, active in found.active.items():
            out.add("pipeline_runs_active", active.count, status)
            if active.since is not None:
                age = max(0.0, self._clock() - active.since)
                out.add("pipeline_oldest_run_age_seconds", age, status)


def overdue_seconds(schedule: Schedule, *, now: float, since: float) -> float:
    """How long a tick that was due has not come.

    A schedule without any tick may just have been switched on: only what was due since the
    exporter started counts then.

    Args:
        schedule: A running one.
        now: Unix time.
        since: When the exporter started, Unix time.

    Returns:
        Seconds; 0 when no tick is overdue.
    """
    if schedule.due is None:
        return 0.0
    newest = max((tick.due for tick in schedule.ticks), default=since)
    return now - schedule.due if newest < schedule.due else 0.0


def _fill_reachability(out: Families, found: Reachability) -> None:
    out.add("dagster_webserver_up", found.webserver_seconds is not None)
    if found.webserver_seconds is not None:
        out.add("dagster_webserver_response_seconds", found.webserver_seconds)
    for service, reachable in found.services.items():
        out.add("service_reachable", reachable, service)


def _fill_recent(out: Families, job: str, history: JobHistory, causes: Mapping[str, str]) -> None:
    if not history.recent:
        return
    out.add("pipeline_consecutive_failures", history.consecutive_failures, job)
    if (seconds := history.recent[0].seconds) is not None:
        out.add("pipeline_last_run_duration_seconds", seconds, job)
    newest: dict[str, float] = {}
    failures: dict[str, float] = {}
    for run in reversed(history.recent):
        if run.ended is None:
            continue
        newest[run.status] = run.ended
        if run.id in causes:
            failures[causes[run.id]] = run.ended
    for status, ended in newest.items():
        out.add("pipeline_last_run_timestamp_seconds", ended, job, status)
    for error, ended in failures.items():
        out.add("pipeline_last_failure_timestamp_seconds", ended, job, error)


def _fill_assets(out: Families, found: Sequence[Asset]) -> None:
    named = {(each.path[0], "/".join(each.path[1:]) or each.path[0]): each for each in found}
    products = set(out.bounded("product", (product for product, _ in named)))
    names = set(out.bounded("asset", (asset for _, asset in named)))
    for (product, asset), each in named.items():
        if product not in products or asset not in names:
            continue
        if each.materialized is not None:
            out.add(
                "asset_last_materialization_timestamp_seconds", each.materialized, product, asset
            )
        for severity, count in each.failed_checks.items():
            out.add("asset_checks_failed", count, product, asset, severity)


def service_address(text: str) -> tuple[str, tuple[str, int]]:
    """Reads ``NAME=HOST:PORT``."""
    name, _, address = text.partition("=")
    host, _, port = address.rpartition(":")
    if not name or not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=HOST:PORT")
    return name, (host.strip("[]"), int(port))


def token_in(file: Path | None, otherwise: str = "") -> Callable[[], str]:
    """What reads a token; one that cannot be read is none, and the web server's answer says so.

    Args:
        file: Holds it.
        otherwise: Where there is no file: IDENTITY_TOKEN.
    """

    def read() -> str:
        if file is None:
            return otherwise
        try:
            return file.read_text().strip()
        except OSError:
            return ""

    return read


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m monitoring.dagster_exporter", description="Dagster's state as metrics."
    )
    made.add_argument("--dagster-url", default="http://127.0.0.1:3000", help="its web server")
    made.add_argument("--host", default="127.0.0.1", help="address to listen on")
    made.add_argument("--port", type=int, default=PORT, help="port to listen on")
    made.add_argument("--interval", type=float, default=15.0, help="seconds between readings")
    made.add_argument("--timeout", type=float, default=5.0, help="seconds for one answer")
    made.add_argument(
        "--token-file",
        type=Path,
        help="holds the token of the account that asks; without it IDENTITY_TOKEN does",
    )
    made.add_argument(
        "--service",
        type=service_address,
        action="append",
        default=[],
        metavar="NAME=HOST:PORT",
        help="a service without metrics whose port is tried; may be given again",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point."""
    options = parser().parse_args(arguments)
    exporter = DagsterExporter(
        DagsterReader(
            options.dagster_url,
            timeout=options.timeout,
            clock=time.time,
            token=token_in(options.token_file, load_settings().identity_token or ""),
        ),
        services=dict(options.service),
        interval=options.interval,
        timeout=options.timeout,
    )
    try:
        run_exporter(exporter.collector, exporter.loops, host=options.host, port=options.port)
    except InterlockError as error:
        sys.exit(f"dagster-exporter: {error}")


if __name__ == "__main__":
    main()
