"""Candidates: their YAML section, their spaces, and pipelines that take any later row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from pydantic import ValidationError

from interlock.ml.candidates import (
    CANDIDATES,
    MAX_ROWS_PER_TREE,
    CandidateName,
    Candidates,
    CandidateSettings,
    build_model,
    build_pipeline,
    space_of,
)
from interlock.ml.search_space import draw_configurations

NUMERIC, CATEGORICAL = ("amount", "months"), ("purpose", "region")


def frame(rows: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    amount = rng.normal(size=rows)
    amount[:10] = np.nan
    return pd.DataFrame(
        {
            "purpose": rng.choice(np.array(["car", "home", None], dtype=object), rows),
            "amount": amount,
            "months": rng.integers(6, 60, rows).astype(float),
            "region": rng.choice(np.array(["north", "south"], dtype=object), rows),
        }
    )


def fitted(name: CandidateName, table: pd.DataFrame) -> Any:
    small = {"n_estimators": 10} if name in {"random_forest", "xgboost"} else {}
    pipeline = build_pipeline(
        name, small, numeric=NUMERIC, categorical=CATEGORICAL, rows=len(table), seed=1
    )
    outcome = (table["months"] > 30) ^ (table["purpose"] == "car")
    return pipeline.fit(table, outcome.astype(int))


@pytest.mark.parametrize("name", CANDIDATES)
def test_later_rows_may_hold_what_training_never_saw(name: CandidateName) -> None:
    pipeline = fitted(name, frame())
    later = pd.DataFrame(
        {
            "purpose": ["boat", None, np.nan, "car"],
            "amount": [np.nan, 1e9, -1e9, 0.0],
            "months": [np.nan, 0.0, 1.0, 2.0],  # never missing in training
            "region": [None, "east", "south", np.nan],  # never missing in training
        }
    )
    scores = pipeline.predict_proba(later)
    assert scores.shape == (4, 2)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", CANDIDATES)
def test_missing_category_reads_the_same_as_none_and_as_nan(name: CandidateName) -> None:
    table = frame()
    pipeline = fitted(name, table)
    as_nan = table.assign(purpose=table["purpose"].where(table["purpose"].notna(), np.nan))
    np.testing.assert_array_equal(pipeline.predict_proba(table), pipeline.predict_proba(as_nan))


@pytest.mark.parametrize("name", CANDIDATES)
def test_columns_are_found_by_name_and_not_by_place(name: CandidateName) -> None:
    table = frame()
    pipeline = fitted(name, table)
    turned = table[list(reversed(table.columns))]
    np.testing.assert_array_equal(pipeline.predict_proba(table), pipeline.predict_proba(turned))


@pytest.mark.parametrize("name", CANDIDATES)
@pytest.mark.parametrize("kept", [NUMERIC, CATEGORICAL])
def test_one_kind_of_columns_is_enough(name: CandidateName, kept: tuple[str, ...]) -> None:
    table = frame()
    numeric = tuple(each for each in kept if each in NUMERIC)
    categorical = tuple(each for each in kept if each in CATEGORICAL)
    pipeline = build_pipeline(
        name, {}, numeric=numeric, categorical=categorical, rows=len(table), seed=1
    )
    pipeline.fit(table[list(kept)], table["months"] > 30)
    assert pipeline.predict_proba(table[list(kept)]).shape == (120, 2)


@pytest.mark.parametrize("name", CANDIDATES)
def test_column_of_many_categories_stays_narrow(name: CandidateName) -> None:
    rows = 600
    table = frame(rows).assign(region=[f"r{number % 300}" for number in range(rows)])
    columns = fitted(name, table)[:-1].transform(table)
    assert columns.shape[1] < 80
    assert np.nanmax(columns[:, -1]) < 64


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_default_draw_lies_within_the_limits_and_fits(name: CandidateName) -> None:
    space = space_of(name, CandidateSettings())
    Candidates.model_validate({name: {"space": space}})
    drawn = draw_configurations(space, count=20, rng=np.random.default_rng(0))
    assert len(drawn) == 20
    for configuration in drawn:
        Candidates.model_validate({name: {"space": configuration}})
        build_model(name, configuration, numeric=1, categorical=1, rows=10, seed=0).get_params()


def test_forest_draws_a_capped_number_of_rows_for_each_tree() -> None:
    def rows_per_tree(rows: int) -> Any:
        model = build_model("random_forest", {}, numeric=1, categorical=0, rows=rows, seed=0)
        return model.max_samples

    assert rows_per_tree(MAX_ROWS_PER_TREE) is None
    assert rows_per_tree(10 * MAX_ROWS_PER_TREE) == MAX_ROWS_PER_TREE


def read(text: str) -> Candidates:
    return Candidates.model_validate(yaml.safe_load(text))


def test_named_candidates_compete_in_a_fixed_order() -> None:
    chosen = read("{xgboost: {}, logistic_regression: null}").chosen
    assert list(chosen) == ["logistic_regression", "xgboost"]
    assert chosen["logistic_regression"] == CandidateSettings()


def test_space_replaces_and_fixes_parameters() -> None:
    section = read(
        """
        xgboost:
          iterations: 3
          space:
            max_depth: [2, 3]
            n_estimators: 50
            learning_rate: {log_uniform: [1.0e-2, 1.0e-1]}
            min_child_weight: {uniform: [1, 2]}
        """
    )
    space = space_of("xgboost", section.chosen["xgboost"])
    for drawn in draw_configurations(space, count=30, rng=np.random.default_rng(1)):
        assert drawn["max_depth"] in {2, 3}
        assert drawn["n_estimators"] == 50
        assert isinstance(drawn["learning_rate"], float)
        assert 0.01 <= drawn["learning_rate"] <= 0.1
        assert "subsample" in drawn


def test_section_survives_being_written_and_read() -> None:
    section = read("{random_forest: {space: {max_features: [sqrt, 0.5]}}, xgboost: {}}")
    assert Candidates.model_validate_json(section.model_dump_json()) == section


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "no candidate is named; name at least one of logistic_regression"),
        ("{svm: {}}", "Input should be 'logistic_regression'"),
        ("{xgboost: {trees: 3}}", "Extra inputs are not permitted"),
        ("{xgboost: {iterations: 0}}", "greater than or equal to 1"),
        ("{xgboost: {space: {depth: 3}}}", "xgboost has no parameter 'depth'; tune learning_rate"),
        ("{xgboost: {space: {max_depth: 40}}}", "max_depth cannot be 40; write a whole number"),
        ("{xgboost: {space: {max_depth: 2.5}}}", "max_depth cannot be 2.5"),
        ("{xgboost: {space: {max_depth: true}}}", "max_depth cannot be True"),
        ("{xgboost: {space: {max_depth: null}}}", "max_depth cannot be None"),
        ("{xgboost: {space: {max_depth: []}}}", "at least 1 item"),
        ("{xgboost: {space: {max_depth: {uniform: [1, 3]}}}}", "takes whole numbers"),
        ("{xgboost: {space: {max_depth: {integer: [0, 3]}}}}", "max_depth cannot be 0"),
        ("{xgboost: {space: {max_depth: {integer: [3, 1]}}}}", "is empty; write the smaller"),
        ("{xgboost: {space: {max_depth: {range: [1, 3]}}}}", "is no distribution; write one"),
        ("{xgboost: {space: {reg_lambda: {log_uniform: [0, 1]}}}}", "has no logarithm"),
        ("{xgboost: {space: {reg_lambda: {uniform: [0, .inf]}}}}", "is empty"),
        ("{random_forest: {space: {max_features: all}}}", "cannot be 'all'; .* or sqrt or log2"),
        ("{random_forest: {space: {n_estimators: 100000}}}", "from 10 to 500"),
        ("[xgboost]", "valid (mapping|dictionary)"),
    ],
)
def test_mistake_in_the_section_is_named(text: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        read(text)
