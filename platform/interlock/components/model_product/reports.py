"""The assets that hold a version in use against its reference, their job and their schedule.

Thin: what is measured and what follows is ``actions.drift_check`` and
``actions.performance_check``; what a person sees is ``report_presentation``. They are in a group
of their own, so that the pipeline's job does not run them.

Dagster reads the annotations of assets as types, so they are not postponed here.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg

from interlock.actions.current_data import Current, Declared, NewestSnapshot
from interlock.actions.drift_check import check_drift
from interlock.actions.performance_check import check_performance
from interlock.components.model_product import report_presentation as shown
from interlock.components.model_product.assets import REGISTERED, VALIDATED
from interlock.components.model_product.schedules import NO_KEY, as_the_scheduler
from interlock.guard import SCHEDULE_TOKEN_TAG, Guard
from interlock.ml.monitoring import Monitoring
from interlock.product import ModelProduct

DRIFT, PERFORMANCE = "drift_report", "performance_report"
EVERY_MORNING = "0 6 * * *"  # in the product's zone, where the day before is over

# Where MLflow or the store was away: without an end of the check, nothing follows from its finding.
AGAIN = dg.RetryPolicy(max_retries=3, delay=60, backoff=dg.Backoff.EXPONENTIAL)


class VersionChoice(dg.Config):
    """Which version to look at; only the champion can be suspended.

    Attributes:
        version: Its number; the champion by default.
    """

    version: str | None = None


def group_of(product: str) -> str:
    """The group of a product's reports."""
    return f"{product}_monitoring"


def partitions_of(product: ModelProduct) -> dg.PartitionsDefinition[Any] | None:
    """Days, batches that somebody names, or none."""
    watched = product.watched
    if watched.partitions == "daily" and watched.since is not None:
        return dg.DailyPartitionsDefinition(
            start_date=watched.since.isoformat(), timezone=watched.clock.key
        )
    if watched.partitions == "batch":
        return dg.DynamicPartitionsDefinition(name=f"{product.name}_batches")
    return None


def report_assets(product: ModelProduct) -> list[dg.AssetsDefinition]:
    """``drift_report``, and ``performance_report`` where the product says where labels arrive."""
    validated, registered = (dg.AssetKey([product.name, each]) for each in (VALIDATED, REGISTERED))
    watched = product.watched
    common: dict[str, Any] = {
        "group_name": group_of(product.name),
        "owners": list(product.owners),
        "required_resource_keys": {"guard"},
        "partitions_def": partitions_of(product),
        "tags": {"interlock/tier": product.tier.value, "interlock/model": product.model},
        "kinds": {"mlflow"},
        "retry_policy": AGAIN,
    }
    drift_key, performance_key = (
        dg.AssetKey([product.name, each]) for each in (DRIFT, PERFORMANCE)
    )

    @dg.asset(
        key=drift_key,
        deps=[registered, *([validated] if watched.current is None else [])],
        description="Today's data and scores against what the champion learned from.",
        check_specs=[
            dg.AssetCheckSpec(
                name=shown.NO_DRIFT,
                asset=drift_key,
                description=f"No column, score, pair or correlation drifted. {_follows(watched)}",
            )
        ],
        **common,
    )
    def drift_report(
        context: dg.AssetExecutionContext, config: VersionChoice
    ) -> dg.MaterializeResult:
        guard: Guard = context.resources.guard
        with guard.step(context, product) as (workspace, run):
            current: Current = Declared(_partition(context))
            if watched.current is None:
                current = NewestSnapshot(guard.upstream(context, validated, None))
            found = check_drift(workspace, product, run, current, version=config.version)
        guard.keep(product, DRIFT, found)
        return shown.drift_report(found)

    @dg.asset(
        key=performance_key,
        deps=[registered],
        description="The champion's metrics as labels arrive, against its holdout.",
        check_specs=[
            dg.AssetCheckSpec(
                name=shown.WITHIN_LIMITS,
                asset=performance_key,
                description=f"No metric of any group is beyond its limit. {_follows(watched)}",
            )
        ],
        **common,
    )
    def performance_report(
        context: dg.AssetExecutionContext, config: VersionChoice
    ) -> dg.MaterializeResult:
        guard: Guard = context.resources.guard
        with guard.step(context, product) as (workspace, run):
            current = Declared(_partition(context))
            found = check_performance(workspace, product, run, current, version=config.version)
        guard.keep(product, PERFORMANCE, found)
        return shown.performance_report(found)

    return [drift_report] if watched.labels is None else [drift_report, performance_report]


def report_job(product: ModelProduct) -> Any:
    """The job that makes a product's reports."""
    return dg.define_asset_job(
        name=group_of(product.name),
        selection=dg.AssetSelection.groups(group_of(product.name)),
        description=f"Holds {product.model} in use against its reference.",
        tags={"interlock/product": product.name},
        owners=list(product.owners),
    )


def report_schedule(product: ModelProduct, job: Any) -> dg.ScheduleDefinition:
    """Every morning the day before, and the day whose labels have come; see ``schedules``."""
    name = f"{group_of(product.name)}_schedule"

    zone = product.watched.clock.key

    @as_the_scheduler(name=name, job=job, cron=EVERY_MORNING, zone=zone)
    def tick(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        guard: Guard = context.resources.guard
        requests = []
        morning = context.scheduled_execution_time.astimezone(product.watched.clock)
        for asset, day in _due(product, morning.date()):
            run_key = f"{asset} {day}"
            token = guard.schedule_token(schedule=name, products=(product.name,), run_key=run_key)
            if token is None:
                return dg.SkipReason(NO_KEY)
            requests.append(
                dg.RunRequest(
                    run_key=run_key,
                    partition_key=day.isoformat(),
                    asset_selection=[dg.AssetKey([product.name, asset])],
                    tags={SCHEDULE_TOKEN_TAG: token},
                )
            )
        return requests or dg.SkipReason("no day is due yet")

    return tick


def _due(product: ModelProduct, today: date) -> Iterator[tuple[str, date]]:
    """Which report of which day is made on a morning."""
    watched = product.watched
    yesterday = today - timedelta(days=1)
    days = {DRIFT: yesterday}
    if watched.labels is not None:
        days[PERFORMANCE] = yesterday - timedelta(days=watched.labels.days_late)
    for asset, day in days.items():
        if watched.since is not None and day >= watched.since:
            yield asset, day


def _partition(context: dg.AssetExecutionContext) -> str | None:
    return context.partition_key if context.has_partition_key else None


def _follows(watched: Monitoring) -> str:
    causes = " or ".join(watched.suspend_on)
    return f"A champion's approval is suspended for {causes}."
