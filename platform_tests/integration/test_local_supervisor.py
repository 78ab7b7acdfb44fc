"""``interlock up``: the real services once, and its lives and deaths with light ones."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from interlock.adapters.object_store import S3ObjectStore
from interlock.errors import InterlockError, LocalError, PortTaken, ProcessFailed
from interlock.local import liveness, services
from interlock.local.control import down, up
from interlock.local.home import Home
from interlock.local.liveness import status
from interlock.local.locks import FileLock
from interlock.local.platform import EmbeddedPlatform, connected
from interlock.local.ports import LOOPBACK, free_ports
from interlock.local.process import ChildProcess, is_alive
from interlock.local.services import Ports, Service, code_socket
from interlock.local.supervisor import Supervisor
from interlock.settings import Settings, process_environment

DEFINITIONS = """
import os
import dagster as dg

assert os.environ["ENVIRONMENT"] == "dev"
assert os.environ["RUN_SIGNING_KEY"]

@dg.asset
def one() -> int:
    return 1

defs = dg.Definitions(
    assets=[one],
    schedules=[
        dg.ScheduleDefinition(
            name="six_hourly", cron_schedule="0 */6 * * *", target="*",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
    ],
)
"""
# `interlock up` as a process of its own. With "light", small processes stand in for MLflow and
# Dagster, so that a life takes two seconds instead of twenty.
UP = """
import sys
from interlock.errors import InterlockError
from interlock.local.control import up
from interlock.local.process import ChildProcess
from interlock.local.services import Ports, Service, build_services
from interlock.settings import load_settings

def light(home, ports, *, module, environment, signing, artifact_root):
    def child(name, code):
        slug = name.lower().replace(" ", "-")
        return ChildProcess(
            name, [sys.executable, "-c", code], environment=environment,
            log=home.logs / f"{slug}.log", directory=home.path, lock=home.run / f"{slug}.lock",
        )
    return (
        Service(child("MLflow", "import time; time.sleep(60)"), lambda: True),
        Service(child("Daemon", module), lambda: True, after="MLflow"),
    )

kind, module, *ports = sys.argv[1:]
dagster, mlflow, s3, console = map(int, ports)
try:
    up(
        load_settings(), module=module,
        ports=Ports(dagster=dagster, mlflow=mlflow, s3=s3, console=console),
        echo=lambda line: print(line, flush=True),
        build=light if kind == "light" else build_services,
    )
except InterlockError as error:
    print(type(error).__name__, error, flush=True)
    raise SystemExit(1)
"""
SLEEP = "import time; time.sleep(60)"


def eventually(holds: Callable[[], bool], *, seconds: float = 15.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def new_ports() -> Ports:
    dagster, mlflow, s3, console = free_ports(4)
    return Ports(dagster=dagster, mlflow=mlflow, s3=s3, console=console)


class Life:
    """One ``interlock up`` in a process of its own."""

    def __init__(self, home: Path, ports: Ports, *, kind: str, module: str) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", UP, kind, module),
                *(str(ports.dagster), str(ports.mlflow), str(ports.s3)),
                str(ports.console),
            ],
            env={
                **process_environment(),
                "INTERLOCK_HOME": str(home),
                "PYTHONPATH": str(home.parent),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            self.lines.extend(line.rstrip() for line in self.process.stdout)

    @property
    def said(self) -> str:
        return "\n".join(self.lines)

    def says(self, text: str, *, seconds: float = 120.0) -> bool:
        return eventually(
            lambda: text in self.said or self.process.poll() is not None, seconds=seconds
        ) and (text in self.said)

    def ended(self, *, seconds: float = 20.0) -> int:
        returncode = self.process.wait(timeout=seconds)
        self._reader.join(timeout=5)
        return returncode


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("ENVIRONMENT", "AWS_ENDPOINT_URL_S3", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    return Home(tmp_path / "home")


@pytest.fixture
def settings(home: Home) -> Settings:
    return Settings.from_environment({"INTERLOCK_HOME": str(home.path)})


@pytest.fixture
def live(home: Home, settings: Settings) -> Iterator[Callable[..., Life]]:
    lives: list[Life] = []

    def start(*, kind: str = "light", module: str = SLEEP, ports: Ports | None = None) -> Life:
        lives.append(Life(home.path, ports or new_ports(), kind=kind, module=module))
        return lives[-1]

    yield start
    down(settings)
    for life in lives:
        life.process.kill()
        life.ended()
    assert left_running(home) == []


def left_running(home: Home) -> list[str]:
    """Processes that work in the home: their command line or environment names it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*") if Path("/proc/self/environ").exists() else []:
        try:
            text = (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes()
        except OSError:
            continue  # ended meanwhile, or somebody else's
        if os.fsencode(home.path) in text and int(folder.name) != os.getpid():
            found.append(text[:200].decode(errors="replace"))
    return found


def get(url: str, body: dict[str, str] | None = None) -> str:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(  # noqa: S310 - an address of this test
        url, data, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return str(answer.read().decode())


def store_of(settings: Settings) -> S3ObjectStore:
    return S3ObjectStore(
        endpoint_url=settings.s3_endpoint_url,
        access_key=settings.aws_access_key_id,
        secret_key=settings.aws_secret_access_key,
        region=settings.aws_region,
    )


@pytest.mark.slow
def test_real_services_serve_stop_cleanly_and_keep_their_data(
    home: Home, settings: Settings, live: Callable[..., Life]
) -> None:
    (home.path.parent / "trivial_location.py").write_text(DEFINITIONS)
    ports = new_ports()
    life = live(kind="real", module="trivial_location", ports=ports)
    assert life.says("`interlock down` stops everything"), life.said
    assert get(f"{ports.console_url}/healthz") == "ok"
    for line in (f"Dagster  {ports.dagster_url}", f"MLflow   {ports.mlflow_url}", "S3       http"):
        assert line in life.said
    assert "does not load" not in life.said
    running = status(home)
    assert running is not None
    assert running.ready
    assert running.addresses["Dagster"] == ports.dagster_url

    with pytest.raises(LocalError, match=rf"runs already in .*process {life.process.pid}"):
        up(settings, ports=new_ports())

    query = '{ schedulesOrError(repositorySelector: {repositoryName: "__repository__", '
    query += 'repositoryLocationName: "interlock"}) { ... on Schedules { results { name '
    query += "scheduleState { status } } } } }"
    answer = get(f"{ports.dagster_url}/graphql", {"query": query})
    assert '"status":"RUNNING"' in answer.replace(" ", "")

    get(f"{ports.mlflow_url}/api/2.0/mlflow/experiments/create", {"name": "kept"})
    with connected(settings) as attached:
        assert attached.mlflow_tracking_uri == ports.mlflow_url
        assert attached.s3_endpoint_url == f"http://{LOOPBACK}:{ports.s3}"
        store_of(attached).put_new(attached.data_bucket, "kept", b"1")

    life.process.send_signal(signal.SIGINT)
    assert life.ended() == 0, life.said
    stopped = re.search(r"everything stopped within ([0-9.]+) s", life.said)
    assert stopped is not None
    assert float(stopped[1]) < 10
    assert left_running(home) == []
    assert status(home) is None

    with closing(sqlite3.connect(home.mlflow_database)) as database:
        rows = database.execute(
            "select artifact_location from experiments where name = 'kept'"
        ).fetchall()
    assert rows[0][0].startswith("s3://interlock-artifacts/mlflow")
    with connected(settings) as again:
        assert again.mlflow_tracking_uri == f"sqlite:///{home.mlflow_database}"
        assert store_of(again).get(again.data_bucket, "kept") == b"1"


def test_down_from_another_process_stops_everything(
    home: Home, settings: Settings, live: Callable[..., Life]
) -> None:
    life = live()
    assert life.says("stops everything"), life.said
    lines: list[str] = []
    assert down(settings, echo=lines.append)
    assert lines == [f"stopping process {life.process.pid}"]
    assert life.ended() == 0
    assert left_running(home) == []
    assert not down(settings)


def test_down_where_nothing_ever_ran_does_nothing(home: Home, settings: Settings) -> None:
    assert not down(settings)
    assert not home.path.exists()


def test_taken_port_is_named_before_anything_starts(home: Home, settings: Settings) -> None:
    ports = new_ports()
    refused = pytest.raises(PortTaken, match=f"port {ports.mlflow} for MLflow is taken")
    with socket.create_server((LOOPBACK, ports.mlflow)), refused:
        up(settings, ports=ports)
    assert not home.in_use()
    assert not list(home.logs.iterdir())


def test_child_that_dies_is_named_with_its_log_and_the_rest_is_stopped(
    home: Home, live: Callable[..., Life]
) -> None:
    life = live(module="import time; time.sleep(1); raise SystemExit('disk full')")
    assert life.ended(seconds=60) == 1
    assert "ProcessFailed Daemon ended unexpectedly with exit status 1" in life.said
    assert "disk full" in life.said
    assert left_running(home) == []


def test_store_that_dies_stops_everything(home: Home, live: Callable[..., Life]) -> None:
    life = live()
    assert life.says("stops everything"), life.said
    os.kill(json.loads(home.s3_lock.read_text())["pid"], signal.SIGKILL)
    assert life.ended() == 1
    assert "ProcessFailed S3 ended unexpectedly" in life.said
    assert left_running(home) == []


def test_killed_up_leaves_nothing_behind_and_the_next_one_starts(
    home: Home, live: Callable[..., Life]
) -> None:
    life = live()
    assert life.says("stops everything"), life.said
    life.process.kill()
    life.ended()
    assert status(home) is None
    again = live()
    assert again.says("stops everything"), again.said


def test_services_without_a_keeper_are_ended_by_down(
    home: Home, settings: Settings, live: Callable[..., Life]
) -> None:
    life = live()
    assert life.says("stops everything"), life.said
    holders = [json.loads(lock.read_text()) for lock in (home.run / "daemon.lock", home.s3_lock)]
    for holder in holders:
        os.kill(holder["keeper"], signal.SIGSTOP)
    life.process.kill()
    life.ended()
    for holder in holders:
        os.kill(holder["keeper"], signal.SIGKILL)
    assert eventually(lambda: not any(is_alive(holder["keeper"]) for holder in holders))
    assert any(is_alive(holder["pid"]) for holder in holders)
    assert down(settings)
    assert left_running(home) == []


def test_service_that_cannot_be_ended_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.prepare()
    monkeypatch.setattr(liveness, "ENDED_SECONDS", 0.1)
    lock = FileLock(home.run / "daemon.lock")
    with lock.holding():
        lock.write({"pid": os.getpid(), "keeper": os.getpid()})
        with pytest.raises(LocalError, match="still run: daemon"):
            liveness.end_left_behind(home)


def test_hung_up_is_stopped_by_force(
    home: Home,
    settings: Settings,
    live: Callable[..., Life],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    life = live()
    assert life.says("stops everything"), life.said
    life.process.send_signal(signal.SIGSTOP)
    monkeypatch.setattr("interlock.local.control.DOWN_SECONDS", 0.3)
    lines: list[str] = []
    assert down(settings, echo=lines.append)
    assert lines[-1] == "it does not answer; stopping it by force"
    assert left_running(home) == []


def test_up_waits_for_a_command_and_starts_when_it_has_ended(
    home: Home, settings: Settings, live: Callable[..., Life]
) -> None:
    with connected(settings) as found:
        life = live()
        assert life.says("waiting for the command that uses the embedded S3"), life.said
        assert "S3 is ready" not in life.said
        store_of(found).put_new(found.data_bucket, "undisturbed", b"1")
    assert life.says("stops everything"), life.said


def test_stop_during_the_start_stops_what_was_started(
    home: Home, live: Callable[..., Life]
) -> None:
    (home.path.parent / "trivial_location.py").write_text(DEFINITIONS)
    life = live(kind="real", module="trivial_location")
    assert life.says("S3 is ready"), life.said
    life.process.terminate()
    assert life.ended() == 0, life.said
    assert left_running(home) == []


def test_service_that_never_gets_ready_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, home: Home
) -> None:
    monkeypatch.setattr("interlock.local.supervisor.READY_SECONDS", 2.0)
    monkeypatch.setenv("PYTHONPATH", str(home.path.parent))
    (home.path.parent / "sleepy_location.py").write_text("import time\ntime.sleep(60)\n")
    with pytest.raises(ProcessFailed, match="was not ready within 2 s"):
        up(settings, ports=new_ports(), module="sleepy_location")
    assert left_running(home) == []


def test_up_works_outside_the_main_thread_too(settings: Settings, home: Home) -> None:
    errors: list[InterlockError] = []

    def run() -> None:
        ports = new_ports()
        with socket.create_server((LOOPBACK, ports.s3)):
            try:
                up(settings, ports=ports)
            except InterlockError as error:
                errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert isinstance(errors[0], PortTaken)
    assert left_running(home) == []


def light_services(
    home: Home,
    ports: Ports,
    *,
    module: str,
    environment: Mapping[str, str],
    signing: Mapping[str, str],
    artifact_root: str,
) -> tuple[Service, ...]:
    keys = {"IDENTITY_KEY": home.identity_key, "APPROVAL_KEY": home.approval_key}
    assert signing == {name: str(path) for name, path in keys.items()}
    assert not {"IDENTITY_KEY", "APPROVAL_KEY"} & environment.keys()
    assert environment["IDENTITY_PUBLIC_KEYS"] == str(home.identity_public_keys())
    assert artifact_root == "s3://interlock-artifacts/mlflow"
    assert environment["MLFLOW_TRACKING_URI"] == ports.mlflow_url

    def child(name: str) -> ChildProcess:
        return ChildProcess(
            name,
            [sys.executable, "-c", module],
            environment=environment,
            log=home.logs / f"{name}.log",
            directory=home.path,
            lock=home.run / f"{name.lower()}.lock",
        )

    return (
        Service(child("MLflow"), lambda: True),
        Service(child("Daemon"), lambda: True, after="MLflow"),
    )


class InThread:
    """One life of a supervisor in a thread of this process."""

    def __init__(self, settings: Settings, *, module: str = SLEEP) -> None:
        self.lines: list[str] = []
        self.errors: list[InterlockError] = []
        self.stop = threading.Event()
        self.supervisor = Supervisor(
            EmbeddedPlatform(settings, echo=self.lines.append),
            ports=new_ports(),
            module=module,
            echo=self.lines.append,
            build=light_services,
            stop=self.stop,
        )
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.supervisor.run()
        except InterlockError as error:
            self.errors.append(error)

    def says(self, text: str) -> bool:
        return eventually(lambda: any(text in line for line in self.lines), seconds=60)

    def end(self) -> None:
        self.stop.set()
        self._thread.join()


def test_order_of_a_life(home: Home, settings: Settings) -> None:
    life = InThread(settings)
    try:
        assert life.says("stops everything")
        found = status(home)
        assert found is not None
        assert found.ready
        assert found.addresses == {
            "Dagster": life.supervisor.ports.dagster_url,
            "Console": life.supervisor.ports.console_url,
            "MLflow": life.supervisor.ports.mlflow_url,
            "S3": f"http://{LOOPBACK}:{life.supervisor.ports.s3}",
        }
    finally:
        life.end()
    assert life.errors == []
    heads = [line.split(" is ready")[0] for line in life.lines if " is ready" in line]
    assert heads == ["S3", "MLflow", "Daemon"]
    assert "everything stopped within" in life.lines[-1]
    assert not home.in_use()


def test_failure_during_the_start_stops_what_was_started(home: Home, settings: Settings) -> None:
    life = InThread(settings, module="raise SystemExit('no licence')")
    try:
        assert eventually(lambda: bool(life.errors), seconds=60)
    finally:
        life.end()
    assert isinstance(life.errors[0], ProcessFailed)
    assert "no licence" in str(life.errors[0])
    assert not home.in_use()


def test_stop_while_waiting_for_a_command_starts_nothing(home: Home, settings: Settings) -> None:
    with connected(settings):
        life = InThread(settings)
        try:
            assert life.says("waiting for the command")
        finally:
            life.end()
    assert life.errors == []
    assert not any("is ready" in line for line in life.lines)


def test_fetch_gives_the_body_of_a_200_alone() -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(b"OK")

        def log_message(self, *_words: object) -> None:
            return

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        assert services.fetch(port, "/health") == b"OK"
        assert services.fetch(port, "/other") is None
        server.shutdown()
        thread.join()
    assert services.fetch(port, "/health") is None


def test_code_location_serves_when_its_health_check_says_so(tmp_path: Path) -> None:
    import grpc  # type: ignore[import-untyped]
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]

    path = tmp_path / "s"
    assert not services.serves_code(path)
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        assert not services.serves_code(path)
        servicer.set("DagsterApi", health_pb2.HealthCheckResponse.SERVING)
        give_up = time.monotonic() + 20  # an answer may take longer than one look waits
        while not services.serves_code(path):
            assert time.monotonic() < give_up
    finally:
        server.stop(grace=None).wait()


def test_socket_of_a_deep_home_is_short_and_private(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    deep = Home(tmp_path / ("d" * 120))
    path = code_socket(deep)
    assert path.parent.parent == tmp_path
    assert path == code_socket(deep)
    assert path != code_socket(Home(tmp_path / ("e" * 120)))
    path.parent.chmod(0o777)
    with pytest.raises(LocalError, match="not a folder of this user alone"):
        code_socket(deep)


def test_location_that_does_not_load_is_told(home: Home) -> None:
    home.prepare()
    assert services.location_errors(home) == ["Dagster's web server does not answer"]
    assert not services.daemons_are_healthy(home)
    said = {"daemons_are_healthy": False, "location_errors": ["NameError: x"]}
    home.dagster_status.write_text(json.dumps(said))
    assert services.location_errors(home) == ["NameError: x"]
    assert not services.daemons_are_healthy(home)
    home.dagster_status.write_text(json.dumps({**said, "daemons_are_healthy": True}))
    assert services.daemons_are_healthy(home)


def test_what_an_earlier_life_said_does_not_count(home: Home, settings: Settings) -> None:
    home.prepare()
    home.dagster_status.write_text('{"daemons_are_healthy": true, "location_errors": []}')
    services.build_services(
        home,
        new_ports(),
        module="any",
        environment={},
        signing={},
        artifact_root=f"s3://{settings.artifact_bucket}",
    )
    assert not services.daemons_are_healthy(home)
