"""Evaluation: what a scored table says about a model.

Here live the metrics and their names, the cost matrix, the choice of a decision threshold,
intervals and the permutation importance. The form in which metrics are computed lives in
``ml.score_cells``; curves in ``ml.curves``; pictures in ``ml.plots``; who is evaluated on
what, in ``ml.training``.

Throughout, ``outcome`` is shape (n,), True for the positive class, and ``score`` is shape
(n,), the probability of the positive class; a row is called positive when its score is at
least the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from interlock.errors import TrainingError
from interlock.ml.curves import (
    Calibration,
    Curve,
    calibration_curve,
    precision_recall_curve,
    roc_curve,
)
from interlock.ml.drawing import draw_stratified
from interlock.ml.score_cells import Booleans, Floats, ScoreCells

if TYPE_CHECKING:
    import pandas as pd

METRICS = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "roc_auc",
    "pr_auc",
    "brier",
    "log_loss",
    "ks",
    "expected_cost",
    "positive_rate",
    "threshold",
)
"""Names of the metrics of an evaluation. ``expected_cost`` is per row, in the unit of the
cost matrix; the others are dimensionless. ``pr_auc`` is average precision, without
interpolation (Davis & Goadrich 2006); ``ks`` is the greatest distance between the two
classes' distributions of scores; ``positive_rate`` is the share of rows called positive."""

REPLICATES = 1_000
"""Bootstrap replicates for percentile intervals (Efron & Tibshirani 1993, ch. 13)."""

IMPORTANCE_ROWS = 5_000
"""Most rows for a permutation importance; the standard error of a ROC-AUC on as many is below
0.01 for shares of positives from 10 % to 90 % (Hanley & McNeil 1982)."""

_CHUNK = 100  # replicates measured at once; with 2,048 cells about 20 MB


class CostMatrix(BaseModel):
    """What a wrong decision costs; right decisions cost nothing.

    Attributes:
        false_negative: Cost of a positive row that is called negative, in any one unit.
        false_positive: Cost of a negative row that is called positive, in the same unit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    false_negative: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    false_positive: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0

    @property
    def bayes_threshold(self) -> float:
        """The best threshold for perfectly calibrated scores (Elkan 2001, eq. 2)."""
        return self.false_positive / (self.false_positive + self.false_negative)


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a metric, in the metric's unit."""

    low: float
    high: float


@dataclass(frozen=True)
class Confusion:
    """Counts of rows by what they are and what they are called."""

    true_negative: int
    false_positive: int
    false_negative: int
    true_positive: int


@dataclass(frozen=True)
class Importance:
    """How much shuffling a feature costs, most important first.

    Attributes:
        features: Column names.
        mean: Mean fall of ROC-AUC, shape (features,).
        deviation: Standard deviation over repeats, shape (features,).
        repeats: Shuffles per feature.
        rows: Rows that were used.
    """

    features: tuple[str, ...]
    mean: Floats
    deviation: Floats
    repeats: int
    rows: int


@dataclass(frozen=True)
class Evaluation:
    """Everything measured on one scored table.

    Attributes:
        metrics: Name in ``METRICS`` to value. A metric that is not defined here (precision
            when nothing is called positive) is left out, so that a gate on it fails.
        intervals: Name to interval, for every metric but ``threshold`` and one that no replicate
            defines.
        undefined: Metrics left out.
        confusion: Counts at the threshold.
        roc: False-positive rate (x) against true-positive rate (y).
        precision_recall: Recall (x) against precision (y).
        calibration: Scores against observed shares.
        rows: Rows evaluated.
        positives: Rows of the positive class.
        level: Confidence level of the intervals.
        replicates: Bootstrap replicates behind the intervals.
        resampling: How they were drawn, one sentence for a reader of the report.
    """

    metrics: Mapping[str, float]
    intervals: Mapping[str, Interval]
    undefined: tuple[str, ...]
    confusion: Confusion
    roc: Curve
    precision_recall: Curve
    calibration: Calibration
    rows: int
    positives: int
    level: float
    replicates: int
    resampling: str


