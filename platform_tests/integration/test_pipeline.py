"""Real Dagster runs: whatever starts an asset, the guard inside it decides."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from product_fixtures import (
    ROWS,
    World,
    rows_of_applicants,
    table_text,
    tiny_product,
    write_defs,
)
from simulators import FakeClock
from stores import ACCESS_KEY, SECRET_KEY, Buckets

from interlock import guard as guard_module
from interlock.actions.workspace import Workspace
from interlock.adapters.environment_mark import write_mark
from interlock.adapters.object_store import S3ObjectStore
from interlock.adapters.tokens import LIFETIME, RunTokens
from interlock.assembly import open_workspace
from interlock.definitions import build_defs, default_guard
from interlock.errors import ConfigurationError, PolicyError
from interlock.governance.audit import decode
from interlock.governance.policy import PolicyEngine
from interlock.governance.policy_files import SHIPPED
from interlock.governance.principal import Environment, Role
from interlock.guard import EVENT_METADATA, SCHEDULE_TOKEN_TAG, Guard
from interlock.local.seaweed import SeaweedServer
from interlock.ml.contract import contract_rules
from interlock.settings import Settings, applied_to_process

KEY = b"k" * 32
ASSETS = ("raw_data", "validated_data", "trained_model", "registered_version")


@dataclass
class Location:
    """A code location with the tiny product, and a Dagster instance that runs it."""

    world: World
    folder: Path
    instance: dg.DagsterInstance
    options: dict[str, Any] = field(default_factory=dict)
    changes: dict[str, Any] = field(default_factory=dict)

    def guard(self) -> Guard:
        return Guard(
            lambda: self.world.workspace(**self.options),
            tokens=RunTokens(KEY, clock=self.world.clock),
        )

    def definitions(self, guard: Guard | None = None) -> dg.Definitions:
        write_defs(self.folder, **self.changes)
        return build_defs(folder=self.folder, guard=guard or self.guard())

    def pipeline(self, *, guard: Guard | None = None, **options: Any) -> Any:
        """A run of the product's job."""
        job = self.definitions(guard).resolve_job_def("tiny_pipeline")
        return job.execute_in_process(instance=self.instance, raise_on_error=False, **options)

    def alone(self, *assets: str, guard: Guard | None = None, **options: Any) -> Any:
        """A run of single assets, as Dagit's Materialize button starts it."""
        job = self.definitions(guard).resolve_implicit_global_asset_job_def()
        assert job.name == "__ASSET_JOB"
        subset = job.get_subset(asset_selection={key(each) for each in assets})
        return subset.execute_in_process(instance=self.instance, raise_on_error=False, **options)

    def report(self, asset: str, *, version: str, event: str) -> None:
        """A materialization that nobody made."""
        self.instance.report_runless_asset_event(
            dg.AssetMaterialization(
                key(asset),
                tags={"dagster/data_version": version},
                metadata={EVENT_METADATA: event},
            )
        )

    def last(self, asset: str) -> tuple[str, str]:
        """Data version and audit event of the newest materialization."""
        (record,) = self.instance.fetch_materializations(key(asset), limit=1).records
        made = record.asset_materialization
        assert made is not None
        assert made.tags is not None
        return made.tags["dagster/data_version"], str(made.metadata[EVENT_METADATA].value)


def key(asset: str) -> dg.AssetKey:
    return dg.AssetKey(["tiny", asset])


def failure(result: Any) -> tuple[str, str, dict[str, Any]]:
    """Step, description and metadata of the only failure of a run."""
    (event,) = result.get_step_failure_events()
    data = event.step_failure_data.user_failure_data
    metadata = {name: value.value for name, value in data.metadata.items()}
    return event.step_key.removeprefix("tiny__"), data.description, metadata


def materialized(result: Any) -> list[str]:
    return [event.asset_key.path[-1] for event in result.get_asset_materialization_events()]


@pytest.fixture
def location(world: World, tmp_path: Path) -> Iterator[Location]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Location(world, tmp_path / "defs", instance)


@pytest.fixture(scope="module")
def ran(
    tmp_path_factory: pytest.TempPathFactory, mlflow_template: Callable[[], Path]
) -> Iterator[tuple[Location, Any, Guard]]:
    from product_fixtures import new_world

    folder = tmp_path_factory.mktemp("pipeline")
    with dg.DagsterInstance.ephemeral() as instance:
        location = Location(new_world(folder / "world", mlflow_template), folder / "defs", instance)
        guard = location.guard()
        yield location, location.pipeline(guard=guard), guard


