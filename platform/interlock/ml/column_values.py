"""What a column's values are, for counting: numbers, or texts.

Types that may stand in for each other are one family. What is counted of the values is
``ml.profile_plan``; reading raw text by a contract is ``ml.value_types``.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import Final

import polars as pl

from interlock.errors import ProfileError

MAX_TEXT: Final = 200  # characters of a category


class Family(StrEnum):
    """Types that may stand in for each other; of another family, a column is another one."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"
    DATE = "date"
    DATETIME = "datetime"  # clock times without a zone
    INSTANT = "datetime with zone"
    TIME = "time"
    DURATION = "duration"


def family_of(dtype: pl.DataType) -> Family:
    """The family of a type.

    Raises:
        ProfileError: Lists, structures and bytes have none.
    """
    for matches, family in (
        (dtype.is_numeric(), Family.NUMBER),
        (dtype == pl.Boolean, Family.BOOLEAN),
        (dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null), Family.TEXT),
        (dtype == pl.Date, Family.DATE),
        (dtype == pl.Time, Family.TIME),
        (dtype == pl.Duration, Family.DURATION),
    ):
        if matches:
            return family
    if isinstance(dtype, pl.Datetime):
        return Family.DATETIME if dtype.time_zone is None else Family.INSTANT
    raise ProfileError(
        f"a column of type {dtype} has no distribution", remedy="leave the column out"
    )


def type_name(dtype: pl.DataType) -> str:
    """A type in words: its family, or what polars calls it."""
    try:
        return str(family_of(dtype))
    except ProfileError:
        return str(dtype)


def tally(column: pl.Series) -> dict[str, int]:
    """Rows of each value but missing ones, as profiles name it."""
    counted = texts_of(column).alias("value").drop_nulls().value_counts(name="rows")
    found: dict[str, int] = {}
    for value, rows in zip(counted["value"].to_list(), counted["rows"].to_list(), strict=True):
        name = category_name(value)
        found[name] = found.get(name, 0) + rows
    return found


def missing_rows(column: pl.Series) -> int:
    """Rows without a value: null, or NaN among numbers."""
    nan = int(column.is_nan().sum()) if column.dtype.is_float() else 0
    return column.null_count() + nan


def numbers_of(column: pl.Series) -> pl.Series:
    """A column's numbers: as they are; days since 1970; microseconds since 1970 or midnight."""
    if isinstance(column.dtype, pl.Datetime):
        return column.dt.epoch("us")
    if isinstance(column.dtype, pl.Duration):
        return column.dt.total_microseconds()
    if column.dtype == pl.Time:
        return column.to_physical() // 1000
    if column.dtype == pl.Date:
        return column.to_physical()
    if isinstance(column.dtype, pl.Decimal):
        return column.cast(pl.Float64)
    return column


def texts_of(column: pl.Series) -> pl.Series:
    """A column's values as text; a whole number is written alike, whatever type holds it."""
    if column.dtype == pl.String:
        return column
    texts = column.cast(pl.String)
    return texts.str.strip_suffix(".0") if column.dtype.is_float() else texts


def category_name(value: str) -> str:
    """A value as a profile keeps it: long ones by their start and hash."""
    if len(value) <= MAX_TEXT:
        return value
    digest = hashlib.sha256(value.encode()).hexdigest()[:16]
    return f"{value[: MAX_TEXT - 17]}#{digest}"
