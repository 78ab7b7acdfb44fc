"""Drawing: which rows are held out, sampled, or left out of a fold, by class.

Every draw is stratified: each class keeps its share. Randomness comes in as a generator.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from interlock.ml.score_cells import Booleans

Rows = NDArray[np.int64]


def draw_stratified(outcome: Booleans, size: int, *, least: int, rng: np.random.Generator) -> Rows:
    """Rows drawn without replacement, each class in its share.

    Args:
        outcome: Shape (n,).
        size: Rows wanted, up to rounding in each class.
        least: Rows of each class at the least.
        rng: Source of randomness.

    Returns:
        Row numbers, rising; all of them when ``size`` is n or more.
    """
    drawn = []
    for wanted in (False, True):
        rows = np.flatnonzero(outcome == wanted)
        count = min(len(rows), max(least, round(size * len(rows) / len(outcome))))
        drawn.append(rng.permutation(rows)[:count])
    return np.sort(np.concatenate(drawn))


def assign_folds(outcome: Booleans, *, folds: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """The fold of each row, every class spread evenly.

    Args:
        outcome: Shape (n,), at least ``folds`` rows of each class.
        folds: Number of folds, at most 127.
        rng: Source of randomness.

    Returns:
        Fold numbers from 0, shape (n,); sizes differ by at most one, also within a class.
    """
    fold = np.empty(len(outcome), dtype=np.int8)
    first = 0
    for wanted in (False, True):
        rows = rng.permutation(np.flatnonzero(outcome == wanted))
        fold[rows] = (np.arange(len(rows)) + first) % folds
        first += len(rows)  # the next class goes on where this one ended
    return fold
