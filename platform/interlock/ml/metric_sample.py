"""Metrics of one scored sample with their confidence intervals, at any level, without chance.

A ``MetricSample`` keeps the few numbers from which every metric and interval follows, so that a
reference of yesterday can be compared with a window of today at any level. No bootstrap: the same
rows give the same interval, and a day of ten segments costs no thousand resamples.

- accuracy, precision, recall, positive_rate: Wilson (1927), near its level from ten rows on
  (Brown, Cai & DasGupta 2001);
- f1: Wilson of J = TP / (TP + FP + FN), of which F1 = 2 J / (1 + J) is a rising function;
- roc_auc: DeLong, DeLong & Clarke-Pearson (1988) on the logit scale (Pepe 2003, ch. 5), and
  Newcombe's method 5 (2006, part 2) where that variance is zero;
- pr_auc: the logit interval of Boyd, Eng & Page (2013);
- ks: two bands of Dvoretzky, Kiefer & Wolfowitz with Massart's constant (1990), conservative;
- brier, log_loss: Student's t of the mean loss;
- expected_cost: the sum of two Wilson intervals by MOVER (Zou & Donner 2008).

What they are held against is in ``ml.performance_limit``. The metrics themselves are
those of ``ml.evaluation``; there the intervals are of a bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from interlock.errors import DataError
from interlock.ml.evaluation import CostMatrix, Interval, measure
from interlock.ml.intervals import around_logit, is_extreme, mean_interval, newcombe, wilson
from interlock.ml.score_cells import Booleans, Floats, ScoreCells

METHODS: Mapping[str, str] = {
    "accuracy": "Wilson",
    "precision": "Wilson, of the rows called positive",
    "recall": "Wilson, of the positive rows",
    "f1": "Wilson, of the rows that are no true negatives",
    "positive_rate": "Wilson",
    "roc_auc": "DeLong, logit scale",
    "pr_auc": "Boyd, logit scale",
    "ks": "Dvoretzky-Kiefer-Wolfowitz bands, conservative",
    "brier": "Student's t of the mean",
    "log_loss": "Student's t of the mean",
    "expected_cost": "MOVER of two Wilson intervals",
}
"""Metric to the method of its interval."""

LOSSES = frozenset({"brier", "log_loss", "expected_cost"})
"""Metrics of which less is better."""

_LEAST_OF_A_CLASS = 2  # rows for a variance
_NO_SPREAD = 1e-12  # deviation of losses that differ by rounding alone

Count = Annotated[int, Field(ge=0)]


class MetricSample(BaseModel):
    """What a scored sample says, in the numbers that its metrics and intervals need.

    Attributes:
        true_positive: Positive rows called positive.
        false_positive: Negative rows called positive.
        false_negative: Positive rows called negative.
        true_negative: Negative rows called negative.
        roc_auc: Area under the ROC curve; none without both classes.
        roc_auc_variance: DeLong's; none with fewer than two rows of a class.
        pr_auc: Average precision; none without both classes.
        ks: Greatest distance of the classes' distributions of scores; none without both.
        brier: Mean squared error of the score; none without rows.
        brier_deviation: Sample standard deviation of the squared errors; none below two rows.
        log_loss: Mean logarithmic loss, natural logarithm; none without rows.
        log_loss_deviation: Sample standard deviation of it; none below two rows.
        cost: Costs behind ``expected_cost``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    true_positive: Count
    false_positive: Count
    false_negative: Count
    true_negative: Count
    roc_auc: float | None
    roc_auc_variance: float | None
    pr_auc: float | None
    ks: float | None
    brier: float | None
    brier_deviation: float | None
    log_loss: float | None
    log_loss_deviation: float | None
    cost: CostMatrix

    @property
    def positives(self) -> int:
        """Rows of the positive class."""
        return self.true_positive + self.false_negative

    @property
    def negatives(self) -> int:
        """Rows of the other class."""
        return self.true_negative + self.false_positive

    @property
    def rows(self) -> int:
        """All rows."""
        return self.positives + self.negatives

    def value(self, metric: str) -> float | None:
        """The metric; none where the sample does not define it.

        Args:
            metric: A key of ``METHODS``.
        """
        if metric in _PROPORTIONS:
            hits, rows = self._proportion(metric)
            share = hits / rows if rows else None
            return 2 * share / (1 + share) if metric == "f1" and share is not None else share
        if metric == "expected_cost":
            total = self.false_negative * self.cost.false_negative
            total += self.false_positive * self.cost.false_positive
            return total / self.rows if self.rows else None
        known: float | None = getattr(self, metric)
        return known

    def interval(self, metric: str, *, level: float) -> Interval | None:
        """The metric's confidence interval; none where the sample does not give one.

        Args:
            metric: A key of ``METHODS``.
            level: Confidence level, in (0, 1), two-sided.
        """
        value = self.value(metric)
        if value is None:
            return None
        if metric in _PROPORTIONS:
            found = wilson(*self._proportion(metric), level=level)
            low, high = (2 * end / (1 + end) for end in (found.low, found.high))
            return Interval(low=low, high=high) if metric == "f1" else found
        if metric in ("brier", "log_loss"):
            return self._mean_interval(metric, value, level)
        return {
            "roc_auc": self._roc_auc_interval,
            "pr_auc": self._pr_auc_interval,
            "ks": self._ks_interval,
            "expected_cost": self._cost_interval,
        }[metric](value, level)

    def _proportion(self, metric: str) -> tuple[int, int]:
        called = self.true_positive + self.false_positive
        return {
            "accuracy": (self.true_positive + self.true_negative, self.rows),
            "precision": (self.true_positive, called),
            "recall": (self.true_positive, self.positives),
            "f1": (self.true_positive, called + self.false_negative),
            "positive_rate": (called, self.rows),
        }[metric]

    def _roc_auc_interval(self, value: float, level: float) -> Interval | None:
        if min(self.positives, self.negatives) < _LEAST_OF_A_CLASS:
            return None
        if self.roc_auc_variance and not is_extreme(value):
            error = math.sqrt(self.roc_auc_variance) / (value * (1.0 - value))
            return around_logit(value, error, level=level)
        return newcombe(value, self.positives, self.negatives, level=level)

    def _pr_auc_interval(self, value: float, level: float) -> Interval:
        if is_extreme(value):
            return wilson(value * self.positives, self.positives, level=level)
        error = 1.0 / math.sqrt(self.positives * value * (1.0 - value))
        return around_logit(value, error, level=level)

    def _ks_interval(self, value: float, level: float) -> Interval:
        # Both bands hold at once with the level when each holds with half of what it lacks.
        reach = math.log(4.0 / (1.0 - level)) / 2.0
        half = math.sqrt(reach / self.positives) + math.sqrt(reach / self.negatives)
        return Interval(low=max(0.0, value - half), high=min(1.0, value + half))

    def _cost_interval(self, value: float, level: float) -> Interval:
        below = above = 0.0
        for wrong, price in (
            (self.false_negative, self.cost.false_negative),
            (self.false_positive, self.cost.false_positive),
        ):
            share = wilson(wrong, self.rows, level=level)
            below += (price * (wrong / self.rows - share.low)) ** 2
            above += (price * (share.high - wrong / self.rows)) ** 2
        return Interval(low=max(0.0, value - math.sqrt(below)), high=value + math.sqrt(above))

    def _mean_interval(self, metric: str, value: float, level: float) -> Interval | None:
        deviation = getattr(self, f"{metric}_deviation")
        if deviation is None or deviation < _NO_SPREAD:
            # One row, or equal losses: a width of zero would claim certainty.
            return None
        return mean_interval(value, deviation, self.rows, level=level)


