"""Measure Dagster's own scheduler and run queue, so that the simulation can be held against them.

Real: Postgres, a code server with generated model products, the scheduler, the queue, the daemon's
loop. Stood in for: what the launcher does. It sleeps as long as a start on AWS is taken to last,
and the run ends some seconds later without having computed anything.

``python scripts/bench/calibrate_queue.py`` prints JSON; the figures that the simulation uses are
copied from there into ``scaling_inputs.yaml``. Takes about four minutes; nothing else runs it.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from calibration_ground import instance, postgres, products, show

CODE = """from pathlib import Path
from interlock.definitions import build_defs
defs = build_defs(folder=Path({folder!r}))
"""
LAUNCHER = Path(__file__).with_name("standing_launcher.py").stem
QUIET = logging.getLogger("calibration")


@dataclass(frozen=True)
class QueueCase:
    """One way to empty a queue.

    Attributes:
        runs: How many wait at the beginning.
        workers: Threads that start runs; 0 starts one after the other.
        launch_seconds: What one start takes.
        run_seconds: How long a started run occupies its place.
        max_concurrent_runs: Places.
        interval_seconds: Shortest time from the beginning of one look at the queue to the next.
    """

    runs: int
    workers: int
    launch_seconds: float
    run_seconds: float
    max_concurrent_runs: int
    interval_seconds: int = 5


CASES = (
    QueueCase(runs=120, workers=0, launch_seconds=0, run_seconds=0, max_concurrent_runs=500),
    QueueCase(runs=40, workers=0, launch_seconds=0.5, run_seconds=10, max_concurrent_runs=500),
    QueueCase(runs=80, workers=4, launch_seconds=0.5, run_seconds=10, max_concurrent_runs=500),
    QueueCase(runs=120, workers=16, launch_seconds=0.5, run_seconds=10, max_concurrent_runs=500),
    QueueCase(runs=40, workers=4, launch_seconds=0.5, run_seconds=3, max_concurrent_runs=10),
    QueueCase(runs=60, workers=4, launch_seconds=0.5, run_seconds=8, max_concurrent_runs=25),
)
SCANNED = (0, 100, 500, 1000, 2000)  # runs that wait while one look is timed
SCHEDULED = 8  # products whose schedules are due together
DECLARED = (8, 80)  # products of the code location
MAX_CONCURRENT = 25  # while the queue is only looked at


def main() -> None:
    """Measure all, or the named parts, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*")
    wanted = parser.parse_args().parts
    logging.disable(logging.INFO)
    with postgres() as address:
        if not wanted or "scan" in wanted:
            show("scan", scan(address))
        if not wanted or "queue" in wanted:
            for case in CASES:
                show("queue", {**asdict(case), **empty_queue(address, case)})
        if not wanted or "schedule" in wanted:
            for workers, declared in ((0, DECLARED[0]), (0, DECLARED[1]), (4, DECLARED[0])):
                show("schedule", schedule(address, workers, declared))


def coordinator(case: QueueCase) -> Mapping[str, Any]:
    """The settings of one case, as in ``docker/dagster/aws/dagster.yaml``."""
    threads: dict[str, Any] = {}
    if case.workers:
        threads = {"dequeue_use_threads": True, "dequeue_num_workers": case.workers}
    return {
        "run_coordinator": {
            "module": "dagster._core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": {
                "max_concurrent_runs": case.max_concurrent_runs,
                "dequeue_interval_seconds": case.interval_seconds,
                "tag_concurrency_limits": [
                    {
                        "key": "interlock/product",
                        "value": {"applyLimitPerUniqueValue": True},
                        "limit": 1,
                    }
                ],
                **threads,
            },
        },
        "run_launcher": {
            "module": LAUNCHER,
            "class": "StandingLauncher",
            "config": {
                "launch_seconds": float(case.launch_seconds),
                "run_seconds": float(case.run_seconds),
            },
        },
    }


def fill(opened: Any, runs: int) -> None:
    """Put runs of the sample product's pipeline into the queue, each for a product of its own.

    The first is made by Dagster; the others are copies of its row, because the queue reads nothing
    else and a thousand rows made one by one would take longer than all that is measured.
    """
    from dagster import DagsterEvent
    from dagster._core.remote_origin import (
        RegisteredCodeLocationOrigin,
        RemoteJobOrigin,
        RemoteRepositoryOrigin,
    )
    from sqlalchemy import text

    from interlock.definitions import build_defs

    if not runs:
        return
    job = build_defs().resolve_job_def("credit_risk_pipeline")
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("one"), "__repository__")
    product = f"p{uuid.uuid4().hex}"
    run = opened.create_run_for_job(
        job_def=job,
        tags={"interlock/product": product, "token": "x" * 300},
        remote_job_origin=RemoteJobOrigin(repository, job.name),
    )
    opened.report_dagster_event(DagsterEvent.job_enqueue(run), run_id=run.run_id)
    columns = "snapshot_id, pipeline_name, mode, status, create_timestamp, update_timestamp"
    body = "replace(replace(run_body, run_id, :run), :product, :run)"
    copy = text(
        f"INSERT INTO runs (run_id, run_body, {columns}) "  # noqa: S608 - fixed names
        f"SELECT :run, {body}, {columns} FROM runs WHERE run_id = :first"
    )
    with opened.run_storage.connect() as connection:
        for _ in range(runs - 1):
            new = {"run": str(uuid.uuid4()), "product": product, "first": run.run_id}
            connection.execute(copy, new)


