from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from dagster_graphql.schema import create_schema
from graphql import parse, validate

from interlock.errors import MonitoringError
from interlock.local.ports import free_port
from monitoring import dagster_queries as queries
from monitoring.catalogue import Families
from monitoring.dagster_exporter import (
    DagsterExporter,
    main,
    overdue_seconds,
    parser,
    service_address,
    token_in,
)
from monitoring.dagster_reader import DagsterReader
from monitoring.dagster_values import Run, Schedule, Tick
from monitoring.sections import poll_once
from monitoring.tallies import SEEN_RUNS, Durations, Ticks

NOW = 1_800_000_000.0  # Unix time of these tests
HOUR = 3_600.0


def run(
    name: str, *, status: str = "SUCCESS", job: str = "tiny_pipeline", ended: float | None = NOW
) -> dict[str, Any]:
    """A run of ten seconds, as GraphQL has it."""
    start = NOW - 10 if ended is None else ended - 10
    return {
        "runId": name,
        "jobName": job,
        "status": status,
        "creationTime": start - 5,
        "startTime": start,
        "endTime": ended,
    }


def runs(*results: dict[str, Any], count: int | None = None) -> dict[str, Any]:
    return {"__typename": "Runs", "count": len(results) if count is None else count} | {
        "results": list(results)
    }


def schedule(**changes: Any) -> dict[str, Any]:
    state = {"status": "RUNNING", "ticks": [], **changes}
    return {
        "name": "ml_training_schedule",
        "scheduleState": state,
        "potentialTickTimestamps": [NOW - HOUR, NOW + 5 * HOUR],
    }


def location(*schedules: dict[str, Any], jobs: tuple[str, ...] = ("tiny_pipeline",)) -> Any:
    sensors = [
        {"name": name, "sensorState": {"ticks": [{"timestamp": at}] if at else []}}
        for name, at in (("reconciler", NOW - 30), ("decisions", None))
    ]
    repository = {
        "jobs": [{"name": job} for job in jobs],
        "schedules": list(schedules),
        "sensors": sensors,
    }
    return {
        "name": "interlock",
        "loadStatus": "LOADED",
        "locationOrLoadError": {"__typename": "RepositoryLocation", "repositories": [repository]},
    }


def workspace(*locations: Any) -> dict[str, Any]:
    daemon = {"daemonType": "SCHEDULER", "required": True, "healthy": None}
    return {
        "workspaceOrError": {"__typename": "Workspace", "locationEntries": list(locations)},
        "instance": {
            "daemonHealth": {
                "allDaemonStatuses": [
                    {**daemon, "lastHeartbeatTime": None},
                    {**daemon, "daemonType": "ASSET", "healthy": True, "lastHeartbeatTime": NOW},
                    {**daemon, "daemonType": "SENSOR", "required": False},
                ]
            }
        },
    }


def check(status: str, severity: str | None = "ERROR") -> dict[str, Any]:
    evaluation = None if severity is None else {"severity": severity}
    return {"executionForLatestMaterialization": {"status": status, "evaluation": evaluation}}


def asset(*path: str, checks: Any = (), materialized: float | None = NOW) -> dict[str, Any]:
    newest = [] if materialized is None else [{"timestamp": str(materialized * 1_000)}]
    return {
        "assetKey": {"path": list(path)},
        "assetMaterializations": newest,
        "assetChecksOrError": {"__typename": "AssetChecks", "checks": list(checks)},
    }


def failure(*events: dict[str, Any], more: bool = False) -> dict[str, Any]:
    page = {"__typename": "EventConnection", "cursor": "next", "hasMore": more}
    return {"logsForRun": {**page, "events": [{"__typename": "RunStartEvent"}, *events]}}


def step_failure(**metadata: str) -> dict[str, Any]:
    entries = [{"label": label, "text": text} for label, text in metadata.items()]
    return {
        "__typename": "ExecutionStepFailureEvent",
        "failureMetadata": {"metadataEntries": entries},
    }