def evaluate(
    outcome: Booleans,
    score: Floats,
    *,
    threshold: float,
    cost: CostMatrix,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
    level: float = 0.95,
) -> Evaluation:
    """Measure a scored table: all metrics, their intervals and curves.

    The intervals are percentiles of a bootstrap stratified by class, as the holdout itself
    is drawn stratified: the share of positives is fixed by design and not resampled.

    Args:
        outcome: Shape (n,), both classes present.
        score: Shape (n,), in [0, 1].
        threshold: Rows that score at least this are called positive.
        cost: Costs of wrong decisions.
        rng: Source of randomness of the bootstrap.
        replicates: Bootstrap replicates, ≥ 2.
        level: Confidence level, in (0, 1).

    Returns:
        The evaluation.

    Raises:
        TrainingError: One class, different shapes, or scores that are no probabilities.
    """
    _require_scored(outcome, score)
    cells = ScoreCells.of(outcome, score)
    coarse = cells.coarsen(threshold=threshold)
    exact = measure(cells, threshold=threshold, cost=cost)
    defined = {name: float(exact[name]) for name in METRICS if np.isfinite(exact[name])}
    merged = (
        "" if coarse is cells else f" ({len(cells.score):,} scores merged to {len(coarse.score):,})"
    )
    return Evaluation(
        metrics=defined,
        intervals=_intervals(
            coarse,
            exact=defined,
            threshold=threshold,
            cost=cost,
            rng=rng,
            replicates=replicates,
            level=level,
        ),
        undefined=tuple(name for name in METRICS if name not in defined),
        confusion=_confusion(cells, threshold=threshold),
        roc=roc_curve(cells),
        precision_recall=precision_recall_curve(cells),
        calibration=calibration_curve(outcome, score),
        rows=len(outcome),
        positives=int(outcome.sum()),
        level=level,
        replicates=replicates,
        resampling=(
            f"{level:.0%} percentile intervals of {replicates:,} bootstrap replicates, "
            f"stratified by class{merged}"
        ),
    )


