"""``deploy-check``: flag, gates, audit trail and files must agree, or nothing is deployed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from product_fixtures import (
    AUDIT,
    Made,
    World,
    changed,
    new_world,
    run_all,
    tiny_product,
)

from interlock.actions.deploy_check import GOVERNANCE_TAGS, deploy_check, parse_reference
from interlock.errors import AccessDenied, DeploymentRefused
from interlock.governance.audit import Outcome, Stream, champion_ledger
from interlock.governance.policy import Action, Resource
from interlock.governance.principal import Environment, Role


@dataclass
class Site:
    """A world with a champion that may be deployed, and ways to tamper with it."""

    world: World
    made: Made

    @property
    def client(self) -> Any:
        return self.world.connection.client

    def tag(self, name: str, value: str, version: str = "1") -> None:
        self.client.set_model_version_tag("TinyModel", version, name, value)

    def untag(self, name: str) -> None:
        self.client.delete_model_version_tag("TinyModel", "1", name)

    def version(self) -> Any:
        return self.client.get_model_version("TinyModel", "1")

    def files(self) -> Path:
        """The folder of the model's files."""
        (found,) = self.world.artifacts.rglob("MLmodel")
        return found.parent


@pytest.fixture
def site(made: tuple[World, Made]) -> Site:
    return Site(*made)


def refused(world: World, reference: str = "TinyModel", **options: Any) -> tuple[str, ...]:
    """The reasons of a refusal, which must be on record and change nothing."""
    before = world.state()
    with pytest.raises(DeploymentRefused) as refusal:
        deploy_check(world.workspace(**options), reference, world.run("deploy"))
    assert world.state() == before
    if not world.store._away:
        failed = world.records("deploy")[-1]
        assert (failed.action, failed.outcome.value) == ("model:serve", "failed")
        assert failed.reason == str(refusal.value)
    return refusal.value.reasons


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("M", ("M", "champion")),
        ("M@", ("M", "champion")),
        ("M@challenger", ("M", "challenger")),
        ("M@a@b", ("M", "a@b")),
    ],
)
def test_reference_names_model_and_alias(text: str, expected: tuple[str, str]) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize("reference", ["TinyModel", "TinyModel@champion", "TinyModel@challenger"])
def test_registered_version_may_be_deployed_in_dev(site: Site, reference: str) -> None:
    before = site.world.state()
    allowed = deploy_check(site.world.workspace(), reference, site.world.run("deploy"))
    assert allowed.version.version == "1"
    assert allowed.event_key == site.made.registration.event_key
    assert site.world.state() == before
    assert site.world.story("deploy") == [("model:serve", "started"), ("model:serve", "succeeded")]
    assert site.world.records("deploy")[1].evidence["version"] == "1"


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER, Role.AUDITOR, Role.SCHEDULER])
def test_role_that_may_not_serve_is_denied(site: Site, role: Role) -> None:
    before = site.world.state()
    with pytest.raises(AccessDenied):
        deploy_check(site.world.workspace(role=role), "TinyModel", site.world.run("deploy"))
    assert site.world.state() == before
    assert site.world.story("deploy") == [("model:serve", "denied")]


@pytest.mark.parametrize("reference", ["NoModel", "TinyModel@none", "TinyModel@1", "x'y@z"])
def test_model_or_alias_that_does_not_exist_is_refused(site: Site, reference: str) -> None:
    (reason,) = refused(site.world, reference)
    assert "there is no such model or alias" in reason or "MLflow refused" in reason


@pytest.mark.parametrize("name", GOVERNANCE_TAGS)
def test_missing_tag_is_refused(site: Site, name: str) -> None:
    site.untag(name)
    assert f"tag {name} is missing" in refused(site.world)


@pytest.mark.parametrize("value", ["true", "True", "no", "0", " false", "False"])
def test_flag_that_does_not_say_false_is_refused(site: Site, value: str) -> None:
    site.tag("deployment_blocked", value)
    assert f"deployment_blocked is {value!r}, expected 'false'" in refused(site.world)


