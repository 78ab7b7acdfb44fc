"""What Interlock needs of an object store: the interface, and its values.

``object_store.py`` re-exports everything here and is the module to import; it holds the
implementation that speaks S3. The in-memory one of the tests is in
``platform_tests/simulators.py``. What is stored under which key is decided elsewhere.

Every write is conditional or says in its name that it is not. Every method may raise
``StoreUnavailable`` (no answer, or the credentials are refused) and ``StoreError`` (the store
refuses this operation); the methods name the others. A write whose answer was lost may have
landed: the writer finds out by reading.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

NO_METADATA: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True)
class ObjectInfo:
    """What a store says about an object without its bytes.

    Attributes:
        key: Its key.
        size: Bytes.
        etag: Opaque token of this state of the object, quotes included.
        last_modified: When it was stored, UTC.
        metadata: What the writer noted with it; ``list`` does not fill it.
    """

    key: str
    size: int
    etag: str
    last_modified: datetime
    metadata: Mapping[str, str] = field(default_factory=lambda: NO_METADATA)


@dataclass(frozen=True)
class ObjectBody:
    """An object with its bytes."""

    info: ObjectInfo
    data: bytes


@dataclass(frozen=True)
class ObjectVersion:
    """One version of an object, or a marker that hides the ones before it.

    Attributes:
        key: Its key.
        version_id: Opaque.
        is_latest: Whether readers who name no version get this one.
        is_delete_marker: Whether it hides the object; such a version has no bytes.
        last_modified: When it was stored, UTC.
        size: Bytes.
    """

    key: str
    version_id: str
    is_latest: bool
    is_delete_marker: bool
    last_modified: datetime
    size: int


@dataclass(frozen=True)
class BucketLock:
    """What a bucket promises about Object Lock.

    Attributes:
        enabled: Whether versions can be locked at all.
        mode: Default mode of new objects, ``COMPLIANCE`` or ``GOVERNANCE``; None without one.
        retention_days: Default retention of new objects in days; None without one.
    """

    enabled: bool
    mode: str | None
    retention_days: int | None


class ObjectStore(Protocol):
    """What Interlock needs of a store. Implementations are safe to use from many threads."""

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
        """Stores an object under a key that is free.

        Args:
            bucket: Bucket.
            key: Key.
            body: The bytes, at most 5 GB.
            metadata: ASCII names and values.
            content_type: Media type.
            retain_until: Until when the version is locked in COMPLIANCE mode; None for no lock
                beyond the bucket's default.

        Returns:
            Version id; empty where the bucket keeps no versions.

        Raises:
            ObjectExists: The key is taken, possibly by this very write when it was retried.
            ObjectMissing: No such bucket.
        """
        ...

    def put_matching(
        self,
        bucket: str,
        key: str,
        body: bytes,
        *,
        etag: str,
        content_type: str = "application/json",
    ) -> str:
        """Replaces an object that is still in a known state.

        Args:
            bucket: Bucket.
            key: Key.
            body: The new bytes.
            etag: The state expected.
            content_type: Media type.

        Returns:
            The new etag.

        Raises:
            PreconditionFailed: The object is in another state, or there is none.
            ObjectMissing: No such bucket, from stores that tell the two apart.
        """
        ...

    def upload_new(
        self,
        bucket: str,
        key: str,
        path: Path,
        *,
        metadata: Mapping[str, str] = NO_METADATA,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Stores a file of any size under a key that is free; leaves no parts behind.

        Args:
            bucket: Bucket.
            key: Key.
            path: The file, which must not change meanwhile.
            metadata: ASCII names and values.
            progress: Told the bytes stored since it was last called; called from one thread
                at a time.

        Raises:
            ObjectExists: The key is taken.
            ObjectMissing: No such bucket.
            StoreError: Also when the file cannot be read or changed its size.
        """
        ...

    def get(self, bucket: str, key: str, *, version_id: str | None = None) -> bytes:
        """The bytes of an object.

        Args:
            bucket: Bucket.
            key: Key.
            version_id: A version; the latest when not given.

        Raises:
            ObjectMissing: No such bucket, key or version.
        """
        ...

    def read(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectBody:
        """The bytes of an object, with what ``head`` says of exactly these bytes.

        Args:
            bucket: Bucket.
            key: Key.
            version_id: A version; the latest when not given.

        Raises:
            ObjectMissing: No such bucket, key or version.
        """
        ...

    def get_oldest(self, bucket: str, key: str) -> bytes:
        """The bytes of the oldest version, whatever was stored over it since.

        Args:
            bucket: Bucket.
            key: Key.

        Raises:
            ObjectMissing: No such bucket, or no version of that key.
        """
        ...

    def download(self, bucket: str, key: str, path: Path) -> None:
        """Writes an object to a file, which appears complete or not at all.

        Args:
            bucket: Bucket.
            key: Key.
            path: The file; replaced when it exists.

        Raises:
            ObjectMissing: No such bucket or key.
            StoreError: Also when the file cannot be written.
        """
        ...

    def head(self, bucket: str, key: str) -> ObjectInfo:
        """What the store says about an object.

        Args:
            bucket: Bucket.
            key: Key.

        Raises:
            ObjectMissing: No such bucket or key.
        """
        ...

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        """Objects in the order of the store, without those hidden by a delete marker.

        Args:
            bucket: Bucket.
            prefix: What the keys start with.

        Raises:
            ObjectMissing: No such bucket.
        """
        ...

    def list_versions(self, bucket: str, prefix: str) -> Iterator[ObjectVersion]:
        """All versions and delete markers; those of one key newest first.

        Versions and markers of one key may be listed apart from each other.

        Args:
            bucket: Bucket.
            prefix: What the keys start with.

        Raises:
            ObjectMissing: No such bucket.
        """
        ...

    def delete(self, bucket: str, key: str, *, etag: str | None = None) -> None:
        """Removes an object; where the bucket keeps versions, hides it with a delete marker.

        Args:
            bucket: Bucket.
            key: Key; without an etag, one that does not exist is no error.
            etag: The state expected.

        Raises:
            PreconditionFailed: The object is in another state, or there is none.
            ObjectMissing: No such bucket, from stores that tell the two apart.
        """
        ...

    def bucket_exists(self, bucket: str) -> bool:
        """Whether there is such a bucket.

        Args:
            bucket: Bucket.
        """
        ...

    def bucket_lock(self, bucket: str) -> BucketLock:
        """What a bucket promises about Object Lock. Whether it keeps it: ``probe``.

        Args:
            bucket: Bucket.

        Raises:
            ObjectMissing: No such bucket.
        """
        ...

    def create_bucket(
        self, bucket: str, *, object_lock: bool = False, retention_days: int | None = None
    ) -> None:
        """Makes a bucket; one that exists already and is this account's own is left as it is.

        Args:
            bucket: Bucket.
            object_lock: Whether versions can be locked.
            retention_days: Default retention of new objects in COMPLIANCE mode, in days; the
                bucket must be a locking one.

        Raises:
            StoreUnfit: It exists already and does not lock, though it should.
            StoreError: Also when it exists already and belongs to somebody else.
        """
        ...

    def probe(self, bucket: str, prefix: str) -> None:
        """Tests under ``<prefix>probe/`` whether a bucket keeps what Object Lock promises.

        The tests are those of ``store_probe.probe_store``.

        Args:
            bucket: Bucket.
            prefix: Prefix of the audit trail, with or without a final slash.

        Raises:
            StoreUnfit: It does not; says which promise is broken.
            ObjectMissing: No such bucket.
        """
        ...
