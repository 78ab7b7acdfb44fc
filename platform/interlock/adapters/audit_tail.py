"""The audit trail, read as it grows: each event once, in the order of its stream.

For readers that follow the trail, such as monitoring; they get decoded events and need nothing
of ``governance`` besides, which is why its values are re-exported here. Writing, whole reads
and verification are in ``audit_log.py``: what is read here was not verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from typing import Final

from interlock.adapters.audit_listing import Slot, sort_listing
from interlock.adapters.object_store import ObjectStore, ObjectVersion
from interlock.errors import AuditTampered
from interlock.governance.audit import (
    LEDGER_DAY,
    AuditEvent,
    AuditRecord,
    Outcome,
    Stream,
    decode,
)

__all__ = [
    "LEDGER_DAY",
    "AuditEvent",
    "AuditRecord",
    "AuditTail",
    "Outcome",
    "StreamEnd",
    "TailEvent",
]

READERS: Final = 16  # threads; FACTS: boto3 reads no faster with more


@dataclass(frozen=True)
class TailEvent:
    """An event and the key that it is stored under."""

    key: str
    event: AuditEvent


@dataclass(frozen=True)
class StreamEnd:
    """How far a stream goes.

    Attributes:
        last: Highest sequence that was seen.
        kept: How many sequences up to it have an event.
    """

    last: int
    kept: int

    @property
    def missing(self) -> int:
        """Places without an event."""
        return self.last - self.kept


class AuditTail:
    """Follows the trail under one prefix of one bucket. For one thread.

    Args:
        store: The store.
        bucket: The audit bucket.
        prefix: Prefix of the trail, with or without a final slash.
    """

    def __init__(self, store: ObjectStore, *, bucket: str, prefix: str) -> None:
        self._store = store
        self._bucket = bucket
        self._prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._ends: dict[Stream, StreamEnd] = {}
        self.unreadable = 0
        """Events whose bytes are none of this schema, counted once each."""

    @property
    def streams(self) -> int:
        """How many streams were seen."""
        return len(self._ends)

    @property
    def newest_day(self) -> date | None:
        """The latest day on which a stream was opened; None before the first stream."""
        return max((stream.opened for stream in self._ends), default=None)

    @property
    def missing(self) -> int:
        """Places of all streams whose event is gone."""
        return sum(end.missing for end in self._ends.values())

    def read(self, days: Iterable[date] | None = None) -> list[TailEvent]:
        """The events that were not read before.

        Args:
            days: Only streams opened on these days; all when not given. Streams of earlier
                days may still grow, so a follower looks at all of them from time to time.

        Returns:
            The events, by stream and sequence.

        Raises:
            StoreError: The trail cannot be read; nothing counts as read then.
        """
        listing = sort_listing(self._prefix, self._versions(days))
        new = [
            slot
            for stream, slots in listing.streams.items()
            for slot in slots
            if slot.oldest is not None and slot.sequence > self._last(stream)
        ]
        with ThreadPoolExecutor(READERS, thread_name_prefix="audit-tail") as pool:
            bodies = list(pool.map(self._fetch, new))
        found = []
        for slot, body in zip(new, bodies, strict=True):
            try:
                found.append(TailEvent(slot.key, decode(body, key=slot.key)))
            except AuditTampered:
                self.unreadable += 1  # for `verify` to explain
        for stream, slots in listing.streams.items():
            kept = sum(slot.oldest is not None for slot in slots)
            self._ends[stream] = StreamEnd(max(self._last(stream), slots[-1].sequence), kept)
        if days is None:
            for stream in self._ends.keys() - listing.streams.keys():
                self._ends[stream] = StreamEnd(self._last(stream), 0)
        return found

    def _last(self, stream: Stream) -> int:
        end = self._ends.get(stream)
        return 0 if end is None else end.last

    def _versions(self, days: Iterable[date] | None) -> Iterator[ObjectVersion]:
        prefixes = (
            [self._prefix] if days is None else [f"{self._prefix}{day:%Y/%m/%d}/" for day in days]
        )
        for prefix in prefixes:
            yield from self._store.list_versions(self._bucket, prefix)

    def _fetch(self, slot: Slot) -> bytes:
        version = slot.oldest.version_id if slot.oldest is not None else None
        return self._store.get(self._bucket, slot.key, version_id=version)
