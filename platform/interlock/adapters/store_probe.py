"""The test of a store's promises: does this bucket keep what Object Lock says it keeps?

A store's word is not taken for it: versions of stores were seen that accept a retention and
do not enforce it. The test runs against the real bucket, under a prefix of its own, with the
credentials at hand, which in the embedded and compose modes are the administrator's.

The promises (DESIGN: "hash the stored bytes; conditional puts; Object Lock"):

- versions are kept, and a version can be locked in COMPLIANCE mode;
- a conditional put on an existing key is refused;
- after a plain overwrite and a delete marker the first version still reads byte for byte;
- deleting that version, or shortening its retention, is refused and changes nothing.

A store may refuse more: a bucket policy of AWS that denies every delete, and every put without a
lock, breaks no promise. What it refuses cannot be tested any further, with one exception: a put
that is refused for want of a lock is tried once more with one.

What is written stays behind until its lock ends; ``verify`` knows the prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, Protocol

from interlock.adapters.store_interface import ObjectStore
from interlock.errors import ObjectExists, ObjectMissing, StoreError, StoreUnavailable, StoreUnfit

PROBE_RETENTION: Final = timedelta(minutes=1)  # longer than a probe takes, seconds of storage
_FIRST: Final = b'{"probe": "first"}\n'
_SECOND: Final = b'{"probe": "second"}\n'


class ProbedStore(ObjectStore, Protocol):
    """A store with the operations of an attacker. Nothing but the probe and tests use them."""

    def overwrite(
        self, bucket: str, key: str, body: bytes, *, retain_until: datetime | None = None
    ) -> None:
        """Stores an object whatever was there: a plain put, with a COMPLIANCE lock or without."""
        ...

    def delete_version(self, bucket: str, key: str, version_id: str) -> None:
        """Deletes one version for good, past the lock where these credentials may do that.

        Raises:
            StoreError: The store refuses.
        """
        ...

    def set_retention(self, bucket: str, key: str, version_id: str, until: datetime) -> None:
        """Sets the retention of one version, in COMPLIANCE mode.

        Raises:
            StoreError: The store refuses.
        """
        ...

    def retention(self, bucket: str, key: str, version_id: str) -> datetime | None:
        """Until when a version is locked in COMPLIANCE mode; None when it is not."""
        ...


def probe_prefix(prefix: str) -> str:
    """Where the probe writes.

    Args:
        prefix: Prefix of the audit trail, with or without a final slash.
    """
    return f"{prefix.rstrip('/')}/probe/" if prefix else "probe/"


def probe_store(
    store: ProbedStore,
    bucket: str,
    prefix: str,
    *,
    clock: Callable[[], datetime],
    new_id: Callable[[], str],
) -> None:
    """Tests the promises above.

    Args:
        store: The store.
        bucket: Bucket.
        prefix: Prefix of the audit trail.
        clock: Now, aware UTC.
        new_id: Something that was never used before.

    Raises:
        StoreUnfit: A promise is broken; says which.
        ObjectMissing: No such bucket.
        StoreUnavailable: No answer.
    """
    key = f"{probe_prefix(prefix)}{new_id()}"
    # S3 keeps retention to the second.
    until = clock().replace(microsecond=0) + PROBE_RETENTION
    version = _write_locked(store, bucket, key, until)
    _require_conditional_put(store, bucket, key, until)
    _overwrite(store, bucket, key, until)
    _hide(store, bucket, key)
    _require_first(store, bucket, key, version, "after an overwrite and a delete marker")
    _require_locked(store, bucket, key, version)
    _require_retained(store, bucket, key, version, until)


def _write_locked(store: ProbedStore, bucket: str, key: str, until: datetime) -> str:
    try:
        version = store.put_new(bucket, key, _FIRST, retain_until=until)
    except (StoreUnavailable, ObjectMissing):
        raise
    except StoreError as error:
        raise _unfit(bucket, f"refuses to lock an object: {error.message}") from error
    if version in {"", "null"}:
        raise _unfit(bucket, "keeps no versions")
    if store.retention(bucket, key, version) != until:
        raise _unfit(bucket, "does not note the retention it was given")
    return version


def _require_conditional_put(store: ProbedStore, bucket: str, key: str, until: datetime) -> None:
    try:
        # With a lock, as events are written: a policy against unlocked puts would answer first.
        store.put_new(bucket, key, _SECOND, retain_until=until)
    except ObjectExists:
        return
    raise _unfit(bucket, "accepts a conditional put (If-None-Match) on an existing key")


def _overwrite(store: ProbedStore, bucket: str, key: str, until: datetime) -> None:
    try:
        store.overwrite(bucket, key, _SECOND)
    except (StoreUnavailable, ObjectMissing):
        raise
    except StoreError:
        with _refusal_permitted():
            store.overwrite(bucket, key, _SECOND, retain_until=until)


def _hide(store: ProbedStore, bucket: str, key: str) -> None:
    with _refusal_permitted():
        store.delete(bucket, key)


@contextmanager
def _refusal_permitted() -> Iterator[None]:
    """An attack that is refused is as good as one that changed nothing."""
    try:
        yield
    except (StoreUnavailable, ObjectMissing):
        raise
    except StoreError:
        return


def _require_locked(store: ProbedStore, bucket: str, key: str, version: str) -> None:
    try:
        store.delete_version(bucket, key, version)
    except StoreUnavailable:
        raise
    except StoreError:
        _require_first(store, bucket, key, version, "after a refused deletion")
        return
    raise _unfit(bucket, "lets a locked version be deleted")


def _require_retained(
    store: ProbedStore, bucket: str, key: str, version: str, until: datetime
) -> None:
    try:
        store.set_retention(bucket, key, version, until - PROBE_RETENTION / 2)
    except StoreUnavailable:
        raise
    except StoreError:
        if store.retention(bucket, key, version) == until:
            return
    raise _unfit(bucket, "lets the retention of a locked version be shortened")


def _require_first(store: ProbedStore, bucket: str, key: str, version: str, when: str) -> None:
    try:
        intact = store.get(bucket, key, version_id=version) == _FIRST
        oldest = store.get_oldest(bucket, key) == _FIRST
    except ObjectMissing as error:
        raise _unfit(bucket, f"lost the first version {when}") from error
    if not (intact and oldest):
        raise _unfit(bucket, f"does not return the first version {when}")


def _unfit(bucket: str, found: str) -> StoreUnfit:
    return StoreUnfit(
        f"bucket {bucket} cannot hold an audit trail: it {found}",
        remedy="create the bucket with Object Lock in a store that enforces COMPLIANCE mode",
    )
