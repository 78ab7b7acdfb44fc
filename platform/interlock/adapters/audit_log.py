"""The audit trail in an object store: appended to by many, replaced by nobody.

Here lives how records reach the store and come back. What an event is and when a chain is
intact: ``governance/audit.py``. What a listing shows: ``audit_listing.py``. Records that wait
on disk: ``audit_spool.py``. Copies for an auditor: ``audit_export.py``. Whether an action may
go on without its record: ``actions``. ADR-0003.

- An event's key follows from stream and sequence, and the put is conditional: of two writers
  exactly one wins a place, and the other reads the new end of the chain and tries again.
- A put whose answer was lost is found again: by equal bytes when it is sent again, by the
  event's id when it is appended or flushed again.
- Records of a stream that wait on disk go first, so that a chain keeps its order.
- The end of a ledger is read anew for every event: others write it too, and with a delete marker
  on their event a put in its place would look like a success.
- The end of a stream is read from its versions, so that a delete marker on the newest event
  cannot make a writer use its place a second time.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import quote

from interlock.adapters.audit_export import TrailOrigin, verify_export, write_export
from interlock.adapters.audit_listing import Listing, Slot, batches, sort_listing
from interlock.adapters.audit_spool import AuditSpool
from interlock.adapters.object_store import ObjectStore
from interlock.errors import (
    AuditError,
    AuditTampered,
    AuditWriteFailed,
    ObjectExists,
    StoreError,
)
from interlock.governance.audit import (
    FIRST_SEQUENCE,
    LEDGER_DAY,
    AuditEvent,
    AuditRecord,
    Chain,
    Finding,
    StoredEvent,
    Stream,
    TrailReport,
    decode,
    encode,
    event_key,
    stream_prefix,
    verify_stream,
)

__all__ = ["AuditLog", "verify_export"]

READERS: Final = 16  # threads; FACTS: boto3 reads no faster with more
MAX_RACES: Final = 200  # places lost to other writers of one stream before giving up
MAX_METADATA_CHARACTERS: Final = 200  # S3 keeps 2 KB for all metadata of an object
_DIGEST: Final = "sha256"


@dataclass(frozen=True)
class _Head:
    """The end of a stream."""

    sequence: int
    sha256: str | None


@dataclass
class _Writer:
    """What this process knows about a stream that it writes."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    head: _Head | None = None
    doubtful: set[str] = field(default_factory=set)
    """Ids of events whose put failed and may have landed."""


