"""Promotion and rollback: only what is approved becomes champion, and the trail knows which."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from office import MODEL, Office
from product_fixtures import Made, World, run_all, tiny_product

from interlock.actions.champions import history_of
from interlock.actions.current_data import Declared, decides_on
from interlock.actions.deploy_check import deploy_check
from interlock.actions.promote import promote
from interlock.adapters.model_registry import ModelRegistry, ModelVersion
from interlock.errors import (
    AccessDenied,
    ApprovalError,
    DeploymentRefused,
    EvidenceError,
    InterlockError,
    ProductBusy,
    RegistryError,
    RegistryUnavailable,
)
from interlock.governance.audit import AuditRecord, Outcome, RecordedPrincipal, champion_ledger
from interlock.governance.policy import PolicyEngine
from interlock.governance.principal import Role

AWAY = RegistryUnavailable("MLflow does not answer", remedy="start it")
MOVED = [("model:promote", "started"), ("model:promote", "succeeded")]


def reasons(office: Office) -> tuple[str, ...]:
    """Why the champion may not be deployed; none when it may."""
    try:
        deploy_check(office.world.workspace(), MODEL, office.at("ci"))
    except DeploymentRefused as refusal:
        return refusal.reasons
    return ()


def denied(office: Office, version: str = "1", **options: Any) -> AccessDenied:
    """A promotion that is denied on record and changes nothing."""
    before = office.world.state()
    moves = office.world.moves()
    with pytest.raises(AccessDenied) as refusal:
        office.promote(version, **options)
    assert office.world.state() == before
    assert office.world.moves() == moves
    assert office.last_refusal().action == "model:promote"
    return refusal.value


@pytest.fixture
def crowned(office: Office) -> Office:
    """Version 1 is champion, approved."""
    office.approve_all()
    office.promote()
    return office


def test_approved_version_becomes_champion_on_record(office: Office) -> None:
    office.approve_all()
    moved = office.promote()
    assert (moved.version, moved.previous, moved.moved) == ("1", None, True)
    assert office.champion() == "1"
    assert office.world.moves() == MOVED
    evidence = office.world.ledger(champion_ledger(MODEL))[-1].evidence
    assert evidence["approved_by"] == ("grace", "henry")
    assert evidence["replaces"] is None
    assert reasons(office) == ()


def test_nothing_is_promoted_on_one_persons_word(office: Office) -> None:
    assert denied(office).policies == ("approval-required",)
    office.approve("grace")
    assert denied(office).policies == ("approval-required",)
    office.approve("henry")
    assert office.promote().moved


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ML_ENGINEER])
def test_only_who_may_promote_does(office: Office, role: Role) -> None:
    office.approve_all()
    assert "no policy permits it" in denied(office, workspace=office.as_("otto", role)).reason


@pytest.mark.parametrize("demands", [["fairness"], ["signature"], ["fairness", "signature"]])
def test_what_a_product_demands_besides_is_not_waived_by_approvals(
    office: Office, demands: list[str]
) -> None:
    version = office.another_version(demands=demands)
    office.approve_all(version)
    assert denied(office, version).policies == tuple(f"{each}-required" for each in demands)


def test_raised_quorum_of_a_product_is_asked(office: Office) -> None:
    version = office.another_version(tier="low", quorum=2)
    office.approve("grace", version=version)
    denied(office, version)
    office.approve("henry", version=version)
    assert office.promote(version).moved


def test_expired_void_or_rejected_approvals_promote_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.approve_all()
    with monkeypatch.context() as changed:
        changed.setattr(PolicyEngine, "policy_hash", "00" * 32)
        assert denied(office).policies == ("approval-required",)
    office.world.clock.advance(days=91)
    assert denied(office).policies == ("approval-required",)
    office.approve_all()
    office.reject("judy")
    assert set(denied(office).policies) == {"approval-required", "rejection-stands"}


def test_rejected_version_is_not_promoted_in_dev_either(made: tuple[World, Made], key: Any) -> None:
    world, result = made
    office = Office(world, result, key)
    run_all(world, tiny_product(), run="run-2")
    office.reject("grace", version="2")
    assert denied(office, "2").policies == ("rejection-stands",)


@pytest.fixture
def key(approval_key: Any) -> Any:
    return approval_key


def test_dev_promotes_a_challenger_without_approval(made: tuple[World, Made], key: Any) -> None:
    world, result = made
    office = Office(world, result, key)
    run_all(world, tiny_product(), run="run-2")
    moved = office.promote("2")
    assert (moved.version, moved.previous) == ("2", "1")
    assert office.champion() == "2"
    assert reasons(office) == ()


def test_promoting_the_champion_again_does_nothing(crowned: Office) -> None:
    before = crowned.world.state()
    again = crowned.promote()
    assert not again.moved
    assert crowned.world.state() == before
    assert crowned.world.moves() == MOVED


@pytest.mark.parametrize("by_hand", [True, False])
def test_earlier_champion_made_champion_again_by_hand_is_refused(
    crowned: Office, by_hand: bool
) -> None:
    version = crowned.another_version()
    crowned.approve_all(version)
    crowned.promote(version)
    assert reasons(crowned) == ()
    if by_hand:
        crowned.client.set_registered_model_alias(MODEL, "champion", "1")
        known = "by the audit trail version 2 is the champion"
        assert reasons(crowned) == (f"alias champion was moved outside of Interlock: {known}",)
    else:
        crowned.rollback()
        assert crowned.champion() == "1"
        assert reasons(crowned) == ()


def test_earlier_champion_by_hand_is_refused_in_dev_too(made: tuple[World, Made], key: Any) -> None:
    world, result = made
    office = Office(world, result, key)
    run_all(world, tiny_product(), run="run-2")
    office.promote("2")
    office.client.set_registered_model_alias(MODEL, "champion", "1")
    assert len(reasons(office)) == 1


def test_champion_whose_approval_ends_or_is_rejected_is_not_deployed(crowned: Office) -> None:
    crowned.reject("judy", reason="it was trained on the wrong year")
    assert "judy rejected it: it was trained on the wrong year" in reasons(crowned)


def test_champion_whose_approvals_expired_is_not_deployed(crowned: Office) -> None:
    crowned.world.clock.advance(days=91)
    found = reasons(crowned)
    assert any("0 of 2 approvals are valid" in each and "expired at" in each for each in found)
    crowned.approve_all()
    assert reasons(crowned) == ()


def test_tags_set_by_hand_deploy_nothing(office: Office) -> None:
    for name, value in (("deployment_blocked", "false"), ("approval_state", "approved")):
        office.client.set_model_version_tag(MODEL, "1", name, value)
    office.client.set_registered_model_alias(MODEL, "champion", "1")
    found = reasons(office)
    assert "0 of 2 approvals are valid" in found
    assert "the audit trail holds no promotion of this version to champion" in found


def test_flag_set_by_hand_blocks(crowned: Office) -> None:
    crowned.client.set_model_version_tag(MODEL, "1", "deployment_blocked", "true")
    assert reasons(crowned) == ("deployment_blocked is 'true', expected 'false'",)


def test_files_that_changed_after_the_approval_are_not_promoted(office: Office) -> None:
    office.approve_all()
    (found,) = office.world.artifacts.rglob("model.pkl")
    found.write_bytes(b"another model")
    with pytest.raises(EvidenceError, match="the audit trail recorded"):
        office.promote()
    assert office.champion() is None
    assert office.world.moves() == [MOVED[0], ("model:promote", "failed")]


def test_rejection_between_decision_and_move_stops_the_move(office: Office) -> None:
    office.approve_all()

    def reject(_operation: str, _bucket: str, key: str) -> None:
        if key == f"leases/champion-{MODEL}.json":
            office.world.store.before.clear()
            office.reject("judy")

    office.world.store.before.append(reject)
    with pytest.raises(ApprovalError, match="may not be promoted any more: judy rejected it"):
        office.promote()
    assert office.champion() is None
    assert office.world.moves()[-1] == ("model:promote", "failed")


def test_promotions_at_once_leave_one_champion_that_the_trail_knows(office: Office) -> None:
    versions = ["1", office.another_version(), office.another_version()]
    for version in versions:
        office.approve_all(version)
    gate = threading.Barrier(len(versions))
    failures: list[BaseException] = []

    def one(version: str) -> None:
        gate.wait()
        try:
            office.promote(version)
        except BaseException as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    threads = [threading.Thread(target=one, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(each, ProductBusy) for each in failures)
    assert len(failures) < len(versions)
    history = history_of(office.world.workspace(), MODEL)
    assert history.champion is not None
    assert history.champion.version == office.champion()
    assert reasons(office) == ()
    assert office.world.audit.verify().intact


def test_store_that_goes_away_at_any_request_of_a_promotion(crowned: Office) -> None:
    """Cut off anywhere, trail and alias agree in the end, and it can be run again."""
    version = crowned.another_version()
    crowned.approve_all(version)
    workspace = crowned.as_("otto", Role.ML_ENGINEER)

    def act() -> object:
        return promote(workspace, crowned.at("otto"), model=MODEL, version=version)

    def restore() -> None:
        crowned.client.set_registered_model_alias(MODEL, "champion", "1")

    count = crowned.requests(act)
    restore()
    assert count > 20
    for number in range(0, count, 3):
        with crowned.unchanged_store():
            with crowned.cut_off(number):
                try:
                    act()
                except InterlockError as error:
                    assert error.remedy  # noqa: PT017 - the last requests may be in vain
            crowned.world.audit.flush_spool()
            history = history_of(workspace, MODEL)
            assert history.champion is not None
            assert history.champion.version == crowned.champion(), number
            crowned.world.clock.advance(seconds=70)
            act()
            assert crowned.champion() == version
            assert reasons(crowned) == ()
            assert crowned.world.audit.verify().all_findings == ()
        restore()


class Faulty(ModelRegistry):
    """A registry whose ``set_alias`` is lost or refused, the first times."""

    def __init__(self, office: Office, *, lost: bool, times: int = 1) -> None:
        super().__init__(office.world.connection)
        self.lost, self.times = lost, times

    def set_alias(self, version: ModelVersion, alias: str) -> None:
        self.times -= 1
        if self.times < 0 or self.lost:
            super().set_alias(version, alias)
        if self.times >= 0:
            raise AWAY


class LostThenRefused(Faulty):
    """A registry that moves an alias once without an answer, and then no more."""

    def __init__(self, office: Office) -> None:
        super().__init__(office, lost=True)

    def set_alias(self, version: ModelVersion, alias: str) -> None:
        if self.times < 1:
            raise AWAY
        super().set_alias(version, alias)


@pytest.mark.parametrize("lost", [True, False])
def test_move_that_mlflow_did_not_confirm_goes_back_to_the_champion_before(
    crowned: Office, lost: bool
) -> None:
    version = crowned.another_version()
    crowned.approve_all(version)
    with pytest.raises(RegistryUnavailable):
        crowned.promote(version, workspace=crowned.with_registry(Faulty(crowned, lost=lost)))
    assert crowned.champion() == "1"
    assert reasons(crowned) == ()
    assert crowned.promote(version).previous == "1"


def test_move_that_could_not_be_taken_back_is_not_believed(crowned: Office) -> None:
    version = crowned.another_version()
    crowned.approve_all(version)
    with pytest.raises(RegistryUnavailable) as refusal:
        crowned.promote(version, workspace=crowned.with_registry(LostThenRefused(crowned)))
    assert any("alias champion may still be set" in each for each in refusal.value.__notes__)
    assert crowned.champion() == version
    assert reasons(crowned) == ("the audit trail holds no promotion of this version to champion",)


def forge(office: Office, action: str, **evidence: Any) -> None:
    """A move as code in a run can write it."""
    for outcome in (Outcome.STARTED, Outcome.SUCCEEDED):
        office.world.audit.append(
            champion_ledger(MODEL),
            AuditRecord(
                id=f"forged-{len(office.world.moves())}",
                time=office.world.clock(),
                environment="staging",
                principal=RecordedPrincipal("mallory", "ml_engineer", "env"),
                action=action,
                resource=f"model/{MODEL}",
                outcome=outcome,
                evidence={"model": MODEL, "alias": "champion"} | evidence,
            ),
        )


def test_forged_move_deploys_nothing_that_is_not_approved(crowned: Office) -> None:
    version = crowned.another_version()
    last = history_of(crowned.world.workspace(), MODEL).last_move
    tags = crowned.world.registry.version(MODEL, version).tags
    forge(
        crowned,
        "model:promote",
        version=version,
        replaces=last,
        model_digest=tags["model_digest"],
        registration_event=tags["audit_event"],
    )
    crowned.client.set_registered_model_alias(MODEL, "champion", version)
    assert "0 of 2 approvals are valid" in reasons(crowned)


@pytest.mark.parametrize("late_first", [True, False])
def test_late_undoing_takes_back_its_own_move_alone(crowned: Office, late_first: bool) -> None:
    """What waits on one machine's disk; another makes the same move meanwhile."""
    version = crowned.another_version()
    crowned.approve_all(version)
    before = history_of(crowned.world.workspace(), MODEL).last_move
    tags = crowned.world.registry.version(MODEL, version).tags
    crowned.promote(version)

    def flush(outcome: Outcome, number: int, **evidence: Any) -> None:
        crowned.world.audit.append(
            champion_ledger(MODEL),
            AuditRecord(
                id=f"late-{number}",
                time=crowned.world.clock(),
                environment="staging",
                principal=RecordedPrincipal("ada", "ml_engineer", "env"),
                action="model:promote",
                resource=f"model/{MODEL}",
                outcome=outcome,
                reason="its record could not be written" if outcome is Outcome.FAILED else "",
                evidence={
                    "model": MODEL,
                    "alias": "champion",
                    "version": version,
                    "replaces": before,
                    "model_digest": tags["model_digest"],
                    "registration_event": tags["audit_event"],
                }
                | evidence,
            ),
        )

    def succeed() -> None:
        flush(Outcome.STARTED, 0)
        flush(Outcome.SUCCEEDED, 1)

    def undo() -> None:
        flush(Outcome.STARTED, 2)
        flush(Outcome.FAILED, 3, taken_back="late-1")

    for step in (succeed, undo) if late_first else (undo, succeed):
        step()
    champion = history_of(crowned.world.workspace(), MODEL).champion
    assert champion is not None
    assert champion.version == version


