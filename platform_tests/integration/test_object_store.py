"""What an object store must do: the same rules for the real one and for the one in memory."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from simulators import MemoryObjectStore
from stores import ACCESS_KEY, SECRET_KEY, store_of

from interlock.adapters.object_store import BucketLock, ObjectVersion, S3ObjectStore
from interlock.adapters.s3_upload import PART_BYTES, part_size, read_part
from interlock.adapters.store_probe import PROBE_RETENTION, ProbedStore
from interlock.errors import (
    ObjectExists,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
    StoreUnavailable,
    StoreUnfit,
)
from interlock.local.ports import free_port
from interlock.local.seaweed import REGION, SeaweedServer

_serial = itertools.count(1)
RACERS = 6  # SeaweedFS lets each loser wait for a whole second or more
LARGE = 2 * 16 * 1024 * 1024 + 1  # bytes; three parts
ABSENT = "no-such-bucket"


@dataclass(frozen=True)
class Place:
    """A store, a plain and a locking bucket in it, and a prefix that nobody else uses."""

    store: ProbedStore
    plain: str
    locking: str
    prefix: str

    def key(self, name: str) -> str:
        return f"{self.prefix}{name}"

    def versions(self, bucket: str, name: str) -> list[ObjectVersion]:
        key = self.key(name)
        return [v for v in self.store.list_versions(bucket, key) if v.key == key]


@pytest.fixture(scope="module")
def real_buckets(new_bucket: Callable[..., str]) -> tuple[str, str]:
    return new_bucket("plain"), new_bucket("locking", object_lock=True)


@pytest.fixture(params=["memory", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    prefix = f"test-{next(_serial)}/"
    if request.param == "s3":
        plain, locking = request.getfixturevalue("real_buckets")
        return Place(request.getfixturevalue("s3"), plain, locking, prefix)
    store = MemoryObjectStore()
    store.create_bucket("plain")
    store.create_bucket("locking", object_lock=True)
    return Place(store, "plain", "locking", prefix)


def soon() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)


# --- conditional writes


def test_object_reads_back_with_what_was_noted(place: Place) -> None:
    key = place.key("a/b.json")
    place.store.put_new(place.plain, key, b'{"a": 1}', metadata={"action": "model:train"})
    body = place.store.read(place.plain, key)
    info = place.store.head(place.plain, key)
    assert place.store.get(place.plain, key) == body.data == b'{"a": 1}'
    assert body.info == info
    assert (info.key, info.size, info.metadata) == (key, 8, {"action": "model:train"})
    assert abs(info.last_modified - datetime.now(UTC)) < timedelta(minutes=1)


def test_empty_object_is_an_object(place: Place) -> None:
    place.store.put_new(place.plain, place.key("empty"), b"")
    assert place.store.get(place.plain, place.key("empty")) == b""


@pytest.mark.parametrize("bucket", ["plain", "locking"])
def test_taken_key_is_refused_and_keeps_its_bytes(place: Place, bucket: str) -> None:
    where = getattr(place, bucket)
    place.store.put_new(where, place.key("k"), b"first")
    with pytest.raises(ObjectExists, match="exists already"):
        place.store.put_new(where, place.key("k"), b"second")
    assert place.store.get(where, place.key("k")) == b"first"
    assert len(place.versions(where, "k")) == 1


def test_of_many_writers_of_one_key_exactly_one_wins(place: Place) -> None:
    gate = threading.Barrier(RACERS)

    def write(number: int) -> int | None:
        gate.wait()
        try:
            place.store.put_new(place.locking, place.key("race"), b"%d" % number)
        except ObjectExists:
            return None
        return number

    with ThreadPoolExecutor(RACERS) as pool:
        winners = [n for n in pool.map(write, range(RACERS)) if n is not None]
    assert len(winners) == 1
    assert place.store.get(place.locking, place.key("race")) == b"%d" % winners[0]
    assert len(place.versions(place.locking, "race")) == 1


def test_object_in_its_known_state_is_replaced(place: Place) -> None:
    key = place.key("k")
    place.store.put_new(place.plain, key, b"1")
    etag = place.store.put_matching(
        place.plain, key, b"2", etag=place.store.head(place.plain, key).etag
    )
    assert place.store.get(place.plain, key) == b"2"
    assert place.store.head(place.plain, key).etag == etag


def test_object_in_another_state_is_not_replaced(place: Place) -> None:
    key = place.key("k")
    place.store.put_new(place.plain, key, b"1")
    stale = place.store.head(place.plain, key).etag
    place.store.put_matching(place.plain, key, b"2", etag=stale)
    with pytest.raises(PreconditionFailed):
        place.store.put_matching(place.plain, key, b"3", etag=stale)
    assert place.store.get(place.plain, key) == b"2"


def test_object_that_is_gone_is_not_replaced(place: Place) -> None:
    with pytest.raises(PreconditionFailed):
        place.store.put_matching(place.plain, place.key("none"), b"1", etag='"abc"')
    with pytest.raises(ObjectMissing):
        place.store.head(place.plain, place.key("none"))


def test_object_is_deleted_only_in_its_known_state(place: Place) -> None:
    key = place.key("k")
    place.store.put_new(place.plain, key, b"1")
    with pytest.raises(PreconditionFailed):
        place.store.delete(place.plain, key, etag='"abc"')
    assert place.store.get(place.plain, key) == b"1"
    place.store.delete(place.plain, key, etag=place.store.head(place.plain, key).etag)
    with pytest.raises(ObjectMissing):
        place.store.get(place.plain, key)
    with pytest.raises(PreconditionFailed):
        place.store.delete(place.plain, key, etag='"abc"')
    place.store.delete(place.plain, key)
    place.store.put_new(place.plain, key, b"2")


# --- listing and versions


def test_list_gives_the_objects_under_a_prefix(place: Place) -> None:
    for name in ("a/1", "a/2", "ab", "b"):
        place.store.put_new(place.plain, place.key(name), name.encode())
    found = list(place.store.list(place.plain, place.key("a/")))
    assert {o.key: o.size for o in found} == {place.key("a/1"): 3, place.key("a/2"): 3}
    assert {o.etag for o in found} == {
        place.store.head(place.plain, place.key(n)).etag for n in ("a/1", "a/2")
    }
    assert not list(place.store.list(place.plain, place.key("none/")))


def test_versions_are_listed_newest_first_with_their_markers(place: Place) -> None:
    key = place.key("k")
    first = place.store.put_new(place.locking, key, b"first")
    for i in range(5):
        place.store.overwrite(place.locking, key, b"over %d" % i)
    place.store.delete(place.locking, key)
    place.store.put_new(place.locking, place.key("k2"), b"other")
    found = place.versions(place.locking, "k")
    kept = [v for v in found if not v.is_delete_marker]
    bodies = [place.store.get(place.locking, key, version_id=v.version_id) for v in kept]
    assert bodies == [b"over 4", b"over 3", b"over 2", b"over 1", b"over 0", b"first"]
    assert kept[-1].version_id == first
    assert [v.is_latest for v in found if v.is_delete_marker] == [True]
    assert not any(v.is_latest for v in kept)
    assert kept[-1].size == len(b"first")


def test_delete_marker_hides_the_object_and_frees_its_key(place: Place) -> None:
    key = place.key("k")
    place.store.put_new(place.locking, key, b"first")
    place.store.delete(place.locking, key)
    with pytest.raises(ObjectMissing):
        place.store.get(place.locking, key)
    with pytest.raises(ObjectMissing):
        place.store.head(place.locking, key)
    assert not list(place.store.list(place.locking, place.prefix))
    place.store.put_new(place.locking, key, b"second")
    assert place.store.get_oldest(place.locking, key) == b"first"


def test_oldest_is_what_was_written_first(place: Place) -> None:
    key = place.key("k")
    place.store.put_new(place.locking, key, b"first")
    place.store.put_new(place.locking, f"{key}/below", b"other")
    place.store.overwrite(place.locking, key, b"second")
    assert place.store.get(place.locking, key) == b"second"
    assert place.store.get_oldest(place.locking, key) == b"first"
    with pytest.raises(ObjectMissing):
        place.store.get_oldest(place.locking, place.key("none"))


def test_oldest_of_a_bucket_without_versions_is_the_object(place: Place) -> None:
    place.store.put_new(place.plain, place.key("k"), b"only")
    assert place.store.get_oldest(place.plain, place.key("k")) == b"only"
    assert len(place.versions(place.plain, "k")) == 1


def test_what_is_not_there_is_missing(place: Place) -> None:
    key = place.key("k")
    place.store.put_new(place.locking, key, b"1")
    attempts: list[Callable[[], object]] = [
        lambda: place.store.get(place.locking, place.key("none")),
        lambda: place.store.read(place.locking, key, version_id="6715f63c1c1645c59c9b3b779d92e731"),
        lambda: place.store.head(place.locking, place.key("none")),
        lambda: place.store.get(ABSENT, key),
        lambda: place.store.head(ABSENT, key),
        lambda: place.store.put_new(ABSENT, key, b""),
        lambda: place.store.delete(ABSENT, key),
        lambda: list(place.store.list(ABSENT)),
        lambda: list(place.store.list_versions(ABSENT, "")),
        lambda: place.store.get_oldest(ABSENT, key),
        lambda: place.store.bucket_lock(ABSENT),
        lambda: place.store.probe(ABSENT, "p/"),
    ]
    for attempt in attempts:
        with pytest.raises(ObjectMissing):
            attempt()
    assert not place.store.bucket_exists(ABSENT)


# --- files


@pytest.mark.parametrize("size", [0, 1, 16 * 1024 * 1024, LARGE])
def test_file_is_stored_whole_and_comes_back_whole(place: Place, tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes((b"0123456789abcdef" * (size // 16 + 1))[:size])
    told: list[int] = []
    place.store.upload_new(
        place.plain, place.key("f"), source, metadata={"sha256": "ab"}, progress=told.append
    )
    place.store.download(place.plain, place.key("f"), tmp_path / "copy")
    info = place.store.head(place.plain, place.key("f"))
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert (info.size, info.metadata, sum(told)) == (size, {"sha256": "ab"}, size)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]


@pytest.mark.parametrize("size", [10, LARGE])
def test_file_is_refused_when_its_key_is_taken(place: Place, tmp_path: Path, size: int) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x" * size)
    place.store.put_new(place.plain, place.key("f"), b"first")
    with pytest.raises(ObjectExists):
        place.store.upload_new(place.plain, place.key("f"), source)
    assert place.store.get(place.plain, place.key("f")) == b"first"


def test_file_that_is_not_there_is_refused(place: Place, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        place.store.upload_new(place.plain, place.key("f"), tmp_path / "none")
    assert not list(place.store.list(place.plain, place.prefix))


def test_failed_download_leaves_the_folder_as_it_was(place: Place, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(b"before")
    with pytest.raises(ObjectMissing):
        place.store.download(place.plain, place.key("none"), copy)
    assert copy.read_bytes() == b"before"
    place.store.put_new(place.plain, place.key("f"), b"1")
    with pytest.raises(StoreError, match="cannot be written"):
        place.store.download(place.plain, place.key("f"), tmp_path / "none" / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


# --- Object Lock


def test_bucket_says_what_it_promises(place: Place) -> None:
    assert place.store.bucket_lock(place.plain) == BucketLock(False, None, None)
    assert place.store.bucket_lock(place.locking) == BucketLock(True, None, None)
    assert place.store.bucket_exists(place.plain)


def test_existing_bucket_is_left_as_it_is(place: Place) -> None:
    place.store.put_new(place.plain, place.key("k"), b"1")
    place.store.create_bucket(place.plain)
    place.store.create_bucket(place.locking, object_lock=True, retention_days=7)
    assert place.store.get(place.plain, place.key("k")) == b"1"
    assert place.store.bucket_lock(place.locking) == BucketLock(True, None, None)
    with pytest.raises(StoreUnfit, match="without Object Lock"):
        place.store.create_bucket(place.plain, object_lock=True)
    assert place.store.bucket_lock(place.plain) == BucketLock(False, None, None)


def test_locked_version_is_neither_deleted_nor_shortened(place: Place) -> None:
    key, until = place.key("k"), soon()
    version = place.store.put_new(place.locking, key, b"first", retain_until=until)
    with pytest.raises(StoreError):
        place.store.delete_version(place.locking, key, version)
    with pytest.raises(StoreError):
        place.store.set_retention(place.locking, key, version, until - timedelta(minutes=1))
    assert place.store.retention(place.locking, key, version) == until
    assert place.store.get(place.locking, key, version_id=version) == b"first"
    place.store.set_retention(place.locking, key, version, until + timedelta(minutes=1))
    assert place.store.retention(place.locking, key, version) == until + timedelta(minutes=1)


def test_version_that_is_not_locked_can_be_deleted(place: Place) -> None:
    version = place.store.put_new(place.locking, place.key("k"), b"1")
    assert place.store.retention(place.locking, place.key("k"), version) is None
    place.store.delete_version(place.locking, place.key("k"), version)
    assert not place.versions(place.locking, "k")


def test_lock_in_a_bucket_without_object_lock_is_refused(place: Place) -> None:
    with pytest.raises(StoreError):
        place.store.put_new(place.plain, place.key("k"), b"1", retain_until=soon())
    assert not list(place.store.list(place.plain, place.prefix))


def test_probe_passes_a_locking_bucket_and_writes_under_its_own_prefix(place: Place) -> None:
    place.store.probe(place.locking, place.prefix)
    place.store.probe(place.locking, place.prefix.rstrip("/"))
    found = list(place.store.list_versions(place.locking, place.prefix))
    assert found
    assert all(v.key.startswith(f"{place.prefix}probe/") for v in found)
    locks = [
        place.store.retention(place.locking, v.key, v.version_id)
        for v in found
        if not v.is_delete_marker
    ]
    ends = [until for until in locks if until is not None]
    assert len(ends) == 2
    assert all(until < datetime.now(UTC) + PROBE_RETENTION for until in ends)


def test_probe_refuses_a_bucket_without_object_lock(place: Place) -> None:
    with pytest.raises(StoreUnfit, match="refuses to lock an object"):
        place.store.probe(place.plain, place.prefix)


def test_default_retention_locks_what_is_written_without_one(
    new_bucket: Callable[..., str], s3: S3ObjectStore
) -> None:
    bucket = new_bucket("default", object_lock=True, days=2)
    assert s3.bucket_lock(bucket) == BucketLock(True, "COMPLIANCE", 2)
    version = s3.put_new(bucket, "k", b"1")
    until = s3.retention(bucket, "k", version)
    assert until is not None
    assert until > datetime.now(UTC) + timedelta(days=1)
    with pytest.raises(StoreError):
        s3.delete_version(bucket, "k", version)
    assert s3.get(bucket, "k") == b"1"


# --- the network


@pytest.fixture
def small(weed: SeaweedServer) -> S3ObjectStore:
    """A client whose pages and parts are so small that little data makes many of them."""
    return store_of(weed, page_size=3, part_bytes=256 * 1024)


def test_listing_of_many_pages_loses_nothing(
    small: S3ObjectStore, real_buckets: tuple[str, str]
) -> None:
    _, bucket = real_buckets
    keys = [f"pages/{day:02d}/s-{s}/{n:06d}.json" for day in (1, 2) for s in (1, 2) for n in (1, 2)]
    for key in keys:
        small.put_new(bucket, key, b"first")
        small.overwrite(bucket, key, b"second")
    small.delete(bucket, keys[3])
    versions = list(small.list_versions(bucket, "pages/"))
    assert sorted(o.key for o in small.list(bucket, "pages/")) == keys[:3] + keys[4:]
    assert sorted(v.key for v in versions if not v.is_delete_marker) == sorted(keys * 2)
    assert [v.key for v in versions if v.is_delete_marker] == [keys[3]]
    assert all(small.get_oldest(bucket, key) == b"first" for key in keys)


def uploads(store: S3ObjectStore, bucket: str) -> list[str]:
    """Multipart uploads that were neither completed nor removed."""
    client = store._s3.client()
    return [u["Key"] for u in client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]


def test_failed_or_interrupted_upload_leaves_no_parts(
    small: S3ObjectStore, real_buckets: tuple[str, str], tmp_path: Path
) -> None:
    bucket, _ = real_buckets
    source = tmp_path / "source"
    source.write_bytes(b"x" * 1024 * 1024)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    def shorten(_: int) -> None:
        os.truncate(source, 1)

    with pytest.raises(KeyboardInterrupt):
        small.upload_new(bucket, "parts/interrupted", source, progress=interrupt)
    small.put_new(bucket, "parts/taken", b"1")
    with pytest.raises(ObjectExists):
        small.upload_new(bucket, "parts/taken", source)
    os.truncate(source, 100 * 1024 * 1024)
    with pytest.raises(StoreError, match="became shorter"):
        small.upload_new(bucket, "parts/shortened", source, progress=shorten)
    assert [o.key for o in small.list(bucket, "parts/")] == ["parts/taken"]
    assert uploads(small, bucket) == []


def test_file_of_many_parts_has_few_enough_for_s3() -> None:
    assert part_size(1) == part_size(100 * 1024**3) == PART_BYTES
    for size in (5 * 1024**4, 160_000 * 1024**2 + 1):
        assert -(-size // part_size(size)) <= 10_000


def test_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"12345")
    assert read_part(tmp_path / "short", 3, 2) == b"45"
    with pytest.raises(StoreError, match="became shorter"):
        read_part(tmp_path / "short", 3, 3)
    with pytest.raises(StoreError, match="cannot be read"):
        read_part(tmp_path / "none", 0, 1)


def test_store_that_is_gone_is_unavailable_and_comes_back_with_its_data(
    own_weed: SeaweedServer, tmp_path: Path
) -> None:
    store = store_of(own_weed, part_bytes=256 * 1024)
    store.create_bucket("data")
    store.put_new("data", "k", b"1")
    source = tmp_path / "source"
    source.write_bytes(b"x" * 4 * 1024 * 1024)

    def stop(_: int) -> None:
        own_weed.kill()

    with pytest.raises(StoreUnavailable) as caught:
        store.upload_new("data", "large", source, progress=stop)
    assert "remain in the store" in caught.value.__cause__.__notes__[0]  # type: ignore[union-attr]
    for attempt in (lambda: store.get("data", "k"), lambda: store.bucket_exists("data")):
        with pytest.raises(StoreUnavailable, match="got no answer") as refused:
            attempt()
        assert own_weed.endpoint_url in str(refused.value)
        assert SECRET_KEY not in str(refused.value)
    own_weed.start()
    assert store.get("data", "k") == b"1"
    with pytest.raises(ObjectMissing):
        store.head("data", "large")


@pytest.mark.parametrize(
    ("access_key", "secret_key"), [(ACCESS_KEY, "wrong-secret"), ("wrong-key", SECRET_KEY)]
)
def test_wrong_credentials_are_named_without_the_secret(
    weed: SeaweedServer, real_buckets: tuple[str, str], access_key: str, secret_key: str
) -> None:
    store = S3ObjectStore(
        endpoint_url=weed.endpoint_url,
        access_key=access_key,
        secret_key=secret_key,
        region=REGION,
    )
    attempts: list[Callable[[], object]] = [
        lambda: store.get(real_buckets[0], "k"),
        lambda: store.head(real_buckets[0], "k"),
        lambda: store.bucket_exists(real_buckets[0]),
    ]
    for attempt in attempts:
        with pytest.raises(StoreUnavailable, match="refused for these credentials") as refused:
            attempt()
        assert "AWS_ACCESS_KEY_ID" in refused.value.remedy
        assert secret_key not in str(refused.value)


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))


def test_missing_credentials_are_an_error_that_says_so(no_credentials: None) -> None:
    store = S3ObjectStore(
        endpoint_url="http://127.0.0.1:1", access_key=None, secret_key=None, region=REGION
    )
    with pytest.raises(StoreUnavailable, match="needs credentials and found none"):
        store.get("data", "k")


def test_address_that_is_none_is_an_error_that_says_so() -> None:
    store = S3ObjectStore(
        endpoint_url="not an address", access_key="a", secret_key="b", region=REGION
    )
    with pytest.raises(StoreUnavailable, match="is no address"):
        store.get("data", "k")


def test_impossible_names_and_values_are_refused(s3: S3ObjectStore) -> None:
    with pytest.raises(StoreError, match=r"impossible: .*Invalid bucket name"):
        s3.get("bad name", "k")
    with pytest.raises(StoreError, match=r"[Nn]on ascii"):
        s3.put_new("data", "k", b"", metadata={"who": "Jürgen"})


def test_store_is_named_without_the_credentials_of_its_address() -> None:
    store = S3ObjectStore(
        endpoint_url=f"http://user:secret@127.0.0.1:{free_port()}",
        access_key="a",
        secret_key="b",
        region=REGION,
    )
    assert "secret" not in repr(store) + store.endpoint
    aws = S3ObjectStore(endpoint_url=None, access_key="a", secret_key="b", region="eu-central-1")
    assert aws.endpoint == "AWS S3 in eu-central-1"
