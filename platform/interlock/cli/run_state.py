"""Whether a run still works: what `audit verify` and `audit close` must know of one.

A run of `interlock run` holds a lock while its process lives. A run that ``interlock up``
started lives with it. For any other, Dagster's word is taken where Dagster is not the embedded
one; what the embedded one says of a run whose process nobody knows proves nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interlock.errors import ConfigurationError
from interlock.local.home import Home
from interlock.local.locks import FileLock, is_held
from interlock.settings import Settings, process_environment

if TYPE_CHECKING:
    from dagster import DagsterInstance

NOT_CAPTURED: Any = {
    "compute_logs": {
        "module": "dagster._core.storage.noop_compute_log_manager",
        "class": "NoOpComputeLogManager",
    }
}


class RunState(StrEnum):
    """What is known of a run."""

    RUNNING = "running"
    ENDED = "ended"
    """Dagster says that it is over, or its process is gone."""
    UNKNOWN = "unknown"
    """Dagster does not know it, or cannot be asked."""


@contextlib.contextmanager
def known_to_live(home: Home, run_id: str) -> Iterator[None]:
    """Lets others see that this process works on a run, while the block runs.

    Args:
        home: Where the lock is; it stays there as a trace when the process is killed. Nothing
            is done where no embedded services live.
        run_id: Dagster's.
    """
    if not home.exists():
        yield
        return
    lock = FileLock(_lock_of(home, run_id))
    lock.acquire()
    try:
        yield
    finally:
        lock.path.unlink(missing_ok=True)
        lock.release()


@contextlib.contextmanager
def dagster_instance() -> Iterator[DagsterInstance]:
    """Dagster's records, for a command that works in its own process.

    Without Dagster's capturing of standard output and error: it points both streams of the
    whole process elsewhere, so that no progress could be shown, and costs four processes.

    Raises:
        ConfigurationError: There is no place for the records.
    """
    from dagster import DagsterInstance
    from dagster._core.instance.ref import InstanceRef

    folder = process_environment().get("DAGSTER_HOME", "").strip()
    if not folder or not Path(folder).is_dir():
        raise ConfigurationError(
            f"DAGSTER_HOME is {folder or 'unset'}, expected the folder of Dagster's configuration",
            remedy="set it as for Dagster's web server, or unset AWS_ENDPOINT_URL_S3 and "
            "MLFLOW_TRACKING_URI to use the embedded services",
        )
    with DagsterInstance.from_ref(InstanceRef.from_dir(folder, overrides=NOT_CAPTURED)) as instance:
        yield instance


def state_of(settings: Settings, run_id: str, *, embedded: bool) -> RunState:
    """Whether a run still works.

    Args:
        settings: With the services' addresses.
        run_id: Dagster's.
        embedded: Whether Dagster is the embedded one.
    """
    home = Home(settings.home)
    lock = _lock_of(home, run_id)
    if is_held(lock):
        return RunState.RUNNING
    try:
        with dagster_instance() as instance:
            run = instance.get_run_by_id(run_id)
    except ConfigurationError:
        return RunState.UNKNOWN
    if run is None:
        return RunState.UNKNOWN
    if run.is_finished or lock.exists():
        return RunState.ENDED
    if embedded and not is_held(home.state):
        return RunState.ENDED
    return RunState.RUNNING


def report_dead(settings: Settings, run_id: str, reason: str) -> None:
    """Lets Dagster know that a run it takes for running is over.

    Args:
        settings: With the services' addresses.
        run_id: Dagster's.
        reason: How that is known.
    """
    try:
        with dagster_instance() as instance:
            run = instance.get_run_by_id(run_id)
            if run is not None and not run.is_finished:
                instance.report_run_failed(run, f"recorded as killed: {reason}")
    except ConfigurationError:
        return  # not the machine on which Dagster's records are
    _lock_of(Home(settings.home), run_id).unlink(missing_ok=True)


def _lock_of(home: Home, run_id: str) -> Path:
    return home.run / f"run-{run_id}.lock"
