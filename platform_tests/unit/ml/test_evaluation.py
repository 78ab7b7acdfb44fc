"""Evaluation: every metric against scikit-learn and scipy, intervals, thresholds, curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from interlock.errors import TrainingError
from interlock.ml.evaluation import (
    METRICS,
    CostMatrix,
    Evaluation,
    choose_threshold,
    evaluate,
    measure,
    permutation_importance,
    roc_auc,
)
from interlock.ml.score_cells import MAX_CELLS, Booleans, Floats, ScoreCells

COST = CostMatrix(false_negative=5, false_positive=1)


def scored(rows: int, *, seed: int = 0, levels: int | None = None) -> tuple[Booleans, Floats]:
    """Outcomes of both classes, and informative scores; of few levels, with many ties."""
    rng = np.random.default_rng(seed)
    logit = rng.normal(-1.0, 1.2, rows)
    outcome = rng.random(rows) < 1 / (1 + np.exp(-logit))
    outcome[:2] = [True, False]
    score = 1 / (1 + np.exp(-logit - rng.normal(0, 0.5, rows)))
    return outcome, score if levels is None else np.round(score * levels) / levels


def measured(outcome: Booleans, score: Floats, **named: Any) -> Evaluation:
    chosen: dict[str, Any] = {"threshold": 0.3, "cost": COST, "replicates": 50, **named}
    return evaluate(outcome, score, rng=np.random.default_rng(7), **chosen)


SCORED = st.builds(
    scored,
    st.integers(4, 300),
    seed=st.integers(0, 2**31),
    levels=st.one_of(st.none(), st.integers(1, 20)),
)


@given(data=SCORED, threshold=st.floats(0.0, 1.0))
@example(data=scored(17, seed=17, levels=4), threshold=0.75)  # no replicate defines the precision
@settings(max_examples=60)
def test_metrics_agree_with_scikit_learn(data: tuple[Booleans, Floats], threshold: float) -> None:
    from scipy.stats import ks_2samp
    from sklearn import metrics as sk

    outcome, score = data
    called = score >= threshold
    tn, fp, fn, tp = sk.confusion_matrix(outcome, called, labels=[False, True]).ravel()
    expected = {
        "accuracy": sk.accuracy_score(outcome, called),
        "recall": sk.recall_score(outcome, called),
        "f1": sk.f1_score(outcome, called),
        "roc_auc": sk.roc_auc_score(outcome, score),
        "pr_auc": sk.average_precision_score(outcome, score),
        "brier": sk.brier_score_loss(outcome, score),
        "log_loss": sk.log_loss(outcome, score, labels=[False, True]),
        "ks": ks_2samp(score[outcome], score[~outcome], method="asymp").statistic,
        "expected_cost": (5 * fn + fp) / len(outcome),
        "positive_rate": called.mean(),
        "threshold": threshold,
    }
    if called.any():
        expected["precision"] = sk.precision_score(outcome, called)
    evaluation = measured(outcome, score, threshold=threshold, replicates=2)
    assert set(evaluation.metrics) == set(expected)
    for name, value in expected.items():
        assert evaluation.metrics[name] == pytest.approx(value, abs=1e-9), name
    counts = evaluation.confusion
    assert (counts.true_negative, counts.false_positive) == (tn, fp)
    assert (counts.false_negative, counts.true_positive) == (fn, tp)


def test_metric_that_is_not_defined_is_left_out_and_named() -> None:
    outcome, score = scored(50)
    evaluation = measured(outcome, score, threshold=1.5)
    assert evaluation.undefined == ("precision",)
    assert "precision" not in evaluation.metrics
    assert "precision" not in evaluation.intervals
    assert evaluation.metrics["recall"] == 0.0


def test_every_defined_metric_but_the_threshold_has_an_interval_around_it() -> None:
    evaluation = measured(*scored(400), replicates=1_000)
    assert set(evaluation.metrics) == set(METRICS)
    assert set(evaluation.intervals) == set(METRICS) - {"threshold"}
    for name, interval in evaluation.intervals.items():
        assert interval.low <= evaluation.metrics[name] <= interval.high
    assert evaluation.resampling == (
        "95% percentile intervals of 1,000 bootstrap replicates, stratified by class"
    )


def row_by_row(outcome: Booleans, score: Floats, *, replicates: int) -> dict[str, Floats]:
    """The stratified bootstrap as textbooks write it, rows drawn one by one."""
    rng = np.random.default_rng(11)
    drawn: dict[str, list[float]] = {name: [] for name in METRICS}
    classes = [np.flatnonzero(outcome), np.flatnonzero(~outcome)]
    for _ in range(replicates):
        rows = np.concatenate([rng.choice(rows, len(rows)) for rows in classes])
        cells = ScoreCells.of(outcome[rows], score[rows])
        for name, value in measure(cells, threshold=0.3, cost=COST).items():
            drawn[name].append(float(value))
    return {name: np.quantile(values, [0.025, 0.975]) for name, values in drawn.items()}


@pytest.mark.parametrize(("rows", "replicates"), [(300, 1_500), (6_000, 400)])
def test_intervals_agree_with_the_bootstrap_of_rows(rows: int, replicates: int) -> None:
    outcome, score = scored(rows, seed=3)
    assert (len(np.unique(score)) > MAX_CELLS) == (rows > MAX_CELLS)
    expected = row_by_row(outcome, score, replicates=replicates)
    evaluation = measured(outcome, score, replicates=replicates)
    for name, interval in evaluation.intervals.items():
        width = expected[name][1] - expected[name][0]
        assert interval.low == pytest.approx(expected[name][0], abs=0.15 * width), name
        assert interval.high == pytest.approx(expected[name][1], abs=0.15 * width), name


def test_intervals_follow_from_the_generator() -> None:
    data = scored(200)
    assert measured(*data).intervals == measured(*data).intervals


def test_merged_cells_are_stated_and_keep_counts_and_the_threshold() -> None:
    outcome, score = scored(20_000, seed=5)
    cells = ScoreCells.of(outcome, score)
    coarse = cells.coarsen(threshold=0.3)
    assert len(coarse.score) <= MAX_CELLS + 1
    assert coarse.positive.sum() == outcome.sum()
    assert coarse.negative.sum() == (~outcome).sum()
    exact, merged = (measure(each, threshold=0.3, cost=COST) for each in (cells, coarse))
    for name in set(METRICS) - {"roc_auc", "pr_auc", "ks"}:
        assert float(merged[name]) == pytest.approx(float(exact[name]), rel=1e-12), name
    for name in ("roc_auc", "pr_auc", "ks"):
        assert float(merged[name]) == pytest.approx(float(exact[name]), abs=1e-3), name
    assert "scores merged to" in measured(outcome, score, replicates=2).resampling


@given(data=SCORED, fn=st.floats(0.1, 20), fp=st.floats(0.1, 20))
@settings(max_examples=60)
def test_no_threshold_is_cheaper_than_the_chosen_one(
    data: tuple[Booleans, Floats], fn: float, fp: float
) -> None:
    outcome, score = data
    cost = CostMatrix(false_negative=fn, false_positive=fp)

    def cost_at(threshold: float) -> float:
        called = score >= threshold
        return float(fn * (outcome & ~called).sum() + fp * (~outcome & called).sum())

    chosen = choose_threshold(outcome, score, cost=cost)
    assert 0.0 <= chosen <= np.nextafter(1.0, 2.0)
    cheapest = min(cost_at(each) for each in [0.0, *score, np.nextafter(1.0, 2.0)])
    assert cost_at(chosen) == pytest.approx(cheapest)


def test_of_equal_thresholds_the_one_nearest_to_bayes_is_chosen() -> None:
    outcome = np.array([True, True, False, False])
    score = np.array([0.9, 0.8, 0.1, 0.05])
    assert choose_threshold(outcome, score, cost=CostMatrix()) == pytest.approx(0.45)
    assert COST.bayes_threshold == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("outcome", "score", "message"),
    [
        ([True, True], [0.1, 0.2], "2 of 2 rows are positive"),
        ([False, False], [0.1, 0.2], "0 of 2 rows are positive"),
        ([True, False], [0.1], "scores \\(1,\\)"),
        ([True, False], [0.1, np.nan], "not all in \\[0, 1\\]"),
        ([True, False], [0.1, 1.1], "not all in \\[0, 1\\]"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(
    outcome: list[bool], score: list[float], message: str
) -> None:
    with pytest.raises(TrainingError, match=message):
        measured(np.array(outcome), np.array(score))
    with pytest.raises(TrainingError, match=message):
        choose_threshold(np.array(outcome), np.array(score), cost=COST)


def test_curves_run_from_end_to_end() -> None:
    outcome, score = scored(3_000)
    evaluation = measured(outcome, score)
    roc, recall = evaluation.roc, evaluation.precision_recall
    assert (roc.x[0], roc.y[0], roc.x[-1], roc.y[-1]) == (0, 0, 1, 1)
    assert (np.diff(roc.x) >= 0).all()
    assert (np.diff(roc.y) >= 0).all()
    assert len(roc.x) <= 500
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(evaluation.metrics["roc_auc"], abs=2e-3)
    assert (recall.x[0], recall.x[-1]) == (0, 1)
    assert recall.y[-1] == pytest.approx(outcome.mean())


@given(data=SCORED)
@settings(max_examples=40)
def test_calibration_covers_all_rows(data: tuple[Booleans, Floats]) -> None:
    outcome, score = data
    bins = measured(outcome, score, replicates=2).calibration
    assert bins.rows.sum() == len(outcome)
    assert (bins.rows @ bins.positive_share) == pytest.approx(outcome.sum())
    assert (np.diff(bins.mean_score) >= -1e-12).all()
    assert (bins.low <= bins.positive_share + 1e-12).all()
    assert (bins.high >= bins.positive_share - 1e-12).all()


class Scorer:
    """Scores by one column, whatever the others say."""

    def predict_proba(self, table: pd.DataFrame) -> Floats:
        score = 1 / (1 + np.exp(-table["strong"].to_numpy()))
        return np.stack([1 - score, score], axis=1)


def test_importance_finds_the_column_that_matters_and_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"idle": rng.normal(size=500), "strong": rng.normal(size=500)})
    outcome = table["strong"].to_numpy() + rng.normal(size=500) > 0
    before = table.copy()
    importance, again = (
        permutation_importance(
            Scorer(), table, outcome, rng=np.random.default_rng(2), rows=300, repeats=4
        )
        for _ in range(2)
    )
    assert importance.features == ("strong", "idle")
    assert importance.mean[0] == pytest.approx(
        roc_auc(outcome, Scorer().predict_proba(table)[:, 1]) - 0.5, abs=0.1
    )
    assert importance.mean[1] == importance.deviation[1] == 0.0
    assert (importance.rows, importance.repeats) == (300, 4)
    np.testing.assert_array_equal(importance.mean, again.mean)
    pd.testing.assert_frame_equal(table, before)
