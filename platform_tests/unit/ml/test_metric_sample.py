"""Intervals of metrics: known values, their coverage, and what holds for every sample."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import DataError
from interlock.ml.evaluation import CostMatrix
from interlock.ml.intervals import newcombe, wilson
from interlock.ml.metric_sample import METHODS, MetricSample, metric_sample
from interlock.ml.score_cells import Booleans, Floats

COST = CostMatrix(false_negative=5, false_positive=1)


def scored(rows: int, *, seed: int, levels: int | None = None) -> tuple[Booleans, Floats]:
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1.0, 1.3, rows)
    score = 1 / (1 + np.exp(-logit - rng.normal(0, 0.5, rows)))
    outcome = rng.random(rows) < 1 / (1 + np.exp(-logit))
    return outcome, score if levels is None else np.round(score * levels) / levels


def sample_of(outcome: Booleans, score: Floats, threshold: float = 0.3) -> MetricSample:
    return metric_sample(outcome, score, score >= threshold, cost=COST)


SCORED = st.builds(
    scored,
    st.integers(1, 200),
    seed=st.integers(0, 2**31),
    levels=st.one_of(st.none(), st.integers(1, 10)),
)


@given(data=SCORED)
@settings(max_examples=30)
def test_values_agree_with_scikit_learn(data: tuple[Booleans, Floats]) -> None:
    from sklearn import metrics as sk

    outcome, score = data
    called = score >= 0.3
    sample = sample_of(outcome, score)
    assert sample.rows == len(outcome)
    assert sample.value("accuracy") == pytest.approx(sk.accuracy_score(outcome, called))
    assert sample.value("brier") == pytest.approx(np.mean((score - outcome) ** 2))
    if outcome.any() or called.any():
        assert sample.value("f1") == pytest.approx(sk.f1_score(outcome, called))
    else:
        assert sample.value("f1") is None
    if 0 < outcome.sum() < len(outcome):
        assert sample.value("roc_auc") == pytest.approx(sk.roc_auc_score(outcome, score))
        assert sample.value("pr_auc") == pytest.approx(sk.average_precision_score(outcome, score))
    else:
        assert sample.value("roc_auc") is sample.value("ks") is None


@given(data=SCORED, level=st.floats(0.8, 0.999))
@settings(max_examples=60)
def test_an_interval_holds_its_value_and_grows_with_the_level(
    data: tuple[Booleans, Floats], level: float
) -> None:
    sample = sample_of(*data)
    for metric in METHODS:
        value = sample.value(metric)
        narrow = sample.interval(metric, level=level)
        wide = sample.interval(metric, level=(1 + level) / 2)
        if narrow is None or wide is None or value is None:
            assert narrow is wide is None
            continue
        assert wide.low - 1e-9 <= narrow.low <= value + 1e-9, metric
        assert value - 1e-9 <= narrow.high <= wide.high + 1e-9, metric
        assert narrow.low >= 0.0
        assert narrow.high > narrow.low, metric
        if metric not in ("brier", "log_loss", "expected_cost"):
            assert wide.high <= 1.0


@given(data=SCORED)
@settings(max_examples=30)
def test_a_sample_survives_as_json(data: tuple[Booleans, Floats]) -> None:
    sample = sample_of(*data)
    assert MetricSample.model_validate_json(sample.model_dump_json()) == sample


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17, table I, method 3 (score without correction).
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_published_values(hits: int, rows: int, low: float, high: float) -> None:
    interval = wilson(hits, rows, level=0.95)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_delong_variance_agrees_with_its_definition() -> None:
    outcome, score = scored(80, seed=3, levels=12)
    positive, negative = score[outcome], score[~outcome]
    # Kernel of every pair: 1 above, a half on a tie.
    kernel = np.where(positive[:, None] == negative, 0.5, positive[:, None] > negative)
    expected = kernel.mean(axis=1).var(ddof=1) / len(positive)
    expected += kernel.mean(axis=0).var(ddof=1) / len(negative)
    sample = sample_of(outcome, score)
    assert sample.roc_auc_variance == pytest.approx(expected)
    assert sample.value("roc_auc") == pytest.approx(kernel.mean())


def test_newcombes_method_solves_its_own_equation() -> None:
    value, m, n = 0.9, 20, 30
    found = newcombe(value, m, n, level=0.95)
    for end in (found.low, found.high):
        mean = (m + n) / 2 - 1
        inside = 1 + mean * (1 - end) / (2 - end) + mean * end / (1 + end)
        variance = end * (1 - end) * inside / (m * n)
        assert abs(value - end) == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-5)


@pytest.mark.parametrize("reverse", [False, True])
def test_perfect_separation_is_not_taken_for_certainty(reverse: bool) -> None:
    outcome = np.array([True] * 12 + [False] * 12)
    score = np.where(outcome ^ reverse, 0.9, 0.1)
    sample = sample_of(outcome, score, threshold=0.5)
    area = sample.interval("roc_auc", level=0.95)
    assert area is not None
    assert (area.low, area.high)[reverse] != pytest.approx(1.0 - reverse, abs=0.05)
    assert sample.value("roc_auc") == 1.0 - reverse
    cost = sample.interval("expected_cost", level=0.95)
    assert cost is not None
    assert cost.high > cost.low
    assert sample.interval("brier", level=0.95) is None
    assert sample.interval("pr_auc", level=0.95) is not None


def test_equal_scores_leave_the_area_open() -> None:
    outcome = np.array([True, False] * 10)
    area = sample_of(outcome, np.full(20, 0.5)).interval("roc_auc", level=0.95)
    assert area is not None
    assert area.low < 0.35
    assert area.high > 0.65


def test_one_row_of_a_class_gives_no_interval_of_an_area() -> None:
    sample = sample_of(np.array([True, False, False]), np.array([0.9, 0.2, 0.1]))
    assert sample.value("roc_auc") == 1.0
    assert sample.interval("roc_auc", level=0.95) is None


def test_no_rows_define_nothing() -> None:
    empty = sample_of(np.zeros(0, dtype=bool), np.zeros(0))
    assert all(empty.value(metric) is None for metric in METHODS)
    assert all(empty.interval(metric, level=0.95) is None for metric in METHODS)


def test_what_is_no_scored_sample_is_refused() -> None:
    outcome = np.array([True, False])
    with pytest.raises(DataError, match="have shapes"):
        metric_sample(outcome, np.zeros(3), outcome, cost=COST)
    for bad in (1.5, float("nan")):
        with pytest.raises(DataError, match=r"not all in \[0, 1\]"):
            metric_sample(outcome, np.array([0.5, bad]), outcome, cost=COST)


@pytest.mark.parametrize("rows", [50, 400])
def test_intervals_keep_their_level(rows: int) -> None:
    """Four standard errors of 200 draws; docs/performance.md has the figures of many more."""
    rng = np.random.default_rng(rows)
    truth = sample_of(*scored(300_000, seed=1))
    held = dict.fromkeys(METHODS, 0)
    for _ in range(200):
        drawn = sample_of(*scored(rows, seed=int(rng.integers(2**31))))
        for metric in METHODS:
            value: Any = truth.value(metric)
            interval = drawn.interval(metric, level=0.95)
            held[metric] += interval is not None and interval.low <= value <= interval.high
    assert {metric: count for metric, count in held.items() if count < 0.89 * 200} == {}
