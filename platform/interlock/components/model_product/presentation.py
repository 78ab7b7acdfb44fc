"""What a person sees in Dagit of each step: numbers, tables, plots, checks.

Every materialization carries ``audit_event``, the key of the audit event that proves it,
and a data version, the hash of what was made. Nothing is decided here.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import dagster as dg

from interlock.actions.ingest import RawSnapshot
from interlock.actions.register import Registration
from interlock.actions.train import TrainedModel
from interlock.actions.validate import ValidatedSnapshot
from interlock.guard import EVENT_METADATA

WITHHELD = "(protected)"
"""Shown in place of the values of protected columns."""


def raw_data(snapshot: RawSnapshot, *, protected: Collection[str]) -> dg.MaterializeResult[Any]:
    """Rows, bytes, hash, a preview and a summary of the columns.

    Args:
        snapshot: What was taken.
        protected: Columns whose values are not shown.
    """
    table = snapshot.table
    shown = [name not in protected for name in table.columns]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(snapshot.data_hash),
        metadata={
            EVENT_METADATA: snapshot.event_key,
            "dagster/row_count": table.rows,
            "columns": len(table.columns),
            "bytes": snapshot.bytes,
            "sha256": snapshot.data_hash,
            "source": dg.MetadataValue.path(snapshot.source_key),
            "preview": dg.MetadataValue.md(
                _markdown(
                    table.columns,
                    (
                        [
                            value if show else WITHHELD
                            for value, show in zip(row, shown, strict=True)
                        ]
                        for row in table.preview
                    ),
                )
            ),
            "summary": dg.MetadataValue.md(
                _markdown(
                    ("column", "type", "blank", "min", "max"),
                    [
                        (
                            each.name,
                            each.type,
                            each.nulls,
                            *((WITHHELD,) * 2 if each.name in protected else (each.min, each.max)),
                        )
                        for each in table.summary
                    ],
                )
            ),
        },
    )


def validated_data(snapshot: ValidatedSnapshot) -> dg.MaterializeResult[Any]:
    """Accepted and quarantined rows, the quality score, and a check result per rule."""
    report = snapshot.report
    return dg.MaterializeResult(
        data_version=dg.DataVersion(snapshot.data_hash),
        metadata={
            EVENT_METADATA: snapshot.event_key,
            "dagster/row_count": report.accepted,
            "quarantined": report.quarantined,
            "data_quality_score": report.data_quality_score,
            "sha256": snapshot.data_hash,
            "accepted": dg.MetadataValue.path(snapshot.accepted_key),
            "quarantine": dg.MetadataValue.path(snapshot.quarantine_key),
            "report": dg.MetadataValue.path(snapshot.report_key),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name=rule.name,
                passed=rule.passed,
                severity=(
                    dg.AssetCheckSeverity.ERROR if rule.blocking else dg.AssetCheckSeverity.WARN
                ),
                description=rule.detail,
                metadata={"failed_rows": rule.failed_rows},
            )
            for rule in report.rules
        ],
    )


def trained_model(model: TrainedModel) -> dg.MaterializeResult[Any]:
    """The candidates, the holdout's metrics with intervals, and the plots."""
    candidates = [
        (
            f"**{each.name}**" if each.name == model.winner else each.name,
            _number(each.mean),
            _number(each.deviation),
            each.fits,
            f"{each.seconds:.1f}",
            each.failure or "; ".join(each.notes),
        )
        for each in model.candidates
    ]
    metrics = [
        (name, _number(value), _interval(model, name)) for name, value in model.metrics.items()
    ]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(model.fingerprint),
        metadata={
            EVENT_METADATA: model.event_key,
            "dagster/row_count": model.rows,
            "winner": model.winner,
            "candidates": dg.MetadataValue.md(
                _markdown(
                    ("candidate", model.search_metric, "± fold", "fits", "s", "notes"), candidates
                )
            ),
            "holdout": dg.MetadataValue.md(
                _markdown(("metric", "value", "95 % interval"), metrics)
            ),
            **{name: float(value) for name, value in model.metrics.items()},
            "mlflow_run": model.mlflow_run,
            "model_uri": model.uri,
            "model_digest": model.digest,
            "data_hash": model.data_hash,
            **{
                f"plot_{name}": dg.MetadataValue.md(_image(name, png))
                for name, png in model.figures.items()
            },
        },
    )


def registered_version(registration: Registration) -> dg.MaterializeResult[Any]:
    """The version's tags and every gate with value, limit and verdict."""
    version = registration.version
    gates = [
        (
            gate.metric,
            _number(gate.value),
            f"{'≥' if gate.direction == 'min' else '≤'} {gate.limit:g}",
            "passed" if gate.passed else f"**failed**: {gate.reason}",
        )
        for gate in registration.gates
    ]
    table = _markdown(("gate", "value", "limit", "verdict"), gates)
    failed = [gate for gate in registration.gates if not gate.passed]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version.tags["model_fingerprint"]),
        metadata={
            EVENT_METADATA: registration.event_key,
            "model": version.name,
            "version": version.version,
            "aliases": ", ".join(version.aliases) or "none",
            "gates": dg.MetadataValue.md(table),
            "tags": dg.MetadataValue.json(dict(version.tags)),
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="gates",
                passed=registration.passed,
                severity=dg.AssetCheckSeverity.ERROR,
                description="; ".join(gate.reason for gate in failed) or "every gate passed",
                metadata={"gates": dg.MetadataValue.md(table)},
            )
        ],
    )


def _markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; cells lose what would break it."""

    def line(cells: Iterable[object]) -> str:
        texts = ("" if cell is None else str(cell) for cell in cells)
        return (
            "| " + " | ".join(each.replace("|", "\\|").replace("\n", " ") for each in texts) + " |"
        )

    return "\n".join([line(header), line("---" for _ in header), *map(line, rows)])


def _image(name: str, png: bytes) -> str:
    return f"![{name}](data:image/png;base64,{base64.b64encode(png).decode()})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _interval(model: TrainedModel, name: str) -> str:
    interval = model.intervals.get(name)
    return "" if interval is None else f"{interval.low:.4f} to {interval.high:.4f}"