def test_pipeline_materializes_four_assets_with_hash_and_audit_event(
    ran: tuple[Location, Any, Guard],
) -> None:
    location, result, guard = ran
    assert result.success
    assert materialized(result) == list(ASSETS)
    raw, validated, trained, registered = (guard.results["tiny", each] for each in ASSETS)
    expected = {
        "raw_data": (raw.data_hash, raw.event_key),
        "validated_data": (validated.data_hash, validated.event_key),
        "trained_model": (trained.fingerprint, trained.event_key),
        "registered_version": (trained.fingerprint, registered.event_key),
    }
    assert {each: location.last(each) for each in ASSETS} == expected


def test_pipeline_shows_a_person_what_was_made(ran: tuple[Location, Any, Guard]) -> None:
    _, result, _ = ran
    shown = {
        event.asset_key.path[-1]: event.materialization.metadata
        for event in result.get_asset_materialization_events()
    }
    raw = shown["raw_data"]
    assert raw["dagster/row_count"].value == ROWS
    assert raw["columns"].value == 4
    assert "| age | income | region | outcome |" in raw["preview"].value
    assert "| income | text | 0 |" in raw["summary"].value
    assert shown["validated_data"]["quarantined"].value == 0
    assert shown["validated_data"]["data_quality_score"].value == 1.0
    trained = shown["trained_model"]
    assert "**logistic_regression**" in trained["candidates"].value
    assert "| roc_auc | 0." in trained["holdout"].value
    assert trained["plot_roc"].value.startswith("![roc](data:image/png;base64,")
    gates = shown["registered_version"]["gates"].value
    assert "| roc_auc | 0." in gates
    assert "| ≥ 0.6 | passed |" in gates
    assert shown["registered_version"]["aliases"].value == "challenger, champion"


def test_every_rule_and_the_gates_are_check_results(ran: tuple[Location, Any, Guard]) -> None:
    _, result, _ = ran
    product = tiny_product()
    evaluations = {
        (each.asset_key.path[-1], each.check_name): each.passed
        for each in result.get_asset_check_evaluations()
    }
    rules = contract_rules(product.contract, product.target)
    assert evaluations == {("validated_data", rule.name): True for rule in rules} | {
        ("registered_version", "gates"): True
    }


def test_pipeline_is_one_audit_stream_named_by_the_run(ran: tuple[Location, Any, Guard]) -> None:
    location, result, _ = ran
    ledger, stream = location.world.audit.streams()
    assert ledger.name == "champion.TinyModel"
    assert stream.name == f"tiny-{result.run_id}"
    report = location.world.audit.verify()
    assert report.intact
    assert report.unfinished == ()
    steps = ["data:ingest", "data:validate", "model:train", "model:register", "model:promote"]
    assert location.world.story() == [
        (step, outcome) for step in steps for outcome in ("started", "succeeded")
    ]
    assert [step for step, _ in location.world.moves()] == ["model:promote"] * 2
    for record in location.world.records():
        assert record.run is not None
        assert record.run.dagster_run == result.run_id
    trained = location.world.records()[5]
    assert trained.run is not None
    assert trained.run.step == "tiny/trained_model"
    assert trained.run.mlflow_run == trained.evidence["mlflow_run"]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER, Role.AUDITOR])
def test_denied_run_writes_nothing_but_the_denial(location: Location, role: Role) -> None:
    location.options["role"] = role
    result = location.pipeline()
    assert not result.success
    step, description, metadata = failure(result)
    assert step == "raw_data"
    assert f"ada ({role}) may not data:ingest on tiny in dev" in description
    assert metadata == {
        "principal": "ada",
        "role": role,
        "action": "data:ingest",
        "resource": "tiny",
        "environment": "dev",
        "policy": "default deny",
        "remedy": metadata["remedy"],
    }
    assert "data_scientist" in metadata["remedy"]
    assert materialized(result) == []
    assert location.world.state().data == ()
    assert location.world.state().mlflow == ()
    assert location.world.story() == [("data:ingest", "denied")]


