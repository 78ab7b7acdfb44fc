"""Segments: which group of which column a row belongs to, as the reference decided it.

The reference fixes the groups, so that a window of today has the same ones: the values of a column
of few, the most frequent ones of a column of many, and fifths of a number. What comes later and
was not seen then is a group of its own, and so is a missing value; no row is without a group.

What is measured in each group is in ``ml.performance``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict

from interlock.errors import DataError

MAX_VALUES = 20
"""Most values of a column that are groups of their own; the rarer ones share ``OTHER``."""

MAX_DISTINCT_NUMBERS = 10
"""A number of at most as many values is grouped by value, one of more by fifths."""

OTHER, MISSING = "(other)", "(missing)"

_FIFTHS = (0.2, 0.4, 0.6, 0.8)


class SegmentColumn(BaseModel):
    """How one column parts the rows.

    Attributes:
        name: The column.
        protected: Whether its groups are protected ones.
        values: Values that are groups, as text; empty for a number parted by edges.
        edges: Inner edges of a number's groups, rising; a group holds its lower edge.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str
    protected: bool
    values: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()

    @property
    def groups(self) -> tuple[str, ...]:
        """All groups that a row can fall in, in the order to show them."""
        return (*(self.values or _between(self.edges)), OTHER, MISSING)


class Segmentation(BaseModel):
    """All columns that part the rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: tuple[SegmentColumn, ...] = ()


def fit_segmentation(
    table: pl.DataFrame, *, segments: Sequence[str] = (), protected: Sequence[str] = ()
) -> Segmentation:
    """Let a reference decide the groups.

    Args:
        table: The reference's rows.
        segments: Columns to part by.
        protected: Columns whose groups are protected; they need not be among the segments.

    Returns:
        The segmentation, protected columns first.

    Raises:
        DataError: A column that the table lacks.
    """
    names = tuple(dict.fromkeys((*protected, *segments)))
    _require(table, names)
    return Segmentation(
        columns=tuple(_fit(table[name], name, protected=name in protected) for name in names)
    )


def assign_segments(table: pl.DataFrame, segmentation: Segmentation) -> Mapping[str, pl.Series]:
    """The group of each row, for each column.

    Args:
        table: Any rows.
        segmentation: From the reference.

    Returns:
        Column to group, text without nulls.

    Raises:
        DataError: A column is missing, or a number is no number now.
    """
    _require(table, [column.name for column in segmentation.columns])
    return {column.name: _assign(table[column.name], column) for column in segmentation.columns}


def _require(table: pl.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise DataError(
            f"segment columns {', '.join(missing)} are not in the table, which has "
            f"{', '.join(table.columns) or 'nothing'}",
            remedy="carry them along with the predictions",
        )


def _fit(values: pl.Series, name: str, *, protected: bool) -> SegmentColumn:
    if values.dtype.is_numeric():
        numbers = values.cast(pl.Float64).drop_nulls().drop_nans()
        numbers = numbers.filter(numbers.is_finite())
        if numbers.n_unique() > MAX_DISTINCT_NUMBERS:
            edges = np.unique(np.quantile(numbers.to_numpy(), _FIFTHS, method="higher"))
            return SegmentColumn(name=name, protected=protected, edges=tuple(edges.tolist()))
    counts = _as_text(values).drop_nulls().value_counts().rows()
    frequent = sorted(counts, key=lambda each: (-each[1], each[0]))[:MAX_VALUES]
    return SegmentColumn(name=name, protected=protected, values=tuple(text for text, _ in frequent))


def _assign(values: pl.Series, column: SegmentColumn) -> pl.Series:
    if not column.edges:
        text = _as_text(values)
        known = text.is_in(list(column.values)) | text.is_null()
        other = pl.Series([OTHER], dtype=pl.String)
        return text.zip_with(known, other).fill_null(MISSING).alias(column.name)
    if values.dtype != pl.Null and not values.dtype.is_numeric():
        raise DataError(
            f"segment column {column.name!r} is of type {values.dtype}, and the reference parts "
            "it as a number",
            remedy="write it as the reference has it",
        )
    numbers = values.cast(pl.Float64).to_numpy()  # null becomes NaN
    names = np.array([*_between(column.edges), OTHER, MISSING], dtype=object)
    place = np.searchsorted(column.edges, numbers, side="right")
    place = np.where(np.isinf(numbers), len(names) - 2, place)
    place = np.where(np.isnan(numbers), len(names) - 1, place)
    return pl.Series(column.name, names[place], dtype=pl.String)


def _as_text(values: pl.Series) -> pl.Series:
    """Values as text; whole numbers without a point, blanks and NaN as missing."""
    if values.dtype.is_float():
        whole = (values == values.round()).fill_null(value=False)
        integers = values.cast(pl.Int64, strict=False).cast(pl.String)
        text = integers.zip_with(whole & integers.is_not_null(), values.cast(pl.String))
        blank = values.is_nan()
    else:
        text = values.cast(pl.String)
        blank = text.str.strip_chars() == ""
    return text.zip_with(~blank.fill_null(value=True), pl.Series([None], dtype=pl.String))


def _between(edges: Sequence[float]) -> tuple[str, ...]:
    shown = [f"{edge:.10g}" for edge in edges]
    inner = (f"{low} to < {high}" for low, high in pairwise(shown))
    return (f"< {shown[0]}", *inner, f"≥ {shown[-1]}") if shown else ()
