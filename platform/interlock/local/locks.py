"""Files that say who is alive: ``flock`` on a file, which ends with its last holder.

A process id in a file may belong to somebody else tomorrow; a lock cannot. So whether ``up`` or
a command runs is asked of the lock, and the content is read only while the lock is held.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

POLL_SECONDS = 0.05
# A look at whether a lock is held takes it for microseconds; who wants it tries this long.
PROBE_SECONDS = 0.3


class FileLock:
    """An advisory lock on a file, held by this process and those that inherit it.

    Args:
        path: The file; made when missing, never removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    @property
    def descriptor(self) -> int:
        """The open file, for a child to inherit. Only while the lock is held."""
        if self._descriptor is None:
            msg = f"{self.path} is not locked"
            raise RuntimeError(msg)
        return self._descriptor

    def acquire(self, *, seconds: float | None = None, shared: bool = False) -> bool:
        """Takes the lock.

        Args:
            seconds: How long to try; for ever when not given.
            shared: Whether others may hold it shared at the same time.

        Returns:
            Whether it is held now.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = None if seconds is None else time.monotonic() + seconds
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            while not _locked(descriptor, kind):
                if deadline is not None and time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(POLL_SECONDS)
        except BaseException:  # Ctrl-C while waiting
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Gives the lock up; it stays held where a child inherited it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Holds the lock for a block, waiting for it as long as it takes."""
        self.acquire()
        try:
            yield
        finally:
            self.release()

    def write(self, content: Mapping[str, Any]) -> None:
        """Replaces the file's content; only while the lock is held."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, json.dumps(content, indent=2).encode(), 0)


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(path: Path) -> bool:
    """Whether a living process holds the lock exclusively.

    Args:
        path: The file.
    """
    if not path.exists():
        return False
    lock = FileLock(path)
    free = lock.acquire(seconds=0, shared=True)
    lock.release()
    return not free


def read_held(path: Path) -> Mapping[str, Any] | None:
    """What the holder of a lock says of itself.

    Args:
        path: The file.

    Returns:
        The content; None when nobody holds the lock, or its holder has not said anything yet.
    """
    if not is_held(path):
        return None
    try:
        content = json.loads(path.read_bytes() or b"null")
    except json.JSONDecodeError:  # between the two halves of a write
        return None
    return content if isinstance(content, dict) else None
