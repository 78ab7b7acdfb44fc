"""The probe finds each way in which a store breaks its promises."""
# ruff: noqa: ARG002 - a store that refuses everything looks at nothing

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import pytest
from simulators import FakeClock, MemoryObjectStore, Unfit

from interlock.adapters.object_store import NO_METADATA
from interlock.adapters.store_probe import probe_prefix
from interlock.errors import InterlockError, StoreError, StoreUnavailable, StoreUnfit

PREFIX = "governance/audit/"
DENIED = StoreError("AccessDenied: explicit deny in a resource-based policy", remedy="none")


class GuardedStore(MemoryObjectStore):
    """A store with the bucket policy of AWS: no delete at all, and no put without a lock."""

    def put_new(
        self,
        bucket: str,
        key: str,
        body: bytes,
        *,
        metadata: Mapping[str, str] = NO_METADATA,
        content_type: str = "application/json",
        retain_until: datetime | None = None,
    ) -> str:
        self._demand(retain_until)
        return super().put_new(
            bucket,
            key,
            body,
            metadata=metadata,
            content_type=content_type,
            retain_until=retain_until,
        )

    def overwrite(
        self, bucket: str, key: str, body: bytes, *, retain_until: datetime | None = None
    ) -> None:
        self._demand(retain_until)
        super().overwrite(bucket, key, body, retain_until=retain_until)

    def delete(self, bucket: str, key: str, *, etag: str | None = None) -> None:
        raise DENIED

    def delete_version(self, bucket: str, key: str, version_id: str) -> None:
        raise DENIED

    @staticmethod
    def _demand(retain_until: datetime | None) -> None:
        if retain_until is None:
            raise DENIED


class ClosedStore(GuardedStore):
    """A store that lets nothing be put over an object, and no retention be changed."""

    def overwrite(
        self, bucket: str, key: str, body: bytes, *, retain_until: datetime | None = None
    ) -> None:
        raise DENIED

    def set_retention(self, bucket: str, key: str, version_id: str, until: datetime) -> None:
        raise DENIED


def locking_store(clock: FakeClock, *unfit: Unfit) -> MemoryObjectStore:
    store = MemoryObjectStore(clock=clock, unfit=frozenset(unfit))
    store.create_bucket("audit", object_lock=True)
    return store


@pytest.mark.parametrize(
    ("unfit", "found"),
    [
        (Unfit.IGNORES_IF_NONE_MATCH, "accepts a conditional put"),
        (Unfit.DELETES_LOCKED_VERSIONS, "lets a locked version be deleted"),
        (Unfit.DELETES_SILENTLY, "lost the first version after a refused deletion"),
        (Unfit.SHORTENS_RETENTION, "lets the retention of a locked version be shortened"),
        (Unfit.SHORTENS_SILENTLY, "lets the retention of a locked version be shortened"),
        (Unfit.FORGETS_RETENTION, "does not note the retention"),
        (Unfit.REPLACES_VERSIONS, "lost the first version after an overwrite"),
        (Unfit.RETURNS_THE_LATEST, "does not return the first version"),
    ],
)
def test_broken_promise_is_named(clock: FakeClock, unfit: Unfit, found: str) -> None:
    store = locking_store(clock, unfit)
    store.put_new("audit", f"{PREFIX}2040/01/02/s/000001.json", b"event")
    with pytest.raises(StoreUnfit, match=found) as refused:
        store.probe("audit", PREFIX)
    assert "audit" in str(refused.value)
    assert "enforces COMPLIANCE" in refused.value.remedy
    assert store.get("audit", f"{PREFIX}2040/01/02/s/000001.json") == b"event"


def test_store_that_keeps_its_promises_passes_again_and_again(clock: FakeClock) -> None:
    store = locking_store(clock)
    for _ in range(3):
        store.probe("audit", PREFIX)
    keys = {version.key for version in store.list_versions("audit", "")}
    assert len(keys) == 3
    assert all(key.startswith(probe_prefix(PREFIX)) for key in keys)


@pytest.mark.parametrize("kind", [GuardedStore, ClosedStore])
def test_store_that_refuses_more_than_is_demanded_is_fit(
    clock: FakeClock, kind: type[MemoryObjectStore]
) -> None:
    store = kind(clock=clock)
    store.create_bucket("audit", object_lock=True)
    store.probe("audit", PREFIX)


@pytest.mark.parametrize(
    ("unfit", "found"),
    [
        (Unfit.IGNORES_IF_NONE_MATCH, "accepts a conditional put"),
        (Unfit.SHORTENS_RETENTION, "lets the retention of a locked version be shortened"),
        (Unfit.SHORTENS_SILENTLY, "lets the retention of a locked version be shortened"),
        (Unfit.FORGETS_RETENTION, "does not note the retention"),
        (Unfit.REPLACES_VERSIONS, "lost the first version after an overwrite"),
        (Unfit.RETURNS_THE_LATEST, "does not return the first version"),
    ],
)
def test_policy_of_a_bucket_hides_no_other_broken_promise(
    clock: FakeClock, unfit: Unfit, found: str
) -> None:
    store = GuardedStore(clock=clock, unfit=frozenset({unfit}))
    store.create_bucket("audit", object_lock=True)
    with pytest.raises(StoreUnfit, match=found):
        store.probe("audit", PREFIX)


def test_bucket_without_versions_is_unfit(clock: FakeClock) -> None:
    store = MemoryObjectStore(clock=clock, unfit=frozenset({Unfit.LOCKS_WITHOUT_VERSIONS}))
    store.create_bucket("audit")
    with pytest.raises(StoreUnfit, match="keeps no versions"):
        store.probe("audit", PREFIX)


@pytest.mark.parametrize(
    "operation",
    ["put_new", "retention", "overwrite", "delete", "get", "delete_version", "set_retention"],
)
def test_store_that_goes_away_is_unavailable_and_not_unfit(
    clock: FakeClock, operation: str
) -> None:
    store = locking_store(clock)
    gone: InterlockError = StoreUnavailable("the store does not answer", remedy="start it")
    store.fail_next(operation, gone)
    with pytest.raises(StoreUnavailable):
        store.probe("audit", PREFIX)


def test_store_that_refuses_locks_is_unfit(clock: FakeClock) -> None:
    store = locking_store(clock)
    store.fail_next("put_new", StoreError("InvalidRequest", remedy="none"))
    with pytest.raises(StoreUnfit, match="refuses to lock an object: InvalidRequest"):
        store.probe("audit", PREFIX)


def test_probe_prefix_has_one_slash() -> None:
    assert probe_prefix("a/b/") == probe_prefix("a/b") == "a/b/probe/"
    assert probe_prefix("") == "probe/"
