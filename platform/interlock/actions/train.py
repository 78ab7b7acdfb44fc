"""Train the candidates of a product on a validated snapshot, all of it in MLflow.

The MLflow run opens only after authorisation and ends in every case. Numerics are in
``interlock.ml``; here the snapshot is verified and fetched, and what was found is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.actions.authority import RunContext
from interlock.actions.evidence import (
    Upstream,
    fetch_accepted,
    require_checks,
    require_text,
    require_validated,
)
from interlock.actions.reference import keep_reference
from interlock.actions.validate import blocking_rules, contract_digest
from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import digest_of
from interlock.adapters.tracking import TrackedRun
from interlock.errors import EvidenceError
from interlock.governance.policy import Action, Resource
from interlock.ml.evaluation import Interval
from interlock.ml.training import CandidateProgress, CandidateResult, TrainingResult
from interlock.product import ModelProduct

if TYPE_CHECKING:
    import pandas as pd

EXAMPLE_ROWS = 5  # of the probe, stored with the model as input example
METRIC_PREFIX = "holdout_"


@dataclass(frozen=True)
class TrainedModel:
    """The winner, as it was recorded.

    Attributes:
        uri: Where MLflow keeps it, ``models:/m-...``.
        mlflow_run: The run that holds it.
        digest: SHA-256 over the stored files.
        fingerprint: Canonical; equal for equal data, declaration, seed and lock file.
        winner: Name of the best candidate.
        candidates: All that competed, failed ones included.
        search_metric: What decided between them.
        metrics: Of the holdout, by name.
        intervals: Of the holdout, by name, 95 %.
        figures: PNG files by plot name.
        rows: Rows of the snapshot.
        training_rows: Rows the winner was fitted on.
        holdout_rows: Rows it was evaluated on.
        data_hash: The validated snapshot.
        event_key: The audit event of the training.
        seconds: Wall clock of the numerics.
    """

    uri: str
    mlflow_run: str
    digest: str
    fingerprint: str
    winner: str
    candidates: tuple[CandidateResult, ...]
    search_metric: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]
    figures: Mapping[str, bytes]
    rows: int
    training_rows: int
    holdout_rows: int
    data_hash: str
    event_key: str
    seconds: float


def train_candidates(
    workspace: Workspace, product: ModelProduct, run: RunContext, upstream: Upstream | None
) -> TrainedModel:
    """Search, fit, evaluate and store.

    Args:
        workspace: The outside world.
        product: What is trained.
        run: Where this happens.
        upstream: The validated snapshot, by hash and audit event.

    Returns:
        The winner, as it was recorded.

    Raises:
        AccessDenied: The principal may not train here; no MLflow run was opened.
        EvidenceError: The snapshot is not proven, or a blocking check of it failed.
        TrainingError: No candidate can be trained from it.
        RegistryUnavailable: MLflow does not answer.
    """
    resource = Resource("product", product.name)
    with workspace.authority.govern(Action.MODEL_TRAIN, resource, run) as governed:
        validated = require_validated(workspace, product.name, upstream)
        if validated.get("contract_digest") != contract_digest(product):
            raise EvidenceError(
                "validated_data was held against another contract than the product has today",
                remedy="materialize validated_data again",
            )
        require_checks(validated, blocking_rules(product), "validated_data")
        data_hash = require_text(validated, "data_hash", "validated_data")
        with (
            workspace.lease(product.name, run.stream.name),
            workspace.scratch_folder() as scratch,
        ):
            run.report("fetching the validated snapshot")
            snapshot = scratch / "accepted.parquet"
            fetch_accepted(workspace, validated, snapshot)
            table = _read_snapshot(product, snapshot)
            tags = {
                "dagster_run_id": run.ref.dagster_run or "",
                "interlock.product": product.name,
                "interlock.data_hash": data_hash,
                "interlock.principal": workspace.authority.principal.name,
                "interlock.environment": workspace.authority.environment.value,
                "interlock.audit_stream": run.stream.name,
            }
            with workspace.tracker.run(
                product=product.name, name=run.stream.name, tags=tags
            ) as tracked:
                governed.run = run.with_mlflow_run(tracked.run_id).ref
                result = _train(workspace, product, run, table)
                model = _record(
                    workspace, product, run, tracked=tracked, result=result, scratch=scratch
                )
                run.report("keeping what later data is held against")
                reference = keep_reference(tracked, product, result, snapshot, scratch)
        governed.evidence |= {
            "data_hash": data_hash,
            "rows": len(table),
            "data_quality_score": validated.get("data_quality_score"),
            "mlflow_run": tracked.run_id,
            "model_uri": model.uri,
            "model_digest": model.digest,
            "model_fingerprint": model.fingerprint,
            "winner": result.winner,
            "metrics": dict(result.evaluation.metrics),
            "reference": reference,
            "product_digest": product.digest,
            "training_digest": product.training_digest,
            "upstream_event": upstream.event_key if upstream else None,
        }
    return TrainedModel(
        uri=model.uri,
        mlflow_run=tracked.run_id,
        digest=model.digest,
        fingerprint=model.fingerprint,
        winner=result.winner,
        candidates=result.candidates,
        search_metric=product.search.metric,
        metrics=result.evaluation.metrics,
        intervals=result.evaluation.intervals,
        figures=model.figures,
        rows=len(table),
        training_rows=result.training_rows,
        holdout_rows=result.evaluation.rows,
        data_hash=data_hash,
        event_key=governed.event_key,
        seconds=result.seconds,
    )


@dataclass(frozen=True)
class _StoredModel:
    uri: str
    digest: str
    fingerprint: str
    figures: Mapping[str, bytes]


def _read_snapshot(product: ModelProduct, path: Path) -> pd.DataFrame:
    """The accepted rows, only the columns that training needs."""
    import pandas as pd

    columns = [*product.features, product.target.column]
    table: pd.DataFrame = pd.read_parquet(path, columns=columns)
    return table


def _train(
    workspace: Workspace, product: ModelProduct, run: RunContext, table: pd.DataFrame
) -> TrainingResult:
    from interlock.ml.training import train

    def on_progress(progress: CandidateProgress) -> None:
        run.progress(
            f"{progress.candidate}: {progress.stage} {progress.fits_done}/{progress.fits_total}"
        )

    run.report(f"searching {', '.join(product.candidates.chosen)} on {len(table):,} rows")
    return train(
        table,
        features=product.features,
        target=product.target,
        candidates=product.candidates,
        search=product.search,
        jobs=workspace.jobs,
        on_progress=on_progress,
    )


def _record(
    workspace: Workspace,
    product: ModelProduct,
    run: RunContext,
    *,
    tracked: TrackedRun,
    result: TrainingResult,
    scratch: Path,
) -> _StoredModel:
    """Put everything that was found into the MLflow run."""
    import numpy as np

    from interlock.ml.evaluation import permutation_importance
    from interlock.ml.fingerprint import model_fingerprint
    from interlock.ml.plots import evaluation_figures, figure_png

    for candidate in result.candidates:
        _record_candidate(tracked, product, candidate, winner=result.winner)
    winner = next(each for each in result.candidates if each.name == result.winner)
    tracked.log_params(
        {
            "winner": result.winner,
            **winner.parameters,
            "search_metric": product.search.metric,
            "seed": product.search.seed,
            "folds": product.search.folds,
            "search_rows": result.search_rows,
            "training_rows": result.training_rows,
            "holdout_rows": result.evaluation.rows,
        }
    )
    tracked.log_metrics(
        {METRIC_PREFIX + name: value for name, value in result.evaluation.metrics.items()}
        | {f"{METRIC_PREFIX}{name}_low": each.low for name, each in _intervals(result)}
        | {f"{METRIC_PREFIX}{name}_high": each.high for name, each in _intervals(result)}
    )
    run.report("drawing the evaluation")
    importance = permutation_importance(
        result.pipeline,
        result.holdout.table,
        result.holdout.outcome,
        rng=np.random.default_rng(product.search.seed),
    )
    figures = {
        name: figure_png(figure)
        for name, figure in evaluation_figures(
            result.evaluation, importance, title=f"{product.model} · {result.winner}"
        ).items()
    }
    for name, png in figures.items():
        path = scratch / f"{name}.png"
        path.write_bytes(png)
        tracked.log_file(path, "plots")
    run.report("storing the model")
    example = result.probe.head(EXAMPLE_ROWS)
    uri = tracked.log_model(
        result.pipeline, example=example, scores=result.pipeline.predict_proba(example)
    )
    # The digest is over what was stored, not over what was sent.
    files = workspace.registry.download(uri, scratch / "stored")
    return _StoredModel(
        uri=uri,
        digest=digest_of(files),
        fingerprint=model_fingerprint(result.pipeline, result.probe),
        figures=figures,
    )


def _record_candidate(
    tracked: TrackedRun, product: ModelProduct, candidate: CandidateResult, *, winner: str
) -> None:
    metrics = {"fits": float(candidate.fits), "seconds": candidate.seconds}
    if candidate.mean is not None:
        metrics[f"cv_{product.search.metric}_mean"] = candidate.mean
    if candidate.deviation is not None:
        metrics[f"cv_{product.search.metric}_deviation"] = candidate.deviation
    tracked.log_child(
        name=candidate.name,
        tags={
            "interlock.winner": str(candidate.name == winner).lower(),
            "interlock.notes": "; ".join(candidate.notes),
            "interlock.failure": candidate.failure or "",
        },
        params=candidate.parameters,
        metrics=metrics,
        failed=candidate.failure is not None,
    )


def _intervals(result: TrainingResult) -> list[tuple[str, Interval]]:
    return list(result.evaluation.intervals.items())
