"""Rows that agree in some columns, found exactly in tables of any size.

Rows go to partitions by a hash of their key, so that rows which agree share a partition;
within it the keys themselves are compared, so that a collision of hashes is no duplicate.
Tables of more than ``PARTITION_ROWS`` rows have their partitions on the disk. Memory is one
partition's keys; one that holds more rows, because most rows share a key, is counted chunk
by chunk. What the keys are is decided by ``ml.contract_checker``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from interlock.adapters.new_file import unwritable
from interlock.adapters.parquet import frame, to_arrow

PARTITION_ROWS = 500_000  # some 20 MB of keys
MAX_PARTITIONS = 256  # files open at a time
_ROW, _COPIES = "row", "copies"


class DuplicateFinder:
    """Finds which rows of a table agree with another one; fed in the order of the rows.

    Args:
        folder: New folder for its files; made here, removed by the caller.
        rows: Rows of the whole table, ≥ 1.
        partition_rows: Rows per partition.
    """

    def __init__(self, folder: Path, *, rows: int, partition_rows: int = PARTITION_ROWS) -> None:
        self._folder = folder
        self._partition_rows = partition_rows
        self._partitions = min(-(-rows // partition_rows), MAX_PARTITIONS)
        self._spills: dict[int, pa.RecordBatchStreamWriter] = {}
        self._chunks: list[pl.DataFrame] = []
        self._seen = 0
        try:
            folder.mkdir()
            self._mask = np.memmap(folder / "mask", dtype=np.bool_, mode="w+", shape=(rows,))
        except OSError as error:
            raise unwritable(folder, error) from error

    def add(self, keys: pl.DataFrame) -> None:
        """The keys of the next rows; a row with a null among them agrees with none.

        Raises:
            SourceError: No room on the disk.
        """
        rows = pl.int_range(self._seen, self._seen + keys.height, eager=True).alias(_ROW)
        self._seen += keys.height
        names = [f"key{i}" for i in range(keys.width)]
        numbered = keys.rename(dict(zip(keys.columns, names, strict=True))).with_columns(rows)
        numbered = numbered.drop_nulls()
        if self._partitions == 1:
            self._chunks.append(numbered)
            return
        partition = numbered.select(names).hash_rows(seed=0) % self._partitions
        parts = numbered.with_columns(partition.alias("partition")).partition_by(
            "partition", as_dict=True, include_key=False
        )
        try:
            for (number,), part in parts.items():
                self._spill(int(number), part)
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def finish(self) -> None:
        """Compare; from now on ``mask`` can answer.

        Raises:
            SourceError: No room on the disk.
        """
        try:
            for spill in self._spills.values():
                spill.close()
        except OSError as error:
            raise unwritable(self._folder, error) from error
        if self._chunks:
            self._mark(lambda: iter([pl.concat(self._chunks)]))
            self._chunks = []
        for number in sorted(self._spills):
            self._mark(lambda number=number: self._read(number))  # type: ignore[misc]
            self._path(number).unlink()

    def mask(self, first: int, rows: int) -> pl.Series:
        """Whether each of ``rows`` rows from number ``first`` agrees with another row."""
        return pl.Series(np.array(self._mask[first : first + rows]), dtype=pl.Boolean)

    def _spill(self, number: int, part: pl.DataFrame) -> None:
        table = to_arrow(part)
        if number not in self._spills:
            self._spills[number] = pa.RecordBatchStreamWriter(self._path(number), table.schema)
        self._spills[number].write_table(table)

    def _read(self, number: int) -> Iterator[pl.DataFrame]:
        """A partition's rows, some at a time; usually all at once."""
        with pa.memory_map(str(self._path(number))) as file:
            batches: list[pa.RecordBatch] = []
            rows = 0
            reader = pa.ipc.open_stream(file)
            for batch in reader:
                batches.append(batch)
                rows += batch.num_rows
                if rows >= 2 * self._partition_rows:
                    yield frame(pa.Table.from_batches(batches))
                    batches, rows = [], 0
            if batches:
                yield frame(pa.Table.from_batches(batches))

    def _mark(self, chunks: Callable[[], Iterator[pl.DataFrame]]) -> None:
        """Mark the duplicates among the rows of one partition."""
        repeated: pl.DataFrame | None = None
        for chunk in chunks():
            names = [name for name in chunk.columns if name != _ROW]
            counts = chunk.group_by(names).agg(pl.len().alias(_COPIES))
            if repeated is not None:
                both = pl.concat([repeated, counts])
                counts = both.group_by(names).agg(pl.col(_COPIES).sum())
            repeated = counts
        if repeated is None:
            return
        repeated = repeated.filter(pl.col(_COPIES) > 1).drop(_COPIES)
        if repeated.is_empty():
            return
        for chunk in chunks():
            agreeing = chunk.join(repeated, on=repeated.columns, how="semi")
            self._mask[agreeing[_ROW].to_numpy()] = True

    def _path(self, number: int) -> Path:
        return self._folder / f"partition-{number}"
