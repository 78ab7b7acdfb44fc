"""Audit events as bytes: written for a person to read, read back strictly.

Here lives the form ``interlock.audit/v1``. The values: ``audit_event.py``; the chain:
``audit.py``. Nothing here decides whether an event is genuine: hashes are taken over stored
bytes, and an event is never written again in order to be verified.

Strict means: UTF-8, at most ``MAX_EVENT_BYTES``, exactly the fields of the form with exactly
their types, no key twice, only finite numbers, time in UTC to the microsecond.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from interlock.errors import AuditError, AuditTampered, AuditWriteFailed
from interlock.governance.audit_event import (
    FIRST_SEQUENCE,
    LAST_SEQUENCE,
    MAX_EVENT_BYTES,
    SCHEMA,
    AuditEvent,
    AuditRecord,
    Chain,
    Outcome,
    RecordedPrincipal,
    RunRef,
    Stream,
)

PENDING_SCHEMA: Final = f"{SCHEMA}-pending"

_RECORD_FIELDS: Final = (
    "id",
    "time",
    "environment",
    "principal",
    "action",
    "resource",
    "outcome",
    "reason",
    "run",
    "evidence",
)
_PRINCIPAL_FIELDS: Final = ("name", "role", "verified_by")
_RUN_FIELDS: Final = ("dagster_run", "step", "mlflow_run")
_CHAIN_FIELDS: Final = ("stream", "opened", "sequence", "previous_sha256")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def record_document(record: AuditRecord) -> dict[str, object]:
    """A record as plain JSON values, fields in the order in which a person asks for them.

    Args:
        record: The record.
    """
    who, run = record.principal, record.run
    return {
        "id": record.id,
        "time": record.time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "environment": record.environment,
        "principal": {"name": who.name, "role": who.role, "verified_by": who.verified_by},
        "action": record.action,
        "resource": record.resource,
        "outcome": record.outcome.value,
        "reason": record.reason,
        "run": None
        if run is None
        else {"dagster_run": run.dagster_run, "step": run.step, "mlflow_run": run.mlflow_run},
        "evidence": _thawed(record.evidence),
    }


def event_document(event: AuditEvent) -> dict[str, object]:
    """An event as plain JSON values: what ``encode`` writes, and what ``--json`` prints.

    Args:
        event: The event.
    """
    chain = event.chain
    return {
        "schema": SCHEMA,
        **record_document(event.record),
        "chain": {
            "stream": chain.stream.name,
            "opened": chain.stream.opened.isoformat(),
            "sequence": chain.sequence,
            "previous_sha256": chain.previous_sha256,
        },
    }


def encode(event: AuditEvent) -> bytes:
    """The bytes of an event, as they are stored and hashed.

    Args:
        event: The event.

    Returns:
        Indented JSON in UTF-8 with a final newline.

    Raises:
        AuditWriteFailed: Larger than ``MAX_EVENT_BYTES``, or text that UTF-8 cannot hold.
    """
    text = json.dumps(event_document(event), indent=2, ensure_ascii=False, allow_nan=False)
    try:
        data = f"{text}\n".encode()
    except UnicodeEncodeError as error:
        raise AuditWriteFailed(
            f"event {event.record.id} holds text that UTF-8 cannot ({error.reason})",
            remedy="pass texts of foreign origin through as_reason",
        ) from error
    if len(data) > MAX_EVENT_BYTES:
        raise AuditWriteFailed(
            f"event {event.record.id} has {len(data)} bytes, expected at most {MAX_EVENT_BYTES}",
            remedy="record a hash and the place of large evidence, not the evidence itself",
        )
    return data


def decode(data: bytes, *, key: str = "") -> AuditEvent:
    """Reads an event strictly.

    Args:
        data: Stored bytes.
        key: Key of the object, named in errors.

    Returns:
        The event.

    Raises:
        AuditTampered: The bytes are not exactly an event of this form.
    """
    reader = _Reader(key)
    document = reader.parse(data)
    reader.form(document, SCHEMA, (*_RECORD_FIELDS, "chain"))
    return AuditEvent(reader.record(document), reader.chain(document["chain"]))


def decode_record(data: bytes, *, key: str = "") -> tuple[Stream, AuditRecord]:
    """Reads a record that waits for its place in a chain, as ``encode_record`` wrote it.

    Args:
        data: The bytes.
        key: Where they come from, named in errors.

    Raises:
        AuditTampered: The bytes are not exactly such a record.
    """
    reader = _Reader(key)
    document = reader.parse(data)
    reader.form(document, PENDING_SCHEMA, (*_RECORD_FIELDS, "stream", "opened"))
    return reader.stream(document, ""), reader.record(document)


def encode_record(stream: Stream, record: AuditRecord) -> bytes:
    """The bytes of a record that waits for its place in a chain.

    Args:
        stream: The stream that it is to join.
        record: The record.

    Raises:
        AuditWriteFailed: No event could be made of it, see ``encode``.
    """
    encode(AuditEvent(record, Chain(stream, LAST_SEQUENCE, "0" * 64)))
    document = {
        "schema": PENDING_SCHEMA,
        **record_document(record),
        "stream": stream.name,
        "opened": stream.opened.isoformat(),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode()


def _thawed(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _thawed(v) for name, v in value.items()}
    if isinstance(value, tuple):
        return [_thawed(v) for v in value]
    return value


class _Reader:
    """Takes JSON apart and says what is wrong with it, and where."""

    def __init__(self, key: str) -> None:
        self._where = f"{key}: " if key else ""

    def error(self, found: str) -> AuditTampered:
        return AuditTampered(
            f"{self._where}{found}",
            remedy="compare the object's versions in the store; its bytes are not what was written",
        )

    def parse(self, data: bytes) -> dict[str, Any]:
        if len(data) > MAX_EVENT_BYTES:
            raise self.error(f"{len(data)} bytes, expected at most {MAX_EVENT_BYTES}")
        try:
            document = json.loads(
                data.decode("utf-8"),
                object_pairs_hook=self._unique,
                parse_constant=self._no_constant,
                parse_float=self._finite,
            )
        except (ValueError, RecursionError) as error:
            raise self.error(f"not JSON in UTF-8: {error}") from error
        if not isinstance(document, dict):
            raise self.error(f"a JSON {type(document).__name__}, expected an object")
        return document

    def form(self, document: Mapping[str, Any], schema: str, fields: Sequence[str]) -> None:
        if (found := document.get("schema")) != schema:
            raise self.error(f"schema is {found!r}, expected {schema!r}")
        self.fields(document, ("schema", *fields), "")

    def record(self, document: Mapping[str, Any]) -> AuditRecord:
        principal = document["principal"]
        self.fields(principal, _PRINCIPAL_FIELDS, "principal")
        evidence = document["evidence"]
        if not isinstance(evidence, dict):
            raise self.error("evidence is no object")
        outcome = self.text(document, "outcome", "")
        if outcome not in set(Outcome):
            raise self.error(f"outcome is {outcome!r}, expected one of {', '.join(Outcome)}")
        try:
            return AuditRecord(
                id=self.text(document, "id", ""),
                time=self._time(document),
                environment=self.text(document, "environment", ""),
                principal=RecordedPrincipal(
                    *(self.text(principal, name, "principal.") for name in _PRINCIPAL_FIELDS)
                ),
                action=self.text(document, "action", ""),
                resource=self.text(document, "resource", ""),
                outcome=Outcome(outcome),
                reason=self.text(document, "reason", ""),
                run=self._run(document["run"]),
                evidence=evidence,
            )
        except AuditWriteFailed as error:
            raise self.error(error.message) from error

    def chain(self, chain: Any) -> Chain:
        self.fields(chain, _CHAIN_FIELDS, "chain")
        sequence, previous = chain["sequence"], chain["previous_sha256"]
        if type(sequence) is not int or not FIRST_SEQUENCE <= sequence <= LAST_SEQUENCE:
            raise self.error(f"chain.sequence is {sequence!r}, expected a positive whole number")
        if previous is not None and not (isinstance(previous, str) and _SHA256.fullmatch(previous)):
            raise self.error(f"chain.previous_sha256 is {previous!r}, expected 64 hex digits")
        return Chain(self.stream(chain, "chain."), sequence, previous)

    def stream(self, document: Mapping[str, Any], path: str) -> Stream:
        opened = self.text(document, "opened", path)
        try:
            if _DATE.fullmatch(opened) is None:
                raise self.error(f"{path}opened is {opened!r}, expected YYYY-MM-DD")
            return Stream(self.text(document, "stream", path), date.fromisoformat(opened))
        except ValueError as error:
            raise self.error(f"{path}opened is {opened!r}, which is no day") from error
        except AuditTampered:
            raise
        except AuditError as error:
            raise self.error(error.message) from error

    def fields(self, document: Any, expected: Sequence[str], path: str) -> None:
        name = path or "the event"
        if not isinstance(document, dict):
            raise self.error(f"{name} is no object")
        if missing := [field for field in expected if field not in document]:
            raise self.error(f"{name} lacks {', '.join(missing)}")
        if unknown := sorted(set(document) - set(expected)):
            raise self.error(f"{name} has unknown fields: {', '.join(unknown)}")

    def text(self, document: Mapping[str, Any], name: str, path: str) -> str:
        value = document[name]
        if not isinstance(value, str):
            raise self.error(f"{path}{name} is {value!r}, expected text")
        return value

    def _time(self, document: Mapping[str, Any]) -> datetime:
        text = self.text(document, "time", "")
        if _TIME.fullmatch(text) is None:
            raise self.error(f"time is {text!r}, expected UTC as 2026-01-31T09:00:00.000000Z")
        try:
            return datetime.fromisoformat(text)
        except ValueError as error:
            raise self.error(f"time is {text!r}, which is no time") from error

    def _run(self, run: Any) -> RunRef | None:
        if run is None:
            return None
        self.fields(run, _RUN_FIELDS, "run")
        return RunRef(
            *(None if run[name] is None else self.text(run, name, "run.") for name in _RUN_FIELDS)
        )

    def _unique(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        document = dict(pairs)
        if len(document) != len(pairs):
            names = [name for name, _ in pairs]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise self.error(f"the key {twice[0]!r} occurs twice")
        return document

    def _no_constant(self, text: str) -> None:
        raise self.error(f"the number {text} is not finite")

    def _finite(self, text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise self.error(f"the number {text} is not finite")
        return value
