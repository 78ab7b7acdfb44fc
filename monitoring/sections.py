"""What an exporter knows, in sections: each read on its own, each with its age.

A section is read in the background and served from memory. One that cannot be read keeps its
value until it is too old, and then has none: a metric that is not known disappears, it does not
stay at what it was. What sections hold is decided by the exporters.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from interlock.errors import InterlockError

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reading(Generic[T]):
    """A value and when it was read, monotonic seconds."""

    value: T
    taken: float


class Section(Generic[T]):
    """A part of what an exporter knows. Safe to use from many threads.

    Args:
        name: What a person calls it, a label's value.
        read: Reads it; takes a bounded time and raises ``InterlockError`` when it cannot.
        max_age: How long a value is served, seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self, name: str, read: Callable[[], T], *, max_age: float, clock: Callable[[], float]
    ) -> None:
        self.name = name
        self._read = read
        self._max_age = max_age
        self._clock = clock
        self._lock = threading.Lock()
        self._reading: Reading[T] | None = None
        self._up: bool | None = None

    def poll(self) -> None:
        """Reads the section; what cannot be read is logged when that is new."""
        try:
            value = self._read()
        except InterlockError as error:
            with self._lock:
                was_up, self._up = self._up, False
            if was_up is not False:
                log.warning("%s cannot be read: %s", self.name, error)
            return
        with self._lock:
            was_up, self._up = self._up, True
            self._reading = Reading(value, self._clock())
        if was_up is False:
            log.info("%s can be read again", self.name)

    @property
    def value(self) -> T | None:
        """What was read last; None when that is too old or was never."""
        with self._lock:
            reading = self._reading
        if reading is None or self._clock() - reading.taken > self._max_age:
            return None
        return reading.value

    @property
    def up(self) -> bool | None:
        """Whether the last attempt succeeded; None before the first."""
        with self._lock:
            return self._up

    @property
    def age(self) -> float | None:
        """Seconds since the last success; None before the first."""
        with self._lock:
            reading = self._reading
        return None if reading is None else self._clock() - reading.taken


@dataclass(frozen=True)
class Loop:
    """Sections that are read in order, again and again.

    Attributes:
        sections: In the order of reading.
        interval: Seconds between the end of one round and the begin of the next.
    """

    sections: tuple[Section[Any], ...]
    interval: float


def run_until(stop: threading.Event, loops: Sequence[Loop]) -> None:
    """Reads all loops, each in a thread of its own, until told to stop.

    Args:
        stop: Ends it. Set as well when a loop fails.
        loops: What to read.

    Raises:
        Exception: What a section raised that is no ``InterlockError``. A process with a dead
            reader would look alive; this one ends, and is started again by its supervisor.
    """
    failures: list[BaseException] = []

    def work(loop: Loop) -> None:
        try:
            while not stop.is_set():
                poll_once(loop.sections)
                stop.wait(loop.interval)
        except BaseException as error:  # noqa: BLE001 - raised again below, in the main thread
            failures.append(error)
            stop.set()

    threads = [threading.Thread(target=work, args=(loop,), daemon=True) for loop in loops]
    for thread in threads:
        thread.start()
    stop.wait()
    if failures:
        raise failures[0]


def poll_once(sections: Iterable[Section[Any]]) -> None:
    """Reads sections once, in order."""
    for section in sections:
        section.poll()