def test_record_that_comes_late_moves_nothing(crowned: Office) -> None:
    """A success that waited on a disk while others moved on."""
    version = crowned.another_version()
    crowned.approve_all(version)
    crowned.promote(version)
    before = history_of(crowned.world.workspace(), MODEL)
    forge(crowned, "model:promote", version="1", replaces=None)
    forge(crowned, "model:rollback", version="9", replaces=before.last_move)
    assert history_of(crowned.world.workspace(), MODEL) == before
    assert reasons(crowned) == ()


# --- rollback


@pytest.fixture
def third(crowned: Office) -> Office:
    """Versions 1, 2 and 3 were champion one after the other."""
    for _ in range(2):
        version = crowned.another_version()
        crowned.approve_all(version)
        crowned.promote(version)
    return crowned


@pytest.mark.parametrize("role", [Role.ML_ENGINEER, Role.PLATFORM_ADMIN])
def test_on_call_rolls_back_alone_and_that_is_on_record(third: Office, role: Role) -> None:
    done = third.rollback(role=role, reason="declines everybody")
    assert (done.move.version, done.move.previous, done.lacks) == ("2", "3", ())
    assert third.champion() == "2"
    assert reasons(third) == ()
    record = third.world.ledger(champion_ledger(MODEL))[-1]
    assert (record.action, record.principal.role) == ("model:rollback", role.value)
    assert record.evidence["why"] == "declines everybody"
    assert (record.evidence["emergency"], record.evidence["without_quorum"]) == (True, True)