class FakeDagster:
    """A web server that answers each kind of query with what a test gave it."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "Workspace": workspace(location(schedule())),
            "Active": {status: runs() for status in ("QUEUED", "STARTING", "STARTED", "CANCELING")},
            "Ended": {"runsOrError": runs()},
            "Assets": {"assetNodes": []},
            "Failure": failure(),
        }
        self.history: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.token = ""

    def answer(self, query: str, variables: dict[str, Any]) -> object:
        name = query.split()[1].split("(", maxsplit=1)[0]
        self.asked.append((name, variables))
        if name == "History":
            return {"data": self._history(query)}
        found = self.answers[name]
        return found if not isinstance(found, dict) or "errors" in found else {"data": found}

    def _history(self, query: str) -> dict[str, Any]:
        data = {}
        for alias, job in re.findall(r'(\w+): runsOrError\(filter: \{pipelineName: "(\w+)"', query):
            ended = self.history.get(job, [])
            _, _, status = alias.partition("_")
            chosen = [each for each in ended if not status or each["status"] == status]
            data[alias] = runs(*chosen)
        return data


@pytest.fixture
def dagster() -> FakeDagster:
    return FakeDagster()


@pytest.fixture
def url(dagster: FakeDagster) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(b"{}")

        def do_POST(self) -> None:
            if dagster.token and self.headers["Authorization"] != f"Bearer {dagster.token}":
                self._say(b"{}", 401)
                return
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._say(json.dumps(dagster.answer(body["query"], body["variables"])).encode())

        def _say(self, body: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def exporter(url: str) -> DagsterExporter:
    return exporter_of(url)


def exporter_of(url: str, now: Callable[[], float] = lambda: NOW) -> DagsterExporter:
    return DagsterExporter(
        DagsterReader(url, timeout=5, clock=now),
        services={},
        interval=15,
        timeout=5,
        clock=now,
    )


def samples(exporter: DagsterExporter, *, poll: bool = True) -> dict[str, float]:
    if poll:
        for loop in exporter.loops:
            poll_once(loop.sections)
    out = Families()
    exporter.fill(out)
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in out.all()
        for sample in family.samples
    }


def only(found: dict[str, float], prefix: str) -> dict[str, float]:
    return {
        name.removeprefix(prefix).strip(): value
        for name, value in found.items()
        if name.startswith(prefix)
    }


def test_a_dead_dagster_is_down_and_nothing_more_is_claimed() -> None:
    exporter = DagsterExporter(
        DagsterReader(f"http://127.0.0.1:{free_port()}", timeout=1, clock=lambda: NOW),
        services={"postgres": ("127.0.0.1", free_port())},
        interval=15,
        timeout=1,
    )
    assert samples(exporter) == {"dagster_webserver_up": 0, "service_reachable postgres": 0}


def test_web_server_that_does_not_believe_the_token_is_up_and_says_so(
    dagster: FakeDagster, url: str, tmp_path: Path
) -> None:
    dagster.token, file = "interlock.61.right", tmp_path / "token"
    reader = DagsterReader(url, timeout=5, clock=lambda: NOW, token=token_in(file))
    exporter = DagsterExporter(reader, services={}, interval=15, timeout=5)
    for held, admitted in {"": 0, "interlock.61.wrong": 0, "interlock.61.right": 1}.items():
        if held:
            file.write_text(f"{held}\n")
        found = samples(exporter)
        assert found["dagster_webserver_up"] == 1
        assert found["dagster_webserver_admits_exporter"] == admitted
        assert ("dagster_daemon_healthy asset" in found) == bool(admitted)


def test_what_is_not_read_again_disappears(url: str) -> None:
    moment = [0.0]
    exporter = DagsterExporter(
        DagsterReader(url, timeout=5, clock=lambda: NOW),
        services={},
        interval=15,
        timeout=5,
        monotonic=lambda: moment[0],
    )
    assert "pipeline_runs_active queued" in samples(exporter)
    moment[0] = 1_000.0
    assert samples(exporter, poll=False) == {}


@pytest.mark.parametrize(
    ("query", "answer", "kept"),
    [
        ("Workspace", {"workspaceOrError": {"__typename": "PythonError"}}, "asset_"),
        ("Workspace", workspace({"name": "interlock"}), "asset_"),
        ("Active", {"QUEUED": {}}, "dagster_daemon"),
        ("Ended", {"runsOrError": runs({"runId": "x"})}, "dagster_daemon"),
        ("Assets", {"assetNodes": [{"assetKey": None}]}, "dagster_daemon"),
        ("Assets", {"errors": [{"message": "no field"}], "data": {}}, "dagster_daemon"),
        ("Assets", [], "dagster_daemon"),
        ("Assets", {"data": None, "errors": []}, "dagster_daemon"),
    ],
)
def test_a_part_of_another_shape_takes_only_itself_away(
    dagster: FakeDagster, url: str, query: str, answer: object, kept: str
) -> None:
    dagster.answers["Assets"] = {"assetNodes": [asset("tiny", "raw_data")]}
    dagster.answers[query] = answer
    exporter = exporter_of(url)
    found = samples(exporter)
    down = {"Active": "runs", "Ended": "runs"}.get(query, query.lower())
    section = {s.name: s for loop in exporter.loops for s in loop.sections}[down]
    assert section.up is False
    assert only(found, kept)
    assert found["dagster_webserver_up"] == 1


def test_runs_are_counted_by_job_and_status(dagster: FakeDagster, url: str) -> None:
    dagster.answers["Workspace"] = workspace(location(jobs=("tiny_pipeline", "idle_pipeline")))
    dagster.history["tiny_pipeline"] = [
        run("3", status="FAILURE"),
        run("2", status="FAILURE", ended=NOW - HOUR),
        run("1", ended=NOW - 2 * HOUR),
        run("0", status="FAILURE", ended=NOW - 3 * HOUR),
    ]
    dagster.answers["Failure"] = failure(step_failure(error="AuditWriteFailed", remedy="wait"))
    found = samples(exporter_of(url))
    assert only(found, "pipeline_runs_total") == {
        "idle_pipeline success": 0,
        "idle_pipeline failure": 0,
        "idle_pipeline canceled": 0,
        "tiny_pipeline success": 1,
        "tiny_pipeline failure": 3,
        "tiny_pipeline canceled": 0,
    }
    assert only(found, "pipeline_consecutive_failures") == {"tiny_pipeline": 2}
    assert only(found, "pipeline_last_run_timestamp_seconds") == {
        "tiny_pipeline failure": NOW,
        "tiny_pipeline success": NOW - 2 * HOUR,
    }
    assert only(found, "pipeline_last_run_duration_seconds") == {"tiny_pipeline": 10}
    assert only(found, "pipeline_last_failure_timestamp_seconds") == {
        "tiny_pipeline AuditWriteFailed": NOW
    }


@pytest.mark.parametrize(
    ("events", "cause"),
    [
        ((step_failure(policy="default deny", action="model:train"),), "AccessDenied"),
        ((step_failure(error="StoreUnavailable"),), "StoreUnavailable"),
        ((step_failure(error="mine/../../made up"),), "other"),
        ((step_failure(),), "other"),
        (({"__typename": "ExecutionStepFailureEvent", "failureMetadata": None},), "other"),
        ((), "other"),
    ],
)
def test_a_failure_has_the_cause_that_its_step_recorded(
    dagster: FakeDagster, url: str, events: tuple[dict[str, Any], ...], cause: str
) -> None:
    dagster.history["tiny_pipeline"] = [run("1", status="FAILURE")]
    dagster.answers["Failure"] = failure(*events)
    exporter = exporter_of(url)
    for _ in range(2):
        found = only(samples(exporter), "pipeline_last_failure_timestamp_seconds")
        assert found == {f"tiny_pipeline {cause}": NOW}
    assert [name for name, _ in dagster.asked].count("Failure") == 1, "read once per run"


def test_a_log_without_end_is_not_read_to_its_end(dagster: FakeDagster, url: str) -> None:
    dagster.history["tiny_pipeline"] = [run("1", status="FAILURE")]
    dagster.answers["Failure"] = failure(more=True)
    found = only(samples(exporter_of(url)), "pipeline_last_failure_timestamp_seconds")
    assert found == {"tiny_pipeline other": NOW}
    pages = [variables["after"] for name, variables in dagster.asked if name == "Failure"]
    assert pages == [None, *["next"] * 9]


def test_few_logs_are_read_at_a_time(dagster: FakeDagster, url: str) -> None:
    jobs = ("one", "two")
    dagster.answers["Workspace"] = workspace(location(jobs=jobs))
    for job in jobs:
        dagster.history[job] = [run(f"{job}-{i}", status="FAILURE", job=job) for i in range(10)]
    exporter = exporter_of(url)
    for _ in range(3):
        before = len(dagster.asked)
        samples(exporter)
        assert sum(name == "Failure" for name, _ in dagster.asked[before:]) <= 10


def test_active_runs_have_an_age(dagster: FakeDagster, exporter: DagsterExporter) -> None:
    waiting = run("w", status="QUEUED", ended=None) | {"startTime": None}
    dagster.answers["Active"] |= {
        "STARTED": runs(run("b", ended=None), run("a", ended=None), count=250),
        "QUEUED": runs(waiting),
    }
    found = samples(exporter)
    assert only(found, "pipeline_runs_active") == {
        "queued": 1,
        "starting": 0,
        "started": 250,
        "canceling": 0,
    }
    assert only(found, "pipeline_oldest_run_age_seconds") == {"started": 10, "queued": 15}


def test_durations_count_each_run_that_ends_once(
    dagster: FakeDagster, exporter: DagsterExporter
) -> None:
    first = only(samples(exporter), "pipeline_duration_seconds_count")
    assert first == {"tiny_pipeline success": 0, "tiny_pipeline failure": 0}
    dagster.answers["Ended"] = {
        "runsOrError": runs(
            run("new"),
            run("old", ended=NOW - 60),
            run("stranger", job="unknown"),
            run("never started") | {"startTime": None},
            run("canceled", status="CANCELED"),
        )
    }
    for _ in range(2):
        found = samples(exporter)
        assert found["pipeline_duration_seconds_count tiny_pipeline success"] == 1
        assert found["pipeline_duration_seconds_sum tiny_pipeline success"] == 10
        assert found["pipeline_duration_seconds_bucket tiny_pipeline success 5.0"] == 0
        assert found["pipeline_duration_seconds_bucket tiny_pipeline success 10.0"] == 1
        assert found["pipeline_duration_seconds_bucket tiny_pipeline success +Inf"] == 1


def test_the_memory_of_counted_runs_is_bounded() -> None:
    tally = Durations(since=0)
    tally.know(["job"])
    for number in range(SEEN_RUNS + 5):
        tally.observe([Run(str(number), "job", "success", 0, 1, 2)])
    assert len(tally._seen) == SEEN_RUNS
    assert sum(tally.counts["job", "success"]) == SEEN_RUNS + 5


def test_jobs_stay_known_while_their_code_location_is_away(
    dagster: FakeDagster, exporter: DagsterExporter
) -> None:
    samples(exporter)
    away = {"name": "interlock", "locationOrLoadError": {"__typename": "PythonError"}}
    dagster.answers["Workspace"] = workspace(away)
    found = samples(exporter)
    assert only(found, "dagster_code_location_loaded") == {"interlock": 0}
    assert only(found, "pipeline_runs_total")
    assert not only(found, "dagster_schedule_running")
    dagster.answers["Workspace"] = workspace(location(jobs=("other_pipeline",)))
    found = samples(exporter)
    assert set(only(found, "pipeline_runs_total")) == {
        "other_pipeline success",
        "other_pipeline failure",
        "other_pipeline canceled",
    }


def test_many_jobs_are_asked_for_in_parts(dagster: FakeDagster, exporter: DagsterExporter) -> None:
    jobs = tuple(f"job_{number:03}" for number in range(205))
    dagster.answers["Workspace"] = workspace(location(jobs=jobs))
    found = samples(exporter)
    assert len(only(found, "pipeline_runs_total")) == 3 * 200
    assert found["exporter_dropped_values pipeline"] == 5
    assert [name for name, _ in dagster.asked].count("History") == 10


def test_daemons_that_are_needed_are_shown(exporter: DagsterExporter) -> None:
    found = samples(exporter)
    assert only(found, "dagster_daemon_healthy") == {"scheduler": 0, "asset": 1}
    assert only(found, "dagster_daemon_heartbeat_timestamp_seconds") == {"asset": NOW}


def test_failed_checks_are_counted_by_severity(
    dagster: FakeDagster, exporter: DagsterExporter
) -> None:
    never = {"executionForLatestMaterialization": None}
    checks = [
        check("SUCCEEDED"),
        check("FAILED"),
        check("FAILED", "WARN"),
        check("FAILED", "WARN"),
        check("EXECUTION_FAILED", None),
        never,
    ]
    lost = asset("tiny", "trained_model", materialized=None)
    dagster.answers["Assets"] = {
        "assetNodes": [
            asset("tiny", "raw_data", checks=[never]),
            asset("tiny", "validated_data", checks=checks),
            lost | {"assetChecksOrError": {"__typename": "AssetCheckNeedsMigrationError"}},
            asset("alone"),
        ]
    }
    found = samples(exporter)
    assert only(found, "asset_checks_failed") == {
        "tiny validated_data error": 2,
        "tiny validated_data warn": 2,
    }
    assert only(found, "asset_last_materialization_timestamp_seconds") == {
        "tiny raw_data": NOW,
        "tiny validated_data": NOW,
        "alone alone": NOW,
    }


def test_more_products_than_can_be_kept_are_dropped(
    dagster: FakeDagster, exporter: DagsterExporter
) -> None:
    nodes = [asset(f"product_{number:03}", "raw_data") for number in range(203)]
    dagster.answers["Assets"] = {"assetNodes": nodes}
    found = samples(exporter)
    assert len(only(found, "asset_last_materialization_timestamp_seconds")) == 200
    assert found["exporter_dropped_values product"] == 3


def tick(due: float, status: str = "SUCCESS", name: str = "1") -> dict[str, Any]:
    return {"tickId": name, "timestamp": due, "status": status}


def test_a_tick_that_was_due_and_did_not_come_is_overdue(
    dagster: FakeDagster, exporter: DagsterExporter
) -> None:
    dagster.answers["Workspace"] = workspace(location(schedule(ticks=[tick(NOW - 7 * HOUR)])))
    found = samples(exporter)
    assert only(found, "dagster_schedule_overdue_seconds") == {"ml_training_schedule": HOUR}
    newest = only(found, "dagster_schedule_last_tick_timestamp_seconds")
    assert newest == {"ml_training_schedule": NOW - 7 * HOUR}
    dagster.answers["Workspace"] = workspace(location(schedule(ticks=[tick(NOW - HOUR)])))
    found = samples(exporter)
    assert only(found, "dagster_schedule_overdue_seconds") == {"ml_training_schedule": 0}


def test_a_sensor_says_when_it_last_came_to_its_end(
    dagster: FakeDagster, exporter: DagsterExporter
) -> None:
    found = samples(exporter)
    completed = only(found, "dagster_sensor_completed_timestamp_seconds")
    assert completed == {"reconciler": NOW - 30, "decisions": 0}


def test_a_schedule_that_is_off_is_never_overdue(
    dagster: FakeDagster, exporter: DagsterExporter
) -> None:
    dagster.answers["Workspace"] = workspace(location(schedule(status="STOPPED")))
    found = samples(exporter)
    assert only(found, "dagster_schedule_running") == {"ml_training_schedule": 0}
    assert not only(found, "dagster_schedule_overdue_seconds")


@pytest.mark.parametrize(
    ("due", "ticks", "expected"),
    [
        (None, (), 0),
        (NOW - HOUR, (), 0),  # due before the exporter knew the schedule
        (NOW - 60, (), 60),
        (NOW - 60, (Tick("1", NOW - 60, "skipped"),), 0),
        (NOW - 60, (Tick("1", NOW - HOUR, "success"),), 60),
    ],
)
def test_only_what_was_due_is_overdue(
    due: float | None, ticks: tuple[Tick, ...], expected: float
) -> None:
    found = Schedule("s", True, due, ticks)
    assert overdue_seconds(found, now=NOW, since=NOW - HOUR / 2) == expected


def test_each_tick_is_counted_once_when_it_has_ended() -> None:
    def seen(*ticks: Tick) -> Schedule:
        return Schedule("s", True, None, ticks)

    tally = Ticks(since=NOW)
    tally.observe([seen(Tick("0", NOW - 1, "success"), Tick("1", NOW, "started"))])
    assert tally.counts == {("s", "success"): 0, ("s", "skipped"): 0, ("s", "failure"): 0}
    for _ in range(2):
        tally.observe([seen(Tick("1", NOW, "failure"), Tick("2", NOW + 1, "skipped"))])
        assert tally.counts == {("s", "success"): 0, ("s", "skipped"): 1, ("s", "failure"): 1}


def test_the_command_line_names_services() -> None:
    options = parser().parse_args(["--service", "postgres=db:5432", "--service", "g=[::1]:3000"])
    assert dict(options.service) == {"postgres": ("db", 5432), "g": ("::1", 3000)}
    for wrong in ("postgres", "=db:1", "postgres=db", "postgres=db:x", "postgres=:1"):
        with pytest.raises(Exception, match="is not NAME=HOST:PORT"):
            service_address(wrong)


def test_a_taken_port_is_said(url: str) -> None:
    port = url.rpartition(":")[2]
    with pytest.raises(SystemExit, match=f"dagster-exporter: port {port} for metrics is taken"):
        main(["--port", port, "--dagster-url", url])


def test_an_answer_that_is_no_json_is_an_error(url: str) -> None:
    reader = DagsterReader(f"{url}/", timeout=5, clock=lambda: NOW)
    assert reader.url == url
    with pytest.raises(MonitoringError, match="status 501"):
        DagsterReader(f"http://127.0.0.1:{_plain_server()}", timeout=5, clock=lambda: 0).assets()


def _plain_server() -> int:
    """A web server that knows no POST; answers once."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)

    class Quiet(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing."""

    server.RequestHandlerClass = Quiet

    def once() -> None:
        server.handle_request()
        server.server_close()

    Thread(target=once).start()
    return server.server_port


@pytest.mark.parametrize(
    "query",
    [
        queries.WORKSPACE,
        queries.ASSETS,
        queries.FAILURE,
        queries.ended_since(),
        queries.active(),
        queries.job_history(["tiny_pipeline"]),
    ],
    ids=lambda query: query.split("(")[0].split(" {")[0],
)
def test_what_is_asked_is_in_dagsters_schema(query: str) -> None:
    assert validate(create_schema().graphql_schema, parse(query)) == []
