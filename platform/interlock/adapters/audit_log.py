"""The audit trail in an object store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from interlock.adapters.object_store import ObjectStore
from interlock.governance.audit import AuditRecord, StoredEvent, Stream, TrailReport


class AuditLog:
    """The audit trail under one prefix of one bucket. Safe to use from many threads."""

    def __init__(
        self,
        store: ObjectStore,
        *,
        bucket: str,
        prefix: str,
        retention: timedelta,
        spool_directory: Path,
        clock: Callable[[], datetime],
    ) -> None:
        raise NotImplementedError

    def append(self, stream: Stream, record: AuditRecord) -> StoredEvent:
        """Raises AuditWriteFailed."""
        raise NotImplementedError

    def spool(self, stream: Stream, record: AuditRecord) -> Path:
        """Raises AuditWriteFailed."""
        raise NotImplementedError

    def flush_spool(self) -> list[StoredEvent]:
        """Raises AuditWriteFailed."""
        raise NotImplementedError

    def streams(self) -> list[Stream]:
        """All streams, by date and name."""
        raise NotImplementedError

    def read(self, stream: Stream) -> list[StoredEvent]:
        """The events of a stream."""
        raise NotImplementedError

    def verify(self, stream: Stream | None = None) -> TrailReport:
        """Raises AuditError when there is nothing to verify."""
        raise NotImplementedError

    def export(self, directory: Path) -> Path:
        """Writes all events; returns the manifest."""
        raise NotImplementedError


def verify_export(directory: Path) -> TrailReport:
    """Verifies an export offline."""
    raise NotImplementedError