@pytest.mark.parametrize("asset", ASSETS)
def test_denied_single_asset_writes_nothing_but_the_denial(location: Location, asset: str) -> None:
    assert location.alone("raw_data", "validated_data").success
    before = location.world.state()
    location.options["role"] = Role.VIEWER
    result = location.alone(asset)
    assert failure(result)[0] == asset
    assert location.world.state() == before
    assert location.world.story()[-1][1] == "denied"
    assert before.mlflow == ()


def test_wrong_environment_mark_leaves_the_buckets_untouched(location: Location) -> None:
    location.options["mark"] = "prod"
    versions = {name: dict(b.versions) for name, b in location.world.store.buckets.items()}
    tokens = RunTokens(KEY, clock=location.world.clock)
    for tags in ({}, {SCHEDULE_TOKEN_TAG: tokens.issue(**TICK)}):
        assert "mark-must-match" in failure(location.pipeline(tags=tags))[1]
    after = {name: dict(b.versions) for name, b in location.world.store.buckets.items()}
    assert after == versions
    assert len(location.world.spooled()) == 2


def test_assets_one_by_one_find_their_upstream(location: Location) -> None:
    for asset in ASSETS:
        assert location.alone(asset).success
    names = [stream.name for stream in location.world.audit.streams()]
    assert len(names) == len(ASSETS) + 1
    assert "champion.TinyModel" in names
    assert location.world.audit.verify().intact
    client = location.world.connection.client
    experiment = client.get_experiment_by_name("tiny").experiment_id
    statuses = {run.info.status for run in client.search_runs([experiment])}
    assert statuses == {"FINISHED"}, "the ad-hoc asset job carries no hooks"


@pytest.mark.parametrize("asset", ASSETS[1:])
def test_asset_without_upstream_is_refused(location: Location, asset: str) -> None:
    step, description, metadata = failure(location.alone(asset))
    assert step == asset
    assert "was never materialized" in description
    assert metadata["error"] == "EvidenceError"
    assert location.world.state().data == ()
    assert location.world.state().mlflow == ()


def test_blocking_check_stops_the_run_and_every_later_one(location: Location) -> None:
    world = location.world
    world.csv.write_text(table_text(rows_of_applicants()[:50]))
    first = location.pipeline()
    assert materialized(first) == ["raw_data", "validated_data"]
    failed = [each.check_name for each in first.get_asset_check_evaluations() if not each.passed]
    assert failed == ["table__min_rows"]
    before = world.state()
    step, description, _ = failure(location.alone("trained_model"))
    assert step == "trained_model"
    assert "blocking checks of validated_data failed: table__min_rows" in description
    assert world.state() == before
    assert before.mlflow == ()
    assert world.story()[-1] == ("model:train", "failed")


def test_failed_gates_show_as_a_failed_check_with_the_run_done(location: Location) -> None:
    location.changes["gates"] = [{"metric": "roc_auc", "min": 0.999}]
    result = location.pipeline()
    assert result.success
    (gates,) = [each for each in result.get_asset_check_evaluations() if each.check_name == "gates"]
    assert not gates.passed
    assert "is below the 0.999 minimum" in gates.description
    (version,) = location.world.registry.versions("TinyModel")
    assert version.aliases == ()
    assert version.tags["approval_state"] == "rejected_by_gates"


@pytest.fixture
def validated(location: Location) -> Location:
    """A location in which a snapshot was validated."""
    assert location.alone("raw_data", "validated_data").success
    return location


@pytest.mark.parametrize(
    ("version", "event", "says"),
    [
        ("real", "", "is no key of this audit trail"),
        ("real", "governance/audit/2040/01/02/tiny-made-up/000004.json", "is not on record"),
        ("made up", "real", "has data_hash"),
        ("made up", "raw_data", "has action 'data:ingest', expected 'data:validate'"),
    ],
)
def test_reported_materialization_that_nobody_made_is_refused(
    validated: Location, version: str, event: str, says: str
) -> None:
    data_version, audit_event = validated.last("validated_data")
    validated.report(
        "validated_data",
        version=data_version if version == "real" else "0" * 64,
        event={"real": audit_event, "raw_data": validated.last("raw_data")[1]}.get(event, event),
    )
    before = validated.world.state()
    step, description, _ = failure(validated.alone("trained_model"))
    assert step == "trained_model"
    assert says in description
    assert validated.world.state() == before
    assert validated.world.story()[-1] == ("model:train", "failed")


