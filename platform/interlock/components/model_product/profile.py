"""Looking at every column of a new table, to draft a product from it.

What was seen is a ``ColumnProfile``; what follows from it is decided in ``draft``. Streams:
memory does not grow with the rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from interlock.ml.columns import ColumnType
from interlock.ml.value_types import read_column

MAX_DISTINCT = 60  # more different texts are no category that a person would confirm
SAMPLE_ROWS = 200_000  # among which values are compared to see whether a column is a key
NULL_TEXTS = ("NA", "N/A", "n/a", "na", "NULL", "null", "None", "NaN", "nan", "?", "-", ".")
"""Texts that mean "no value" where all other values of a column are numbers or dates."""

_TYPES = (ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.DATE, ColumnType.DATETIME)


@dataclass(frozen=True)
class Reading:
    """A way to read all values of a column.

    Attributes:
        type: As what.
        decimal: The decimal mark, for numbers.
        min: Least finite value.
        max: Greatest finite value.
        fractions: Whether a number was written with a decimal mark.
    """

    type: ColumnType
    decimal: str
    min: Any
    max: Any
    fractions: bool


@dataclass(frozen=True)
class ColumnProfile:
    """What was seen of a column.

    Attributes:
        name: The column.
        dtype: As stored; ``String`` for CSV.
        rows: Rows of the table.
        blanks: Rows without a value.
        null_texts: Texts of ``NULL_TEXTS`` that occur, with the number of rows.
        readings: Types as which all other values can be read, the narrowest first.
        counts: Rows per value as written; None when there are more than ``MAX_DISTINCT``.
        distinct_share: Share of different values among the first ``SAMPLE_ROWS``, in [0, 1].
        increasing: Whether the numbers among them strictly increase.
    """

    name: str
    dtype: pl.DataType
    rows: int
    blanks: int
    null_texts: Counter[str]
    readings: tuple[Reading, ...]
    counts: Counter[str] | None
    distinct_share: float
    increasing: bool


def profile_columns(batches: Iterable[pl.DataFrame]) -> tuple[ColumnProfile, ...]:
    """Look at all rows of a table.

    Args:
        batches: Of one table, not empty.

    Returns:
        One profile per column, in the table's order.
    """
    columns: dict[str, _Profiler] = {}
    for batch in batches:
        for series in batch:
            columns.setdefault(series.name, _Profiler(series.dtype)).add(series)
    return tuple(profiler.profile(name) for name, profiler in columns.items())


class _Profiler:
    def __init__(self, dtype: pl.DataType) -> None:
        self._dtype = dtype
        self._rows = self._blanks = 0
        self._null_texts: Counter[str] = Counter()
        self._counts: Counter[str] | None = Counter()
        self._attempts = [_Attempt(each, ".") for each in _TYPES]
        self._attempts += [_Attempt(ColumnType.NUMBER, ",")] if dtype == pl.String else []
        self._sample: list[pl.Series] = []

    def add(self, series: pl.Series) -> None:
        values = self._present(series)
        texts = values if values.dtype == pl.String else values.cast(pl.String)
        if self._rows < SAMPLE_ROWS:
            self._sample.append(texts.head(SAMPLE_ROWS - self._rows))
        self._rows += len(series)
        if self._counts is not None:
            self._counts.update(dict(texts.alias("text").value_counts(name="rows").iter_rows()))
            if len(self._counts) > MAX_DISTINCT:
                self._counts = None
        self._attempts = [each for each in self._attempts if each.succeeds(values)]

    def _present(self, series: pl.Series) -> pl.Series:
        """The values that are neither blank nor a text for "no value"; counts the others."""
        if series.dtype != pl.String:
            values = series.drop_nulls()
            self._blanks += len(series) - len(values)
            return values
        stripped = series.str.strip_chars()
        blank = series.is_null() | (stripped == "")
        none = stripped.is_in(NULL_TEXTS).fill_null(value=False)
        self._blanks += int(blank.sum())
        if none.any():
            self._null_texts.update(stripped.filter(none).to_list())
        return series.filter(~(blank | none))

    def profile(self, name: str) -> ColumnProfile:
        sample = pl.concat(self._sample) if self._sample else pl.Series([], dtype=pl.String)
        numbers = sample.cast(pl.Float64, strict=False)
        return ColumnProfile(
            name=name,
            dtype=self._dtype,
            rows=self._rows,
            blanks=self._blanks,
            null_texts=self._null_texts,
            readings=tuple(each.reading() for each in self._attempts if each.values),
            counts=self._counts,
            distinct_share=sample.n_unique() / len(sample) if len(sample) else 0.0,
            increasing=bool(len(numbers) > 1 and (numbers.diff().drop_nulls() > 0).all())
            and numbers.null_count() == 0,
        )


class _Attempt:
    """Reading a column as one type, until a value refuses."""

    def __init__(self, column_type: ColumnType, decimal: str) -> None:
        self._type = column_type
        self._decimal = decimal
        self._min: Any = None
        self._max: Any = None
        self._fractions = False
        self.values = 0

    def succeeds(self, values: pl.Series) -> bool:
        """Whether all these values can be read as well."""
        column = read_column(values, self._type, decimal=self._decimal)
        if column.wrong.any():
            return False
        read = column.values.drop_nulls()
        if self._type is ColumnType.NUMBER:
            read = read.filter(read.is_finite())
            if values.dtype == pl.String:
                mark = values.str.contains(self._decimal, literal=True)
                self._fractions = self._fractions or bool(mark.any())
        self.values += len(read)
        if len(read):
            least, greatest = read.min(), read.max()
            self._min = least if self._min is None else min(self._min, least)
            self._max = greatest if self._max is None else max(self._max, greatest)
        return True

    def reading(self) -> Reading:
        return Reading(self._type, self._decimal, self._min, self._max, self._fractions)
