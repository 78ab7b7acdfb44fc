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


@dataclass(frozen=True)
class Ports:
    """Where ``interlock up`` serves, TCP on 127.0.0.1.

    Args:
        dagster: Dagster's web server.
        mlflow: MLflow's server.
        s3: The embedded S3.
        console: Approvals and audit as web pages.
    """

    dagster: int = 3000
    mlflow: int = 5000
    s3: int = 8333
    console: int = 8080

    def by_service(self) -> Mapping[str, int]:
        """Each port by the name of the service that needs it."""
        return {
            "Dagster": self.dagster,
            "MLflow": self.mlflow,
            "S3": self.s3,
            "Console": self.console,
        }

    @property
    def dagster_url(self) -> str:
        """Address of Dagster's web server."""
        return f"http://{LOOPBACK}:{self.dagster}"

    @property
    def mlflow_url(self) -> str:
        """Address of MLflow."""
        return f"http://{LOOPBACK}:{self.mlflow}"

    @property
    def console_url(self) -> str:
        """Address of the console."""
        return f"http://{LOOPBACK}:{self.console}"


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
    home: Home,
    ports: Ports,
    *,
    module: str,
    environment: Mapping[str, str],
    signing: Mapping[str, str],
    artifact_root: str,
) -> tuple[Service, ...]:
    """The services besides S3.

    Args:
        home: Where they keep their state.
        ports: Where they serve.
        module: Python module of the code location.
        environment: The whole environment of each.
        signing: Besides, the variables of the two web servers, which know who decides, and of
            the daemon, which is told the key that signs who acts alone. The code location and its
            runs must not have them.
        artifact_root: Where MLflow's clients put artifacts, ``s3://bucket/prefix``.

    Returns:
        MLflow, code location, web server, daemon, console; none is started.
    """
    socket = code_socket(home)
    location = {"host": "localhost", "socket": str(socket), "location_name": LOCATION}
    home.dagster_status.unlink(missing_ok=True)  # of an earlier life
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
    of_daemon = {name: value for name, value in signing.items() if name == "IDENTITY_KEY"}
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
                *("interlock.webserver", "--host", LOOPBACK, "--port", str(ports.dagster)),
                *workspace,
                *("--status-file", str(home.dagster_status)),
                **signing,
            ),
            lambda: fetch(ports.dagster, "/healthz") is not None,
            after="Code location",
        ),
        Service(
            child("Daemon", "dagster._daemon", "run", *workspace, **of_daemon),
            lambda: daemons_are_healthy(home),
            after="Code location",
        ),
        Service(
            child(
                "Console",
                *("interlock.console", "--host", LOOPBACK, "--port", str(ports.console)),
                **signing,
            ),
            lambda: fetch(ports.console, "/healthz") is not None,
            after="MLflow",
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


def fetch(port: int, path: str) -> bytes | None:
    """What a local HTTP service answers.

    Args:
        port: Its port.
        path: Path to ask for.

    Returns:
        The body of a 200; None for anything else, or no answer in time.
    """
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", path)
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


def daemons_are_healthy(home: Home) -> bool:
    """Whether every daemon that the instance requires has sent a heartbeat lately."""
    found = _dagster_status(home)
    return found is not None and bool(found["daemons_are_healthy"])


def location_errors(home: Home) -> list[str]:
    """What keeps code locations from loading, as Dagster's web server says.

    Args:
        home: Where it says so. Its pages tell only who signs in, and ``up`` is nobody.

    Returns:
        One message per location that failed; empty when all are loaded.
    """
    found = _dagster_status(home)
    if found is None:
        return ["Dagster's web server does not answer"]
    return [str(each) for each in found["location_errors"]]


def _dagster_status(home: Home) -> dict[str, Any] | None:
    """What ``interlock.webserver.status`` wrote; None before it did."""
    try:
        found: dict[str, Any] = json.loads(home.dagster_status.read_bytes())
    except FileNotFoundError:
        return None
    return found
