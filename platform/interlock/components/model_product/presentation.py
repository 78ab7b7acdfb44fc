"""What a person sees of each step in Dagit, and of each version in MLflow.

Every materialization carries ``audit_event``, the key of the audit event that proves it,
and a data version, the hash of what was made. Nothing is decided here.

Dagit shows metadata in the order in which it is given (a check's: by name), and a table in
place as long as its Markdown has fewer than 1,000 characters. So what was found stands first,
then the plots, then how much there was; addresses, hashes and the audit event, which are to be
copied, stand last.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import dagster as dg

from interlock.actions.ingest import RawSnapshot
from interlock.actions.register import Registration
from interlock.actions.train import METRIC_PREFIX, TrainedModel
from interlock.actions.validate import ValidatedSnapshot
from interlock.adapters.model_registry import LoggedRun
from interlock.governance.audit import RunRef
from interlock.governance.gates import GateResult
from interlock.guard import EVENT_METADATA
from interlock.ml.rules import Rule
from interlock.product import ModelProduct

WITHHELD = "(protected)"
"""Shown in place of the values of protected columns."""

GATES_MEANING = (
    "Every gate of the product, held against the evaluation. A failed gate stops no asset, which "
    "Dagster calls non-blocking, but the version is then registered blocked: it gets no alias, "
    "and deploy-check refuses it."
)
"""What the check of the gates says of itself."""

GOVERNED = (
    "Governed by Interlock: change tags and aliases through Interlock. "
    "`interlock deploy-check` believes neither alone."
)
"""What every version in MLflow says of itself."""

_TABLE_DECIMALS, _SENTENCE_DECIMALS = 4, 3
_ALL_DECIMALS = 17  # digits that tell any two doubles apart


def rule_meaning(rule: Rule) -> str:
    """What a rule of the contract asks, and what follows when it does not hold."""
    consequence = (
        "If it fails, nothing is trained on this snapshot."
        if rule.blocking
        else "Rows that break it go to quarantine."
    )
    return f"{rule.description} {consequence}"


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
            "dagster/row_count": table.rows,
            "columns": len(table.columns),
            "bytes": snapshot.bytes,
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
            "source": dg.MetadataValue.path(snapshot.source_key),
            "sha256": snapshot.data_hash,
            EVENT_METADATA: snapshot.event_key,
        },
    )


def validated_data(snapshot: ValidatedSnapshot) -> dg.MaterializeResult[Any]:
    """Accepted and quarantined rows, the quality score, and a check result per rule."""
    report = snapshot.report
    return dg.MaterializeResult(
        data_version=dg.DataVersion(snapshot.data_hash),
        metadata={
            "data_quality_score": report.data_quality_score,
            "dagster/row_count": report.accepted,
            "quarantined": report.quarantined,
            "accepted": dg.MetadataValue.path(snapshot.accepted_key),
            "quarantine": dg.MetadataValue.path(snapshot.quarantine_key),
            "report": dg.MetadataValue.path(snapshot.report_key),
            "sha256": snapshot.data_hash,
            EVENT_METADATA: snapshot.event_key,
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
    metrics = [
        (name, _number(value), _interval(model, name))
        for name, value in model.metrics.items()
        if name in model.intervals  # the threshold was chosen, not measured
    ]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(model.fingerprint),
        metadata={
            "winner": model.winner,
            "candidates": dg.MetadataValue.md(_candidates(model)),
            "holdout": dg.MetadataValue.md(
                _markdown(("metric", "value", "95 % interval"), metrics)
            ),
            **{
                f"plot_{name}": dg.MetadataValue.md(_image(name, png))
                for name, png in model.figures.items()
            },
            # Once more as numbers, which Dagit plots over time.
            **{name: round(float(value), _TABLE_DECIMALS) for name, value in model.metrics.items()},
            "dagster/row_count": model.rows,
            "mlflow_run": model.mlflow_run,
            "model_uri": model.uri,
            "model_digest": model.digest,
            "data_hash": model.data_hash,
            EVENT_METADATA: model.event_key,
        },
    )


def registered_version(registration: Registration) -> dg.MaterializeResult[Any]:
    """The version's tags and every gate with value, limit and verdict."""
    version = registration.version
    table = dg.MetadataValue.md(
        _markdown(
            ("gate", "value", "limit", "verdict"),
            [
                (
                    gate.metric,
                    _value(gate, _TABLE_DECIMALS),
                    f"{_sign(gate)} {_limit(gate.limit, at_least=1)}",
                    "passed" if gate.passed else f"**failed**: {gate.reason}",
                )
                for gate in registration.gates
            ],
        )
    )
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version.tags["model_fingerprint"]),
        metadata={
            "model": version.name,
            "version": version.version,
            "aliases": ", ".join(version.aliases) or "none",
            "gates": table,
            "tags": dg.MetadataValue.json(dict(version.tags)),
            EVENT_METADATA: registration.event_key,
        },
        check_results=[
            dg.AssetCheckResult(
                check_name="gates",
                passed=registration.passed,
                severity=dg.AssetCheckSeverity.ERROR,
                description=_verdict(registration),
                metadata={
                    gate.metric: round(gate.value, _TABLE_DECIMALS)
                    for gate in registration.gates
                    if gate.value is not None
                },
            )
        ],
    )