def empty_queue(address: str, case: QueueCase) -> dict[str, float]:
    """Let the daemon's own loop start every run.

    Args:
        address: Of Postgres.
        case: How.

    Returns:
        Seconds until the last start, and starts per second.
    """
    from dagster import DagsterRunStatus, RunsFilter
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import EmptyWorkspaceTarget
    from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

    with (
        instance(address, **coordinator(case)) as opened,
        WorkspaceProcessContext(opened, EmptyWorkspaceTarget()) as workspace,
        QueuedRunCoordinatorDaemon(interval_seconds=case.interval_seconds) as daemon,
    ):
        fill(opened, case.runs)
        launcher = opened.run_launcher
        began, cpu = time.monotonic(), time.process_time()
        for _ in daemon.core_loop(workspace, threading.Event()):
            if len(launcher.started) >= case.runs:
                break
        seconds = max(launcher.started) - began
        used = time.process_time() - cpu
        launcher.join()
        assert not opened.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.QUEUED]))  # noqa: S101
    return {
        "seconds": round(seconds, 2),
        "starts_per_second": round(case.runs / seconds, 3),
        "daemon_cpu_seconds_per_run": round(used / case.runs, 4),
    }


def scan(address: str) -> list[dict[str, float]]:
    """Time one look at queues of several lengths, nothing being started."""
    from dagster._daemon.run_coordinator import QueuedRunCoordinatorDaemon

    case = QueueCase(1, 0, 0, 0, MAX_CONCURRENT)
    found = []
    with (
        instance(address, **coordinator(case)) as opened,
        QueuedRunCoordinatorDaemon(interval_seconds=5) as daemon,
    ):
        there = 0
        for length in SCANNED:
            fill(opened, length - there)
            there = length
            taken = []
            for _ in range(5):
                began = time.monotonic(), time.process_time()
                daemon._get_runs_to_dequeue(opened, opened.get_concurrency_config(), None)
                taken.append((time.monotonic() - began[0], time.process_time() - began[1]))
            found.append(
                {
                    "queued": length,
                    "seconds": round(min(each[0] for each in taken), 4),
                    "cpu_seconds": round(min(each[1] for each in taken), 4),
                }
            )
    return found


def schedule(address: str, workers: int, declared: int) -> dict[str, Any]:
    """Let the scheduler evaluate and submit one due tick of each of many schedules.

    Args:
        address: Of Postgres.
        workers: Threads of the scheduler; 0 takes one after the other.
        declared: Products of the code location.

    Returns:
        Of the first and the second round: runs, seconds, processor seconds per tick.
    """
    import dagster._daemon  # noqa: F401 - the scheduler cannot be imported before it
    from dagster._core.utils import InheritContextThreadPoolExecutor
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import PythonFileTarget
    from dagster._scheduler.scheduler import launch_scheduled_runs

    os.environ.setdefault("RUN_SIGNING_KEY", "calibration-only-" + "0" * 32)
    with tempfile.TemporaryDirectory(prefix="products") as folder:
        products(Path(folder), declared, scheduled=SCHEDULED)
        code = Path(folder) / "code.py"
        code.write_text(CODE.format(folder=folder))
        target = PythonFileTarget(
            python_file=str(code), attribute=None, working_directory=folder, location_name="one"
        )
        case = QueueCase(1, 0, 0, 0, MAX_CONCURRENT)
        with (
            instance(address, **coordinator(case)) as opened,
            WorkspaceProcessContext(opened, target) as workspace,
            contextlib.ExitStack() as stack,
        ):
            threads = None
            if workers:
                threads = stack.enter_context(InheritContextThreadPoolExecutor(workers, "tick"))
            futures: dict[str, Any] = {}
            times: dict[str, Any] = {}

            def iterate(now: datetime) -> None:
                for _ in launch_scheduled_runs(
                    workspace,
                    QUIET,
                    end_datetime_utc=now,
                    iteration_times=times,
                    threadpool_executor=threads,
                    scheduler_run_futures=futures,
                ):
                    pass
                for future in list(futures.values()):
                    future.result()

            def round_after(hours: int) -> dict[str, float]:
                before = opened.get_runs_count()
                began, cpu, server = time.monotonic(), time.process_time(), _children_cpu()
                iterate(now + timedelta(hours=hours, minutes=1))
                runs = opened.get_runs_count() - before
                seconds = time.monotonic() - began
                return {
                    "runs": runs,
                    "seconds": round(seconds, 2),
                    "daemon_cpu_seconds_per_tick": round((time.process_time() - cpu) / runs, 4),
                    "server_cpu_seconds_per_tick": round((_children_cpu() - server) / runs, 4),
                }

            now = datetime.now(UTC)
            iterate(now)
            # The first round also fetches every job; the daemon keeps them.
            return {
                "workers": workers,
                "declared": declared,
                "first": round_after(6),
                "second": round_after(12),
            }


def _children_cpu() -> float:
    """Processor of the processes that this one started, s: the code server."""
    times = [
        each.cpu_times()
        for each in psutil.Process().children(recursive=True)
        if each.status() != psutil.STATUS_ZOMBIE
    ]
    return float(sum(each.user + each.system for each in times))


if __name__ == "__main__":
    main()
