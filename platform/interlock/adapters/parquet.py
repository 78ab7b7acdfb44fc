"""Parquet files, streamed: row groups of bounded size, written by a thread of their own.

What the tables hold is decided by ``adapters.tables``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from interlock.adapters.new_file import new_file
from interlock.errors import SourceError

BATCH_ROWS = 131_072  # Parquet's usual row group; a batch of 20 columns takes some 10 MB
BATCH_BYTES = 64 << 20  # of wide tables, in memory
COMPRESSION_LEVEL = 1  # zstd; level 3 took half as long again for 4 % fewer bytes


def read_batches(path: Path, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
    """The rows of a Parquet file, a bounded number at a time.

    Args:
        path: The file.
        columns: Which columns; all when not given.

    Yields:
        Batches of at most ``BATCH_ROWS`` rows; none for a table without rows.

    Raises:
        SourceError: It is no Parquet file, or a damaged one.
    """
    with opened(path) as file:
        yield from (frame(batch) for batch in arrow_batches(file, columns))


@contextmanager
def opened(path: Path) -> Iterator[pq.ParquetFile]:
    """An open Parquet file.

    Raises:
        SourceError: It is no Parquet file.
    """
    try:
        # Without buffers of whole row groups, memory does not grow with their size.
        file = pq.ParquetFile(
            path, pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True
        )
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            "the file is no Parquet file", remedy="name a Parquet file, or write it again"
        ) from error
    with file:
        yield file


def arrow_batches(
    file: pq.ParquetFile, columns: list[str] | None = None, *, groups: list[int] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of an open Parquet file.

    Args:
        file: The file.
        columns: Which columns; all when not given.
        groups: Which row groups; all when not given.

    Raises:
        SourceError: The file is damaged.
    """
    batches = file.iter_batches(batch_size=BATCH_ROWS, columns=columns, row_groups=groups)
    rows = 0
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise SourceError(
                f"the Parquet file is damaged after row {rows}", remedy="write it again"
            ) from error
        if batch is None:
            return
        rows += batch.num_rows
        yield batch


def rows_of(path: Path) -> int:
    """How many rows a Parquet file has.

    Raises:
        SourceError: It is no Parquet file.
    """
    with opened(path) as file:
        return int(file.metadata.num_rows)


def schema_of(path: Path) -> dict[str, pl.DataType]:
    """The columns of a Parquet file and their types.

    Raises:
        SourceError: It is no Parquet file.
    """
    with opened(path) as file:
        empty = pa.Table.from_batches([], schema=file.schema_arrow)
    return dict(frame(empty).schema)


class ParquetWriter:
    """Gathers frames and writes them as row groups while the caller goes on.

    Leaving the ``with`` block writes what is left and the file's footer.

    Args:
        path: The file.
        schema: Columns of every frame; those of the first one when not given.
    """

    def __init__(self, path: Path, schema: Mapping[str, pl.DataType] | None = None) -> None:
        self._path = path
        self._file: pq.ParquetWriter | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        self._writing: Future[None] | None = None
        self._pending: list[pl.DataFrame] = []
        self._rows = self._bytes = 0
        if schema is not None:
            self._open(pl.DataFrame(schema=schema))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if self._rows and kind is None:
                self._hand_over()
            if kind is None:
                self._wait()
        finally:
            self._thread.shutdown()
            if self._file is not None:
                self._file.close()

    def write(self, frame: pl.DataFrame) -> None:
        """Add rows; they are on their way to the disk when enough of them are there."""
        if self._file is None:
            self._open(frame.clear())
        self._pending.append(frame)
        self._rows += frame.height
        self._bytes += int(frame.estimated_size())
        if self._rows >= BATCH_ROWS or self._bytes >= BATCH_BYTES:
            self._hand_over()

    def _open(self, empty: pl.DataFrame) -> None:
        self._file = pq.ParquetWriter(
            self._path,
            to_arrow(empty).schema,
            compression="zstd",
            compression_level=COMPRESSION_LEVEL,
            write_page_checksum=True,
        )

    def _hand_over(self) -> None:
        """Give what was gathered to the thread, once it has written what it was given before."""
        table = to_arrow(pl.concat(self._pending))
        self._pending, self._rows, self._bytes = [], 0, 0
        self._wait()
        self._writing = self._thread.submit(self._write, table)

    def _write(self, table: pa.Table) -> None:
        if self._file is not None:
            self._file.write_table(table, BATCH_ROWS)

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None


@contextmanager
def new_parquet(path: Path, schema: Mapping[str, pl.DataType]) -> Iterator[ParquetWriter]:
    """A Parquet file that appears complete or not at all.

    Raises:
        SourceError: It cannot be written, e.g. because the disk is full.
    """
    with new_file(path) as temporary, ParquetWriter(temporary, schema) as writer:
        yield writer


def to_arrow(frame: pl.DataFrame) -> pa.Table:
    """A frame as an Arrow table that any reader of Parquet understands."""
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def frame(table: pa.Table | pa.RecordBatch) -> pl.DataFrame:
    """An Arrow table as a frame.

    Raises:
        SourceError: A column is of a type that no frame holds; Polars panics at it.
    """
    for field in table.schema:
        if not _is_readable(field.type):
            raise SourceError(
                f"column {field.name!r} is of type {field.type}, whose numbers are too long to be "
                "counted",
                remedy="write it as a decimal of 38 digits at most, or leave it out of the file",
            )
    result = pl.from_arrow(table)
    assert isinstance(result, pl.DataFrame)  # noqa: S101 - for the type checker: a table gives one
    return result


def _is_readable(kind: pa.DataType) -> bool:
    inner = (kind.field(place).type for place in range(kind.num_fields))
    return not pa.types.is_decimal256(kind) and all(map(_is_readable, inner))