def test_second_rollback_goes_further_back_and_not_forth(third: Office) -> None:
    assert [third.rollback().move.version for _ in range(2)] == ["2", "1"]
    before = third.world.state()
    with pytest.raises(ApprovalError, match="no earlier champion to go back to: there was none"):
        third.rollback()
    assert third.world.state() == before
    assert third.last_refusal().action == "model:rollback"
    third.promote("3")
    assert third.rollback().move.version == "1"


def test_days_on_which_another_version_decided_do_not_count_for_the_one_that_came_back(
    third: Office,
) -> None:
    current = {"kind": "csv", "path": "day-{partition}.csv"}
    product = tiny_product(
        monitoring={"current": current, "partitions": "daily", "since": "2039-12-01"}
    )
    promoted = third.world.clock().date()
    third.world.clock.advance(days=3)
    third.rollback()
    work, today = third.world.workspace(), third.world.clock().date()
    counted = [
        decides_on(work, product, "2", Declared(day.isoformat()))
        for day in (promoted, today - timedelta(days=1), today)
    ]
    assert counted == [False, False, True]
    champion = history_of(work, MODEL).champion
    assert champion is not None
    assert champion.since.date() == promoted  # its approvals are judged by the promotion


@pytest.mark.parametrize("role", [Role.APPROVER, Role.DATA_SCIENTIST, Role.SCHEDULER, Role.VIEWER])
def test_others_do_not_roll_back(third: Office, role: Role) -> None:
    before = third.world.state()
    with pytest.raises(AccessDenied):
        third.rollback(role=role)
    assert third.world.state() == before
    assert third.last_refusal().action == "model:rollback"


