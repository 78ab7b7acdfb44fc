"""Both exporters against the real parts: Dagster's web server, S3, MLflow; as processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from product_fixtures import new_world, run_all, table_text, tiny_product, write_defs
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from stores import ACCESS_KEY, SECRET_KEY, Buckets

from interlock.adapters.object_store import S3ObjectStore
from interlock.definitions import build_defs
from interlock.errors import MonitoringError
from interlock.governance.principal import Role
from interlock.guard import Guard
from interlock.local.ports import free_port
from interlock.local.seaweed import SeaweedServer
from interlock.settings import REPOSITORY
from monitoring.bounded_http import fetch
from monitoring.catalogue import METRICS, Families
from monitoring.dagster_exporter import DagsterExporter
from monitoring.dagster_reader import DagsterReader
from monitoring.sections import poll_once

CODE_LOCATION = """
from pathlib import Path
from interlock.definitions import build_defs
defs = build_defs(folder=Path({folder!r}))
"""
INSTANCE = "telemetry: {enabled: false}\nnux: {enabled: false}\n"


@contextmanager
def process(*words: str, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child of this test alone, in a process group that ends with it."""
    child = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield child
    finally:
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()


def named(sample: Sample) -> str:
    """Name and labels of a sample, these in the order of the catalogue."""
    known = METRICS.get(sample.name)
    order = sorted(sample.labels) if known is None else known.labels
    return " ".join([sample.name, *(sample.labels[label] for label in order)])


def samples(text: str) -> dict[str, float]:
    return {
        named(sample): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scraped_when(
    address: str, is_there: Callable[[dict[str, float]], bool], *, seconds: float = 90
) -> dict[str, float]:
    """What an exporter serves as soon as it serves what is waited for."""
    deadline = time.monotonic() + seconds
    found: dict[str, float] = {}
    while time.monotonic() < deadline:
        try:
            found = samples(fetch(f"{address}/metrics", timeout=5).decode())
        except MonitoringError:
            found = {}
        if is_there(found):
            return found
        time.sleep(0.1)
    pytest.fail(f"not served within {seconds} s; served were {sorted(found)}")


@pytest.fixture(scope="module")
def dagster_url(
    tmp_path_factory: pytest.TempPathFactory, mlflow_template: Callable[[], Path]
) -> Iterator[str]:
    """A web server whose storage holds a denied run and one that succeeded."""
    home = tmp_path_factory.mktemp("dagster")
    (home / "dagster.yaml").write_text(INSTANCE)
    write_defs(home / "defs")
    (home / "location.py").write_text(CODE_LOCATION.format(folder=str(home / "defs")))
    world = new_world(home / "world", mlflow_template)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for role in (Role.VIEWER, Role.ML_ENGINEER):
            guard = Guard(lambda role=role: world.workspace(role=role))  # type: ignore[misc]
            job = build_defs(folder=home / "defs", guard=guard).resolve_job_def("tiny_pipeline")
            job.execute_in_process(instance=instance, raise_on_error=False)
    port = free_port()
    words = ("dagster_webserver", "-h", "127.0.0.1", "-p", str(port))
    environment = {"DAGSTER_HOME": str(home), "PYTHONPATH": str(REPOSITORY / "platform")}
    with process(*words, "-f", str(home / "location.py"), environment=environment) as server:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while not _answers(f"{url}/server_info"):
            assert server.poll() is None, "the web server ended"
            assert time.monotonic() < deadline, "the web server does not answer"
            time.sleep(0.1)
        yield url


def _answers(url: str) -> bool:
    try:
        fetch(url, timeout=1)
    except MonitoringError:
        return False
    return True


def exporter_samples(exporter: DagsterExporter) -> dict[str, float]:
    for loop in exporter.loops:
        poll_once(loop.sections)
    out = Families()
    exporter.fill(out)
    return {named(sample): sample.value for family in out.all() for sample in family.samples}


def test_a_real_dagster_is_read(dagster_url: str) -> None:
    exporter = DagsterExporter(
        DagsterReader(dagster_url, timeout=10, clock=time.time),
        services={},
        interval=15,
        timeout=10,
    )
    found = exporter_samples(exporter)
    assert [s.name for loop in exporter.loops for s in loop.sections if not s.up] == []
    expected = {
        "dagster_webserver_up": 1,
        "dagster_code_location_loaded location.py": 1,
        "dagster_schedule_running ml_training_schedule": 1,
        "dagster_schedule_overdue_seconds ml_training_schedule": 0,
        "dagster_schedule_ticks_total ml_training_schedule success": 0,
        "pipeline_runs_total tiny_pipeline success": 1,
        "pipeline_runs_total tiny_pipeline failure": 1,
        "pipeline_runs_total ml_training_pipeline success": 0,
        "pipeline_consecutive_failures tiny_pipeline": 0,
        "pipeline_runs_active started": 0,
        "pipeline_duration_seconds_count tiny_pipeline success": 0,
        "dagster_daemon_healthy scheduler": 0,
        "asset_checks_failed tiny validated_data error": 0,
        "asset_checks_failed tiny registered_version error": 0,
    }
    assert {name: found.get(name) for name in expected} == expected
    now = time.time()
    for recent in (
        "pipeline_last_failure_timestamp_seconds tiny_pipeline AccessDenied",
        "pipeline_last_run_timestamp_seconds tiny_pipeline success",
        *(
            f"asset_last_materialization_timestamp_seconds tiny {asset}"
            for asset in ("raw_data", "validated_data", "trained_model", "registered_version")
        ),
    ):
        assert now - 300 < found[recent] <= now, recent


def test_the_dagster_exporter_is_a_process_that_starts_and_stops(dagster_url: str) -> None:
    port = free_port()
    words = ("monitoring.dagster_exporter", "--dagster-url", dagster_url, "--port", str(port))
    closed = f"nothing=127.0.0.1:{free_port()}"
    with process(*words, "--interval=1", f"--service={closed}", environment={}) as child:
        address = f"http://127.0.0.1:{port}"
        found = scraped_when(
            address, lambda seen: "pipeline_runs_total tiny_pipeline success" in seen
        )
        assert found["service_reachable nothing"] == 0
        assert b"# ServiceDown" in fetch(f"{address}/runbooks/ServiceDown", timeout=5)
        started = time.monotonic()
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=10) == 0
        assert time.monotonic() - started < 5


