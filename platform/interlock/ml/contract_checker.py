"""Holding a table against its contract, batch by batch.

Pure: batches in, batches out, and a report at the end. Memory is one batch. The rules are
derived in ``ml.contract``; files, and the search for duplicates, which needs the disk for
large tables, are ``adapters.tables`` and ``adapters.uniqueness``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interlock.ml.contract import Contract
from interlock.ml.contract_report import ContractReport
from interlock.ml.training import Target

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class CheckedBatch:
    """A batch, divided.

    Attributes:
        accepted: The contract's columns, typed: Int64, Float64, Boolean, String, Date or
            Datetime (µs, UTC).
        quarantined: The table's own columns as they came, then ``ROW_COLUMN`` (Int64) and
            ``REASONS_COLUMN`` (String).
    """

    accepted: pl.DataFrame
    quarantined: pl.DataFrame


class ContractChecker:
    """Divides the batches of one table; used once, in the order of the rows.

    Args:
        contract: What must hold.
        target: What is predicted.
        schema: The table's columns and their types; strings as written, or typed.
        protected: Columns whose values stand in no report.

    Raises:
        ContractError: The target does not fit the contract, a column has a nested type, or
            one is called ``_row`` or ``_reasons``.
    """

    def __init__(
        self,
        contract: Contract,
        target: Target,
        *,
        schema: Mapping[str, pl.DataType],
        protected: Sequence[str] = (),
    ) -> None:
        raise NotImplementedError

    def check(
        self, batch: pl.DataFrame, duplicates: Mapping[str, pl.Series] | None = None
    ) -> CheckedBatch:
        """Divide the next batch.

        Args:
            batch: The next rows of the table.
            duplicates: Per uniqueness rule, by name, whether each row of the batch has a
                duplicate anywhere in the table.

        Returns:
            The batch, divided.
        """
        raise NotImplementedError

    def report(self) -> ContractReport:
        """What was found in all batches so far."""
        raise NotImplementedError
