"""Entering the platform: unknown roles and environments, services, reset."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from command_line import Called, call, one_line, values
from rich.console import Console

from interlock.adapters.audit_spool import AuditSpool
from interlock.cli.app import DENIED, FAILURE, OK, USAGE
from interlock.cli.entering import checked_settings, services
from interlock.cli.verb import Terminal
from interlock.governance.audit import AuditRecord
from interlock.local.home import Home
from interlock.local.locks import FileLock
from interlock.settings import Settings

CLEAN = (
    *("ENVIRONMENT", "RUN_ROLE", "RUN_OWNER", "DAGSTER_HOME", "IDENTITY_SOURCE"),
    *("AUDIT_RETENTION_DAYS", "MLFLOW_TRACKING_URI", "AWS_ENDPOINT_URL_S3"),
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in CLEAN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("INTERLOCK_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


def refused_by(called: Called) -> dict[str, str]:
    assert called.code == DENIED
    found: dict[str, str] = called.document["denied"]
    return found


def waiting(home: Home) -> list[AuditRecord]:
    """Records that wait on disk, of all trails."""
    found = [AuditSpool(folder).pending() for folder in home.spool.iterdir()]
    assert all(broken == [] for _, broken in found)
    return [each.record for spooled, _ in found for each in spooled]


def test_unknown_role_is_denied_and_on_record(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN_ROLE", "boss")
    monkeypatch.setenv("RUN_OWNER", "mallory")
    called = call(capsys, "demo", "--json")
    denied = refused_by(called)
    assert (denied["principal"], denied["role"]) == ("mallory", "boss")
    assert (denied["action"], denied["policy"]) == ("platform:enter", "default deny")
    assert "RUN_ROLE is 'boss'" in one_line(called.err)
    assert "What to do: correct RUN_ROLE" in one_line(called.err)
    document = called.document
    assert document["product"] == "credit_risk"
    [event] = document["audit"]["events"]
    assert (event["outcome"], event["role"]) == ("denied", "boss")
    assert document["audit"]["verified"] is True
    assert os.environ["RUN_ROLE"] == "boss"
    monkeypatch.delenv("RUN_ROLE")
    trail = call(capsys, "audit", "verify", "--json").document
    assert (trail["streams"], trail["events"], trail["verified"]) == (1, 1, True)


def test_no_verb_lets_a_person_act_as_the_scheduler(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN_ROLE", "scheduler")
    assert refused_by(call(capsys, "status", "--json"))["role"] == "scheduler"


def test_unknown_environment_is_denied_before_any_write(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENVIRONMENT", "qa")
    monkeypatch.setenv("RUN_OWNER", "mallory")
    called = call(capsys, "demo", "--json")
    denied = refused_by(called)
    assert (denied["principal"], denied["environment"]) == ("mallory", "qa")
    assert called.document["audit"]["events"] == []
    assert called.document["audit"]["verified"] is False
    assert list(home.s3.iterdir()) == []
    [record] = waiting(home)
    assert (record.environment, record.outcome) == ("qa", "denied")
    shown = call(capsys, "demo")
    assert "recorded in" in one_line(shown.err)
    assert "waits on this machine's disk" in shown.out


def test_role_of_another_environments_process_is_not_written_to_this_store(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(capsys, "audit", "verify").code == FAILURE  # makes the store, for dev
    monkeypatch.setenv("ENVIRONMENT", "prod")
    monkeypatch.setenv("AUDIT_RETENTION_DAYS", "1")
    monkeypatch.setenv("RUN_OWNER", "mallory")
    monkeypatch.setenv("RUN_ROLE", "boss")
    called = call(capsys, "run", "credit_risk", "--json")
    assert refused_by(called)["environment"] == "prod"
    assert called.document["audit"]["events"] == []
    [record] = waiting(home)
    assert record.environment == "prod"


def test_other_wrong_setting_is_a_plain_error(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIN_ACCURACY", "ninety")
    monkeypatch.setenv("RUN_ROLE", "boss")
    called = call(capsys, "demo", "--json")
    assert called.code == FAILURE
    assert "RUN_ROLE" in called.document["error"]["message"]
    monkeypatch.delenv("RUN_ROLE")
    called = call(capsys, "demo", "--json")
    assert called.code == FAILURE
    assert "MIN_ACCURACY" in called.document["error"]["message"]
    assert not home.path.exists()


def test_refusal_that_cannot_be_recorded_says_so(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.prepare()
    spool = Settings.from_environment({"INTERLOCK_HOME": str(home.path)}).spool_directory
    spool.write_text("no folder")
    monkeypatch.setenv("ENVIRONMENT", "qa")
    called = call(capsys, "demo", "--json")
    assert called.code == DENIED
    assert "could not be spooled" in one_line(called.err)
    assert called.document["audit"]["error"]["type"] == "AuditWriteFailed"


def test_unknown_product_is_a_usage_error_and_starts_nothing(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    called = call(capsys, "run", "credit_card")
    assert called.code == USAGE
    assert "choose one of: credit_risk" in called.err
    assert not home.path.exists()


def test_empty_trail_is_never_taken_for_intact(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    called = call(capsys, "audit", "verify", "--json")
    assert called.code == FAILURE
    assert "there are no audit events" in called.document["error"]["message"]


def test_doctor_says_what_is_wrong_with_the_settings(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIN_ACCURACY", "ninety")
    called = call(capsys, "doctor", "--json")
    assert called.code == FAILURE
    assert called.document["checks"][0]["health"] == "fail"
    assert "MIN_ACCURACY" in called.document["checks"][0]["found"]
    assert "policies" in values(called.document["checks"], "name")


def test_doctor_says_that_the_services_do_not_come_up(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.path.mkdir()
    (home.path / "mine.txt").write_text("something else")
    called = call(capsys, "doctor")
    assert called.code == FAILURE
    assert "holds something else" in one_line(called.out)
    assert "What to do:" in called.out


def test_nothing_runs(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    status = call(capsys, "status", "--json").document
    assert (status["running"], status["addresses"]) == (False, {})
    assert "is not running" in one_line(call(capsys, "status").out)
    down = call(capsys, "down")
    assert (down.code, down.out) == (OK, "Nothing was running.\n")


def test_status_names_what_runs(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    home.prepare()
    state = FileLock(home.state)
    with state.holding():
        state.write({"pid": 1, "ready": True, "addresses": {"Dagster": "http://127.0.0.1:3000"}})
        shown = call(capsys, "status")
        assert "http://127.0.0.1:3000" in shown.out
        assert "ready" in shown.out
        refused = call(capsys, "reset", "--yes")
        assert refused.code == FAILURE
        assert home.exists()
        up = call(capsys, "up")
        assert up.code == FAILURE
        assert "runs already" in one_line(up.err)


def test_up_has_nothing_to_start_for_services_of_ones_own(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    called = call(capsys, "up")
    assert called.code == FAILURE
    assert "there is nothing to start" in one_line(called.err)


def test_reset_asks_and_removes_the_folder_alone(
    home: Home, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home.prepare()
    beside = home.path.with_name("beside.txt")
    beside.write_text("mine")
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: "n")
    asked = call(capsys, "reset")
    assert asked.code == FAILURE
    assert home.exists()
    assert call(capsys, "reset", "--json").code == USAGE
    done = call(capsys, "reset", "--yes", "--json")
    assert (done.code, done.document["removed"]) == (OK, True)
    assert not home.path.exists()
    assert beside.read_text() == "mine"
    again = call(capsys, "reset")
    assert (again.code, again.out.split()[-3:]) == (OK, ["does", "not", "exist."])


def test_folder_of_somebody_else_is_not_reset(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    home.path.mkdir()
    (home.path / "mine.txt").write_text("something else")
    called = call(capsys, "reset", "--yes")
    assert called.code == FAILURE
    assert (home.path / "mine.txt").exists()


@pytest.mark.parametrize("words", [("CreditRiskModel/1",), ("CreditRiskModel", "7")], ids=str)
def test_version_in_place_of_an_alias_is_a_usage_error(
    home: Home, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    called = call(capsys, "deploy-check", *words)
    assert called.code == USAGE
    assert "is not MODEL[@ALIAS]" in one_line(called.err)
    assert "check CreditRiskModel@champion" in one_line(called.err)
    assert not home.path.exists()


def test_variables_that_decide_nothing_are_named(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def said() -> str:
        console = Console(file=io.StringIO(), width=200)
        terminal = Terminal(out=console, err=console, as_json=False)
        with services(terminal, checked_settings(terminal)):
            pass
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("RUN_ROLE", "auditor")
    assert said() == ""
    monkeypatch.setenv("IDENTITY_SOURCE", "local")
    assert said().startswith("not counted, for people sign in here (local): RUN_ROLE;")
    monkeypatch.delenv("RUN_ROLE")
    assert said() == ""
    assert not home.path.exists()
