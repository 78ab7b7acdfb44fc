"""From who sent a request to who an asset acts for: signed when submitted, read at each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.run_coordinator import SubmitRunContext
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from product_fixtures import World, tiny_product

from interlock.adapters.directory import Directory, Person
from interlock.adapters.run_identity import (
    RUN_TAG,
    IdentitySigner,
    IdentityVerifier,
    RunIdentity,
    RunPrincipals,
)
from interlock.adapters.signer import LocalSigner, is_signed_by, new_private_key
from interlock.assembly import Signing
from interlock.components.model_product import ModelProductComponent
from interlock.components.model_product.component import guard_resource
from interlock.errors import IdentityError
from interlock.governance.audit import AuditRecord, decode
from interlock.governance.principal import IdentitySource, Role
from interlock.guard import Guard, facts_of
from interlock.settings import scheduler_principal
from interlock.webserver.coordinator import (
    BACKFILL_TAG,
    ENABLED_KEY,
    GovernedRunCoordinator,
    SignedIn,
    note_enabled,
)
from interlock.webserver.dagster_names import AUTO_RETRY_RUN_ID_TAG

ARTIFACTS = "artifacts"
ORIGIN = RemoteJobOrigin(
    RemoteRepositoryOrigin(
        InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="interlock")), "repository"
    ),
    "tiny_pipeline",
)


class Request(SignedIn):
    """A request in the web server."""

    source: object = "a request"

    def __init__(self, account: str) -> None:
        self.account = account


class NobodysRequest:
    """A request that nobody is signed in for."""

    source = "a request"


class DaemonsContext:
    """What the daemon hands over: there is no request."""

    source = None


class Platform:
    """A platform where people sign in: ada is an ML engineer, victor a viewer."""

    def __init__(self, world: World, instance: dg.DagsterInstance, folder: Path) -> None:
        self.world, self.instance, self.folder = world, instance, folder
        world.store.create_bucket(ARTIFACTS)
        self.directory = Directory(world.store, bucket=ARTIFACTS, clock=world.clock)
        for name, role in (("ada", Role.ML_ENGINEER), ("victor", Role.VIEWER)):
            self.directory.add(
                Person(
                    name=name,
                    role=role,
                    teams=frozenset(),
                    source=IdentitySource.LOCAL,
                    sessions_from=world.clock(),
                )
            )
        self.key = self.new_key("server")
        self.verifier = IdentityVerifier(is_signed_by((self.key.public_key,)))
        self.signer = IdentitySigner(self.key, clock=world.clock)
        self.signing = Signing(IdentitySource.LOCAL, "dev", self.signer, self.verifier)
        self.coordinator = self.coordinator_of(self.signing)
        self.guard = Guard(
            lambda: world.workspace().unverified("nothing says who acts"),
            principals=lambda workspace: RunPrincipals(
                self.verifier,
                Directory(workspace.store, bucket=ARTIFACTS, clock=world.clock),
                service=scheduler_principal(),
            ),
        )
        definitions = dg.Definitions.merge(
            ModelProductComponent(tiny_product()).build_defs(),
            dg.Definitions(
                resources={"guard": guard_resource(self.guard)}, executor=dg.in_process_executor
            ),
        )
        self.job = definitions.resolve_job_def("tiny_pipeline").get_subset(
            asset_selection={dg.AssetKey(["tiny", "raw_data"])}
        )

    def new_key(self, name: str) -> LocalSigner:
        path = self.folder / f"{name}.pem"
        path.write_bytes(new_private_key())
        path.chmod(0o600)
        return LocalSigner(path)

    def coordinator_of(self, signing: Signing) -> GovernedRunCoordinator:
        made = GovernedRunCoordinator(signing=signing)
        made.register_instance(self.instance)
        return made

    def created(self, **tags: str) -> dg.DagsterRun:
        return self.instance.create_run_for_job(
            self.job,
            tags={name.replace("__", "/"): value for name, value in tags.items()},
            remote_job_origin=ORIGIN,
        )

    def submitted(self, context: object, run: dg.DagsterRun | None = None) -> dg.DagsterRun:
        handed: Any = context
        return self.coordinator.submit_run(SubmitRunContext(run or self.created(), handed))

    def executed(self, run: dg.DagsterRun) -> AuditRecord:
        """The first record of a run's step."""
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        # As the launcher hands it over, when the daemon has taken it from the queue.
        started = found.with_status(dg.DagsterRunStatus.STARTING)
        execute_run(InMemoryJob(self.job), started, self.instance, raise_on_error=False)
        (stream,) = [each for each in self.world.audit.streams() if run.run_id in each.name]
        return decode(self.world.audit.read(stream)[0].data).record

    def allowed(self, run: dg.DagsterRun) -> str:
        record = self.executed(run)
        assert record.outcome.value == "started"
        return f"{record.principal.name} {record.principal.role} {record.principal.verified_by}"

    def denied(self, run: dg.DagsterRun) -> str:
        """Why a run was denied; nothing was stored."""
        before = self.world.state()
        record = self.executed(run)
        assert record.outcome.value == "denied"
        assert self.world.state() == before
        found = self.instance.get_run_by_id(run.run_id)
        assert found is not None
        assert found.status is dg.DagsterRunStatus.FAILURE
        return str(record.evidence.get("identity", record.reason))


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as made:
        yield made


