"""Scored rows without outcomes in cells, from which expected metrics are a few sums.

The counterpart of ``ml.score_cells`` for rows whose outcome is a probability. What is estimated
from them, and what that assumes, is in ``ml.estimated_performance``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from interlock.ml.evaluation import CostMatrix
from interlock.ml.score_cells import Booleans, Floats

MAX_CELLS = 512
"""Merging gives pairs inside a cell half a credit: ROC-AUC moves by at most 1 / (2 · 512), below a
tenth of the width of an interval on as many rows."""


@dataclass(frozen=True)
class ExpectedCells:
    """Rows grouped by falling score, called positive (first) and negative (second) apart.

    Attributes:
        score: Mean score of each cell, shape (2, k); of the other kind where one has no rows.
        rows: Rows, shape (2, k).
        square: Mean squared score of each cell, shape (2, k).
        cost: Costs of wrong decisions.
    """

    score: Floats
    rows: Floats
    square: Floats
    cost: CostMatrix

    @classmethod
    def of(cls, score: Floats, predicted: Booleans, cost: CostMatrix) -> ExpectedCells:
        """Group rows; where there are many scores, neighbours share a cell.

        Args:
            score: Shape (n,), n > 0.
            predicted: Shape (n,), True for rows called positive.
            cost: Costs of wrong decisions.

        Returns:
            The cells.
        """
        distinct, place = np.unique(-score, return_inverse=True)
        counts = np.bincount(place).astype(np.float64)
        group = np.arange(len(distinct))
        if len(distinct) > MAX_CELLS:
            group = ((np.cumsum(counts) - counts) * MAX_CELLS // counts.sum()).astype(np.int64)
            group = np.unique(group, return_inverse=True)[1]
        cell = group[place]
        width = int(group[-1]) + 1
        kinds = (predicted, ~predicted)
        rows = np.stack(
            [np.bincount(cell[kind], minlength=width).astype(np.float64) for kind in kinds]
        )
        sums, squares = (
            np.stack([np.bincount(cell[kind], each[kind], width) for kind in kinds])
            for each in (score, score**2)
        )
        present = np.maximum(rows, 1)
        return cls(sums / present, rows, squares / present, cost)

    def metrics(self, called_hits: Floats, passed_hits: Floats) -> dict[str, Floats]:
        """All metrics, from how many rows of each cell are positive.

        Args:
            called_hits: Positive rows among those called positive, shape (..., k); may be
                expected ones, not whole.
            passed_hits: Positive rows among those called negative, same shape.

        Returns:
            Metric to values of shape (...); NaN where it is not defined.
        """
        tp, fn = called_hits.sum(axis=-1), passed_hits.sum(axis=-1)
        called, passed = self.rows.sum(axis=1)
        fp, tn = called - tp, passed - fn
        positive = called_hits + passed_hits
        negative = self.rows.sum(axis=0) - positive
        above = np.cumsum(positive, axis=-1) - 0.5 * positive
        ranked = np.sum(negative * above, axis=-1)
        # (1 - s)² for a positive and s² for a negative row: s² + positive · (1 - 2 s).
        squares = np.sum(self.rows * self.square)
        squares = squares + called_hits @ (1.0 - 2.0 * self.score[0])
        squares = squares + passed_hits @ (1.0 - 2.0 * self.score[1])
        rows = called + passed
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                "accuracy": (tp + tn) / rows,
                "precision": tp / np.float64(called),
                "recall": tp / (tp + fn),
                "f1": 2.0 * tp / (2.0 * tp + fp + fn),
                "roc_auc": ranked / ((tp + fn) * (fp + tn)),
                "brier": squares / rows,
                "expected_cost": (fn * self.cost.false_negative + fp * self.cost.false_positive)
                / rows,
            }
