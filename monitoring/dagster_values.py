"""What is known of Dagster, as frozen values. Read in ``dagster_reader.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Daemon:
    """A daemon; the heartbeat is Unix time, None before the first."""

    name: str
    healthy: bool
    heartbeat: float | None


@dataclass(frozen=True)
class Tick:
    """A tick of a schedule: for when it was due, Unix time, and what came of it."""

    id: str
    due: float
    status: str


@dataclass(frozen=True)
class Schedule:
    """A schedule.

    Attributes:
        name: Its name.
        running: Whether it is switched on.
        due: The newest time at which a tick was due, Unix time; None when there was none.
        ticks: The newest ones, newest first.
    """

    name: str
    running: bool
    due: float | None
    ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Sensor:
    """A sensor.

    Attributes:
        name: Its name.
        completed: When its newest tick that ended without an error began, Unix time; None where
            there is none.
    """

    name: str
    completed: float | None


@dataclass(frozen=True)
class Workspace:
    """What Dagster has loaded.

    Attributes:
        locations: Code location to whether it answers with definitions.
        jobs: Names of all jobs.
        schedules: All of them.
        sensors: All of them.
        daemons: Those that this installation needs.
    """

    locations: Mapping[str, bool]
    jobs: tuple[str, ...]
    schedules: tuple[Schedule, ...]
    sensors: tuple[Sensor, ...]
    daemons: tuple[Daemon, ...]


@dataclass(frozen=True)
class Run:
    """A run; times are Unix time, None for what has not happened."""

    id: str
    job: str
    status: str
    created: float
    started: float | None
    ended: float | None

    @property
    def seconds(self) -> float | None:
        """From start to end; None for a run that never started."""
        if self.started is None or self.ended is None:
            return None
        return max(0.0, self.ended - self.started)


@dataclass(frozen=True)
class JobHistory:
    """What became of a job's runs.

    Attributes:
        counts: Status to ended runs that the storage holds.
        recent: The newest ended ones, newest first.
    """

    counts: Mapping[str, int]
    recent: tuple[Run, ...]

    @property
    def consecutive_failures(self) -> int:
        """How many of the newest runs failed in a row."""
        for place, run in enumerate(self.recent):
            if run.status != "failure":
                return place
        return len(self.recent)


@dataclass(frozen=True)
class ActiveRuns:
    """Runs of one status that have not ended: how many, and since when the oldest is so."""

    count: int
    since: float | None


@dataclass(frozen=True)
class Asset:
    """An asset.

    Attributes:
        path: Its key.
        materialized: When it was last, Unix time; None when never.
        failed_checks: Severity to failed checks; empty when none was ever made.
    """

    path: tuple[str, ...]
    materialized: float | None
    failed_checks: Mapping[str, int]
