"""Reading a column's raw values as values of its contract's type.

Raw values are texts as a CSV file has them, or the types of a Parquet file. What each text
means is stated in ``ml.contract``. Rules other than "is it of this type" live elsewhere.

Most values of a clean column are read by one fast cast. Only the few that it rejects are
looked at again: blanks, padding, decimal commas, ``12.0`` for 12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import time

import polars as pl

from interlock.ml.columns import ColumnType

DTYPES: dict[ColumnType, pl.DataType] = {
    ColumnType.INTEGER: pl.Int64(),
    ColumnType.NUMBER: pl.Float64(),
    ColumnType.BOOLEAN: pl.Boolean(),
    ColumnType.CATEGORY: pl.String(),
    ColumnType.TEXT: pl.String(),
    ColumnType.DATE: pl.Date(),
    ColumnType.DATETIME: pl.Datetime("us", "UTC"),
}
"""What an accepted table holds for each type."""

EXACT_INTEGERS = 2.0**53  # beyond it not every integer is a float64 (IEEE 754 binary64)
_TRUE = ["true", "yes", "t", "y", "1"]
_FALSE = ["false", "no", "f", "n", "0"]
_MIDNIGHT = time(0)
_WITH_ZONE = "%Y-%m-%d %H:%M:%S%.f%#z"
_WITHOUT_ZONE = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")


@dataclass(frozen=True)
class TypedColumn:
    """A column, read.

    Attributes:
        values: Of the type in ``DTYPES``; null where there is no value or a wrong one.
        missing: Whether there is no value.
        wrong: Whether there is one that is not of the type.
    """

    values: pl.Series
    missing: pl.Series
    wrong: pl.Series


def read_column(
    raw: pl.Series,
    column_type: ColumnType,
    *,
    null_values: tuple[str, ...] = (),
    decimal: str = ".",
) -> TypedColumn:
    """Read raw values as values of a type.

    Args:
        raw: Texts as written, or typed values.
        column_type: What they should be.
        null_values: Texts besides blanks that mean "no value".
        decimal: The decimal mark of numbers written as text.

    Returns:
        The values, and which are missing or wrong; three series of the same length.
    """
    if isinstance(raw.dtype, pl.Categorical | pl.Enum | pl.Null):
        raw = raw.cast(pl.String)
    if null_values and raw.dtype == pl.String:
        keep = ~raw.is_in(list(null_values)) & ~raw.str.strip_chars().is_in(list(null_values))
        raw = raw.zip_with(keep.fill_null(value=True), pl.Series([None], dtype=pl.String))
    if raw.dtype != pl.String:
        values = _from_typed(raw, column_type)
        if values is not None:
            missing = raw.is_null()
            return TypedColumn(values, missing, values.is_null() & ~missing)
        raw = raw.cast(pl.String)
    if column_type in {ColumnType.CATEGORY, ColumnType.TEXT}:
        missing = raw.is_null() | (raw.str.strip_chars() == "")
        return TypedColumn(_nulled(raw, missing), missing, pl.repeat(False, len(raw), eager=True))
    if decimal == "," and column_type in {ColumnType.INTEGER, ColumnType.NUMBER}:
        # A point is then no decimal mark, and nothing else a number may hold.
        raw = raw.str.replace(".", "?", literal=True).str.replace(",", ".", literal=True)
    return _from_text(raw, _PARSERS[column_type])


def _from_text(raw: pl.Series, parsers: tuple[_Parser, _Parser]) -> TypedColumn:
    """Try the fast parser on all values and the thorough one on those it rejects."""
    fast, thorough = parsers
    values = fast(raw)
    missing = raw.is_null()
    wrong = values.is_null() & ~missing
    if not wrong.any():
        return TypedColumn(values, missing, wrong)
    rejected = wrong.arg_true()
    texts = raw.gather(rejected).str.strip_chars()
    blank = texts == ""
    second = thorough(texts)
    values = values.scatter(rejected, second)
    return TypedColumn(
        values,
        missing.scatter(rejected, blank),
        wrong.scatter(rejected, second.is_null() & ~blank),
    )


_Parser = Callable[[pl.Series], pl.Series]


def _integers(texts: pl.Series) -> pl.Series:
    return texts.cast(pl.Int64, strict=False)


def _any_integers(texts: pl.Series) -> pl.Series:
    return _integers(texts).fill_null(_whole(texts.cast(pl.Float64, strict=False)))


def _numbers(texts: pl.Series) -> pl.Series:
    return texts.cast(pl.Float64, strict=False)


def _booleans(texts: pl.Series) -> pl.Series:
    lower = texts.str.to_lowercase()
    known = lower.is_in(_TRUE + _FALSE)
    return _nulled(lower.is_in(_TRUE), ~known)


def _dates(texts: pl.Series) -> pl.Series:
    return texts.str.to_date("%Y-%m-%d", strict=False, exact=True)


def _datetimes(texts: pl.Series) -> pl.Series:
    plain = texts.str.replace("T", " ", literal=True)
    found = plain.str.to_datetime(_WITH_ZONE, strict=False, time_unit="us")
    for form in _WITHOUT_ZONE:
        naive = plain.str.to_datetime(form, strict=False, time_unit="us")
        found = found.fill_null(naive.dt.replace_time_zone("UTC"))
    return found


_PARSERS: dict[ColumnType, tuple[_Parser, _Parser]] = {
    ColumnType.INTEGER: (_integers, _any_integers),
    ColumnType.NUMBER: (_numbers, _numbers),
    ColumnType.BOOLEAN: (_booleans, _booleans),
    ColumnType.DATE: (_dates, _dates),
    ColumnType.DATETIME: (_datetimes, _datetimes),
}


def _from_typed(raw: pl.Series, column_type: ColumnType) -> pl.Series | None:
    """Typed values as another type without a detour over text; None where there is no way."""
    dtype = raw.dtype
    values: pl.Series | None = None
    if column_type is ColumnType.INTEGER and dtype.is_numeric():
        is_integer = dtype.is_integer()
        values = raw.cast(pl.Int64, strict=False) if is_integer else _whole(raw.cast(pl.Float64))
    elif column_type is ColumnType.NUMBER and dtype.is_numeric():
        values = raw.cast(pl.Float64)
    elif dtype == DTYPES[column_type]:
        values = raw
    elif column_type is ColumnType.DATE and isinstance(dtype, pl.Datetime):
        values = _nulled(raw.dt.date(), (raw.dt.time() != _MIDNIGHT).fill_null(value=False))
    elif column_type is ColumnType.DATETIME and dtype == pl.Date:
        values = raw.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    elif column_type is ColumnType.DATETIME and isinstance(dtype, pl.Datetime):
        zoned = raw if dtype.time_zone else raw.dt.replace_time_zone("UTC")
        values = zoned.dt.convert_time_zone("UTC").cast(DTYPES[ColumnType.DATETIME])
    return values


def _whole(numbers: pl.Series) -> pl.Series:
    """Floats as integers; null where they are not whole or not exact."""
    exact = (numbers == numbers.round()) & (numbers.abs() <= EXACT_INTEGERS)
    return _nulled(numbers, ~exact.fill_null(value=False)).cast(pl.Int64)


def _nulled(values: pl.Series, where: pl.Series) -> pl.Series:
    """Values with null at some places."""
    if not where.any():
        return values
    return values.zip_with(~where, pl.Series([None], dtype=values.dtype))