def test_approval_state_that_contradicts_the_trail_is_refused(site: Site) -> None:
    site.tag("approval_state", "approved")
    assert refused(site.world) == (
        "tag approval_state is 'approved', by the audit trail it is 'not_required'",
    )


@pytest.mark.parametrize("name", ["model_digest", "model_fingerprint", "data_hash", "policy_hash"])
def test_tag_that_contradicts_the_trail_is_refused(site: Site, name: str) -> None:
    site.tag(name, "approved")
    reasons = refused(site.world)
    assert any(f"tag {name} is 'approved', the audit trail recorded" in each for each in reasons)


@pytest.mark.parametrize("name", ["environment", "audit_env"])
def test_version_of_another_environment_is_refused(site: Site, name: str) -> None:
    site.tag(name, "prod")
    assert "it was registered in prod, this is dev" in refused(site.world)


def test_missing_audit_event_is_refused(site: Site) -> None:
    site.untag("audit_event")
    assert "tag audit_event is missing, so its registration cannot be proven" in refused(site.world)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("000006", "records model:train succeeded, no registration"),
        ("000007", "records model:register started, no registration"),
        ("000099", "the audit trail holds no event"),
    ],
)
def test_another_audit_event_is_refused(site: Site, number: str, reason: str) -> None:
    site.tag("audit_event", site.made.registration.event_key.replace("000008", number))
    assert any(reason in each for each in refused(site.world))


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("governance/audit/2040/01/02/none/000001.json", "the audit trail cannot be read"),
        ("elsewhere", "'elsewhere' is no key of this audit trail"),
    ],
)
def test_audit_event_that_cannot_be_read_is_refused(site: Site, key: str, says: str) -> None:
    site.tag("audit_event", key)
    assert any(says in each for each in refused(site.world))


def test_record_of_a_promotion_is_no_registration(site: Site) -> None:
    (move,) = site.world.audit.read(champion_ledger("TinyModel"))[1:]
    site.tag("audit_event", move.key)
    assert any("model:promote succeeded, no registration" in each for each in refused(site.world))


def test_trail_that_was_tampered_with_is_refused(site: Site) -> None:
    key = site.made.registration.event_key
    site.world.store.overwrite(AUDIT, key, site.world.store.get(AUDIT, key))
    assert any("does not verify" in each for each in refused(site.world))


def test_trail_that_is_away_is_refused(site: Site) -> None:
    world = site.world
    workspace = world.workspace(probe=lambda: None)
    before = world.state()
    world.store.go_away()
    with pytest.raises(DeploymentRefused) as refusal:
        deploy_check(workspace, "TinyModel", world.run("deploy"))
    assert any("the audit trail cannot be read" in each for each in refusal.value.reasons)
    world.store.come_back()
    assert world.state() == before
    world.audit.flush_spool()
    assert world.story("deploy") == [("model:serve", "started"), ("model:serve", "failed")]


def test_mlflow_that_is_away_is_refused(site: Site) -> None:
    site.world.tracking_uri = "sqlite:////proc/no/such/folder/mlflow.db"
    (reason,) = refused(site.world)
    assert "MLflow could not open" in reason


@pytest.mark.parametrize(
    "tamper",
    [
        lambda files: (files / "model.pkl").write_bytes(b"another model"),
        lambda files: (files / "MLmodel").write_text("flavors: {}"),
        lambda files: (files / "more.txt").write_text("one file more"),
        lambda files: (files / "requirements.txt").unlink(),
        lambda files: (files / "model.pkl").rename(files / "model2.pkl"),
    ],
    ids=["changed", "metadata changed", "added", "removed", "renamed"],
)
def test_files_that_are_not_those_registered_are_refused(
    site: Site, tamper: Callable[[Path], object]
) -> None:
    tamper(site.files())
    assert any("the audit trail recorded" in each for each in refused(site.world))


def test_files_that_are_gone_are_refused(site: Site) -> None:
    shutil.rmtree(site.files())
    assert any("have digest e3b0c44298fc" in each for each in refused(site.world)), "of nothing"


