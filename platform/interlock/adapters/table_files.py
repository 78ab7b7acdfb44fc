"""Files of rows as typed batches, some columns and some rows at a time: CSV and Parquet.

What is done with the rows is elsewhere: ``adapters.profiling`` counts them. Raw rows for a data
contract, which says of each value whether it is right, are ``adapters.raw_rows``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import polars as pl

from interlock.adapters import parquet
from interlock.adapters.csv_text import csv_columns, read_csv
from interlock.errors import SourceError
from interlock.ml.column_values import Family
from interlock.ml.columns import ColumnType
from interlock.ml.profile_plan import ProfilePlan
from interlock.ml.value_types import DTYPES, read_column

PARQUET_ENDINGS: Final = frozenset({".parquet", ".pq"})
# From the narrowest; what fits none is text.
_GUESSES: Final = (ColumnType.NUMBER, ColumnType.DATE, ColumnType.DATETIME)
_TYPES: Final[Mapping[Family, ColumnType]] = {
    Family.NUMBER: ColumnType.NUMBER,
    Family.BOOLEAN: ColumnType.BOOLEAN,
    Family.DATE: ColumnType.DATE,
    Family.DATETIME: ColumnType.DATETIME,
    Family.INSTANT: ColumnType.DATETIME,
    Family.TEXT: ColumnType.TEXT,
}


@dataclass(frozen=True)
class TableFile:
    """A file of rows on this machine.

    Attributes:
        path: Where it is; Parquet by its ending, otherwise CSV.
        name: What people are told it is, e.g. its address in the object store.
        delimiter: Of CSV.
        encoding: Of CSV.
        null_values: Texts of CSV besides blanks that mean "no value".
        decimal: Decimal mark of CSV.
        types: Of a CSV's columns, where known; see ``typed_as``.
        clocks: Columns of a CSV that are clock times without a zone.
    """

    path: Path
    name: str = ""
    delimiter: str = ","
    encoding: str = "utf-8"
    null_values: tuple[str, ...] = ()
    decimal: str = "."
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    clocks: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """What people are told it is."""
        return self.name or str(self.path)

    @property
    def is_parquet(self) -> bool:
        """Whether rows can be read some columns and some row groups at a time."""
        return self.path.suffix in PARQUET_ENDINGS


def group_rows(file: TableFile) -> tuple[int, ...]:
    """Rows of each row group; of a CSV file none, since nobody knows before it was read.

    Raises:
        SourceError: It cannot be read.
    """
    if not file.is_parquet:
        return ()
    with parquet.opened(file.path) as opened:
        found = opened.metadata
        return tuple(found.row_group(place).num_rows for place in range(found.num_row_groups))


def schema(file: TableFile) -> dict[str, pl.DataType]:
    """Columns and types; of CSV all columns are text unless its types are known.

    Raises:
        SourceError: It cannot be read.
    """
    if file.is_parquet:
        try:
            return parquet.schema_of(file.path)
        except pl.exceptions.PolarsError as error:
            raise SourceError(
                f"its columns cannot be told apart ({error})",
                remedy="give every column a name of its own",
            ) from error
    try:
        names = csv_columns(file.path, delimiter=file.delimiter, encoding=file.encoding)
    except OSError as error:
        raise SourceError(
            f"the file cannot be read ({error.strerror or error})",
            remedy="check that it exists and may be read",
        ) from error
    known = {name: DTYPES[file.types[name]] for name in names if name in file.types}
    naive = {name: pl.Datetime("us") for name in known if name in file.clocks}
    return {name: pl.String() for name in names} | known | naive


def batches(
    file: TableFile,
    columns: Sequence[str],
    *,
    groups: Sequence[int] | None = None,
    on_bytes: Callable[[int], None] | None = None,
) -> Iterator[pl.DataFrame]:
    """Some columns of some rows, at most ``parquet.BATCH_ROWS`` at a time, by row groups.

    Args:
        file: What to read.
        columns: Which columns; all of them exist.
        groups: Which row groups of a Parquet file; all when not given.
        on_bytes: Called with about how many bytes of a CSV file were read since.

    Yields:
        Batches; those of CSV typed where its types are known.

    Raises:
        SourceError: It is damaged, or a value is not of the type known.
    """
    if file.is_parquet:
        with parquet.opened(file.path) as opened:
            # Group by group: a batch across two groups would depend on which groups were asked
            # for, and with it the last bits of what is computed from batches.
            every = range(opened.metadata.num_row_groups) if groups is None else groups
            for group in every:
                for batch in parquet.arrow_batches(opened, list(columns), groups=[group]):
                    yield parquet.frame(batch)
        return
    rows = 0
    for text in read_csv(file.path, delimiter=file.delimiter, encoding=file.encoding):
        if on_bytes is not None:
            on_bytes(text.nbytes)
        if not text.num_rows:
            continue
        batch = parquet.frame(text.select(list(columns)))
        yield pl.DataFrame([typed(file, batch[name], rows_before=rows) for name in columns])
        rows += batch.height


def typed_as(file: TableFile, plan: ProfilePlan) -> TableFile:
    """A CSV file whose columns are read as what a plan says they are."""
    if file.is_parquet:
        return file
    types = {
        column.name: _TYPES[column.family] for column in plan.columns if column.family in _TYPES
    }
    clocks = {column.name for column in plan.columns if column.family is Family.DATETIME}
    return replace(file, types=types, clocks=frozenset(clocks))


def typed_by(file: TableFile, sample: pl.DataFrame) -> TableFile:
    """A CSV file whose columns are read as what a sample of its texts can all be."""
    if file.is_parquet:
        return file
    guessed = {name: _guess(file, sample[name]) for name in sample.columns}
    return replace(file, types=guessed | dict(file.types))


def _guess(file: TableFile, texts: pl.Series) -> ColumnType:
    if texts.dtype != pl.String:
        return ColumnType.TEXT  # it was typed already
    for guess in _GUESSES:
        found = read_column(texts, guess, null_values=file.null_values, decimal=file.decimal)
        if not found.wrong.any() and not found.missing.all():
            return guess
    return ColumnType.TEXT


def typed(file: TableFile, texts: pl.Series, *, rows_before: int = 0) -> pl.Series:
    """A column of texts as what the file says it is.

    Raises:
        SourceError: A value is none of that type; names its row.
    """
    known = file.types.get(texts.name)
    if known is None:
        return texts
    found = read_column(texts, known, null_values=file.null_values, decimal=file.decimal)
    if found.wrong.any():
        row = rows_before + int(found.wrong.arg_true()[0]) + 1
        raise SourceError(
            f"row {row} has no {known} in column {texts.name!r}",
            remedy="correct the rows, or have the column counted as a category",
        )
    values = found.values.rename(texts.name)
    return values.dt.replace_time_zone(None) if texts.name in file.clocks else values
