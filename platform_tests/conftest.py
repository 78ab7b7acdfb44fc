"""Fixtures that every test may ask for: a real S3 server, buckets in it, a clock.

Each pytest-xdist worker is a process of its own and gets a server of its own.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from aws_api import AwsApi, running_api
from hypothesis import HealthCheck, settings
from simulators import FakeClock, MemoryObjectStore
from stores import Buckets, start_weed, store_of
from trails import BUCKET, MemoryTrail, Trail

from interlock.adapters.object_store import S3ObjectStore
from interlock.local.seaweed import SeaweedServer
from interlock.variables import VARIABLES

if TYPE_CHECKING:
    from office import Office
    from product_fixtures import Made, World

    from interlock.adapters.signer import LocalSigner

TEST_TIME = datetime(2040, 1, 2, 9, 0, tzinfo=UTC)
_serial = itertools.count(1)

# A test that is slow on a busy machine is not wrong.
settings.register_profile("interlock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("interlock")


@contextlib.contextmanager
def own_environment() -> Iterator[None]:
    """What the block writes into the process's environment ends with it.

    MLflow's ``set_tracking_uri`` writes there, for one.
    """
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def _unconfigured() -> Iterator[None]:
    """None of the product's variables comes from the shell."""
    with own_environment():
        for name in (*VARIABLES, "DAGSTER_HOME"):
            os.environ.pop(name, None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _interruptible() -> None:
    """A shell that starts tests in the background has SIGINT ignored, and children inherit that.

    Dagster treats SIGTERM as it finds SIGINT.
    """
    for number, usual in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.fixture(scope="module", autouse=True)
def _environment_of_the_module() -> Iterator[None]:
    """Nor does a module find what an earlier one wrote there."""
    with own_environment():
        yield


@pytest.fixture(autouse=True)
def _environment_of_the_test() -> Iterator[None]:
    """No test finds what an earlier one wrote into the process's environment.

    Nor what MLflow and boto3 keep of it: clients of S3 for minutes, and a session with its keys.
    """
    with own_environment():
        yield
    kept = sys.modules.get("mlflow.store.artifact.s3_artifact_repo")
    if kept is not None:
        kept._cached_get_s3_client.cache_clear()
    boto3.DEFAULT_SESSION = None


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


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsApi]:
    """AWS's API on loopback, one server per session."""
    with running_api(tmp_path_factory.mktemp("moto")) as api:
        yield api


@pytest.fixture
def aws_environment(aws: AwsApi, monkeypatch: pytest.MonkeyPatch) -> AwsApi:
    """The same, taken for AWS by everything in this process that asks for no other endpoint."""
    for name, value in aws.variables.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return aws


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at the same time in every test.

    Ahead of the real time, so that a lock set by it is in force in a real store.
    """
    return FakeClock(TEST_TIME)


@pytest.fixture(scope="session")
def mlflow_template(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Gives an empty database of MLflow to copy; making one takes seconds, a copy does not."""

    @functools.cache
    def make() -> Path:
        from interlock.adapters.mlflow_connection import MlflowConnection
        from interlock.governance.principal import Environment

        path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
        opened = MlflowConnection(
            tracking_uri=f"sqlite:///{path}",
            artifact_root=path.with_name("artifacts").as_uri(),
            environment=Environment.DEV,
        )
        assert opened.client is not None
        return path

    return make


@pytest.fixture
def world(tmp_path: Path, mlflow_template: Callable[[], Path]) -> World:
    """An empty dev world of the tiny product."""
    from product_fixtures import new_world

    return new_world(tmp_path / "world", mlflow_template)


@pytest.fixture(scope="session")
def _made_once(
    tmp_path_factory: pytest.TempPathFactory, mlflow_template: Callable[[], Path]
) -> tuple[World, Made]:
    from product_fixtures import new_world, run_all, tiny_product

    with own_environment():
        world = new_world(tmp_path_factory.mktemp("made") / "world", mlflow_template)
        return world, run_all(world, tiny_product())


@pytest.fixture
def made(tmp_path: Path, _made_once: tuple[World, Made]) -> tuple[World, Made]:
    """A dev world in which the tiny product was materialized, in ``run-1``; a copy of its own."""
    from product_fixtures import moved_world

    return moved_world(_made_once[0], tmp_path / "made"), _made_once[1]


@pytest.fixture(scope="session")
def _staged_once(
    tmp_path_factory: pytest.TempPathFactory, mlflow_template: Callable[[], Path]
) -> tuple[World, Made]:
    from product_fixtures import new_world, run_all, tiny_product

    from interlock.governance.principal import Environment

    folder = tmp_path_factory.mktemp("staged") / "world"
    with own_environment():
        world = new_world(folder, mlflow_template, Environment.STAGING)
        return world, run_all(world, tiny_product(tier="high"))


@pytest.fixture(scope="session")
def approval_key(tmp_path_factory: pytest.TempPathFactory) -> LocalSigner:
    """The key whose approvals are believed."""
    from interlock.adapters.signer import LocalSigner, new_private_key

    path = tmp_path_factory.mktemp("keys") / "approval.pem"
    path.touch(mode=0o600)
    path.write_bytes(new_private_key())
    return LocalSigner(path)


@pytest.fixture
def office(tmp_path: Path, _staged_once: tuple[World, Made], approval_key: LocalSigner) -> Office:
    """Staging with one version of a high-tier product that waits for its approvals."""
    from office import Office
    from product_fixtures import moved_world

    world = moved_world(_staged_once[0], tmp_path / "office")
    return Office(world, _staged_once[1], approval_key)


@pytest.fixture
def memory_trail(clock: FakeClock, tmp_path: Path) -> MemoryTrail:
    """An empty audit trail in memory, whose store can be told to fail."""
    store = MemoryObjectStore(clock=clock)
    store.create_bucket(BUCKET, object_lock=True)
    return MemoryTrail(store, BUCKET, tmp_path / "spool", clock)


@pytest.fixture
def real_trail(
    s3: S3ObjectStore, new_bucket: Callable[..., str], clock: FakeClock, tmp_path: Path
) -> Trail:
    """An empty audit trail in the real server."""
    return Trail(s3, new_bucket("audit", object_lock=True), tmp_path / "spool", clock)


@pytest.fixture(params=["memory_trail", "real_trail"])
def trail(request: pytest.FixtureRequest) -> Trail:
    """An empty audit trail, once in memory and once in the real server."""
    found: Trail = request.getfixturevalue(request.param)
    return found
