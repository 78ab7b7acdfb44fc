"""Where the reconciler looks: in the code server, or in a run that is kept going."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
import pytest
from office import Office
from product_fixtures import World

from interlock.components.model_product import reconciler as module
from interlock.components.model_product.component import guard_resource
from interlock.components.model_product.reconciler import (
    MOST,
    OVERLAP,
    PATROL,
    RECONCILIATION_JOB,
    SECONDS,
    reconciler_job,
    reconciler_sensor,
    runs_are_elsewhere,
)
from interlock.errors import ReconciliationIncomplete
from interlock.governance.principal import Role
from interlock.guard import Guard


@pytest.fixture
def instance(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """An instance whose runs have machines of their own."""
    monkeypatch.setattr(module, "runs_are_elsewhere", lambda _: True)
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as made:
        yield made


def tick(instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    """One look of a sensor whose process could not read anything of the trail."""

    def unreadable() -> None:
        raise AssertionError("the sensor must not open the trail")

    guard = Guard(unreadable)  # type: ignore[arg-type]
    with dg.build_sensor_context(
        instance=instance, resources={"guard": guard_resource(guard)}
    ) as context:
        found = reconciler_sensor(reconciler_job()).evaluate_tick(context)
    if found.run_requests:
        return found.run_requests[0]
    return dg.SkipReason(found.skip_message)


def begun(instance: dg.DagsterInstance, *, ago: timedelta | None) -> dg.DagsterRun:
    """A run that looks since then; one that waits in the queue for none."""
    run = instance.create_run_for_job(reconciler_job())
    if ago is not None:
        began = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.RUN_START.value, job_name=RECONCILIATION_JOB
        )
        instance.report_dagster_event(
            began, run.run_id, timestamp=time.time() - ago.total_seconds()
        )
    return run


def test_runs_are_elsewhere_only_with_a_launcher_of_the_operators(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as own:
        assert not runs_are_elsewhere(own)
    launcher = {"module": "dagster._core.launcher.sync_in_memory_run_launcher"}
    launcher["class"] = "SyncInMemoryRunLauncher"
    with dg.DagsterInstance.local_temp(
        str(tmp_path_factory.mktemp("dagster")), overrides={"run_launcher": launcher}
    ) as other:
        assert runs_are_elsewhere(other)
    with dg.DagsterInstance.ephemeral() as none:
        assert not runs_are_elsewhere(none)


def test_one_run_is_kept_going(instance: dg.DagsterInstance) -> None:
    wanted = tick(instance)
    assert isinstance(wanted, dg.RunRequest)
    assert wanted.run_config["ops"]["reconcile"]["config"] == {"seconds": PATROL.total_seconds()}
    waiting = begun(instance, ago=None)
    assert isinstance(tick(instance), dg.SkipReason)
    instance.report_run_canceled(waiting)
    begun(instance, ago=PATROL - OVERLAP - timedelta(minutes=1))
    assert isinstance(tick(instance), dg.SkipReason)


def test_next_run_begins_before_the_last_one_ends(instance: dg.DagsterInstance) -> None:
    old = begun(instance, ago=PATROL - OVERLAP + timedelta(seconds=5))
    assert isinstance(tick(instance), dg.RunRequest)
    begun(instance, ago=None)
    assert isinstance(tick(instance), dg.SkipReason)
    begun(instance, ago=PATROL)
    skipped = tick(instance)
    assert isinstance(skipped, dg.SkipReason)
    assert f"{MOST} runs" in str(skipped.skip_message)
    instance.report_run_failed(old)


def test_change_is_found_within_a_minute() -> None:
    assert timedelta(seconds=2 * SECONDS) <= timedelta(minutes=1)


def test_look_that_was_not_complete_fails_the_tick_and_the_run(office: Office) -> None:
    """After every other model was looked at."""
    world: World = office.world
    guard = Guard(lambda: world.workspace(name="operator", role=Role.VIEWER))
    office.client.create_registered_model("! no key")
    office.client.set_registered_model_alias("TinyModel", "champion", "1")
    resources = {"guard": guard_resource(guard)}
    with (
        dg.DagsterInstance.ephemeral() as made,
        dg.build_sensor_context(instance=made, resources=resources) as context,
        pytest.raises(ReconciliationIncomplete, match="'! no key'"),
    ):
        reconciler_sensor(reconciler_job()).evaluate_tick(context)
    assert office.champion() is None
    definitions = dg.Definitions(jobs=[reconciler_job()], resources=resources)
    with dg.DagsterInstance.ephemeral() as made:
        done = definitions.resolve_job_def(RECONCILIATION_JOB).execute_in_process(
            instance=made, raise_on_error=False
        )
    assert not done.success


@pytest.mark.parametrize("seconds", [0, 1])
def test_run_looks_and_puts_back(
    office: Office, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    """As often as there is time; as the reconciler's service account where nobody signs in."""
    monkeypatch.setattr(module, "SECONDS", 0.4)
    world: World = office.world
    guard = Guard(lambda: world.workspace(name="operator", role=Role.VIEWER))
    office.client.set_registered_model_alias("TinyModel", "champion", "1")
    definitions = dg.Definitions(
        jobs=[reconciler_job()], resources={"guard": guard_resource(guard)}
    )
    with dg.DagsterInstance.ephemeral() as made:
        done = definitions.resolve_job_def(RECONCILIATION_JOB).execute_in_process(
            instance=made, run_config={"ops": {"reconcile": {"config": {"seconds": seconds}}}}
        )
    assert done.success
    assert office.champion() is None
    record = world.records()[-1]
    assert (record.action, record.principal.name) == ("model:reconcile", "reconciler")
