"""What the verbs about approvals show, on a world with versions to decide on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from command_line import call
from office import MODEL, Office

from interlock.actions.workspace import Workspace
from interlock.cli import approvals, promote, reconcile, rollback
from interlock.cli.app import DENIED, FAILURE, OK
from interlock.governance.principal import Role


@pytest.fixture
def desk(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """The verbs open this world as ``otto``, a platform administrator only to reconcile."""

    def enter(module: ModuleType, role: Role) -> None:
        @contextlib.contextmanager
        def opened(_terminal: object) -> Iterator[Workspace]:
            yield office.as_("otto", role)

        monkeypatch.setattr(module, "opened", opened)

    for module in (approvals, promote, rollback):
        enter(module, Role.ML_ENGINEER)
    enter(reconcile, Role.PLATFORM_ADMIN)
    return office


def document(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    return call(capsys, *words, "--json").document


def test_what_waits_is_shown_with_what_it_lacks(
    desk: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("henry", "judy"):
        desk.know(name, Role.APPROVER)
    desk.know("judy", Role.APPROVER, teams=frozenset({"tests"}))
    desk.know("ci", Role.APPROVER, service=True)
    desk.know("gone", Role.APPROVER, disabled=True)
    desk.approve("grace", reason="fine by me")
    (found,) = document(capsys, "approvals")["waiting"]
    assert (found["model"], found["version"], found["product"]) == (MODEL, "1", "tiny")
    assert (found["state"], found["quorum"], found["tier"]) == ("pending", 2, "high")
    assert found["lacks"] == ["1 of 2 approvals are valid"]
    assert [(each["subject"], each["reason"]) for each in found["approvals"]] == [
        ("grace", "fine by me")
    ]
    assert [(each["proof"], each["verified_by"]) for each in found["approvals"]] == [
        ("a server where they signed in", "local")
    ]
    assert found["may_decide"] == ["henry"]
    assert all(gate["passed"] for gate in found["gates"])
    assert found["metrics"]["roc_auc"]["champion"] is None
    shown = call(capsys, "approvals", MODEL)
    assert shown.code == OK
    assert "1 of 2  grace (by a server where they signed in)" in shown.out
    assert "may decide  henry" in shown.out
    assert f"approve {MODEL} 1 --reason" in shown.out


def test_challenger_is_shown_beside_the_champion_until_it_is_promoted(
    desk: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.approve_all()
    assert document(capsys, "promote", MODEL, "1")["moved"] is True
    version = desk.another_version(demands=["fairness"])
    desk.another_version(gates=[{"metric": "roc_auc", "min": 0.999}])
    desk.reject(version=desk.another_version())
    (found,) = document(capsys, "approvals", MODEL)["waiting"]
    assert found["version"] == version
    assert found["champion"] == "1"
    roc_auc = found["metrics"]["roc_auc"]
    assert roc_auc["champion"] == roc_auc["value"]
    assert any("needs a fairness assessment that passed" in each for each in found["lacks"])


def test_version_that_was_rolled_back_is_offered_with_the_reason(
    desk: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in ("1", desk.another_version()):
        desk.approve_all(version)
        desk.promote(version)
    desk.rollback(reason="declines everybody")
    at = f"{desk.world.clock():%Y-%m-%d %H:%M}"
    (found,) = document(capsys, "approvals")["waiting"]
    back = found["rolled_back"]
    assert (found["version"], back["came_back"], back["by"]) == ("2", "1", "otto")
    assert back["why"] == "declines everybody"
    shown = " ".join(call(capsys, "approvals").out.split())
    assert f"it was the champion, and otto rolled back to version 1 on {at}" in shown
    assert "declines everybody" in shown


def test_nothing_waits(desk: Office, capsys: pytest.CaptureFixture[str]) -> None:
    desk.reject()
    assert document(capsys, "approvals") == {"waiting": []}
    assert "Nothing waits" in call(capsys, "approvals").out


def test_promotion_without_approval_is_denied(
    desk: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    called = call(capsys, "promote", MODEL, "1", "--json")
    assert called.code == DENIED
    assert called.document["denied"]["policy"] == "approval-required"


def test_rollback_says_what_it_passed_over_and_what_is_lacking(
    desk: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    for version in ("1", desk.another_version(), desk.another_version()):
        desk.approve_all(version)
        desk.promote(version)
    desk.reject("judy", version="2", reason="worse")
    desk.world.clock.advance(days=91)
    called = call(capsys, "rollback", MODEL, "--reason", "declines everybody")
    assert called.code == OK
    assert "TinyModel version 1" in called.out
    assert "Passed over: version 2: judy rejected it: worse" in called.err
    assert "It may not be deployed like this: 0 of 2 approvals are valid" in called.err


def test_reconciler_says_what_it_put_back(desk: Office, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "reconcile").code == OK
    desk.client.set_registered_model_alias(MODEL, "champion", "1")
    called = call(capsys, "reconcile", MODEL)
    assert called.code == FAILURE
    assert "the audit trail knows no champion" in called.err
    assert "put back" in called.out
    (found,) = document(capsys, "reconcile")["models"]
    assert (found["tampering"], found["audit_event"]) == ([], None)


def test_model_that_cannot_be_looked_at_is_told_beside_the_others(
    desk: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.client.create_registered_model("! no key")
    for verb in ("reconcile", "approvals"):
        called = call(capsys, verb)
        assert called.code == FAILURE
        assert "no model of the platform can be named '! no key'" in called.err
    assert f"{MODEL} version 1" in called.out
