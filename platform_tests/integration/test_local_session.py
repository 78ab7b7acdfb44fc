"""One embedded S3 for all commands of a home: started once, shared, stopped at the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from interlock.adapters.environment_mark import MARK_KEY, read_mark, write_mark
from interlock.adapters.object_store import S3ObjectStore
from interlock.errors import (
    ConfigurationError,
    LocalError,
    PortTaken,
    ProcessFailed,
    StoreUnavailable,
)
from interlock.governance.principal import Environment
from interlock.local import platform
from interlock.local.home import Home
from interlock.local.locks import is_held, read_held
from interlock.local.platform import EmbeddedPlatform, connected
from interlock.local.seaweed import SeaweedServer
from interlock.settings import Settings, process_environment

CREATED = datetime(2026, 1, 2, tzinfo=UTC)
# A command of the same home: says where its S3 is, and stays until its standard input ends.
COMMAND = """
import sys
from interlock.local.platform import connected
from interlock.settings import load_settings
with connected(load_settings(), echo=lambda line: print(line, flush=True)) as settings:
    print(settings.s3_endpoint_url, flush=True)
    sys.stdin.read()
"""


def eventually(holds: Callable[[], bool], *, seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def settings_of(home: Path, **environ: str) -> Settings:
    return Settings.from_environment({"INTERLOCK_HOME": str(home), **environ})


def store_of(settings: Settings) -> S3ObjectStore:
    return S3ObjectStore(
        endpoint_url=settings.s3_endpoint_url,
        access_key=settings.aws_access_key_id,
        secret_key=settings.aws_secret_access_key,
        region=settings.aws_region,
    )


class Commands:
    """Starts commands of one test and ends them with it."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def __call__(self, home: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND],
            env={**process_environment(), "INTERLOCK_HOME": str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process


@pytest.fixture
def command(home: Path) -> Iterator[Commands]:
    assert not home.exists()  # asked for, so that the home is checked after the commands ended
    commands = Commands()
    yield commands
    for process in commands.started:
        if process.poll() is None:
            process.kill()
            end(process)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def end(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=30)
    return output


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENVIRONMENT", "AWS_ENDPOINT_URL_S3", "MLFLOW_TRACKING_URI", "RUN_OWNER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "home"
    yield path
    assert not Home(path).in_use(), "something was left running"


def test_session_gives_a_marked_store_and_leaves_nothing_running(home: Path) -> None:
    before = dict(process_environment())
    with connected(settings_of(home), clock=lambda: CREATED) as settings:
        store = store_of(settings)
        assert settings.environment is Environment.DEV
        assert settings.mlflow_tracking_uri == f"sqlite:///{home}/mlflow.db"
        assert settings.run_signing_key is not None
        assert store.bucket_lock(settings.audit_bucket).mode == "COMPLIANCE"
        assert store.bucket_lock(settings.audit_bucket).retention_days == 1
        for bucket in (settings.data_bucket, settings.artifact_bucket, settings.audit_bucket):
            assert read_mark(store, bucket) is Environment.DEV
            assert b"2026-01-02T00:00:00+00:00" in store.get(bucket, MARK_KEY)
        assert process_environment()["DAGSTER_HOME"] == str(home / "dagster_home")
        store.put_new(settings.data_bucket, "kept", b"1")
    assert dict(process_environment()) == before
    with connected(settings_of(home)) as again:
        assert again.s3_endpoint_url != settings.s3_endpoint_url
        assert store_of(again).get(again.data_bucket, "kept") == b"1"
        assert b"2026-01-02" in store_of(again).get(again.audit_bucket, MARK_KEY)
    with pytest.raises(StoreUnavailable):
        store_of(again).get(again.data_bucket, "kept")


def test_configured_services_are_used_and_nothing_is_started(home: Path) -> None:
    configured = settings_of(home, MLFLOW_TRACKING_URI="http://mlflow.example:5000")
    with connected(configured) as settings:
        assert settings is configured
    assert not home.exists()


def test_store_of_another_environment_is_not_taken_for_dev(home: Path) -> None:
    staging = settings_of(home, ENVIRONMENT="staging", AUDIT_RETENTION_DAYS="2")
    with connected(staging) as settings:
        assert read_mark(store_of(settings), settings.data_bucket) is Environment.STAGING
        assert store_of(settings).bucket_lock(settings.audit_bucket).retention_days == 2
    with connected(settings_of(home)) as unset:
        assert unset.environment is None
        assert read_mark(store_of(unset), unset.data_bucket) is Environment.STAGING


def test_environment_that_differs_from_the_mark_is_passed_on_and_the_mark_stays(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connected(settings_of(home)):
        pass
    monkeypatch.setenv("ENVIRONMENT", "prod")
    monkeypatch.setenv("AUDIT_RETENTION_DAYS", "1")
    with connected(settings_of(home, ENVIRONMENT="prod", AUDIT_RETENTION_DAYS="1")) as settings:
        assert settings.environment is Environment.PROD
        assert read_mark(store_of(settings), settings.audit_bucket) is Environment.DEV


def test_bucket_made_by_a_killed_first_start_is_marked_by_the_next(home: Path) -> None:
    embedded = EmbeddedPlatform(settings_of(home))
    embedded.home.prepare()
    server = platform.start_on_free_port(embedded.home)
    try:
        store = embedded.object_store(server.endpoint_url)
        store.create_bucket("interlock-audit", object_lock=True, retention_days=1)
        assert embedded.prepare_store(server.endpoint_url) is Environment.DEV
        assert read_mark(store, "interlock-audit") is Environment.DEV
    finally:
        server.stop()


def test_buckets_of_different_environments_are_refused_and_stay(home: Path) -> None:
    with connected(settings_of(home)) as settings:
        store = store_of(settings)
        store.create_bucket("other-bucket")
        write_mark(store, "other-bucket", Environment.PROD, clock=lambda: CREATED)
        mixed = EmbeddedPlatform(settings_of(home, DATA_BUCKET="other-bucket"))
        assert settings.s3_endpoint_url is not None
        with pytest.raises(ConfigurationError, match="created for different environments"):
            mixed.prepare_store(settings.s3_endpoint_url)
        assert read_mark(store, "other-bucket") is Environment.PROD


def test_failed_preparation_stops_the_store_again(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_platform: EmbeddedPlatform, _endpoint: str) -> Environment:
        raise LocalError("broken", remedy="none")

    monkeypatch.setattr(EmbeddedPlatform, "prepare_store", fail)
    with pytest.raises(LocalError, match="broken"), connected(settings_of(home)):
        pytest.fail("unreachable")
    assert not Home(home).in_use()


def test_session_within_a_session_uses_the_same_store(home: Path) -> None:
    with connected(settings_of(home)) as outer:
        with connected(settings_of(home)) as inner:
            assert inner.s3_endpoint_url == outer.s3_endpoint_url
        assert read_mark(store_of(outer), outer.data_bucket) is Environment.DEV


def test_store_that_does_not_start_leaves_the_session_free(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_server: SeaweedServer) -> None:
        raise ProcessFailed("S3 ended", remedy="none")

    with monkeypatch.context() as broken:
        broken.setattr(SeaweedServer, "start", fail)
        with pytest.raises(ProcessFailed), connected(settings_of(home)):
            pytest.fail("unreachable")
    assert not Home(home).in_use()


def test_second_command_shares_and_the_first_waits_for_it(home: Path, command: Commands) -> None:
    first = command(home)
    address = said(first)
    second = command(home)
    assert said(second) == address
    assert first.stdin is not None
    first.stdin.close()
    assert said(first) == "another command still uses the embedded S3; waiting for it"
    with pytest.raises(LocalError, match="is in use"):
        Home(home).reset()
    assert end(second) == ""
    first.stdin = None
    assert end(first) == ""
    assert (first.returncode, second.returncode) == (0, 0)


def test_interrupt_while_waiting_for_another_command_stops_at_once(
    home: Path, command: Commands
) -> None:
    first = command(home)
    said(first)
    second = command(home)
    said(second)
    assert first.stdin is not None
    first.stdin.close()
    said(first)
    first.send_signal(signal.SIGINT)
    first.stdin = None
    end(first)
    assert not is_held(Home(home).session)
    end(second)


def test_killed_command_takes_its_store_along_and_the_next_starts_anew(
    home: Path, command: Commands
) -> None:
    first = command(home)
    address = said(first)
    first.kill()
    end(first)
    with connected(settings_of(home)) as settings:
        assert settings.s3_endpoint_url != address
        assert read_mark(store_of(settings), settings.data_bucket) is Environment.DEV


def test_state_file_of_a_dead_process_is_not_believed(home: Path) -> None:
    Home(home).prepare()
    Home(home).state.write_text(f'{{"pid": {os.getpid()}, "s3": "http://127.0.0.1:9"}}')
    assert read_held(Home(home).state) is None
    with connected(settings_of(home)) as settings:
        assert settings.s3_endpoint_url != "http://127.0.0.1:9"


def test_start_is_tried_again_when_a_free_port_was_taken_meanwhile(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Home(home).prepare()
    starts: list[int] = []
    start = SeaweedServer.start

    def taken_once(server: SeaweedServer) -> None:
        starts.append(server.port)
        if len(starts) == 1:
            raise PortTaken(server.port, service="S3", remedy="none")
        start(server)

    monkeypatch.setattr(SeaweedServer, "start", taken_once)
    server = platform.start_on_free_port(Home(home))
    server.stop()
    assert len(starts) == 2

    def always_taken(server: SeaweedServer) -> None:
        raise PortTaken(server.port, service="S3", remedy="none")

    monkeypatch.setattr(SeaweedServer, "start", always_taken)
    with pytest.raises(PortTaken):
        platform.start_on_free_port(Home(home))
