"""``interlock policy check`` and ``explain``."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import call, one_line, values

from interlock.cli.app import FAILURE, OK
from interlock.governance.policy import Action, PolicyEngine
from interlock.governance.policy_files import SHIPPED
from interlock.governance.principal import Environment, Role


@pytest.fixture(autouse=True)
def dev(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "dev")


def test_check_names_every_policy_and_the_hash(capsys: pytest.CaptureFixture[str]) -> None:
    engine = PolicyEngine.load()
    document = call(capsys, "policy", "check", "--json").document
    assert document["policy_hash"] == engine.policy_hash
    assert values(document["policies"], "id") == list(engine.files.rules)
    shown = call(capsys, "policy", "check")
    assert shown.code == OK
    assert engine.policy_hash in shown.out
    assert "four-eyes" in shown.out


def test_check_refuses_a_folder_with_a_syntax_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(SHIPPED, folder)
    with (folder / "audit.cedar").open("a") as file:
        file.write("permit (principal, action, resource) when { ;")
    called = call(capsys, "policy", "check", "--directory", str(folder), "--json")
    assert called.code == FAILURE
    assert called.document["error"]["type"] == "PolicyError"
    assert "audit.cedar" in called.document["error"]["message"]


def test_overview_lists_who_may_for_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    document = call(capsys, "policy", "explain", "--json").document
    engine = PolicyEngine.load()
    assert len(document["explanations"]) == len(Action) * len(Role)
    for each in document["explanations"]:
        able = engine.roles_that_may(Action(each["action"]), Environment.DEV)
        assert each["allowed"] == (Role(each["role"]) in able)
    shown = call(capsys, "policy", "explain").out
    for action in Action:
        assert action.value in shown


def test_one_action_is_explained_for_every_role(capsys: pytest.CaptureFixture[str]) -> None:
    called = call(capsys, "policy", "explain", "model:train", "--json")
    found = {each["role"]: each for each in called.document["explanations"]}
    assert set(found) == {role.value for role in Role}
    assert found["ml_engineer"]["policies"] == ["ml-engineer-pipeline"]
    assert found["auditor"]["policies"] == []
    assert found["auditor"]["remedy"]
    shown = call(capsys, "policy", "explain", "model:train").out
    assert "default deny" in shown
    assert "role" in shown


def test_one_role_is_explained_for_every_action(capsys: pytest.CaptureFixture[str]) -> None:
    called = call(capsys, "policy", "explain", "--role", "auditor", "--json")
    allowed = [each["action"] for each in called.document["explanations"] if each["allowed"]]
    assert allowed == ["audit:read", "audit:export"]
    assert "audit:read" in call(capsys, "policy", "explain", "--role", "auditor").out


def test_one_question_is_answered_with_its_conditions(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("model:promote", "--role", "ml_engineer", "--environment", "prod")
    called = call(capsys, "policy", "explain", *words, "--json")
    assert called.document["environment"] == "prod"
    [found] = called.document["explanations"]
    assert found["allowed"] is True
    assert "gates-must-pass" in values(found["conditions"], "policy")
    shown = one_line(call(capsys, "policy", "explain", *words).out)
    assert "decided by promote-outside-dev" in shown
    assert "gates-must-pass" in shown


def test_denied_question_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    shown = call(capsys, "policy", "explain", "data:ingest", "--role", "auditor").out
    assert "what to do" in shown


@pytest.mark.parametrize(("given", "found"), [("prod", "prod"), ("", "dev")])
def test_environment_is_that_of_the_process(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, given: str, found: str
) -> None:
    monkeypatch.setenv("ENVIRONMENT", given)
    monkeypatch.setenv("AUDIT_RETENTION_DAYS", "1")
    called = call(capsys, "policy", "explain", "model:train", "--json")
    assert called.document["environment"] == found
