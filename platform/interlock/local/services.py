"""The services of ``interlock up``: their commands, ports, order and signs of readiness.

Here: what each service is. Starting, watching and stopping them together: ``supervisor.py``.
S3 itself: ``seaweed.py``.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.errors import LocalError
from interlock.local.home import Home, replace_file
from interlock.local.ports import LOOPBACK
from interlock.local.process import ChildProcess

LOCATION = "interlock"
MAX_SOCKET_PATH = 100  # bytes; sockaddr_un holds 104 on macOS, 108 on Linux
ASK_SECONDS = 2.0  # for one answer while a service comes up
DAEMONS_AND_LOCATION = """{
  instance { daemonHealth { allDaemonStatuses { healthy required } } }
  workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
    __typename ... on PythonError { message } } } } }
}"""


@dataclass(frozen=True)
class Ports:
    """Where ``interlock up`` serves, TCP on 127.0.0.1.

    Args:
        dagster: Dagster's web server.
        mlflow: MLflow's server.
        s3: The embedded S3.
    """

    dagster: int = 3000
    mlflow: int = 5000
    s3: int = 8333

    def by_service(self) -> Mapping[str, int]:
        """Each port by the name of the service that needs it."""
        return {"Dagster": self.dagster, "MLflow": self.mlflow, "S3": self.s3}

    @property
    def dagster_url(self) -> str:
        """Address of Dagster's web server."""
        return f"http://{LOOPBACK}:{self.dagster}"

    @property
    def mlflow_url(self) -> str:
        """Address of MLflow."""
        return f"http://{LOOPBACK}:{self.mlflow}"


DEFAULT_PORTS = Ports()


@dataclass(frozen=True)
class Service:
    """One process of ``interlock up``.

    Args:
        child: The process.
        is_ready: Whether it serves; answers within seconds.
        after: Name of the service that must be ready before this one starts.
    """

    child: ChildProcess
    is_ready: Callable[[], bool]
    after: str | None = None

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.child.service


def build_services(
    home: Home, ports: Ports, *, module: str, environment: Mapping[str, str], artifact_root: str
) -> tuple[Service, ...]:
    """The services besides S3.

    Args:
        home: Where they keep their state.
        ports: Where they serve.
        module: Python module of the code location.
        environment: The whole environment of each.
        artifact_root: Where MLflow's clients put artifacts, ``s3://bucket/prefix``.

    Returns:
        MLflow, code location, web server, daemon; none is started.
    """
    socket = code_socket(home)
    location = {"host": "localhost", "socket": str(socket), "location_name": LOCATION}
    # JSON is YAML.
    replace_file(home.workspace, json.dumps({"load_from": [{"grpc_server": location}]}, indent=2))

    def child(name: str, *words: str, **extra: str) -> ChildProcess:
        slug = name.lower().replace(" ", "-")
        return ChildProcess(
            name,
            [sys.executable, "-m", *words],
            environment={**environment, **extra},
            log=home.logs / f"{slug}.log",
            directory=home.path,
            lock=home.run / f"{slug}.lock",
        )

    workspace = ("-w", str(home.workspace))
    return (
        Service(
            child(
                "MLflow",
                *("mlflow", "server", "--host", LOOPBACK, "--port", str(ports.mlflow)),
                *("--workers", "1", "--no-serve-artifacts"),
                *("--backend-store-uri", home.mlflow_database_uri),
                *("--default-artifact-root", artifact_root),
                *("--allowed-hosts", f"{LOOPBACK}:{ports.mlflow},localhost:{ports.mlflow}"),
                MLFLOW_TRACKING_URI=home.mlflow_database_uri,
                MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
            ),
            lambda: fetch(ports.mlflow, "/health") is not None,
        ),
        Service(
            child(
                "Code location",
                *("dagster", "code-server", "start", "-m", module),
                *("--socket", str(socket), "--location-name", LOCATION),
            ),
            lambda: serves_code(socket),
        ),
        Service(
            child(
                "Dagster",
                *("dagster_webserver", "--host", LOOPBACK, "--port", str(ports.dagster)),
                *workspace,
            ),
            lambda: fetch(ports.dagster, "/server_info") is not None,
            after="Code location",
        ),
        Service(
            child("Daemon", "dagster._daemon", "run", *workspace),
            lambda: daemons_are_healthy(ports.dagster),
            after="Code location",
        ),
    )


def code_socket(home: Home) -> Path:
    """Where the code location listens: a socket that only this user can reach.

    A port would let every user of the machine run code; and a fixed name, unlike a free port,
    keeps the location's identity, to which Dagster ties the state of its schedules.

    Args:
        home: The home; its own folder is used unless the path would be too long for a socket.

    Raises:
        LocalError: The folder for sockets is not this user's own.
    """
    socket = home.run / "code.sock"
    if len(os.fsencode(socket)) > MAX_SOCKET_PATH:
        digest = hashlib.sha256(os.fsencode(home.path)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"interlock-{os.getuid()}-{digest}"
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise LocalError(
                f"{folder} is not a folder of this user alone",
                remedy="remove it, or choose a shorter INTERLOCK_HOME",
            )
        socket = folder / "code.sock"
    return socket


def fetch(port: int, path: str, *, body: bytes | None = None) -> bytes | None:
    """What a local HTTP service answers.

    Args:
        port: Its port.
        path: Path to ask for.
        body: JSON to post; a plain GET without it.

    Returns:
        The body of a 200; None for anything else, or no answer in time.
    """
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ASK_SECONDS)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request("GET" if body is None else "POST", path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    except (OSError, http.client.HTTPException):
        return None
    else:
        return answer if response.status == http.HTTPStatus.OK else None
    finally:
        connection.close()


def serves_code(socket: Path) -> bool:
    """Whether the code location answers Dagster's health check."""
    import grpc  # type: ignore[import-untyped]
    from grpc_health.v1 import (  # type: ignore[import-untyped]
        health_pb2,
        health_pb2_grpc,
    )

    with contextlib.closing(grpc.insecure_channel(f"unix:{socket}")) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service="DagsterApi"), timeout=ASK_SECONDS
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def daemons_are_healthy(port: int) -> bool:
    """Whether every daemon that the instance requires has sent a heartbeat lately."""
    data = _ask_dagster(port)
    if data is None:
        return False
    statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(status["healthy"] for status in statuses if status["required"])


def location_errors(port: int) -> list[str]:
    """What keeps code locations from loading, as Dagster's web server says.

    Args:
        port: The web server's port.

    Returns:
        One message per location that failed; empty when all are loaded.
    """
    data = _ask_dagster(port)
    if data is None:
        return ["Dagster's web server does not answer"]
    entries = [
        entry["locationOrLoadError"] for entry in data["workspaceOrError"]["locationEntries"]
    ]
    return [
        str(entry.get("message", "still loading")).strip()
        for entry in (found or {} for found in entries)
        if entry.get("__typename") != "RepositoryLocation"
    ]


def _ask_dagster(port: int) -> dict[str, Any] | None:
    answer = fetch(port, "/graphql", body=json.dumps({"query": DAEMONS_AND_LOCATION}).encode())
    if answer is None:
        return None
    data: dict[str, Any] | None = json.loads(answer).get("data")
    return data
