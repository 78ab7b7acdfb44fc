"""The audit trail in a store: written by many, lost answers, attacks."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from simulators import FakeClock, MemoryObjectStore, Unfit
from stores import ACCESS_KEY, SECRET_KEY, store_of
from trails import BUCKET, GONE, OTHER, PREFIX, RETENTION, STREAM, MemoryTrail, Trail, record

from interlock.adapters import audit_listing, audit_log
from interlock.errors import (
    AuditError,
    AuditWriteFailed,
    ObjectMissing,
    StoreError,
    StoreUnavailable,
)
from interlock.governance.audit import (
    Outcome,
    Stream,
    champion_ledger,
    decision_ledger,
    decode,
    verify_stream,
)
from interlock.local.seaweed import SeaweedServer

# --- writing


def test_events_form_a_chain_that_other_processes_continue(trail: Trail) -> None:
    first = trail.log.append(STREAM, record(Outcome.STARTED))
    second = trail.another().append(STREAM, record(Outcome.SUCCEEDED))
    third = trail.log.append(STREAM, record())
    events = trail.log.read(STREAM)
    assert events == [first, second, third]
    assert [decode(e.data).chain.sequence for e in events] == [1, 2, 3]
    assert first.key == "governance/audit/2040/01/02/credit_risk-0d1f/000001.json"
    report = trail.log.verify()
    assert report.intact
    assert (report.events, report.unfinished) == (3, ())


def test_event_is_locked_and_says_what_happened_in_its_metadata(trail: Trail) -> None:
    stored = trail.log.append(STREAM, record(environment="größer / dev"))
    (version,) = trail.store.list_versions(trail.bucket, stored.key)
    assert trail.store.retention(trail.bucket, stored.key, version.version_id) == (
        trail.clock() + RETENTION
    )
    metadata = trail.store.head(trail.bucket, stored.key).metadata
    assert metadata == {
        "action": "model:train",
        "outcome": "denied",
        "environment": "gr%C3%B6%C3%9Fer / dev",
        "sha256": stored.sha256,
    }
    with pytest.raises(StoreError):
        trail.store.delete_version(trail.bucket, stored.key, version.version_id)


def test_threads_of_one_process_share_a_stream(trail: Trail) -> None:
    records = [record() for _ in range(48)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda each: trail.log.append(STREAM, each), records))
    assert sorted(trail.ids()) == sorted(each.id for each in records)
    assert trail.log.verify().intact


def test_writers_that_take_turns_at_a_ledger_never_use_a_hidden_place(trail: Trail) -> None:
    """A delete marker on the newest event frees its key for a put, but not for an event."""
    ledger = champion_ledger("TinyModel")
    one, two = trail.another(), trail.another()
    one.append(ledger, record())
    hidden = two.append(ledger, record())
    trail.store.delete(trail.bucket, hidden.key)
    kept = one.append(ledger, record())
    assert [decode(each.data).chain.sequence for each in trail.log.read(ledger)] == [1, 2, 3]
    assert trail.log.read(ledger)[-1] == kept


def test_ledgers_are_found_by_name_alone(trail: Trail) -> None:
    mine = [decision_ledger("TinyModel", each) for each in ("1", "12")]
    for stream in (*mine, decision_ledger("TinyModels", "1"), champion_ledger("TinyModel"), STREAM):
        trail.log.append(stream, record())
    assert trail.log.ledgers("decisions.TinyModel.") == mine
    assert trail.log.ledgers("decisions.Other.") == []
    assert mine[0].is_ledger
    assert not STREAM.is_ledger
    with pytest.raises(AuditError, match="is not 1-128"):
        champion_ledger("../x")


@pytest.mark.parametrize(("name", "writers"), [("memory_trail", 16), ("real_trail", 3)])
def test_processes_that_share_a_stream_lose_no_event(
    request: pytest.FixtureRequest, name: str, writers: int
) -> None:
    trail: Trail = request.getfixturevalue(name)
    logs = [trail.another() for _ in range(writers)]
    records = [[record() for _ in range(3)] for _ in logs]
    gate = threading.Barrier(writers)

    def write(number: int) -> None:
        gate.wait()
        for each in records[number]:
            logs[number].append(STREAM, each)

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    assert sorted(trail.ids()) == sorted(each.id for mine in records for each in mine)
    assert trail.log.verify().intact


def test_streams_are_listed_by_day_and_name(trail: Trail) -> None:
    later = Stream("a", date(2040, 1, 3))
    for stream in (STREAM, later, OTHER):
        trail.append(2, stream)
    assert trail.log.streams() == [OTHER, STREAM, later]
    assert trail.log.read(Stream("none", date(2040, 1, 2))) == []
    assert [r.stream for r in trail.log.verify().streams] == [OTHER, STREAM, later]
    assert [r.stream for r in trail.log.verify(OTHER).streams] == [OTHER]


def test_names_that_begin_alike_are_different_streams(trail: Trail) -> None:
    longer = Stream(f"{STREAM.name}0", STREAM.opened)
    trail.append(1)
    trail.append(2, longer)
    assert (len(trail.log.read(STREAM)), len(trail.log.read(longer))) == (1, 2)


def test_writer_that_always_loses_gives_up(
    memory_trail: MemoryTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival = memory_trail.another()
    put_new = memory_trail.store.put_new

    def put_after_the_rival(bucket: str, key: str, body: bytes, **options: Any) -> str:
        monkeypatch.setattr(memory_trail.store, "put_new", put_new)
        rival.append(STREAM, record())
        monkeypatch.setattr(memory_trail.store, "put_new", put_after_the_rival)
        return put_new(bucket, key, body, **options)

    monkeypatch.setattr(memory_trail.store, "put_new", put_after_the_rival)
    monkeypatch.setattr(audit_log, "MAX_RACES", 5)
    mine = record()
    with pytest.raises(AuditWriteFailed, match="other writers took 5 places"):
        memory_trail.log.append(STREAM, mine)
    assert mine.id not in memory_trail.ids()
    assert memory_trail.log.verify().events == 5
    assert memory_trail.log.verify().intact


# --- faults


def test_store_that_is_gone_is_reported_and_nothing_is_written(memory_trail: MemoryTrail) -> None:
    memory_trail.append(1)
    memory_trail.store.go_away()
    with pytest.raises(AuditWriteFailed, match="denied of model:train on product/credit_risk"):
        memory_trail.log.append(STREAM, record())
    memory_trail.store.come_back()
    assert len(memory_trail.ids()) == 1
    memory_trail.append(1)
    assert memory_trail.log.verify().intact


@pytest.mark.parametrize("operation", ["list_versions", "put_new"])
def test_fault_before_the_effect_writes_nothing(memory_trail: MemoryTrail, operation: str) -> None:
    memory_trail.store.fail_next(operation, GONE)
    mine = record()
    with pytest.raises(AuditWriteFailed, match="the store does not answer") as failed:
        memory_trail.log.append(STREAM, mine)
    assert failed.value.remedy == "start it"
    assert not list(memory_trail.store.list(BUCKET))
    memory_trail.log.append(STREAM, mine)
    assert memory_trail.ids() == [mine.id]


def test_put_whose_answer_was_lost_is_not_written_twice(memory_trail: MemoryTrail) -> None:
    mine = record()
    memory_trail.store.fail_next("put_new", GONE, after_effect=True)
    with pytest.raises(AuditWriteFailed):
        memory_trail.log.append(STREAM, mine)
    stored = memory_trail.log.append(STREAM, mine)
    assert decode(stored.data).record == mine
    memory_trail.append(1)
    assert len(memory_trail.ids()) == 2
    assert memory_trail.log.verify().intact


def test_put_that_was_interrupted_is_not_written_twice(
    memory_trail: MemoryTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_new = memory_trail.store.put_new

    def put_and_interrupt(bucket: str, key: str, body: bytes, **options: Any) -> str:
        put_new(bucket, key, body, **options)
        raise KeyboardInterrupt

    mine = record()
    monkeypatch.setattr(memory_trail.store, "put_new", put_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        memory_trail.log.append(STREAM, mine)
    monkeypatch.setattr(memory_trail.store, "put_new", put_new)
    memory_trail.log.append(STREAM, mine)
    memory_trail.append(1)
    assert len(memory_trail.ids()) == 2
    assert memory_trail.log.verify().intact


def test_put_that_the_client_itself_sent_twice_is_recognised_by_its_bytes(
    memory_trail: MemoryTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_new = memory_trail.store.put_new

    def put_twice(bucket: str, key: str, body: bytes, **options: Any) -> str:
        put_new(bucket, key, body, **options)
        return put_new(bucket, key, body, **options)

    monkeypatch.setattr(memory_trail.store, "put_new", put_twice)
    mine = record()
    memory_trail.log.append(STREAM, mine)
    assert memory_trail.ids() == [mine.id]
    assert memory_trail.log.verify().intact


def test_other_events_go_on_after_a_lost_answer_and_the_spooled_copy_is_dropped(
    memory_trail: MemoryTrail,
) -> None:
    lost, next_one = record(), record()
    memory_trail.store.fail_next("put_new", GONE, after_effect=True)
    with pytest.raises(AuditWriteFailed):
        memory_trail.log.append(STREAM, lost)
    memory_trail.log.spool(STREAM, lost)
    memory_trail.log.append(STREAM, next_one)
    assert memory_trail.ids() == [lost.id, next_one.id]
    assert memory_trail.waiting() == []
    assert memory_trail.log.verify().intact


def test_real_store_that_stops_and_comes_back_loses_nothing(
    own_weed: SeaweedServer, clock: FakeClock, tmp_path: Path
) -> None:
    store = store_of(own_weed)
    store.create_bucket(BUCKET, object_lock=True)
    trail = Trail(store, BUCKET, tmp_path / "spool", clock)
    started, ended = record(Outcome.STARTED), record(Outcome.SUCCEEDED)
    trail.log.append(STREAM, started)
    own_weed.kill()
    with pytest.raises(AuditWriteFailed, match="got no answer"):
        trail.log.append(STREAM, ended)
    trail.log.spool(STREAM, ended)
    with pytest.raises(AuditWriteFailed, match="records that wait on disk"):
        trail.another().flush_spool()
    assert len(trail.waiting()) == 1
    with pytest.raises(StoreUnavailable):
        trail.log.verify()
    own_weed.start()
    (written,) = trail.another().flush_spool()
    assert decode(written.data).record == ended
    assert trail.waiting() == []
    report = trail.log.verify()
    assert (report.intact, report.events, report.unfinished) == (True, 2, ())


WRITER = """
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from interlock.adapters.audit_log import AuditLog
from interlock.adapters.object_store import S3ObjectStore
from interlock.governance.audit import AuditRecord, Outcome, RecordedPrincipal, Stream
endpoint, access_key, secret_key, bucket, prefix, spool = sys.argv[1:]
store = S3ObjectStore(
    endpoint_url=endpoint, access_key=access_key, secret_key=secret_key, region="us-east-1"
)
log = AuditLog(
    store, bucket=bucket, prefix=prefix, retention=timedelta(days=1),
    spool_directory=Path(spool), clock=lambda: datetime.now(UTC),
)
stream = Stream("credit_risk-0d1f", date(2040, 1, 2))
who = RecordedPrincipal("ada", "ml_engineer", "env")
for n in range(10_000):
    for outcome in (Outcome.STARTED, Outcome.SUCCEEDED):
        log.append(stream, AuditRecord(
            id=f"{outcome}-{n}", time=datetime.now(UTC), environment="dev", principal=who,
            action="model:train", resource=f"product/p{n}", outcome=outcome,
        ))
        print(n, flush=True)
