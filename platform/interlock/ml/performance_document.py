"""Performance as plain values: what is kept beside the audit event, and what gauges read.

Figures per window and group. How they look is ``ml.performance_page``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from interlock.ml.estimated_performance import WindowEstimate
from interlock.ml.performance_limit import Verdict, gravest
from interlock.ml.performance_report import (
    Group,
    GroupPerformance,
    PerformanceReport,
    WindowPerformance,
)

SCHEMA: Final = "interlock.performance/v1"
MAX_NAMED: Final = 5  # findings in a sentence


def performance_document(
    report: PerformanceReport, estimates: Sequence[WindowEstimate]
) -> dict[str, Any]:
    """A report as JSON's types.

    Args:
        report: What was measured.
        estimates: What was estimated without labels.

    Returns:
        ``schema``, ``outcome`` and ``windows``, the oldest first, each with ``name``, ``start``,
        ``end``, ``predictions``, ``labelled``, ``groups`` (the first is all rows) and
        ``estimate``.
    """
    by_name = {each.name: each for each in estimates}
    return {
        "schema": SCHEMA,
        "outcome": outcome_of(report).value,
        "windows": [_window(each, by_name.get(each.name)) for each in report.windows],
    }


def outcome_of(report: PerformanceReport) -> Verdict:
    """The gravest verdict of any window and group; without any, not enough data."""
    found = (each.verdict for window in report.windows for each in (window.overall, *window.groups))
    known = [verdict for verdict in found if verdict is not None]
    beyond = Verdict.BEYOND_LIMIT in known
    # A small group does not hide that all rows are within their limits.
    overall = [each.overall.verdict for each in report.windows if each.overall.verdict is not None]
    return Verdict.BEYOND_LIMIT if beyond else gravest(overall) or Verdict.NOT_ENOUGH_DATA


def findings_of(report: PerformanceReport) -> tuple[str, ...]:
    """What is beyond its limit, a phrase each; values of protected columns are not told."""
    return tuple(
        f"{judgement.limit.metric} of {_who(group)} in {window.name}"
        for window in report.windows
        for group, judgement in window.beyond
    )


def performance_sentence(report: PerformanceReport) -> str:
    """What was found, one sentence without full stop."""
    beyond = findings_of(report)
    if beyond:
        more = len(beyond) - MAX_NAMED
        named = "; ".join(beyond[:MAX_NAMED])
        return f"beyond its limit: {named}{f' and {more} more' if more > 0 else ''}"
    words = {
        Verdict.WITHIN: "within its limits",
        Verdict.UNDECIDED: "cannot be told from its limits yet",
        Verdict.NOT_ENOUGH_DATA: "has not enough labels for a verdict",
    }
    return f"performance {words[outcome_of(report)]} ({len(report.windows)} windows)"


def _who(group: Group | None) -> str:
    if group is None:
        return "all rows"
    return f"a group of {group.column}" if group.protected else str(group)


def _window(window: WindowPerformance, estimate: WindowEstimate | None) -> dict[str, Any]:
    return {
        "name": window.name,
        "start": window.start.isoformat(),
        "end": window.end.isoformat(),
        "predictions": window.coverage.predictions,
        "labelled": window.coverage.labelled,
        "groups": [_group(each) for each in (window.overall, *window.groups)],
        "estimate": estimate and _estimate(estimate),
    }


def _group(found: GroupPerformance) -> dict[str, Any]:
    group = found.group
    return {
        "column": group and group.column,
        "value": group and group.value,
        "protected": bool(group and group.protected),
        "predictions": found.predictions,
        "labelled": found.rows,
        "verdict": found.verdict and found.verdict.value,
        "metrics": {
            name: {
                "value": each.value,
                "low": each.interval and each.interval.low,
                "high": each.interval and each.interval.high,
                "verdict": each.verdict and each.verdict.value,
                "reasons": [judgement.reason for judgement in each.judgements],
            }
            for name, each in found.metrics.items()
            if each.value is not None or each.judgements
        },
    }


def _estimate(found: WindowEstimate) -> dict[str, Any]:
    return {
        "method": found.estimate.method,
        "rows": found.estimate.rows,
        "refusals": list(found.estimate.refusals),
        "contradictions": None if found.contradictions is None else list(found.contradictions),
        "metrics": {
            name: {"value": each.value, "low": each.interval.low, "high": each.interval.high}
            for name, each in found.estimate.metrics.items()
        },
    }
