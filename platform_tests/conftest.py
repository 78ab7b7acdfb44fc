"""Fixtures that every test may ask for: a real S3 server, buckets in it, a clock.

Each pytest-xdist worker is a process of its own and gets a server of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from interlock.adapters.object_store import S3ObjectStore
from interlock.errors import PortTaken
from interlock.local.ports import free_port
from interlock.local.seaweed import REGION, SeaweedPorts, SeaweedServer

ACCESS_KEY = "interlock-tests"
SECRET_KEY = "a throw-away secret of the tests"
START_ATTEMPTS = 5

_serial = itertools.count(1)


class TestSeaweed(SeaweedServer):
    """A server with room for the buckets of a whole test session.

    It has one place per GiB of free disk, and each bucket takes one; with smaller volumes
    there are sixteen times as many.
    """

    __test__ = False

    def _flags(self, ports: SeaweedPorts) -> tuple[str, ...]:
        return (*super()._flags(ports), "-master.volumeSizeLimitMB=64")


@dataclass(frozen=True)
class Buckets:
    """Empty buckets of one test, in the real server.

    Attributes:
        data: For snapshots.
        artifacts: For models.
        audit: With Object Lock, without a default retention.
    """

    data: str
    artifacts: str
    audit: str


class FakeClock:
    """A clock that stands still until it is moved. Call it for the time."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """Moves the clock by a ``timedelta`` of these arguments."""
        self.now += timedelta(**duration)


def start_weed(directory: Path) -> SeaweedServer:
    """A started server on a free port; the caller stops it."""
    for _ in range(START_ATTEMPTS - 1):
        server = _weed(directory)
        try:
            server.start()
        except PortTaken:
            continue  # somebody was faster between choosing the port and listening on it
        return server
    server = _weed(directory)
    server.start()
    return server


def _weed(directory: Path) -> SeaweedServer:
    return TestSeaweed(directory, port=free_port(), access_key=ACCESS_KEY, secret_key=SECRET_KEY)


def store_of(server: SeaweedServer) -> S3ObjectStore:
    """A client of a server with its administrator's credentials."""
    return S3ObjectStore(
        endpoint_url=server.endpoint_url,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        region=REGION,
    )


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
