"""Training and registration against a real MLflow: what it holds, and what it may not hold."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from product_fixtures import (
    ROWS,
    Made,
    World,
    after_trained,
    changed,
    new_world,
    run_all,
    tiny_product,
)

from interlock.actions.deploy_check import GOVERNANCE_TAGS, deploy_check
from interlock.actions.evidence import Upstream
from interlock.actions.register import Registration, register
from interlock.actions.workspace import Workspace
from interlock.adapters.mlflow_connection import MARK_EXPERIMENT, MARK_TAG, MlflowConnection
from interlock.adapters.model_registry import ModelRegistry, ModelVersion, digest_of
from interlock.errors import (
    AccessDenied,
    AuditWriteFailed,
    ConfigurationError,
    DeploymentRefused,
    EvidenceError,
    InterlockError,
    ProductBusy,
    RegistryError,
    RegistryUnavailable,
)
from interlock.governance.principal import Environment, Role

AWAY = RegistryUnavailable("MLflow does not answer", remedy="start it")
TEMPLATE = Callable[[], Path]


class FaultyRegistry(ModelRegistry):
    """A registry whose answers get lost, and beside which others act.

    Args:
        world: Where it is.
        lost: Methods whose effect happens and whose answer is lost.
        refused: Methods that fail without effect.
        before: Called before a method does anything.
    """

    def __init__(
        self,
        world: World,
        *,
        lost: tuple[str, ...] = (),
        refused: tuple[str, ...] = (),
        before: Mapping[str, Callable[[], object]] | None = None,
    ) -> None:
        super().__init__(world.connection)
        self._lost = lost
        self._refused = refused
        self._before = before or {}

    def set_alias(self, version: ModelVersion, alias: str) -> None:
        name = f"set_alias {alias}"
        self._enter(name)
        super().set_alias(version, alias)
        self._leave(name)

    def delete_alias(self, model: str, alias: str) -> None:
        self._enter("delete_alias")
        super().delete_alias(model, alias)

    def set_tags(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        name = f"set_tags {next(iter(tags))}"
        self._enter(name)
        super().set_tags(version, tags)
        self._leave(name)

    def register(self, **options: Any) -> ModelVersion:
        self._enter("register")
        return super().register(**options)

    def _enter(self, name: str) -> None:
        if name in self._before:
            self._before[name]()
        if name in self._refused:
            raise AWAY

    def _leave(self, name: str) -> None:
        if name in self._lost:
            raise AWAY


def again(
    world: World, made: Made, *, run: str = "again", work: Workspace | None = None, **product: Any
) -> Registration:
    """The trained model, registered once more."""
    return register(
        work or world.workspace(),
        tiny_product(**product),
        world.run(run),
        after_trained(made.trained),
    )


def with_registry(world: World, registry: ModelRegistry) -> Workspace:
    return dataclasses.replace(world.workspace(), registry=registry)


def aliases(world: World) -> dict[str, str]:
    found = world.connection.client.get_registered_model("TinyModel").aliases
    return {alias: str(version) for alias, version in found.items()}


def undo_registration(world: World) -> None:
    """MLflow as it was before the model was registered."""
    world.connection.client.delete_registered_model("TinyModel")


@pytest.fixture
def trained(made: tuple[World, Made]) -> tuple[World, Made]:
    """A world with a trained model and no version of it."""
    undo_registration(made[0])
    return made


def test_training_is_one_finished_run_with_a_child_per_candidate(
    made: tuple[World, Made],
) -> None:
    world, result = made
    client = world.connection.client
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    (parent,) = [run for run in runs if run not in children]
    assert parent.info.run_id == result.trained.mlflow_run
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert [run.info.run_name for run in children] == ["logistic_regression"]
    assert parent.data.tags["dagster_run_id"] == "run-1"
    assert parent.data.tags["interlock.data_hash"] == result.validated.data_hash
    assert parent.data.params["winner"] == "logistic_regression"
    assert parent.data.metrics["holdout_roc_auc"] == result.trained.metrics["roc_auc"]
    low, high = (parent.data.metrics[f"holdout_roc_auc_{end}"] for end in ("low", "high"))
    assert low <= result.trained.metrics["roc_auc"] <= high
    plots = {each.path for each in client.list_artifacts(parent.info.run_id, "plots")}
    assert {f"plots/{name}.png" for name in result.trained.figures} == plots
    assert len(plots) == 5


def test_model_carries_signature_example_and_pinned_requirements(
    made: tuple[World, Made], tmp_path: Path
) -> None:
    world, result = made
    files = world.registry.download(result.trained.uri, tmp_path / "model")
    description = (files / "MLmodel").read_text()
    assert '"name": "income"' in description
    assert "input_example" in description
    requirements = (files / "requirements.txt").read_text().splitlines()
    assert all("==" in line for line in requirements)
    assert {"scikit-learn", "mlflow"} <= {line.split("==")[0] for line in requirements}
    assert digest_of(files) == result.trained.digest


def test_registered_model_predicts_what_was_trained(made: tuple[World, Made]) -> None:
    import mlflow.pyfunc
    import pandas as pd

    world, _ = made
    assert world.connection.client
    model = mlflow.pyfunc.load_model("models:/TinyModel@champion")
    rich_or_poor = pd.DataFrame({"income": [90.0, 10.0], "region": ["north", "south"]})
    scores = model.predict(rich_or_poor)
    assert scores.shape == (2, 2)
    assert scores[0, 1] < 0.2, "the risk of turning out bad"
    assert scores[1, 1] > 0.8


def test_passing_version_in_dev_is_champion_with_every_tag(made: tuple[World, Made]) -> None:
    world, result = made
    version = result.registration.version
    assert set(GOVERNANCE_TAGS) <= set(version.tags)
    assert version.aliases == ("challenger", "champion")
    expected = {
        "owner": "team:tests",
        "environment": "dev",
        "approval_state": "not_required",
        "data_hash": result.validated.data_hash,
        "audit_owner": "ada",
        "audit_env": "dev",
        "deployment_blocked": "false",
        "model_digest": result.trained.digest,
        "model_fingerprint": result.trained.fingerprint,
        "policy_hash": world.authority().engine.policy_hash,
        "audit_event": result.registration.event_key,
        "audit_stream": "tiny-run-1",
    }
    assert {name: version.tags[name] for name in expected} == expected
    registration = [("model:register", "started"), ("model:register", "succeeded")]
    assert world.story("run-1")[-2:] == registration
    assert world.moves() == [("model:promote", "started"), ("model:promote", "succeeded")]
    registered = world.records("run-1")[-1].evidence
    gates = registered["gates"]
    assert [gate["metric"] for gate in gates] == ["roc_auc", "data_quality_score", "rows"]  # type: ignore[attr-defined]
    assert registered["gates_passed"] is True
    assert world.audit.verify().intact


@pytest.mark.parametrize("environment", [Environment.STAGING, Environment.PROD])
def test_passing_version_outside_dev_waits_blocked_for_approval(
    tmp_path: Path, mlflow_template: TEMPLATE, environment: Environment
) -> None:
    world = new_world(tmp_path / "world", mlflow_template, environment)
    version = run_all(world, tiny_product()).registration.version
    assert version.tags["deployment_blocked"] == "true"
    assert version.tags["approval_state"] == "pending"
    assert version.tags["environment"] == environment.value
    assert aliases(world) == {"challenger": "1"}
    assert ("model:promote", "started") not in world.story()


def test_second_version_challenges_and_the_champion_stays(made: tuple[World, Made]) -> None:
    world, _ = made
    second = run_all(world, tiny_product(), run="run-2").registration
    assert second.version.version == "2"
    assert aliases(world) == {"challenger": "2", "champion": "1"}


@pytest.mark.parametrize(
    ("floors", "gates", "failed"),
    [
        ({}, [{"metric": "roc_auc", "min": 0.999}], ["roc_auc"]),
        ({}, [{"metric": "brier", "max": 0.0}, {"metric": "ks", "min": 1.0}], ["brier", "ks"]),
        ({}, [{"metric": "rows", "min": ROWS + 1}], ["rows"]),
        ({}, [{"metric": "data_quality_score", "min": 1.01}], ["data_quality_score"]),
        ({"accuracy": 0.999}, [{"metric": "accuracy", "min": 0.1}], ["accuracy"]),
        ({"f1": 0.999}, [{"metric": "rows", "min": 1}], ["f1"]),
        ({"made_up": 0.1}, [{"metric": "rows", "min": 1}], ["made_up"]),
    ],
    ids=["below", "two", "rows", "quality", "floor tightens", "floor alone", "never measured"],
)
def test_version_that_fails_a_gate_is_kept_rejected_and_gets_no_alias(
    trained: tuple[World, Made],
    floors: dict[str, float],
    gates: list[dict[str, Any]],
    failed: list[str],
) -> None:
    world, made = trained
    world.floors |= floors
    registration = again(world, made, gates=gates)
    assert not registration.passed
    assert [gate.metric for gate in registration.gates if not gate.passed] == failed
    tags = registration.version.tags
    assert tags["approval_state"] == "rejected_by_gates"
    assert tags["deployment_blocked"] == "true"
    assert aliases(world) == {}
    evidence = world.records("again")[-1].evidence
    assert evidence["gates_passed"] is False
    assert evidence["approval_state"] == "rejected_by_gates"


def test_rejected_version_takes_no_alias_from_the_others(made: tuple[World, Made]) -> None:
    world, result = made
    again(world, result, gates=[{"metric": "roc_auc", "min": 0.999}])
    assert aliases(world) == {"challenger": "1", "champion": "1"}


def test_same_data_yaml_and_seed_give_the_same_model_trained_anew(
    made: tuple[World, Made],
) -> None:
    world, first = made
    second = run_all(world, tiny_product(), run="run-2")
    assert second.trained.metrics == first.trained.metrics
    assert second.trained.intervals == first.trained.intervals
    assert second.trained.fingerprint == first.trained.fingerprint
    assert second.validated.data_hash == first.validated.data_hash
    assert second.trained.mlflow_run != first.trained.mlflow_run
    assert second.trained.uri != first.trained.uri
    assert second.trained.seconds > 0


def test_another_seed_gives_another_model(world: World, made: tuple[World, Made]) -> None:
    other = run_all(
        world,
        tiny_product(search={"iterations": 1, "folds": 2, "seed": 1}),
        upto="trained_model",
    )
    assert other.trained.fingerprint != made[1].trained.fingerprint


def test_registering_one_model_twice_gives_versions_with_their_own_record(
    made: tuple[World, Made],
) -> None:
    world, result = made
    second = again(world, result)
    assert second.version.version == "2"
    assert second.event_key != result.registration.event_key
    assert second.version.tags["model_digest"] == result.registration.version.tags["model_digest"]
    for reference in ("TinyModel@champion", "TinyModel@challenger"):
        assert deploy_check(world.workspace(), reference, world.run("deploy"))


@pytest.mark.parametrize(
    "upstream",
    [None, {"hash": "0" * 64}, {"event_key": "governance/audit/2040/01/02/none/000001.json"}],
    ids=["none", "made-up hash", "made-up event"],
)
def test_model_that_is_not_on_record_is_not_registered(
    trained: tuple[World, Made], upstream: dict[str, str] | None
) -> None:
    world, made = trained
    real = after_trained(made.trained)
    asked: Upstream | None = None if upstream is None else dataclasses.replace(real, **upstream)
    before = world.state()
    with pytest.raises(EvidenceError):
        register(world.workspace(), tiny_product(), world.run("again"), asked)
    assert world.state() == before
    assert world.story("again") == [("model:register", "started"), ("model:register", "failed")]


@pytest.mark.parametrize(
    "tamper",
    [
        lambda files: (files / "model.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR."),
        lambda files: (files / "MLmodel").write_text("flavors: {}"),
        lambda files: (files / "evil.py").write_text("import os"),
        lambda files: (files / "python_env.yaml").unlink(),
        shutil.rmtree,
    ],
    ids=["model replaced", "metadata replaced", "file added", "file removed", "all gone"],
)
def test_artifact_that_was_tampered_with_is_not_registered(
    trained: tuple[World, Made], tamper: Callable[[Path], object]
) -> None:
    world, made = trained
    (found,) = world.artifacts.rglob("MLmodel")
    tamper(found.parent)
    before = world.state()
    with pytest.raises(EvidenceError, match="the audit trail recorded") as refusal:
        again(world, made)
    assert "do not use this model" in refusal.value.remedy
    assert world.state() == before
    assert world.story("again")[-1] == ("model:register", "failed")


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ["income"]},
        {"search": {"iterations": 1, "folds": 2, "seed": 3}},
        {"protected": []},
    ],
    ids=str,
)
def test_model_of_another_declaration_is_not_registered(
    trained: tuple[World, Made], changes: dict[str, Any]
) -> None:
    """The gates of today's YAML must not judge a model that it did not train."""
    world, made = trained
    before = world.state()
    with pytest.raises(EvidenceError, match="changed since the model was trained") as refusal:
        again(world, made, **changes)
    assert refusal.value.remedy == "materialize trained_model again"
    assert world.state() == before
    assert world.story("again")[-1] == ("model:register", "failed")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER, Role.AUDITOR, Role.PLATFORM_ADMIN])
