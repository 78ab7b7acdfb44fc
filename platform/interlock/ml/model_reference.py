"""What a version is later held against: the profile of its data and scores, its performance.

Here: the making of both at training, and the performance part as JSON. The profile's value is
``ml.profiles``, its bytes ``ml.profile_bytes``; where they are kept is ``actions.reference``.
ADR-0014.

Rules:

- The profile is of all rows of the validated snapshot and of the features alone. Its scores are
  those of the holdout: on rows that a model was fitted on it is surer than it will ever be again.
  The other rows have no score, so missing scores are no drift (``limits_of_scores``).
- Protected columns that are no features are in no profile; they part the rows of the holdout, and
  nothing else is kept of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, ValidationError

from interlock.errors import DataError, ProfileError
from interlock.ml.drift_limits import DriftLimits
from interlock.ml.evaluation import CostMatrix
from interlock.ml.monitoring import SCORE
from interlock.ml.performance_reference import PerformanceReference, measure_reference
from interlock.ml.profile_plan import ColumnRole, ProfilePlan
from interlock.ml.profiles import TableProfile, profile_reference
from interlock.ml.score_calibration import ScoreCalibration, fit_calibration
from interlock.ml.score_cells import Booleans, Floats


class ScoredReference(BaseModel):
    """A version's performance on its holdout.

    Attributes:
        threshold: From which score on a row is called positive.
        performance: What was measured.
        calibration: How far scores are probabilities; for estimates without labels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold: float
    performance: PerformanceReference
    calibration: ScoreCalibration


def profile_of_training(
    table: pl.DataFrame,
    *,
    features: Sequence[str],
    held: np.ndarray[tuple[int], np.dtype[np.intp]],
    score: Floats,
    pairs: Sequence[tuple[str, str]] = (),
) -> TableProfile:
    """The profile of what a model learned from.

    Args:
        table: n rows of the snapshot, with the features.
        features: Columns to profile.
        held: Places of the holdout's rows in the table.
        score: Of these rows, shape (len(held),).
        pairs: Features whose joint distribution is followed.

    Returns:
        The profile of the features and of ``SCORE``.

    Raises:
        ProfileError: A pair names no feature, or a column cannot be counted.
    """
    if SCORE in features:
        raise ProfileError(
            f"a feature is named {SCORE!r}, which is the model's score", remedy="rename it"
        )
    scores = np.full(table.height, np.nan)
    scores[held] = score
    column = pl.Series(SCORE, scores).fill_nan(None)
    return profile_reference(
        table.select(features).with_columns(column),
        roles={SCORE: ColumnRole.PREDICTION},
        pairs=pairs,
    )


def score_reference(
    outcome: Booleans,
    score: Floats,
    table: pl.DataFrame,
    *,
    threshold: float,
    cost: CostMatrix,
    segments: Sequence[str],
    protected: Sequence[str],
    rng: np.random.Generator,
) -> ScoredReference:
    """The performance of a model on rows that it was not fitted on.

    Args:
        outcome: Shape (n,), True for the positive class.
        score: Shape (n,), in [0, 1].
        table: n rows with the segment columns.
        threshold: From which score on a row is called positive.
        cost: Costs of wrong decisions.
        segments: Columns to part by.
        protected: Columns whose groups are protected.
        rng: Source of randomness of the calibration's folds.

    Raises:
        DataError: A column is missing, or one class alone.
    """
    return ScoredReference(
        threshold=threshold,
        performance=measure_reference(
            outcome,
            score,
            score >= threshold,
            table,
            cost=cost,
            segments=segments,
            protected=protected,
        ),
        calibration=fit_calibration(outcome, score, rng=rng),
    )


def read_scored_reference(stored: bytes) -> ScoredReference:
    """What ``model_dump_json`` wrote.

    Raises:
        DataError: It is something else.
    """
    try:
        return ScoredReference.model_validate_json(stored)
    except ValidationError as error:
        raise DataError(
            f"{len(stored)} bytes are no performance of a version",
            remedy="train and register the version again",
        ) from error


def limits_of_scores(limits: DriftLimits) -> DriftLimits:
    """The same limits, without one for missing scores; see the rules above."""
    own = limits.of(SCORE).model_copy(update={"missing": None})
    return limits.model_copy(update={"columns": {**limits.columns, SCORE: own}})


def fitting_limits(limits: DriftLimits, plan: ProfilePlan) -> tuple[DriftLimits, tuple[str, ...]]:
    """The limits that can be held against a version's reference.

    Args:
        limits: As the product declares them today; features may have come since the version.
        plan: Of the reference, with or without scores.

    Returns:
        Those of the plan's columns, of scores as ``limits_of_scores`` has them; and a sentence for
        a reader where others were left out.
    """
    known = {column.name for column in plan.columns}
    columns = {name: own for name, own in limits.columns.items() if name in known}
    fitting = limits.model_copy(update={"columns": columns})
    unknown = sorted(set(limits.columns) - known - {SCORE})
    return (
        limits_of_scores(fitting) if SCORE in known else fitting,
        (f"not in the reference, so their limits judge nothing: {', '.join(unknown)}",)
        if unknown
        else (),
    )