def test_version_that_was_made_in_mlflow_alone_is_refused(site: Site) -> None:
    """All tags copied from a good version, and the alias moved by hand."""
    good = site.version()
    site.client.create_model_version(
        "TinyModel", good.source, run_id=good.run_id, tags=dict(good.tags)
    )
    site.client.set_registered_model_alias("TinyModel", "champion", "2")
    reasons = refused(site.world)
    assert any("registers TinyModel version 1" in each for each in reasons)
    assert "the audit trail holds no promotion of this version to champion" in reasons


def test_version_without_any_tags_is_refused_for_each_of_them(site: Site) -> None:
    site.client.create_model_version("TinyModel", site.version().source)
    site.client.set_registered_model_alias("TinyModel", "champion", "2")
    reasons = refused(site.world)
    assert {f"tag {name} is missing" for name in GOVERNANCE_TAGS} <= set(reasons)


def test_alias_that_was_moved_by_hand_is_refused(site: Site) -> None:
    """A second version is a good challenger, but nobody recorded its promotion."""
    run_all(site.world, tiny_product(), run="run-2")
    assert (
        deploy_check(
            site.world.workspace(), "TinyModel@challenger", site.world.run("check")
        ).version.version
        == "2"
    )
    site.client.set_registered_model_alias("TinyModel", "champion", "2")
    assert refused(site.world) == (
        "the audit trail holds no promotion of this version to champion",
    )


def test_version_that_failed_a_gate_is_refused_whatever_its_tags_say(world: World) -> None:
    product = tiny_product(gates=[{"metric": "roc_auc", "min": 0.999}])
    assert not run_all(world, product).registration.passed
    client = world.connection.client
    for name, value in (("deployment_blocked", "false"), ("approval_state", "not_required")):
        client.set_model_version_tag("TinyModel", "1", name, value)
    client.set_registered_model_alias("TinyModel", "champion", "1")
    reasons = refused(world)
    assert any("gate roc_auc failed" in each for each in reasons)
    assert any("by the audit trail it is 'rejected_by_gates'" in each for each in reasons)


@pytest.mark.parametrize("environment", [Environment.STAGING, Environment.PROD])
def test_flag_and_alias_set_by_hand_deploy_nothing_outside_dev(
    tmp_path: Path,
    mlflow_template: Callable[[], Path],
    environment: Environment,
) -> None:
    world = new_world(tmp_path / "world", mlflow_template, environment)
    version = run_all(world, tiny_product()).registration.version
    assert version.tags["deployment_blocked"] == "true"
    assert version.tags["approval_state"] == "pending"
    assert version.aliases == ("challenger",)
    blocked = refused(world, "TinyModel@challenger")
    assert "deployment_blocked is 'true', expected 'false'" in blocked
    client = world.connection.client
    client.set_model_version_tag("TinyModel", "1", "deployment_blocked", "false")
    client.set_model_version_tag("TinyModel", "1", "approval_state", "approved")
    client.set_registered_model_alias("TinyModel", "champion", "1")
    reasons = {each.partition(",")[0] for each in refused(world)}
    assert reasons == {
        "0 of 1 approvals are valid",
        "tag approval_state is 'approved'",
        "the audit trail holds no promotion of this version to champion",
    }


GATE = {
    "metric": "roc_auc",
    "value": 0.9,
    "limit": 0.6,
    "direction": "min",
    "passed": True,
    "reason": "",
}