def choose(asset: str, hash_: str) -> dict[str, Any]:
    return {"ops": {f"tiny__{asset}": {"config": {"upstream_hash": hash_}}}}


def test_older_snapshot_is_chosen_by_its_hash(validated: Location) -> None:
    older, _ = validated.last("validated_data")
    validated.world.csv.write_text(table_text(rows_of_applicants(seed=8)))
    assert validated.alone("raw_data", "validated_data").success
    newer, _ = validated.last("validated_data")
    assert newer != older
    guard = validated.guard()
    chosen = validated.alone(
        "trained_model", guard=guard, run_config=choose("trained_model", older)
    )
    assert chosen.success
    assert guard.results["tiny", "trained_model"].data_hash == older


def test_hash_that_was_never_made_is_refused(validated: Location) -> None:
    before = validated.world.state()
    result = validated.alone("trained_model", run_config=choose("trained_model", "0" * 64))
    assert "has no materialization with data version" in failure(result)[1]
    assert validated.world.state() == before


def test_progress_is_told_step_by_step(location: Location) -> None:
    told: list[tuple[str, str, str]] = []
    guard = Guard(location.world.workspace, report=lambda *message: told.append(message))
    assert location.alone("raw_data", "validated_data", guard=guard).success
    assert ("tiny", "raw_data", "storing the snapshot") in told
    assert ("tiny", "validated_data", f"{ROWS} rows checked") in told


def test_run_builds_on_its_own_snapshot_and_not_on_one_that_slips_in(location: Location) -> None:
    def slip_in(message: str) -> None:
        if message == "fetching the raw snapshot":
            location.report("raw_data", version="0" * 64, event="governance/audit/x")
            location.report("validated_data", version="0" * 64, event="governance/audit/x")

    location.world.on_report = slip_in
    assert location.alone("raw_data", "validated_data", "trained_model").success


@pytest.mark.parametrize(
    "tags",
    [
        {"dagster/schedule_name": "ml_training_schedule"},
        {"dagster/sensor_name": "x", "dagster/backfill": "y", "user": "root"},
        {"interlock/principal": "root", "interlock/role": "platform_admin"},
        {"ENVIRONMENT": "prod", "RUN_ROLE": "platform_admin", "IDENTITY_SOURCE": "oidc-proxy"},
        {SCHEDULE_TOKEN_TAG: "typed.by.somebody"},
        {SCHEDULE_TOKEN_TAG: ""},
    ],
    ids=str,
)
def test_typed_tags_change_neither_principal_nor_decision(
    location: Location, tags: dict[str, str]
) -> None:
    assert location.alone("raw_data", tags=tags).success
    assert {record.principal.name for record in location.world.records()} == {"ada"}
    assert {record.environment for record in location.world.records()} == {"dev"}
    location.options["role"] = Role.VIEWER
    assert "may not data:ingest" in failure(location.alone("raw_data", tags=tags))[1]


@pytest.mark.parametrize(
    "run_config",
    [
        {"resources": {"guard": {"config": {"principal": "root", "role": "platform_admin"}}}},
        {"resources": {"guard": {"config": {}}}},
        {"resources": {"store": {"config": {"endpoint_url": "http://127.0.0.1:1"}}}},
        {"resources": {"mlflow": {"config": {"tracking_uri": "http://127.0.0.1:1"}}}},
        {"ops": {"tiny__raw_data": {"config": {"environment": "dev", "role": "ml_engineer"}}}},
        {"ops": {"tiny__validated_data": {"config": {"gates": []}}}},
        {"ops": {"tiny__trained_model": {"config": {"MLFLOW_TRACKING_URI": "sqlite://"}}}},
        {"ops": {"tiny__registered_version": {"config": {"floors": {}, "skip_gates": True}}}},
        {"policy": {"allow": "everything"}},
        {"execution": {"config": {"role": "ml_engineer"}}},
    ],
    ids=str,
)
def test_run_config_gives_no_right(location: Location, run_config: dict[str, Any]) -> None:
    location.options["role"] = Role.VIEWER
    try:
        result = location.pipeline(run_config=run_config)
    except dg.DagsterInvalidConfigError:
        assert location.world.story() == []
    else:
        assert "ada (viewer) may not data:ingest" in failure(result)[1]
        assert location.world.story() == [("data:ingest", "denied")]
    assert location.world.state().data == ()
    assert location.world.state().mlflow == ()


