"""Tables as Parquet files: from spooled sources, and through a contract.

Here live ``to_table`` (spooled bytes to raw Parquet), ``apply_contract`` (raw Parquet to
accepted and quarantined rows) and ``write_table`` (batches to a new CSV or Parquet file).
Reading CSV strictly is ``adapters.csv_text``; rules are ``ml.contract``. All stream: memory
is a few batches. Files appear complete or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from interlock.adapters.sources import Spooled
from interlock.ml.contract import Contract
from interlock.ml.contract_report import ContractReport
from interlock.ml.source import Source
from interlock.ml.training import Target

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class ColumnSummary:
    """What a raw column holds, at a glance.

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
    progress: Callable[[int], None] | None = None,
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
    raise NotImplementedError


def apply_contract(
    table: Path,
    *,
    contract: Contract,
    target: Target,
    protected: Sequence[str],
    accepted: Path,
    quarantine: Path,
    scratch: Path,
    progress: Callable[[int], None] | None = None,
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
    raise NotImplementedError


def write_table(
    batches: Iterable[pl.DataFrame],
    out: Path,
    *,
    progress: Callable[[int], None] | None = None,
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
    raise NotImplementedError
