"""What was changed outside of Interlock is found, put back and recorded; nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from office import MODEL, Office
from product_fixtures import AUDIT, PREFIX

from interlock.actions.deploy_check import deploy_check
from interlock.actions.promote import champion_lease
from interlock.actions.reconcile import (
    MAX_RECORDED,
    Reconciled,
    news_of,
    reconcile,
    reconcile_all,
    record_findings,
    require_complete,
)
from interlock.actions.survey import Finding, Kind, survey
from interlock.errors import (
    AccessDenied,
    EvidenceError,
    ReconciliationIncomplete,
    StoreUnavailable,
)
from interlock.governance.audit import Outcome, champion_ledger, decision_ledger
from interlock.governance.policy import Action, Resource
from interlock.governance.principal import Role


def look(office: Office, *, role: Role = Role.SCHEDULER) -> Reconciled:
    """One pass of the reconciler."""
    return reconcile(office.as_("reconciler", role), office.at("reconciler"), MODEL)


def recorded(office: Office) -> list[tuple[str, str]]:
    """The moves and repairs on record."""
    return [each for each in office.world.moves() if each[0] == "model:reconcile"]


@pytest.fixture
def crowned(office: Office) -> Office:
    """Version 1 is champion, version 2 an approved challenger."""
    office.approve_all()
    office.promote()
    office.approve_all(office.another_version())
    return office


def test_nothing_is_written_while_there_is_nothing_to_find(crowned: Office) -> None:
    before, records = crowned.world.state(), len(crowned.world.records())
    assert look(crowned) == Reconciled(MODEL)
    assert crowned.world.state() == before
    assert len(crowned.world.records()) == records


def test_model_that_nobody_knows_is_no_finding(crowned: Office) -> None:
    assert survey(crowned.world.workspace(), "NoSuchModel") == ()


@pytest.mark.parametrize(
    ("tamper", "says"),
    [
        (
            lambda client: client.set_registered_model_alias(MODEL, "champion", "2"),
            "alias champion points at version 2, the audit trail at version 1",
        ),
        (
            lambda client: client.delete_registered_model_alias(MODEL, "champion"),
            "alias champion points at no version, the audit trail at version 1",
        ),
    ],
    ids=["moved", "removed"],
)
def test_alias_changed_by_hand_is_put_back_and_recorded(
    crowned: Office, tamper: Callable[[Any], object], says: str
) -> None:
    tamper(crowned.client)
    found = look(crowned)
    assert found.tampering == found.put_back == (says,)
    assert crowned.champion() == "1"
    record = crowned.world.ledger(champion_ledger(MODEL))[-1]
    assert (record.action, record.outcome) == ("model:reconcile", Outcome.SUCCEEDED)
    assert record.principal.name == "reconciler"
    assert record.evidence["tampering"] == (says,)
    assert look(crowned) == Reconciled(MODEL)
    deploy_check(crowned.world.workspace(), MODEL, crowned.at("ci"))


def test_findings_of_any_length_fit_into_a_record(crowned: Office) -> None:
    """Dozens of long texts, in letters that take many bytes; what is left over comes next."""
    names = ("model_digest", "model_fingerprint", "data_hash", "policy_hash", "audit_owner")
    versions = ["1", "2", *(crowned.another_version() for _ in range(9))]
    for version in versions:
        for number, name in enumerate(names):
            value = f"{number}{chr(0x1F512) * 2_000}"
            crowned.client.set_model_version_tag(MODEL, version, name, value)
    count = len(versions) * len(names)
    first, second = look(crowned), look(crowned)
    assert (len(first.put_back), len(second.put_back)) == (MAX_RECORDED, count - MAX_RECORDED)
    assert look(crowned) == Reconciled(MODEL)
    record = crowned.world.ledger(champion_ledger(MODEL))[-3]
    assert (record.action, record.outcome) == ("model:reconcile", Outcome.SUCCEEDED)
    evidence: dict[str, Any] = dict(record.evidence)
    assert len(evidence["tampering"]) == len(evidence["digests"]) == MAX_RECORDED
    assert list(evidence["put_back"]) == list(range(MAX_RECORDED))


def test_long_finding_that_lasts_is_recorded_once(crowned: Office) -> None:
    """Its text is cut in the record; by its digest it is known again."""
    found = Finding(Kind.TAMPERING, "version 9: " + "long " * 1_000)
    other = Finding(Kind.TAMPERING, found.what + "!")
    world = crowned.world
    with world.authority(role=Role.SCHEDULER).govern(
        Action.MODEL_RECONCILE,
        Resource("model", MODEL),
        crowned.at("reconciler"),
        ledger=champion_ledger(MODEL),
        evidence={"tampering": ["version 7: as an earlier version recorded it"]},
    ):
        pass
    work, run = crowned.as_("reconciler", Role.SCHEDULER), crowned.at("reconciler")
    assert record_findings(work, run, MODEL, (found,)).event_key
    earlier = Finding(Kind.TAMPERING, "version 7: as an earlier version recorded it")
    assert news_of(work, MODEL, (found, earlier, other)) == [other]


def test_champion_that_the_trail_does_not_know_is_removed(office: Office) -> None:
    office.client.set_registered_model_alias(MODEL, "champion", "1")
    assert look(office).tampering == (
        "alias champion points at version 1, the audit trail knows no champion",
    )
    assert office.champion() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_digest", "00" * 32),
        ("model_fingerprint", "00" * 32),
        ("data_hash", "00" * 32),
        ("policy_hash", "00" * 32),
        ("audit_owner", "mallory"),
        ("environment", "dev"),
    ],
)
def test_governance_tag_changed_by_hand_is_put_back(crowned: Office, name: str, value: str) -> None:
    before = crowned.world.registry.version(MODEL, "1").tags
    crowned.client.set_model_version_tag(MODEL, "1", name, value)
    (what,) = look(crowned).tampering
    assert f"tag {name} is {value!r}" in what
    assert crowned.world.registry.version(MODEL, "1").tags == before


@pytest.mark.parametrize(
    ("state", "blocked"), [("approved", "false"), ("pending", "false"), ("fine", "true")]
)
def test_approval_typed_by_hand_is_put_back(office: Office, state: str, blocked: str) -> None:
    office.client.set_model_version_tag(MODEL, "1", "approval_state", state)
    office.client.set_model_version_tag(MODEL, "1", "deployment_blocked", blocked)
    assert len(look(office).tampering) == 1
    assert office.tags() == ("pending", "true")


def test_rejection_undone_by_hand_is_put_back(crowned: Office) -> None:
    crowned.reject("judy")
    crowned.world.clock.advance(minutes=6)
    crowned.client.set_model_version_tag(MODEL, "1", "approval_state", "approved")
    crowned.client.set_model_version_tag(MODEL, "1", "deployment_blocked", "false")
    assert len(look(crowned).tampering) == 1
    assert crowned.tags() == ("rejected", "true")


def test_view_that_a_decision_is_about_to_refresh_is_no_tampering(crowned: Office) -> None:
    crowned.reject("judy")
    crowned.client.set_model_version_tag(MODEL, "1", "approval_state", "approved")
    crowned.client.set_model_version_tag(MODEL, "1", "deployment_blocked", "false")
    found = look(crowned)
    assert found.tampering == ()
    assert len(found.put_back) == 1
    assert crowned.tags() == ("rejected", "true")


def test_approval_that_ended_by_itself_is_shown_and_is_no_tampering(crowned: Office) -> None:
    crowned.world.clock.advance(days=91)
    found = look(crowned)
    assert found.tampering == ()
    assert len(found.put_back) == 2
    assert crowned.tags() == ("expired", "true")


def test_approval_whose_view_was_not_refreshed_is_shown(office: Office) -> None:
    office.approve_all()
    office.world.clock.advance(minutes=6)
    office.client.set_model_version_tag(MODEL, "1", "approval_state", "pending")
    office.client.set_model_version_tag(MODEL, "1", "deployment_blocked", "true")
    assert look(office).tampering == ()
    assert office.tags() == ("approved", "false")


def test_version_made_in_mlflow_alone_is_blocked(crowned: Office) -> None:
    good = crowned.client.get_model_version(MODEL, "1")
    crowned.client.create_model_version(MODEL, good.source, tags=dict(good.tags))
    (what,) = look(crowned).tampering
    assert what.startswith("version 3 is not blocked and not proven")
    assert crowned.tags("3")[1] == "true"
    assert look(crowned) == Reconciled(MODEL)


@pytest.mark.parametrize("version", ["1", "2"])
def test_deleted_version_is_reported_once(crowned: Office, version: str) -> None:
    crowned.client.delete_model_version(MODEL, version)
    found = look(crowned)
    assert f"version {version} was deleted from MLflow" in found.tampering
    assert look(crowned) == Reconciled(MODEL)
    assert recorded(crowned) == [("model:reconcile", "started"), ("model:reconcile", "succeeded")]


def test_deleted_model_is_reported(crowned: Office) -> None:
    crowned.client.delete_registered_model(MODEL)
    assert set(look(crowned).tampering) == {
        "version 1 was deleted from MLflow",
        "version 2 was deleted from MLflow",
    }


def test_event_that_nobody_signed_is_reported_once(crowned: Office) -> None:
    world = crowned.world
    with world.authority(role=Role.APPROVER, name="mallory").govern(
        Action.MODEL_APPROVE,
        Resource("model", MODEL),
        crowned.at("mallory"),
        context=crowned.case().facts(
            world.authority().context, world.authority(name="mallory").principal
        ),
        ledger=decision_ledger(MODEL, "2"),
    ) as governed:
        governed.evidence |= {"envelope": "none"}
    (what,) = look(crowned).tampering
    assert what.startswith("version 2: event")
    assert "was not decided by anybody" in what
    assert look(crowned) == Reconciled(MODEL)


def test_promotion_in_flight_is_left_alone(crowned: Office) -> None:
    """Between the move of the alias and the record of it, the lease is held."""
    seen: list[Reconciled] = []

    def during(_operation: str, _bucket: str, key: str) -> None:
        if "champion.TinyModel/" in key and key.endswith("000004.json") and not seen:
            seen.append(Reconciled(MODEL))
            seen[0] = look(crowned)

    crowned.world.store.before.append(during)
    crowned.promote("2")
    crowned.world.store.before.clear()
    assert crowned.champion() == "2"
    assert recorded(crowned) == []


def test_move_that_was_cut_off_is_put_back_when_its_lease_has_ended(crowned: Office) -> None:
    lease = champion_lease(crowned.world.workspace(), MODEL, "a process that was killed")
    lease.__enter__()
    lease._stop.set()
    crowned.client.set_registered_model_alias(MODEL, "champion", "2")
    assert "a process that was killed holds it" in look(crowned).in_flight
    assert crowned.champion() == "2"
    crowned.world.clock.advance(seconds=70)
    assert len(look(crowned).put_back) == 1
    assert crowned.champion() == "1"


def test_move_that_is_under_way_for_minutes_is_told(crowned: Office) -> None:
    """Whoever holds the lease, and renews it, keeps the alias from being put back."""
    work, run = crowned.as_("reconciler", Role.SCHEDULER), crowned.at("reconciler")
    since: dict[str, datetime] = {}
    crowned.client.set_registered_model_alias(MODEL, "champion", "2")
    for minutes in (0, 2, 4):
        crowned.world.clock.advance(minutes=min(minutes, 2))
        with champion_lease(crowned.world.workspace(), MODEL, "mallory"):
            (found,) = reconcile_all(work, run, in_flight=since)
        assert found.in_flight
        assert bool(found.failed) == (minutes == 4)
    with pytest.raises(ReconciliationIncomplete, match=r"for 4 minutes: .* mallory holds it"):
        require_complete([found])
    (found,) = reconcile_all(work, run, in_flight=since)
    require_complete([found])
    assert (crowned.champion(), since) == ("1", {})


def test_what_is_wrong_with_one_model_keeps_no_other_from_being_put_back(crowned: Office) -> None:
    world = crowned.world
    crowned.client.create_registered_model("! no key")
    crowned.client.create_registered_model("fraud model")
    spoilt = f"{PREFIX}1970/01/01/champion.Aaa/000001.json"
    world.store.put_new(AUDIT, spoilt, b"junk")
    crowned.client.set_registered_model_alias(MODEL, "champion", "2")
    found = reconcile_all(crowned.as_("reconciler", Role.SCHEDULER), crowned.at("reconciler"))
    assert [each.model for each in found if each.failed] == ["! no key", "Aaa", "fraud model"]
    assert [each.model for each in found if each.put_back] == [MODEL]
    assert crowned.champion() == "1"
    with pytest.raises(ReconciliationIncomplete) as error:
        require_complete(found)
    assert "Aaa: the audit stream champion.Aaa does not verify" in str(error.value)
    assert "no model of the platform can be named 'fraud model'" in str(error.value)


@pytest.mark.parametrize("role", [Role.ML_ENGINEER, Role.APPROVER, Role.VIEWER])
def test_only_the_platform_puts_back(crowned: Office, role: Role) -> None:
    crowned.client.set_registered_model_alias(MODEL, "champion", "2")
    before = crowned.world.state()
    with pytest.raises(AccessDenied):
        look(crowned, role=role)
    after = crowned.world.state()
    assert after.mlflow == before.mlflow
    assert crowned.last_refusal().action == "model:reconcile"
    assert len(look(crowned, role=Role.PLATFORM_ADMIN).put_back) == 1


def test_ledger_that_does_not_verify_is_no_ground_to_move_anything(crowned: Office) -> None:
    key = crowned.world.audit.read(champion_ledger(MODEL))[0].key
    crowned.world.store.overwrite("audit", key, b"{}")
    crowned.client.set_registered_model_alias(MODEL, "champion", "2")
    with pytest.raises(EvidenceError, match="does not verify"):
        look(crowned)
    assert crowned.champion() == "2"


def test_store_that_is_away_is_no_ground_to_block_anything(crowned: Office) -> None:
    before = crowned.world.state()
    work = crowned.as_("reconciler", Role.SCHEDULER)
    crowned.world.store.go_away()
    with pytest.raises(StoreUnavailable):
        reconcile(work, crowned.at("reconciler"), MODEL)
    crowned.world.store.come_back()
    assert crowned.world.state() == before