SCHEDULE = "nightly"
TICK: dict[str, Any] = {"schedule": SCHEDULE, "products": ["tiny"], "run_key": "tick"}


@pytest.fixture
def ticking(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Location]:
    """A location whose Dagster keeps schedules; nobody waits for a tick that never comes."""
    monkeypatch.setattr(guard_module, "_TICK_SECONDS", 0.0)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield Location(world, tmp_path / "defs", instance)


def tick_started(instance: dg.DagsterInstance, *run_ids: str, schedule: str = SCHEDULE) -> None:
    """What the daemon writes when a schedule has submitted runs."""
    origin = RemoteRepositoryOrigin(
        InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="interlock")), "repository"
    ).get_instigator_origin(schedule)
    instance.add_instigator_state(
        InstigatorState(
            origin,
            InstigatorType.SCHEDULE,
            InstigatorStatus.RUNNING,
            ScheduleInstigatorData("0 2 * * *"),
        )
    )
    instance.create_tick(
        TickData(
            instigator_origin_id=origin.get_id(),
            instigator_name=schedule,
            instigator_type=InstigatorType.SCHEDULE,
            status=TickStatus.SUCCESS,
            timestamp=0.0,
            run_ids=list(run_ids),
            selector_id=origin.get_selector().get_id(),
        )
    )


def token(location: Location, **changes: Any) -> dict[str, str]:
    """The tag of a scheduled run."""
    key_, clock = changes.pop("key", KEY), changes.pop("clock", location.world.clock)
    issued = RunTokens(key_, clock=clock).issue(**(TICK | changes))
    return {SCHEDULE_TOKEN_TAG: issued}


def who_acted(location: Location) -> set[tuple[str, str, str]]:
    return {
        (each.principal.name, each.principal.role, each.principal.verified_by)
        for each in location.world.records()
    }


def test_run_of_a_tick_acts_as_the_scheduler(ticking: Location) -> None:
    run_id = str(uuid.uuid4())
    tick_started(ticking.instance, run_id)
    result = ticking.alone("raw_data", "validated_data", tags=token(ticking), run_id=run_id)
    assert result.success
    assert who_acted(ticking) == {("scheduler", "scheduler", "schedule")}
    claims = [name for name, _ in ticking.world.state().data if name.startswith("claims/")]
    assert len(claims) == 1


@pytest.mark.parametrize(
    ("recorded", "changes"),
    [
        (None, {}),
        ("another run", {}),
        ("another schedule", {}),
        ("this run", {"key": b"x" * 32}),
        ("this run", {"products": ["other"]}),
        ("this run", {"clock": "yesterday"}),
    ],
    ids=["no tick", "another run", "another schedule", "forged", "other product", "expired"],
)
def test_token_that_does_not_prove_this_run_gives_no_right(
    ticking: Location, recorded: str | None, changes: dict[str, Any]
) -> None:
    run_id = str(uuid.uuid4())
    if recorded is not None:
        tick_started(
            ticking.instance,
            str(uuid.uuid4()) if recorded == "another run" else run_id,
            schedule="hourly" if recorded == "another schedule" else SCHEDULE,
        )
    if "clock" in changes:
        earlier = ticking.world.clock() - LIFETIME - timedelta(seconds=1)
        changes = {"clock": FakeClock(earlier)}
    ticking.options["role"] = Role.VIEWER
    result = ticking.pipeline(tags=token(ticking, **changes), run_id=run_id)
    assert "ada (viewer) may not data:ingest" in failure(result)[1]
    assert ticking.world.state().data == ()


def test_copied_token_gives_a_second_run_no_right(ticking: Location) -> None:
    runs = [str(uuid.uuid4()) for _ in range(2)]
    tick_started(ticking.instance, *runs)
    assert ticking.alone("raw_data", tags=token(ticking), run_id=runs[0]).success
    before = ticking.world.state()
    ticking.options["role"] = Role.VIEWER
    result = ticking.alone("raw_data", tags=token(ticking), run_id=runs[1])
    assert "ada (viewer) may not data:ingest" in failure(result)[1]
    assert ticking.world.state() == before


