"""One holder at a time, also when holders die, clocks move and answers are lost."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from simulators import FakeClock, MemoryObjectStore
from stores import store_of

from interlock.adapters.lease import SCHEMA, SKEW, Lease
from interlock.adapters.object_store import ObjectStore, S3ObjectStore
from interlock.errors import (
    ObjectMissing,
    PreconditionFailed,
    ProductBusy,
    StoreError,
    StoreUnavailable,
)
from interlock.local.seaweed import SeaweedServer

BUCKET = "data"
KEY = "leases/credit_risk.json"
TTL = timedelta(minutes=2)
SHORT = timedelta(milliseconds=150)  # renewed every 50 ms
GONE = StoreUnavailable("the store does not answer", remedy="start it")


@pytest.fixture
def store(clock: FakeClock) -> MemoryObjectStore:
    made = MemoryObjectStore(clock=clock)
    made.create_bucket(BUCKET)
    return made


def lease(
    store: ObjectStore,
    clock: Callable[[], datetime],
    holder: str = "run 1 of ada",
    *,
    ttl: timedelta = TTL,
    bucket: str = BUCKET,
) -> Lease:
    return Lease(store, bucket=bucket, key=KEY, holder=holder, ttl=ttl, clock=clock)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 10 s"
        time.sleep(0.005)


def holder_of(store: MemoryObjectStore) -> str:
    return str(json.loads(store.get(BUCKET, KEY))["holder"])


def test_lease_is_held_inside_the_block_and_given_back_after_it(
    store: MemoryObjectStore, clock: FakeClock
) -> None:
    with lease(store, clock) as held:
        held.check()
        assert holder_of(store) == "run 1 of ada"
    with pytest.raises(ObjectMissing):
        store.head(BUCKET, KEY)
    with lease(store, clock, "run 2 of bob"):
        assert holder_of(store) == "run 2 of bob"


def test_second_holder_is_refused_and_told_who_holds_it(
    store: MemoryObjectStore, clock: FakeClock
) -> None:
    with lease(store, clock):
        before = store.get(BUCKET, KEY)
        with (
            pytest.raises(ProductBusy, match="run 1 of ada holds it, at least until 09:02:00 UTC"),
            lease(store, clock, "run 2 of bob"),
        ):
            pytest.fail("the lease was held twice")
        assert store.get(BUCKET, KEY) == before


def test_lease_is_given_back_when_the_block_fails(
    store: MemoryObjectStore, clock: FakeClock
) -> None:
    with pytest.raises(RuntimeError, match="boom"), lease(store, clock):
        raise RuntimeError("boom")
    assert not list(store.list(BUCKET))


def test_lease_of_a_dead_holder_is_taken_over_once_it_has_expired(
    store: MemoryObjectStore, clock: FakeClock
) -> None:
    dead = lease(store, clock, "run 1 of ada")
    dead._take("token of the dead")  # a process that is killed never leaves its block
    clock.now += TTL + SKEW - timedelta(seconds=1)
    with pytest.raises(ProductBusy), lease(store, clock, "run 2 of bob"):
        pytest.fail("taken too early")
    clock.advance(seconds=1)
    with lease(store, clock, "run 2 of bob"):
        assert holder_of(store) == "run 2 of bob"


@pytest.mark.parametrize("expires", ["2999-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
def test_lease_that_ends_later_than_any_could_blocks_nobody(
    store: MemoryObjectStore, clock: FakeClock, expires: str
) -> None:
    forged = {"schema": SCHEMA, "holder": "a run", "token": "t", "expires": expires}
    store.put_new(BUCKET, KEY, json.dumps(forged).encode())
    with lease(store, clock, "run 2 of bob"):
        assert holder_of(store) == "run 2 of bob"


def test_lease_of_a_clock_that_is_ahead_is_held(store: MemoryObjectStore, clock: FakeClock) -> None:
    ahead = FakeClock(clock.now + TTL)
    lease(store, ahead, "run 1 of ada")._take("token of another machine")
    with pytest.raises(ProductBusy, match="run 1 of ada"), lease(store, clock, "run 2 of bob"):
        pytest.fail("taken too early")


def test_of_many_who_take_over_exactly_one_wins(store: MemoryObjectStore, clock: FakeClock) -> None:
    lease(store, clock)._take("token of the dead")
    clock.now += TTL + SKEW
    gate, done = threading.Barrier(8), threading.Barrier(8)

    def take(number: int) -> bool:
        gate.wait()
        try:
            with lease(store, clock, f"run {number}"):
                done.wait()
                return True
        except ProductBusy:
            done.wait()
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1


def test_lease_is_renewed_while_it_is_held(store: MemoryObjectStore) -> None:
    def now() -> datetime:
        return datetime.now(UTC)

    with lease(store, now, ttl=SHORT) as held:
        first = store.head(BUCKET, KEY).etag
        wait_until(lambda: store.head(BUCKET, KEY).etag != first)
        wait_until(lambda: store.calls["put_matching"] >= 5)
        held.check()
    assert not list(store.list(BUCKET))


def test_holder_learns_that_somebody_took_over(store: MemoryObjectStore, clock: FakeClock) -> None:
    def work() -> None:
        with lease(store, clock, ttl=SHORT) as held:
            store.overwrite(BUCKET, KEY, terms("run 2 of bob", clock() + TTL))
            wait_until(lambda: held._lost is not None)
            held.check()

    with pytest.raises(ProductBusy, match="somebody else took it over"):
        work()
    assert holder_of(store) == "run 2 of bob"


def test_lost_lease_fails_a_block_that_did_not_notice(
    store: MemoryObjectStore, clock: FakeClock
) -> None:
    def work() -> None:
        with lease(store, clock):
            store.overwrite(BUCKET, KEY, terms("run 2 of bob", clock() + 2 * TTL))
            clock.now += TTL + SKEW

    with pytest.raises(ProductBusy, match="somebody else took it over"):
        work()
    assert holder_of(store) == "run 2 of bob"


def test_lost_lease_is_noted_on_the_error_of_the_block(
    store: MemoryObjectStore, clock: FakeClock
) -> None:
    def work() -> None:
        with lease(store, clock):
            store.delete(BUCKET, KEY)
            clock.now += TTL + SKEW
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom") as caught:
        work()
    assert "was lost meanwhile" in caught.value.__notes__[0]


def test_lease_that_could_not_be_renewed_in_time_is_lost(
    store: MemoryObjectStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    def work() -> None:
        with lease(store, clock, ttl=SHORT) as held:
            store.go_away()
            wait_until(lambda: "is not renewed" in caplog.text)
            held.check()
            clock.now += 2 * SHORT
            held.check()

    with pytest.raises(ProductBusy, match="could not be renewed in time"):
        work()


def test_store_that_is_away_for_a_moment_does_not_lose_the_lease(
    store: MemoryObjectStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with lease(store, clock, ttl=SHORT) as held:
        store.go_away()
        wait_until(lambda: "is not renewed" in caplog.text)
        store.come_back()
        renewed = store.calls["put_matching"]
        wait_until(lambda: store.calls["put_matching"] > renewed)
        held.check()
    assert not list(store.list(BUCKET))


@pytest.mark.parametrize("operation", ["put_new", "read"])
def test_lease_is_not_taken_from_a_store_that_is_away(
    store: MemoryObjectStore, clock: FakeClock, operation: str
) -> None:
    store.fail_next(operation, GONE, times=10)
    store.fail_next("read", GONE, times=10)
    with pytest.raises(StoreUnavailable), lease(store, clock):
        pytest.fail("not held")


def test_store_that_answers_and_takes_nothing_is_named_and_no_other_holder(
    store: MemoryObjectStore, clock: FakeClock
) -> None:
    store.fail_next("put_new", GONE, times=10)  # a full disk: it reads, and writes no more
    with pytest.raises(StoreUnavailable, match="does not answer"), lease(store, clock):
        pytest.fail("not held")
    assert not list(store.list(BUCKET))


@pytest.mark.parametrize("after_effect", [False, True])
def test_lost_answer_to_the_taking_is_found_out(
    store: MemoryObjectStore, clock: FakeClock, after_effect: bool
) -> None:
    store.fail_next("put_new", GONE, after_effect=after_effect)
    with lease(store, clock) as held:
        held.check()
        assert holder_of(store) == "run 1 of ada"
    assert not list(store.list(BUCKET))


def test_lost_answer_to_a_renewal_is_found_out(store: MemoryObjectStore, clock: FakeClock) -> None:
    with lease(store, clock, ttl=SHORT) as held:
        clock.advance(milliseconds=1)
        store.fail_next("put_matching", GONE, after_effect=True)
        renewed = store.calls["put_matching"]
        wait_until(lambda: store.calls["put_matching"] > renewed + 2)
        held.check()
    assert not list(store.list(BUCKET))


def test_lost_answer_to_a_takeover_is_found_out(store: MemoryObjectStore, clock: FakeClock) -> None:
    lease(store, clock)._take("token of the dead")
    clock.now += TTL + SKEW
    put_matching = store.put_matching

    def put_twice(bucket: str, key: str, body: bytes, **options: Any) -> str:
        put_matching(bucket, key, body, **options)
        return put_matching(bucket, key, body, **options)

    store.put_matching = put_twice  # type: ignore[method-assign]
    with lease(store, clock, "run 2 of bob"):
        assert holder_of(store) == "run 2 of bob"


def test_lease_given_back_between_two_requests_is_taken(
    store: MemoryObjectStore, clock: FakeClock
) -> None:
    lease(store, clock)._take("token of another")
    read = store.read

    def read_after_it_was_given_back(bucket: str, key: str, **options: Any) -> Any:
        store.read = read  # type: ignore[method-assign]
        store.delete(bucket, key)
        return read(bucket, key, **options)

    store.read = read_after_it_was_given_back  # type: ignore[method-assign]
    with lease(store, clock, "run 2 of bob"):
        assert holder_of(store) == "run 2 of bob"


def test_release_whose_answer_was_lost_is_no_error(
    store: MemoryObjectStore, clock: FakeClock
) -> None:
    delete = store.delete

    def delete_twice(bucket: str, key: str, **options: Any) -> None:
        delete(bucket, key, **options)
        delete(bucket, key, **options)

    store.delete = delete_twice  # type: ignore[method-assign]
    with lease(store, clock):
        pass
    assert not list(store.list(BUCKET))


def test_release_after_a_renewal_whose_answer_was_lost_gives_the_lease_back(
    store: MemoryObjectStore, clock: FakeClock
) -> None:
    with lease(store, clock) as held:
        clock.advance(seconds=1)
        store.fail_next("put_matching", GONE, after_effect=True)
        with pytest.raises(StoreUnavailable):
            held._renew_once()
    assert not list(store.list(BUCKET))


def test_release_into_a_store_that_is_away_leaves_the_lease_to_expire(
    store: MemoryObjectStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    with lease(store, clock):
        store.go_away()
    store.come_back()
    assert "stays until it expires" in caplog.text
    assert holder_of(store) == "run 1 of ada"


def test_others_who_keep_taking_it_make_it_busy(store: MemoryObjectStore, clock: FakeClock) -> None:
    def taken(*args: object, **options: object) -> str:
        raise PreconditionFailed("another state", remedy="read it")

    lease(store, clock)._take("token of the dead")
    clock.now += TTL + SKEW
    store.put_matching = taken  # type: ignore[method-assign]
    with pytest.raises(ProductBusy, match="others keep taking it"), lease(store, clock):
        pytest.fail("not held")


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"schema": "x"}', b'{"schema": "interlock.lease/v1", "holder": 1}'],
)
def test_lease_that_cannot_be_read_is_an_error_and_is_left_alone(
    store: MemoryObjectStore, clock: FakeClock, data: bytes
) -> None:
    store.put_new(BUCKET, KEY, data)
    with (
        pytest.raises(StoreError, match=f"the lease s3://{BUCKET}/{KEY} cannot be read") as caught,
        lease(store, clock),
    ):
        pytest.fail("not held")
    assert "delete that object" in caught.value.remedy
    assert store.get(BUCKET, KEY) == data


def test_lease_that_became_unreadable_is_lost(store: MemoryObjectStore, clock: FakeClock) -> None:
    def work() -> None:
        with lease(store, clock, ttl=SHORT) as held:
            store.overwrite(BUCKET, KEY, b"{}")
            wait_until(lambda: held._lost is not None)

    with pytest.raises(ProductBusy, match="cannot be read"):
        work()


def test_lease_in_the_real_store(s3: S3ObjectStore, new_bucket: Callable[..., str]) -> None:
    def now() -> datetime:
        return datetime.now(UTC)

    bucket = new_bucket("lease")
    with lease(s3, now, "run 1 of ada", ttl=timedelta(seconds=3), bucket=bucket):
        etag = s3.head(bucket, KEY).etag
        with pytest.raises(ProductBusy, match="run 1 of ada"), lease(s3, now, bucket=bucket):
            pytest.fail("the lease was held twice")
        wait_until(lambda: s3.head(bucket, KEY).etag != etag)
    assert not list(s3.list(bucket))
    with lease(s3, now, "run 2 of bob", bucket=bucket):
        pass


def test_lease_is_lost_when_the_real_store_dies_for_longer_than_it_lasts(
    own_weed: SeaweedServer,
) -> None:
    clock = FakeClock(datetime(2040, 1, 2, tzinfo=UTC))
    store = store_of(own_weed)
    store.create_bucket(BUCKET)

    def work() -> None:
        with lease(store, clock) as held:
            own_weed.kill()
            held.check()
            clock.now += 2 * TTL

    with pytest.raises(ProductBusy, match="could not be renewed in time"):
        work()


def terms(holder: str, expires: datetime) -> bytes:
    document = {
        "schema": "interlock.lease/v1",
        "holder": holder,
        "token": f"token of {holder}",
        "expires": expires.isoformat(),
    }
    return json.dumps(document).encode()
