"""The embedded S3: data survives, ports never move, nothing is orphaned."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from interlock.errors import PortTaken, ProcessFailed
from interlock.local.locks import is_held
from interlock.local.ports import LOOPBACK, free_port
from interlock.local.process import end_orphan, is_alive
from interlock.local.seaweed import REGION, SeaweedPorts, SeaweedServer, lists_buckets

KEY, SECRET = "test-key", "test-secret"


def s3(server: SeaweedServer) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name=REGION,
        config=Config(retries={"max_attempts": 1}),
    )


def eventually(holds: Callable[[], bool], *, seconds: float = 8.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SeaweedServer]:
    server = SeaweedServer(tmp_path / "s3", port=free_port(), access_key=KEY, secret_key=SECRET)
    yield server
    server.kill()


def elsewhere(server: SeaweedServer) -> SeaweedServer:
    """The same data on other ports."""
    return SeaweedServer(server.directory, port=free_port(), access_key=KEY, secret_key=SECRET)


def test_data_survives_stop_and_kill_on_other_ports_each_time(server: SeaweedServer) -> None:
    server.start()
    s3(server).create_bucket(Bucket="kept")
    written: dict[str, bytes] = {}
    for round_number, end in enumerate((server.kill, server.stop)):
        client = s3(server)
        for number in range(20):
            key, body = f"{round_number}/{number}", os.urandom(60_000)
            client.put_object(Bucket="kept", Key=key, Body=body)
            written[key] = body
        end()
        server.port = free_port()
        server.start()
    client = s3(server)
    read = {key: client.get_object(Bucket="kept", Key=key)["Body"].read() for key in written}
    assert read == written


def test_stop_leaves_no_process_and_no_listener(server: SeaweedServer) -> None:
    server.start()
    assert server.child is not None
    pid, keeper = server.pid, server.child.keeper_pid
    assert pid is not None
    assert keeper is not None
    server.stop()
    assert not is_alive(pid)
    assert not is_alive(keeper)
    assert not server.running
    assert not server.is_ready()
    assert server.pid is None


def test_taken_s3_port_is_named_and_nothing_starts(server: SeaweedServer) -> None:
    with socket.create_server((LOOPBACK, server.port)):
        with pytest.raises(PortTaken, match=rf"port {server.port} for S3 is taken") as refusal:
            server.start()
        assert refusal.value.port == server.port
        assert not server.running
        assert not server.directory.exists()


def test_taken_secondary_port_is_named_and_never_moved(tmp_path: Path) -> None:
    ports = SeaweedPorts.beside(free_port())
    server = SeaweedServer(
        tmp_path / "s3", port=ports.s3, access_key=KEY, secret_key=SECRET, ports=ports
    )
    with socket.create_server((LOOPBACK, ports.filer)):
        with pytest.raises(PortTaken, match=rf"port {ports.filer} for SeaweedFS filer is taken"):
            server.start()
        assert not server.running


def test_another_server_with_other_credentials_is_not_taken_for_ours(
    server: SeaweedServer,
) -> None:
    server.start()
    assert server.is_ready()
    assert not lists_buckets(server.endpoint_url, access_key=KEY, secret_key="other")


def test_bucket_with_a_locked_object_cannot_be_deleted(server: SeaweedServer) -> None:
    server.start()
    client = s3(server)
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    client.put_object_lock_configuration(
        Bucket="locked",
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}},
        },
    )
    client.put_object(Bucket="locked", Key="event", Body=b"1")
    with pytest.raises(ClientError, match="BucketNotEmpty"):
        client.delete_bucket(Bucket="locked")
    assert client.get_object(Bucket="locked", Key="event")["Body"].read() == b"1"


def test_mistyped_bucket_is_an_error_and_is_not_created(server: SeaweedServer) -> None:
    server.start()
    client = s3(server)
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client.put_object(Bucket="mistyped", Key="k", Body=b"1")
    assert client.list_buckets()["Buckets"] == []


def test_directory_is_never_served_twice(
    server: SeaweedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.start()
    monkeypatch.setattr("interlock.local.process.LOCK_SECONDS", 0.1)
    second = elsewhere(server)
    with pytest.raises(ProcessFailed, match=rf"process {server.pid} holds"):
        second.start()
    assert not second.running
    assert server.is_ready()


def test_start_of_a_running_server_is_refused(server: SeaweedServer) -> None:
    server.start()
    with pytest.raises(ProcessFailed, match="is running already"):
        server.start()
    assert server.is_ready()


def test_server_that_ends_early_is_reported_with_its_log(server: SeaweedServer) -> None:
    server.directory.mkdir()
    (server.directory / "filerldb2").write_text("not a folder")
    with pytest.raises(ProcessFailed, match="S3 ended before it was ready with exit status") as e:
        server.start()
    assert "filerldb2" in str(e.value)
    assert not server.running


PARENT = """
import sys, time
from pathlib import Path
from interlock.local.seaweed import SeaweedServer
server = SeaweedServer(Path(sys.argv[1]), port=int(sys.argv[2]), access_key="k", secret_key="s")
server.start()
print(server.pid, server.child.keeper_pid, flush=True)
time.sleep(60)
"""


def start_parent(directory: Path) -> tuple[subprocess.Popen[str], int, int]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(directory), str(free_port())],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid, keeper = map(int, parent.stdout.readline().split())
    return parent, pid, keeper


def test_server_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent, pid, keeper = start_parent(tmp_path / "s3")
    parent.kill()
    parent.wait()
    assert eventually(lambda: not is_alive(pid) and not is_alive(keeper))
    assert not is_held(tmp_path / "s3.lock")


def test_server_whose_parent_and_keeper_were_killed_is_ended_by_the_next_start(
    tmp_path: Path,
) -> None:
    parent, pid, keeper = start_parent(tmp_path / "s3")
    os.kill(keeper, signal.SIGKILL)
    parent.kill()
    parent.wait()
    assert eventually(lambda: not is_alive(keeper))
    assert is_alive(pid)
    server = SeaweedServer(tmp_path / "s3", port=free_port(), access_key=KEY, secret_key=SECRET)
    try:
        server.start()
        assert eventually(lambda: not is_alive(pid))
    finally:
        server.stop()
    assert not end_orphan(tmp_path / "s3.lock")
