"""A store that remembers versions: fast, and never behind what was stored since."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from stores import ACCESS_KEY, SECRET_KEY

from interlock.adapters import remembered_store
from interlock.adapters.object_store import S3ObjectStore
from interlock.adapters.remembered_store import RememberedStore, one_look
from interlock.local.seaweed import REGION, SeaweedServer

KEY = "trail/000001.json"


@dataclass
class Remembering:
    store: RememberedStore
    bucket: str

    def versions(self) -> list[str]:
        return [each.version_id for each in self.store.list_versions(self.bucket, "trail/")]


@pytest.fixture
def remembering(
    weed: SeaweedServer, s3: S3ObjectStore, new_bucket: Callable[..., str]
) -> Remembering:
    bucket = new_bucket("remembered", object_lock=True)
    s3.put_new(bucket, KEY, b"first")
    store = RememberedStore(
        endpoint_url=weed.endpoint_url,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        region=REGION,
    )
    return Remembering(store, bucket)


def test_version_is_fetched_once(remembering: Remembering, monkeypatch: pytest.MonkeyPatch) -> None:
    (version,) = remembering.versions()
    store, bucket = remembering.store, remembering.bucket
    assert store.read(bucket, KEY, version_id=version).data == b"first"
    monkeypatch.setattr(S3ObjectStore, "read", lambda *_a, **_k: pytest.fail("fetched again"))
    assert store.read(bucket, KEY, version_id=version).data == b"first"


def test_what_is_kept_is_bounded(remembering: Remembering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered_store, "KEPT_BYTES", 4)
    (version,) = remembering.versions()
    remembering.store.read(remembering.bucket, KEY, version_id=version)
    assert remembering.store._bodies == {}


def test_listing_is_new_but_within_one_look(remembering: Remembering, s3: S3ObjectStore) -> None:
    assert len(remembering.versions()) == 1
    with one_look():
        assert len(remembering.versions()) == 1
        s3.delete(remembering.bucket, KEY)  # a marker over the event
        assert len(remembering.versions()) == 1
    assert len(remembering.versions()) == 2
