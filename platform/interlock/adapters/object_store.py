"""S3: conditional writes, versions, Object Lock.

Here lives ``S3ObjectStore``, which speaks S3 over the network. The interface that everything
else speaks, with its values, is in ``store_interface.py`` and re-exported: this module is the
one to import. The connection is in ``s3_client.py``, the translation of foreign errors in
``s3_errors.py``, the multipart upload in ``s3_upload.py``, the test of a store's promises in
``store_probe.py``.
"""
# ruff: noqa: D102 - the interface documents these methods

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from interlock.adapters.s3_client import COMPLIANCE, S3Client, lock_options
from interlock.adapters.s3_errors import error_code, translated
from interlock.adapters.s3_upload import PART_BYTES, read_part, upload_parts
from interlock.adapters.store_interface import (
    NO_METADATA,
    BucketLock,
    ObjectBody,
    ObjectInfo,
    ObjectStore,
    ObjectVersion,
)
from interlock.adapters.store_probe import ProbedStore, probe_store
from interlock.errors import (
    ObjectExists,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
    StoreUnfit,
)

__all__ = [
    "NO_METADATA",
    "BucketLock",
    "ObjectBody",
    "ObjectInfo",
    "ObjectStore",
    "ObjectVersion",
    "S3ObjectStore",
]

CHUNK_BYTES: Final = 1024 * 1024
_BYTES: Final = "application/octet-stream"
_NO_LOCK: Final = "ObjectLockConfigurationNotFoundError"
_OBJECT_FIELDS: Final = ("ContentLength", "ETag", "LastModified")
# SeaweedFS names a bucket of one's own taken by somebody once it holds objects.
_TAKEN: Final = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return uuid.uuid4().hex


