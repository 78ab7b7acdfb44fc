"""What Dagster sees: assets, checks, jobs and schedules from YAML alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import jwt
import pytest
from product_fixtures import WATCHED_DAILY, World, tiny_product, write_defs
from simulators import FakeClock

from interlock.adapters.tokens import RunTokens
from interlock.components.model_product import ModelProductComponent
from interlock.definitions import (
    EVERY_SIX_HOURS,
    PIPELINE,
    PLACEHOLDER,
    SCHEDULE,
    build_defs,
    load_products,
)
from interlock.guard import SCHEDULE_TOKEN_TAG, Guard
from interlock.ml.contract import contract_rules
from interlock.product import COMPONENT_TYPE, ModelProduct

ASSETS = ("drift_report", "raw_data", "registered_version", "trained_model", "validated_data")
KEY = b"k" * 32


def closed() -> Any:
    raise AssertionError("loading definitions must not open the workspace")


def definitions(folder: Path, *, tokens: RunTokens | None = None) -> dg.Definitions:
    defs = build_defs(folder=folder, guard=Guard(closed, tokens=tokens))
    dg.Definitions.validate_loadable(defs)
    return defs


def keys(defs: dg.Definitions) -> list[str]:
    return sorted(key.to_user_string() for key in defs.resolve_all_asset_keys())


def products_of(defs: dg.Definitions, job: str) -> set[str]:
    layer = defs.resolve_job_def(job).asset_layer
    return {key.path[0] for key in layer.executable_asset_keys}


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def test_one_yaml_gives_a_chain_of_assets_and_its_report(tmp_path: Path) -> None:
    write_defs(tmp_path)
    defs = definitions(tmp_path)
    assert keys(defs) == [f"tiny/{name}" for name in ASSETS]
    graph = defs.resolve_asset_graph()
    parents = {
        key.path[-1]: sorted(parent.path[-1] for parent in graph.get(key).parent_keys)
        for key in graph.get_all_asset_keys()
    }
    assert parents == {
        "raw_data": [],
        "validated_data": ["raw_data"],
        "trained_model": ["validated_data"],
        "registered_version": ["trained_model"],
        "drift_report": ["registered_version", "validated_data"],
    }
    for key in graph.get_all_asset_keys():
        group = "tiny_monitoring" if key.path[-1] == "drift_report" else "tiny"
        assert graph.get(key).group_name == group
        assert graph.get(key).owners == ["team:tests"]


def test_every_rule_of_the_contract_is_a_check_and_blocks_as_it_says(tmp_path: Path) -> None:
    write_defs(tmp_path)
    product = tiny_product()
    graph = definitions(tmp_path).resolve_asset_graph()
    checks = {
        (key.asset_key.path[-1], key.name): graph.get_check_spec(key).blocking
        for key in graph.asset_check_keys
    }
    rules = contract_rules(product.contract, product.target)
    assert checks == {("validated_data", rule.name): rule.blocking for rule in rules} | {
        ("registered_version", "gates"): False,
        ("drift_report", "no_drift"): False,
    }


WATCHED = WATCHED_DAILY | {"retraining": {"cool_down_hours": 12, "per_day": 2}}


def test_declared_monitoring_gives_both_reports_by_day_with_job_schedule_and_sensor(
    tmp_path: Path,
) -> None:
    write_defs(tmp_path, monitoring=WATCHED)
    defs = definitions(tmp_path)
    graph = defs.resolve_asset_graph()
    for name in ("drift_report", "performance_report"):
        found = graph.get(dg.AssetKey(["tiny", name]))
        assert isinstance(found.partitions_def, dg.DailyPartitionsDefinition)
        assert {key.path[-1] for key in found.parent_keys} == {"registered_version"}
    reports = defs.resolve_job_def("tiny_monitoring").asset_layer.executable_asset_keys
    assert {key.path[-1] for key in reports} == {"drift_report", "performance_report"}
    pipeline = defs.resolve_job_def("tiny_pipeline").asset_layer.executable_asset_keys
    assert len(list(pipeline)) == 4
    assert defs.resolve_schedule_def("tiny_monitoring_schedule").job_name == "tiny_monitoring"
    sensor = defs.resolve_sensor_def("tiny_retraining")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert [target.job_name for target in sensor.targets] == ["tiny_pipeline"]


def test_every_morning_the_day_before_and_the_day_whose_labels_have_come(tmp_path: Path) -> None:
    late = WATCHED | {"labels": WATCHED["labels"] | {"days_late": 30}}
    write_defs(tmp_path, monitoring=late)
    tokens = RunTokens(KEY, clock=lambda: datetime.now(UTC))
    defs = definitions(tmp_path, tokens=tokens)
    schedule = defs.resolve_schedule_def("tiny_monitoring_schedule")

    def due(day: datetime) -> list[tuple[str | None, list[str]]]:
        with dg.build_schedule_context(
            scheduled_execution_time=day,
            repository_def=defs.get_repository_def(),
            resources={"guard": Guard(closed, tokens=tokens)},
        ) as context:
            found = schedule.evaluate_tick(context).run_requests or ()
        assert all(each.tags[SCHEDULE_TOKEN_TAG] for each in found)
        return [
            (each.partition_key, [key.path[-1] for key in each.asset_selection or ()])
            for each in found
        ]

    assert due(datetime(2026, 2, 10, 6, tzinfo=UTC)) == [
        ("2026-02-09", ["drift_report"]),
        ("2026-01-10", ["performance_report"]),
    ]
    assert due(datetime(2026, 1, 10, 6, tzinfo=UTC)) == [("2026-01-09", ["drift_report"])]
    assert due(datetime(2026, 1, 1, 6, tzinfo=UTC)) == []


@pytest.mark.parametrize(
    ("zone", "hour", "day"),
    [("America/Los_Angeles", 14, "2026-02-09"), ("Pacific/Kiritimati", -8, "2026-02-09")],
)
def test_days_and_mornings_are_those_of_the_products_zone(
    tmp_path: Path, zone: str, hour: int, day: str
) -> None:
    write_defs(tmp_path, monitoring=WATCHED | {"zone": zone})
    tokens = RunTokens(KEY, clock=lambda: datetime.now(UTC))
    defs = definitions(tmp_path, tokens=tokens)
    schedule = defs.resolve_schedule_def("tiny_monitoring_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * *", zone)
    morning = datetime(2026, 2, 10, tzinfo=UTC) + timedelta(hours=hour)
    with dg.build_schedule_context(
        scheduled_execution_time=morning,
        repository_def=defs.get_repository_def(),
        resources={"guard": Guard(closed, tokens=tokens)},
    ) as context:
        found = schedule.evaluate_tick(context).run_requests or ()
    assert {each.partition_key for each in found} == {day}
    days = defs.resolve_asset_graph().get(dg.AssetKey(["tiny", "drift_report"])).partitions_def
    assert isinstance(days, dg.DailyPartitionsDefinition)
    assert days.timezone == zone


def test_batches_are_partitions_that_people_name(tmp_path: Path) -> None:
    batches = {name: WATCHED[name] for name in ("current",)} | {"partitions": "batch"}
    write_defs(tmp_path, monitoring=batches)
    graph = definitions(tmp_path).resolve_asset_graph()
    found = graph.get(dg.AssetKey(["tiny", "drift_report"])).partitions_def
    assert isinstance(found, dg.DynamicPartitionsDefinition)
    assert found.name == "tiny_batches"


def test_second_product_needs_yaml_alone(tmp_path: Path) -> None:
    write_defs(tmp_path)
    write_defs(tmp_path, name="other", model="OtherModel")
    defs = definitions(tmp_path)
    assert keys(defs) == [f"{p}/{name}" for p in ("other", "tiny") for name in ASSETS]
    jobs = {job.name for job in defs.resolve_all_job_defs()}
    assert {"tiny_pipeline", "other_pipeline", PIPELINE} <= jobs
    common = {
        key.path[0] for key in defs.resolve_job_def(PIPELINE).asset_layer.executable_asset_keys
    }
    assert common == {"tiny", "other"}


def test_common_schedule_is_six_hourly_and_on(tmp_path: Path) -> None:
    write_defs(tmp_path)
    schedule = definitions(tmp_path).resolve_schedule_def(SCHEDULE)
    assert schedule.cron_schedule == EVERY_SIX_HOURS == "0 */6 * * *"
    assert schedule.execution_timezone == "UTC"
    assert schedule.default_status is dg.DefaultScheduleStatus.RUNNING
    assert schedule.job_name == PIPELINE


def test_product_with_a_schedule_of_its_own_leaves_the_common_one(tmp_path: Path) -> None:
    write_defs(tmp_path)
    write_defs(tmp_path, name="nightly", model="NightlyModel", schedule="0 2 * * *")
    defs = definitions(tmp_path)
    assert defs.resolve_schedule_def("nightly_schedule").cron_schedule == "0 2 * * *"
    common = {
        key.path[0] for key in defs.resolve_job_def(PIPELINE).asset_layer.executable_asset_keys
    }
    assert common == {"tiny"}


def test_no_common_pipeline_without_a_product_for_it(tmp_path: Path) -> None:
    write_defs(tmp_path, schedule="0 2 * * *")
    defs = definitions(tmp_path)
    assert {each.name for each in defs.schedules or ()} == {"tiny_schedule"}
    assert definitions(tmp_path / "nothing") is not None


def test_executor_runs_in_process_also_for_single_assets(tmp_path: Path) -> None:
    write_defs(tmp_path)
    defs = definitions(tmp_path)
    for job in defs.resolve_all_job_defs():
        assert job.executor_def.name == "in_process"


BROKEN: list[tuple[str, Callable[[Path], object]]] = [
    ("syntax", lambda path: path.write_text("attributes: [")),
    ("binary", lambda path: path.write_bytes(bytes(range(256)))),
    ("empty", lambda path: path.write_text("")),
    ("folder in its place", become_a_folder),
    ("impossible cron", lambda path: write_defs(path.parents[1], schedule="99 * * * *")),
    ("unfit label", lambda path: write_defs(path.parents[1], target={})),
    ("reserved name", lambda path: write_defs(path.parents[1], name="ml_training")),
    ("taken model", lambda path: write_defs(path.parents[1], model="OtherModel")),
    ("strange folder", lambda path: path.parent.rename(path.parents[1] / "my product ü.2")),
]


@pytest.mark.parametrize("damage", [b[1] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_broken_product_becomes_a_failing_placeholder_and_the_others_work(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    write_defs(tmp_path, name="other", model="OtherModel")
    damage(write_defs(tmp_path))
    defs = definitions(tmp_path)
    (name,) = load_products(tmp_path).errors
    error = load_products(tmp_path).errors[name]
    (placeholder,) = [key for key in defs.resolve_all_asset_keys() if key.path[-1] == PLACEHOLDER]
    assert set(keys(defs)) - {f"tiny/{each}" for each in ASSETS} == {
        placeholder.to_user_string(),
        *(f"other/{each}" for each in ASSETS),
    }
    with dg.DagsterInstance.ephemeral() as instance:
        result = (
            defs.resolve_implicit_global_asset_job_def()
            .get_subset(asset_selection={placeholder})
            .execute_in_process(instance=instance, raise_on_error=False)
        )
    assert not result.success
    (failure,) = result.get_step_failure_events()
    assert str(error) in str(failure.step_failure_data.user_failure_data)


def test_placeholders_of_similar_folders_stay_apart(tmp_path: Path) -> None:
    for folder in ("a-b", "a.b", "a_b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "defs.yaml").write_text("")
    assert len(keys(definitions(tmp_path))) == 3


def test_component_is_loadable_by_dagster_itself(tmp_path: Path) -> None:
    write_defs(tmp_path)
    assert ModelProductComponent.get_model_cls() is ModelProduct
    context = dg.ComponentTree.for_test().load_context
    component = ModelProductComponent.load(tiny_product(), context)
    assert component.product == tiny_product()
    with pytest.raises(TypeError, match="expected a ModelProduct"):
        ModelProductComponent.load(None, context)
    assert f"{ModelProductComponent.__module__.rpartition('.')[0]}.ModelProductComponent" == (
        COMPONENT_TYPE
    )


def test_tick_hands_its_run_a_token_for_its_products_alone(tmp_path: Path) -> None:
    write_defs(tmp_path)
    write_defs(tmp_path, name="nightly", model="NightlyModel", schedule="0 2 * * *")
    now = datetime(2040, 1, 2, 6, 0, tzinfo=UTC)
    tokens = RunTokens(KEY, clock=FakeClock(now))
    defs = definitions(tmp_path, tokens=tokens)
    schedule = defs.resolve_schedule_def(SCHEDULE)
    with dg.build_schedule_context(
        scheduled_execution_time=now, resources=defs.resources
    ) as context:
        data = schedule.evaluate_tick(context)
    (request,) = data.run_requests or ()
    claims = jwt.decode(
        request.tags[SCHEDULE_TOKEN_TAG],
        KEY,
        algorithms=["HS256"],
        audience="interlock/run",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["products"] == ["tiny"]
    assert claims["sub"] == SCHEDULE
    assert claims["exp"] - claims["iat"] == timedelta(days=1).total_seconds()
    assert request.run_key == now.isoformat()


def test_tick_without_a_key_is_skipped_and_says_what_to_set(tmp_path: Path) -> None:
    write_defs(tmp_path)
    defs = definitions(tmp_path)
    with dg.build_schedule_context(
        scheduled_execution_time=datetime(2040, 1, 2, 6, 0, tzinfo=UTC), resources=defs.resources
    ) as context:
        data = defs.resolve_schedule_def(SCHEDULE).evaluate_tick(context)
    assert not data.run_requests
    assert "RUN_SIGNING_KEY is not set" in str(data.skip_message)


@pytest.mark.parametrize(
    "resources",
    [
        {"guard": {"config": {"environment": "dev"}}},
        {"guard": {"config": None}},
        {"store": {"config": {"endpoint_url": "http://evil"}}},
    ],
    ids=str,
)
def test_run_config_cannot_reach_the_guard(
    tmp_path: Path, resources: dict[str, Any], world: World
) -> None:
    write_defs(tmp_path)
    before = world.state()
    guard = Guard(world.workspace)
    job = build_defs(folder=tmp_path, guard=guard).resolve_job_def("tiny_pipeline")
    with (
        dg.DagsterInstance.ephemeral() as instance,
        pytest.raises(dg.DagsterInvalidConfigError),
    ):
        job.execute_in_process(
            instance=instance, run_config={"resources": resources}, raise_on_error=False
        )
    assert world.state() == before
    assert world.story() == []
