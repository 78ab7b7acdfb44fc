"""The connection to an S3 endpoint: boto3's client with timeouts fit for a guard.

Here lives how a request is sent. What an error answer means: ``s3_errors.py``; which request
an operation needs: ``object_store.py``.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from interlock.adapters.s3_errors import (
    CONFLICT,
    Place,
    endpoint_name,
    error_code,
    require_fields,
    translated,
)
from interlock.errors import StoreUnavailable

CONNECT_SECONDS: Final = 3.0  # a guard that waits longer than this is taken for a hang
READ_SECONDS: Final = 30.0
ATTEMPTS: Final = 3  # per request, the first included; botocore waits up to 1 s + 2 s between
CONFLICT_ATTEMPTS: Final = 3
CONNECTIONS: Final = 32  # more than the threads that read the audit trail
LOOPBACK: Final = {"127.0.0.1", "::1", "localhost"}
DEFAULT_REGION: Final = "us-east-1"  # the one region that S3 does not want to be told
COMPLIANCE: Final = "COMPLIANCE"  # the mode of a lock that nobody can lift, the account included


def lock_options(until: datetime | None) -> Mapping[str, Any]:
    """What a put needs so that its version is locked.

    Args:
        until: Until when, aware; None for no lock.
    """
    if until is None:
        return {}
    return {"ObjectLockMode": COMPLIANCE, "ObjectLockRetainUntilDate": until}


class S3Client:
    """A connection to S3. Safe to use from many threads.

    Nothing is sent when it is built; boto3 is loaded with the first request.

    Args:
        endpoint_url: Address; None for AWS.
        access_key: Access key; None for AWS's own ways of finding one.
        secret_key: Its secret; None with ``access_key``.
        region: Region.
        page_size: Objects per request when listing.
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None,
        access_key: str | None,
        secret_key: str | None,
        region: str,
        page_size: int,
    ) -> None:
        self.endpoint = endpoint_name(endpoint_url, region)
        self._endpoint_url = endpoint_url
        self._access_key = access_key
        self._secret_key = secret_key
        self._region = region
        self._page_size = page_size
        self._lock = threading.Lock()
        self._made: Any = None

    @property
    def bucket_options(self) -> Mapping[str, Any]:
        """What the creation of a bucket needs beside its name."""
        if self._endpoint_url is not None or self._region == DEFAULT_REGION:
            return {}
        return {"CreateBucketConfiguration": {"LocationConstraint": self._region}}

    def place(self, bucket: str, key: str = "") -> Place:
        """An object or bucket of this store, for messages.

        Args:
            bucket: Bucket.
            key: Key.
        """
        return Place(self.endpoint, bucket, key)

    def client(self) -> Any:
        """The boto3 client, made once."""
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def call(
        self,
        operation: str,
        bucket: str,
        key: str | None = None,
        *,
        needs: Iterable[str] = (),
        **options: Any,
    ) -> Any:
        """One request, sent again when S3 reports a conflict with another one.

        Args:
            operation: Method of the boto3 client.
            bucket: Bucket.
            key: Key; None for a request about a bucket.
            needs: Fields that S3 answers with.
            **options: Its other parameters.

        Returns:
            The answer.

        Raises:
            StoreError: Or one of its subclasses.
        """
        if key is not None:
            options["Key"] = key
        name, place = operation.replace("_", " "), self.place(bucket, key or "")
        with translated(name, place):
            answer = self._send(operation, {"Bucket": bucket, **options})
        require_fields(answer, needs, name, place)
        return answer

    def pages(self, operation: str, bucket: str, prefix: str) -> Iterator[Any]:
        """The pages of a listing.

        Args:
            operation: Method of the boto3 client.
            bucket: Bucket.
            prefix: What the keys start with.

        Raises:
            StoreError: Or one of its subclasses, at any page.
        """
        name, place = operation.replace("_", " "), self.place(bucket, prefix)
        with translated(name, place):
            paginator = self.client().get_paginator(operation)
            size = {"PageSize": self._page_size}
            for page in paginator.paginate(Bucket=bucket, Prefix=prefix, PaginationConfig=size):
                require_fields(page, ["Name"], name, place)
                yield page

    def _send(self, operation: str, options: Mapping[str, Any]) -> Any:
        call = getattr(self.client(), operation)
        for _ in range(CONFLICT_ATTEMPTS - 1):
            try:
                return call(**options)
            except self.client().exceptions.ClientError as error:
                if error_code(error) != CONFLICT:
                    raise
        return call(**options)

    def _make(self) -> Any:
        import boto3  # 0.3 s that an import of this module should not cost
        from botocore.config import Config

        local = urlsplit(self._endpoint_url or "").hostname in LOOPBACK
        config = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
            max_pool_connections=CONNECTIONS,
            s3={"addressing_style": "path" if self._endpoint_url else "auto"},
            proxies={} if local else None,  # a proxy of the network cannot reach this machine
        )
        # A session of its own: boto3's default one must not be used from many threads.
        session = boto3.session.Session(
            aws_access_key_id=self._access_key,
            aws_secret_access_key=self._secret_key,
            region_name=self._region,
        )
        try:
            return session.client("s3", endpoint_url=self._endpoint_url, config=config)
        except ValueError as error:
            raise StoreUnavailable(
                f"{self.endpoint!r} is no address of an object store",
                remedy="set AWS_ENDPOINT_URL_S3 to http(s)://host:port",
            ) from error
