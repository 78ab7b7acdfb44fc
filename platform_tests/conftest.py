"""Fixtures that every test may ask for: a real S3 server, buckets in it, a clock.

Each pytest-xdist worker is a process of its own and gets a server of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from simulators import FakeClock
from stores import Buckets, start_weed, store_of

from interlock.adapters.object_store import S3ObjectStore
from interlock.local.seaweed import SeaweedServer

_serial = itertools.count(1)


@pytest.fixture(scope="session")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    """The S3 server of this session. Do not stop it: ``own_weed`` is there for that."""
    server = start_weed(tmp_path_factory.mktemp("weed") / "data")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def own_weed(tmp_path: Path) -> Iterator[SeaweedServer]:
    """An S3 server of this test alone, which it may stop, kill and start."""
    server = start_weed(tmp_path / "own-weed")
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def s3(weed: SeaweedServer) -> S3ObjectStore:
    """A client of the session's server."""
    return store_of(weed)


@pytest.fixture(scope="session")
def new_bucket(s3: S3ObjectStore) -> Callable[..., str]:
    """Makes a bucket with a name of its own; takes the options of ``create_bucket``."""

    def make(kind: str = "test", *, object_lock: bool = False, days: int | None = None) -> str:
        bucket = f"{kind}-{next(_serial):05d}"
        s3.create_bucket(bucket, object_lock=object_lock, retention_days=days)
        return bucket

    return make


@pytest.fixture
def buckets(new_bucket: Callable[..., str]) -> Buckets:
    """Three empty buckets of this test alone."""
    return Buckets(
        data=new_bucket("data"),
        artifacts=new_bucket("artifacts"),
        audit=new_bucket("audit", object_lock=True),
    )


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at the same time in every test.

    Ahead of the real time, so that a lock set by it is in force in a real store.
    """
    return FakeClock(datetime(2040, 1, 2, 9, 0, tzinfo=UTC))
