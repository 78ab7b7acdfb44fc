"""What an audit event is: its values, and the key of the object that stores it.

Here live the frozen values and the key. How an event becomes bytes: ``audit_json.py``.
Whether stored events form an intact chain: ``audit.py``, which also re-exports everything
here. Writing and reading: ``adapters/audit_log.py``. Why it is as it is: ADR-0003.

Rules:

- Roles, actions, resources and environments are text here. A record outlives the vocabulary
  of the day it was written, and an attempt with an unknown role must be recorded as well.
- Evidence is JSON: text, finite numbers, booleans, null, lists and mappings with text keys.
- A stream of a run or process is written by one process at a time. A *ledger* is written by many
  and outlives them all: it is kept under a day of its own, so that its name alone finds it.
- A stream is named by its name and the day it was opened; both are in the key and in the
  content, so that an object moved or copied elsewhere contradicts itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from interlock.errors import AuditError, AuditWriteFailed
from interlock.governance.principal import Principal

SCHEMA: Final = "interlock.audit/v1"
MAX_EVENT_BYTES: Final = 65_536  # bytes; ADR-0003
MAX_REASON_CHARACTERS: Final = 2_000  # what `as_reason` keeps of a longer text
MAX_EVIDENCE_DEPTH: Final = 8  # nested lists and mappings; a person reads this
FIRST_SEQUENCE: Final = 1
LAST_SEQUENCE: Final = 999_999  # six digits in the key

LEDGER_DAY: Final = date(1970, 1, 1)  # a day that no run has

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_KEY = re.compile(r"(\d{4})/(\d{2})/(\d{2})/([^/]+)/(\d{6})\.json")
_NO_EVIDENCE: Final[Mapping[str, object]] = MappingProxyType({})


class Outcome(StrEnum):
    """How far an action has come."""

    STARTED = "started"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DENIED = "denied"


@dataclass(frozen=True)
class RecordedPrincipal:
    """Who acted, as written down.

    Attributes:
        name: Who.
        role: Their role at that time; text, so that an unknown one can be recorded.
        verified_by: How their identity was established, e.g. ``env``.
    """

    name: str
    role: str
    verified_by: str

    @classmethod
    def of(cls, principal: Principal) -> RecordedPrincipal:
        """The record of a principal.

        Args:
            principal: Who acts.
        """
        return cls(name=principal.name, role=str(principal.role), verified_by=principal.verified_by)


@dataclass(frozen=True)
class RunRef:
    """Where an action ran; each part is None where there is none."""

    dagster_run: str | None = None
    step: str | None = None
    mlflow_run: str | None = None


@dataclass(frozen=True)
class AuditRecord:
    """What happened, before it has a place in a chain.

    Attributes:
        id: Unique; letters, digits, ``.``, ``_`` and ``-``.
        time: When; aware, kept in UTC.
        environment: Where, e.g. ``dev``.
        principal: Who.
        action: What, e.g. ``model:train``.
        resource: On what, ``<kind>/<name>``, e.g. ``product/credit_risk``.
        outcome: How far it has come.
        reason: Why it failed or was denied, or what was decided; may be empty.
        run: The run it belongs to; None outside runs.
        evidence: Hashes, metrics, versions. A read-only copy is kept.

    Raises:
        AuditWriteFailed: A value that cannot be recorded.
    """

    id: str
    time: datetime
    environment: str
    principal: RecordedPrincipal
    action: str
    resource: str
    outcome: Outcome
    reason: str = ""
    run: RunRef | None = None
    evidence: Mapping[str, object] = field(default_factory=lambda: _NO_EVIDENCE)

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.id) is None:
            raise _unrecordable(
                f"event id {self.id!r} is not 1-128 of letters, digits, '.', '_' and '-'"
            )
        if self.time.tzinfo is None:
            raise _unrecordable(f"time {self.time.isoformat()} has no time zone")
        object.__setattr__(self, "time", self.time.astimezone(UTC))
        object.__setattr__(self, "environment", str(self.environment))
        object.__setattr__(self, "action", str(self.action))
        object.__setattr__(self, "evidence", _frozen(self.evidence, "evidence", 0))


@dataclass(frozen=True)
class Stream:
    """A chain of events: those of one run, or of one process and day.

    Attributes:
        name: Letters, digits, ``.``, ``_`` and ``-``; at most 128.
        opened: UTC day under which the stream is kept. Every writer of a stream must use the
            same day, for a run that of its creation.

    Raises:
        AuditError: The name cannot be part of a key.
    """

    name: str
    opened: date

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise AuditError(
                f"stream name {self.name!r} is not 1-128 of letters, digits, '.', '_' and '-'",
                remedy="name the stream <product>-<run id>",
            )

    def __str__(self) -> str:
        return f"{self.opened.isoformat()}/{self.name}"

    @property
    def is_ledger(self) -> bool:
        """Whether many processes write it."""
        return self.opened == LEDGER_DAY


def champion_ledger(model: str) -> Stream:
    """Where every move of a model's champion is recorded.

    Raises:
        AuditError: The name cannot be part of a key.
    """
    return Stream(f"champion.{model}", LEDGER_DAY)


def decision_ledger(model: str, version: str) -> Stream:
    """Where every decision about a version is recorded.

    Raises:
        AuditError: The name or version cannot be part of a key.
    """
    return Stream(f"decisions.{model}.{version}", LEDGER_DAY)


@dataclass(frozen=True)
class Chain:
    """An event's place.

    Attributes:
        stream: The chain it belongs to.
        sequence: Counted from 1 without gaps.
        previous_sha256: Hex digest of the stored bytes of the event before; None for the first.
    """

    stream: Stream
    sequence: int
    previous_sha256: str | None


@dataclass(frozen=True)
class AuditEvent:
    """A record with its place in a chain."""

    record: AuditRecord
    chain: Chain


@dataclass(frozen=True)
class StoredEvent:
    """An event as it is stored.

    Attributes:
        key: Key of the object.
        data: Its bytes.
        sha256: Hex digest that was noted beside the bytes when they were written (object
            metadata, or the list of an export). ``verify_stream`` compares it with the bytes.
    """

    key: str
    data: bytes
    sha256: str


def stream_prefix(prefix: str, stream: Stream) -> str:
    """The part of the key that all events of a stream share, with its final slash.

    Args:
        prefix: Prefix of the trail, with or without a final slash.
        stream: The stream.
    """
    path = f"{stream.opened:%Y/%m/%d}/{stream.name}/"
    return f"{prefix.rstrip('/')}/{path}" if prefix else path


def event_key(prefix: str, stream: Stream, sequence: int) -> str:
    """The key of an event: a function of stream and sequence alone.

    Args:
        prefix: Prefix of the trail, with or without a final slash.
        stream: The stream.
        sequence: Counted from 1.

    Returns:
        ``<prefix>/<YYYY>/<MM>/<DD>/<stream>/<sequence, 6 digits>.json``.

    Raises:
        AuditWriteFailed: The stream is full.
    """
    if not FIRST_SEQUENCE <= sequence <= LAST_SEQUENCE:
        raise AuditWriteFailed(
            f"stream {stream.name} has no place for event {sequence}, "
            f"expected {FIRST_SEQUENCE} to {LAST_SEQUENCE}",
            remedy="open another stream",
        )
    return f"{stream_prefix(prefix, stream)}{sequence:06d}.json"


def parse_key(prefix: str, key: str) -> tuple[Stream, int] | None:
    """Stream and sequence of a key.

    Args:
        prefix: Prefix of the trail.
        key: Key of an object.

    Returns:
        None when no event has that key.
    """
    start = f"{prefix.rstrip('/')}/" if prefix else ""
    match = _KEY.fullmatch(key.removeprefix(start)) if key.startswith(start) else None
    if match is None or _NAME.fullmatch(match[4]) is None or int(match[5]) < FIRST_SEQUENCE:
        return None
    try:
        opened = date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None
    return Stream(match[4], opened), int(match[5])


def as_reason(text: str) -> str:
    """A text, usually an error's, as the reason of a record.

    Args:
        text: Any text; may hold what UTF-8 cannot, such as the bytes of a file name.

    Returns:
        The text; what UTF-8 cannot hold is replaced, and a long text is cut with a mark that
        says how much is missing.
    """
    clean = text.encode("utf-8", "replace").decode("utf-8")
    rest = len(clean) - MAX_REASON_CHARACTERS
    return f"{clean[:MAX_REASON_CHARACTERS]}… ({rest} characters more)" if rest > 0 else clean


def _frozen(value: object, path: str, depth: int) -> object:
    """A read-only copy of a JSON value."""
    if depth > MAX_EVIDENCE_DEPTH:
        raise _unrecordable(f"{path} is nested deeper than {MAX_EVIDENCE_DEPTH}")
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                raise _unrecordable(f"{path} has the key {name!r}, which is no text")
        return MappingProxyType(
            {str(name): _frozen(v, f"{path}.{name}", depth + 1) for name, v in value.items()}
        )
    if isinstance(value, list | tuple):
        return tuple(_frozen(v, f"{path}[{i}]", depth + 1) for i, v in enumerate(value))
    if isinstance(value, float) and not math.isfinite(value):
        raise _unrecordable(f"{path} is {value}, which JSON cannot hold")
    if isinstance(value, str):
        return str(value)  # also of a StrEnum
    if value is None or isinstance(value, bool | int | float):
        return value
    raise _unrecordable(f"{path} is of type {type(value).__name__}, which JSON cannot hold")


def _unrecordable(found: str) -> AuditWriteFailed:
    return AuditWriteFailed(
        f"the record cannot be written: {found}", remedy="correct the caller that built it"
    )
