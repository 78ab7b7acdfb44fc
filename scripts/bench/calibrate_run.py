"""Measure what one governed run asks of MLflow, Postgres and S3, and what loading products takes.

Real: the sample product's pipeline, an MLflow server on Postgres that serves artifacts, Dagster's
storage on Postgres, the embedded S3. ``python scripts/bench/calibrate_run.py`` prints JSON; the
figures that the simulation uses are copied from there into ``scaling_inputs.yaml``. Takes about two
minutes on a machine with nothing else to do; nothing else runs it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parent))

from calibration_ground import instance, postgres, products, show

LOADED = (1, 50, 200)  # products of one code location
SAMPLE_SECONDS = 0.05  # between two counts of connections
LOADING = (
    "import sys,time;from pathlib import Path;from interlock.definitions import build_defs;"
    "t=time.process_time();build_defs(folder=Path(sys.argv[1])).get_repository_def();"
    "print(time.process_time()-t, t)"
)


def main() -> None:
    """Measure and print."""
    if "loading" in sys.argv[1:] or len(sys.argv) == 1:
        show("loading", loading())
    if "run" in sys.argv[1:] or len(sys.argv) == 1:
        with postgres() as address:
            show("run", run(address))


def loading() -> list[dict[str, float]]:
    """Processor seconds until the definitions of so many products are there, imports apart."""
    found = []
    for number in LOADED:
        with tempfile.TemporaryDirectory() as folder:
            products(Path(folder), number)
            command = [sys.executable, "-c", LOADING, folder]
            printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        seconds, imports = (float(each) for each in printed.split())
        found.append({"products": number, "cpu_seconds": round(seconds, 3), "imports": imports})
    return found


def run(address: str) -> dict[str, Any]:
    """Run the sample pipeline twice, the second time counted.

    Args:
        address: Of Postgres.

    Returns:
        Counts and processor seconds of one run.
    """
    from interlock.local.platform import connected
    from interlock.settings import load_settings

    with tempfile.TemporaryDirectory() as folder:
        database = _database(address, "mlflow_calibration")
        with (
            mlflow_server(Path(folder), database) as server,
            instance(address) as opened,
            connected(replace(load_settings(), home=Path(folder) / "home")),
        ):
            os.environ["MLFLOW_TRACKING_URI"] = server.address
            _pipeline(opened)
            with _counted(address, server) as counts:
                _pipeline(opened)
            return counts


class MlflowServer:
    """A running server.

    Args:
        process: The server.
        address: Where it answers.
        log: Its access log.
    """

    def __init__(self, process: psutil.Process, address: str, log: Path) -> None:
        self.process, self.address, self.log = process, address, log

    def cpu_seconds(self) -> float:
        """Processor of it and its workers so far."""
        family = [self.process, *self.process.children(recursive=True)]
        return float(sum(each.cpu_times().user + each.cpu_times().system for each in family))

    def requests(self) -> Counter[str]:
        """Answered requests so far, by method."""
        lines = self.log.read_text().splitlines()
        wanted = [line for line in lines if " HTTP/1.1" in line and "/health" not in line]
        return Counter(line.split('"')[1].split()[0] for line in wanted)


@contextmanager
def mlflow_server(folder: Path, database: str) -> Iterator[MlflowServer]:
    """MLflow's server as in ``docker/mlflow/Dockerfile``, one worker, artifacts served.

    Args:
        folder: For artifacts and log.
        database: Its database.

    Yields:
        The server, answering.
    """
    import urllib.request

    from interlock.local.ports import free_port

    port, log = free_port(), folder / "mlflow.log"
    address = f"http://127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", database, "--serve-artifacts"),
        *("--artifacts-destination", str(folder / "artifacts")),
        *("--allowed-hosts", f"127.0.0.1:{port}"),
    ]
    environment = {
        **os.environ,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with log.open("w") as out:
        started = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/health", timeout=2)  # noqa: S310 - loopback
                break
            except OSError:
                time.sleep(0.5)
        yield MlflowServer(psutil.Process(started.pid), address, log)
    finally:
        started.terminate()
        started.wait(30)


@contextmanager
def _counted(address: str, server: MlflowServer) -> Iterator[dict[str, Any]]:
    """Everything that is counted, from the outside, while the block runs."""
    found: dict[str, Any] = {}
    peak: Counter[str] = Counter()
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(address, peak, ended))
    s3, undo = _s3_requests()
    before, cpu, asked = _statistics(address), server.cpu_seconds(), server.requests()
    database, own = _postgres_cpu(address), time.process_time()
    began = time.monotonic()
    watcher.start()
    try:
        yield found
    finally:
        ended.set()
        watcher.join()
        undo()
    found["seconds"] = round(time.monotonic() - began, 1)
    found["cpu_seconds"] = round(time.process_time() - own, 2)
    found["mlflow_cpu_seconds"] = round(server.cpu_seconds() - cpu, 2)
    found["postgres_cpu_seconds"] = round(_postgres_cpu(address) - database, 2)
    found["mlflow_requests"] = dict(server.requests() - asked)
    found["s3_requests"] = dict(s3)
    found["peak_connections"] = dict(peak)
    for name, (sessions, transactions) in _statistics(address).items():
        old = before.get(name, (0, 0))
        found[f"{name.rstrip('_0123456789')}_sessions"] = sessions - old[0]
        found[f"{name.rstrip('_0123456789')}_transactions"] = transactions - old[1]


def _pipeline(opened: Any) -> None:
    from interlock.assembly import open_workspace
    from interlock.definitions import build_defs
    from interlock.guard import Guard
    from interlock.settings import load_settings, process_environment

    guard = Guard(lambda: open_workspace(load_settings(), secrets=process_environment()))
    job = build_defs(guard=guard).resolve_job_def("credit_risk_pipeline")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    assert job.execute_in_process(instance=opened, run_config=quiet).success  # noqa: S101


def _database(address: str, name: str) -> str:
    import psycopg2

    connection = psycopg2.connect(address)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
    connection.close()
    head, _, tail = address.partition("?")
    full = f"{head.rpartition('/')[0]}/{name}" + (f"?{tail}" if tail else "")
    return full.replace("postgresql:", "postgresql+psycopg2:", 1)


def _statistics(address: str) -> dict[str, tuple[int, int]]:
    """Connections ever made and transactions ever ended, by database."""
    import psycopg2

    time.sleep(1.5)  # a backend reports at most once a second, and when it ends
    connection = psycopg2.connect(address)
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT datname, sessions, xact_commit + xact_rollback FROM pg_stat_database "
            "WHERE datname LIKE '%calibration%'"
        )
        rows = cursor.fetchall()
    connection.close()
    return {str(name): (int(sessions), int(ended)) for name, sessions, ended in rows}


def _watch(address: str, peak: Counter[str], ended: threading.Event) -> None:
    import psycopg2

    connection = psycopg2.connect(address)
    connection.autocommit = True
    with connection.cursor() as cursor:
        while not ended.wait(SAMPLE_SECONDS):
            cursor.execute(
                "SELECT datname, count(*) FROM pg_stat_activity "
                "WHERE datname LIKE '%calibration%' GROUP BY datname"
            )
            for name, count in cursor.fetchall():
                plain = str(name).rstrip("_0123456789")
                peak[plain] = max(peak[plain], int(count))
    connection.close()


def _postgres_cpu(address: str) -> float:
    """Processor of this Postgres so far, ended connections included, s."""
    import psycopg2

    connection = psycopg2.connect(address)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = psutil.Process(int(cursor.fetchone()[0]))
    server = backend.parent()
    connection.close()
    assert server is not None  # noqa: S101
    times = [server.cpu_times(), *(each.cpu_times() for each in server.children())]
    ended = times[0].children_user + times[0].children_system
    return float(ended + sum(each.user + each.system for each in times))


def _s3_requests() -> tuple[Counter[str], Any]:
    """Counts what botocore sends, by method, from now on."""
    from botocore.httpsession import URLLib3Session

    counts: Counter[str] = Counter()
    send = URLLib3Session.send

    def counting(self: Any, request: Any) -> Any:
        counts[request.method] += 1
        return send(self, request)

    URLLib3Session.send = counting

    def undo() -> None:
        URLLib3Session.send = send

    return counts, undo


if __name__ == "__main__":
    main()
