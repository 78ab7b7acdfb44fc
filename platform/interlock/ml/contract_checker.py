"""Holding a table against its contract, batch by batch.

Pure: batches in, batches out, and a report at the end. Memory is one batch. The rules are
derived in ``ml.contract``; counting and wording what they found is ``ml.findings``; files,
and the search for duplicates, which needs the disk for large tables, are ``adapters.tables``
and ``adapters.duplicates``.

A table that lacks a column of the contract has no acceptable row. Rules of that column
cannot be checked and count as failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from interlock.errors import ContractError
from interlock.ml.columns import Column, ColumnType
from interlock.ml.contract import (
    REASONS_COLUMN,
    ROW_COLUMN,
    Contract,
    ContractReport,
    Rule,
    RuleKind,
    contract_rules,
)
from interlock.ml.findings import Findings
from interlock.ml.training import Target
from interlock.ml.value_types import DTYPES, TypedColumn, read_column


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
        _refuse_unreadable(schema)
        self._contract = contract
        self._target = target
        self._columns = {column.name: column for column in contract.columns}
        self._absent = tuple(name for name in self._columns if name not in schema)
        self._findings = Findings(
            contract,
            target,
            missing=self._absent,
            extra=tuple(name for name in schema if name not in self._columns),
            private={
                *protected,
                *(each.name for each in contract.columns if each.type is ColumnType.TEXT),
            },
        )
        # Only rules of columns that are there can be held against a row.
        self._row_rules = tuple(
            rule
            for rule in contract_rules(contract, target)
            if (not rule.blocking and not set(rule.columns) & set(self._absent))
            or (rule.kind is RuleKind.MISSING_COLUMNS and self._absent)
        )

    def check(
        self, batch: pl.DataFrame, duplicates: Mapping[str, pl.Series] | None = None
    ) -> CheckedBatch:
        """Divide the next batch.

        Args:
            batch: The next rows of the table.
            duplicates: Per uniqueness rule, by name, whether each row of the batch has a
                duplicate anywhere in the table; all of ``unique_rules``.

        Returns:
            The batch, divided.
        """
        typed = {
            name: _read(batch, column, self._contract) for name, column in self._columns.items()
        }
        broken = {
            rule.name: mask
            for rule in self._row_rules
            if (mask := self._breaks(rule, typed, batch.height, duplicates or {})).any()
        }
        first_row = self._findings.rows
        bad = pl.repeat(False, batch.height, eager=True)
        for mask in broken.values():
            bad = bad | mask
        table = pl.DataFrame([typed[name].values.alias(name) for name in self._columns])
        accepted = table.filter(~bad) if broken else table
        self._findings.add_batch(batch, broken, typed, accepted)
        return CheckedBatch(accepted, _quarantined(batch, bad, broken, first_row))

    @property
    def unique_rules(self) -> tuple[Rule, ...]:
        """The uniqueness rules whose columns the table has."""
        return tuple(rule for rule in self._row_rules if rule.kind is RuleKind.UNIQUE)

    def keys(self, batch: pl.DataFrame, rule: Rule) -> pl.DataFrame:
        """The typed columns that a uniqueness rule compares; null where nothing is compared.

        Args:
            batch: Rows of the table, at least with the rule's columns.
            rule: One of ``unique_rules``.

        Returns:
            As many rows as the batch has.
        """
        columns = [self._columns[name] for name in rule.columns]
        return pl.DataFrame(
            [_read(batch, column, self._contract).values.alias(column.name) for column in columns]
        )

    def report(self) -> ContractReport:
        """What was found in all batches so far."""
        return self._findings.report()

    def _breaks(
        self,
        rule: Rule,
        typed: Mapping[str, TypedColumn],
        height: int,
        duplicates: Mapping[str, pl.Series],
    ) -> pl.Series:
        """Which rows break a rule."""
        if rule.kind is RuleKind.MISSING_COLUMNS:
            return pl.repeat(True, height, eager=True)
        if rule.kind is RuleKind.UNIQUE:
            return duplicates[rule.name]
        column = self._columns[rule.columns[0]]
        read = typed[column.name]
        if rule.kind is RuleKind.LABEL:
            labels = [self._target.positive, self._target.negative]
            return ~read.values.is_in(labels).fill_null(value=False)
        return _COLUMN_RULES[rule.kind](read, column)


def _refuse_unreadable(schema: Mapping[str, pl.DataType]) -> None:
    for name, dtype in schema.items():
        if name in {ROW_COLUMN, REASONS_COLUMN}:
            raise ContractError(
                f"the table has a column {name!r}, which the quarantine needs",
                remedy="rename it in the source",
            )
        if dtype.is_nested() or dtype in {pl.Binary, pl.Object, pl.Time, pl.Duration}:
            raise ContractError(
                f"column {name!r} is of type {dtype}; expected numbers, text, dates or booleans",
                remedy="leave it out of the source, or turn it into plain columns there",
            )


def _read(batch: pl.DataFrame, column: Column, contract: Contract) -> TypedColumn:
    """A column of the batch, read; nothing but nulls where the batch lacks it."""
    if column.name not in batch.columns:
        nothing = pl.Series([None], dtype=DTYPES[column.type]).new_from_index(0, batch.height)
        known = pl.repeat(False, batch.height, eager=True)
        return TypedColumn(nothing, known, known)
    return read_column(
        batch[column.name],
        column.type,
        null_values=contract.null_values,
        decimal=contract.decimal,
    )


def _quarantined(
    batch: pl.DataFrame, bad: pl.Series, broken: Mapping[str, pl.Series], first_row: int
) -> pl.DataFrame:
    """The rows that break a rule, as they came, with their number and reasons."""
    rows = bad.arg_true()
    reasons = pl.DataFrame({name: mask.gather(rows) for name, mask in broken.items()}).select(
        pl.concat_str(
            [pl.when(pl.col(name)).then(pl.lit(name)) for name in broken] or [pl.lit("")],
            separator=", ",
            ignore_nulls=True,
        ).alias(REASONS_COLUMN)
    )
    quarantined = batch[rows] if len(rows) else batch.clear()
    return quarantined.with_columns(
        (rows.cast(pl.Int64) + first_row).alias(ROW_COLUMN),
        (reasons[REASONS_COLUMN] if broken else pl.Series([], dtype=pl.String)).alias(
            REASONS_COLUMN
        ),
    )


def _outside(values: pl.Series, column: Column) -> pl.Series:
    """Which values are outside a column's limits; NaN and infinity are no matter of range."""
    outside = pl.repeat(False, len(values), eager=True)
    if column.min is not None:
        outside = outside | (values < column.min).fill_null(value=False)
    if column.max is not None:
        outside = outside | (values > column.max).fill_null(value=False)
    if values.dtype == pl.Float64:
        outside = outside & values.is_finite().fill_null(value=False)
    return outside


def _unlisted(values: pl.Series, column: Column) -> pl.Series:
    """Which values are not among a category's."""
    return ~values.is_in(list(column.values or ())).fill_null(value=True)


_COLUMN_RULES: Mapping[RuleKind, Callable[[TypedColumn, Column], pl.Series]] = {
    RuleKind.TYPE: lambda read, _: read.wrong,
    RuleKind.NULLS: lambda read, _: read.missing,
    RuleKind.FINITE: lambda read, _: ~read.values.is_finite().fill_null(value=True),
    RuleKind.VALUES: lambda read, column: _unlisted(read.values, column),
    RuleKind.RANGE: lambda read, column: _outside(read.values, column),
}
"""Per rule of one column: which rows break it."""
