"""One holder at a time: a lease in an object store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from interlock.adapters.object_store import ObjectStore


class Lease:
    """Held while the ``with`` block runs; renewed by a thread."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        bucket: str,
        key: str,
        holder: str,
        ttl: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Raises ProductBusy."""
        raise NotImplementedError

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raises ProductBusy when the lease was lost meanwhile."""
        raise NotImplementedError

    def check(self) -> None:
        """Raises ProductBusy when the lease was lost."""
        raise NotImplementedError
