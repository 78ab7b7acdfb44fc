from __future__ import annotations

from datetime import date, timedelta

import pytest
from product_fixtures import AUDIT, PREFIX, World

from interlock.adapters.audit_tail import AuditTail
from interlock.errors import StoreUnavailable
from interlock.governance.audit import AuditRecord, Outcome, RecordedPrincipal, Stream

DAY = date(2040, 1, 2)


def record(world: World, name: str) -> AuditRecord:
    return AuditRecord(
        id=name,
        time=world.clock(),
        environment="dev",
        principal=RecordedPrincipal("ada", "ml_engineer", "env"),
        action="data:ingest",
        resource="product/tiny",
        outcome=Outcome.DENIED,
    )


def write(world: World, stream: Stream, *names: str) -> None:
    for name in names:
        world.audit.append(stream, record(world, name))


def tail_of(world: World) -> AuditTail:
    return AuditTail(world.store, bucket=AUDIT, prefix=PREFIX.rstrip("/"))


def read(tail: AuditTail, days: list[date] | None = None) -> list[str]:
    return [each.event.record.id for each in tail.read(days)]


def test_each_event_is_read_once(world: World) -> None:
    tail = tail_of(world)
    assert read(tail) == []
    one, two = Stream("one", DAY), Stream("two", DAY)
    write(world, one, "a", "b")
    assert read(tail) == ["a", "b"]
    write(world, two, "c")
    write(world, one, "d")
    assert read(tail) == ["d", "c"]
    assert read(tail) == []
    assert (tail.streams, tail.missing, tail.unreadable) == (2, 0, 0)


def test_days_that_are_not_asked_for_are_read_later(world: World) -> None:
    tail = tail_of(world)
    write(world, Stream("old", DAY - timedelta(days=9)), "a")
    write(world, Stream("new", DAY), "b")
    assert read(tail, [DAY - timedelta(days=1), DAY]) == ["b"]
    assert read(tail) == ["a"]


def test_events_that_are_gone_are_missing(world: World) -> None:
    tail = tail_of(world)
    stream = Stream("one", DAY)
    write(world, stream, "a", "b", "c")
    write(world, Stream("two", DAY), "d")
    assert read(tail) == ["a", "b", "c", "d"]
    versions = world.store.buckets[AUDIT].versions
    keys = sorted(key for key in versions if key.startswith(PREFIX))
    del versions[keys[1]]
    assert read(tail, [DAY]) == []
    assert tail.missing == 1
    del versions[keys[2]], versions[keys[3]]
    read(tail, [DAY])
    assert tail.missing == 2
    read(tail)
    assert tail.missing == 3, "a stream that is gone as a whole is noticed by a whole look"


def test_what_was_stored_over_an_event_is_not_read(world: World) -> None:
    write(world, Stream("one", DAY), "a")
    key = next(key for key in world.store.buckets[AUDIT].versions if key.startswith(PREFIX))
    world.store.delete(AUDIT, key)
    assert read(tail_of(world)) == ["a"]


def test_what_is_no_event_is_counted_and_passed_over(world: World) -> None:
    stream = Stream("one", DAY)
    write(world, stream, "a")
    world.store.put_new(AUDIT, f"{PREFIX}2040/01/02/one/000002.json", b"{}")
    world.store.put_new(AUDIT, f"{PREFIX}2040/01/02/notes.txt", b"{}")
    tail = tail_of(world)
    assert read(tail) == ["a"]
    assert read(tail) == []
    assert tail.unreadable == 1


def test_nothing_counts_as_read_when_the_store_fails(world: World) -> None:
    write(world, Stream("one", DAY), "a")
    tail = tail_of(world)

    def fail(operation: str, _bucket: str, _key: str) -> None:
        if operation == "get":
            raise StoreUnavailable("no answer", remedy="wait")

    world.store.before.append(fail)
    with pytest.raises(StoreUnavailable):
        read(tail)
    world.store.before.clear()
    assert read(tail) == ["a"]