"""


def test_writer_killed_in_the_middle_leaves_a_trail_that_verifies_up_to_the_kill(
    real_trail: Trail, weed: SeaweedServer
) -> None:
    arguments = [
        weed.endpoint_url,
        ACCESS_KEY,
        SECRET_KEY,
        real_trail.bucket,
        PREFIX,
        str(real_trail.spool),
    ]
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        told = [next(writer.stdout) for _ in range(5)]
        writer.kill()
        told += list(writer.stdout)
    report = real_trail.log.verify()
    assert report.intact
    assert report.events in {len(told), len(told) + 1}
    assert len(report.unfinished) == report.events % 2
    real_trail.append(1)
    assert real_trail.log.verify().intact


# --- attacks


def test_nothing_to_verify_is_an_error(trail: Trail) -> None:
    with pytest.raises(AuditError, match="no audit events in s3://"):
        trail.log.verify()
    trail.append(1)
    with pytest.raises(AuditError, match="no events of stream 2040-01-01/other-77aa"):
        trail.log.verify(OTHER)


def test_bucket_that_is_gone_is_an_error(memory_trail: MemoryTrail) -> None:
    del memory_trail.store.buckets[BUCKET]
    for attempt in (
        memory_trail.log.verify,
        memory_trail.log.streams,
        lambda: memory_trail.log.read(STREAM),
    ):
        with pytest.raises(ObjectMissing):
            attempt()


def test_event_stored_over_another_is_an_alarm_and_the_first_one_counts(trail: Trail) -> None:
    events = trail.append(3)
    forged = events[1].data.replace(b"ada", b"eve")
    trail.store.overwrite(trail.bucket, events[1].key, forged)
    report = trail.log.verify()
    assert not report.intact
    assert [(f.sequence, f.key, f.text) for f in report.all_findings] == [
        (2, events[1].key, "1 version(s) stored over the event, expected none")
    ]
    assert trail.log.read(STREAM) == events


def test_deleted_event_is_an_alarm_and_still_there(trail: Trail) -> None:
    events = trail.append(3)
    trail.store.delete(trail.bucket, events[2].key)
    assert trail.texts() == ["1 delete marker(s) on the event, expected none"]
    assert trail.log.read(STREAM) == events


def test_writer_does_not_use_the_place_of_a_deleted_event_again(trail: Trail) -> None:
    events = trail.append(2)
    trail.store.delete(trail.bucket, events[1].key)
    added = trail.another().append(STREAM, record())
    assert decode(added.data).chain.sequence == 3
    assert trail.log.read(STREAM) == [*events, added]
    assert trail.texts(STREAM) == ["1 delete marker(s) on the event, expected none"]


def test_foreign_object_under_the_prefix_is_an_alarm(trail: Trail) -> None:
    trail.append(1)
    trail.store.put_new(trail.bucket, f"{PREFIX}2040/01/02/notes.txt", b"hello")
    trail.store.put_new(trail.bucket, "governance/auditor/elsewhere", b"not ours")
    report = trail.log.verify()
    assert not report.intact
    assert [(f.sequence, f.key) for f in report.findings] == [
        (None, f"{PREFIX}2040/01/02/notes.txt")
    ]
    assert trail.log.verify(STREAM).intact


def test_forged_event_after_the_newest_is_an_alarm(trail: Trail) -> None:
    (event,) = trail.append(1)
    forged = event.data.replace(b'"sequence": 1', b'"sequence": 2').replace(b"event-", b"forged-")
    trail.store.put_new(trail.bucket, event.key.replace("000001", "000002"), forged)
    assert any("follows one whose bytes" in text for text in trail.texts())


def test_probe_is_no_foreign_object(trail: Trail) -> None:
    trail.append(1)
    trail.store.probe(trail.bucket, PREFIX)
    assert trail.log.verify().intact
    assert trail.log.streams() == [STREAM]


def test_store_that_lets_events_be_deleted_does_not_hide_it(
    clock: FakeClock, tmp_path: Path
) -> None:
    store = MemoryObjectStore(clock=clock, unfit=frozenset({Unfit.DELETES_LOCKED_VERSIONS}))
    store.create_bucket(BUCKET, object_lock=True)
    trail = Trail(store, BUCKET, tmp_path, clock)
    events = trail.append(4)
    for event in events[1:3]:
        (version,) = store.list_versions(BUCKET, event.key)
        store.delete_version(BUCKET, event.key, version.version_id)
    store.delete(BUCKET, events[1].key)
    assert sorted(trail.texts()) == [
        "2 missing before event 4",
        "every version of the event is gone, a delete marker remains",
    ]
    added = trail.another().append(STREAM, record())
    assert decode(added.data).chain.sequence == 5


def test_rotten_bytes_are_found_in_the_newest_event_too(memory_trail: MemoryTrail) -> None:
    event = memory_trail.append(2)[1]
    kept = memory_trail.store.buckets[BUCKET].versions[event.key]
    kept[0] = type(kept[0])(
        kept[0].version_id, event.data.replace(b"ada", b"adb"), kept[0].metadata, kept[0].stored
    )
    assert "was noted with them" in memory_trail.texts()[0]


def test_event_that_another_program_wrote_has_no_noted_hash(memory_trail: MemoryTrail) -> None:
    event = memory_trail.append(1)[0]
    memory_trail.store.put_new(BUCKET, event.key.replace("000001", "000002"), b"{}")
    assert len(memory_trail.texts()) == 2
    assert "cannot be read" in memory_trail.texts()[1]
    assert "nothing was noted" in memory_trail.texts()[0]


def test_long_trail_is_verified_in_batches(
    memory_trail: MemoryTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_listing, "BATCH_EVENTS", 5)
    for number in range(7):
        memory_trail.append(2, Stream(f"s-{number}", STREAM.opened))
    report = memory_trail.log.verify()
    assert (report.intact, report.events, len(report.streams)) == (True, 14, 7)


def test_trail_of_foreign_objects_alone_is_never_intact(trail: Trail) -> None:
    trail.store.put_new(trail.bucket, f"{PREFIX}notes.txt", b"hello")
    report = trail.log.verify()
    assert (report.intact, report.events, len(report.findings)) == (False, 0, 1)


def test_stream_verifies_from_what_was_read(memory_trail: MemoryTrail) -> None:
    memory_trail.append(3)
    assert verify_stream(STREAM, memory_trail.log.read(STREAM)).intact