def test_denied_registration_changes_nothing(trained: tuple[World, Made], role: Role) -> None:
    world, made = trained
    before = world.state()
    with pytest.raises(AccessDenied):
        again(world, made, work=world.workspace(role=role))
    assert world.state() == before
    assert world.story("again") == [("model:register", "denied")]


def test_registration_whose_record_cannot_be_written_stays_blocked_for_good(
    trained: tuple[World, Made],
) -> None:
    world, made = trained
    registry = FaultyRegistry(world, before={"set_alias challenger": world.store.go_away})
    with pytest.raises(AuditWriteFailed) as refusal:
        again(world, made, work=with_registry(world, registry))
    assert world.spooled() == [refusal.value.spooled]
    (version,) = world.registry.versions("TinyModel")
    assert version.tags["deployment_blocked"] == "true"
    assert "audit_event" not in version.tags
    assert aliases(world) == {"challenger": "1"}
    world.store.come_back()
    with pytest.raises(DeploymentRefused, match="deployment_blocked is 'true'"):
        deploy_check(world.workspace(), "TinyModel@challenger", world.run("deploy"))
    assert world.spooled() == []
    assert world.story("again") == [("model:register", "started"), ("model:register", "succeeded")]


def test_promotion_whose_record_cannot_be_written_is_taken_back(
    trained: tuple[World, Made],
) -> None:
    world, made = trained
    registry = FaultyRegistry(world, before={"set_alias champion": world.store.go_away})
    with pytest.raises(AuditWriteFailed, match="model:promote"):
        again(world, made, work=with_registry(world, registry))
    assert aliases(world) == {"challenger": "1"}
    world.store.come_back()
    world.audit.flush_spool()
    assert world.audit.verify().intact