@pytest.fixture
def platform(world: World, instance: dg.DagsterInstance, tmp_path: Path) -> Platform:
    return Platform(world, instance, tmp_path)


def test_run_acts_for_who_sent_the_request(platform: Platform) -> None:
    run = platform.submitted(Request("ada"))
    assert run.status is dg.DagsterRunStatus.QUEUED
    assert platform.allowed(run) == "ada ml_engineer local"


def test_role_is_that_of_the_step_and_not_of_the_launch(platform: Platform) -> None:
    run = platform.submitted(Request("victor"))
    assert "no policy permits it to the role viewer" in platform.denied(run)
    promoted = platform.submitted(Request("victor"))
    platform.directory.change("victor", lambda known: replace(known, role=Role.ML_ENGINEER))
    assert platform.allowed(promoted) == "victor ml_engineer local"


def test_queued_run_of_who_was_disabled_meanwhile_is_denied(platform: Platform) -> None:
    run = platform.submitted(Request("ada"))
    platform.directory.change("ada", lambda known: replace(known, disabled=True))
    assert platform.denied(run) == "ada is disabled"


def test_queued_run_lives_on_for_days(platform: Platform) -> None:
    run = platform.submitted(Request("ada"))
    platform.world.clock.advance(days=30)
    assert platform.allowed(run) == "ada ml_engineer local"


def test_run_that_no_server_signed_is_denied(platform: Platform) -> None:
    # As `dg launch` and `dagster asset materialize` make them: no coordinator is asked.
    assert platform.denied(platform.created()) == "nothing says who acts"


def test_forged_and_copied_tags_are_denied(platform: Platform) -> None:
    forger = IdentitySigner(platform.new_key("forger"), clock=platform.world.clock)
    run = platform.created()
    tag = forger.run_tag(facts_of(run, "dev"), RunIdentity("ada"))
    platform.instance.add_run_tags(run.run_id, {RUN_TAG: tag})
    assert "not that of a server" in platform.denied(run)
    genuine = platform.submitted(Request("ada")).tags[RUN_TAG]
    assert "signed for another run_id" in platform.denied(platform.created(**{RUN_TAG: genuine}))
    assert "it is none" in platform.denied(platform.created(**{RUN_TAG: "ada"}))


def test_tag_that_was_typed_is_replaced_by_who_really_launches(platform: Platform) -> None:
    genuine = platform.submitted(Request("ada")).tags[RUN_TAG]
    run = platform.submitted(Request("victor"), platform.created(**{RUN_TAG: genuine}))
    assert "role viewer" in platform.denied(run)


def test_reexecution_is_signed_anew_for_who_starts_it(platform: Platform) -> None:
    parent = platform.submitted(Request("ada"))
    again = platform.created(dagster__parent_run_id=parent.run_id, **parent.tags)
    assert "role viewer" in platform.denied(platform.submitted(Request("victor"), again))


def test_tag_of_another_environment_is_denied(platform: Platform) -> None:
    run = platform.created()
    tag = platform.signer.run_tag(facts_of(run, "prod"), RunIdentity("ada"))
    platform.instance.add_run_tags(run.run_id, {RUN_TAG: tag})
    assert "signed for another environment" in platform.denied(run)


def test_request_that_is_nobodys_starts_nothing(platform: Platform) -> None:
    run = platform.created()
    with pytest.raises(IdentityError, match="nobody's"):
        platform.submitted(NobodysRequest(), run)
    found = platform.instance.get_run_by_id(run.run_id)
    assert found is not None
    assert found.status is dg.DagsterRunStatus.NOT_STARTED
    assert RUN_TAG not in found.tags


def test_process_without_a_key_starts_nothing(platform: Platform) -> None:
    platform.coordinator = platform.coordinator_of(replace(platform.signing, signer=None))
    with pytest.raises(IdentityError, match="cannot say who"):
        platform.submitted(DaemonsContext(), platform.created(dagster__schedule_name="daily"))


def test_operators_word_needs_no_signature(platform: Platform) -> None:
    platform.coordinator = platform.coordinator_of(
        replace(platform.signing, source=IdentitySource.ENV, signer=None)
    )
    assert RUN_TAG not in platform.submitted(NobodysRequest()).tags


