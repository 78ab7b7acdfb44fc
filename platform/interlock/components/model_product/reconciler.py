"""The sensor that puts back what was changed outside of Interlock, and the job it may start.

What is found and done is decided in ``interlock.actions.reconcile``. Where the code server runs
everything, the sensor looks itself. Where each run has a machine and rights of its own, the code
server may not read the audit trail; the sensor then keeps a run going that looks, again and again
for half an hour: to start a machine for each look would take longer than a minute.
"""

import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

import dagster as dg

from interlock.actions.reconcile import Reconciled, reconcile_all, require_complete
from interlock.guard import Guard
from interlock.settings import reconciler_principal

RECONCILER: Final = "reconciler"
RECONCILIATION_JOB: Final = "model_reconciliation"
SECONDS: Final = 30  # between two looks: a change is found within a minute
PATROL: Final = timedelta(minutes=30)  # how long one run goes on
OVERLAP: Final = timedelta(minutes=4)  # before its end the next is started: machines take 1 or 2
MOST: Final = 2  # under way at once; two that look at the same time do no harm
# Of Fargate the least that holds MLflow; and nobody waits behind a training run.
_TAGS: Final = {"ecs/cpu": "512", "ecs/memory": "2048", "dagster/priority": "10"}
_UNDER_WAY: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


class PatrolConfig(dg.Config):
    """How long to go on.

    Attributes:
        seconds: From the first look on; 0 looks once.
    """

    seconds: int = 0


@dg.op(name="reconcile", required_resource_keys={"guard"})
def reconcile_op(context: dg.OpExecutionContext, config: PatrolConfig) -> None:
    """Look at every model until the time is over; fail if the last look was not complete."""
    guard: Guard = context.resources.guard
    end = time.monotonic() + min(config.seconds, PATROL.total_seconds())
    looks = 0
    in_flight: dict[str, datetime] = {}
    with guard.operation(context, RECONCILIATION_JOB, service=reconciler_principal()) as (
        workspace,
        run,
    ):
        while True:
            looks += 1
            found = reconcile_all(workspace, run, in_flight=in_flight)
            _log(context, found)
            if time.monotonic() + SECONDS > end:
                break
            time.sleep(SECONDS)
        require_complete(found)
    context.add_output_metadata({"looks": looks})


def reconciler_job() -> dg.JobDefinition:
    """The job; it looks once unless it is told to go on."""

    @dg.job(
        name=RECONCILIATION_JOB,
        tags=_TAGS,
        description="Compares aliases and governance tags in MLflow with the audit trail and puts "
        "them back.",
    )
    def model_reconciliation() -> None:
        reconcile_op()

    return model_reconciliation


def reconciler_sensor(job: dg.JobDefinition) -> dg.SensorDefinition:
    """The sensor, on from the start.

    Args:
        job: What it starts where runs have machines of their own.
    """

    @dg.sensor(
        name=RECONCILER,
        job=job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"guard"},
        description="Compares aliases and governance tags in MLflow with the audit trail and puts "
        "them back; runs as a service account of the platform.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SkipReason | dg.RunRequest:
        if runs_are_elsewhere(context.instance):
            return _patrol(context)
        guard: Guard = context.resources.guard
        found = guard.reconcile(context.log.info)
        require_complete(found)  # else the tick fails, and Dagit says why
        changed = [f"{each.model}: {what}" for each in found for what in each.put_back]
        return dg.SkipReason("; ".join(changed) or "every alias and tag is as the audit trail says")

    return look


def runs_are_elsewhere(instance: dg.DagsterInstance) -> bool:
    """Whether runs have machines, and so rights, of their own."""
    if instance.is_ephemeral:  # which no other process could open
        return False
    launcher = instance.get_ref().run_launcher_data
    return launcher is not None and launcher.class_name != dg.DefaultRunLauncher.__name__


def _patrol(context: dg.SensorEvaluationContext) -> dg.SkipReason | dg.RunRequest:
    """Keep one run going that looks."""
    under_way = context.instance.get_run_records(
        dg.RunsFilter(job_name=RECONCILIATION_JOB, statuses=_UNDER_WAY), limit=MOST
    )
    if len(under_way) >= MOST:
        return dg.SkipReason(f"{MOST} runs are looking, or about to")
    now = time.time()
    for each in under_way:
        began = each.start_time
        if began is None or now - began < (PATROL - OVERLAP).total_seconds():
            return dg.SkipReason(f"run {each.dagster_run.run_id} is looking, or about to")
    config = {"seconds": int(PATROL.total_seconds())}
    return dg.RunRequest(run_config={"ops": {"reconcile": {"config": config}}})


def _log(context: dg.OpExecutionContext, found: Iterable[Reconciled]) -> None:
    for each in found:
        for why in each.failed:
            context.log.warning(f"{each.model}: {why}")
