"""Evaluation: what a scored holdout says about a model.

Here live the metrics and their names, the cost matrix, the choice of a decision threshold,
the curves and the permutation importance. Resampling for intervals lives in
``ml.bootstrap``; pictures in ``ml.plots``; who is evaluated on what, in ``ml.training``.

Throughout, ``outcome`` is shape (n,), True for the positive class, and ``score`` is shape
(n,), the probability of the positive class; a row is called positive when its score is at
least the threshold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

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
cost matrix; the others are dimensionless. ``pr_auc`` is average precision (no
interpolation; Davis & Goadrich 2006)."""

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


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
class Curve:
    """Points of a curve: ``x`` and ``y`` of one shape (k,)."""

    x: Floats
    y: Floats


@dataclass(frozen=True)
class Calibration:
    """Equally filled bins by score: mean score, observed share and rows, shape (bins,)."""

    mean_score: Floats
    positive_share: Floats
    rows: NDArray[np.int64]


@dataclass(frozen=True)
class Importance:
    """How much shuffling a feature costs, most important first.

    Attributes:
        features: Column names.
        mean: Mean fall of ROC-AUC, shape (features,).
        deviation: Standard deviation over repeats, shape (features,).
        repeats: Shuffles per feature.
        rows: Rows of the holdout that were used.
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
        intervals: Name to interval; all metrics but ``threshold``.
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
    replicates: int = 1_000,
    level: float = 0.95,
) -> Evaluation:
    """Measure a scored table: all metrics, their intervals and curves.

    Args:
        outcome: Shape (n,), both classes present.
        score: Shape (n,), finite, in [0, 1].
        threshold: Rows that score at least this are called positive.
        cost: Costs of wrong decisions.
        rng: Source of randomness of the bootstrap.
        replicates: Bootstrap replicates.
        level: Confidence level.

    Returns:
        The evaluation.

    Raises:
        TrainingError: One class, other shapes, or scores that are no probabilities.
    """
    raise NotImplementedError


def choose_threshold(outcome: Booleans, score: Floats, *, cost: CostMatrix) -> float:
    """The threshold of least cost; of several, the one nearest to the Bayes threshold.

    Args:
        outcome: Shape (n,).
        score: Shape (n,), out-of-fold scores; never those of the holdout.
        cost: Costs of wrong decisions.

    Returns:
        The threshold, finite and ≥ 0.
    """
    raise NotImplementedError


def permutation_importance(
    pipeline: Any,
    table: pd.DataFrame,
    outcome: Booleans,
    *,
    rng: np.random.Generator,
    rows: int = 20_000,
    repeats: int = 5,
) -> Importance:
    """Fall of ROC-AUC when one feature is shuffled (Breiman 2001; Fisher et al. 2019).

    Args:
        pipeline: Fitted; takes the table.
        table: Feature frame of the holdout.
        outcome: Shape (n,).
        rng: Source of randomness of sample and shuffles.
        rows: Most rows to use; above, a stratified sample.
        repeats: Shuffles per feature.

    Returns:
        The features, most important first.
    """
    raise NotImplementedError
