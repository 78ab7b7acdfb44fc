"""Audit records that wait on disk: whole, in order, each written once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from trails import BUCKET, GONE, OTHER, STREAM, MemoryTrail, record

from interlock.errors import (
    AuditTampered,
    AuditWriteFailed,
)
from interlock.governance.audit import Outcome, decode


def test_waiting_record_is_a_file_that_a_person_can_read(memory_trail: MemoryTrail) -> None:
    mine = record(reason="the store was away")
    path = memory_trail.log.spool(STREAM, mine)
    assert memory_trail.waiting() == [path]
    assert path.parent == memory_trail.spool / "2040-01-02" / "credit_risk-0d1f"
    document = json.loads(path.read_text())
    assert (document["id"], document["reason"]) == (mine.id, "the store was away")
    assert not list(memory_trail.spool.rglob("*.part"))


def test_waiting_records_are_written_by_time_and_once(memory_trail: MemoryTrail) -> None:
    first, second, third = record(), record(), record()
    for stream, each in ((STREAM, third), (OTHER, second), (STREAM, first)):
        memory_trail.log.spool(stream, each)
        memory_trail.log.spool(stream, each)
    written = memory_trail.another().flush_spool()
    assert [decode(e.data).record.id for e in written] == [first.id, second.id, third.id]
    assert memory_trail.waiting() == []
    assert memory_trail.log.flush_spool() == []
    assert memory_trail.log.verify().intact
    assert memory_trail.log.verify().events == 3


def test_record_that_is_in_the_store_already_is_not_written_again(
    memory_trail: MemoryTrail,
) -> None:
    mine = record()
    memory_trail.log.append(STREAM, mine)
    memory_trail.log.spool(STREAM, mine)
    assert memory_trail.another().flush_spool() == []
    assert (memory_trail.waiting(), memory_trail.ids()) == ([], [mine.id])


def test_waiting_records_of_a_stream_go_before_its_next_event(memory_trail: MemoryTrail) -> None:
    started, ended = record(Outcome.STARTED), record(Outcome.SUCCEEDED)
    foreign = record()
    memory_trail.log.spool(STREAM, started)
    memory_trail.log.spool(OTHER, foreign)
    memory_trail.log.append(STREAM, ended)
    assert memory_trail.ids() == [started.id, ended.id]
    assert len(memory_trail.waiting()) == 1
    assert memory_trail.log.verify(STREAM).intact


def test_flush_that_breaks_off_keeps_what_is_not_written(memory_trail: MemoryTrail) -> None:
    for _ in range(3):
        memory_trail.log.spool(STREAM, record())
    memory_trail.log.append(OTHER, record())
    put_new, allowed = memory_trail.store.put_new, iter([True])

    def put_once(bucket: str, key: str, body: bytes, **options: Any) -> str:
        if next(allowed, False):
            return put_new(bucket, key, body, **options)
        raise GONE

    memory_trail.store.put_new = put_once  # type: ignore[method-assign]
    with pytest.raises(AuditWriteFailed):
        memory_trail.log.flush_spool()
    assert len(memory_trail.waiting()) == 2
    memory_trail.store.put_new = put_new  # type: ignore[method-assign]
    assert len(memory_trail.log.flush_spool()) == 2
    assert memory_trail.log.verify().intact


def test_waiting_file_that_was_changed_is_reported_and_stops_its_stream(
    memory_trail: MemoryTrail,
) -> None:
    broken = memory_trail.log.spool(STREAM, record())
    broken.write_bytes(b"{}")
    good = record()
    memory_trail.log.spool(OTHER, good)
    with pytest.raises(AuditTampered, match=broken.name):
        memory_trail.log.flush_spool()
    assert memory_trail.ids(OTHER) == [good.id]
    with pytest.raises(AuditWriteFailed, match="waits on disk and cannot be read"):
        memory_trail.log.append(STREAM, record())
    assert memory_trail.waiting() == [broken]
    assert memory_trail.ids() == []


def test_waiting_file_that_cannot_be_read_is_reported(memory_trail: MemoryTrail) -> None:
    path = memory_trail.log.spool(STREAM, record())
    path.unlink()
    path.mkdir()
    with pytest.raises(AuditTampered, match="cannot be read"):
        memory_trail.log.flush_spool()


def test_disk_that_refuses_is_reported(memory_trail: MemoryTrail) -> None:
    memory_trail.spool.write_text("a file where the folder should be")
    with pytest.raises(AuditWriteFailed, match="could not be spooled"):
        memory_trail.log.spool(STREAM, record())
    assert memory_trail.spool.read_text() == "a file where the folder should be"


def test_folder_that_cannot_be_locked_is_reported(memory_trail: MemoryTrail) -> None:
    path = memory_trail.log.spool(STREAM, record())
    (memory_trail.spool / ".lock").mkdir()
    with pytest.raises(AuditWriteFailed, match="cannot be used"):
        memory_trail.log.flush_spool()
    assert path.exists()
    assert memory_trail.ids() == []


def test_record_that_cannot_be_stored_is_refused_before_it_waits(memory_trail: MemoryTrail) -> None:
    with pytest.raises(AuditWriteFailed, match="expected at most"):
        memory_trail.log.spool(STREAM, record(reason="x" * 70_000))
    assert memory_trail.waiting() == []


def test_waiting_record_is_found_behind_an_unreadable_event(memory_trail: MemoryTrail) -> None:
    event = memory_trail.append(1)[0]
    memory_trail.store.put_new(BUCKET, event.key.replace("000001", "000002"), b"{}")
    mine = record()
    memory_trail.log.spool(STREAM, mine)
    (written,) = memory_trail.another().flush_spool()
    assert decode(written.data).chain.sequence == 3
