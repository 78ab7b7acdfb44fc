"""Ctrl-C and SIGTERM: the first interrupts what runs, and none of them what puts it back."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Interruptions:
    """Turns the first signal into an exception and ignores those after it.

    A runner that cancels a job sends one after the other.
    """

    def __init__(self) -> None:
        self._ignored = False

    def ignore(self) -> None:
        """From now on no signal interrupts."""
        self._ignored = True

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Handles a signal.

        Raises:
            KeyboardInterrupt: At the first one, if it is SIGINT.
            SystemExit: At the first one, if it is SIGTERM.
        """
        if self._ignored:
            return
        self._ignored = True
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        raise SystemExit(128 + number)


@contextmanager
def interruptions() -> Iterator[Interruptions]:
    """Handles both signals until it ends."""
    handling = Interruptions()
    former = {each: signal.signal(each, handling.handle) for each in SIGNALS}
    try:
        yield handling
    finally:
        for each, handler in former.items():
            signal.signal(each, handler)
