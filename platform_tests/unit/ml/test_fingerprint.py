"""The fingerprint: equal for the same model, different for any other."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

from interlock.errors import TrainingError
from interlock.ml.candidates import CANDIDATES, CandidateName, build_pipeline
from interlock.ml.fingerprint import model_fingerprint

# Run in this process and in another one, so it stands alone.
RECIPE = """
import numpy as np, pandas as pd
from interlock.ml.candidates import CANDIDATES, build_pipeline
from interlock.ml.features import probe_of
from interlock.ml.fingerprint import model_fingerprint

def table(seed=0):
    rng = np.random.default_rng(seed)
    amount = rng.normal(size=150)
    amount[:9] = np.nan
    purpose = rng.choice(np.array(["car", "home", None], dtype=object), 150)
    return pd.DataFrame({"amount": amount, "months": rng.random(150), "purpose": purpose})

def fitted(name, frame, *, seed=1, **changed):
    small = {"n_estimators": 10} if name in ("random_forest", "xgboost") else {}
    if name == "hist_gradient_boosting":
        small = {"max_iter": 10, "max_features": 0.5}
    if name == "xgboost":
        small["subsample"] = 0.5
    pipeline = build_pipeline(
        name, {**small, **changed}, numeric=("amount", "months"), categorical=("purpose",),
        rows=150, seed=seed,
    )
    rng = np.random.default_rng(1)
    return pipeline.fit(frame, (frame["months"] + 0.3 * rng.random(150) > 0.6).astype(int))

def probe():
    return probe_of(table(), rng=np.random.default_rng(2))

def fingerprints():
    return {name: model_fingerprint(fitted(name, table()), probe()) for name in CANDIDATES}
"""
MADE: dict[str, Any] = {}
exec(RECIPE, MADE)  # noqa: S102 - the text above

CHANGES: dict[CandidateName, dict[str, Any]] = {
    "logistic_regression": {"C": 1.0001},
    "random_forest": {"min_samples_leaf": 2},
    "hist_gradient_boosting": {"learning_rate": 0.1001},
    "xgboost": {"reg_lambda": 1.0001},
}


@pytest.fixture(scope="module")
def models() -> dict[CandidateName, Any]:
    return {name: MADE["fitted"](name, MADE["table"]()) for name in CANDIDATES}


@pytest.fixture(scope="module")
def probe() -> pd.DataFrame:
    made: pd.DataFrame = MADE["probe"]()
    return made


def test_another_process_finds_the_same_fingerprints(
    models: dict[CandidateName, Any], probe: pd.DataFrame
) -> None:
    code = RECIPE + "\nimport json\nprint(json.dumps(fingerprints()))"
    # Another hash seed, so that nothing may hang on the order of a set.
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        capture_output=True,
        timeout=120,
        env={"PYTHONHASHSEED": "4711"},
    )
    here = {name: model_fingerprint(models[name], probe) for name in CANDIDATES}
    assert json.loads(run.stdout) == here
    assert len(set(here.values())) == len(CANDIDATES)
    assert all(len(each) == 64 for each in here.values())


@pytest.mark.parametrize("name", CANDIDATES)
def test_storing_and_loading_keeps_the_fingerprint(
    models: dict[CandidateName, Any], probe: pd.DataFrame, name: CandidateName
) -> None:
    loaded = pickle.loads(pickle.dumps(models[name]))  # noqa: S301 - written just now
    assert model_fingerprint(loaded, probe) == model_fingerprint(models[name], probe)


@pytest.mark.parametrize("name", CANDIDATES)
def test_threads_and_reports_do_not_count(
    models: dict[CandidateName, Any], probe: pd.DataFrame, name: CandidateName
) -> None:
    other = copy.deepcopy(models[name])
    known = other[-1].get_params()
    quiet = {"n_jobs": 2, "verbose": 0, "verbosity": 0}
    other[-1].set_params(**{key: value for key, value in quiet.items() if key in known})
    assert model_fingerprint(other, probe) == model_fingerprint(models[name], probe)


@pytest.mark.parametrize("name", CANDIDATES)
def test_data_seed_and_parameters_count(
    models: dict[CandidateName, Any], probe: pd.DataFrame, name: CandidateName
) -> None:
    table, fitted = MADE["table"](), MADE["fitted"]
    others = [
        fitted(name, MADE["table"](seed=5)),
        fitted(name, table, seed=2),
        fitted(name, table, **CHANGES[name]),
    ]
    found = {model_fingerprint(each, probe) for each in [models[name], *others]}
    assert len(found) == 4


def test_probe_counts(models: dict[CandidateName, Any], probe: pd.DataFrame) -> None:
    pipeline = models["logistic_regression"]
    other = probe.assign(months=probe["months"] + 1e-9)
    assert model_fingerprint(pipeline, probe) != model_fingerprint(pipeline, other)


def test_leaf_that_no_row_of_the_probe_reaches_counts(
    models: dict[CandidateName, Any], probe: pd.DataFrame
) -> None:
    forest = copy.deepcopy(models["random_forest"])
    tree = forest[-1].estimators_[0].tree_
    reached = set(tree.apply(forest[:-1].transform(probe).astype(np.float32)))
    leaves = set(np.flatnonzero(tree.children_left == -1)) - reached
    before = forest.predict_proba(probe)
    tree.value[min(leaves), 0] = [0.25, 0.75]
    np.testing.assert_array_equal(forest.predict_proba(probe), before)
    assert model_fingerprint(forest, probe) != model_fingerprint(models["random_forest"], probe)


@pytest.mark.parametrize("name", CANDIDATES)
def test_preprocessing_counts(
    models: dict[CandidateName, Any], probe: pd.DataFrame, name: CandidateName
) -> None:
    other = copy.deepcopy(models[name])
    encoder = other[0].named_transformers_["categorical"][-1]
    encoder.categories_[0] = np.array(["(missing)", "car", "yacht"], dtype=object)
    assert model_fingerprint(other, probe) != model_fingerprint(models[name], probe)


def test_step_without_a_canonical_form_is_refused(probe: pd.DataFrame) -> None:
    from sklearn.preprocessing import FunctionTransformer

    pipeline = build_pipeline(
        "logistic_regression", {}, numeric=("months",), categorical=(), rows=2, seed=0
    )
    pipeline.steps.insert(0, ("odd", FunctionTransformer(np.abs)))
    with pytest.raises(TrainingError, match=r"holds a numpy\.ufunc, which has no canonical form"):
        model_fingerprint(pipeline, probe)
