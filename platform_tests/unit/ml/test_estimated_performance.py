"""Estimates without labels: right where their assumptions hold, refused where they are seen not to.

The last tests show what cannot be seen without labels, and that labels bring it out.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from interlock.errors import DataError
from interlock.ml.estimated_performance import (
    ESTIMATED,
    EstimatedPerformance,
    contradictions_of,
    estimate_performance,
    estimate_windows,
)
from interlock.ml.evaluation import CostMatrix
from interlock.ml.expected_cells import ExpectedCells
from interlock.ml.metric_sample import metric_sample
from interlock.ml.performance_limit import PerformanceSettings, Verdict
from interlock.ml.performance_reference import measure_reference
from interlock.ml.score_calibration import ScoreCalibration, fit_calibration
from interlock.ml.score_cells import Booleans, Floats

SETTINGS = PerformanceSettings()
COST = CostMatrix()


def drawn(
    rows: int, *, seed: int, mean: float = -0.8, distort: str = "none", link: float = 1.0
) -> tuple[Booleans, Floats]:
    """Outcomes and scores. ``mean`` shifts who comes, ``link`` how they behave."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(mean, 1.4, rows)
    outcome = rng.random(rows) < expit(truth * link)
    score = {"none": expit(truth), "over": expit(2 * truth), "cubed": expit(truth) ** 3}[distort]
    return outcome, score


def calibration(rows: int = 3_000, **named: Any) -> ScoreCalibration:
    return fit_calibration(*drawn(rows, seed=7, **named), rng=np.random.default_rng(0))


GOOD = calibration()


def estimated(score: Floats, **named: Any) -> EstimatedPerformance:
    chosen: dict[str, Any] = {"calibration": GOOD, "settings": SETTINGS, "replicates": 300}
    return estimate_performance(
        score, score >= 0.4, rng=np.random.default_rng(1), **{**chosen, **named}
    )


@pytest.mark.parametrize(
    ("distort", "correction"), [("none", "none"), ("over", "logistic"), ("cubed", "isotonic")]
)
def test_miscalibrated_scores_are_corrected_by_the_reference(distort: str, correction: str) -> None:
    found = calibration(distort=distort)
    assert found.correction == correction
    assert found.failures == ()
    assert found.error < 0.04
    score = np.linspace(found.least, found.greatest, 50)
    assert np.all(np.diff(found.probability(score)) >= 0)
    if distort != "none":
        assert found.error < found.error_raw
    truth = {"none": 0.2, "over": expit(0.2), "cubed": 0.2 ** (1 / 3)}[distort]
    at = {"none": 0.2, "over": expit(0.4), "cubed": 0.2}[distort]
    assert found.probability(np.array([at]))[0] == pytest.approx(truth, abs=0.05)
    assert ScoreCalibration.model_validate_json(found.model_dump_json()) == found
    assert len(found.model_dump_json()) < 6_000


@pytest.mark.parametrize("distort", ["none", "over", "cubed"])
def test_an_estimate_agrees_with_the_labels_that_come_later(distort: str) -> None:
    """Under a shift of who comes: more positives than in the reference."""
    found = calibration(distort=distort)
    outcome, score = drawn(2_000, seed=11, mean=-0.3, distort=distort)
    estimate = estimated(score, calibration=found)
    sample = metric_sample(outcome, score, score >= 0.4, cost=COST)
    assert estimate.refusals == ()
    for metric in ESTIMATED:
        value = sample.value(metric)
        assert value is not None
        assert estimate.metrics[metric].value == pytest.approx(value, abs=0.05), metric
        interval = estimate.metrics[metric].interval
        assert interval.low - 0.01 <= value <= interval.high + 0.01, metric


@given(rows=st.integers(1, 80), seed=st.integers(0, 1_000), levels=st.one_of(st.none(), st.just(5)))
@settings(max_examples=40)
def test_expected_metrics_of_certain_outcomes_are_the_metrics(
    rows: int, seed: int, levels: int | None
) -> None:
    outcome, score = drawn(rows, seed=seed)
    score = score if levels is None else np.round(score * levels) / levels
    predicted = np.random.default_rng(seed).random(rows) < 0.5
    cells = ExpectedCells.of(score, predicted, COST)
    place = np.unique(-score, return_inverse=True)[1]
    width = cells.rows.shape[1]
    hits = np.stack(
        [
            np.bincount(place, outcome & kind, width).astype(np.float64)
            for kind in (predicted, ~predicted)
        ]
    )
    sample = metric_sample(outcome, score, predicted, cost=COST)
    for metric, value in cells.metrics(hits[0], hits[1]).items():
        expected = sample.value(metric)
        assert np.isnan(value) if expected is None else value == pytest.approx(expected), metric


def test_many_scores_share_cells_and_keep_their_metrics() -> None:
    outcome, score = drawn(20_000, seed=3)
    cells = ExpectedCells.of(score, score >= 0.4, COST)
    assert cells.rows.shape[1] <= 512
    assert cells.rows.sum() == 20_000
    chance = cells.rows * cells.score
    whole = metric_sample(outcome, score, score >= 0.4, cost=COST)
    assert float(cells.metrics(chance[0], chance[1])["roc_auc"]) == pytest.approx(
        whole.value("roc_auc"), abs=0.01
    )