@pytest.mark.parametrize("kind", ["schedule", "sensor"])
def test_tick_acts_as_the_service_account_on_behalf_of_who_enabled_it(
    platform: Platform, kind: str
) -> None:
    tags = {f"dagster__{kind}_name": kind}
    by_itself = platform.executed(platform.submitted(DaemonsContext(), platform.created(**tags)))
    assert by_itself.principal.role == "scheduler"
    assert "on_behalf_of" not in by_itself.evidence
    note_enabled(platform.instance, platform.signer, name="ada", instigator=kind, where="dev")
    enabled = platform.executed(platform.submitted(DaemonsContext(), platform.created(**tags)))
    assert enabled.evidence["on_behalf_of"] == "ada"


def test_forged_note_of_who_enabled_a_schedule_says_nothing(platform: Platform) -> None:
    platform.instance.daemon_cursor_storage.set_cursor_values({f"{ENABLED_KEY}forged": "ada"})
    run = platform.submitted(DaemonsContext(), platform.created(dagster__schedule_name="forged"))
    assert "on_behalf_of" not in platform.executed(run).evidence


def test_disabled_service_account_ends_what_no_person_started(platform: Platform) -> None:
    run = platform.submitted(DaemonsContext(), platform.created(dagster__schedule_name="daily"))
    platform.directory.add(
        Person(
            name="scheduler",
            role=Role.SCHEDULER,
            teams=frozenset(),
            source=IdentitySource.LOCAL,
            sessions_from=platform.world.clock(),
            service=True,
            disabled=True,
        )
    )
    assert "scheduler is disabled" in platform.denied(run)


def retry(platform: Platform, failed: dg.DagsterRun, **tags: str) -> dg.DagsterRun:
    """A retry, as the daemon makes it: it notes the new run in the one that failed."""
    made = platform.created(dagster__parent_run_id=failed.run_id, **{**failed.tags, **tags})
    platform.instance.add_run_tags(failed.run_id, {AUTO_RETRY_RUN_ID_TAG: made.run_id})
    return made


def test_retry_by_the_daemon_acts_for_who_started_the_first_run(platform: Platform) -> None:
    failed = platform.submitted(Request("ada"))
    again = platform.submitted(DaemonsContext(), retry(platform, failed))
    assert platform.allowed(again) == "ada ml_engineer local"


def test_retry_of_who_typed_anothers_backfill_stays_their_own(platform: Platform) -> None:
    tag = platform.signer.backfill_tag(name="ada", nonce="0", environment="dev")
    backfill(platform, "adas", tag, 0.5)
    typed = platform.submitted(Request("victor"), platform.created(dagster__backfill="adas"))
    again = platform.submitted(DaemonsContext(), retry(platform, typed, dagster__backfill="adas"))
    assert "role viewer" in platform.denied(again)


def test_run_is_no_retry_and_no_backfill_by_tags_that_anybody_can_type(platform: Platform) -> None:
    tag = platform.signer.backfill_tag(name="ada", nonce="tick", environment="dev")
    backfill(platform, "begun", tag, 0.7)
    parent = platform.submitted(Request("ada")).run_id
    for tags in (
        {"dagster__parent_run_id": parent},
        {"dagster__backfill": "begun", "dagster__schedule_name": "daily"},
        {"dagster__backfill": "begun", "dagster__sensor_name": "each"},
    ):
        run = platform.created(**tags)
        with pytest.raises(IdentityError, match="nothing says who started"):
            platform.submitted(DaemonsContext(), run)
        found = platform.instance.get_run_by_id(run.run_id)
        assert found is not None
        assert RUN_TAG not in found.tags


def test_retry_of_a_run_that_nobody_signed_is_not_submitted(platform: Platform) -> None:
    with pytest.raises(IdentityError, match="not believed"):
        platform.submitted(DaemonsContext(), retry(platform, platform.created()))
    for tags in ({}, {"dagster__parent_run_id": "0d1f"}):
        with pytest.raises(IdentityError, match="nothing says who started"):
            platform.submitted(DaemonsContext(), platform.created(**tags))


def backfill(platform: Platform, backfill_id: str, tag: str, at: float) -> None:
    platform.instance.add_backfill(
        PartitionBackfill(
            backfill_id=backfill_id,
            status=BulkActionStatus.REQUESTED,
            from_failure=False,
            tags={BACKFILL_TAG: tag},
            backfill_timestamp=at,
        )
    )


def test_backfill_acts_for_who_started_it_and_its_tag_is_good_for_one(platform: Platform) -> None:
    tag = platform.signer.backfill_tag(name="ada", nonce="1", environment="dev")
    backfill(platform, "first", tag, 1.0)
    run = platform.submitted(DaemonsContext(), platform.created(dagster__backfill="first"))
    assert platform.allowed(run) == "ada ml_engineer local"
    backfill(platform, "second", tag, 2.0)
    copied = platform.created(dagster__backfill="second")
    with pytest.raises(IdentityError, match="carries the tag of backfill first"):
        platform.submitted(DaemonsContext(), copied)
    backfill(platform, "third", "typed", 3.0)
    for name in ("third", "unknown"):
        with pytest.raises(IdentityError, match="not believed"):
            platform.submitted(DaemonsContext(), platform.created(dagster__backfill=name))
