"""Who a run acts as: the scheduler only when Dagster's daemon really submitted it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.definitions.sensor_definition import SensorType
from dagster._core.remote_origin import (
    InProcessCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from product_fixtures import World, new_world, tiny_product

from interlock import guard as guard_module
from interlock.adapters.tokens import RunTokens
from interlock.components.model_product import ModelProductComponent
from interlock.components.model_product.component import guard_resource
from interlock.guard import SCHEDULE_TOKEN_TAG, Guard

KEY = b"k" * 32
SCHEDULE = "tiny_schedule"
RUN_ID = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def world(
    tmp_path: Path, mlflow_template: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> World:
    monkeypatch.setattr(guard_module, "_TICK_SECONDS", 0.2)
    monkeypatch.setattr(guard_module, "_TICK_POLL_SECONDS", 0.05)
    return new_world(tmp_path / "world", mlflow_template)


def record_tick(
    instance: dg.DagsterInstance, run_id: str, kind: InstigatorType = InstigatorType.SCHEDULE
) -> None:
    """What the daemon writes when it has submitted a run."""
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="interlock"))
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "repository"), SCHEDULE)
    data = (
        ScheduleInstigatorData("0 0 * * *", start_timestamp=0.0)
        if kind is InstigatorType.SCHEDULE
        else SensorInstigatorData(sensor_type=SensorType.STANDARD)
    )
    state = InstigatorState(origin, kind, InstigatorStatus.RUNNING, data)
    instance.add_instigator_state(state)
    instance.create_tick(
        TickData(
            instigator_origin_id=state.instigator_origin_id,
            instigator_name=SCHEDULE,
            instigator_type=kind,
            status=TickStatus.SUCCESS,
            timestamp=1.0,
            run_ids=[run_id],
            selector_id=state.selector_id,
        )
    )


def ingest_as(
    world: World,
    token: str | None,
    *,
    ticked: str | None,
    kind: InstigatorType = InstigatorType.SCHEDULE,
) -> tuple[str, str]:
    """Role and verification of who a run of raw_data acted as."""
    guard = Guard(world.workspace, tokens=RunTokens(KEY, clock=world.clock))
    definitions = dg.Definitions.merge(
        ModelProductComponent(tiny_product()).build_defs(),
        dg.Definitions(resources={"guard": guard_resource(guard)}, executor=dg.in_process_executor),
    )
    with dg.DagsterInstance.local_temp(str(world.folder)) as instance:
        if ticked is not None:
            record_tick(instance, ticked, kind)
        definitions.resolve_job_def("tiny_pipeline").execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["tiny", "raw_data"])],
            run_id=RUN_ID,
            tags={SCHEDULE_TOKEN_TAG: token} if token is not None else None,
        )
    (stream,) = world.audit.streams()
    from interlock.governance.audit import decode

    actor = decode(world.audit.read(stream)[-1].data).record.principal
    return actor.role, actor.verified_by


def token_of(world: World) -> str:
    tokens = RunTokens(KEY, clock=world.clock)
    return tokens.issue(schedule=SCHEDULE, products=["tiny"], run_key="tick")


def test_run_of_a_real_tick_acts_as_the_scheduler(world: World) -> None:
    assert ingest_as(world, token_of(world), ticked=RUN_ID) == ("scheduler", "schedule")


def test_run_of_a_sensors_real_tick_acts_as_the_scheduler(world: World) -> None:
    acted = ingest_as(world, token_of(world), ticked=RUN_ID, kind=InstigatorType.SENSOR)
    assert acted == ("scheduler", "schedule")


def test_token_seen_in_a_dry_run_makes_nobody_the_scheduler(world: World) -> None:
    assert ingest_as(world, token_of(world), ticked=None) == ("ml_engineer", "env")


def test_token_copied_from_another_run_makes_nobody_the_scheduler(world: World) -> None:
    other = "22222222-2222-4222-8222-222222222222"
    assert ingest_as(world, token_of(world), ticked=other) == ("ml_engineer", "env")


def test_tick_without_an_intact_token_makes_nobody_the_scheduler(world: World) -> None:
    assert ingest_as(world, "typed by hand", ticked=RUN_ID) == ("ml_engineer", "env")


def test_run_without_token_acts_as_the_operator_says(world: World) -> None:
    assert ingest_as(world, None, ticked=RUN_ID) == ("ml_engineer", "env")
