"""The feature frame: the one form of table that every pipeline takes.

A product's table comes in whatever types a source has; estimators, the MLflow signature and
a serving client need two. Here a table becomes:

- numeric columns, float64, NaN where missing: integers and decimals as they are, booleans as
  0.0 and 1.0, dates and times as days since 1970-01-01 (UTC where a zone is given);
- categorical columns, object of ``str``, None where missing.

The pipeline does not do this itself, so that a stored model needs scikit-learn and XGBoost
and nothing of Interlock. A row that is scored later passes the same function.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from interlock.errors import TrainingError

if TYPE_CHECKING:
    import pandas as pd

PROBE_ROWS = 32
"""Rows of a probe: enough to reach most leaves of a small tree, few enough to log."""

_DAY = np.timedelta64(1, "D")
_AS_FLOAT = frozenset({"boolean", "integer", "floating", "mixed-integer-float", "decimal"})
_AS_DATE = frozenset({"date", "datetime", "datetime64"})


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
    import pandas as pd

    _require_names(table, features)
    return pd.DataFrame(
        {name: _column(table[name], name) for name in features},
        index=pd.RangeIndex(len(table)),
        copy=False,
    )


def column_kinds(frame: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The numeric and the categorical columns of a feature frame, in its order."""
    numeric = tuple(str(name) for name in frame.columns if frame[name].dtype.kind == "f")
    return numeric, tuple(str(name) for name in frame.columns if name not in numeric)


def probe_of(
    frame: pd.DataFrame, *, rng: np.random.Generator, rows: int = PROBE_ROWS
) -> pd.DataFrame:
    """A few made-up rows that span a frame and describe nobody in it.

    Each column holds evenly spaced quantiles or its categories in turn, shuffled on its own;
    a missing value stands in the column's first row where the frame has one anywhere.

    Args:
        frame: Feature frame.
        rng: Source of randomness of the shuffles.
        rows: Rows to make, ≥ 2.

    Returns:
        Feature frame of ``rows`` rows with the same columns.
    """
    import pandas as pd

    columns: dict[str, pd.Series[float] | pd.Series[str]] = {}
    for name in frame.columns:
        present = frame[name].dropna()
        if frame[name].dtype.kind == "f":
            grid = np.linspace(0.0, 1.0, rows)
            values = np.quantile(present.to_numpy(), grid, method="nearest")
        else:
            categories = np.array(sorted(present.unique()), dtype=object)
            values = categories[np.arange(rows) % len(categories)]
        values = rng.permutation(values)
        if len(present) < len(frame):
            values[0] = None  # NaN in a float column
        columns[name] = pd.Series(values, dtype=frame[name].dtype)
    return pd.DataFrame(columns)


def _require_names(table: pd.DataFrame, features: Sequence[str]) -> None:
    if not features:
        raise TrainingError("no features are named", remedy="list columns under `features`")
    repeated = sorted(name for name, count in Counter(features).items() if count > 1)
    if repeated:
        raise TrainingError(f"features {repeated} are named twice", remedy="name each once")
    unknown = [name for name in features if name not in table.columns]
    if unknown:
        raise TrainingError(
            f"features {unknown} are not in the data, which has {list(map(str, table.columns))}",
            remedy="correct the names under `features`",
        )


def _column(column: pd.Series, name: str) -> np.ndarray:
    """One column as float64 or as object of str and None."""
    import pandas as pd

    kind = pd.api.types.infer_dtype(column, skipna=True)
    missing = column.isna().to_numpy()
    if missing.all():
        raise TrainingError(
            f"feature {name!r} has no value in any of {len(column)} rows",
            remedy="remove it from `features`",
        )
    if kind in _AS_DATE:
        return _days(column)
    if kind in _AS_FLOAT:
        return _floats(column, name)
    if kind == "categorical":
        column = column.astype(object)
        kind = pd.api.types.infer_dtype(column, skipna=True)
        if kind != "string":
            column = column.map(str, na_action="ignore")
            kind = "string"
    if kind == "string":
        values = column.to_numpy(dtype=object, copy=True)
        values[missing] = None
        return values
    raise TrainingError(
        f"feature {name!r} holds {kind} values; expected numbers, booleans, dates or text",
        remedy="give it one type in the contract, or remove it from `features`",
    )


def _floats(column: pd.Series, name: str) -> np.ndarray:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    infinite = int(np.isinf(values).sum())
    if infinite:
        raise TrainingError(
            f"feature {name!r} is infinite in {infinite} rows",
            remedy="give it `min` and `max` in the contract, so that such rows are quarantined",
        )
    return values


def _days(column: pd.Series) -> np.ndarray:
    import pandas as pd

    moments = pd.to_datetime(column, utc=True).dt.tz_localize(None)
    elapsed = moments.to_numpy(dtype="datetime64[us]") - np.datetime64(0, "us")
    return elapsed / _DAY
