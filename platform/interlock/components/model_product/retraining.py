"""The sensor that asks for a new training when a champion is beyond its limits.

It reads Dagster's own record alone: which report was made last, which runs were asked for or
trained since. So a restart forgets nothing, and a process without rights to the audit trail can
evaluate it. What it starts is the product's pipeline, whose version is a challenger like any
other: nothing is approved or promoted by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from interlock.components.model_product.report_presentation import (
    COUNTS_METADATA,
    OUTCOME_METADATA,
    VERSION_METADATA,
)
from interlock.components.model_product.reports import DRIFT, PERFORMANCE
from interlock.guard import EVENT_METADATA, SCHEDULE_TOKEN_TAG, Guard
from interlock.ml.monitoring import Retraining, day_of
from interlock.ml.performance_limit import Verdict
from interlock.ml.verdict import Outcome
from interlock.product import ModelProduct

RETRAINING_TAG: Final = "interlock/retraining"
FINDING_TAG: Final = "interlock/retraining_finding"
DAY: Final = timedelta(days=1)
SECONDS: Final = 60  # between two looks
LOOKED_AT: Final = 20  # reports of a day, in search of one that counts
_BEYOND: Final = {Outcome.DRIFT.value, Verdict.BEYOND_LIMIT.value}


@dataclass(frozen=True)
class Finding:
    """A report that found a version beyond its limits.

    Attributes:
        event_key: The audit event of the check; names the finding.
        found: When the report was made.
        version: Which version.
        what: ``drift_report`` or ``performance_report``.
    """

    event_key: str
    found: datetime
    version: str
    what: str


def reason_to_wait(
    retraining: Retraining, *, now: datetime, requested: Sequence[datetime]
) -> str | None:
    """Why no training may be asked for now; none when it may.

    Args:
        retraining: The product's rules.
        now: Aware UTC.
        requested: When it was asked for before.
    """
    newest = max(requested, default=None)
    rest = timedelta(hours=retraining.cool_down_hours)
    if newest is not None and now - newest < rest:
        return f"cooling down until {newest + rest:%Y-%m-%d %H:%M} UTC"
    today = [each for each in requested if now - each < DAY]
    if len(today) >= retraining.per_day:
        return f"{len(today)} requests in 24 hours; at most {retraining.per_day}"
    return None


def retraining_sensor(product: ModelProduct, retraining: Retraining, job: Any) -> Any:
    """The sensor of a product, on from the start.

    Args:
        product: Whose reports it watches.
        retraining: Its rules.
        job: The pipeline that it starts.
    """
    name = f"{product.name}_retraining"

    @dg.sensor(
        name=name,
        job=job,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"guard"},
        description=f"Asks for a new training of {product.model} when a report finds it beyond "
        f"its limits: at most {retraining.per_day} in 24 hours, "
        f"{retraining.cool_down_hours} hours apart.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        guard: Guard = context.resources.guard
        instance = context.instance
        finding = newest_finding(instance, product.name)
        if finding is None:
            return dg.SkipReason("the newest reports found nothing beyond a limit")
        if _trained_since(instance, job.name, finding.found):
            return dg.SkipReason(f"trained since {finding.what} found version {finding.version}")
        requested = requests_of(instance, product.name, retraining)
        waiting = reason_to_wait(retraining, now=datetime.now(UTC), requested=requested)
        if waiting is not None:
            return dg.SkipReason(waiting)
        run_key = f"{finding.event_key}#{_requests_for(instance, finding)}"
        token = guard.schedule_token(schedule=name, products=(product.name,), run_key=run_key)
        tags = {RETRAINING_TAG: product.name, FINDING_TAG: finding.event_key}
        if token is not None:
            tags[SCHEDULE_TOKEN_TAG] = token
        return dg.RunRequest(run_key=run_key, tags=tags)

    return look


def newest_finding(instance: dg.DagsterInstance, product: str) -> Finding | None:
    """What the newest report of either kind found beyond a limit; the newer of both.

    Newest is the report of the newest day, however late an older day was looked at; of batches,
    and without partitions, the last. Reports that do not count are passed over: of another version
    than the champion, or of a day before the newest move to it.
    """
    found = [_finding(instance, product, asset) for asset in (DRIFT, PERFORMANCE)]
    known = [each for each in found if each is not None]
    return max(known, key=lambda each: each.found, default=None)


def requests_of(
    instance: dg.DagsterInstance, product: str, retraining: Retraining
) -> list[datetime]:
    """When a training was asked for, as far back as the rules look."""
    back = max(DAY, timedelta(hours=retraining.cool_down_hours))
    records = instance.get_run_records(
        dg.RunsFilter(tags={RETRAINING_TAG: product}, created_after=datetime.now(UTC) - back)
    )
    return [each.create_timestamp.astimezone(UTC) for each in records]


def _requests_for(instance: dg.DagsterInstance, finding: Finding) -> int:
    """How often a finding was asked for, ever: Dagster silently passes over a run key it knows."""
    return instance.get_runs_count(dg.RunsFilter(tags={FINDING_TAG: finding.event_key}))


def _finding(instance: dg.DagsterInstance, product: str, asset: str) -> Finding | None:
    key = dg.AssetKey([product, asset])
    days = [each for each in instance.get_materialized_partitions(key) if day_of(each)]
    newest = dg.AssetRecordsFilter(key, asset_partitions=[max(days)]) if days else key
    for record in instance.fetch_materializations(newest, limit=LOOKED_AT).records:
        made = record.asset_materialization
        metadata = made.metadata if made is not None else {}
        values = {name: str(each.value) for name, each in metadata.items()}
        if values.get(COUNTS_METADATA) == str(False):
            continue
        if values.get(OUTCOME_METADATA) not in _BEYOND:
            return None
        return Finding(
            event_key=values.get(EVENT_METADATA, ""),
            found=datetime.fromtimestamp(record.timestamp, UTC),
            version=values.get(VERSION_METADATA, ""),
            what=asset,
        )
    return None


def _trained_since(instance: dg.DagsterInstance, job: str, found: datetime) -> bool:
    """Whether the pipeline was started after a finding and did not fail."""
    records = instance.get_run_records(
        dg.RunsFilter(
            job_name=job,
            created_after=found,
            statuses=[
                each
                for each in dg.DagsterRunStatus
                if each not in {dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}
            ],
        ),
        limit=1,
    )
    return bool(records)
