"""What of ``interlock up`` is alive: read from locks, not from process ids in files.

``up`` holds the lock of ``state.json`` as long as it lives, and each service one of its own, so
that a second ``up``, ``down`` and every command can tell a living platform from the traces of a
killed one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from interlock.errors import LocalError
from interlock.local.home import Home
from interlock.local.locks import is_held, read_held
from interlock.local.process import end_orphan

ENDED_SECONDS = 8.0  # until the services of a killed `up` have ended; twice their keepers' grace
LOOK_SECONDS = 0.05  # between two looks at a lock


@dataclass(frozen=True)
class PlatformStatus:
    """What runs.

    Args:
        pid: Process of ``interlock up``.
        ready: Whether everything is up; False while it starts or stops.
        addresses: Service to address.
    """

    pid: int
    ready: bool
    addresses: Mapping[str, str]


def status(home: Home) -> PlatformStatus | None:
    """What runs in a home; None when ``interlock up`` does not."""
    state = read_held(home.state)
    if state is None:
        return None
    return PlatformStatus(
        pid=int(state["pid"]),
        ready=bool(state.get("ready")),
        addresses=dict(state.get("addresses", {})),
    )


def _service_locks(home: Home) -> Sequence[Path]:
    names = ("mlflow", "code-location", "dagster", "daemon", "console")
    return (*(home.run / f"{name}.lock" for name in names), home.s3_lock)


def end_left_behind(home: Home) -> bool:
    """Waits for what a killed ``up`` left to end, and ends what nobody watches.

    Args:
        home: Where to look. A command that works there has an S3 of its own; it is left alone.

    Returns:
        Whether there was anything.

    Raises:
        LocalError: Something does not end.
    """
    held = [lock for lock in _service_locks(home) if is_held(lock)]
    if not held or read_held(home.session) is not None:
        return False
    for lock in held:
        end_orphan(lock)
    if not until(lambda: not any(is_held(lock) for lock in held), ENDED_SECONDS):
        names = ", ".join(lock.stem for lock in held if is_held(lock))
        raise LocalError(
            f"services of an earlier `interlock up` still run: {names}",
            remedy=f"end the processes named in {home.run}/*.lock",
        )
    return True


def until(holds: Callable[[], bool], seconds: float) -> bool:
    """Waits for something.

    Args:
        holds: Asked again and again.
        seconds: How long to wait at most.

    Returns:
        Whether it came to hold.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True
