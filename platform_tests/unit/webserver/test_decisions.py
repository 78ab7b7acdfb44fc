"""Decisions from Dagit: signed at the launch for who is signed in, delivered without a key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.run_coordinator import SubmitRunContext
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from office import MODEL, Office

from interlock.actions.launched import LAUNCH_TAG, MAX_TAG
from interlock.adapters.run_identity import (
    RUN_TAG,
    IdentitySigner,
    IdentityVerifier,
    RunPrincipals,
)
from interlock.adapters.signer import LocalSigner, is_signed_by
from interlock.assembly import Signing
from interlock.components.decisions.job import DECISION_JOB, decision_job
from interlock.components.decisions.resumption import (
    RESUME,
    RESUMPTION_JOB,
    resumption_job,
    resumption_sensor,
)
from interlock.components.model_product.component import guard_resource
from interlock.errors import (
    AccessDenied,
    ApprovalError,
    ConfigurationError,
    IdentityError,
    InterlockError,
)
from interlock.governance.approval import State
from interlock.governance.policy import PolicyEngine
from interlock.governance.principal import IdentitySource, Role
from interlock.guard import Guard
from interlock.settings import Settings, scheduler_principal
from interlock.webserver.coordinator import GovernedRunCoordinator, SignedIn
from interlock.webserver.decisions import Launches, open_launches

ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(
        InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="interlock")), "repository"
    ),
    DECISION_JOB,
)


class Request(SignedIn):
    """A request of somebody in the web server."""

    source: object = "a request"

    def __init__(self, account: str) -> None:
        self.account = account


class DaemonsContext:
    """What the daemon hands over: there is no request."""

    source = None


class Dagit:
    """Staging with a web server: grace and henry approve, ada made the version."""

    def __init__(self, office: Office, instance: dg.DagsterInstance) -> None:
        self.office, self.instance = office, instance
        office.know("grace", Role.APPROVER)
        office.know("henry", Role.APPROVER)
        office.know("ada", Role.ML_ENGINEER)
        key: LocalSigner = office.key
        verifier = IdentityVerifier(is_signed_by((key.public_key,)))
        signer = IdentitySigner(key, clock=office.world.clock)
        self.launches = Launches(self.nobody, lambda: key)
        self.coordinator = GovernedRunCoordinator(
            signing=Signing(IdentitySource.LOCAL, "staging", signer, verifier),
            launches=self.launches,
        )
        self.coordinator.register_instance(instance)
        self.guard = Guard(
            self.nobody,
            principals=lambda _: RunPrincipals(
                verifier, office.directory, service=scheduler_principal()
            ),
        )
        self.definitions = dg.Definitions(
            jobs=[decision_job(), resumption_job()],
            resources={"guard": guard_resource(self.guard)},
            executor=dg.in_process_executor,
        )

    def nobody(self) -> Any:
        return self.office.world.workspace(source=IdentitySource.LOCAL).unverified("nobody")

    def created(self, job: str = DECISION_JOB, **config: Any) -> dg.DagsterRun:
        usual = {"model": MODEL, "version": "1", "decision": "approve", "reason": "reviewed"}
        op, values = (
            ("decide", {**usual, **config})
            if job == DECISION_JOB
            else (RESUME, {"model": MODEL, "version": "1"})
        )
        tags = {"dagster/sensor_name": "decisions"} if job == RESUMPTION_JOB else {}
        return self.instance.create_run_for_job(
            self.definitions.resolve_job_def(job),
            run_config={"ops": {op: {"config": values}}},
            tags=tags,
            remote_job_origin=ORIGIN,
        )

    def launched(self, name: str = "grace", **config: Any) -> dg.DagsterRun:
        """Somebody launches a decision in the web server."""
        return self.submitted(Request(name), self.created(**config))

    def submitted(self, context: Any, run: dg.DagsterRun) -> dg.DagsterRun:
        self.coordinator.submit_run(SubmitRunContext(run, context))
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        return found

    def executed(self, run: dg.DagsterRun, **tags: str) -> bool:
        """Whether a run succeeds, with tags typed into it before."""
        self.instance.add_run_tags(run.run_id, tags)
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        started = found.with_status(dg.DagsterRunStatus.STARTING)
        job = InMemoryJob(self.definitions.resolve_job_def(run.job_name))
        return execute_run(job, started, self.instance, raise_on_error=False).success

    def denied(self, run: dg.DagsterRun, **tags: str) -> str:
        """Why a run delivered nothing; nothing changed, and it is on record."""
        before = self.office.world.state(), self.office.world.decisions()
        assert not self.executed(run, **tags)
        assert (self.office.world.state(), self.office.world.decisions()) == before
        return self.office.last_refusal().reason

    def approvers(self) -> list[str]:
        return [each.statement.subject for each in self.office.case().assessment.counted]


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as made:
        yield made


@pytest.fixture
def dagit(office: Office, instance: dg.DagsterInstance) -> Dagit:
    return Dagit(office, instance)


def test_launches_of_two_approvers_complete_the_quorum_and_the_flow_goes_on(dagit: Dagit) -> None:
    runs = [dagit.launched(name, reason=f"{name} reviewed it") for name in ("grace", "henry")]
    assert len(runs[0].tags[LAUNCH_TAG]) <= MAX_TAG
    assert dagit.office.world.decisions() == []  # signed, and not decided before it is delivered
    assert dagit.executed(runs[0])
    assert (dagit.approvers(), dagit.office.tags()) == (["grace"], ("pending", "true"))
    assert dagit.executed(runs[1])
    assert dagit.approvers() == ["grace", "henry"]
    assert dagit.office.tags() == ("approved", "false")
    record = dagit.office.world.records()[-1]
    assert (record.principal.name, record.principal.verified_by) == ("henry", "local")
    assert record.run is not None
    assert record.run.dagster_run == runs[1].run_id
    # Staging: the policies let no service account promote, so the version is ready, and stays.
    resumed = dagit.submitted(DaemonsContext(), dagit.created(RESUMPTION_JOB))
    assert dagit.executed(resumed)
    assert dagit.office.champion() is None
    (seen,) = dagit.instance.fetch_observations(
        dg.AssetKey(["tiny", "registered_version"]), limit=1
    ).records
    observation = seen.asset_observation
    assert observation is not None
    assert observation.metadata["ready"].value is True
    assert "ml_engineer" in str(observation.metadata["not_promoted"].value)


def test_rejection_is_launched_likewise(dagit: Dagit) -> None:
    run = dagit.launched(
        "grace", decision="reject", reason="leaks", meaning="not to be used in staging"
    )
    assert dagit.executed(run)
    assert dagit.office.case().assessment.state is State.REJECTED


def test_decision_that_is_run_again_counts_once(dagit: Dagit) -> None:
    run = dagit.launched()
    assert dagit.executed(run)
    # A retry by the daemon inherits the tags of the first run, which names it before it begins.
    again = dagit.created()
    dagit.instance.add_run_tags(run.run_id, {"dagster/auto_retry_run_id": again.run_id})
    dagit.instance.add_run_tags(
        again.run_id, {LAUNCH_TAG: run.tags[LAUNCH_TAG], "dagster/parent_run_id": run.run_id}
    )
    found = dagit.instance.get_run_by_id(again.run_id)
    assert found is not None
    assert "grace approved it already" in dagit.denied(dagit.submitted(DaemonsContext(), found))
    with pytest.raises(ApprovalError, match="grace approved it already"):
        dagit.launched()  # a re-execution from Dagit is signed anew, or rather is not
    assert dagit.approvers() == ["grace"]


def test_tag_of_another_is_delivered_by_nobody(dagit: Dagit) -> None:
    mine = dagit.launched("henry")
    stolen = dagit.launched("grace").tags[LAUNCH_TAG]
    text = dagit.denied(mine, **{LAUNCH_TAG: stolen})
    assert "the run acts for henry, and grace signed the decision" in text
    assert dagit.approvers() == []


@pytest.mark.parametrize(
    "config", [{"reason": "another"}, {"decision": "reject"}, {"expires_days": 365}], ids=str
)
def test_tag_of_another_launch_fits_nothing(dagit: Dagit, config: dict[str, Any]) -> None:
    signed = dagit.launched().tags[LAUNCH_TAG]
    other = dagit.launched(**config)
    assert "its signature does not fit" in dagit.denied(other, **{LAUNCH_TAG: signed})


def test_tag_for_another_version_fits_nothing(dagit: Dagit) -> None:
    version = dagit.office.another_version()
    signed = dagit.launched().tags[LAUNCH_TAG]
    other = dagit.launched(version=version)
    assert "changed since" in dagit.denied(other, **{LAUNCH_TAG: signed})
    said = json.loads(signed) | {"seen_digest": dagit.office.case(version).seen.digest}
    text = dagit.denied(dagit.launched(version=version), **{LAUNCH_TAG: json.dumps(said)})
    assert "its signature does not fit" in text


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"role": "boss"}, "does not fit"),
        ({"issued": "2041-01-01T00:00:00Z"}, "does not fit"),
        ({"issued": "9999-12-31T00:00:00Z"}, "makes no statement"),
        ({"subject": "trudy"}, "the run acts for grace"),
        ({"signature": "AAAA"}, "does not fit"),
        ({"signature": "%"}, "cannot be read"),
        ({"more": 1}, "cannot be read"),
    ],
    ids=str,
)
def test_tag_that_was_changed_fits_nothing(dagit: Dagit, change: dict[str, Any], says: str) -> None:
    run = dagit.launched()
    said = json.loads(run.tags[LAUNCH_TAG]) | change
    assert says in dagit.denied(run, **{LAUNCH_TAG: json.dumps(said)})


@pytest.mark.parametrize("tag", ["", "none", "[" * 1_999], ids=["none", "text", "deep"])
def test_launch_that_nobody_signed_delivers_nothing(dagit: Dagit, tag: str) -> None:
    run = dagit.launched()
    assert "delivers no decision" in dagit.denied(run, **{LAUNCH_TAG: tag})


def test_launch_around_the_web_server_delivers_nothing(dagit: Dagit) -> None:
    """`dg launch`, with both tags copied from a run that was launched in Dagit."""
    run = dagit.launched()
    tags = {name: run.tags[name] for name in (RUN_TAG, LAUNCH_TAG)}
    text = dagit.denied(dagit.created(), **tags)
    assert "the run acts for unverified, and grace signed the decision" in text
    with pytest.raises(IdentityError, match="nothing says who started run"):
        dagit.submitted(DaemonsContext(), dagit.created())


def test_decision_on_what_changed_since_the_launch_is_refused(
    dagit: Dagit, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = dagit.launched()
    monkeypatch.setattr(PolicyEngine, "policy_hash", "00" * 32)
    assert "changed since" in dagit.denied(run)


def test_who_was_disabled_after_the_launch_decides_nothing(dagit: Dagit) -> None:
    run = dagit.launched()
    dagit.office.know("grace", Role.APPROVER, disabled=True)
    assert "grace" in dagit.denied(run)


@pytest.mark.parametrize(
    ("name", "config", "error", "says"),
    [
        ("ada", {}, AccessDenied, "no policy permits it to the role ml_engineer"),
        ("trudy", {}, IdentityError, "trudy is nobody in the directory"),
        ("grace", {"version": "9"}, InterlockError, "9"),
        ("grace", {"reason": " "}, ApprovalError, "the reason is blank"),
        ("grace", {"decision": "maybe"}, ApprovalError, "decision: Input should be"),
        ("grace", {"expires_days": 366}, ApprovalError, "expires_days"),
        ("grace", {"meaning": "validated for use in prod"}, ApprovalError, "the meaning of this"),
        ("grace", {"seen_digest": "00" * 32}, ApprovalError, "the seen_digest of this"),
    ],
    ids=str,
)
def test_launch_of_what_cannot_be_decided_is_not_signed(
    dagit: Dagit, name: str, config: dict[str, Any], error: type[InterlockError], says: str
) -> None:
    run = dagit.created(**config)
    with pytest.raises(error, match=says):
        dagit.submitted(Request(name), run)
    found = dagit.instance.get_run_by_id(run.run_id)
    assert found is not None
    assert LAUNCH_TAG not in found.tags
    assert found.status is not dg.DagsterRunStatus.QUEUED


def test_approver_of_one_product_launches_nothing_else(dagit: Dagit) -> None:
    """Their run of another job carries no decision, and its steps ask the policies."""
    run = dagit.submitted(Request("grace"), dagit.created(RESUMPTION_JOB))
    assert LAUNCH_TAG not in run.tags
    dagit.office.approve_all()
    assert dagit.executed(run)
    assert dagit.office.champion() is None


def test_sensor_goes_on_after_a_delivered_decision(dagit: Dagit) -> None:
    sensor = resumption_sensor(decision_job(), resumption_job())
    run = dagit.created()
    event = dg.DagsterEvent(
        event_type_value=dg.DagsterEventType.RUN_SUCCESS.value, job_name=DECISION_JOB
    )
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_instance=dagit.instance,
        dagster_run=run,
        dagster_event=event,
    )
    request = sensor(context)
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == run.run_id
    assert request.run_config == {"ops": {RESUME: {"config": {"model": MODEL, "version": "1"}}}}


def test_server_without_a_key_says_that_nobody_decides_there(dagit: Dagit) -> None:
    launches = open_launches(Settings.from_environment({"ENVIRONMENT": "dev"}))
    with pytest.raises(ConfigurationError, match="this web server has no APPROVAL_KEY"):
        launches.tags(dagit.created(), "grace")