def test_promotion_taken_back_without_a_record_says_so(trained: tuple[World, Made]) -> None:
    world, made = trained

    def disk_breaks() -> None:
        world.spool.rename(world.folder / "elsewhere")
        world.spool.write_text("no folder")

    registry = FaultyRegistry(
        world,
        before={"set_alias champion": world.store.go_away, "delete_alias": disk_breaks},
    )
    with pytest.raises(AuditWriteFailed) as refusal:
        again(world, made, work=with_registry(world, registry))
    assert aliases(world) == {"challenger": "1"}
    assert any("taken back is not on record" in note for note in refusal.value.__notes__)


@pytest.mark.parametrize("fault", ["lost", "refused"])
def test_promotion_that_mlflow_did_not_confirm_is_taken_back(
    trained: tuple[World, Made], fault: str
) -> None:
    world, made = trained
    registry = FaultyRegistry(world, **{fault: ("set_alias champion",)})  # type: ignore[arg-type]
    with pytest.raises(RegistryUnavailable):
        again(world, made, work=with_registry(world, registry))
    assert aliases(world) == {"challenger": "1"}
    assert world.moves()[-1] == ("model:promote", "failed")
    assert world.audit.verify().intact


def test_promotion_that_cannot_be_taken_back_says_so_and_deploys_nothing(
    trained: tuple[World, Made],
) -> None:
    world, made = trained
    registry = FaultyRegistry(world, lost=("set_alias champion",), refused=("delete_alias",))
    with pytest.raises(RegistryUnavailable) as refusal:
        again(world, made, work=with_registry(world, registry))
    assert any("alias champion may still be set" in note for note in refusal.value.__notes__)
    with pytest.raises(DeploymentRefused, match="holds no promotion of this version"):
        deploy_check(world.workspace(), "TinyModel", world.run("deploy"))


