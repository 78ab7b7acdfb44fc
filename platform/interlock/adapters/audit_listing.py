"""What a listing of versions says about an audit trail, before any event is read.

Here: which objects are events of which stream, and what only the store can show: something
stored over an event, a delete marker, an object that is no event. Reading and writing:
``audit_log.py``. Whether the bytes form a chain: ``governance/audit.py``.

A key's oldest version is the event: under Object Lock it is the one that was written first
and cannot be removed. Everything stored later under the same key is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from interlock.adapters.object_store import ObjectVersion
from interlock.adapters.store_probe import probe_prefix
from interlock.governance.audit import Finding, Stream, parse_key

BATCH_EVENTS: Final = 2_000  # read at a time: bounds memory to about 2 MB of events


@dataclass(frozen=True)
class Slot:
    """One key of a stream.

    Attributes:
        key: The key.
        sequence: Its place in the stream.
        oldest: The version that is the event; None when none is left.
        versions: How many versions have bytes.
        markers: How many delete markers there are.
    """

    key: str
    sequence: int
    oldest: ObjectVersion | None
    versions: int
    markers: int

    def findings(self) -> Iterator[Finding]:
        """What contradicts that an event was written here once and left alone."""
        if self.oldest is None:
            yield self._finding("every version of the event is gone, a delete marker remains")
        elif self.markers:
            yield self._finding(f"{self.markers} delete marker(s) on the event, expected none")
        if self.versions > 1:
            extra = self.versions - 1
            yield self._finding(f"{extra} version(s) stored over the event, expected none")

    def _finding(self, text: str) -> Finding:
        return Finding(self.sequence, self.key, text)


@dataclass(frozen=True)
class Listing:
    """All objects under a prefix, told apart.

    Attributes:
        streams: Stream to its slots by sequence; streams by date and name.
        foreign: Objects that are no events.
    """

    streams: Mapping[Stream, tuple[Slot, ...]]
    foreign: tuple[Finding, ...]


def sort_listing(prefix: str, versions: Iterable[ObjectVersion]) -> Listing:
    """Tells the objects under a trail's prefix apart.

    Args:
        prefix: Prefix of the trail.
        versions: All versions and delete markers; those of one key newest first.
    """
    by_key: dict[str, list[ObjectVersion]] = {}
    for version in versions:
        by_key.setdefault(version.key, []).append(version)
    streams: dict[Stream, list[Slot]] = {}
    foreign: list[Finding] = []
    for key in sorted(by_key):
        place = parse_key(prefix, key)
        if place is not None:
            streams.setdefault(place[0], []).append(_slot(key, place[1], by_key[key]))
        elif not key.startswith(probe_prefix(prefix)):
            foreign.append(Finding(None, key, "the object is no audit event"))
    ordered = sorted(streams, key=lambda stream: (stream.opened, stream.name))
    return Listing({stream: tuple(streams[stream]) for stream in ordered}, tuple(foreign))


def batches(listing: Listing) -> Iterator[list[Stream]]:
    """Whole streams, together about as many events as are read at a time."""
    batch: list[Stream] = []
    events = 0
    for stream, slots in listing.streams.items():
        batch.append(stream)
        events += len(slots)
        if events >= BATCH_EVENTS:
            yield batch
            batch, events = [], 0
    if batch:
        yield batch


def _slot(key: str, sequence: int, versions: Iterable[ObjectVersion]) -> Slot:
    versions = list(versions)
    kept = [version for version in versions if not version.is_delete_marker]
    return Slot(
        key=key,
        sequence=sequence,
        oldest=kept[-1] if kept else None,
        versions=len(kept),
        markers=len(versions) - len(kept),
    )
