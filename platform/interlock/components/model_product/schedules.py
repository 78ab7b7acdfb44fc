"""Schedules whose runs act as the scheduler's service account.

Anybody can type ``dagster/schedule_name`` into a run's tags. So a tick hands its run a
signed token, valid for one run alone; the guard checks it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dagster as dg

from interlock.guard import SCHEDULE_TOKEN_TAG, Guard

NO_KEY = (
    "RUN_SIGNING_KEY is not set, so a run could not prove that this schedule started it; "
    "set the key for the code location"
)


def as_the_scheduler(
    *, name: str, job: Any, cron: str, zone: str = "UTC"
) -> Callable[[Callable[[dg.ScheduleEvaluationContext], Any]], dg.ScheduleDefinition]:
    """Makes a tick a schedule that is on from the start.

    Args:
        name: The schedule's name.
        job: What it runs.
        cron: When, five fields.
        zone: IANA name of the clock that it goes by.

    Returns:
        A decorator; the tick gives its runs their tokens itself, or skips for ``NO_KEY``.
    """
    return dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=zone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        required_resource_keys={"guard"},
        description="Runs as the service account of the scheduler.",
    )


def pipeline_schedule(
    *, name: str, job: Any, cron: str, products: Sequence[str]
) -> dg.ScheduleDefinition:
    """A schedule that runs a pipeline as the scheduler, on from the start.

    Args:
        name: The schedule's name.
        job: What it runs.
        cron: When, five fields, UTC.
        products: The products that the run may touch.

    Returns:
        The schedule.
    """

    @as_the_scheduler(name=name, job=job, cron=cron)
    def tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        guard: Guard = context.resources.guard
        due = context.scheduled_execution_time.isoformat()
        token = guard.schedule_token(schedule=name, products=products, run_key=due)
        if token is None:
            return dg.SkipReason(NO_KEY)
        return dg.RunRequest(run_key=due, tags={SCHEDULE_TOKEN_TAG: token})

    return tick
