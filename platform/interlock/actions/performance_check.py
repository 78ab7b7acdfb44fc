"""Hold labels against what a version promised, and let a champion's approval follow from it.

Authorise, record, join, measure, record; then, where the product says that performance suspends
and the version is the champion, ``actions.suspend``. Only measured performance suspends: an
estimate without labels is a warning. Joining is ``ml.label_join``, measuring ``ml.performance``.
ADR-0014.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from interlock.actions.authority import RunContext
from interlock.actions.check_report import (
    Checked,
    evidence_of,
    keep_report,
    report_facts,
    require_rows,
)
from interlock.actions.current_data import (
    Declared,
    Fetched,
    decides_on,
    fetch,
    fetch_source,
    scored,
)
from interlock.actions.reference import Reference, champion_or, require_reference
from interlock.actions.suspend import Grounds, suspend
from interlock.actions.workspace import Workspace
from interlock.adapters.raw_rows import raw_batches
from interlock.errors import DataError
from interlock.governance.policy import Action, Resource
from interlock.ml.estimated_performance import WindowEstimate, estimate_windows
from interlock.ml.label_join import JoinedLabels, join_labels
from interlock.ml.monitoring import SCORE, Labels, has_place, source_of
from interlock.ml.performance import measure_performance
from interlock.ml.performance_document import (
    findings_of,
    outcome_of,
    performance_document,
    performance_sentence,
)
from interlock.ml.performance_limit import PerformanceSettings, Verdict
from interlock.ml.performance_page import render_performance_report
from interlock.ml.performance_report import PerformanceReport
from interlock.ml.search import generator_for
from interlock.ml.segments import Segmentation
from interlock.ml.value_types import read_column
from interlock.product import ModelProduct

CAUSE: Final = "performance"
MAX_NAMED: Final = 50  # findings in an audit event


@dataclass(frozen=True, kw_only=True)
class PerformanceChecked(Checked):
    """What was found, as it was recorded.

    Attributes:
        report: Measured performance.
        estimates: Estimated performance, per window.
        joined: How labels and predictions came together.
    """

    report: PerformanceReport
    estimates: tuple[WindowEstimate, ...]
    joined: JoinedLabels

    @property
    def sentence(self) -> str:
        """What was found, one sentence without full stop."""
        return performance_sentence(self.report)


@dataclass(frozen=True)
class _Measured:
    joined: JoinedLabels
    report: PerformanceReport
    estimates: tuple[WindowEstimate, ...]
    unmeasured: tuple[str, ...]


def check_performance(
    workspace: Workspace,
    product: ModelProduct,
    run: RunContext,
    current: Declared,
    *,
    version: str | None = None,
) -> PerformanceChecked:
    """Hold the labels that have come against a version's predictions.

    Args:
        workspace: The outside world.
        product: Whose version it is; declares where predictions and labels come from.
        run: Where this happens.
        current: The day or batch.
        version: Number of the version; the champion by default.

    Returns:
        What was found.

    Raises:
        AccessDenied: The principal may not check here.
        EvidenceError: There is no champion, the version has no reference, or something is not as
            recorded.
        DataError: No labels are declared, data cannot be read, or no label joins.
        AuditWriteFailed: It could not be recorded.
    """
    resource = Resource("model", product.model)
    asked = {"check": CAUSE, "product": product.name, "partition": current.partition}
    with workspace.authority.govern(
        Action.MODEL_MONITOR, resource, run, evidence=asked
    ) as governed:
        labels = _declared(product)
        number = champion_or(workspace, product.model, version)
        governed.evidence |= {"model": product.model, "version": number}
        counts = decides_on(workspace, product, number, current)
        governed.evidence |= {"counts": counts}
        reference = require_reference(workspace, product.model, number)
        governed.evidence |= evidence_of(reference)
        with workspace.scratch_folder() as scratch:
            data = fetch(workspace, product, current, scratch)
            found = fetch_source(
                workspace, source_of(labels.source, current.partition), scratch, "labels"
            )
            data_hash = hashlib.sha256(f"{data.data_hash} {found.data_hash}".encode()).hexdigest()
            governed.evidence |= data.evidence | {
                "labels_hash": found.data_hash,
                "data_hash": data_hash,
                "predictions_hash": data.data_hash,
            }
            run.report(f"joining labels to {data.label} for {reference.label}")
            measured = _measure(workspace, product, reference, data=data, labels=found, to=scratch)
            report = measured.report
            run.report(performance_sentence(report))
            page = _page(workspace, product, reference, data=data, measured=measured)
            kept = keep_report(
                workspace,
                product,
                run,
                kind=CAUSE,
                reference=reference,
                page=page,
                figures=performance_document(report, measured.estimates),
                metrics={
                    "beyond": float(len(findings_of(report))),
                    "predictions": float(measured.joined.predictions.used),
                    "labels": float(measured.joined.labels.used),
                },
                scratch=scratch,
            )
        governed.run = run.with_mlflow_run(kept.mlflow_run).ref
        governed.evidence |= {**kept.evidence, **_evidence(measured)}
        # Before the check is on record as done: what it found is never known and without effect.
        suspension = None
        if counts and report_is_beyond(report) and CAUSE in product.watched.suspend_on:
            suspension = suspend(
                workspace,
                run,
                Grounds(
                    model=product.model,
                    version=number,
                    cause=CAUSE,
                    why=f"performance {performance_sentence(report)} ({data.label})",
                    check=governed.begun_key,
                    data_hash=data_hash,
                ),
            )
        governed.evidence |= {"suspension": suspension and suspension.event_key}
    return PerformanceChecked(
        report=report,
        estimates=measured.estimates,
        joined=measured.joined,
        reference=reference,
        partition=current.partition,
        page=page,
        mlflow_run=kept.mlflow_run,
        figures_key=kept.figures_key,
        counts=counts,
        suspension=suspension,
        event_key=governed.event_key,
    )


def report_is_beyond(report: PerformanceReport) -> bool:
    """Whether any metric of any window and group is beyond its limit."""
    return outcome_of(report) is Verdict.BEYOND_LIMIT


def _declared(product: ModelProduct) -> Labels:
    labels = product.watched.labels
    if labels is None:
        raise DataError(
            f"{product.name} does not declare where labels arrive",
            remedy="add monitoring.labels, with current, id and time, to its defs.yaml",
        )
    return labels


def _measure(
    workspace: Workspace,
    product: ModelProduct,
    reference: Reference,
    *,
    data: Fetched,
    labels: Fetched,
    to: Path,
) -> _Measured:
    watched = product.watched
    performance = reference.performance
    predictions, parted, unmeasured = _predictions(workspace, product, reference, data, to)
    require_rows(predictions.height, data.label)
    joined = join_labels(
        predictions,
        _labels(product, labels),
        target=product.target,
        now=workspace.clock(),
        zone=watched.zone,
        own=has_place(_declared(product).source),
    )
    settings = _settings(product)
    report = measure_performance(
        joined.table, settings=settings, reference=performance.performance, segmentation=parted
    )
    estimates = estimate_windows(
        joined.table,
        settings=settings,
        calibration=performance.calibration,
        rng=generator_for("calibration", seed=product.search.seed),
        reference=performance.performance,
    )
    return _Measured(joined, report, tuple(estimates), unmeasured)


def _settings(product: ModelProduct) -> PerformanceSettings:
    """As declared, with the product's costs and, where none is named, the zone of its days."""
    watched = product.watched
    told = {"zone": watched.clock.key, "cost": product.search.cost}
    if "zone" in watched.performance.model_fields_set:
        del told["zone"]
    return watched.performance.model_copy(update=told)


