from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from interlock.errors import MonitoringError, PortTaken
from monitoring import endpoint
from monitoring.bounded_http import fetch
from monitoring.catalogue import MAX_VALUES, METRICS, Families, Kind
from monitoring.endpoint import RUNBOOKS, SectionCollector, served
from monitoring.sections import Section


def collector() -> SectionCollector:
    """One section that was read and one that was not."""

    def fill(out: Families) -> None:
        out.add("dagster_webserver_up", 1)
        out.add("pipeline_runs_total", 3, 'odd "job"\n', "success")
        buckets = [("5.0", 1.0), ("+Inf", 2.0)]
        out.add_histogram("pipeline_duration_seconds", buckets, 12.5, "job", "success")

    known = Section("runs", lambda: 1, max_age=60, clock=time.monotonic)
    known.poll()
    unknown = Section("assets", lambda: 1, max_age=60, clock=time.monotonic)
    return SectionCollector([known, unknown], fill)


@pytest.fixture
def address() -> Iterator[str]:
    with served(collector(), host="127.0.0.1", port=0) as port:
        yield f"http://127.0.0.1:{port}"


def samples(address: str) -> dict[str, float]:
    text = fetch(f"{address}/metrics", timeout=5).decode()
    families = text_string_to_metric_families(text)
    return {
        " ".join([sample.name, *(f"{k}={v}" for k, v in sorted(sample.labels.items()))]): (
            sample.value
        )
        for family in families
        for sample in family.samples
    }


def test_metrics_are_served(address: str) -> None:
    found = {k: v for k, v in samples(address).items() if not k.startswith("process_")}
    assert found.pop("exporter_section_age_seconds section=runs") < 60
    assert found == {
        "exporter_section_up section=runs": 1,
        "dagster_webserver_up": 1,
        'pipeline_runs_total pipeline=odd "job"\n status=success': 3,
        "pipeline_duration_seconds_bucket le=5.0 pipeline=job status=success": 1,
        "pipeline_duration_seconds_bucket le=+Inf pipeline=job status=success": 2,
        "pipeline_duration_seconds_count pipeline=job status=success": 2,
        "pipeline_duration_seconds_sum pipeline=job status=success": 12.5,
    }


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="only Linux tells a process's memory")
def test_the_exporter_shows_its_own_memory(address: str) -> None:
    assert samples(address)["process_resident_memory_bytes"] > 1e6


def test_runbooks_are_served(address: str) -> None:
    page = sorted(RUNBOOKS.glob("*.md"))[0]
    for path in (f"/runbooks/{page.stem}", f"/runbooks/{page.name}"):
        assert fetch(address + path, timeout=5) == page.read_bytes()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metrics/",
        "/runbooks/",
        "/runbooks/Nothing",
        "/runbooks/..%2f..%2fpyproject",
        "/runbooks/../catalogue.py",
    ],
)
def test_nothing_else_is_served(address: str, path: str) -> None:
    with pytest.raises(MonitoringError, match="status 404"):
        fetch(address + path, timeout=5)


def test_clients_that_say_nothing_keep_nobody_waiting(address: str) -> None:
    port = int(address.rpartition(":")[2])
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(30)]
    try:
        assert fetch(f"{address}/metrics", timeout=5)
    finally:
        for each in silent:
            each.close()


def test_a_silent_client_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint._Handler, "timeout", 0.1)
    with (
        served(collector(), host="127.0.0.1", port=0) as port,
        socket.create_connection(("127.0.0.1", port), timeout=5) as silent,
    ):
        assert silent.recv(1) == b""


def test_a_taken_port_is_refused() -> None:
    with (
        served(collector(), host="127.0.0.1", port=0) as port,
        pytest.raises(PortTaken, match=f"port {port} for metrics is taken"),
        served(collector(), host="127.0.0.1", port=port),
    ):
        pass


def test_nothing_is_left_running(address: str) -> None:
    before = set(threading.enumerate())
    with served(collector(), host="127.0.0.1", port=0) as port:
        fetch(f"http://127.0.0.1:{port}/metrics", timeout=5)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    assert [each for each in threading.enumerate() if each not in before] == []


def test_labels_that_people_name_are_bounded() -> None:
    out = Families()
    kept = out.bounded("job", [f"job-{number:04}" for number in range(MAX_VALUES + 7)] * 2)
    assert len(kept) == MAX_VALUES
    (dropped,) = out.all()
    assert [(s.labels, s.value) for s in dropped.samples] == [({"label": "job"}, 7.0)]


def test_a_sample_must_have_the_labels_of_its_metric() -> None:
    with pytest.raises(ValueError, match="argument 2 is longer"):
        Families().add("dagster_webserver_up", 1, "surplus")
    with pytest.raises(KeyError):
        Families().add("made_up", 1)


def test_every_metric_is_named_as_prometheus_wants() -> None:
    for metric in METRICS.values():
        assert metric.help.endswith("."), metric.name
        assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total"), metric.name
        assert not {"le", "job", "instance"} & set(metric.labels), metric.name


def test_the_names_that_others_rely_on_exist() -> None:
    promised = {
        *("dagster_webserver_up", "dagster_webserver_response_seconds", "pipeline_runs_total"),
        *("pipeline_duration_seconds", "data_quality_score", "data_drift_detected"),
        *("data_row_count", "feature_drift_score", "model_accuracy", "audit_events_total"),
        *("audit_missing_total", "prediction_drift_score"),
    }
    assert promised <= METRICS.keys()
    # Its source does not exist yet: no constant zero.
    assert "audit_unsealed_events" not in METRICS