@pytest.mark.parametrize(
    ("gates", "passed", "says"),
    [
        (None, True, "no gate result is recorded"),
        ([], True, "no gate result is recorded"),
        ("all passed", True, "no gate result is recorded"),
        (["roc_auc passed"], True, "no gate result is recorded"),
        ([GATE | {"value": 0.1}], True, "gate roc_auc failed"),
        ([GATE | {"value": "0.9"}], True, "gate roc_auc failed"),
        ([GATE | {"value": None}], True, "gate roc_auc failed"),
        ([GATE | {"passed": "yes"}], True, "gate roc_auc failed"),
        ([GATE, {"metric": "ks"}], True, "gate ks failed"),
        ([GATE], False, "does not record that the gates passed"),
        ([GATE], None, "does not record that the gates passed"),
    ],
)
def test_record_whose_gates_do_not_hold_is_refused(
    site: Site, gates: object, passed: object, says: str
) -> None:
    """An event that says "passed" beside a value that does not reach its limit."""
    world = site.world
    recorded = next(
        record.evidence for record in world.records("run-1") if "gates" in record.evidence
    )
    with world.authority().govern(
        Action.MODEL_REGISTER, Resource("model", "TinyModel"), world.run("forged")
    ) as governed:
        governed.evidence |= {**recorded, "gates": gates, "gates_passed": passed}
    site.tag("audit_event", governed.event_key)
    assert any(says in reason for reason in refused(world, "TinyModel@challenger"))


def test_row_edited_in_the_database_of_mlflow_is_refused(site: Site) -> None:
    with changed(site.world.database) as database:
        database.execute("update model_versions set source = 'models:/m-0'")
    assert any("read the files of" in each for each in refused(site.world))


def test_files_that_only_loading_by_name_would_get_are_refused(site: Site) -> None:
    with changed(site.world.database) as database:
        database.execute("update model_versions set storage_location = 'file:///elsewhere'")
    (reason,) = refused(site.world)
    assert "who loads it by name gets other files" in reason


def test_source_that_was_not_registered_is_refused_with_equal_files(site: Site) -> None:
    """Another logged model with the very same bytes is still not the one on record."""
    with changed(site.world.database) as database:
        (other,) = database.execute("select model_id from logged_models").fetchone()
        database.execute("update model_versions set source = 'models:/' || ? || '/'", (other,))
    assert any("its source is" in each for each in refused(site.world))


def test_owner_on_a_tag_that_is_not_on_record_is_refused(site: Site) -> None:
    site.tag("audit_owner", "mallory")
    assert refused(site.world) == ("tag audit_owner is 'mallory', the audit trail recorded 'ada'",)


def _registration(site: Site, **changes: Any) -> None:
    """A second, made-up registration and promotion, recorded and tagged as real."""
    world = site.world
    ledger = champion_ledger("TinyModel")
    (replaced,) = [each.key for each in world.audit.read(ledger)][1:]
    places = {
        "model:register": (Stream("tiny-made-up", date(2040, 1, 2)), world.records("run-1")),
        "model:promote": (ledger, world.ledger(ledger)),
    }
    keys: dict[str, str] = {}
    for action, (stream, records) in places.items():
        real = [each for each in records if each.action == action][-1]
        for outcome in (Outcome.STARTED, Outcome.SUCCEEDED):
            evidence = dict(real.evidence)
            if action == "model:promote":
                evidence |= {
                    "registration_event": keys["model:register"],
                    "replaces": replaced,
                }
            made = replace(
                real, id=f"{action[6:]}-{outcome.value}", outcome=outcome, evidence=evidence
            )
            keys[action] = world.audit.append(stream, replace(made, **changes.get(action, {}))).key
    site.tag("audit_event", keys["model:register"])


def test_registration_as_recorded_elsewhere_in_the_trail_is_believed(site: Site) -> None:
    _registration(site)
    assert deploy_check(site.world.workspace(), "TinyModel", site.world.run("deploy"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model:register": {"environment": "prod"}}, "was recorded in prod, this is dev"),
        ({"model:register": {"resource": "model/Other"}}, "registers TinyModel version 1"),
        ({"model:promote": {"environment": "prod"}}, "holds no promotion"),
        ({"model:promote": {"resource": "model/Other"}}, "holds no promotion"),
        ({"model:promote": {"evidence": {"model": "TinyModel"}}}, "holds no promotion"),
    ],
    ids=str,
)
def test_event_of_another_environment_or_model_is_refused(
    site: Site, changes: dict[str, Any], reason: str
) -> None:
    _registration(site, **changes)
    assert any(reason in each for each in refused(site.world))
