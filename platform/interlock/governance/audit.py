"""The audit trail: what happened, and whether the record of it is intact.

Here lives verification: stored events in, findings out. The values and keys are in
``audit_event.py``, the bytes in ``audit_json.py``; both are re-exported, this module is the
one to import. Storing and listing, and with it everything that takes a store to see (other
versions, delete markers, foreign keys), is ``adapters/audit_log.py``. Why: ADR-0003.

A stream is intact when, event by event in the order of its keys,

- the bytes are an event of the form ``interlock.audit/v1`` and have the hash noted with them;
- the sequence counts from 1 without gap or repetition, and the key says the same;
- the event names its own stream;
- ``previous_sha256`` is the SHA-256 of the bytes stored before, and null for the first;
- no event has the id of another one;
- no action ends that did not start (``denied`` may stand alone: it ends before it starts).

An action that started and did not end is *unfinished*: a fact about the run, such as a crash,
and no sign of tampering. Time that runs backwards is a note: clocks are not evidence.

What a chain cannot show is the removal of its newest events, or their replacement together
with the noted hash. That is what Object Lock and listing the versions are for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from interlock.errors import AuditTampered
from interlock.governance.audit_event import (
    FIRST_SEQUENCE,
    LAST_SEQUENCE,
    LEDGER_DAY,
    MAX_EVENT_BYTES,
    SCHEMA,
    AuditEvent,
    AuditRecord,
    Chain,
    Outcome,
    RecordedPrincipal,
    RunRef,
    StoredEvent,
    Stream,
    as_reason,
    champion_ledger,
    decision_ledger,
    event_key,
    parse_key,
    stream_prefix,
)
from interlock.governance.audit_json import (
    decode,
    decode_record,
    encode,
    encode_record,
    event_document,
)

__all__ = [
    "FIRST_SEQUENCE",
    "LAST_SEQUENCE",
    "LEDGER_DAY",
    "MAX_EVENT_BYTES",
    "SCHEMA",
    "AuditEvent",
    "AuditRecord",
    "Chain",
    "Finding",
    "Outcome",
    "RecordedPrincipal",
    "RunRef",
    "StoredEvent",
    "Stream",
    "StreamReport",
    "TrailReport",
    "Unfinished",
    "as_reason",
    "champion_ledger",
    "decision_ledger",
    "decode",
    "decode_record",
    "encode",
    "encode_record",
    "event_document",
    "event_key",
    "parse_key",
    "stream_prefix",
    "verify_stream",
]

CLOCK_TOLERANCE: Final = timedelta(seconds=5)  # between machines that keep time by NTP


@dataclass(frozen=True)
class Finding:
    """Something that contradicts an intact trail.

    Attributes:
        sequence: Place in the stream at which it shows, counted from 1; None where it belongs
            to no place.
        key: Key of the object it shows in; empty when there is none.
        text: What was found and what was expected, one sentence without full stop.
    """

    sequence: int | None
    key: str
    text: str


@dataclass(frozen=True)
class Unfinished:
    """An action that started and did not end."""

    stream: Stream
    sequence: int
    action: str
    resource: str
    since: datetime


@dataclass(frozen=True)
class StreamReport:
    """What verification found in one stream.

    Attributes:
        stream: The stream.
        events: How many events are stored, readable or not.
        findings: Everything that contradicts an intact chain; empty when it is intact.
        unfinished: Actions without an end.
        notes: Oddities that prove nothing.
        head_sha256: Digest of the newest event's bytes: what a checkpoint would pin.
    """

    stream: Stream
    events: int
    findings: tuple[Finding, ...]
    unfinished: tuple[Unfinished, ...]
    notes: tuple[Finding, ...]
    head_sha256: str | None

    @property
    def intact(self) -> bool:
        """Whether nothing contradicts an intact chain; unfinished actions do not."""
        return not self.findings


@dataclass(frozen=True)
class TrailReport:
    """What verification found in a trail, or in one stream of it.

    Attributes:
        streams: A report per stream, by date and name.
        findings: What belongs to no stream, such as foreign objects under the prefix.
    """

    streams: tuple[StreamReport, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def events(self) -> int:
        """How many events are stored."""
        return sum(report.events for report in self.streams)

    @property
    def intact(self) -> bool:
        """Whether nothing contradicts an intact trail; false for a trail without streams."""
        return bool(self.streams) and not self.all_findings

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Those of the trail, then those of every stream."""
        return self.findings + tuple(f for report in self.streams for f in report.findings)

    @property
    def unfinished(self) -> tuple[Unfinished, ...]:
        """Actions without an end, of all streams."""
        return tuple(u for report in self.streams for u in report.unfinished)


