"""Work that takes its time and comes from strangers: few at once, some wait, others are sent away.

It has threads of its own, so that whoever is signed in already waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from interlock.errors import RequestRefused

T = TypeVar("T")


class FewAtOnce:
    """Runs work in threads of its own.

    Args:
        threads: How much is done at a time.
        waiting: How much may wait besides.
        what: What it is, for who is sent away.
    """

    def __init__(self, threads: int, *, waiting: int, what: str) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=what.replace(" ", "-"))
        self._free = threads + waiting
        self._what = what

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """What the work gives; for the event loop alone.

        Raises:
            RequestRefused: Too many wait already.
        """
        if not self._free:
            raise RequestRefused(503, f"too many {self._what} at once; try again in a minute")
        self._free -= 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, work, *arguments)
        finally:
            self._free += 1