def test_every_result_says_what_it_assumes() -> None:
    estimate = estimated(drawn(500, seed=2)[1])
    known = {each.statement: each.holds for each in estimate.assumptions}
    assert list(known.values()) == [True, True, None]
    assert "CBPE" in estimate.method
    drift = estimate.assumptions[2]
    assert "concept drift" in drift.statement
    assert drift.evidence == "cannot be known without labels"


def test_an_estimate_far_below_the_reference_is_a_warning() -> None:
    outcome, score = drawn(3_000, seed=7)
    reference = measure_reference(
        outcome, score, score >= 0.4, pl.DataFrame({"x": score}), cost=COST
    )
    same = estimated(drawn(3_000, seed=8)[1], reference=reference)
    assert same.verdict in (Verdict.WITHIN, Verdict.UNDECIDED)
    unsure = np.random.default_rng(0).uniform(0.38, 0.62, 3_000)
    worse = estimated(unsure, reference=reference)
    assert worse.verdict is Verdict.BEYOND_LIMIT
    assert worse.metrics["precision"].judgement is None
    assert estimated(unsure).verdict is None


def test_scores_that_no_rising_curve_calibrates_are_refused() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(3_000)
    outcome = rng.random(3_000) < np.where(np.abs(score - 0.5) < 0.2, 0.9, 0.1)
    found = fit_calibration(outcome, score, rng=rng)
    assert "scores are not calibrated on the reference" in found.failures[0]
    estimate = estimated(drawn(500, seed=2)[1], calibration=found)
    assert estimate.metrics == {}
    assert estimate.refusals == found.failures
    assert estimate.assumptions[0].holds is False


def test_too_small_a_reference_is_refused() -> None:
    small = calibration(150)
    assert "the reference has 150 rows" in small.failures[0]
    assert estimated(drawn(500, seed=2)[1], calibration=small).refusals == small.failures


def test_scores_outside_the_reference_are_refused() -> None:
    estimate = estimated(np.linspace(0.0, 1.0, 500) ** 8 * 1e-6)
    assert estimate.assumptions[1].holds is False
    assert "100.0% of the scores lie outside" in estimate.refusals[0]


def test_too_few_predictions_are_refused() -> None:
    assert estimated(np.zeros(0)).refusals == ("0 predictions; an estimate takes 50",)
    assert "49 predictions" in estimated(drawn(49, seed=1)[1]).refusals[0]


def test_a_metric_that_cannot_be_defined_is_left_out() -> None:
    score = drawn(500, seed=1)[1]
    estimate = estimate_performance(
        score,
        np.zeros(500, dtype=bool),
        calibration=GOOD,
        settings=SETTINGS,
        rng=np.random.default_rng(1),
        replicates=50,
    )
    assert "precision" not in estimate.metrics
    assert estimate.metrics["f1"].value == 0.0


def test_what_is_no_scored_reference_is_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match="have shape"):
        fit_calibration(np.array([True]), np.zeros(2), rng=rng)
    with pytest.raises(DataError, match=r"not all in \[0, 1\]"):
        fit_calibration(np.array([True]), np.array([2.0]), rng=rng)


def test_concept_drift_is_not_seen_without_labels_and_contradicted_by_them() -> None:
    outcome, score = drawn(2_000, seed=5, link=0.2)
    truth = metric_sample(outcome, score, score >= 0.4, cost=COST).value("roc_auc")
    estimate = estimated(score).metrics["roc_auc"]
    assert truth is not None
    assert estimate.interval.low > truth + 0.1  # wrong, and sure of it
    said = contradictions_of(
        outcome,
        score,
        score >= 0.4,
        calibration=GOOD,
        settings=SETTINGS,
        rng=np.random.default_rng(1),
    )
    assert said
    assert "roc_auc was estimated at" in said[-1]
    refused = estimated(score, contradictions=said)
    assert refused.metrics == {}
    assert refused.assumptions[2].holds is False


def test_labels_that_agree_contradict_nothing() -> None:
    outcome, score = drawn(2_000, seed=6)
    one_class = np.zeros(2_000, dtype=bool)
    given_: dict[str, Any] = {"calibration": GOOD, "settings": SETTINGS}
    rng = np.random.default_rng(1)
    assert contradictions_of(outcome, score, score >= 0.4, rng=rng, **given_) == ()
    assert contradictions_of(outcome[:9], score[:9], score[:9] >= 0.4, rng=rng, **given_) is None
    said = contradictions_of(one_class, score, score >= 0.4, rng=rng, **given_)
    assert said is not None
    assert not any("roc_auc" in each for each in said)


def test_contradicted_windows_wait_for_labels_that_agree() -> None:
    days = []
    for day, (link, labelled) in enumerate([(1.0, True), (0.1, True), (1.0, False), (1.0, True)]):
        outcome, score = drawn(800, seed=day, link=link)
        days.append(
            pl.DataFrame(
                {
                    "time": [datetime(2026, 11, 1, tzinfo=UTC) + timedelta(days=day)] * 800,
                    "score": score,
                    "predicted": score >= 0.4,
                    "outcome": outcome if labelled else [None] * 800,
                },
                schema_overrides={"time": pl.Datetime("us", "UTC"), "outcome": pl.Boolean},
            )
        )
    windows = estimate_windows(
        pl.concat(days), settings=SETTINGS, calibration=GOOD, rng=np.random.default_rng(0)
    )
    assert [each.name for each in windows] == [f"2026-11-0{day}" for day in (1, 2, 3, 4)]
    assert [bool(each.estimate.refusals) for each in windows] == [False, True, True, False]
    assert [each.contradictions is None for each in windows] == [False, False, True, False]