def test_the_orchestrator_is_never_loaded() -> None:
    program = (
        "import sys, monitoring.dagster_exporter, monitoring.drift_monitor, "
        "monitoring.check_dashboards, monitoring.check_rules;"
        "loaded = {name.partition('.')[0] for name in sys.modules};"
        "forbidden = {'dagster', 'mlflow', 'interlock.actions', 'interlock.components'};"
        "sys.exit(str(found) if (found := (loaded | set(sys.modules)) & forbidden) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")


def richer(line: str) -> str:
    age, income, rest = line.split(",", 2)
    return f"{age},{float(income) + 40:.1f},{rest}"


def test_the_drift_monitor_watches_real_parts(
    weed: SeaweedServer,
    s3: S3ObjectStore,
    buckets: Buckets,
    tmp_path: Path,
    mlflow_template: Callable[[], Path],
) -> None:
    world = new_world(tmp_path / "world", mlflow_template)
    world.store, world.data_bucket, world.audit_bucket = s3, buckets.data, buckets.audit
    made = run_all(world, tiny_product())
    port = free_port()
    environment = {
        "ENVIRONMENT": "dev",
        "INTERLOCK_HOME": str(world.folder),
        "AWS_ENDPOINT_URL_S3": weed.endpoint_url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "MLFLOW_TRACKING_URI": f"sqlite:///{world.database}",
        "DATA_BUCKET": buckets.data,
        "AUDIT_BUCKET": buckets.audit,
        "PYTHONPATH": str(REPOSITORY / "platform"),
    }
    words = ("monitoring.drift_monitor", "--port", str(port), "--interval=0.5")
    with process(*words, "--verify-interval=0.5", environment=environment) as child:
        address = f"http://127.0.0.1:{port}"
        found = scraped_when(address, lambda seen: "data_drift_detected tiny" in seen)
        expected = {
            "data_drift_detected tiny": 0,
            "data_hash_changed tiny": 0,
            "data_quality_score tiny": 1,
            "model_accuracy tiny champion": made.trained.metrics["accuracy"],
            "audit_chain_intact": 1,
            "audit_missing_total": 0,
        }
        assert {name: found.get(name) for name in expected} == expected
        lines = world.csv.read_text().splitlines()[1:]
        world.csv.write_text(table_text([richer(line) for line in lines]))
        world.clock.advance(minutes=5)
        run_all(world, tiny_product(), run="run-2")
        drifted = {"data_drift_detected tiny": 1, "model_version tiny challenger": 2}
        found = scraped_when(address, lambda seen: drifted.items() <= seen.items())
        assert found["data_hash_changed tiny"] == 1
        assert found["feature_drift_score tiny income psi"] > 0.2
        key = made.registration.event_key
        s3.delete(buckets.audit, key)
        found = scraped_when(address, lambda seen: seen.get("audit_chain_intact") == 0)
        assert found["audit_findings"] == 1
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=10) == 0