def test_champion_that_appears_meanwhile_is_not_replaced(trained: tuple[World, Made]) -> None:
    world, made = trained
    again(world, made, run="first", gates=[{"metric": "roc_auc", "min": 0.999}])

    def promote_another(operation: str, _bucket: str, key: str) -> None:
        """After the decision to promote, before the lease is held."""
        if (operation, key) == ("put_new", "leases/champion-TinyModel.json"):
            world.connection.client.set_registered_model_alias("TinyModel", "champion", "1")

    world.store.before.append(promote_another)
    with pytest.raises(ProductBusy, match="another version of TinyModel became champion"):
        again(world, made)
    assert aliases(world) == {"challenger": "2", "champion": "1"}
    assert world.moves()[-1] == ("model:promote", "failed")


@pytest.mark.parametrize(
    "refused", ["register", "set_alias challenger", "set_tags audit_event", "set_tags deployment"]
)
def test_mlflow_that_goes_away_during_registration_leaves_nothing_deployable(
    trained: tuple[World, Made], refused: str
) -> None:
    world, made = trained
    name = "set_tags deployment_blocked" if refused.endswith("deployment") else refused
    registry = FaultyRegistry(world, refused=(name,))
    with pytest.raises(RegistryUnavailable):
        again(world, made, work=with_registry(world, registry))
    for reference in ("TinyModel@champion", "TinyModel@challenger"):
        with pytest.raises(DeploymentRefused):
            deploy_check(world.workspace(), reference, world.run("deploy"))
    assert world.audit.verify().intact
    assert world.audit.verify().unfinished == ()
    assert again(world, made, run="later").passed