_PROPORTIONS = frozenset({"accuracy", "precision", "recall", "f1", "positive_rate"})


def metric_sample(
    outcome: Booleans, score: Floats, predicted: Booleans, *, cost: CostMatrix
) -> MetricSample:
    """Sum a scored sample up.

    Args:
        outcome: Shape (n,), True for the positive class. One class alone, and n = 0, are allowed.
        score: Shape (n,), in [0, 1].
        predicted: Shape (n,), True for rows called positive: the decision that was taken, which
            need not follow from the score.
        cost: Costs of wrong decisions.

    Returns:
        The sample.

    Raises:
        DataError: Different shapes, or scores that are no probabilities.
    """
    if not outcome.shape == score.shape == predicted.shape:
        raise DataError(
            f"outcomes, scores and decisions have shapes {outcome.shape}, {score.shape} and "
            f"{predicted.shape}",
            remedy="pass one of each per row",
        )
    if not bool(np.all((score >= 0.0) & (score <= 1.0))):
        raise DataError(
            "scores are not all in [0, 1]", remedy="pass probabilities of the positive class"
        )
    found = _score_metrics(outcome, score, cost) if len(score) else {}
    return MetricSample(
        true_positive=int(np.sum(predicted & outcome)),
        false_positive=int(np.sum(predicted & ~outcome)),
        false_negative=int(np.sum(~predicted & outcome)),
        true_negative=int(np.sum(~predicted & ~outcome)),
        cost=cost,
        **{name: found.get(name) for name in _SCORE_FIELDS},
    )


_SCORE_FIELDS = (
    "roc_auc",
    "roc_auc_variance",
    "pr_auc",
    "ks",
    "brier",
    "brier_deviation",
    "log_loss",
    "log_loss_deviation",
)


def _score_metrics(outcome: Booleans, score: Floats, cost: CostMatrix) -> dict[str, float | None]:
    cells = ScoreCells.of(outcome, score)
    exact = measure(cells, threshold=0.5, cost=cost)
    found: dict[str, float | None] = {
        name: float(exact[name])
        for name in ("roc_auc", "pr_auc", "ks", "brier", "log_loss")
        if np.isfinite(exact[name])
    }
    rows = len(score)
    for name, loss in (("brier", cells.square), ("log_loss", cells.log)):
        mean = found[name]
        spread = cells.positive @ (loss[0] - mean) ** 2 + cells.negative @ (loss[1] - mean) ** 2
        found[f"{name}_deviation"] = math.sqrt(spread / (rows - 1)) if rows > 1 else None
    found["roc_auc_variance"] = _delong_variance(cells)
    return found


def _delong_variance(cells: ScoreCells) -> float | None:
    """Variance of the ROC-AUC from the placement of each row among the other class."""
    positives, negatives = float(cells.positive.sum()), float(cells.negative.sum())
    if min(positives, negatives) < _LEAST_OF_A_CLASS:
        return None
    above = np.cumsum(cells.positive) - 0.5 * cells.positive  # positive rows that score higher
    below = negatives - np.cumsum(cells.negative) + 0.5 * cells.negative
    total = 0.0
    for counts, placed, rows in (
        (cells.positive, below / negatives, positives),
        (cells.negative, above / positives, negatives),
    ):
        mean = counts @ placed / rows
        total += float(counts @ (placed - mean) ** 2) / (rows - 1.0) / rows
    return total
