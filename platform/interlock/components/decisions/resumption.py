"""The sensor that goes on after a decision, and the job it starts; see ``actions.resume``.

The sensor reads Dagster's record of runs alone: its process may be one without rights to the audit
trail. What the job does is decided from the trail, whatever its configuration says.
"""

from typing import Any, Final

import dagster as dg

from interlock.actions.resume import Resumed, resume
from interlock.components.decisions.job import DECISION_JOB, version_in
from interlock.components.model_product.assets import REGISTERED
from interlock.errors import ApprovalError
from interlock.guard import EVENT_METADATA, Guard
from interlock.settings import scheduler_principal

RESUMPTION_JOB: Final = "model_resumption"
RESUMPTION_SENSOR: Final = "decisions"
RESUME: Final = "resume"
SECONDS: Final = 15  # between two looks for delivered decisions


class ResumptionConfig(dg.Config):
    """Which version was decided on.

    Attributes:
        model: Registered model.
        version: Its number.
    """

    model: str
    version: str


@dg.op(name=RESUME, required_resource_keys={"guard"})
def resume_op(context: dg.OpExecutionContext, config: ResumptionConfig) -> None:
    """Promote the version if the policies let the platform, else say whether it is ready."""
    guard: Guard = context.resources.guard
    with guard.operation(context, RESUMPTION_JOB, service=scheduler_principal()) as (world, run):
        found = resume(world, run, model=config.model, version=config.version)
    shown = _shown(found)
    context.add_output_metadata(shown)
    key = dg.AssetKey([found.case.product, REGISTERED])
    context.log_event(dg.AssetObservation(asset_key=key, metadata=shown))


def resumption_job() -> dg.JobDefinition:
    """The job; launched by its sensor alone."""

    @dg.job(
        name=RESUMPTION_JOB,
        description="Goes on after a decision: promotes where the policies let the platform do "
        "so, and says elsewhere that the version is ready.",
    )
    def model_resumption() -> None:
        resume_op()

    return model_resumption


def resumption_sensor(decision: dg.JobDefinition, job: dg.JobDefinition) -> dg.SensorDefinition:
    """The sensor, on from the start.

    Args:
        decision: The job whose end it watches.
        job: What it starts then.
    """

    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name=RESUMPTION_SENSOR,
        monitored_jobs=[decision],
        request_job=job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Starts `{RESUMPTION_JOB}` when a run of `{DECISION_JOB}` delivered one.",
    )
    def delivered(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        run = context.dagster_run
        try:
            launch = version_in(run.run_config)
        except ApprovalError as error:
            return dg.SkipReason(str(error))
        config: dict[str, Any] = {"model": launch.model, "version": launch.version}
        return dg.RunRequest(run_key=run.run_id, run_config={"ops": {RESUME: {"config": config}}})

    return delivered


def _shown(found: Resumed) -> dict[str, Any]:
    """What a person wants to see in Dagit of it."""
    move = found.move
    shown: dict[str, Any] = {
        "version": found.case.label,
        "state": found.case.assessment.state.value,
        "ready": found.is_ready,
        "promoted": move is not None,
        "lacks": dg.MetadataValue.json(list(found.lacks)),
    }
    if found.why_not:
        shown["not_promoted"] = found.why_not
    if move is not None:
        shown[EVENT_METADATA] = move.event_key
    return shown
