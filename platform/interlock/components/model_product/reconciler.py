"""The sensor that puts back what was changed outside of Interlock.

It runs in the code location, so that it reaches MLflow and the trail as runs do; what it finds
and does is decided in ``interlock.actions.reconcile``.
"""

from __future__ import annotations

import dagster as dg

from interlock.guard import Guard

RECONCILER = "reconciler"
SECONDS = 30  # between two looks: a change is found within a minute


def reconciler_sensor() -> dg.SensorDefinition:
    """The sensor, on from the start; it launches nothing."""

    @dg.sensor(
        name=RECONCILER,
        minimum_interval_seconds=SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        required_resource_keys={"guard"},
        description="Compares aliases and governance tags in MLflow with the audit trail and puts "
        "them back; runs as the service account of the reconciler.",
    )
    def look(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        guard: Guard = context.resources.guard
        found = guard.reconcile(context.log.info)
        changed = [f"{each.model}: {what}" for each in found for what in each.put_back]
        lasting = [f"{each.model}: {what}" for each in found for what in each.failed]
        if not changed and not lasting:
            return dg.SkipReason("every alias and tag is as the audit trail says")
        return dg.SkipReason("; ".join([*changed, *(f"not put back: {each}" for each in lasting)]))

    return look