def _predictions(
    workspace: Workspace,
    product: ModelProduct,
    reference: Reference,
    data: Fetched,
    scratch: Path,
) -> tuple[pl.DataFrame, Segmentation, tuple[str, ...]]:
    """Predictions as ``join_labels`` takes them, their segments, and those that are not there."""
    watched, performance = product.watched, reference.performance
    first = next(raw_batches(data.path, data.source), None)
    there = set(first.columns if first is not None else ())
    every = performance.performance.segmentation.columns
    parted = Segmentation(columns=tuple(each for each in every if each.name in there))
    unmeasured = tuple(each.name for each in every if each.name not in there)
    names = [each.name for each in parted.columns]
    assert watched.id is not None  # noqa: S101 - declared with the labels
    assert watched.time is not None  # noqa: S101 - declared with the labels
    keep = tuple(dict.fromkeys((watched.id, watched.time, *names)))
    batches = [
        batch.select(
            pl.col(watched.id).alias("id"),
            pl.col(watched.time).alias("time"),
            pl.col(SCORE).alias("score"),
            (pl.col(SCORE) >= performance.threshold).alias("predicted"),
            *(_as_declared(batch[name], product) for name in names if name not in _TAKEN),
        )
        for batch in scored(workspace, product, reference, data, scratch=scratch, keep=keep)
    ]
    return (pl.concat(batches) if batches else pl.DataFrame()), parted, unmeasured


