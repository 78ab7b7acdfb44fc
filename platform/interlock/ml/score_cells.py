"""Score cells: rows grouped by score, the form in which metrics are computed and resampled.

Every metric here depends on the rows only through how many of each class share a score.
Grouping rows into *cells* of equal score, the best first, makes a metric a few cumulative
sums over cells, for one table or for a thousand resamples of it at once.

A table with more than ``MAX_CELLS`` distinct scores keeps one cell each for its exact
metrics; for resampling its neighbouring cells are merged (``coarsen``). Which metrics there
are, and what they mean, stands in ``ml.evaluation``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

MAX_CELLS = 2_048
"""Cells kept for resampling. Merging gives pairs inside a cell half a credit, which moves
ROC-AUC by at most 1 / (2 · 2,048) = 0.00025, below a hundredth of the width of an interval
on as many rows; the interval is moved back by the shift measured on the table itself."""

_LEAST_PROBABILITY = float(np.finfo(np.float64).eps)
"""Scores are clipped to this before a logarithm, as ``sklearn.metrics.log_loss`` does."""


@dataclass(frozen=True)
class ScoreCells:
    """Rows of one table grouped by score.

    Attributes:
        score: Score of each cell, strictly falling, shape (k,).
        positive: Rows of the positive class, shape (..., k).
        negative: Rows of the negative class, shape (..., k).
        square: Mean squared error of a cell's positive and negative rows, shape (2, k).
        log: Mean logarithmic loss of a cell's positive and negative rows, shape (2, k).
    """

    score: Floats
    positive: Floats
    negative: Floats
    square: Floats
    log: Floats

    @classmethod
    def of(cls, outcome: Booleans, score: Floats) -> ScoreCells:
        """Group rows by distinct score.

        Args:
            outcome: Shape (n,).
            score: Shape (n,), in [0, 1].

        Returns:
            One cell for each distinct score.
        """
        distinct, cell = np.unique(-score, return_inverse=True)
        value = -distinct
        positive = np.bincount(cell[outcome], minlength=len(value))
        negative = np.bincount(cell[~outcome], minlength=len(value))
        return cls(
            score=value,
            positive=positive.astype(np.float64),
            negative=negative.astype(np.float64),
            square=np.stack([(1.0 - value) ** 2, value**2]),
            log=-np.log(np.clip(np.stack([value, 1.0 - value]), _LEAST_PROBABILITY, 1.0)),
        )

    def coarsen(self, *, threshold: float, limit: int = MAX_CELLS) -> ScoreCells:
        """Merge neighbours into about ``limit`` cells of similar size.

        Args:
            threshold: A score that stays a border, so that counts at it stay exact.
            limit: Cells wanted.

        Returns:
            The same cells where they are few enough.
        """
        if len(self.score) <= limit:
            return self
        rows = np.cumsum(self.positive + self.negative)
        group = np.minimum((rows - 1.0) * limit / rows[-1], limit - 1).astype(np.int64)
        group += self.score < threshold  # a step of one, so that no cell straddles it
        start = np.flatnonzero(np.diff(group, prepend=-1))
        counts = np.stack([self.positive, self.negative])
        merged = np.add.reduceat(counts, start, axis=1)
        present = np.maximum(merged, 1.0)
        return ScoreCells(
            score=self.score[start],
            positive=merged[0],
            negative=merged[1],
            square=np.add.reduceat(counts * self.square, start, axis=1) / present,
            log=np.add.reduceat(counts * self.log, start, axis=1) / present,
        )

    def resample(self, rng: np.random.Generator, *, replicates: int) -> ScoreCells:
        """Draw rows with replacement within each class.

        For one cell per distinct score this is the stratified bootstrap exactly: the counts
        of a resample are multinomial.

        Args:
            rng: Source of randomness.
            replicates: Resamples.

        Returns:
            Cells with counts of shape (replicates, k).
        """
        drawn = []
        for counts in (self.positive, self.negative):
            total = counts.sum()
            drawn.append(rng.multinomial(int(total), counts / total, size=replicates))
        return replace(
            self, positive=drawn[0].astype(np.float64), negative=drawn[1].astype(np.float64)
        )