class AuditLog:
    """The audit trail under one prefix of one bucket. Safe to use from many threads.

    Args:
        store: The store.
        bucket: Bucket; one with Object Lock.
        prefix: Prefix of all keys, with or without a final slash.
        retention: How long each event is locked.
        spool_directory: Folder for records that cannot be written.
        clock: Now, aware UTC.
    """

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
        self.bucket = bucket
        self.prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._store = store
        self._retention = retention
        self._spool = AuditSpool(spool_directory)
        self._clock = clock
        self._writers: dict[Stream, _Writer] = {}
        self._writers_lock = threading.Lock()
        # Its threads start with the first reads and end with this object.
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="audit")

    @property
    def location(self) -> str:
        """Where the trail is, for messages."""
        return f"s3://{self.bucket}/{self.prefix}"

    def append(self, stream: Stream, record: AuditRecord) -> StoredEvent:
        """Writes a record as the next event of a stream, after those that wait on disk.

        Args:
            stream: The stream.
            record: The record. Appending it again after a failure does not write it twice.

        Returns:
            The event as it is stored.

        Raises:
            AuditWriteFailed: It is not certain that the record is in the trail.
        """
        _, broken = self._flush(stream)
        if broken:
            raise AuditWriteFailed(
                f"{record.action} cannot be recorded after a record that waits on disk and "
                f"cannot be read: {broken[0].message}",
                remedy="restore the file from a backup or move it away, and say so on record",
            ) from broken[0]
        return self._append(stream, record)

    def spool(self, stream: Stream, record: AuditRecord) -> Path:
        """Keeps a record on disk until ``flush_spool`` or the next ``append`` to its stream.

        Args:
            stream: The stream that it is to join.
            record: The record.

        Returns:
            The file, safely on disk.

        Raises:
            AuditWriteFailed: The disk refuses.
        """
        return self._spool.put(stream, record)

    def flush_spool(self) -> list[StoredEvent]:
        """Writes the records that wait on disk, by time; each at most once.

        Returns:
            The events written now.

        Raises:
            AuditWriteFailed: The store refuses; what is not written stays on disk.
            AuditTampered: A file cannot be read; all others are written.
        """
        written, broken = self._flush(None)
        if broken:
            raise broken[0]
        return written

    def streams(self) -> list[Stream]:
        """All streams, by date and name.

        Raises:
            StoreError: The trail cannot be listed.
        """
        return list(self._list(None).streams)

    def ledgers(self, start: str) -> list[Stream]:
        """The ledgers whose names start in a certain way, found without listing anything else.

        Args:
            start: The beginning of their names.

        Raises:
            StoreError: The trail cannot be listed.
        """
        day = stream_prefix(self.prefix, Stream("any", LEDGER_DAY)).removesuffix("any/")
        versions = self._store.list_versions(self.bucket, f"{day}{start}")
        return list(sort_listing(self.prefix, versions).streams)

    def read(self, stream: Stream) -> list[StoredEvent]:
        """The events of a stream in order: of each key the oldest version.

        Args:
            stream: The stream.

        Returns:
            The events; none for a stream that does not exist.

        Raises:
            StoreError: The events cannot be read.
        """
        slots = self._list(stream).streams.get(stream, ())
        return list(self._readers.map(self._fetch, _kept(slots)))

    def verify(self, stream: Stream | None = None) -> TrailReport:
        """Whether the trail, or one stream of it, is intact.

        Args:
            stream: The stream; the whole trail when not given.

        Returns:
            The report.

        Raises:
            AuditError: There is nothing to verify, which is never taken for intact.
            StoreError: The trail cannot be read.
        """
        listing = self._list(stream)
        self._require_something(listing, stream)
        reports = tuple(
            verify_stream(found, events, also=_findings(listing.streams[found]))
            for found, events in self._events(listing)
        )
        return TrailReport(streams=reports, findings=listing.foreign)

    def export(self, directory: Path) -> TrailReport:
        """Copies the trail byte for byte into a folder that can be verified without a store.

        Args:
            directory: A folder that is empty or does not exist.

        Returns:
            The report of verifying what was copied.

        Raises:
            AuditError: There is nothing to export, or the folder cannot be written.
            StoreError: The trail cannot be read.
        """
        listing = self._list(None)
        self._require_something(listing, None)
        seen = (finding for slots in listing.streams.values() for finding in _findings(slots))
        write_export(
            directory,
            TrailOrigin(
                location=self.location,
                exported=self._clock(),
                findings=(*listing.foreign, *seen),
            ),
            self._events(listing),
        )
        return verify_export(directory)

    def _append(self, stream: Stream, record: AuditRecord) -> StoredEvent:
        writer = self._writer(stream)
        with writer.lock:
            stored: StoredEvent | None = None
            try:
                stored = self._append_locked(writer, stream, record)
            except StoreError as error:
                raise AuditWriteFailed(
                    f"{record.outcome} of {record.action} on {record.resource} could not be "
                    f"recorded in {self.location}: {error.message}",
                    remedy=error.remedy,
                ) from error
            finally:
                if stored is None:  # also after an interrupt: the put may have landed
                    writer.head = None
                    writer.doubtful.add(record.id)
            return stored

    def _append_locked(self, writer: _Writer, stream: Stream, record: AuditRecord) -> StoredEvent:
        if record.id in writer.doubtful:
            landed = self._find(stream, record.id)
            writer.doubtful.discard(record.id)
            if landed is not None:
                return landed
        for _ in range(MAX_RACES):
            known = None if stream.is_ledger else writer.head
            head = known or self._read_head(stream)
            stored = self._put(stream, head, record)
            if stored is not None:
                writer.head = _Head(head.sequence + 1, stored.sha256)
                return stored
            writer.head = None
        raise AuditWriteFailed(
            f"{record.action} on {record.resource} could not be recorded: other writers took "
            f"{MAX_RACES} places of stream {stream} in a row",
            remedy="write fewer things to one stream at the same time",
        )

    def _put(self, stream: Stream, head: _Head, record: AuditRecord) -> StoredEvent | None:
        """The event in the place after the head; None when another writer took it."""
        key = event_key(self.prefix, stream, head.sequence + 1)
        data = encode(AuditEvent(record, Chain(stream, head.sequence + 1, head.sha256)))
        event = StoredEvent(key, data, hashlib.sha256(data).hexdigest())
        try:
            self._store.put_new(
                self.bucket,
                key,
                data,
                metadata={
                    "action": _metadata(record.action),
                    "outcome": record.outcome.value,
                    "environment": _metadata(record.environment),
                    _DIGEST: event.sha256,
                },
                retain_until=self._clock() + self._retention,
            )
        except ObjectExists:
            # Ours, when the answer to an attempt was lost and the request was sent again.
            return event if self._store.get_oldest(self.bucket, key) == data else None
        return event

    def _read_head(self, stream: Stream) -> _Head:
        slots = _kept(self._list(stream).streams.get(stream, ()))
        if not slots:
            return _Head(FIRST_SEQUENCE - 1, None)
        newest = self._fetch(slots[-1])
        return _Head(slots[-1].sequence, hashlib.sha256(newest.data).hexdigest())

    def _flush(self, stream: Stream | None) -> tuple[list[StoredEvent], list[AuditTampered]]:
        written: list[StoredEvent] = []
        if not self._spool.holds(stream):
            return written, []
        with self._spool.locked():
            waiting, broken = self._spool.pending(stream)
            for item in waiting:
                if not self._holds(item.stream, item.record.id):
                    written.append(self._append(item.stream, item.record))
                self._spool.remove(item)
        return written, broken

    def _holds(self, stream: Stream, event_id: str) -> bool:
        try:
            return self._find(stream, event_id) is not None
        except StoreError as error:
            raise AuditWriteFailed(
                f"records that wait on disk could not be written to {self.location}: "
                f"{error.message}",
                remedy=error.remedy,
            ) from error

    def _find(self, stream: Stream, event_id: str) -> StoredEvent | None:
        for stored in self.read(stream):
            try:
                if decode(stored.data, key=stored.key).record.id == event_id:
                    return stored
            except AuditTampered:
                continue  # for `verify` to report; it is not the event that is looked for
        return None

    def _events(self, listing: Listing) -> Iterator[tuple[Stream, list[StoredEvent]]]:
        """The events of each stream, read by many threads across streams."""
        for batch in batches(listing):
            slots = [slot for stream in batch for slot in _kept(listing.streams[stream])]
            found = {event.key: event for event in self._readers.map(self._fetch, slots)}
            for stream in batch:
                yield stream, [found[slot.key] for slot in _kept(listing.streams[stream])]

    def _fetch(self, slot: Slot) -> StoredEvent:
        version = slot.oldest.version_id if slot.oldest is not None else None
        body = self._store.read(self.bucket, slot.key, version_id=version)
        return StoredEvent(slot.key, body.data, body.info.metadata.get(_DIGEST, ""))

    def _list(self, stream: Stream | None) -> Listing:
        prefix = self.prefix if stream is None else stream_prefix(self.prefix, stream)
        return sort_listing(self.prefix, self._store.list_versions(self.bucket, prefix))

    def _require_something(self, listing: Listing, stream: Stream | None) -> None:
        if not listing.streams and not listing.foreign:
            what = "no audit events" if stream is None else f"no events of stream {stream}"
            raise AuditError(
                f"there are {what} in {self.location}",
                remedy="check AUDIT_BUCKET, AUDIT_LOG_PREFIX and the name of the stream",
            )

    def _writer(self, stream: Stream) -> _Writer:
        with self._writers_lock:
            return self._writers.setdefault(stream, _Writer())


def _kept(slots: Iterable[Slot]) -> list[Slot]:
    return [slot for slot in slots if slot.oldest is not None]


def _findings(slots: Iterable[Slot]) -> list[Finding]:
    return [finding for slot in slots for finding in slot.findings()]


def _metadata(text: str) -> str:
    """A text as the value of S3 metadata, which is ASCII."""
    return quote(text, safe=":/ ")[:MAX_METADATA_CHARACTERS]