def test_tick_that_is_written_a_moment_later_is_waited_for(
    ticking: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_module, "_TICK_SECONDS", 30.0)
    monkeypatch.setattr(guard_module, "_TICK_POLL_SECONDS", 0.01)
    run_id = str(uuid.uuid4())
    tick_started(ticking.instance, str(uuid.uuid4()), schedule="hourly")
    daemon = threading.Timer(0.2, tick_started, (ticking.instance, run_id))
    daemon.start()
    assert ticking.alone("raw_data", tags=token(ticking), run_id=run_id).success
    daemon.join()
    assert {name for name, _, _ in who_acted(ticking)} == {"scheduler"}


@pytest.mark.parametrize("tokens", [True, False], ids=["no schedules", "no key"])
def test_token_where_nothing_can_prove_it_acts_as_the_operator(
    location: Location, tokens: bool
) -> None:
    guard = location.guard() if tokens else Guard(location.world.workspace)
    assert location.alone("raw_data", guard=guard, tags=token(location)).success
    assert {name for name, _, _ in who_acted(location)} == {"ada"}


def test_scheduler_narrowed_away_is_denied_like_anybody(ticking: Location) -> None:
    run_id = str(uuid.uuid4())
    tick_started(ticking.instance, run_id)
    ticking.options |= {
        "roles_restricted": True,
        "allowed_roles": frozenset({Role.ML_ENGINEER}),
    }
    result = ticking.alone("raw_data", tags=token(ticking), run_id=run_id)
    assert "scheduler (scheduler) may not data:ingest" in failure(result)[1]
    assert ticking.world.story() == [("data:ingest", "denied")]


def test_store_that_is_away_is_named_and_the_next_run_works(location: Location) -> None:
    guard = location.guard()
    assert guard.workspace
    location.world.store.go_away()
    step, description, metadata = failure(location.pipeline(guard=guard))
    assert step == "raw_data"
    assert "the store does not answer" in description
    assert metadata["error"] == "StoreUnavailable"
    location.world.store.come_back()
    assert location.alone("raw_data", guard=guard).success


def test_broken_policy_file_stops_every_step_and_is_named(
    location: Location, tmp_path: Path
) -> None:
    broken = tmp_path / "policies"
    broken.mkdir()
    for path in SHIPPED.iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    (broken / "pipeline.cedar").write_text("permit (principal, action, resource) when { ;")

    def open_with_broken_policies() -> Workspace:
        PolicyEngine.load(broken)
        raise AssertionError("a broken policy was loaded")

    before = location.world.state()
    step, description, metadata = failure(location.pipeline(guard=Guard(open_with_broken_policies)))
    assert step == "raw_data"
    assert "pipeline.cedar" in description
    assert metadata["error"] == PolicyError.__name__
    assert metadata["remedy"]
    assert location.world.state() == before
    assert location.world.story() == []


# With the real store, and everything opened from environment variables.


@pytest.fixture
def environment(
    weed: SeaweedServer,
    s3: S3ObjectStore,
    buckets: Buckets,
    world: World,
    mlflow_template: Callable[[], Path],
) -> dict[str, str]:
    """Variables of a dev deployment on real services; MLflow's files are in S3."""
    assert world.connection.client
    for bucket in dataclasses.astuple(buckets):
        write_mark(s3, bucket, Environment.DEV, clock=world.clock)
    return {
        "ENVIRONMENT": "dev",
        "RUN_OWNER": "grace",
        "RUN_ROLE": "data_scientist",
        "DATA_BUCKET": buckets.data,
        "ARTIFACT_BUCKET": buckets.artifacts,
        "AUDIT_BUCKET": buckets.audit,
        "MLFLOW_TRACKING_URI": f"sqlite:///{world.database}",
        "AWS_ENDPOINT_URL_S3": weed.endpoint_url,
        "MLFLOW_S3_ENDPOINT_URL": weed.endpoint_url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "INTERLOCK_HOME": str(world.folder / "home"),
        "MIN_ACCURACY": "0.5",
    }