class S3ObjectStore(ProbedStore):
    """A store that speaks S3 over the network. Safe to use from many threads.

    Nothing is sent when it is built; boto3 is loaded with the first request.

    Args:
        endpoint_url: Address; None for AWS.
        access_key: Access key; None for AWS's own ways of finding one.
        secret_key: Its secret; None with ``access_key``.
        region: Region, e.g. ``eu-central-1``.
        clock: Now, aware UTC; for the probe.
        new_id: Something that was never used before; for the probe.
        page_size: Objects per request when listing; S3 gives at most 1,000.
        part_bytes: Files larger than this are uploaded in parts of this; S3 takes 5 MiB at least.
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None,
        access_key: str | None,
        secret_key: str | None,
        region: str,
        clock: Callable[[], datetime] = _utc_now,
        new_id: Callable[[], str] = _new_id,
        page_size: int = 1_000,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self._s3 = S3Client(
            endpoint_url=endpoint_url,
            access_key=access_key,
            secret_key=secret_key,
            region=region,
            page_size=page_size,
        )
        self._clock = clock
        self._new_id = new_id
        self._part_bytes = part_bytes

    @property
    def endpoint(self) -> str:
        """Where the store is, without credentials; for messages."""
        return self._s3.endpoint

    def __repr__(self) -> str:
        return f"S3ObjectStore({self.endpoint!r})"

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
        try:
            answer = self._s3.call(
                "put_object",
                bucket,
                key,
                Body=body,
                Metadata=dict(metadata),
                ContentType=content_type,
                IfNoneMatch="*",
                needs=["ETag"],
                **lock_options(retain_until),
            )
        except PreconditionFailed as error:
            raise self._exists(bucket, key) from error
        return str(answer.get("VersionId", ""))

    def put_matching(
        self,
        bucket: str,
        key: str,
        body: bytes,
        *,
        etag: str,
        content_type: str = "application/json",
    ) -> str:
        try:
            answer = self._s3.call(
                "put_object",
                bucket,
                key,
                Body=body,
                ContentType=content_type,
                IfMatch=etag,
                needs=["ETag"],
            )
        except ObjectMissing as error:
            raise self._gone(bucket, key, error) from error
        return str(answer["ETag"])

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
            size = path.stat().st_size
        except OSError as error:
            raise StoreError(
                f"{path} cannot be read for upload: {error.strerror}", remedy="check the file"
            ) from error
        try:
            if size <= self._part_bytes:
                data = read_part(path, 0, size)
                self.put_new(bucket, key, data, metadata=metadata, content_type=_BYTES)
                if progress is not None:
                    progress(size)
                return
            with translated("upload", self._s3.place(bucket, key)):
                upload_parts(
                    self._s3.client(),
                    bucket,
                    key,
                    path,
                    size=size,
                    least=self._part_bytes,
                    metadata=metadata,
                    progress=progress,
                )
        except PreconditionFailed as error:
            raise self._exists(bucket, key) from error

    def get(self, bucket: str, key: str, *, version_id: str | None = None) -> bytes:
        return self.read(bucket, key, version_id=version_id).data

    def read(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectBody:
        version = {} if version_id is None else {"VersionId": version_id}
        answer = self._s3.call("get_object", bucket, key, needs=_OBJECT_FIELDS, **version)
        with translated("get", self._s3.place(bucket, key)), closing(answer["Body"]) as body:
            data: bytes = body.read()
        return ObjectBody(_info(key, answer), data)

    def get_oldest(self, bucket: str, key: str) -> bytes:
        versions = [
            version
            for version in self.list_versions(bucket, key)
            if version.key == key and not version.is_delete_marker
        ]
        if not versions:
            raise ObjectMissing(
                f"get of {self._s3.place(bucket, key)} found no version",
                remedy="check bucket and key, and that the store is the right one",
            )
        return self.get(bucket, key, version_id=versions[-1].version_id)

    def download(self, bucket: str, key: str, path: Path) -> None:
        partial = path.with_name(f".{path.name}.{self._new_id()}.part")
        try:
            answer = self._s3.call("get_object", bucket, key, needs=_OBJECT_FIELDS)
            with (
                translated("get", self._s3.place(bucket, key)),
                closing(answer["Body"]) as body,
                partial.open("wb") as file,
            ):
                for chunk in body.iter_chunks(CHUNK_BYTES):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise StoreError(
                f"{path} cannot be written: {error.strerror}",
                remedy="check that the folder exists and the disk has room",
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    def head(self, bucket: str, key: str) -> ObjectInfo:
        return _info(key, self._s3.call("head_object", bucket, key, needs=_OBJECT_FIELDS))

    def list(self, bucket: str, prefix: str = "") -> Iterator[ObjectInfo]:
        for page in self._s3.pages("list_objects_v2", bucket, prefix):
            for found in page.get("Contents", ()):
                yield ObjectInfo(
                    key=found["Key"],
                    size=found["Size"],
                    etag=found["ETag"],
                    last_modified=found["LastModified"].astimezone(UTC),
                )

    def list_versions(self, bucket: str, prefix: str) -> Iterator[ObjectVersion]:
        for page in self._s3.pages("list_object_versions", bucket, prefix):
            for kind in ("Versions", "DeleteMarkers"):
                for found in page.get(kind, ()):
                    yield ObjectVersion(
                        key=found["Key"],
                        version_id=found["VersionId"],
                        is_latest=found["IsLatest"],
                        is_delete_marker=kind == "DeleteMarkers",
                        last_modified=found["LastModified"].astimezone(UTC),
                        size=found.get("Size", 0),
                    )

    def delete(self, bucket: str, key: str, *, etag: str | None = None) -> None:
        match = {} if etag is None else {"IfMatch": etag}
        try:
            self._s3.call("delete_object", bucket, key, **match)
        except ObjectMissing as error:
            if etag is None:
                raise
            raise self._gone(bucket, key, error) from error

    def bucket_exists(self, bucket: str) -> bool:
        try:
            self._s3.call("head_bucket", bucket)
        except ObjectMissing:
            return False
        return True

    def bucket_lock(self, bucket: str) -> BucketLock:
        try:
            answer = self._s3.call("get_object_lock_configuration", bucket)
        except ObjectMissing as error:
            if _code(error) == _NO_LOCK:
                return BucketLock(enabled=False, mode=None, retention_days=None)
            raise
        lock = answer.get("ObjectLockConfiguration", {})
        default = lock.get("Rule", {}).get("DefaultRetention", {})
        days = default.get("Days", default.get("Years", 0) * 365)
        return BucketLock(
            enabled=lock.get("ObjectLockEnabled") == "Enabled",
            mode=default.get("Mode"),
            retention_days=days or None,
        )

    def create_bucket(
        self, bucket: str, *, object_lock: bool = False, retention_days: int | None = None
    ) -> None:
        if not self._create(bucket, object_lock):
            if object_lock and not self.bucket_lock(bucket).enabled:
                raise StoreUnfit(
                    f"bucket {bucket} exists at {self.endpoint}, without Object Lock",
                    remedy="choose another bucket; Object Lock is set when a bucket is created",
                )
            return
        if retention_days is not None:
            default = {"Mode": COMPLIANCE, "Days": retention_days}
            self._s3.call(
                "put_object_lock_configuration",
                bucket,
                ObjectLockConfiguration={
                    "ObjectLockEnabled": "Enabled",
                    "Rule": {"DefaultRetention": default},
                },
            )

    def probe(self, bucket: str, prefix: str) -> None:
        probe_store(self, bucket, prefix, clock=self._clock, new_id=self._new_id)

    def overwrite(
        self, bucket: str, key: str, body: bytes, *, retain_until: datetime | None = None
    ) -> None:
        self._s3.call("put_object", bucket, key, Body=body, **lock_options(retain_until))

    def delete_version(self, bucket: str, key: str, version_id: str) -> None:
        self._s3.call(
            "delete_object", bucket, key, VersionId=version_id, BypassGovernanceRetention=True
        )

    def set_retention(self, bucket: str, key: str, version_id: str, until: datetime) -> None:
        self._s3.call(
            "put_object_retention",
            bucket,
            key,
            VersionId=version_id,
            Retention={"Mode": COMPLIANCE, "RetainUntilDate": until},
            BypassGovernanceRetention=True,
        )

    def retention(self, bucket: str, key: str, version_id: str) -> datetime | None:
        answer = self._s3.call("head_object", bucket, key, VersionId=version_id)
        until: datetime | None = answer.get("ObjectLockRetainUntilDate")
        if until is None or answer.get("ObjectLockMode") != COMPLIANCE:
            return None
        return until.astimezone(UTC)

    def _create(self, bucket: str, object_lock: bool) -> bool:
        """Whether the bucket was made; False when it is this account's own already."""
        options = {**self._s3.bucket_options, "ObjectLockEnabledForBucket": object_lock}
        try:
            self._s3.call("create_bucket", bucket, **options)
        except StoreError as error:
            if _code(error) not in _TAKEN or not self._is_own(bucket):
                raise
            return False
        return True

    def _is_own(self, bucket: str) -> bool:
        try:
            return self.bucket_exists(bucket)
        except StoreError:
            return False  # the caller raises what the creation was refused with

    def _exists(self, bucket: str, key: str) -> ObjectExists:
        return ObjectExists(
            f"{self._s3.place(bucket, key)} exists already",
            remedy="read it; objects are written once and never replaced",
        )

    def _gone(self, bucket: str, key: str, error: ObjectMissing) -> StoreError:
        """A missing key is another state than the expected one; a missing bucket is missing."""
        if _code(error) == "NoSuchBucket":
            return error
        return PreconditionFailed(
            f"{self._s3.place(bucket, key)} is gone", remedy="read the object again and decide anew"
        )


def _code(error: StoreError) -> str:
    """S3's own name of the refusal that an error was made from; empty without one."""
    cause = error.__cause__
    return error_code(cause) if isinstance(cause, Exception) else ""


def _info(key: str, answer: Mapping[str, Any]) -> ObjectInfo:
    return ObjectInfo(
        key=key,
        size=answer["ContentLength"],
        etag=answer["ETag"],
        last_modified=answer["LastModified"].astimezone(UTC),
        metadata=dict(answer.get("Metadata", {})),
    )
