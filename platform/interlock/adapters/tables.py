"""Tables as Parquet files: from spooled sources, and through a contract.

Here live ``to_table`` (spooled bytes to raw Parquet), ``apply_contract`` (raw Parquet to
accepted and quarantined rows) and ``write_table`` (batches to a new CSV or Parquet file).
Reading a source's rows is ``adapters.raw_rows``, Parquet itself ``adapters.parquet``, the
search for duplicates ``adapters.duplicates``; rules are ``ml.contract``. All stream: memory
is a few batches. Files appear complete or not at all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from interlock.adapters import parquet
from interlock.adapters.duplicates import DuplicateFinder
from interlock.adapters.new_file import file_sha256, new_file
from interlock.adapters.raw_rows import raw_batches
from interlock.adapters.sources import Spooled
from interlock.errors import SourceError
from interlock.ml.column_summary import ColumnSummary, Summariser
from interlock.ml.contract import REASONS_COLUMN, ROW_COLUMN, Contract, ContractReport
from interlock.ml.contract_checker import ContractChecker
from interlock.ml.source import Source
from interlock.ml.training import Target
from interlock.ml.value_types import DTYPES

PREVIEW_ROWS = 5

Progress = Callable[[int], None]


@dataclass(frozen=True)
class TableInfo:
    """A raw table.

    Attributes:
        path: The Parquet file.
        rows: Its rows, at least 1.
        columns: Its columns' names.
        sha256: Of the Parquet file's bytes, hexadecimal.
        bytes: Of the Parquet file.
        preview: The first rows as text, as many values each as there are columns.
        summary: One entry per column.
    """

    path: Path
    rows: int
    columns: tuple[str, ...]
    sha256: str
    bytes: int
    preview: tuple[tuple[str | None, ...], ...]
    summary: tuple[ColumnSummary, ...]


@dataclass(frozen=True)
class AppliedContract:
    """A table divided by its contract.

    Attributes:
        report: What was found.
        accepted: Parquet file of the accepted rows, typed.
        accepted_sha256: Of its bytes, hexadecimal.
        quarantine: Parquet file of the other rows as they came, with their number and reasons.
        quarantine_sha256: Of its bytes, hexadecimal.
    """

    report: ContractReport
    accepted: Path
    accepted_sha256: str
    quarantine: Path
    quarantine_sha256: str


def to_table(
    spooled: Spooled,
    source: Source,
    out: Path,
    *,
    progress: Progress | None = None,
) -> TableInfo:
    """Write a source's rows as Parquet; of CSV, every value as text, exactly as written.

    Args:
        spooled: The source's bytes.
        source: How to read them.
        out: New Parquet file.
        progress: Called with the rows written so far.

    Returns:
        What the table holds.

    Raises:
        SourceError: The bytes are not what the source declares, or no room on the disk.
    """
    batches = raw_batches(spooled.path, source)
    first = next(batches, None)
    if first is None:
        raise SourceError("the table has no rows", remedy="name a source that has some")
    summariser = Summariser()
    rows = 0
    with parquet.new_parquet(out, dict(first.schema)) as file:
        for batch in _chain(first, batches):
            file.write(batch)
            summariser.add(batch)
            rows += batch.height
            if progress is not None:
                progress(rows)
    return TableInfo(
        path=out,
        rows=rows,
        columns=tuple(first.columns),
        sha256=file_sha256(out),
        bytes=out.stat().st_size,
        preview=tuple(
            tuple(None if value is None else str(value) for value in row)
            for row in first.head(PREVIEW_ROWS).iter_rows()
        ),
        summary=summariser.summary(),
    )


def apply_contract(
    table: Path,
    *,
    contract: Contract,
    target: Target,
    protected: Sequence[str],
    accepted: Path,
    quarantine: Path,
    scratch: Path,
    progress: Progress | None = None,
) -> AppliedContract:
    """Hold a raw Parquet table against its contract and write both parts.

    Args:
        table: As ``to_table`` wrote it.
        contract: What must hold.
        target: What is predicted.
        protected: Columns whose values stand in no report.
        accepted: New Parquet file.
        quarantine: New Parquet file.
        scratch: Existing folder for temporary files, emptied again.
        progress: Called with the rows checked so far.

    Returns:
        Both files and the report.

    Raises:
        ContractError: The contract cannot be applied to this table at all.
        SourceError: No room on the disk.
    """
    schema = parquet.schema_of(table)
    checker = ContractChecker(contract, target, schema=schema, protected=protected)
    accepted_schema = {column.name: DTYPES[column.type] for column in contract.columns}
    quarantine_schema = schema | {ROW_COLUMN: pl.Int64(), REASONS_COLUMN: pl.String()}
    rows = 0
    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        parquet.new_parquet(accepted, accepted_schema) as accepted_file,
        parquet.new_parquet(quarantine, quarantine_schema) as quarantine_file,
    ):
        finders = _find_duplicates(table, checker, Path(folder))
        for batch in parquet.read_batches(table):
            duplicates = {name: each.mask(rows, batch.height) for name, each in finders.items()}
            checked = checker.check(batch, duplicates)
            accepted_file.write(checked.accepted)
            quarantine_file.write(checked.quarantined)
            rows += batch.height
            if progress is not None:
                progress(rows)
    return AppliedContract(
        report=checker.report(),
        accepted=accepted,
        accepted_sha256=file_sha256(accepted),
        quarantine=quarantine,
        quarantine_sha256=file_sha256(quarantine),
    )


def write_table(
    batches: Iterable[pl.DataFrame],
    out: Path,
    *,
    progress: Progress | None = None,
) -> int:
    """Write batches to a new file, CSV or Parquet by its ending.

    Args:
        batches: At least one; all of one schema.
        out: File that ends in ``.csv`` or ``.parquet``; replaced when it exists.
        progress: Called with the rows written so far.

    Returns:
        Rows written.

    Raises:
        SourceError: Another ending, a missing folder, or no room on the disk.
    """
    rows = 0
    with new_file(out) as temporary, _writer(out, temporary) as write:
        for batch in batches:
            write(batch)
            rows += batch.height
            if progress is not None:
                progress(rows)
    return rows


def _find_duplicates(
    table: Path, checker: ContractChecker, folder: Path
) -> dict[str, DuplicateFinder]:
    """One finder per uniqueness rule that can be checked, by its name."""
    rules = checker.unique_rules
    rows = parquet.rows_of(table)
    if not rules or not rows:
        return {}
    finders = {rule.name: DuplicateFinder(folder / rule.name, rows=rows) for rule in rules}
    columns = list(dict.fromkeys(name for rule in rules for name in rule.columns))
    for batch in parquet.read_batches(table, columns):
        for rule in rules:
            finders[rule.name].add(checker.keys(batch, rule))
    for finder in finders.values():
        finder.finish()
    return finders


@contextmanager
def _writer(out: Path, temporary: Path) -> Iterator[Callable[[pl.DataFrame], None]]:
    """What appends a batch to a file of the kind that ``out`` ends in."""
    if out.suffix == ".csv":
        with temporary.open("wb") as file:
            yield lambda batch: batch.write_csv(file, include_header=file.tell() == 0)
    elif out.suffix == ".parquet":
        with parquet.ParquetWriter(temporary) as writer:
            yield writer.write
    else:
        raise SourceError(
            f"{out.name} ends in neither .csv nor .parquet", remedy="give the file one of these"
        )


def _chain(first: pl.DataFrame, rest: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    yield first
    yield from rest
