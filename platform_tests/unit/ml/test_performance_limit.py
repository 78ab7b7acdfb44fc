"""Limits: beyond only when the whole interval is, and a small sample is never a finding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from interlock.ml.evaluation import CostMatrix, Interval
from interlock.ml.metric_sample import MetricSample, metric_sample
from interlock.ml.performance_limit import (
    PerformanceSettings,
    Verdict,
    corrected_level,
    difference,
    fixed_limit,
    gravest,
    judge,
    judge_value,
    reference_limit,
)


def counted(tp: int, fp: int, fn: int, tn: int) -> MetricSample:
    outcome = np.array([True] * tp + [False] * fp + [True] * fn + [False] * tn)
    called = np.array([True] * (tp + fp) + [False] * (fn + tn))
    return metric_sample(outcome, np.where(called, 0.8, 0.2), called, cost=CostMatrix())


def verdict_of(right: int, rows: int, *, limit: float, metric: str = "accuracy") -> Verdict:
    half = right // 2
    sample = counted(half, rows - right, 0, right - half)
    return judge(sample, fixed_limit(metric, limit), level=0.95).verdict


@pytest.mark.parametrize(
    ("right", "rows", "limit", "verdict"),
    [
        (600, 1_000, 0.70, Verdict.BEYOND_LIMIT),
        (30, 50, 0.70, Verdict.UNDECIDED),  # the same share of fewer rows shows nothing
        (690, 1_000, 0.70, Verdict.UNDECIDED),
        (800, 1_000, 0.70, Verdict.WITHIN),
    ],
)
def test_a_verdict_takes_the_whole_interval(
    right: int, rows: int, limit: float, verdict: Verdict
) -> None:
    assert verdict_of(right, rows, limit=limit) is verdict


def test_for_a_loss_more_is_worse() -> None:
    sample = counted(10, 300, 0, 690)  # costs 0.3 per row
    assert judge(sample, fixed_limit("expected_cost", 0.2), level=0.95).verdict is (
        Verdict.BEYOND_LIMIT
    )
    assert judge(sample, fixed_limit("expected_cost", 0.4), level=0.95).verdict is Verdict.WITHIN
    assert fixed_limit("expected_cost", 0.2).bound == 0.2


def test_tolerance_moves_the_bound_to_the_worse_side() -> None:
    sample = counted(40, 5, 5, 50)
    better = reference_limit("f1", sample, tolerance=0.1, source="it")
    loss = reference_limit("brier", sample, tolerance=0.1, source="it")
    assert better is not None
    assert loss is not None
    assert better.bound == pytest.approx(better.reference - 0.1)
    assert loss.bound == pytest.approx(loss.reference + 0.1)


def test_an_uncertain_reference_makes_a_finding_harder() -> None:
    now = counted(300, 350, 0, 350)  # accuracy 0.65 of 1,000
    few, many = counted(15, 5, 0, 5), counted(1_500, 500, 0, 500)  # both 0.80
    for reference, verdict in ((few, Verdict.UNDECIDED), (many, Verdict.BEYOND_LIMIT)):
        limit = reference_limit("accuracy", reference, tolerance=0.05, source="the reference")
        assert limit is not None
        found = judge(now, limit, level=0.95)
        assert found.verdict is verdict
        assert "the reference 0.8" in found.reason


def test_difference_of_proportions_agrees_with_newcombe() -> None:
    # Newcombe 1998, Statistics in Medicine 17, table II, method 10: 56/70 - 48/80.
    from interlock.ml.intervals import wilson

    found = difference(56 / 70, wilson(56, 70, level=0.95), 48 / 80, wilson(48, 80, level=0.95))
    assert found.low == pytest.approx(0.0524, abs=5e-5)
    assert found.high == pytest.approx(0.3339, abs=5e-5)


def test_a_metric_that_is_not_defined_is_not_enough_data() -> None:
    sample = counted(0, 0, 0, 100)
    for metric in ("roc_auc", "precision"):
        found = judge(sample, fixed_limit(metric, 0.5), level=0.95)
        assert found.verdict is Verdict.NOT_ENOUGH_DATA
        assert found.change is None
    assert reference_limit("roc_auc", sample, tolerance=0.1, source="it") is None


def test_levels_are_corrected_for_several_tests() -> None:
    assert corrected_level(0.95, 0) == corrected_level(0.95, 1) == pytest.approx(0.95)
    assert corrected_level(0.95, 10) == pytest.approx(0.995)


def test_the_gravest_verdict_decides() -> None:
    assert gravest([]) is None
    assert gravest([Verdict.WITHIN, Verdict.UNDECIDED]) is Verdict.UNDECIDED
    assert gravest([Verdict.BEYOND_LIMIT, Verdict.NOT_ENOUGH_DATA]) is Verdict.BEYOND_LIMIT


@given(
    value=st.floats(0.01, 0.99),
    halves=st.tuples(st.floats(0, 0.3), st.floats(0, 0.3)),
    reference=st.floats(0.0, 1.0),
    metric=st.sampled_from(["accuracy", "brier"]),
)
@settings(max_examples=200)
def test_beyond_means_that_every_value_of_the_interval_is(
    value: float, halves: tuple[float, float], reference: float, metric: str
) -> None:
    interval = Interval(low=value - halves[0], high=value + halves[1])
    limit = fixed_limit(metric, reference)
    found = judge_value(value, interval, limit, reference=None, level=0.95)
    sign = 1 if metric == "brier" else -1
    worse = [sign * (end - reference) > 0 for end in (interval.low, interval.high)]
    expected = {
        Verdict.BEYOND_LIMIT: all(worse),
        Verdict.WITHIN: not any(worse),
        Verdict.UNDECIDED: any(worse) and not all(worse),
    }
    assume_edge = min(abs(end - reference) for end in (interval.low, interval.high)) < 1e-12
    assert assume_edge or expected[found.verdict]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"window": "batch"}, "name batch_column"),
        ({"batch_column": "b"}, "name batch_column"),
        ({"tolerances": {"positive_rate": 0.1}}, "no tolerance can be given for positive_rate"),
        ({"tolerances": {"speed": 0.1}}, "for speed; expected one of accuracy"),
        ({"tolerances": {"f1": -0.1}}, "greater than or equal to 0"),
        ({"level": 1.0}, "less than 1"),
        ({"minimum": 3}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        PerformanceSettings(**change)
