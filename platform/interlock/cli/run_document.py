"""What a run came to, as JSON values: the document of ``demo`` and ``run``.

The same values make the tables of ``run_view.py``, so that both say the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from interlock.cli.trail import RunAudit, event_row
from interlock.cli.verb import error_document
from interlock.errors import InterlockError

if TYPE_CHECKING:  # they import what takes a second
    from interlock.actions.ingest import RawSnapshot
    from interlock.actions.register import Registration
    from interlock.actions.train import TrainedModel
    from interlock.actions.validate import ValidatedSnapshot

TOP_REASONS = 3  # rules that sent most rows to quarantine


@dataclass(frozen=True)
class PipelineRun:
    """What a run came to.

    Attributes:
        product: What ran.
        run_id: Dagster's; None when it never came to a run.
        results: Asset to what its action returned, of those that ended well.
        error: What stopped it; None when all steps ended well.
        seconds: Asset to wall clock, of all that began; ``total`` for the whole command.
        audit: Its trail.
        promotion: What it recorded in the ledger of the model's champion; None for nothing.
    """

    product: str
    run_id: str | None
    results: Mapping[str, Any]
    error: InterlockError | None
    seconds: Mapping[str, float]
    audit: RunAudit
    promotion: RunAudit | None = None


def run_document(run: PipelineRun) -> dict[str, Any]:
    """A run as JSON values; what was not reached is empty.

    Args:
        run: What a run came to.

    Returns:
        ``product, run_id, assets, quarantine, candidates, metrics, intervals, gates, model,
        audit, promotion, seconds``, and after a failure ``error``, after a denial ``denied`` as
        well.
    """
    raw: RawSnapshot | None = run.results.get("raw_data")
    validated: ValidatedSnapshot | None = run.results.get("validated_data")
    trained: TrainedModel | None = run.results.get("trained_model")
    registered: Registration | None = run.results.get("registered_version")
    document = {
        "product": run.product,
        "run_id": run.run_id,
        "assets": _assets(run, raw, validated, trained, registered),
        "quarantine": _quarantine(validated),
        "candidates": _candidates(trained),
        "metrics": dict(trained.metrics) if trained else {},
        "intervals": (
            {name: asdict(interval) for name, interval in trained.intervals.items()}
            if trained
            else {}
        ),
        "gates": [asdict(gate) for gate in registered.gates] if registered else [],
        "model": _model(registered),
        "audit": audit_document(run.audit),
        "promotion": audit_document(run.promotion) if run.promotion else None,
        "seconds": {name: round(seconds, 3) for name, seconds in run.seconds.items()},
    }
    return document | (error_document(run.error) if run.error else {})


def audit_document(audit: RunAudit) -> dict[str, Any]:
    """The trail of a run."""
    return {
        "stream": audit.stream.name,
        "verified": audit.verified,
        "events": [event_row(event) for event in audit.events],
        "findings": [asdict(each) for each in audit.report.all_findings] if audit.report else [],
        **(error_document(audit.error) if audit.error else {}),
    }


def _assets(
    run: PipelineRun,
    raw: RawSnapshot | None,
    validated: ValidatedSnapshot | None,
    trained: TrainedModel | None,
    registered: Registration | None,
) -> list[dict[str, Any]]:
    made: list[tuple[str, int | None, str, str]] = []
    if raw:
        made.append(("raw_data", raw.table.rows, raw.data_hash, raw.event_key))
    if validated:
        rows = validated.report.accepted
        made.append(("validated_data", rows, validated.data_hash, validated.event_key))
    if trained:
        made.append(("trained_model", trained.rows, trained.fingerprint, trained.event_key))
    if registered:
        digest = registered.version.tags["model_digest"]
        made.append(("registered_version", None, digest, registered.event_key))
    return [
        {
            "asset": f"{run.product}/{name}",
            "name": name,
            "rows": rows,
            "hash": digest,
            "audit_event": event,
            "seconds": round(run.seconds[name], 3),
        }
        for name, rows, digest, event in made
    ]


def _quarantine(validated: ValidatedSnapshot | None) -> dict[str, Any] | None:
    if validated is None:
        return None
    report = validated.report
    broken = sorted(
        (rule for rule in report.rules if rule.failed_rows), key=lambda rule: -rule.failed_rows
    )
    return {
        "rows": report.quarantined,
        "share": report.quarantined / report.rows if report.rows else None,
        "data_quality_score": report.data_quality_score,
        "reasons": [
            {"rule": rule.name, "rows": rule.failed_rows, "detail": rule.detail}
            for rule in broken[:TOP_REASONS]
        ],
    }


def _candidates(trained: TrainedModel | None) -> list[dict[str, Any]]:
    if trained is None:
        return []
    return [
        {
            "name": each.name,
            "winner": each.name == trained.winner,
            "metric": trained.search_metric,
            "score": each.mean,
            "deviation": each.deviation,
            "fits": each.fits,
            "seconds": round(each.seconds, 3),
            "parameters": dict(each.parameters),
            "failure": each.failure,
            "notes": list(each.notes),
        }
        for each in trained.candidates
    ]


def _model(registered: Registration | None) -> dict[str, Any] | None:
    if registered is None:
        return None
    version = registered.version
    return {
        "name": version.name,
        "version": version.version,
        "aliases": list(version.aliases),
        "tags": dict(sorted(version.tags.items())),
        "run_id": version.run_id,
        "source": version.source,
    }