def measure(cells: ScoreCells, *, threshold: float, cost: CostMatrix) -> dict[str, Floats]:
    """All metrics of one table, or of each of its resamples.

    Args:
        cells: Counts of shape (..., k).
        threshold: Decision threshold.
        cost: Costs of wrong decisions.

    Returns:
        Metric to values of shape (...); NaN where it is not defined.
    """
    positive, negative = cells.positive, cells.negative
    hit, alarm = np.cumsum(positive, axis=-1), np.cumsum(negative, axis=-1)
    positives, negatives = hit[..., -1], alarm[..., -1]
    rows = positives + negatives
    called = cells.score >= threshold
    tp, fp = positive @ called, negative @ called
    fn, tn = positives - tp, negatives - fp
    # A pair of a positive and a negative row of equal score counts one half.
    above = np.sum(negative * (hit - 0.5 * positive), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision_here = np.nan_to_num(hit / (hit + alarm))
        distance = np.abs(hit / positives[..., None] - alarm / negatives[..., None])
        return {
            "accuracy": (tp + tn) / rows,
            "precision": tp / (tp + fp),
            "recall": tp / positives,
            "f1": 2.0 * tp / (2.0 * tp + fp + fn),
            "roc_auc": above / (positives * negatives),
            "pr_auc": np.sum(positive * precision_here, axis=-1) / positives,
            "brier": (positive @ cells.square[0] + negative @ cells.square[1]) / rows,
            "log_loss": (positive @ cells.log[0] + negative @ cells.log[1]) / rows,
            "ks": distance.max(axis=-1),
            "expected_cost": (fn * cost.false_negative + fp * cost.false_positive) / rows,
            "positive_rate": (tp + fp) / rows,
            "threshold": np.full_like(rows, threshold),
        }


def choose_threshold(outcome: Booleans, score: Floats, *, cost: CostMatrix) -> float:
    """The threshold of least cost; of several, the one nearest to the Bayes threshold.

    Args:
        outcome: Shape (n,).
        score: Shape (n,), out-of-fold scores; never those of the holdout.
        cost: Costs of wrong decisions.

    Returns:
        A threshold midway between two neighbouring scores, or beyond the first or last one.

    Raises:
        TrainingError: One class, different shapes, or scores that are no probabilities.
    """
    _require_scored(outcome, score)
    cells = ScoreCells.of(outcome, score)
    missed = cells.positive.sum() - np.concatenate([[0.0], np.cumsum(cells.positive)])
    alarms = np.concatenate([[0.0], np.cumsum(cells.negative)])
    total = missed * cost.false_negative + alarms * cost.false_positive
    # Above the best score nobody is called positive, below the worst everybody is.
    ends = np.concatenate([[max(1.0, cells.score[0])], cells.score, [0.0]])
    between = 0.5 * (ends[:-1] + ends[1:])
    between[0] = np.nextafter(max(between[0], cells.score[0]), 2.0)
    best = np.flatnonzero(np.isclose(total, total.min(), rtol=1e-12, atol=0.0))
    nearest = best[np.argmin(np.abs(between[best] - cost.bayes_threshold))]
    return float(between[nearest])


def permutation_importance(
    pipeline: Any,
    table: pd.DataFrame,
    outcome: Booleans,
    *,
    rng: np.random.Generator,
    rows: int = IMPORTANCE_ROWS,
    repeats: int = 5,
) -> Importance:
    """Fall of ROC-AUC when one feature is shuffled (Breiman 2001; Fisher et al. 2019).

    Args:
        pipeline: Fitted; its ``predict_proba`` takes the table.
        table: Feature frame that the pipeline was not fitted on.
        outcome: Shape (n,), both classes present.
        rng: Source of randomness of sample and shuffles.
        rows: Most rows to use; of more, a stratified sample.
        repeats: Shuffles per feature; 5 is scikit-learn's default.

    Returns:
        The features, most important first.
    """
    import pandas as pd

    used = draw_stratified(outcome, min(rows, len(outcome)), least=1, rng=rng)
    table, outcome = table.iloc[used].reset_index(drop=True), outcome[used]
    base = roc_auc(outcome, pipeline.predict_proba(table)[:, 1])
    repeated = pd.concat([table] * repeats, ignore_index=True)
    falls = np.empty((len(table.columns), repeats))
    for index, name in enumerate(table.columns):
        kept = repeated[name]
        orders = [rng.permutation(len(table)) for _ in range(repeats)]
        repeated[name] = table[name].to_numpy()[np.concatenate(orders)]
        scores = pipeline.predict_proba(repeated)[:, 1].reshape(repeats, -1)
        falls[index] = [base - roc_auc(outcome, score) for score in scores]
        repeated[name] = kept
    order = np.argsort(-falls.mean(axis=1), kind="stable")
    return Importance(
        features=tuple(str(table.columns[index]) for index in order),
        mean=falls.mean(axis=1)[order],
        deviation=falls.std(axis=1, ddof=1)[order],
        repeats=repeats,
        rows=len(table),
    )


def roc_auc(outcome: Booleans, score: Floats) -> float:
    """Area under the ROC curve, the probability that a positive row scores higher."""
    cells = ScoreCells.of(outcome, score)
    return float(measure(cells, threshold=0.5, cost=CostMatrix())["roc_auc"])


def _require_scored(outcome: Booleans, score: Floats) -> None:
    if outcome.shape != score.shape or outcome.ndim != 1:
        raise TrainingError(
            f"outcomes have shape {outcome.shape} and scores {score.shape}",
            remedy="pass one score for each outcome",
        )
    positives = int(outcome.sum())
    if positives in (0, len(outcome)):
        raise TrainingError(
            f"{positives} of {len(outcome)} rows are positive, so one class is missing",
            remedy="evaluate on rows of both classes",
        )
    if not bool(np.all((score >= 0.0) & (score <= 1.0))):
        raise TrainingError(
            "scores are not all in [0, 1]", remedy="pass probabilities of the positive class"
        )


def _intervals(
    cells: ScoreCells,
    *,
    exact: Mapping[str, float],
    threshold: float,
    cost: CostMatrix,
    rng: np.random.Generator,
    replicates: int,
    level: float,
) -> dict[str, Interval]:
    chunks = []
    for first in range(0, replicates, _CHUNK):
        drawn = cells.resample(rng, replicates=min(_CHUNK, replicates - first))
        chunks.append(measure(drawn, threshold=threshold, cost=cost))
    # Merged cells shift a metric slightly; take the shift seen on the table itself back.
    here = measure(cells, threshold=threshold, cost=cost)
    tail = (1.0 - level) / 2.0
    intervals = {}
    for name, value in exact.items():
        if name == "threshold":
            continue
        values = np.concatenate([chunk[name] for chunk in chunks])
        values = values[np.isfinite(values)] + (value - float(here[name]))
        if not values.size:
            continue  # a precision that rests on the few rows that no replicate drew
        low, high = np.quantile(values, [tail, 1.0 - tail])
        intervals[name] = Interval(low=float(low), high=float(high))
    return intervals


def _confusion(cells: ScoreCells, *, threshold: float) -> Confusion:
    called = cells.score >= threshold
    return Confusion(
        true_negative=int(cells.negative @ ~called),
        false_positive=int(cells.negative @ called),
        false_negative=int(cells.positive @ ~called),
        true_positive=int(cells.positive @ called),
    )
