"""The real object store for tests: a server per session, clients and buckets in it.

Fixtures that hand these out are in ``conftest.py``; the store in memory is in
``simulators.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from interlock.adapters.object_store import S3ObjectStore
from interlock.adapters.s3_upload import PART_BYTES
from interlock.errors import PortTaken
from interlock.local.ports import free_port
from interlock.local.seaweed import REGION, SeaweedServer

ACCESS_KEY = "interlock-tests"
SECRET_KEY = "a throw-away secret of the tests"
START_ATTEMPTS = 5


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
    return SeaweedServer(directory, port=free_port(), access_key=ACCESS_KEY, secret_key=SECRET_KEY)


def store_of(
    server: SeaweedServer, *, page_size: int = 1_000, part_bytes: int = PART_BYTES
) -> S3ObjectStore:
    """A client of a server with its administrator's credentials."""
    return S3ObjectStore(
        endpoint_url=server.endpoint_url,
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        region=REGION,
        page_size=page_size,
        part_bytes=part_bytes,
    )