def test_version_made_in_mlflow_alone_does_not_hinder_the_next(
    trained: tuple[World, Made],
) -> None:
    world, made = trained
    client = world.connection.client
    client.create_registered_model("TinyModel")
    client.create_model_version("TinyModel", made.trained.uri)
    assert again(world, made).version.version == "2"
    assert aliases(world) == {"challenger": "2", "champion": "2"}


def test_registry_of_another_environment_is_never_written_to(world: World) -> None:
    prod = dataclasses.replace(world, environment=Environment.PROD)
    product = tiny_product()
    validated = run_all(world, product, upto="validated_data")
    assert validated.raw
    assert world.connection.client  # marked for dev
    before = world.state()
    with pytest.raises(ConfigurationError, match="was created for dev, this process runs in prod"):
        assert prod.connection.client
    with pytest.raises(ConfigurationError, match="was created for dev"):
        run_all(
            world,
            product,
            run="run-2",
            workspace=dataclasses.replace(world.workspace(), tracker=prod.workspace().tracker),
        )
    after = world.state()
    assert after.mlflow == before.mlflow == ()
    assert world.story("run-2")[-1] == ("model:train", "failed")


def test_registry_without_a_mark_is_used_only_when_it_is_empty(world: World) -> None:
    assert world.connection.client
    with changed(world.database) as database:
        database.execute("delete from experiment_tags")
        database.execute("delete from experiments where name = ?", (MARK_EXPERIMENT,))
    fresh = dataclasses.replace(world, environment=Environment.STAGING)
    client = fresh.connection.client
    assert client.get_experiment_by_name(MARK_EXPERIMENT).tags[MARK_TAG] == "staging"
    with changed(world.database) as database:
        database.execute("delete from experiment_tags")
        database.execute("update experiments set name = 'ours' where name = ?", (MARK_EXPERIMENT,))
    with pytest.raises(ConfigurationError, match="carries no environment mark"):
        assert dataclasses.replace(world, environment=Environment.STAGING).connection.client


