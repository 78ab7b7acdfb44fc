"""The smoke test, asked of a web server that answers as Dagster and MLflow do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

import polars as pl
import pytest
from programs import load_program

from interlock.ml.profiles import profile_reference
from interlock.ml.verdict import judge
from monitoring.drift_check import Comparison
from monitoring.observed import DriftView

LOADED = {
    "name": "interlock",
    "loadStatus": "LOADED",
    "locationOrLoadError": {
        "__typename": "RepositoryLocation",
        "repositories": [{"name": "__repository__", "jobs": [{"name": "ml_training_pipeline"}]}],
    },
}
BROKEN = LOADED | {"locationOrLoadError": {"__typename": "PythonError", "message": "no module x"}}
EMPTY = LOADED | {"locationOrLoadError": {"__typename": "RepositoryLocation", "repositories": []}}
WAITING = LOADED | {"loadStatus": "LOADING", "locationOrLoadError": None}


class Answers:
    """What the server answers, and what it was asked."""

    def __init__(self) -> None:
        self.locations: list[Any] = [LOADED]
        self.daemon = True
        self.mlflow = 200
        self.statuses = ["QUEUED", "STARTED", "SUCCESS"]
        self.launched: list[Any] = []
        self.asked = 0
        self.broken_until = 0

    def graphql(self, query: str, variables: Any) -> Any:
        if "launchRun" in query:
            self.launched.append(variables["params"]["selector"]["jobName"])
            return {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "r1"}}}
        if "runOrError" in query:
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            return {"runOrError": {"status": status}}
        self.asked += 1
        locations = [BROKEN] if self.asked <= self.broken_until else self.locations
        daemon = {"daemonType": "SCHEDULER", "required": True, "healthy": self.daemon}
        return {
            "workspaceOrError": {"__typename": "Workspace", "locationEntries": locations},
            "instance": {"daemonHealth": {"allDaemonStatuses": [daemon]}},
        }


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def address(answers: Answers) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - of the interface
            pass

        def do_GET(self) -> None:
            self.answer(answers.mlflow, b"OK")

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            data = answers.graphql(asked["query"], asked["variables"])
            self.answer(200, json.dumps({"data": data}).encode())

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def program() -> ModuleType:
    return load_program("docker/platform/smoke_test.py")


def run(program: ModuleType, address: str, *words: str) -> int:
    found: int = program.main(
        [
            f"--dagster={address}",
            f"--mlflow={address}/",
            "--settle-seconds=0",
            "--poll-seconds=0.01",
            *words,
        ]
    )
    return found


def test_platform_that_works_passes_and_nothing_is_started(
    program: ModuleType, address: str, answers: Answers
) -> None:
    assert run(program, address) == 0
    assert answers.launched == []


def test_job_is_started_where_asked_and_seen_to_end(
    program: ModuleType, address: str, answers: Answers
) -> None:
    assert run(program, address, "--launch=ml_training_pipeline") == 0
    assert answers.launched == ["ml_training_pipeline"]


@pytest.mark.parametrize(
    "case",
    [
        ({"locations": [BROKEN]}, "no module x"),
        ({"locations": [LOADED, BROKEN]}, "no module x"),
        ({"locations": [EMPTY]}, "has no job"),
        ({"locations": [WAITING]}, "LOADING"),
        ({"locations": []}, "no code location"),
        ({"daemon": False}, "SCHEDULER"),
        ({"mlflow": 500}, "status 500"),
        ({"statuses": ["FAILURE"]}, "ended with FAILURE"),
        ({"statuses": ["CANCELED"]}, "ended with CANCELED"),
        ({"statuses": ["STARTED"]}, "is STARTED after 0 s"),
    ],
)
def test_anything_else_fails(
    program: ModuleType,
    address: str,
    answers: Answers,
    capsys: pytest.CaptureFixture[str],
    case: tuple[dict[str, Any], str],
) -> None:
    change, said = case
    for name, value in change.items():
        setattr(answers, name, value)
    assert run(program, address, "--launch=ml_training_pipeline", "--seconds=0") == 1
    assert said in capsys.readouterr().err


def test_unknown_job_fails(program: ModuleType, address: str) -> None:
    assert run(program, address, "--launch=nothing") == 1


def test_what_has_just_started_is_given_time(
    program: ModuleType, address: str, answers: Answers
) -> None:
    answers.broken_until = 3
    assert run(program, address) == 1
    answers.asked = 0
    assert run(program, address, "--settle-seconds=20") == 0


def test_drift_is_told_and_what_cannot_be_known_is_no_good_news() -> None:
    report = load_program("docker/platform/drift_report.py").report
    profile = profile_reference(pl.DataFrame({"x": [1.0, 2.0] * 50}))
    same = Comparison("a", "b", features=("x",), verdict=judge(profile, profile))
    views = {
        "known": DriftView(hash_changed=False, measured=True, comparison=same, checked=1.0),
        "new": DriftView(hash_changed=None, measured=None, comparison=None, checked=None),
        "unknown": DriftView(hash_changed=True, measured=False, comparison=None, checked=None),
    }
    assert [(each.partition(":")[0], good) for each, good in report(views, threshold=0.2)] == [
        ("known", True),
        ("new", True),
        ("unknown", False),
    ]