_TAKEN: Final = frozenset({"id", "time", "score", "predicted"})


def _as_declared(column: pl.Series, product: ModelProduct) -> pl.Series:
    """A column as the type that the contract gives it; wrong values are missing."""
    declared = {each.name: each.type for each in product.contract.columns}
    contract = product.contract
    found = read_column(
        column,
        declared[column.name],
        null_values=contract.null_values,
        decimal=contract.decimal,
    )
    return found.values.rename(column.name)


def _labels(product: ModelProduct, fetched: Fetched) -> pl.DataFrame:
    declared = _declared(product)
    names = {
        declared.id: "id",
        declared.label or product.target.column: "label",
        declared.time: "time",
    }
    batches = list(raw_batches(fetched.path, fetched.source))
    if not batches:
        return pl.DataFrame(schema=dict.fromkeys(("id", "label", "time"), pl.String))
    table = pl.concat(batches)
    gone = [name for name in names if name not in table.columns]
    if gone:
        raise DataError(
            f"the labels have no column {', '.join(gone)}; they have {', '.join(table.columns)}",
            remedy="correct monitoring.labels in defs.yaml",
        )
    return table.select(pl.col(name).alias(new) for name, new in names.items())


def _page(
    workspace: Workspace,
    product: ModelProduct,
    reference: Reference,
    *,
    data: Fetched,
    measured: _Measured,
) -> str:
    left = measured.unmeasured
    missing = (
        [f"the data has no {', '.join(left)}, so their groups are not measured"] if left else []
    )
    return render_performance_report(
        measured.report,
        title=f"{product.name}: {reference.label} on {data.label}",
        facts=report_facts(
            workspace, reference, data_hash=data.data_hash, held=reference.performance_hash
        ),
        findings=[*measured.joined.findings, *missing],
        estimates=measured.estimates,
    )


def _evidence(measured: _Measured) -> dict[str, Any]:
    joined, report = measured.joined, measured.report
    beyond = findings_of(report)
    return {
        "rows": joined.predictions.rows,
        "predictions": joined.predictions.used,
        "labels": joined.labels.used,
        "set_aside": _counts(joined),
        "windows": len(report.windows),
        "outcome": outcome_of(report).value,
        "beyond": list(beyond[:MAX_NAMED]),
        "beyond_count": len(beyond),
        "unmeasured": list(measured.unmeasured),
    }


def _counts(joined: JoinedLabels) -> dict[str, int]:
    sides: Sequence[tuple[str, Any]] = (
        ("predictions", joined.predictions),
        ("labels", joined.labels),
    )
    return {
        f"{name}: {reason.value}": rows
        for name, side in sides
        for reason, rows in side.set_aside.items()
    }