def test_pipeline_from_environment_variables_on_a_real_store(
    environment: dict[str, str], tmp_path: Path, world: World
) -> None:
    write_defs(tmp_path / "defs", source={"kind": "csv", "path": str(world.csv)})
    with applied_to_process(environment) as settings, dg.DagsterInstance.ephemeral() as instance:
        guard = default_guard()
        job = build_defs(folder=tmp_path / "defs", guard=guard).resolve_job_def("tiny_pipeline")
        assert job.execute_in_process(instance=instance).success
        registration = guard.results["tiny", "registered_version"]
        assert registration.version.aliases == ("challenger", "champion")
        assert [gate.metric for gate in registration.gates][-1] == "accuracy", "a floor"
        audit = guard.workspace.authority.audit
        assert audit.verify().intact
        ledger, stream = audit.streams()
        assert ledger.name == "champion.TinyModel"
        record = decode(audit.read(stream)[0].data).record
        assert (record.principal.name, record.principal.verified_by) == ("grace", "env")
        assert str(record.evidence["code_version"]).startswith("0.")
        stored = [each.key for each in guard.workspace.store.list(settings.artifact_bucket)]
        assert any(name.endswith("model.pkl") for name in stored)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ENVIRONMENT": ""}, "ENVIRONMENT is unset, expected dev, staging or prod"),
        ({"ENVIRONMENT": "production"}, "ENVIRONMENT is 'production', expected one of"),
        ({"RUN_ROLE": "wizard"}, "RUN_ROLE is 'wizard', expected one of"),
        ({"RUN_ROLE": "scheduler"}, "expected a person's role"),
        ({"MLFLOW_TRACKING_URI": "", "AWS_ENDPOINT_URL_S3": ""}, "MLFLOW_TRACKING_URI is unset"),
    ],
    ids=["unset", "unknown environment", "unknown role", "scheduler", "no MLflow"],
)
def test_unknown_environment_or_role_opens_nothing(
    environment: dict[str, str], s3: S3ObjectStore, changes: dict[str, str], says: str
) -> None:
    before = objects(s3, environment)
    with pytest.raises(ConfigurationError, match=says) as refusal:
        open_workspace(Settings.from_environment(environment | changes), secrets={})
    assert refusal.value.remedy
    assert objects(s3, environment) == before


def objects(store: S3ObjectStore, environment: dict[str, str]) -> list[str]:
    names = ("DATA_BUCKET", "ARTIFACT_BUCKET", "AUDIT_BUCKET")
    return [info.key for name in names for info in store.list(environment[name])]


@pytest.mark.parametrize("claimed", ["staging", "prod"])
def test_process_of_another_environment_is_denied_before_any_write(
    environment: dict[str, str], s3: S3ObjectStore, tmp_path: Path, claimed: str
) -> None:
    before = objects(s3, environment)
    elsewhere = environment | {
        "ENVIRONMENT": claimed,
        "IDENTITY_SOURCE": "env",
        "RUN_ROLE": "ml_engineer",
        "AUDIT_RETENTION_DAYS": "1",
    }
    write_defs(tmp_path / "defs")
    with applied_to_process(elsewhere) as settings, dg.DagsterInstance.ephemeral() as instance:
        job = build_defs(folder=tmp_path / "defs", guard=default_guard()).resolve_job_def(
            "tiny_pipeline"
        )
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    assert f"this process runs in {claimed}, the mark of its buckets" in failure(result)[1]
    assert objects(s3, environment) == before
    (spooled,) = settings.spool_directory.rglob("*.json")
    assert '"denied"' in spooled.read_text()


def test_sensor_puts_back_what_was_changed_by_hand(location: Location) -> None:
    guard = location.guard()
    assert location.pipeline(guard=guard).success
    client = location.world.connection.client
    client.delete_registered_model_alias("TinyModel", "champion")
    definitions = location.definitions(guard)
    sensor = definitions.resolve_sensor_def("reconciler")
    assert sensor.minimum_interval_seconds == 30
    said = []
    for _ in range(2):
        with dg.build_sensor_context(
            instance=location.instance, resources={"guard": guard}
        ) as context:
            tick = sensor.evaluate_tick(context)
        assert tick.run_requests == []
        said.append(tick.skip_message)
    assert said == [
        "TinyModel: alias champion points at no version, the audit trail at version 1",
        "every alias and tag is as the audit trail says",
    ]
    champion = location.world.registry.version_at("TinyModel", "champion")
    assert champion is not None
    assert champion.version == "1"
    (record,) = [
        each
        for each in location.world.records()
        if (each.action, each.outcome.value) == ("model:reconcile", "succeeded")
    ]
    assert (record.principal.name, record.principal.verified_by) == ("reconciler", "schedule")
