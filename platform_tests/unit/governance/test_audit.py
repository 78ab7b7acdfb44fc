"""The audit event: what is written, what is refused, and what verification finds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import AuditError, AuditTampered, AuditWriteFailed
from interlock.governance.audit import (
    LAST_SEQUENCE,
    MAX_EVENT_BYTES,
    AuditEvent,
    AuditRecord,
    Chain,
    Finding,
    Outcome,
    RecordedPrincipal,
    RunRef,
    StoredEvent,
    Stream,
    StreamReport,
    TrailReport,
    as_reason,
    decode,
    decode_record,
    encode,
    encode_record,
    event_document,
    event_key,
    parse_key,
    stream_prefix,
    verify_stream,
)
from interlock.governance.principal import Principal, Role

PREFIX = "governance/audit/"
STREAM = Stream("credit_risk-0d1f", date(2026, 3, 2))
WHO = RecordedPrincipal("ada", "ml_engineer", "env")
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ACTIONS = ("data:ingest", "data:validate", "model:train", "model:register")


def record(number: int = 0, **changes: Any) -> AuditRecord:
    values: dict[str, Any] = {
        "id": f"event-{number}",
        "time": START + timedelta(seconds=number),
        "environment": "dev",
        "principal": WHO,
        "action": "model:train",
        "resource": "product/credit_risk",
        "outcome": Outcome.DENIED,
        "reason": "",
        "run": RunRef("0d1f", "trained_model", None),
        "evidence": {"data_hash": "ab" * 32, "metrics": {"roc_auc": 0.79}, "rows": 1000},
    }
    return AuditRecord(**{**values, **changes})


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def chained(records: Sequence[AuditRecord], stream: Stream = STREAM) -> list[StoredEvent]:
    """The records as an intact stream."""
    stored: list[StoredEvent] = []
    for sequence, item in enumerate(records, start=1):
        previous = stored[-1].sha256 if stored else None
        data = encode(AuditEvent(item, Chain(stream, sequence, previous)))
        stored.append(StoredEvent(event_key(PREFIX, stream, sequence), data, sha(data)))
    return stored


def run_records() -> list[AuditRecord]:
    """Four actions that started and succeeded, as a run writes them."""
    outcomes = (Outcome.STARTED, Outcome.SUCCEEDED)
    steps = [(action, outcome) for action in ACTIONS for outcome in outcomes]
    return [record(i, action=a, outcome=o) for i, (a, o) in enumerate(steps)]


def texts(report: StreamReport) -> str:
    return "\n".join(finding.text for finding in report.findings)


# --- what is written


def test_event_reads_in_the_order_in_which_a_person_asks() -> None:
    data = encode(AuditEvent(record(), Chain(STREAM, 1, None)))
    text = data.decode("utf-8")
    assert text.startswith('{\n  "schema": "interlock.audit/v1",\n  "id": "event-0",\n')
    assert list(json.loads(text)) == [
        "schema",
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
        "chain",
    ]
    assert text.endswith("\n}\n")
    assert '"time": "2026-03-02T09:00:00.000000Z"' in text
    assert list(json.loads(text)["chain"]) == ["stream", "opened", "sequence", "previous_sha256"]


def test_text_of_every_language_is_stored_as_it_reads() -> None:
    data = encode(AuditEvent(record(reason="Größe → 12 €"), Chain(STREAM, 1, None)))
    assert "Größe → 12 €".encode() in data


def test_time_of_another_zone_is_kept_in_utc() -> None:
    local = datetime(2026, 3, 2, 10, 0, tzinfo=timezone(timedelta(hours=1)))
    assert record(time=local).time == START
    assert record(time=local).time.tzinfo is UTC


def test_evidence_cannot_be_changed_after_the_record_was_made() -> None:
    metrics = {"roc_auc": 0.79}
    made = record(evidence={"metrics": metrics, "folds": [1, 2]})
    metrics["roc_auc"] = 0.99
    assert event_document(AuditEvent(made, Chain(STREAM, 1, None)))["evidence"] == {
        "metrics": {"roc_auc": 0.79},
        "folds": [1, 2],
    }
    with pytest.raises(TypeError):
        made.evidence["metrics"] = {}  # type: ignore[index]


def test_principal_is_recorded_with_role_and_verification() -> None:
    principal = Principal("ada", Role.ML_ENGINEER, "env")
    assert RecordedPrincipal.of(principal) == WHO


def test_unknown_role_and_environment_can_be_recorded() -> None:
    made = record(
        environment="nowhere", principal=RecordedPrincipal("eve", "wizard", "env"), run=None
    )
    again = decode(encode(AuditEvent(made, Chain(STREAM, 1, None)))).record
    assert (again.environment, again.principal.role, again.run) == ("nowhere", "wizard", None)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"id": ""}, "event id ''"),
        ({"id": "../etc"}, "event id"),
        ({"time": datetime(2026, 3, 2, 9, 0)}, "no time zone"),  # noqa: DTZ001 - the fault
        ({"evidence": {"auc": float("nan")}}, "evidence.auc is nan"),
        ({"evidence": {"auc": [1.0, float("inf")]}}, r"evidence.auc\[1\] is inf"),
        ({"evidence": {1: "x"}}, "key 1"),
        ({"evidence": {"when": START}}, "type datetime"),
        ({"evidence": {"raw": b"x"}}, "type bytes"),
    ],
)
def test_what_json_cannot_hold_is_refused(changes: dict[str, Any], found: str) -> None:
    with pytest.raises(AuditWriteFailed, match=found):
        record(**changes)


def test_evidence_nested_too_deep_is_refused() -> None:
    evidence: object = 1
    for _ in range(20):
        evidence = {"a": evidence}
    with pytest.raises(AuditWriteFailed, match="nested deeper"):
        record(evidence=evidence)


def test_event_larger_than_the_limit_is_refused() -> None:
    large = record(reason="x" * MAX_EVENT_BYTES)
    with pytest.raises(AuditWriteFailed, match="expected at most 65536"):
        encode(AuditEvent(large, Chain(STREAM, 1, None)))


def test_text_that_utf8_cannot_hold_is_refused_unless_made_a_reason() -> None:
    broken = "file \udcff.csv"
    with pytest.raises(AuditWriteFailed, match="UTF-8"):
        encode(AuditEvent(record(reason=broken), Chain(STREAM, 1, None)))
    assert as_reason(broken) == "file ?.csv"


def test_long_reason_is_cut_with_a_mark() -> None:
    assert as_reason("x" * 2_000) == "x" * 2_000
    assert as_reason("x" * 2_007) == "x" * 2_000 + "… (7 characters more)"


# --- keys


def test_key_follows_from_stream_and_sequence_alone() -> None:
    key = "governance/audit/2026/03/02/credit_risk-0d1f/000007.json"
    assert event_key(PREFIX, STREAM, 7) == key
    assert event_key("governance/audit", STREAM, 7) == key
    assert event_key("", STREAM, 7) == key.removeprefix(PREFIX)
    assert stream_prefix(PREFIX, STREAM) == "governance/audit/2026/03/02/credit_risk-0d1f/"
    assert str(STREAM) == "2026-03-02/credit_risk-0d1f"


@pytest.mark.parametrize("sequence", [0, -1, LAST_SEQUENCE + 1])
def test_stream_has_no_place_outside_its_sequence(sequence: int) -> None:
    with pytest.raises(AuditWriteFailed, match="no place"):
        event_key(PREFIX, STREAM, sequence)


@pytest.mark.parametrize("name", ["", "a/b", ".hidden", "a b", "x" * 129, "ü"])
def test_stream_name_that_cannot_be_part_of_a_key_is_refused(name: str) -> None:
    with pytest.raises(AuditError, match="stream name"):
        Stream(name, date(2026, 3, 2))


@given(
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", fullmatch=True),
    opened=st.dates(min_value=date(1970, 1, 1)),
    sequence=st.integers(1, LAST_SEQUENCE),
    prefix=st.sampled_from(["", "a", "a/b/", PREFIX]),
)
def test_key_reads_back(name: str, opened: date, sequence: int, prefix: str) -> None:
    stream = Stream(name, opened)
    assert parse_key(prefix, event_key(prefix, stream, sequence)) == (stream, sequence)


@pytest.mark.parametrize(
    "key",
    [
        "elsewhere/2026/03/02/s/000001.json",
        "governance/audit2/2026/03/02/s/000001.json",
        "governance/audit/2026/03/02/s/1.json",
        "governance/audit/2026/03/02/s/000001.json.bak",
        "governance/audit/2026/03/02/s/x/000001.json",
        "governance/audit/2026/03/02/.s/000001.json",
        "governance/audit/2026/02/30/s/000001.json",
        "governance/audit/2026/03/02/s/000000.json",
        "governance/audit/notes.txt",
    ],
)
def test_foreign_key_is_no_event(key: str) -> None:
    assert parse_key(PREFIX, key) is None


# --- reading strictly

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
RECORDS = st.builds(
    AuditRecord,
    id=st.uuids().map(str),
    time=st.datetimes(
        min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis wants it naive
        max_value=datetime(9998, 1, 1),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    environment=TEXT,
    principal=st.builds(RecordedPrincipal, name=TEXT, role=TEXT, verified_by=TEXT),
    action=TEXT,
    resource=TEXT,
    outcome=st.sampled_from(Outcome),
    reason=TEXT,
    run=st.none()
    | st.builds(
        RunRef,
        dagster_run=st.none() | TEXT,
        step=st.none() | TEXT,
        mlflow_run=st.none() | TEXT,
    ),
    evidence=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), JSON, max_size=3),
)
CHAINS = st.builds(
    Chain,
    stream=st.just(STREAM),
    sequence=st.integers(1, LAST_SEQUENCE),
    previous_sha256=st.none() | st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)


@given(st.builds(AuditEvent, record=RECORDS, chain=CHAINS))
def test_every_event_reads_back(event: AuditEvent) -> None:
    data = encode(event)
    assert decode(data) == event
    assert encode(decode(data)) == data


@given(RECORDS)
def test_every_waiting_record_reads_back(made: AuditRecord) -> None:
    assert decode_record(encode_record(STREAM, made)) == (STREAM, made)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_tampered(data: bytes) -> None:
    with pytest.raises(AuditTampered):
        decode(data)


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(encode(AuditEvent(record(), Chain(STREAM, 1, None))))
    change(document)
    return json.dumps(document).encode()


def setting(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *parents, name = path.split(".")
        for parent in parents:
            document = document[parent]
        document[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (setting("extra", 1), "the event has unknown fields: extra"),
        (lambda d: d.pop("run"), "the event lacks run"),
        (lambda d: d.pop("schema"), "schema is None"),
        (setting("schema", "interlock.audit/v2"), "schema is 'interlock.audit/v2'"),
        (setting("id", 7), "id is 7, expected text"),
        (setting("id", "a b"), "event id 'a b'"),
        (setting("time", "2026-03-02T09:00:00Z"), "time is .*, expected UTC"),
        (setting("time", "2026-02-30T09:00:00.000000Z"), "which is no time"),
        (setting("time", None), "time is None"),
        (setting("principal", "ada"), "principal is no object"),
        (setting("principal.role", None), "principal.role is None"),
        (setting("principal.admin", "yes"), "principal has unknown fields: admin"),
        (setting("outcome", "approved"), "outcome is 'approved', expected one of started"),
        (setting("run", []), "run is no object"),
        (setting("run.step", 3), "run.step is 3"),
        (setting("evidence", []), "evidence is no object"),
        (setting("chain", None), "chain is no object"),
        (setting("chain.sequence", 0), "chain.sequence is 0"),
        (setting("chain.sequence", True), "chain.sequence is True"),
        (setting("chain.sequence", 1.0), "chain.sequence is 1.0"),
        (setting("chain.previous_sha256", "AB"), "chain.previous_sha256 is 'AB'"),
        (setting("chain.previous_sha256", 5), "chain.previous_sha256 is 5"),
        (setting("chain.stream", "../up"), "stream name '../up'"),
        (setting("chain.opened", "2026-3-2"), "chain.opened is '2026-3-2'"),
        (setting("chain.opened", "2026-02-30"), "which is no day"),
    ],
)
def test_event_that_is_not_exactly_of_the_form_is_refused(
    change: Callable[[dict[str, Any]], object], found: str
) -> None:
    with pytest.raises(AuditTampered, match=found):
        decode(edited(change))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"[]", "a JSON list, expected an object"),
        (b'{"schema": NaN}', "NaN is not finite"),
        (b'{"schema": -Infinity}', "-Infinity is not finite"),
        (b'{"schema": 1e999}', "1e999 is not finite"),
        (b'{"a": 1, "b": 2, "a": 1}', "'a' occurs twice"),
        (b'{"a": {"b": 2, "b": 3}}', "'b' occurs twice"),
        (b'{"a": "\xff"}', "not JSON in UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "not JSON in UTF-8"),
        (b"\xef\xbb\xbf{}", "not JSON in UTF-8"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON in UTF-8"),
        (b"[" * 60_000, "not JSON in UTF-8"),
        (b" " * (MAX_EVENT_BYTES + 1), "expected at most 65536"),
        (b"", "not JSON in UTF-8"),
    ],
)
def test_bytes_that_are_no_event_are_refused_with_their_key(data: bytes, found: str) -> None:
    with pytest.raises(AuditTampered, match=f"^the/key.json: .*{found}"):
        decode(data, key="the/key.json")


def test_floats_read_back_exactly() -> None:
    made = record(evidence={"p": 0.1 + 0.2, "tiny": 5e-324, "whole": 1.0, "count": 1})
    again = decode(encode(AuditEvent(made, Chain(STREAM, 1, None)))).record.evidence
    assert again == made.evidence
    assert (type(again["whole"]), type(again["count"])) == (float, int)


# --- verification: attacks


def test_intact_stream_has_no_findings() -> None:
    stored = chained(run_records())
    report = verify_stream(STREAM, stored)
    assert report.intact
    assert (report.events, report.unfinished, report.notes) == (8, (), ())
    assert report.head_sha256 == stored[-1].sha256


def test_stream_without_events_is_not_intact() -> None:
    report = verify_stream(STREAM, [])
    assert not report.intact
    assert report.head_sha256 is None
    assert "expected at least the first" in texts(report)


BASE = chained(run_records())


@given(
    index=st.integers(0, len(BASE) - 1),
    position=st.integers(0, 10_000),
    value=st.integers(1, 255),
)
def test_any_edit_of_one_byte_is_found(index: int, position: int, value: int) -> None:
    data = bytearray(BASE[index].data)
    data[position % len(data)] ^= value
    stored = [*BASE]
    stored[index] = replace(stored[index], data=bytes(data))
    report = verify_stream(STREAM, stored)
    assert not report.intact
    assert report.findings[0].sequence == index + 1


@given(
    index=st.integers(0, len(BASE) - 2),
    position=st.integers(0, 10_000),
    value=st.integers(1, 255),
)
def test_any_edit_is_found_also_when_its_noted_hash_is_forged(
    index: int, position: int, value: int
) -> None:
    data = bytearray(BASE[index].data)
    data[position % len(data)] ^= value
    stored = [*BASE]
    stored[index] = replace(stored[index], data=bytes(data), sha256=sha(bytes(data)))
    report = verify_stream(STREAM, stored)
    assert not report.intact
    assert report.findings[0].sequence in {index + 1, index + 2}


@given(st.permutations(range(len(BASE))).filter(lambda order: order != sorted(order)))
def test_any_other_order_is_found(order: list[int]) -> None:
    assert not verify_stream(STREAM, [BASE[i] for i in order]).intact


@given(st.permutations(range(len(BASE))).filter(lambda order: order != sorted(order)))
def test_any_exchange_of_contents_between_keys_is_found(order: list[int]) -> None:
    stored = [replace(BASE[i], key=BASE[at].key) for at, i in enumerate(order)]
    report = verify_stream(STREAM, stored)
    first = next(at for at, i in enumerate(order) if at != i)
    assert report.findings[0].sequence == first + 1
    assert "its key does not" in texts(report)


@given(st.sets(st.integers(0, len(BASE) - 1), min_size=1, max_size=len(BASE)))
def test_any_omission_but_that_of_the_newest_is_found(left_out: set[int]) -> None:
    kept = [event for i, event in enumerate(BASE) if i not in left_out]
    newest_only = left_out == set(range(len(kept), len(BASE))) and bool(kept)
    assert verify_stream(STREAM, kept).intact == newest_only


def test_missing_first_event_is_found() -> None:
    report = verify_stream(STREAM, BASE[1:])
    assert report.findings[0] == Finding(1, BASE[1].key, "1 missing before event 2")


def test_gap_is_found_at_its_place() -> None:
    report = verify_stream(STREAM, [*BASE[:2], *BASE[4:]])
    assert report.findings[0] == Finding(3, BASE[4].key, "2 missing before event 5")


def test_duplicate_is_found() -> None:
    report = verify_stream(STREAM, [*BASE[:4], BASE[3], *BASE[4:]])
    assert "event 4 comes again or out of order" in texts(report)
    assert "has the id of event 4" in texts(report)


def test_event_written_twice_into_the_chain_is_found_by_its_id() -> None:
    report = verify_stream(STREAM, chained([record(1), record(2), record(1)]))
    assert [f.text for f in report.findings] == ["the event has the id of event 1"]


def test_event_of_another_stream_is_found() -> None:
    other = chained(run_records(), Stream("credit_risk-ffff", STREAM.opened))
    stored = [*BASE]
    stored[2] = replace(other[2], key=BASE[2].key)
    report = verify_stream(STREAM, stored)
    assert report.findings[0].sequence == 3
    assert "belongs to stream 2026-03-02/credit_risk-ffff" in report.findings[0].text


def test_stream_copied_to_another_day_is_found() -> None:
    copy = Stream(STREAM.name, date(2026, 3, 3))
    stored = [
        replace(event, key=event_key(PREFIX, copy, i)) for i, event in enumerate(BASE, start=1)
    ]
    assert len(verify_stream(copy, stored).findings) == len(BASE)


def test_unreadable_event_is_found_and_the_rest_is_still_checked() -> None:
    stored = [*BASE]
    stored[1] = replace(stored[1], data=b"{}", sha256=sha(b"{}"))
    report = verify_stream(STREAM, stored)
    assert "the event cannot be read: schema is None" in report.findings[0].text
    assert [f.sequence for f in report.findings] == [2, 3]


def test_findings_of_the_store_are_reported_in_their_place() -> None:
    stored = [*BASE]
    stored[4] = replace(stored[4], data=b"{}", sha256=sha(b"{}"))
    also = Finding(2, BASE[1].key, "1 version(s) stored over the event, expected none")
    report = verify_stream(STREAM, stored, also=[also])
    assert report.findings[0] == also
    assert not report.intact


# --- verification: actions


def test_action_that_never_ended_is_unfinished_and_not_tampering() -> None:
    stored = chained([record(0, outcome=Outcome.STARTED)])
    report = verify_stream(STREAM, stored)
    assert report.intact
    assert [(u.sequence, u.action, u.resource, u.since) for u in report.unfinished] == [
        (1, "model:train", "product/credit_risk", START)
    ]


def test_retried_action_leaves_the_killed_attempt_unfinished() -> None:
    outcomes = (Outcome.STARTED, Outcome.STARTED, Outcome.FAILED)
    report = verify_stream(STREAM, chained([record(i, outcome=o) for i, o in enumerate(outcomes)]))
    assert [u.sequence for u in report.unfinished] == [1]


@pytest.mark.parametrize("outcome", [Outcome.SUCCEEDED, Outcome.FAILED])
def test_end_without_a_start_is_found(outcome: Outcome) -> None:
    report = verify_stream(STREAM, chained([record(0, outcome=outcome)]))
    assert [f.text for f in report.findings] == [
        "model:train on product/credit_risk ended but never started"
    ]


def test_end_of_another_action_does_not_finish_this_one() -> None:
    records = [
        record(0, outcome=Outcome.STARTED),
        record(1, outcome=Outcome.SUCCEEDED, resource="product/other"),
    ]
    report = verify_stream(STREAM, chained(records))
    assert not report.intact
    assert len(report.unfinished) == 1


def test_denied_stands_alone_or_ends_what_started() -> None:
    alone = verify_stream(STREAM, chained([record(0, outcome=Outcome.DENIED)]))
    assert alone.intact
    outcomes = (Outcome.STARTED, Outcome.DENIED)
    ended = verify_stream(STREAM, chained([record(i, outcome=o) for i, o in enumerate(outcomes)]))
    assert ended.intact
    assert ended.unfinished == alone.unfinished == ()


def test_time_that_runs_backwards_is_a_note() -> None:
    times = (START, START - timedelta(seconds=60), START - timedelta(seconds=1))
    report = verify_stream(STREAM, chained([record(i, time=t) for i, t in enumerate(times)]))
    assert report.intact
    assert [(n.sequence, n.text) for n in report.notes] == [(2, "time runs backwards by 60 s")]


# --- the trail


def test_trail_without_streams_is_never_intact() -> None:
    assert not TrailReport(()).intact


def test_trail_is_intact_only_when_nothing_was_found_anywhere() -> None:
    good = verify_stream(STREAM, BASE)
    bad = verify_stream(STREAM, BASE[1:])
    foreign = Finding(None, "governance/audit/x", "the object is no audit event")
    assert TrailReport((good,)).intact
    assert not TrailReport((good, bad)).intact
    assert not TrailReport((good,), (foreign,)).intact
    assert TrailReport((good, bad), (foreign,)).all_findings == (foreign, *bad.findings)
    assert TrailReport((good, bad)).events == 15
    started = verify_stream(STREAM, chained([record(0, outcome=Outcome.STARTED)]))
    assert TrailReport((good, started)).unfinished == started.unfinished
