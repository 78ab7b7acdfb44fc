"""The candidates: which estimators compete, from which spaces, behind which preprocessing.

Here live the YAML section ``candidates``, the default spaces with their sources, the hard
caps on trees and leaves, and the construction of an unfitted pipeline. How candidates are
compared lives in ``ml.training``; distributions in ``ml.search_space``; the table that a
pipeline takes in ``ml.features``. Estimators are imported when a pipeline is built, so that
reading a product's YAML stays cheap. Reasons and measurements: ADR-0005.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from interlock.ml.search_space import (
    Distribution,
    Integer,
    Limits,
    LogInteger,
    LogUniform,
    Scalar,
    Uniform,
)

MAX_ITERATIONS = 1_000  # configurations per candidate
"""More than this is a search for a cluster, not for two cores."""

MAX_STEPS = 1_000
"""Steps of the solver of a logistic regression. On columns of unit variance it takes tens;
one that needs more is reported as not converged."""

MAX_ROWS_PER_TREE = 5_000
"""Rows drawn for each tree of a forest. Subsampling costs a forest little accuracy (Probst,
Wright & Boulesteix 2019, sec. 2.1.3): on 20,000 rows of the UCI default data, ROC-AUC was
0.774, 0.775 and 0.774 for 10,000, 5,000 and 2,500 rows per tree. Uncapped trees on 800,000 rows
took 33 s and 181 MB per ten."""

MIN_CATEGORY_ROWS = 10
"""Rows below which categories are merged: ten per coefficient (Peduzzi et al. 1996)."""

MAX_CATEGORIES = 64
"""Categories kept per column, the most frequent ones; the others are merged. Bounds the
width of the matrix; histogram gradient boosting itself allows 255."""

MISSING_CATEGORY = "(missing)"

Encoding = Literal["linear", "tree"]


@dataclass(frozen=True)
class _Kind:
    """What is known about a kind of candidate before it is built."""

    encoding: Encoding
    limits: Mapping[str, Limits]
    space: Mapping[str, Distribution]


CandidateName = Literal["logistic_regression", "random_forest", "hist_gradient_boosting", "xgboost"]

CANDIDATES: tuple[CandidateName, ...] = get_args(CandidateName)
"""Names of all candidates, the simplest first; a tie in the search goes to the simpler."""

# Where a default or a range comes from:
# - trees per forest: 64 to 128 (Oshiro, Perez & Baranauskas 2012); the number of trees is set
#   and not searched (Probst, Wright & Boulesteix 2019, sec. 2.1.6);
# - features per split: the square root or a third (Breiman 2001; Hastie et al. 2009, 15.3);
# - leaves of a boosted tree: 4 to 16, as 4 to 8 mostly suffice (Hastie et al. 2009, 10.11);
# - trees of a boosting: 100, the default of both libraries; shrinkage is searched around
#   their default of 0.1 (Friedman 2001 recommends at most 0.1; XGBoost's own is 0.3);
# - drawing half of the rows or more for each tree: Friedman 2002;
# - penalties: two orders of magnitude and more around the libraries' defaults.
# A forest's trees are capped at 128 leaves by default, since a leaf of a tree on
# ``MAX_ROWS_PER_TREE`` rows then still holds forty. Limits bound time and memory.
_KINDS: Mapping[CandidateName, _Kind] = {
    "logistic_regression": _Kind(
        encoding="linear",
        limits={"C": Limits(1e-6, 1e6)},
        space={"C": LogUniform(log_uniform=(1e-3, 1e2))},
    ),
    "random_forest": _Kind(
        encoding="tree",
        limits={
            "n_estimators": Limits(10, 500, whole=True),
            "max_leaf_nodes": Limits(2, 1_024, whole=True),
            "min_samples_leaf": Limits(1, 10_000, whole=True),
            "max_features": Limits(0.01, 1.0, words=("sqrt", "log2")),
        },
        space={
            "n_estimators": 64,
            "max_leaf_nodes": LogInteger(log_integer=(16, 128)),
            "min_samples_leaf": LogInteger(log_integer=(2, 20)),
            "max_features": ("sqrt", 0.33),
        },
    ),
    "hist_gradient_boosting": _Kind(
        encoding="tree",
        limits={
            "learning_rate": Limits(1e-3, 1.0),
            "max_iter": Limits(10, 1_000, whole=True),
            "max_leaf_nodes": Limits(2, 255, whole=True),
            "min_samples_leaf": Limits(1, 10_000, whole=True),
            "l2_regularization": Limits(0.0, 1e4),
            "max_features": Limits(0.01, 1.0),
        },
        space={
            "learning_rate": LogUniform(log_uniform=(0.03, 0.3)),
            "max_iter": 100,
            "max_leaf_nodes": LogInteger(log_integer=(4, 16)),
            "min_samples_leaf": LogInteger(log_integer=(10, 50)),
            "l2_regularization": LogUniform(log_uniform=(1e-3, 10.0)),
        },
    ),
    "xgboost": _Kind(
        encoding="tree",
        limits={
            "learning_rate": Limits(1e-3, 1.0),
            "n_estimators": Limits(10, 1_000, whole=True),
            "max_depth": Limits(1, 12, whole=True),
            "min_child_weight": Limits(0.0, 1e4),
            "subsample": Limits(0.1, 1.0),
            "colsample_bytree": Limits(0.1, 1.0),
            "reg_lambda": Limits(0.0, 1e4),
        },
        space={
            "learning_rate": LogUniform(log_uniform=(0.03, 0.3)),
            "n_estimators": 100,
            "max_depth": Integer(integer=(2, 5)),
            "min_child_weight": LogUniform(log_uniform=(1.0, 20.0)),
            "subsample": Uniform(uniform=(0.5, 1.0)),
            "colsample_bytree": Uniform(uniform=(0.5, 1.0)),
            "reg_lambda": LogUniform(log_uniform=(0.1, 10.0)),
        },
    ),
}


class CandidateSettings(BaseModel):
    """What a product says about one candidate; ``{}`` takes every default.

    Attributes:
        iterations: Configurations to draw for this candidate; the search's by default.
        space: Distributions that replace or fix those of the default space, by parameter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    iterations: Annotated[int, Field(ge=1, le=MAX_ITERATIONS)] | None = None
    space: Mapping[str, Distribution] = {}


