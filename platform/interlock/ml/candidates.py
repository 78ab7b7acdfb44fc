"""The candidates: which estimators compete, from which spaces, behind which preprocessing.

Here live the YAML section ``candidates``, the default spaces with their sources, the hard
caps on trees and leaves, and the construction of an unfitted pipeline. How candidates are
compared lives in ``ml.training``; distributions in ``ml.search_space``; the table that a
pipeline takes in ``ml.features``. Estimators are imported when a pipeline is built, so that
reading a product's YAML stays cheap. Reasons and measurements: ADR-0005.
"""

from __future__ import annotations

from collections.abc import Mapping
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


@dataclass(frozen=True)
class _Kind:
    """What is known about a kind of candidate before it is built."""

    limits: Mapping[str, Limits]
    space: Mapping[str, Distribution]


CandidateName = Literal["logistic_regression", "random_forest", "hist_gradient_boosting", "xgboost"]

CANDIDATES: tuple[CandidateName, ...] = get_args(CandidateName)
"""Names of all candidates, the simplest first; a tie in the search goes to the simpler."""

_KINDS: Mapping[CandidateName, _Kind] = {
    "logistic_regression": _Kind(
        limits={"C": Limits(1e-6, 1e6)},
        space={"C": LogUniform(log_uniform=(1e-3, 1e2))},
    ),
    "random_forest": _Kind(
        limits={
            "n_estimators": Limits(10, 500, whole=True),
            "max_leaf_nodes": Limits(2, 1_024, whole=True),
            "min_samples_leaf": Limits(1, 10_000, whole=True),
            "max_features": Limits(0.01, 1.0, words=("sqrt", "log2")),
        },
        space={
            "n_estimators": 100,
            "max_leaf_nodes": LogInteger(log_integer=(16, 256)),
            "min_samples_leaf": LogInteger(log_integer=(1, 20)),
            "max_features": ("sqrt", 0.5),
        },
    ),
    "hist_gradient_boosting": _Kind(
        limits={
            "learning_rate": Limits(1e-3, 1.0),
            "max_iter": Limits(10, 1_000, whole=True),
            "max_leaf_nodes": Limits(2, 255, whole=True),
            "min_samples_leaf": Limits(1, 10_000, whole=True),
            "l2_regularization": Limits(0.0, 1e4),
            "max_features": Limits(0.01, 1.0),
        },
        space={
            "learning_rate": LogUniform(log_uniform=(0.02, 0.2)),
            "max_iter": 100,
            "max_leaf_nodes": LogInteger(log_integer=(4, 31)),
            "min_samples_leaf": LogInteger(log_integer=(10, 50)),
            "l2_regularization": LogUniform(log_uniform=(1e-3, 10.0)),
        },
    ),
    "xgboost": _Kind(
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
            "learning_rate": LogUniform(log_uniform=(0.02, 0.2)),
            "n_estimators": 150,
            "max_depth": Integer(integer=(2, 6)),
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


def build_pipeline(
    name: CandidateName,
    parameters: Mapping[str, Scalar],
    *,
    numeric: tuple[str, ...],
    categorical: tuple[str, ...],
    rows: int,
    seed: int,
) -> Any:
    """An unfitted scikit-learn pipeline from a feature frame to a probability.

    Args:
        name: One of ``CANDIDATES``.
        parameters: One configuration of its space.
        numeric: Columns of float64, NaN where missing.
        categorical: Columns of text, None where missing.
        rows: Rows it will be fitted on; caps a forest's rows per tree.
        seed: Seed of the estimator, 0 to 2**32 - 1.

    Returns:
        ``sklearn.pipeline.Pipeline`` with the steps ``columns`` and ``model``.
    """
    raise NotImplementedError