def test_abandoned_runs_are_ended_as_killed_and_no_others(world: World) -> None:
    tracker = world.workspace().tracker
    with tracker.run(product="tiny", name="done", tags={"dagster_run_id": "run-1"}):
        pass
    client = world.connection.client
    experiment = client.get_experiment_by_name("tiny").experiment_id
    open_runs = {
        name: client.create_run(experiment, tags={"dagster_run_id": name}).info.run_id
        for name in ("run-1", "run-2")
    }
    assert tracker.end_abandoned_runs("tiny", "run-1") == (open_runs["run-1"],)
    assert client.get_run(open_runs["run-1"]).info.status == "KILLED"
    assert client.get_run(open_runs["run-2"]).info.status == "RUNNING"
    assert tracker.end_abandoned_runs("tiny", "run-1") == ()


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("wrong"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(), "KILLED")],
)
def test_run_ends_in_every_case(world: World, error: BaseException, status: str) -> None:
    tracker = world.workspace().tracker
    with (
        pytest.raises(type(error)),
        tracker.run(product="tiny", name="run", tags={}) as run,
    ):
        raise error
    assert world.connection.client.get_run(run.run_id).info.status == status


def test_mlflow_that_is_away_is_named_with_what_was_wanted(world: World) -> None:
    away = MlflowConnection(
        tracking_uri="sqlite:////proc/no/such/folder/mlflow.db",
        artifact_root=None,
        environment=Environment.DEV,
    )
    with pytest.raises(RegistryUnavailable, match="MLflow could not open") as refusal:
        assert away.client
    assert "interlock doctor" in refusal.value.remedy


def test_mlflow_whose_database_is_damaged_gives_no_version(made: tuple[World, Made]) -> None:
    world, _ = made
    assert world.registry.version_at("TinyModel", "champion")
    with changed(world.database) as database:
        database.execute("drop table registered_model_aliases")
    with pytest.raises(RegistryError, match="TinyModel@champion"):
        world.registry.version_at("TinyModel", "champion")


def test_model_without_a_name_is_refused(made: tuple[World, Made]) -> None:
    world, result = made
    with pytest.raises(RegistryError, match="MLflow refused to register"):
        world.registry.register(model="", source=result.trained.uri, run_id="", tags={})


def test_versions_that_there_are_are_named_with_one_that_is_not(made: tuple[World, Made]) -> None:
    with pytest.raises(RegistryError, match="find TinyModel version 7") as no:
        made[0].registry.version("TinyModel", "7")
    assert no.value.remedy == "choose a version that there is; the newest of TinyModel: 1"


def test_mlflow_that_refuses_is_told_apart_from_one_that_is_away(world: World) -> None:
    with pytest.raises(RegistryError, match="MLflow refused to find TinyModel version 7") as no:
        world.registry.version("TinyModel", "7")
    assert not isinstance(no.value, RegistryUnavailable)
    assert isinstance(no.value, InterlockError)
    assert no.value.remedy == "choose a version that there is; the newest of TinyModel: none"