class Candidates(RootModel[Mapping[CandidateName, CandidateSettings]]):
    """The YAML section ``candidates``: those named compete, the others do not."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _name_alone_means_defaults(cls, data: Any) -> Any:
        # YAML reads `xgboost:` with nothing behind it as null; it was named, so it competes.
        if isinstance(data, Mapping):
            return {name: {} if value is None else value for name, value in data.items()}
        return data

    @model_validator(mode="after")
    def _spaces_fit(self) -> Self:
        if not self.root:
            msg = f"no candidate is named; name at least one of {', '.join(CANDIDATES)}"
            raise ValueError(msg)
        for name, settings in self.root.items():
            limits = _KINDS[name].limits
            for parameter, distribution in settings.space.items():
                if parameter not in limits:
                    msg = f"{name} has no parameter {parameter!r}; tune {', '.join(limits)}"
                    raise ValueError(msg)
                if reason := limits[parameter].refusal(distribution):
                    msg = f"{name}.{parameter} {reason}"
                    raise ValueError(msg)
        return self

    @property
    def chosen(self) -> dict[CandidateName, CandidateSettings]:
        """The candidates that compete, in the order of ``CANDIDATES``."""
        return {name: self.root[name] for name in CANDIDATES if name in self.root}


def space_of(name: CandidateName, settings: CandidateSettings) -> dict[str, Distribution]:
    """The candidate's default space with the product's entries in place.

    Args:
        name: One of ``CANDIDATES``.
        settings: The product's section for it.

    Returns:
        Parameter to distribution.
    """
    return {**_KINDS[name].space, **settings.space}


def encoding_of(name: CandidateName) -> Encoding:
    """Which encoding of the columns a candidate learns from."""
    return _KINDS[name].encoding


def load_libraries(names: Iterable[CandidateName]) -> None:
    """Import what these candidates are built from; seconds, once per process."""
    for name in names:
        build_pipeline(name, {}, numeric=(), categorical=(), rows=1, seed=0)


def build_columns(encoding: Encoding, *, numeric: Sequence[str], categorical: Sequence[str]) -> Any:
    """The unfitted first step of a pipeline: a feature frame becomes a matrix of float64.

    - ``linear``: numbers get their median where missing, with an indicator column, and unit
      variance; categories get a column each.
    - ``tree``: numbers stay as they are, since the trees here split on missing values;
      categories get a code each. A category that was not seen in training is missing.

    In both a missing category is a category, and rare ones are one category together.

    Args:
        encoding: Which.
        numeric: Columns of float64, NaN where missing.
        categorical: Columns of text, None or NaN where missing.

    Returns:
        ``sklearn.compose.ColumnTransformer``; numeric columns first.
    """
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

    # pd.NA stands for None and NaN alike, so that a client may send either.
    named = SimpleImputer(missing_values=pd.NA, strategy="constant", fill_value=MISSING_CATEGORY)
    if encoding == "linear":
        numbers: Any = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
        )
        categories = make_pipeline(
            named,
            OneHotEncoder(
                handle_unknown="infrequent_if_exist",
                min_frequency=MIN_CATEGORY_ROWS,
                max_categories=MAX_CATEGORIES,
                sparse_output=False,
            ),
        )
    else:
        numbers = "passthrough"
        categories = make_pipeline(
            named,
            OrdinalEncoder(
                handle_unknown="use_encoded_value",
                unknown_value=float("nan"),
                min_frequency=MIN_CATEGORY_ROWS,
                max_categories=MAX_CATEGORIES,
            ),
        )
    steps = (("numeric", numbers, list(numeric)), ("categorical", categories, list(categorical)))
    return ColumnTransformer([step for step in steps if step[2]])


def build_model(
    name: CandidateName,
    parameters: Mapping[str, Scalar],
    *,
    numeric: int,
    categorical: int,
    rows: int,
    seed: int,
) -> Any:
    """The unfitted second step of a pipeline: a classifier on the encoded matrix.

    Args:
        name: One of ``CANDIDATES``.
        parameters: One configuration of its space.
        numeric: Leading columns of the matrix that hold numbers.
        categorical: Columns after them that hold codes; for the ``tree`` encoding only.
        rows: Rows it will be fitted on; caps a forest's rows per tree.
        seed: Seed of the estimator, 0 to 2**32 - 1.

    Returns:
        A classifier with ``predict_proba``.
    """
    match name:
        case "logistic_regression":
            from sklearn.linear_model import LogisticRegression

            return LogisticRegression(**parameters, max_iter=MAX_STEPS, random_state=seed)
        case "random_forest":
            from sklearn.ensemble import RandomForestClassifier

            return RandomForestClassifier(
                **parameters,
                max_samples=MAX_ROWS_PER_TREE if rows > MAX_ROWS_PER_TREE else None,
                n_jobs=1,
                random_state=seed,
            )
        case "hist_gradient_boosting":
            from sklearn.ensemble import HistGradientBoostingClassifier

            # Its own early stopping would set a part of every fold aside; the number of
            # trees is a cap here, and shrinkage is searched instead.
            return HistGradientBoostingClassifier(
                **parameters,
                categorical_features=[False] * numeric + [True] * categorical,
                early_stopping=False,
                random_state=seed,
            )
        case "xgboost":
            from xgboost import XGBClassifier

            return XGBClassifier(
                **parameters,
                tree_method="hist",
                enable_categorical=True,
                feature_types=["q"] * numeric + ["c"] * categorical,
                n_jobs=1,
                random_state=seed,
            )


def build_pipeline(
    name: CandidateName,
    parameters: Mapping[str, Scalar],
    *,
    numeric: Sequence[str],
    categorical: Sequence[str],
    rows: int,
    seed: int,
) -> Any:
    """An unfitted pipeline from a feature frame to a probability.

    Args:
        name: One of ``CANDIDATES``.
        parameters: One configuration of its space.
        numeric: Columns of float64, NaN where missing.
        categorical: Columns of text, None where missing.
        rows: Rows it will be fitted on.
        seed: Seed of the estimator.

    Returns:
        ``sklearn.pipeline.Pipeline`` with the steps ``columns`` and ``model``.
    """
    from sklearn.pipeline import Pipeline

    columns = build_columns(encoding_of(name), numeric=numeric, categorical=categorical)
    model = build_model(
        name,
        parameters,
        numeric=len(numeric),
        categorical=len(categorical),
        rows=rows,
        seed=seed,
    )
    return Pipeline([("columns", columns), ("model", model)])


def convergence_note(model: Any) -> str | None:
    """What to say of a fitted model that stopped before it converged; none otherwise."""
    steps = getattr(model, "n_iter_", None)
    if isinstance(steps, int) or steps is None or max(steps) < MAX_STEPS:
        return None
    return f"stopped after {MAX_STEPS:,} steps without converging"
