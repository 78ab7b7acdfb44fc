"""The feature frame: the one form of table that every pipeline takes.

A product's table comes in whatever types a source has; estimators, the MLflow signature and
a serving client need two. Here a table becomes:

- numeric columns, float64, NaN where missing: integers and decimals as they are, booleans as
  0.0 and 1.0, dates and times as days since 1970-01-01 (UTC where a zone is given);
- categorical columns, object of ``str``, None where missing.

The pipeline does not do this itself, so that a stored model needs scikit-learn and XGBoost
and nothing of Interlock.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def feature_frame(table: pd.DataFrame, features: Sequence[str]) -> pd.DataFrame:
    """The feature frame of a table.

    Args:
        table: Any number of rows; ``features`` are among its columns.
        features: Columns to take, in this order.

    Returns:
        New frame with a fresh index from 0 and float64 and object columns only.

    Raises:
        TrainingError: No features, unknown or repeated ones, or a column of mixed type, of
            no value at all, or with an infinite value.
    """
    raise NotImplementedError


def column_kinds(frame: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The numeric and the categorical columns of a feature frame, in its order."""
    raise NotImplementedError
