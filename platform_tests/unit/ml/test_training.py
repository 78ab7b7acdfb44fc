"""Training: what the search sees, who wins, what is reported, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from interlock.errors import TrainingError
from interlock.ml import cross_validation, training
from interlock.ml.candidates import CANDIDATES, Candidates, build_model
from interlock.ml.fingerprint import model_fingerprint
from interlock.ml.training import CandidateProgress, Search, Stage, Target, TrainingResult, train

TARGET = Target(column="outcome", positive="bad", negative="good")
SMALL: dict[str, Any] = {
    "logistic_regression": {},
    "random_forest": {"space": {"n_estimators": 10}},
    "hist_gradient_boosting": {"space": {"max_iter": 10}},
    "xgboost": {"space": {"n_estimators": 10}},
}
FEATURES = ["amount", "months", "purpose", "employed", "since"]


def applicants(rows: int = 240, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    amount = rng.lognormal(8.0, 1.0, rows).round()
    purpose = rng.choice(np.array(["car", "home", "study", None], dtype=object), rows)
    risk = np.log(amount) - 8.6 + (purpose == "car") + rng.logistic(size=rows)
    return pd.DataFrame(
        {
            "number": np.arange(rows),
            "amount": np.where(rng.random(rows) < 0.1, np.nan, amount),
            "months": rng.integers(6, 60, rows),
            "purpose": purpose,
            "employed": rng.random(rows) < 0.8,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 999, rows), "D"),
            "outcome": np.where(risk > 0, "bad", "good"),
        }
    )


def fit(
    table: pd.DataFrame,
    *,
    candidates: dict[str, Any] | None = None,
    features: list[str] | None = None,
    target: Target = TARGET,
    jobs: int = 1,
    on_progress: Callable[[CandidateProgress], None] = lambda _: None,
    **search: Any,
) -> TrainingResult:
    settings: dict[str, Any] = {"iterations": 2, "folds": 2, **search}
    return train(
        table,
        features=FEATURES if features is None else features,
        target=target,
        candidates=Candidates.model_validate(SMALL if candidates is None else candidates),
        search=Search.model_validate(settings),
        jobs=jobs,
        on_progress=on_progress,
    )


LINEAR: dict[str, Any] = {"logistic_regression": {}}


@pytest.fixture(scope="module")
def result() -> TrainingResult:
    return fit(applicants())


def test_every_candidate_is_reported_with_all_its_resamples(result: TrainingResult) -> None:
    assert [each.name for each in result.candidates] == list(CANDIDATES)
    for each in result.candidates:
        assert each.failure is None
        assert each.fits == 4
        assert [len(scores) for scores in each.scores] == [2, 2]
        assert each.parameters in each.configurations
        means = [float(np.mean(scores)) for scores in each.scores]
        assert each.mean == max(means)


def test_best_mean_wins(result: TrainingResult) -> None:
    means = {each.name: each.mean for each in result.candidates}
    assert means[result.winner] == max(mean for mean in means.values() if mean is not None)


def test_rows_are_divided_by_class(result: TrainingResult) -> None:
    share = (applicants()["outcome"] == "bad").mean()
    assert len(result.holdout.outcome) == 48
    assert result.training_rows == 192
    assert abs(result.holdout.outcome.mean() - share) < 1 / 48
    assert result.evaluation.rows == 48


def test_two_processes_give_the_same_result_as_one(result: TrainingResult) -> None:
    other = fit(applicants(), jobs=2)
    assert [replace(each, seconds=0.0) for each in other.candidates] == [
        replace(each, seconds=0.0) for each in result.candidates
    ]
    assert other.evaluation.metrics == result.evaluation.metrics
    assert other.evaluation.intervals == result.evaluation.intervals
    assert other.threshold == result.threshold
    assert model_fingerprint(other.pipeline, other.probe) == model_fingerprint(
        result.pipeline, result.probe
    )


def test_nothing_but_the_evaluation_sees_the_holdout() -> None:
    table = applicants()
    features = ["number", *FEATURES]
    before = fit(table, candidates=LINEAR, features=features)
    held = before.holdout.table["number"].astype(int).to_numpy()
    table.loc[held, ["amount", "months"]] = [1e6, 600]
    after = fit(table, candidates=LINEAR, features=features)
    assert after.holdout.table["amount"].eq(1e6).all()
    assert after.candidates[0].scores == before.candidates[0].scores
    assert after.threshold == before.threshold
    assert model_fingerprint(after.pipeline, before.probe) == model_fingerprint(
        before.pipeline, before.probe
    )


def test_large_data_is_searched_on_a_stratified_sample_and_fitted_on_all() -> None:
    result = fit(applicants(2_000), candidates=LINEAR, sample_rows=1_000)
    assert result.search_rows == 1_000
    assert result.training_rows == 1_600
    assert result.pipeline[-1].n_features_in_ > 0


def test_probe_is_made_up_and_spans_the_training_rows(result: TrainingResult) -> None:
    probe = result.probe
    assert list(probe.columns) == FEATURES
    assert set(probe["purpose"]) == {"car", "home", "study", None}
    assert probe["amount"].isna().sum() == 1
    rows = set(map(tuple, probe.drop(columns=["purpose", "amount"]).to_numpy()))
    real = set(map(tuple, result.holdout.table.drop(columns=["purpose", "amount"]).to_numpy()))
    assert not rows & real


def test_progress_counts_every_fit_of_every_candidate() -> None:
    seen: list[CandidateProgress] = []
    result = fit(applicants(), on_progress=seen.append)
    for name in CANDIDATES:
        steps = [each for each in seen if each.candidate == name and each.stage is Stage.SEARCH]
        assert [each.fits_done for each in steps] == [1, 2, 3, 4]
        assert {each.fits_total for each in steps} == {4}
    assert seen[-1] == CandidateProgress(result.winner, Stage.FIT, 1, 1)


def test_tie_goes_to_the_simpler_candidate() -> None:
    table = applicants()
    table["flat"] = 1.0
    result = fit(table, features=["flat"])
    assert {each.mean for each in result.candidates} == {0.5}
    assert result.winner == "logistic_regression"


@pytest.mark.parametrize(
    "metric", ["roc_auc", "pr_auc", "ks", "log_loss", "brier", "expected_cost"]
)
def test_search_improves_its_metric_in_the_right_direction(metric: str) -> None:
    candidates = {"logistic_regression": {"space": {"C": [1e-6, 1.0]}}}
    result = fit(applicants(), candidates=candidates, metric=metric, iterations=9)
    (report,) = result.candidates
    means = [float(np.mean(scores)) for scores in report.scores]
    assert len(means) == 2
    best = min(means) if metric in {"log_loss", "brier", "expected_cost"} else max(means)
    assert report.mean == best


def test_dear_false_negatives_lower_the_threshold() -> None:
    cheap = fit(applicants(), candidates=LINEAR, cost={"false_negative": 1, "false_positive": 5})
    dear = fit(applicants(), candidates=LINEAR, cost={"false_negative": 5, "false_positive": 1})
    assert dear.threshold < cheap.threshold


def test_candidate_may_have_iterations_of_its_own() -> None:
    result = fit(applicants(), candidates={"logistic_regression": {"iterations": 3}})
    assert len(result.candidates[0].configurations) == 3


def break_candidate(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:

    def build_or_break(name: Any, *arguments: Any, **named: Any) -> Any:
        if name in names:
            raise ValueError("matrix is\nnot positive definite")
        return build_model(name, *arguments, **named)

    monkeypatch.setattr(cross_validation, "build_model", build_or_break)


def test_candidate_that_cannot_be_fitted_is_reported_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_candidate(monkeypatch, "xgboost")
    candidates: dict[str, Any] = {"logistic_regression": {}, "xgboost": {}}
    result = fit(applicants(), candidates=candidates)
    failed = result.candidates[1]
    assert result.winner == "logistic_regression"
    assert failed.failure == "ValueError: matrix is not positive definite"
    assert failed.notes == ("2 configurations failed: " + failed.failure,)
    assert (failed.mean, failed.deviation, failed.scores) == (None, None, ())
    assert failed.fits == 4


def test_all_candidates_failing_is_an_error_that_names_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    break_candidate(monkeypatch, "xgboost", "logistic_regression")
    candidates: dict[str, Any] = {"logistic_regression": {}, "xgboost": {}}
    with pytest.raises(TrainingError, match=r"logistic_regression: Val.*xgboost: Val"):
        fit(applicants(), candidates=candidates)


def test_scores_that_are_not_finite_fail_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    class Undecided:
        def fit(self, _matrix: Any, _outcome: Any) -> None: ...

        def predict_proba(self, matrix: Any) -> Any:
            return np.full((len(matrix), 2), np.nan)

    monkeypatch.setattr(cross_validation, "build_model", lambda *_, **__: Undecided())
    with pytest.raises(TrainingError, match="its scores are not finite"):
        fit(applicants(), candidates=LINEAR)


def test_winner_that_cannot_be_fitted_on_all_rows_fails_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def fit(self, _frame: Any, _outcome: Any) -> None:
            raise MemoryError("4 GiB")

    monkeypatch.setattr(training, "build_pipeline", lambda *_, **__: Broken())
    with pytest.raises(TrainingError, match="won the search and could not be fitted on all 192"):
        fit(applicants(), candidates=LINEAR)


def test_solver_that_does_not_converge_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.ml.candidates.MAX_STEPS", 1)
    with pytest.warns(UserWarning, match="lbfgs failed to converge"):
        result = fit(applicants(), candidates=LINEAR)
    assert "stopped after 1 steps without converging" in result.candidates[0].notes


def relabelled(value: Any) -> pd.DataFrame:
    table = applicants()
    table["outcome"] = table["outcome"].astype(object)
    table.loc[table.index[:3], "outcome"] = value
    return table


@pytest.mark.parametrize(
    ("table", "named", "message"),
    [
        (applicants(), {"features": []}, "no features are named"),
        (applicants(), {"features": ["income"]}, "features \\['income'\\] are not in the data"),
        (applicants(), {"features": ["months", "months"]}, "are named twice"),
        (applicants(), {"features": ["months", "outcome"]}, "is among the features"),
        (applicants().drop(columns="outcome"), {}, "target 'outcome' is not in the data"),
        (applicants().query("outcome == 'bad'"), {}, "is never 'good' in"),
        (applicants().query("outcome == 'good'"), {}, "is never 'bad' in"),
        (applicants().head(0), {}, "is never 'bad' in 0 rows"),
        (relabelled("ugly"), {}, "holds 'ugly' in 3 of 240 rows; expected 'bad' or 'good'"),
        (relabelled(None), {}, "holds None in 3 of 240 rows"),
        (applicants().head(12), {"folds": 6}, "class '(bad|good)' has . rows outside the holdout"),
        (applicants().assign(months=np.inf), {}, "'months' is infinite in 240 rows"),
        (applicants().assign(months=None), {}, "'months' has no value in any of 240 rows"),
        (applicants().assign(months=[1, "x"] * 120), {}, "'months' holds mixed-integer values"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused_with_a_remedy(
    table: pd.DataFrame, named: dict[str, Any], message: str
) -> None:
    before = table.copy()
    with pytest.raises(TrainingError, match=message) as refusal:
        fit(table, candidates=LINEAR, **named)
    assert refusal.value.remedy
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize(
    ("values", "positive", "negative"),
    [
        ([1, 0], 1, 0),
        ([1.0, 0.0], 1, 0),
        ([True, False], True, False),
        (["Yes", "No"], "Yes", "No"),
    ],
)
def test_targets_of_any_two_values(values: list[Any], positive: Any, negative: Any) -> None:
    table = applicants()
    table["outcome"] = np.where(table["outcome"] == "bad", *values)
    target = Target(column="outcome", positive=positive, negative=negative)
    expected = fit(applicants(), candidates=LINEAR).evaluation
    assert fit(table, candidates=LINEAR, target=target).evaluation.metrics == expected.metrics


def test_target_that_yaml_read_as_a_boolean_is_explained() -> None:
    table = applicants()
    table["outcome"] = table["outcome"].map({"bad": "Yes", "good": "No"})
    target = Target(column="outcome", positive=True, negative=False)
    with pytest.raises(TrainingError, match=r"expected True or False; write .* in quotes"):
        fit(table, candidates=LINEAR, target=target)


def test_target_needs_two_classes() -> None:
    with pytest.raises(ValidationError, match="name two values"):
        Target(column="outcome", positive=1, negative=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"metric": "accuracy"},
        {"folds": 1},
        {"holdout": 0.9},
        {"seed": -1},
        {"iterations": 0},
        {"sample_rows": 10},
        {"cost": {"false_negative": 0}},
        {"cost": {"false_negative": float("inf")}},
        {"retries": 3},
    ],
)
def test_search_section_refuses_what_it_does_not_know(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Search.model_validate(wrong)


def test_reading_a_product_needs_no_estimator() -> None:
    code = (
        "import sys, interlock.ml.training;"
        "heavy = {'sklearn', 'xgboost', 'scipy', 'pandas', 'matplotlib'} & set(sys.modules);"
        "sys.exit(f'{heavy} imported' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
