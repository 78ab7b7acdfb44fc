"""The demo, end to end, as a person starts it; and the commands that it suggests afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_line import Called, call, one_line, values

from interlock.cli.app import DENIED, FAILURE, OK, USAGE
from interlock.local.platform import EmbeddedPlatform
from interlock.settings import REPOSITORY, Settings
from interlock.variables import VARIABLES

SECONDS = 240  # for one command on a busy machine
ASSETS = ["raw_data", "validated_data", "trained_model", "registered_version"]
CANDIDATES = ["logistic_regression", "random_forest", "hist_gradient_boosting", "xgboost"]
TAGS = {
    *("owner", "environment", "approval_state", "data_hash", "audit_owner", "audit_env"),
    *("audit_timestamp", "deployment_blocked", "model_digest", "model_fingerprint", "policy_hash"),
}
OWN = (*VARIABLES, "DAGSTER_HOME")


def interlock(home: Path, *words: str, **environ: str) -> Called:
    """A command in a process of its own."""
    kept = {name: value for name, value in os.environ.items() if name not in OWN}
    found = subprocess.run(
        [sys.executable, "-m", "interlock.cli", *words],
        env={**kept, "INTERLOCK_HOME": str(home), **environ},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    return Called(found.returncode, found.stdout, found.stderr)


def processes_of(home: Path) -> list[str]:
    """Command lines of living processes that name the home."""
    found = subprocess.run(
        ["ps", "-axww", "-o", "command"], capture_output=True, text=True, check=True
    ).stdout
    return [line for line in found.splitlines() if str(home) in line]


def still_running(home: Path) -> list[str]:
    """What of a home has not ended within a few seconds."""
    deadline = time.monotonic() + 10
    while processes_of(home) and time.monotonic() < deadline:
        time.sleep(0.2)
    return processes_of(home)


@dataclass(frozen=True)
class Demo:
    """A finished demo.

    Attributes:
        home: Its folder.
        called: What it said.
        left: Processes that it left behind.
        locks: Locks of runs that it left behind.
    """

    home: Path
    called: Called
    left: list[str]
    locks: list[Path]

    @property
    def document(self) -> Any:
        return self.called.document


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    home = tmp_path_factory.mktemp("demo") / "home"
    called = interlock(home, "demo", "--json")
    return Demo(home, called, still_running(home), list((home / "run").glob("run-*.lock")))


@pytest.fixture(scope="module")
def _s3_of_demo(demo: Demo) -> Iterator[None]:
    """The demo's S3, kept running so that not every command has to start it."""
    settings = Settings.from_environment({"INTERLOCK_HOME": str(demo.home)})
    with EmbeddedPlatform(settings).session():
        yield


@pytest.fixture
def in_home(demo: Demo, _s3_of_demo: None, monkeypatch: pytest.MonkeyPatch) -> Demo:
    """The demo's home for commands in this process."""
    for name in OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("INTERLOCK_HOME", str(demo.home))
    return demo


@pytest.mark.slow
def test_demo_ends_well_and_says_all_of_it_in_one_document(demo: Demo) -> None:
    assert demo.called.code == OK, demo.called.err
    document = demo.document
    assert document["product"] == "credit_risk"
    assert values(document["assets"], "name") == ASSETS
    assert values(document["assets"], "rows")[:2] == [1000, 1000]
    for asset in document["assets"]:
        assert re.fullmatch(r"[0-9a-f]{64}", asset["hash"])
    assert values(document["candidates"], "name") == CANDIDATES
    assert sum(values(document["candidates"], "winner")) == 1
    for name, value in document["metrics"].items():
        assert isinstance(value, float), name
        if name in document["intervals"]:
            interval = document["intervals"][name]
            assert interval["low"] <= value <= interval["high"]
    assert document["gates"]
    assert all(values(document["gates"], "passed"))
    assert {"metric", "value", "limit", "direction", "passed"} <= set(document["gates"][0])
    assert document["seconds"].keys() == {*ASSETS, "total"}


@pytest.mark.slow
def test_demo_registers_a_version_with_every_tag(demo: Demo) -> None:
    model = demo.document["model"]
    assert (model["name"], model["version"]) == ("CreditRiskModel", "1")
    assert model["aliases"] == ["challenger", "champion"]
    assert set(model["tags"]) >= TAGS
    assert model["tags"]["deployment_blocked"] == "false"


