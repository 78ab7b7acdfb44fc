"""Curves: what a plot of a scored table shows, as numbers.

Here live the ROC, precision-recall and calibration curves. Single numbers live in
``ml.evaluation``; pictures in ``ml.plots``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interlock.ml.score_cells import Booleans, Floats, ScoreCells

CURVE_POINTS = 500
"""Most points kept of a curve; finer than a plot can show."""

CALIBRATION_BINS = 10
"""Equally filled bins, the deciles of risk of Hosmer & Lemeshow 1980."""

_NORMAL_QUANTILE = 1.959964  # of 0.975


@dataclass(frozen=True)
class Curve:
    """Points of a curve: ``x`` and ``y`` of one shape (k,)."""

    x: Floats
    y: Floats


@dataclass(frozen=True)
class Calibration:
    """Scores against observed shares in equally filled bins, each array of shape (bins,).

    Attributes:
        mean_score: Mean score in the bin.
        positive_share: Share of positive rows in the bin.
        low: Lower end of the share's 95 % Wilson interval (Wilson 1927).
        high: Upper end.
        rows: Rows in the bin.
    """

    mean_score: Floats
    positive_share: Floats
    low: Floats
    high: Floats
    rows: NDArray[np.int64]


def roc_curve(cells: ScoreCells) -> Curve:
    """False-positive rate (x) against true-positive rate (y), from (0, 0) to (1, 1)."""
    hit = np.concatenate([[0.0], np.cumsum(cells.positive)])
    alarm = np.concatenate([[0.0], np.cumsum(cells.negative)])
    return _thinned(alarm / alarm[-1], hit / hit[-1])


def precision_recall_curve(cells: ScoreCells) -> Curve:
    """Recall (x) against precision (y), from the highest score to recall 1."""
    hit = np.cumsum(cells.positive)
    precision = hit / (hit + np.cumsum(cells.negative))
    recall = np.concatenate([[0.0], hit / hit[-1]])
    return _thinned(recall, np.concatenate([precision[:1], precision]))


def _thinned(x: Floats, y: Floats) -> Curve:
    """At most ``CURVE_POINTS`` points, evenly along the scores, both ends included."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), CURVE_POINTS)).round().astype(int))
    return Curve(x=x[kept], y=y[kept])


def calibration_curve(outcome: Booleans, score: Floats) -> Calibration:
    """Scores against observed shares, in bins of equally many rows by rising score.

    Args:
        outcome: Shape (n,).
        score: Shape (n,).

    Returns:
        At most ``CALIBRATION_BINS`` bins.
    """
    order = np.argsort(score, kind="stable")
    bins = np.array_split(order, min(CALIBRATION_BINS, len(order)))
    rows = np.array([len(part) for part in bins], dtype=np.int64)
    share = np.array([outcome[part].mean() for part in bins])
    z2 = _NORMAL_QUANTILE**2
    centre = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    half = np.sqrt(share * (1 - share) / rows + z2 / (4 * rows**2)) / (1 + z2 / rows)
    half *= _NORMAL_QUANTILE
    return Calibration(
        mean_score=np.array([score[part].mean() for part in bins]),
        positive_share=share,
        low=centre - half,
        high=centre + half,
        rows=rows,
    )
