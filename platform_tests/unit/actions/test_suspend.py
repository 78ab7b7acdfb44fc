"""An approval that the platform takes away, and that people alone give back."""

from __future__ import annotations

from typing import Any

import pytest
from office import MODEL, Office
from product_fixtures import Made, World

from interlock.actions.deploy_check import deploy_check
from interlock.actions.reconcile import reconcile
from interlock.actions.suspend import Grounds, suspend
from interlock.actions.suspensions import Suspension
from interlock.actions.waiting import waiting
from interlock.actions.workspace import Workspace
from interlock.errors import AccessDenied, ApprovalError, AuditWriteFailed, DeploymentRefused
from interlock.governance.approval import State
from interlock.governance.audit import Outcome
from interlock.governance.policy import Action, Resource
from interlock.governance.principal import Role

FOUND = "income drifted in 2026-11-20"


def grounds(version: str = "1", **changes: Any) -> Grounds:
    return Grounds(
        **{
            "model": MODEL,
            "version": version,
            "cause": "drift",
            "why": FOUND,
            "check": "governance/audit/2040/01/02/tiny-run-9/000002.json",
            "data_hash": "ab" * 32,
        }
        | changes
    )


def stop(office: Office, **changes: Any) -> Suspension | None:
    work = office.as_("ada", Role.ML_ENGINEER)
    return suspend(work, office.at("ada"), grounds(**changes))


def deployable(office: Office) -> None:
    deploy_check(office.as_("otto", Role.ML_ENGINEER), MODEL, office.at("otto"))


@pytest.fixture
def crowned(office: Office) -> Office:
    office.approve_all()
    office.promote()
    deployable(office)
    return office


def test_suspended_champion_is_not_deployed_until_a_quorum_approves_again(crowned: Office) -> None:
    suspension = stop(crowned)
    assert suspension is not None
    assert suspension.why == FOUND
    assert crowned.case().assessment.state is State.SUSPENDED
    assert crowned.tags() == ("suspended", "true")
    with pytest.raises(DeploymentRefused) as refused:
        deployable(crowned)
    text = str(refused.value)
    assert FOUND in text
    assert suspension.event_key in text
    assert "approving again with a reason" in text
    (listed,) = waiting(crowned.world.workspace(), MODEL)
    assert listed.case.version.version == "1"
    assert FOUND in listed.lacks[0]
    record = crowned.world.records()[-1]
    assert crowned.world.decisions()[-2:] == [
        ("model:suspend", "started"),
        ("model:suspend", "succeeded"),
    ]
    assert record.outcome is Outcome.DENIED or record.outcome is Outcome.FAILED

    crowned.approve("grace", reason="the shift is a holiday's")
    with pytest.raises(DeploymentRefused, match="1 of 2 approvals are valid"):
        deployable(crowned)
    crowned.approve("henry", reason="the shift is a holiday's")
    assert crowned.tags() == ("approved", "false")
    deployable(crowned)


def test_suspension_is_recorded_as_the_monitors_on_behalf_of_whoever_looked(
    crowned: Office,
) -> None:
    stop(crowned)
    record = next(
        each
        for each in reversed(crowned.world.records())
        if (each.action, each.outcome) == ("model:suspend", Outcome.SUCCEEDED)
    )
    assert (record.principal.name, record.principal.role) == ("monitor", "monitor")
    assert record.evidence["on_behalf_of"] == "ada"
    assert record.evidence["why"] == FOUND
    assert record.evidence["approvals_ended"]


def test_second_finding_adds_no_second_suspension(crowned: Office) -> None:
    first = stop(crowned)
    crowned.approve("grace")
    assert stop(crowned, data_hash="cd" * 32) == first
    crowned.approve("henry")
    deployable(crowned)


def test_what_was_lifted_is_suspended_again_by_new_data_alone(crowned: Office) -> None:
    stop(crowned)
    crowned.approve_all()
    assert stop(crowned) is None
    deployable(crowned)
    assert stop(crowned, data_hash="cd" * 32) is not None
    with pytest.raises(DeploymentRefused):
        deployable(crowned)


def test_what_was_lifted_stays_so_also_after_another_finding(crowned: Office) -> None:
    stop(crowned)
    crowned.approve_all()
    assert stop(crowned, cause="performance", data_hash="cd" * 32) is not None
    assert stop(crowned) == crowned.case().suspended  # stands, and is not about this
    crowned.approve_all()
    decisions = crowned.world.decisions()
    assert stop(crowned) is None
    assert crowned.world.decisions() == decisions
    deployable(crowned)