@pytest.mark.slow
def test_demo_leaves_a_verified_trail(demo: Demo) -> None:
    audit = demo.document["audit"]
    assert audit["verified"] is True
    assert values(audit["events"], "sequence") == list(range(1, 9))
    assert values(audit["events"], "action")[::2] == [
        *("data:ingest", "data:validate", "model:train", "model:register"),
    ]
    assert values(audit["events"], "outcome") == ["started", "succeeded"] * 4


@pytest.mark.slow
def test_demo_says_on_standard_error_what_it_does(demo: Demo) -> None:
    lines = demo.called.err.splitlines()
    for asset in ASSETS:
        assert f"{asset}: started" in lines
    for noise in ("Traceback", "Warning", "dagster", "INFO"):
        assert noise not in demo.called.err


@pytest.mark.slow
def test_demo_leaves_nothing_running(demo: Demo) -> None:
    assert (demo.left, demo.locks) == ([], [])


@pytest.mark.slow
def test_trail_verifies_afterwards(in_home: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    called = call(capsys, "audit", "verify", "--json")
    assert called.code == OK
    document = called.document
    assert (document["verified"], document["findings"], document["unfinished"]) == (True, [], [])
    one = call(capsys, "audit", "verify", in_home.document["audit"]["stream"])
    assert one.code == OK
    assert "Verified: the trail is intact" in one.out


@pytest.mark.slow
def test_events_are_shown_in_short_and_as_stored(
    in_home: Demo, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = in_home.document["audit"]["stream"]
    document = call(capsys, "audit", "show", stream, "--json").document
    assert document["stream"] == stream
    assert len(document["events"]) == 8
    assert document["events"][1]["schema"] == "interlock.audit/v1"
    short = call(capsys, "audit", "show", stream[:20])
    assert short.code == OK
    assert "model:register" in short.out
    moves = call(capsys, "audit", "show", "champion.CreditRiskModel", "--json").document
    assert values(moves["events"], "action") == ["model:promote"] * 2
    stored = call(capsys, "audit", "show", stream, "--event", "2")
    assert json.loads(stored.out)["outcome"] == "succeeded"
    absent = call(capsys, "audit", "show", stream, "--event", "99")
    assert absent.code == FAILURE
    assert "has 8 events, no event 99" in one_line(absent.err)
    unknown = call(capsys, "audit", "show", "nothing-like-it")
    assert unknown.code == FAILURE


@pytest.mark.slow
def test_streams_are_listed_and_reading_is_on_record(
    in_home: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = call(capsys, "audit", "list", "--json").document
    assert in_home.document["audit"]["stream"] in values(listed["streams"], "stream")
    again = call(capsys, "audit", "list", "--limit", "1")
    assert "audit-list-" in "".join(again.out.split())
    assert "older streams" in again.err
    monkeypatch.setenv("RUN_ROLE", "viewer")
    denied = call(capsys, "audit", "list", "--json")
    assert denied.code == DENIED
    assert denied.document["denied"]["action"] == "audit:read"


@pytest.mark.slow
def test_export_is_for_auditors_and_verifies_without_the_store(
    in_home: Demo,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "export"
    assert call(capsys, "audit", "export", str(folder)).code == DENIED
    assert not folder.exists()
    monkeypatch.setenv("RUN_ROLE", "auditor")
    exported = call(capsys, "audit", "export", str(folder), "--json")
    assert exported.code == OK
    assert exported.document["intact"] is True
    assert call(capsys, "audit", "export", str(folder)).code == FAILURE
    monkeypatch.setenv("INTERLOCK_HOME", str(tmp_path / "nowhere"))
    verified = call(capsys, "audit", "verify", "--export", str(folder), "--json")
    # The export itself was under way while it copied its own stream.
    open_streams = values(verified.document["unfinished"], "stream")
    assert [name.partition("-2")[0] for name in open_streams] == ["audit-export"]
    assert values(verified.document["unfinished"], "run") == ["running"]
    assert verified.document["verified"] is True
    assert verified.code == OK
    assert "it made this copy" in call(capsys, "audit", "verify", "--export", str(folder)).out
    assert not (tmp_path / "nowhere").exists()
    event = next(each for each in folder.rglob("000002.json") if b"succeeded" in each.read_bytes())
    event.write_bytes(event.read_bytes().replace(b"succeeded", b"forgotten"))
    tampered = call(capsys, "audit", "verify", "--export", str(folder))
    assert tampered.code == FAILURE
    assert "NOT verified" in tampered.out


@pytest.mark.slow
def test_version_may_be_deployed_in_dev(in_home: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    called = call(capsys, "deploy-check", "CreditRiskModel", "--json")
    assert called.code == OK, called.err
    assert called.document["deployable"] is True
    assert called.document["model"]["version"] == "1"
    assert "may be deployed here" in call(capsys, "deploy-check", "CreditRiskModel").out


@pytest.mark.slow
def test_what_is_not_there_may_not_be_deployed(
    in_home: Demo, capsys: pytest.CaptureFixture[str]
) -> None:
    called = call(capsys, "deploy-check", "CreditRiskModel@approved", "--json")
    assert called.code == DENIED
    assert called.document["error"]["type"] == "DeploymentRefused"
    assert called.document["error"]["reasons"] == ["there is no such model or alias"]


@pytest.mark.slow
def test_store_that_is_away_refuses_the_deployment(
    in_home: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "ENVIRONMENT": "dev",
        "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, value)
    called = call(capsys, "deploy-check", "CreditRiskModel", "--json")
    assert called.code == DENIED
    assert called.document["error"]["type"] == "DeploymentRefused"


@pytest.mark.slow
def test_doctor_finds_all_well(in_home: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    called = call(capsys, "doctor", "--json")
    found = {each["name"]: each for each in called.document["checks"]}
    failed = [each for each in found.values() if each["health"] == "fail"]
    assert (called.code, failed) == (OK, [])
    assert found["Object Lock"]["health"] == "ok"
    assert found["MLflow"]["health"] == "ok"
    assert found["product credit_risk"]["health"] == "ok"


@pytest.mark.slow
def test_denied_run_exits_3_writes_its_event_and_nothing_else(
    in_home: Demo, capsys: pytest.CaptureFixture[str]
) -> None:
    called = interlock(in_home.home, "run", "credit_risk", "--json", RUN_ROLE="auditor")
    assert called.code == DENIED, called.err
    document = called.document
    denied = document["denied"]
    assert (denied["role"], denied["action"]) == ("auditor", "data:ingest")
    assert denied["policy"] == "default deny"
    assert document["assets"] == []
    assert document["model"] is None
    [event] = document["audit"]["events"]
    assert (event["outcome"], event["role"]) == ("denied", "auditor")
    assert document["audit"]["verified"] is True
    assert "What to do:" in called.err
    version = call(capsys, "deploy-check", "CreditRiskModel@challenger", "--json").document
    assert version["model"]["version"] == "1"


@pytest.mark.slow
def test_version_is_approved_from_the_command_line(
    in_home: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = ("approve", "CreditRiskModel", "1", "--reason", "holdout reviewed")
    own = call(capsys, *decide, "--json")
    assert own.code == DENIED
    monkeypatch.setenv("RUN_ROLE", "approver")
    monkeypatch.setenv("RUN_OWNER", "grace")
    shown = call(capsys, *decide, "--expires-days", "30")
    assert shown.code == OK, shown.err
    assert "validated for use in dev" in shown.err
    assert '"seen_digest"' in shown.err
    assert re.search(r"1 of [12]", shown.out)
    again = call(capsys, *decide, "--json")
    assert again.code == FAILURE
    assert "grace approved it already" in again.document["error"]["message"]
    assert call(capsys, "approve", "CreditRiskModel", "1").code == USAGE
    assert call(capsys, *decide, "--expires-days", "366").code == USAGE
    ledger = call(capsys, "audit", "show", "decisions.CreditRiskModel.1", "--json").document
    assert values(ledger["events"], "outcome") == ["started", "succeeded"]


@pytest.mark.slow
def test_champion_is_kept_from_the_command_line(
    in_home: Demo, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted = call(capsys, "promote", "CreditRiskModel", "1", "--json")
    assert promoted.code == OK, promoted.err
    assert (promoted.document["moved"], promoted.document["version"]) == (False, "1")
    assert "it was the champion already" in call(capsys, "promote", "CreditRiskModel", "1").out
    back = call(capsys, "rollback", "CreditRiskModel", "--reason", "worse", "--json")
    assert back.code == FAILURE
    assert "no earlier champion to go back to" in back.document["error"]["message"]
    waiting = call(capsys, "approvals", "--json")
    assert waiting.document == {"waiting": []}
    monkeypatch.setenv("RUN_ROLE", "platform_admin")
    found = call(capsys, "reconcile", "--json")
    assert found.code == OK
    assert values(found.document["models"], "tampering") == [[]]
