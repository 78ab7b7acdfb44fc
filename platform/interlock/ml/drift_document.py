"""A verdict as plain values: what is kept beside the audit event, and what gauges read.

No values of rows: names of columns, figures and words. New categories are left out, because a
value may say who somebody is. How a verdict looks is ``ml.drift_report``.
"""

from __future__ import annotations

from typing import Any, Final

from interlock.ml.verdict import ColumnVerdict, DriftVerdict, Outcome

SCHEMA: Final = "interlock.drift/v1"
MAX_NAMED: Final = 10  # of what drifted, in a sentence


def drift_document(verdict: DriftVerdict) -> dict[str, Any]:
    """A verdict as JSON's types; figures as they were measured.

    Args:
        verdict: What was found.

    Returns:
        ``schema``, ``outcome``, ``rows``, ``tests``, ``plan``, and under ``columns``,
        ``predictions``, ``pairs`` and ``dependence`` what was found of each, in the verdict's
        order: ``name``, ``role``, ``outcome``, ``reason``, ``rows``, ``severity``,
        ``statistics``, ``shifts``.
    """
    return {
        "schema": SCHEMA,
        "outcome": verdict.outcome.value,
        "rows": {"reference": verdict.rows[0], "current": verdict.rows[1]},
        "tests": verdict.tests,
        "plan": verdict.plan,
        "significance": verdict.limits.significance,
        "drifted": list(verdict.drifted),
        "columns": [_column(each) for each in verdict.columns],
        "predictions": [_column(each) for each in verdict.predictions],
        "pairs": [_column(each) for each in verdict.pairs],
        "dependence": verdict.dependence and _column(verdict.dependence),
    }


def drift_sentence(verdict: DriftVerdict) -> str:
    """What was found, one sentence without full stop."""
    before, now = verdict.rows
    over = f"{now:,} rows against {before:,}"
    if verdict.outcome is Outcome.NOT_ENOUGH_DATA:
        return f"not enough data for a verdict ({over})"
    if not verdict.drifted:
        return f"no drift ({over})"
    named = ", ".join(verdict.drifted[:MAX_NAMED])
    more = len(verdict.drifted) - MAX_NAMED
    return f"drift of {named}{f' and {more} more' if more > 0 else ''} ({over})"


def _column(found: ColumnVerdict) -> dict[str, Any]:
    return {
        "name": found.name,
        "kind": found.kind and found.kind.value,
        "role": found.role.value,
        "outcome": found.outcome.value,
        "reason": found.reason,
        "rows": {"reference": found.rows[0], "current": found.rows[1]},
        "severity": found.severity,
        "statistics": {name.value: value for name, value in found.statistics.items()},
        "shifts": [
            {
                "statistic": each.statistic.value,
                "value": each.value,
                "limit": each.limit,
                "p_value": each.p_value,
                "corrected": each.corrected,
                "drifted": each.drifted,
            }
            for each in found.shifts
        ],
    }