def verify_stream(
    stream: Stream, stored: Sequence[StoredEvent], *, also: Iterable[Finding] = ()
) -> StreamReport:
    """Whether stored events form the intact chain of a stream.

    Args:
        stream: The stream that they are said to be.
        stored: All its events in the order of their keys. For each key the oldest version:
            under Object Lock that is the one that was written.
        also: Findings about the same stream that only the store could show.

    Returns:
        The report; it lists everything that is wrong, not only the first.
    """
    check = _Check(stream)
    for item in stored:
        check.take(item)
    if not stored:
        check.find("", "the stream has no events, expected at least the first")
    findings = [*check.findings, *also]
    findings.sort(key=lambda finding: (finding.sequence or 0, finding.key))
    return StreamReport(
        stream=stream,
        events=len(stored),
        findings=tuple(findings),
        unfinished=tuple(sorted(check.unfinished(), key=lambda u: u.sequence)),
        notes=tuple(check.notes),
        head_sha256=check.previous_sha256,
    )


@dataclass
class _Check:
    """The state of verification between two events."""

    stream: Stream
    expected: int = FIRST_SEQUENCE
    previous_sha256: str | None = None
    latest: datetime | None = None
    ids: dict[str, int] = field(default_factory=dict)
    open: dict[tuple[str, str], list[AuditEvent]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)

    def find(self, key: str, text: str) -> None:
        self.findings.append(Finding(self.expected, key, text))

    def take(self, item: StoredEvent) -> None:
        digest = hashlib.sha256(item.data).hexdigest()
        if digest != item.sha256:
            self.find(
                item.key,
                f"the bytes hash to {digest}, but {item.sha256 or 'nothing'} was noted with them",
            )
        try:
            event = decode(item.data)
        except AuditTampered as error:
            self.find(item.key, f"the event cannot be read: {error.message}")
        else:
            self._place(item.key, event)
            self._content(item.key, event)
            self.expected = event.chain.sequence
        self.expected += 1
        self.previous_sha256 = digest

    def _place(self, key: str, event: AuditEvent) -> None:
        chain = event.chain
        if chain.stream != self.stream:
            self.find(key, f"the event says that it belongs to stream {chain.stream}")
        place = event_key("", self.stream, chain.sequence)
        if key != place and not key.endswith(f"/{place}"):
            self.find(key, f"the event says that it is number {chain.sequence}, its key does not")
        if chain.sequence > self.expected:
            missing = chain.sequence - self.expected
            self.find(key, f"{missing} missing before event {chain.sequence}")
        elif chain.sequence < self.expected:
            self.find(key, f"event {chain.sequence} comes again or out of order")
        elif chain.previous_sha256 != self.previous_sha256:
            self.find(
                key,
                f"the event follows one whose bytes hash to {chain.previous_sha256}, "
                f"but those stored before it hash to {self.previous_sha256}",
            )

    def _content(self, key: str, event: AuditEvent) -> None:
        record, sequence = event.record, event.chain.sequence
        if record.id in self.ids:
            self.find(key, f"the event has the id of event {self.ids[record.id]}")
        self.ids.setdefault(record.id, sequence)
        if self.latest is not None and record.time < self.latest - CLOCK_TOLERANCE:
            back = (self.latest - record.time).total_seconds()
            self.notes.append(Finding(sequence, key, f"time runs backwards by {back:.0f} s"))
        self.latest = record.time if self.latest is None else max(self.latest, record.time)
        self._outcome(key, event)

    def _outcome(self, key: str, event: AuditEvent) -> None:
        record = event.record
        started = self.open.setdefault((record.action, record.resource), [])
        if record.outcome is Outcome.STARTED:
            started.append(event)
        elif started:
            started.pop()
        elif record.outcome is not Outcome.DENIED:
            self.find(key, f"{record.action} on {record.resource} ended but never started")

    def unfinished(self) -> Iterable[Unfinished]:
        for (action, resource), events in self.open.items():
            for event in events:
                yield Unfinished(
                    self.stream, event.chain.sequence, action, resource, event.record.time
                )
