"""Drawing rows: every class keeps its share, nothing twice, equal seeds draw alike."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from interlock.ml.drawing import assign_folds, draw_stratified
from interlock.ml.score_cells import Booleans

OUTCOMES = st.tuples(st.integers(8, 60), st.integers(8, 60), st.integers(0, 2**31)).map(
    lambda drawn: np.random.default_rng(drawn[2]).permutation(
        np.arange(drawn[0] + drawn[1]) < drawn[0]
    )
)


@given(outcome=OUTCOMES, seed=st.integers(0, 2**31), share=st.floats(0.0, 1.0))
def test_sample_keeps_the_shares(outcome: Booleans, seed: int, share: float) -> None:
    size = round(share * len(outcome))
    rows = draw_stratified(outcome, size, least=2, rng=np.random.default_rng(seed))
    assert (np.diff(rows) > 0).all()
    for wanted in (False, True):
        wished = max(2.0, size * (outcome == wanted).mean())
        assert abs((outcome[rows] == wanted).sum() - wished) <= 0.5 + 1e-9
    again = draw_stratified(outcome, size, least=2, rng=np.random.default_rng(seed))
    assert (rows == again).all()


@given(outcome=OUTCOMES, seed=st.integers(0, 2**31), folds=st.integers(2, 8))
def test_folds_spread_every_class_evenly(outcome: Booleans, seed: int, folds: int) -> None:
    fold = assign_folds(outcome, folds=folds, rng=np.random.default_rng(seed))
    for rows in (slice(None), outcome, ~outcome):
        sizes = np.bincount(fold[rows], minlength=folds)
        assert sizes.max() - sizes.min() <= 1
        assert sizes.min() >= 1
