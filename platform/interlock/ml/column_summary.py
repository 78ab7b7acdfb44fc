"""What raw columns hold, at a glance: blanks, distinct values, least and greatest.

For people who look at a new table; nothing is decided by it. Fed batch by batch, with
memory that does not grow with the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

MAX_DISTINCT = 1_000  # beyond it a column is no category for anybody who reads a summary
MAX_SHOWN = 80  # characters of a least or greatest value


@dataclass(frozen=True)
class ColumnSummary:
    """What a raw column holds.

    Attributes:
        name: The column.
        type: ``text`` for CSV, where all values are kept as written, or Parquet's own type.
        nulls: Rows without a value; blanks included.
        distinct: Different values; None when there are more than ``MAX_DISTINCT``.
        min: Least value as text; by number where all values are numbers.
        max: Greatest value as text.
    """

    name: str
    type: str
    nulls: int
    distinct: int | None
    min: str | None
    max: str | None


class Summariser:
    """Summarises the columns of a table from its batches."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}

    def add(self, batch: pl.DataFrame) -> None:
        """Look at the next batch; all have the same columns."""
        for series in batch:
            self._columns.setdefault(series.name, _Column(series.dtype)).add(series)

    def summary(self) -> tuple[ColumnSummary, ...]:
        """One entry per column, in the table's order."""
        return tuple(column.summary(name) for name, column in self._columns.items())


class _Column:
    def __init__(self, dtype: pl.DataType) -> None:
        self._type = "text" if dtype == pl.String else str(dtype)
        self._is_text = dtype == pl.String
        self._numeric = True
        self._nulls = 0
        self._distinct: set[Any] | None = set()
        self._values: tuple[Any, Any] | None = None
        self._numbers: tuple[float, float] | None = None

    def add(self, series: pl.Series) -> None:
        if self._distinct is not None:
            # Few different values: all that follows needs no more than one of each.
            counts = series.alias("value").value_counts(name="rows")
            series, rows = counts["value"], counts["rows"]
        else:
            rows = None
        missing = series.is_null()
        if self._is_text:
            missing = missing | (series.str.strip_chars() == "")
        self._nulls += int((missing if rows is None else rows.filter(missing)).sum())
        values = series.filter(~missing) if missing.any() else series
        if not len(values):
            return
        self._values = _widened(self._values, values)
        if self._is_text and self._numeric:
            numbers = values.str.strip_chars().cast(pl.Float64, strict=False)
            self._numeric = numbers.null_count() == 0
            self._numbers = _widened(self._numbers, numbers) if self._numeric else None
        if self._distinct is not None:
            self._distinct.update(values)
            if len(self._distinct) > MAX_DISTINCT:
                self._distinct = None

    def summary(self, name: str) -> ColumnSummary:
        limits = self._numbers or self._values
        least, greatest = (None, None) if limits is None else map(_shown, limits)
        return ColumnSummary(
            name=name,
            type=self._type,
            nulls=self._nulls,
            distinct=None if self._distinct is None else len(self._distinct),
            min=least,
            max=greatest,
        )


def _widened(limits: tuple[Any, Any] | None, values: pl.Series) -> tuple[Any, Any]:
    """Limits that also hold these values."""
    least, greatest = values.min(), values.max()
    if limits is None:
        return least, greatest
    return min(limits[0], least), max(limits[1], greatest)


def _shown(value: Any) -> str:
    """A limit as text: numbers in their shortest form."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value)[:MAX_SHOWN]
