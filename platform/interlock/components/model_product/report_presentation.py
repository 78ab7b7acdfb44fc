"""What a person sees in Dagit of a check of drift or performance; see ``presentation``."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Any, Final

import dagster as dg

from interlock.actions.check_report import page_name
from interlock.actions.drift_check import CAUSE as DRIFT
from interlock.actions.drift_check import DriftChecked
from interlock.actions.performance_check import CAUSE as PERFORMANCE
from interlock.actions.performance_check import PerformanceChecked
from interlock.actions.suspensions import Suspension
from interlock.guard import EVENT_METADATA
from interlock.ml.drift_picture import drift_png
from interlock.ml.performance_document import outcome_of
from interlock.ml.performance_limit import Verdict
from interlock.ml.verdict import ColumnVerdict, Outcome

NO_DRIFT: Final = "no_drift"
WITHIN_LIMITS: Final = "within_limits"
OUTCOME_METADATA: Final = "outcome"
VERSION_METADATA: Final = "version"
COUNTS_METADATA: Final = "counts"
_SHOWN: Final = 15  # rows of a table


def drift_report(found: DriftChecked) -> dg.MaterializeResult[Any]:
    """The verdict, a picture, the columns by what matters, and where the report is."""
    verdict = found.verdict
    title = f"{found.reference.label} · {found.partition or 'newest snapshot'}"
    picture = base64.b64encode(drift_png(verdict, title=title)).decode()
    return dg.MaterializeResult(
        data_version=dg.DataVersion(found.data_hash),
        metadata={
            "verdict": found.sentence,
            OUTCOME_METADATA: verdict.outcome.value,
            "columns": dg.MetadataValue.md(_columns(verdict.everything)),
            "plot": dg.MetadataValue.md(f"![drift](data:image/png;base64,{picture})"),
            "drifted_columns": len(verdict.drifted),
            "dagster/row_count": verdict.rows[1],
            **_suspended(found.suspension),
            VERSION_METADATA: found.reference.version.version,
            COUNTS_METADATA: found.counts,
            "report": f"runs:/{found.mlflow_run}/{DRIFT}/{page_name(DRIFT)}",
            "figures": dg.MetadataValue.path(found.figures_key),
            "reference_profile": found.reference.profile_hash,
            "data_hash": found.data_hash,
            EVENT_METADATA: found.event_key,
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=NO_DRIFT,
                passed=verdict.outcome is Outcome.NO_DRIFT,
                severity=_severity(is_beyond=verdict.outcome is Outcome.DRIFT),
                description=found.sentence,
                metadata={"drifted_columns": len(verdict.drifted)},
            )
        ],
    )


def performance_report(found: PerformanceChecked) -> dg.MaterializeResult[Any]:
    """The verdict, the newest window's metrics, and where the report is."""
    outcome = outcome_of(found.report)
    beyond = outcome is Verdict.BEYOND_LIMIT
    return dg.MaterializeResult(
        metadata={
            "verdict": found.sentence,
            OUTCOME_METADATA: outcome.value,
            "newest_window": dg.MetadataValue.md(_newest(found)),
            "labels": dg.MetadataValue.md("\n".join(f"- {x}" for x in found.joined.findings)),
            **_figures(found),
            "dagster/row_count": found.joined.predictions.used,
            **_suspended(found.suspension),
            VERSION_METADATA: found.reference.version.version,
            COUNTS_METADATA: found.counts,
            "report": f"runs:/{found.mlflow_run}/{PERFORMANCE}/{page_name(PERFORMANCE)}",
            "figures": dg.MetadataValue.path(found.figures_key),
            EVENT_METADATA: found.event_key,
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=WITHIN_LIMITS,
                passed=outcome in {Verdict.WITHIN, Verdict.UNDECIDED},
                severity=_severity(is_beyond=beyond),
                description=found.sentence,
            )
        ],
    )


def _severity(*, is_beyond: bool) -> dg.AssetCheckSeverity:
    """Too little data is a warning: nothing was found, and nothing ruled out."""
    return dg.AssetCheckSeverity.ERROR if is_beyond else dg.AssetCheckSeverity.WARN


def _suspended(suspension: Suspension | None) -> dict[str, str]:
    return {} if suspension is None else {"approval": suspension.sentence}


def _columns(found: Iterable[ColumnVerdict]) -> str:
    rows = []
    for each in list(found)[:_SHOWN]:
        worst = each.shifts[0] if each.shifts else None
        figures = f"{worst.statistic.value} {worst.value:.3f}" if worst else ""
        limit = f"{worst.limit:.3g}" if worst else ""
        rows.append((each.name, each.outcome.value, figures, limit))
    return _markdown(("column", "verdict", "worst statistic", "limit"), rows)


def _newest(found: PerformanceChecked) -> str:
    if not found.report.windows:
        return "no window has predictions"
    overall = found.report.windows[-1].overall
    rows = [
        (
            name,
            f"{each.value:.4f}",
            f"{each.interval.low:.4f} to {each.interval.high:.4f}" if each.interval else "",
            each.verdict.value if each.verdict else "",
        )
        for name, each in overall.metrics.items()
        if each.value is not None
    ]
    return _markdown(("metric", "value", "interval", "verdict"), rows)


def _figures(found: PerformanceChecked) -> dict[str, float]:
    """The newest judged window's metrics as numbers, which Dagit plots over time."""
    figures = {}
    for metric in ("accuracy", "roc_auc", "brier"):
        latest = found.report.latest(metric)
        if latest is not None and latest[1].value is not None:
            figures[metric] = round(latest[1].value, 4)
    return figures


def _markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(x.replace('|', '/') for x in line)} |" for line in lines)