def test_finding_after_the_approval_that_lifted_the_last_one_expired_is_recorded(
    crowned: Office,
) -> None:
    first = stop(crowned)
    crowned.approve_all()
    crowned.world.clock.advance(days=91)
    case = crowned.case()
    assert (case.assessment.state, case.suspended) == (State.EXPIRED, None)
    (listed,) = waiting(crowned.world.workspace(), MODEL)
    assert listed.case.version.version == "1"
    assert stop(crowned) is None  # the same one, which they had seen
    second = stop(crowned, data_hash="cd" * 32, why="income drifted further")
    assert second is not None
    assert second != first
    assert crowned.case().assessment.state is State.SUSPENDED
    assert stop(crowned, data_hash="ef" * 32) == second
    crowned.approve_all()
    assert crowned.case().seen.suspension == second.event_key
    deployable(crowned)


def test_approval_of_one_of_two_lifts_nothing_however_it_ends(crowned: Office) -> None:
    first = stop(crowned)
    crowned.approve("grace")
    crowned.world.clock.advance(days=91)
    crowned.approve("henry")
    case = crowned.case()
    assert (case.assessment.state, case.suspended) == (State.SUSPENDED, first)
    assert stop(crowned, data_hash="cd" * 32) == first


def test_approval_prepared_before_the_suspension_does_not_lift_it(crowned: Office) -> None:
    version = crowned.another_version()
    assert stop(crowned, version=version) is None  # it is not the champion
    stop(crowned)
    assert crowned.case().seen.suspension is not None
    assert [each.why for each in crowned.case().assessment.ignored] == [
        "is from before its approval was suspended"
    ] * 2


def test_suspended_version_is_neither_promoted_nor_rolled_back_to(crowned: Office) -> None:
    stop(crowned)
    with pytest.raises(AccessDenied) as denied:
        crowned.promote(crowned.another_version())
    assert denied.value.policies == ("approval-required",)
    second = crowned.another_version()
    crowned.approve_all(second)
    crowned.promote(second)
    with pytest.raises(ApprovalError, match="its approval is suspended"):
        crowned.rollback()
    assert crowned.champion() == second
    assert crowned.last_refusal().action == "model:rollback"


def test_reconciler_blocks_again_what_somebody_unblocked(crowned: Office) -> None:
    stop(crowned)
    version = crowned.world.registry.version(MODEL, "1")
    crowned.world.registry.set_tags(version, {"deployment_blocked": "false"})
    crowned.world.clock.advance(hours=1)
    work = crowned.as_("reconciler", Role.SCHEDULER)
    assert reconcile(work, crowned.at("reconciler"), MODEL).tampering
    assert crowned.tags() == ("suspended", "true")


def test_fresh_suspension_is_no_tampering(crowned: Office) -> None:
    version = crowned.world.registry.version(MODEL, "1")
    stop(crowned)
    crowned.world.registry.set_tags(
        version, {"deployment_blocked": "false", "approval_state": "approved"}
    )
    work = crowned.as_("reconciler", Role.SCHEDULER)
    assert not reconcile(work, crowned.at("reconciler"), MODEL).tampering
    assert crowned.tags() == ("suspended", "true")


@pytest.mark.parametrize("role", [each for each in Role if each is not Role.MONITOR])
def test_nobody_else_suspends(crowned: Office, role: Role) -> None:
    before = crowned.world.decisions()
    authority = crowned.world.authority(role=role, name="mallory")
    with (
        pytest.raises(AccessDenied),
        authority.govern(Action.MODEL_SUSPEND, Resource("model", MODEL), crowned.at("mallory")),
    ):
        pass
    assert crowned.world.decisions() == before
    assert crowned.last_refusal().action == "model:suspend"
    deployable(crowned)


def test_suspension_that_cannot_be_recorded_fails_the_run(crowned: Office) -> None:
    work = crowned.as_("ada", Role.ML_ENGINEER)
    run = crowned.at("ada")
    before = crowned.tags()

    def refuse(operation: str, bucket: str, key: str) -> None:
        if operation == "put_new" and "decisions." in key:
            crowned.world.store.go_away()

    crowned.world.store.before.append(refuse)
    try:
        with pytest.raises(AuditWriteFailed):
            suspend(work, run, grounds())
    finally:
        crowned.world.store.before.clear()
        crowned.world.store.come_back()
    assert crowned.tags() == before


def test_dev_needs_an_approval_after_a_suspension(made: tuple[World, Made]) -> None:
    world, _ = made
    work: Workspace = world.workspace()
    deploy_check(work, MODEL, world.run("ask-1"))
    assert suspend(work, world.run("check"), grounds()) is not None
    with pytest.raises(DeploymentRefused, match="its approval is suspended"):
        deploy_check(work, MODEL, world.run("ask-2"))
    tags = world.registry.version(MODEL, "1").tags
    assert (tags["approval_state"], tags["deployment_blocked"]) == ("suspended", "true")
