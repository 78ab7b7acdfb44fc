"""A small discrete-event engine: processes that wait, stations with places, a token bucket.

What is simulated with it is in ``scaling_model.py``. Nothing here knows of runs or of AWS. Time is
in seconds and starts at 0; events of one moment happen in the order in which they were planned, so
the same processes give the same history.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final

FOREVER: Final = float("inf")


class Engine:
    """The clock and what is planned.

    A process is a generator. It yields seconds to wait, or a ``Station`` to be given a place at
    it, and gives the place back with ``leave``.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._planned: list[tuple[float, int, Process]] = []
        self._number = 0

    def start(self, process: Process, *, at: float | None = None) -> None:
        """Plan the first step of a process.

        Args:
            process: The process.
            at: When; now if not given.

        Raises:
            ValueError: The moment is past.
        """
        moment = self.now if at is None else at
        if moment < self.now:
            msg = f"a process was to start at {moment}, which is before {self.now}"
            raise ValueError(msg)
        self._number += 1
        heapq.heappush(self._planned, (moment, self._number, process))

    def run(self, *, until: float = FOREVER) -> None:
        """Let time pass until nothing is planned any more, or until a moment.

        Args:
            until: Events later than this stay planned; the clock stands there.
        """
        while self._planned and self._planned[0][0] <= until:
            self.now, _, process = heapq.heappop(self._planned)
            try:
                wanted = next(process)
            except StopIteration:
                continue
            if isinstance(wanted, Station):
                wanted._arrive(process)
            else:
                self.start(process, at=self.now + wanted)
        if until < FOREVER:
            self.now = max(self.now, until)


@dataclass
class Station:
    """Places that are given out first come, first served.

    Attributes:
        engine: The clock.
        places: How many work at once; may change by ``resize``.
        busy: How many work now.
        arrived: How many ever came.
        served: How many ever left.
        longest: The longest queue there ever was.
    """

    engine: Engine
    places: int
    busy: int = 0
    arrived: int = 0
    served: int = 0
    longest: int = 0
    _waiting: deque[Process] = field(default_factory=deque)
    _busy_area: float = 0.0
    _waiting_area: float = 0.0
    _since: float = 0.0

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    def busy_area(self) -> float:
        """Places in use, integrated over time; place-seconds."""
        self._note()
        return self._busy_area

    def waiting_area(self) -> float:
        """Waiting processes, integrated over time; seconds waited by all together."""
        self._note()
        return self._waiting_area

    def leave(self) -> None:
        """Give a place back; whoever waits longest gets it."""
        self._note()
        self.busy -= 1
        self.served += 1
        self._admit()

    def resize(self, places: int) -> None:
        """Change the number of places; nobody who works is sent away.

        Args:
            places: From now on.
        """
        self._note()
        self.places = places
        self._admit()

    def _arrive(self, process: Process) -> None:
        self._note()
        self.arrived += 1
        self._waiting.append(process)
        self._admit()
        self.longest = max(self.longest, len(self._waiting))

    def _admit(self) -> None:
        while self._waiting and self.busy < self.places:
            self.busy += 1
            self.engine.start(self._waiting.popleft())

    def _note(self) -> None:
        passed = self.engine.now - self._since
        self._busy_area += passed * self.busy
        self._waiting_area += passed * len(self._waiting)
        self._since = self.engine.now


Wait = float | Station
Process = Generator[Wait, None, None]


class TokenBucket:
    """AWS's way of limiting requests: so many at once, so many a second afterwards.

    Args:
        rate: Tokens that come back per second.
        burst: Tokens that the bucket holds, and holds at the beginning.
    """

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = 0.0

    def take(self, now: float) -> float:
        """Take a token, also one that is still to come.

        Args:
            now: When it is asked for; never earlier than the time before.

        Returns:
            Seconds until the token is there; those who asked before have theirs first.
        """
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1
        return 0.0 if self._tokens >= 0 else -self._tokens / self._rate