def test_rollback_without_a_reason_is_refused(third: Office) -> None:
    before = third.world.state()
    with pytest.raises(ApprovalError, match="needs a reason"):
        third.rollback(reason="  ")
    assert third.world.state() == before
    assert third.last_refusal().reason.startswith("a rollback needs a reason")


def test_rejected_champion_is_passed_over(third: Office) -> None:
    third.reject("judy", version="2", reason="worse")
    done = third.rollback()
    assert done.move.version == "1"
    assert done.passed_over == ("version 2: judy rejected it: worse",)
    assert third.world.ledger(champion_ledger(MODEL))[-1].evidence["passed_over"] == (
        "version 2: judy rejected it: worse",
    )


def test_rollback_renews_no_approval(third: Office) -> None:
    third.world.clock.advance(days=91)
    done = third.rollback()
    assert third.champion() == "2"
    assert "0 of 2 approvals are valid" in done.lacks[0]
    assert any("0 of 2 approvals are valid" in each for each in reasons(third))
    third.approve_all("2")
    assert reasons(third) == ()


def test_champion_that_was_never_approved_is_not_gone_back_to(crowned: Office) -> None:
    """A forged past is no past."""
    version = crowned.another_version()
    tags = crowned.world.registry.version(MODEL, version).tags
    forge(
        crowned,
        "model:promote",
        version=version,
        replaces=history_of(crowned.world.workspace(), MODEL).last_move,
        model_digest=tags["model_digest"],
        registration_event=tags["audit_event"],
        seen_digest="00" * 32,
    )
    newest = crowned.another_version()
    crowned.approve_all(newest)
    crowned.promote(newest)
    done = crowned.rollback()
    assert done.move.version == "1"
    assert "no quorum of signed approvals" in done.passed_over[0]


def test_deleted_champion_is_passed_over(third: Office) -> None:
    third.client.delete_model_version(MODEL, "2")
    done = third.rollback()
    assert done.move.version == "1"
    assert "version 2: MLflow refused to find" in done.passed_over[0]


def test_model_without_a_champion_is_not_rolled_back(office: Office) -> None:
    with pytest.raises(ApprovalError, match="knows no champion"):
        office.rollback()
    with pytest.raises(RegistryError):
        office.promote("77")


def test_approvals_are_valid_for_as_long_as_they_say(office: Office) -> None:
    for name in ("grace", "henry"):
        office.approve(name, lifetime=timedelta(days=1))
    office.promote()
    office.world.clock.advance(days=1)
    assert reasons(office) != ()