def version_description(
    registration: Registration, product: ModelProduct, run: RunRef, logged: LoggedRun
) -> str:
    """What MLflow's page says of a version, as Markdown.

    Args:
        registration: The version and its gates, which come from the audit trail.
        product: What was registered.
        run: Where it was registered.
        logged: Of the MLflow run that trained it; what it lacks is left out.

    Returns:
        The winner with its metric and interval, the gates, the Dagster run, and who may change
        what. The list of versions shows the beginning as it is, so no mark-up stands there.
    """
    metric = product.search.metric
    value, low, high = (
        logged.metrics.get(f"{METRIC_PREFIX}{metric}{end}") for end in ("", "_low", "_high")
    )
    measured = "" if value is None else f", {metric} {value:.3f} on the holdout"
    if measured and low is not None and high is not None:
        measured += f" (95 % interval {low:.3f} to {high:.3f})"
    winner = logged.params.get("winner")
    lines = [
        f"{winner}{measured}." if winner else "",
        _verdict(registration),
        f"Dagster run `{run.dagster_run}`." if run.dagster_run else "",
        GOVERNED,
    ]
    return "\n\n".join(line for line in lines if line)


def _candidates(model: TrainedModel) -> str:
    """A line for each candidate; a column for notes where there are any."""
    header = ["candidate", model.search_metric, "± fold", "fits", "seconds"]
    rows = [
        [
            f"**{each.name}**" if each.name == model.winner else each.name,
            _number(each.mean),
            _number(each.deviation),
            f"{each.fits:,}",
            f"{each.seconds:.1f}",
        ]
        for each in model.candidates
    ]
    notes = [each.failure or "; ".join(each.notes) for each in model.candidates]
    if any(notes):
        header.append("notes")
        rows = [[*row, note] for row, note in zip(rows, notes, strict=True)]
    return _markdown(header, rows)


def _verdict(registration: Registration) -> str:
    """What the gates found, in a sentence or two."""
    passed = "; ".join(_comparison(gate) for gate in registration.gates if gate.passed)
    if registration.passed:
        return f"Every gate passed: {passed}."
    failed = "; ".join(gate.reason for gate in registration.gates if not gate.passed)
    said = f"Version {registration.version.version} is registered blocked: {failed}."
    return f"{said} Passed: {passed}." if passed else said


def _comparison(gate: GateResult) -> str:
    """A gate that passed, e.g. ``roc_auc 0.764 ≥ 0.70``."""
    value = _value(gate, _SENTENCE_DECIMALS)
    return f"{gate.metric} {value} {_sign(gate)} {_limit(gate.limit, at_least=2)}"


def _sign(gate: GateResult) -> str:
    return "≥" if gate.direction == "min" else "≤"


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


def _number(value: float | None, decimals: int = _TABLE_DECIMALS) -> str:
    """Whole numbers without decimals, as counts are read."""
    if value is None:
        return ""
    return f"{int(value):,}" if float(value).is_integer() else f"{value:,.{decimals}f}"


def _limit(limit: float, *, at_least: int) -> str:
    """A limit in full; with so many decimals at least, unless it is whole."""
    text = _number(limit, at_least)
    return text if float(text.replace(",", "")) == limit else repr(limit)


def _value(gate: GateResult, decimals: int) -> str:
    """A gate's value, with as many decimals more as leave it on its side of the limit."""
    if gate.value is None:
        return ""
    value, limit = gate.value, gate.limit
    enough = next(
        (
            count
            for count in range(decimals, _ALL_DECIMALS)
            if (round(value, count) > limit, round(value, count) < limit)
            == (value > limit, value < limit)
        ),
        _ALL_DECIMALS,
    )
    return _number(value, enough)


def _interval(model: TrainedModel, name: str) -> str:
    interval = model.intervals[name]
    return f"{_number(interval.low)} to {_number(interval.high)}"
