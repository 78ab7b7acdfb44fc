"""The rows of a spooled source, before any rule: what it declares, read strictly.

CSV itself is ``adapters.csv_text``, Parquet itself ``adapters.parquet``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa

from interlock.adapters import parquet
from interlock.adapters.csv_text import read_csv
from interlock.errors import SourceError
from interlock.ml.source import CsvSource, ParquetSource, Source


def raw_batches(path: Path, source: Source) -> Iterator[pl.DataFrame]:
    """A source's rows, in batches that are not empty; of CSV, all values as text.

    Args:
        path: The source's bytes.
        source: How to read them.

    Yields:
        Batches in the source's order; none for a table without rows.

    Raises:
        SourceError: The bytes are not what the source declares.
    """
    if isinstance(source, ParquetSource):
        batches = _flat_batches(path)
    elif isinstance(source, CsvSource):
        batches = read_csv(path, delimiter=source.delimiter, encoding=source.encoding)
    else:
        batches = read_csv(path, delimiter=",", encoding="utf-8")
    for batch in batches:
        if batch.num_rows:
            yield parquet.frame(batch)


def _flat_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file; dictionaries are read as what they stand for."""
    with parquet.opened(path) as file:
        schema = file.schema_arrow
        _refuse_columns(schema)
        plain = pa.schema(
            (
                field.name,
                field.type.value_type if pa.types.is_dictionary(field.type) else field.type,
            )
            for field in schema
        )
        for batch in parquet.arrow_batches(file):
            yield batch.cast(plain)


def _refuse_columns(schema: pa.Schema) -> None:
    repeated = sorted({name for name in schema.names if schema.names.count(name) > 1})
    if repeated:
        raise SourceError(
            f"the Parquet file names {', '.join(map(repr, repeated))} more than once",
            remedy="give every column a name of its own",
        )
    for field in schema:
        if pa.types.is_nested(field.type) or pa.types.is_binary(field.type):
            raise SourceError(
                f"column {field.name!r} is of type {field.type}; expected a flat column",
                remedy="leave it out of the file, or turn it into plain columns",
            )
