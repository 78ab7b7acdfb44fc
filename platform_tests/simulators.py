"""Stand-ins that implement a production interface, for faults that cannot be had for real.

Here live a clock that is moved by hand and an object store in memory, with the promises of a
versioned, locking one and the ways in which stores break them. The contract tests in
``integration/test_object_store.py`` hold it and the real one to the same rules.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from interlock.adapters.object_store import (
    NO_METADATA,
    BucketLock,
    ObjectBody,
    ObjectInfo,
    ObjectVersion,
)
from interlock.adapters.store_probe import ProbedStore, probe_store
from interlock.errors import (
    InterlockError,
    ObjectExists,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
    StoreUnavailable,
    StoreUnfit,
)

P = ParamSpec("P")
R = TypeVar("R")


class FakeClock:
    """A clock that stands still until it is moved. Call it for the time."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """Moves the clock by a ``timedelta`` of these arguments."""
        self.now += timedelta(**duration)


class Unfit(StrEnum):
    """A promise that a store breaks."""

    IGNORES_IF_NONE_MATCH = "accepts a conditional put on an existing key"
    DELETES_LOCKED_VERSIONS = "deletes a locked version when asked"
    SHORTENS_RETENTION = "shortens the retention of a locked version"
    SHORTENS_SILENTLY = "refuses to shorten a retention and shortens it"
    DELETES_SILENTLY = "refuses to delete a locked version and deletes it"
    FORGETS_RETENTION = "accepts a retention and does not note it"
    REPLACES_VERSIONS = "gives every put a version and keeps only the last"
    RETURNS_THE_LATEST = "returns the latest version whichever is asked for"
    LOCKS_WITHOUT_VERSIONS = "accepts a retention in a bucket that keeps no versions"


@dataclass(frozen=True)
class Version:
    """One stored version; ``data`` is None for a delete marker."""

    version_id: str
    data: bytes | None
    metadata: Mapping[str, str]
    stored: datetime
    until: datetime | None = None

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data or b"", usedforsecurity=False).hexdigest()}"'


@dataclass
class Bucket:
    """A bucket; versions of a key oldest first."""

    locked: bool
    retention_days: int | None
    versions: dict[str, list[Version]] = field(default_factory=dict)


@dataclass
class Fault:
    """An error that the next calls of an operation raise."""

    error: InterlockError
    after_effect: bool
    times: int


def _operation(
    method: Callable[Concatenate[MemoryObjectStore, P], R],
) -> Callable[Concatenate[MemoryObjectStore, P], R]:
    """An operation as one indivisible step, with the faults that were asked for."""

    @functools.wraps(method)
    def wrapper(self: MemoryObjectStore, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self._guard:
            self.calls[method.__name__] += 1
            self._refuse_when_away(method.__name__)
            fault = self._take_fault(method.__name__)
            if fault is not None and not fault.after_effect:
                raise fault.error
            answer = method(self, *args, **kwargs)
            if fault is not None:
                raise fault.error
            return answer

    return wrapper


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryObjectStore(ProbedStore):
    """An object store in memory: versions, conditions and locks as S3 has them.

    Args:
        clock: Now, aware UTC; retention is measured by it.
        unfit: Promises that it breaks.
    """

    def __init__(
        self, *, clock: Callable[[], datetime] = _now, unfit: frozenset[Unfit] = frozenset()
    ) -> None:
        self.buckets: dict[str, Bucket] = {}
        self.calls: Counter[str] = Counter()
        self.unfit = unfit
        self._clock = clock
        self._guard = threading.RLock()
        self._faults: dict[str, Fault] = {}
        self._away = False
        self._serial = 0

    def fail_next(
        self,
        operation: str,
        error: InterlockError,
        *,
        after_effect: bool = False,
        times: int = 1,
    ) -> None:
        """Lets the next calls of an operation fail.

        Args:
            operation: Name of the method.
            error: What it raises.
            after_effect: Whether the effect happens all the same: an answer that is lost.
            times: How many calls fail.
        """
        self._faults[operation] = Fault(error, after_effect, times)

    def go_away(self) -> None:
        """Lets every operation fail as if the server were gone."""
        self._away = True

    def come_back(self) -> None:
        """Ends ``go_away``; what was stored is there."""
        self._away = False

    @_operation
    def put_new(
        self,
        bucket: str,
        key: str,
        body: bytes,
        *,
        metadata: Mapping[str, str] = NO_METADATA,
        content_type: str = "application/json",  # noqa: ARG002 - of the interface
        retain_until: datetime | None = None,
    ) -> str:
        self._require_free(bucket, key)
        lockable = self._bucket(bucket).locked or Unfit.LOCKS_WITHOUT_VERSIONS in self.unfit
        if retain_until is not None and not lockable:
            raise StoreError(f"bucket {bucket} has no Object Lock", remedy="enable it")
        if retain_until is not None and retain_until <= self._clock():
            raise StoreError("the retention is in the past", remedy="set a later one")
        return self._store(bucket, key, body, metadata, retain_until).version_id

    @_operation
    def put_matching(
        self,
        bucket: str,
        key: str,
        body: bytes,
        *,
        etag: str,
        content_type: str = "application/json",  # noqa: ARG002 - of the interface
    ) -> str:
        self._require_etag(bucket, key, etag)
        return self._store(bucket, key, body, NO_METADATA, None).etag

    def upload_new(
        self,
        bucket: str,
        key: str,
        path: Path,
        *,
        metadata: Mapping[str, str] = NO_METADATA,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        try:
            data = path.read_bytes()
        except OSError as error:
            raise StoreError(f"{path} cannot be read", remedy="check the file") from error
        self._upload_new(bucket, key, data, metadata)
        if progress is not None:
            progress(len(data))

    @_operation
    def _upload_new(self, bucket: str, key: str, data: bytes, metadata: Mapping[str, str]) -> None:
        fault = self._take_fault("upload_new")
        self.calls["upload_new"] += 1
        if fault is not None and not fault.after_effect:
            raise fault.error
        self._require_free(bucket, key)
        self._store(bucket, key, data, metadata, None)
        if fault is not None:
            raise fault.error

    @_operation
    def get(self, bucket: str, key: str, *, version_id: str | None = None) -> bytes:
        return self._body(bucket, key, version_id).data

    @_operation
    def read(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectBody:
        return self._body(bucket, key, version_id)

    @_operation
    def get_oldest(self, bucket: str, key: str) -> bytes:
        for version in self._bucket(bucket).versions.get(key, ()):
            if version.data is not None:
                return version.data
        raise self._missing(bucket, key)

    @_operation
    def download(self, bucket: str, key: str, path: Path) -> None:
        data = self._body(bucket, key, None).data
        partial = path.with_name(f".{path.name}.part")
        try:
            partial.write_bytes(data)
            partial.replace(path)
        except OSError as error:
            raise StoreError(f"{path} cannot be written", remedy="check the folder") from error

    @_operation
    def head(self, bucket: str, key: str) -> ObjectInfo:
        return self._body(bucket, key, None).info

    @_operation
    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        versions = self._bucket(bucket).versions
        return iter(
            [
                replace(self._body(bucket, key, None).info, metadata=NO_METADATA)
                for key in sorted(versions)
                if key.startswith(prefix) and self._latest(bucket, key) is not None
            ]
        )

    @_operation
    def list_versions(self, bucket: str, prefix: str) -> Iterator[ObjectVersion]:
        found = [
            ObjectVersion(
                key=key,
                version_id=version.version_id,
                is_latest=version is kept[-1],
                is_delete_marker=version.data is None,
                last_modified=version.stored,
                size=len(version.data or b""),
            )
            for key, kept in sorted(self._bucket(bucket).versions.items())
            if key.startswith(prefix)
            for version in reversed(kept)
        ]
        return iter(found)

    @_operation
    def delete(self, bucket: str, key: str, *, etag: str | None = None) -> None:
        if etag is not None:
            self._require_etag(bucket, key, etag)
        holder = self._bucket(bucket)
        if not holder.locked:
            holder.versions.pop(key, None)
            return
        holder.versions.setdefault(key, []).append(
            Version(self._new_version(), None, NO_METADATA, self._clock())
        )

    @_operation
    def bucket_exists(self, bucket: str) -> bool:
        return bucket in self.buckets

    @_operation
    def bucket_lock(self, bucket: str) -> BucketLock:
        found = self._bucket(bucket)
        mode = "COMPLIANCE" if found.retention_days is not None else None
        return BucketLock(found.locked, mode, found.retention_days)

    @_operation
    def create_bucket(
        self, bucket: str, *, object_lock: bool = False, retention_days: int | None = None
    ) -> None:
        if bucket in self.buckets:
            if object_lock and not self.buckets[bucket].locked:
                raise StoreUnfit(f"bucket {bucket} exists without Object Lock", remedy="another")
            return
        if retention_days is not None and not object_lock:
            raise StoreError(f"bucket {bucket} has no Object Lock", remedy="enable it")
        self.buckets[bucket] = Bucket(object_lock, retention_days)

    def probe(self, bucket: str, prefix: str) -> None:
        probe_store(self, bucket, prefix, clock=self._clock, new_id=self._new_version)

    @_operation
    def overwrite(
        self, bucket: str, key: str, body: bytes, *, retain_until: datetime | None = None
    ) -> None:
        self._store(bucket, key, body, NO_METADATA, retain_until)

    @_operation
    def delete_version(self, bucket: str, key: str, version_id: str) -> None:
        version = self._version(bucket, key, version_id)
        locked = version.until is not None and version.until > self._clock()
        kept = self.buckets[bucket].versions[key]
        if locked and not self.unfit & {Unfit.DELETES_LOCKED_VERSIONS, Unfit.DELETES_SILENTLY}:
            raise StoreError("the version is locked", remedy="wait")
        kept.remove(version)
        if not kept:
            del self.buckets[bucket].versions[key]
        if locked and Unfit.DELETES_SILENTLY in self.unfit:
            raise StoreError("the version is locked", remedy="wait")

    @_operation
    def set_retention(self, bucket: str, key: str, version_id: str, until: datetime) -> None:
        version = self._version(bucket, key, version_id)
        shorter = version.until is not None and until < version.until
        weak = self.unfit & {Unfit.SHORTENS_RETENTION, Unfit.SHORTENS_SILENTLY}
        if not shorter or weak:
            kept = self.buckets[bucket].versions[key]
            kept[kept.index(version)] = replace(version, until=until)
        if shorter and Unfit.SHORTENS_RETENTION not in self.unfit:
            raise StoreError("the retention cannot be shortened", remedy="wait")

    @_operation
    def retention(self, bucket: str, key: str, version_id: str) -> datetime | None:
        return self._version(bucket, key, version_id).until

    def _refuse_when_away(self, operation: str) -> None:
        if self._away:
            raise StoreUnavailable(
                f"{operation}: the store does not answer", remedy="start the object store"
            )

    def _take_fault(self, operation: str) -> Fault | None:
        fault = self._faults.get(operation)
        if fault is not None:
            fault.times -= 1
            if fault.times <= 0:
                del self._faults[operation]
        return fault

    def _bucket(self, bucket: str) -> Bucket:
        if bucket not in self.buckets:
            raise ObjectMissing(f"there is no bucket {bucket}", remedy="create it")
        return self.buckets[bucket]

    def _latest(self, bucket: str, key: str) -> Version | None:
        """The version that readers get; None when there is none or a marker hides it."""
        kept = self._bucket(bucket).versions.get(key)
        return kept[-1] if kept and kept[-1].data is not None else None

    def _version(self, bucket: str, key: str, version_id: str) -> Version:
        for version in self._bucket(bucket).versions.get(key, ()):
            if version.version_id == version_id:
                return version
        raise self._missing(bucket, key)

    def _body(self, bucket: str, key: str, version_id: str | None) -> ObjectBody:
        if version_id is None:
            version = self._latest(bucket, key)
        else:
            version = self._version(bucket, key, version_id)
            if Unfit.RETURNS_THE_LATEST in self.unfit:
                kept = [v for v in self.buckets[bucket].versions[key] if v.data is not None]
                version = kept[-1]
        if version is None or version.data is None:
            raise self._missing(bucket, key)
        info = ObjectInfo(
            key, len(version.data), version.etag, version.stored, dict(version.metadata)
        )
        return ObjectBody(info, version.data)

    def _store(
        self,
        bucket: str,
        key: str,
        body: bytes,
        metadata: Mapping[str, str],
        until: datetime | None,
    ) -> Version:
        holder = self._bucket(bucket)
        if until is None and holder.retention_days is not None:
            until = self._clock() + timedelta(days=holder.retention_days)
        noted = None if Unfit.FORGETS_RETENTION in self.unfit else until
        name = self._new_version() if holder.locked else ""
        version = Version(name, body, dict(metadata), self._clock(), noted)
        kept = holder.versions.setdefault(key, [])
        if not holder.locked or Unfit.REPLACES_VERSIONS in self.unfit:
            kept.clear()
        kept.append(version if holder.locked else replace(version, version_id="null"))
        return version

    def _require_free(self, bucket: str, key: str) -> None:
        if self._latest(bucket, key) is not None and Unfit.IGNORES_IF_NONE_MATCH not in self.unfit:
            raise ObjectExists(f"s3://{bucket}/{key} exists already", remedy="read it")

    def _require_etag(self, bucket: str, key: str, etag: str) -> None:
        latest = self._latest(bucket, key)
        if latest is None or latest.etag != etag:
            raise PreconditionFailed(f"s3://{bucket}/{key} is in another state", remedy="read it")

    def _new_version(self) -> str:
        self._serial += 1
        return f"v{self._serial:08d}"

    @staticmethod
    def _missing(bucket: str, key: str) -> ObjectMissing:
        return ObjectMissing(f"there is no s3://{bucket}/{key}", remedy="check bucket and key")
