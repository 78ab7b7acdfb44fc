"""The data contract: what a table must satisfy, and the rules that follow from it.

Here live the YAML section ``contract`` and the rules derived from it before any data is seen
(``contract_rules``). Columns are ``ml.columns``; the checking is ``ml.contract_checker`` and
yields a ``ml.contract_report``; reading text as numbers and dates is ``ml.value_types``;
files are ``adapters.tables``. Reasons: ADR-0004.

Words: a *row rule* looks at one row at a time, and a row that breaks one goes to quarantine.
A *table rule* looks at the whole table and is blocking: when it fails, nothing may build on
the table. The contract's texts mean:

- blank, or one of ``null_values``: no value;
- ``integer``: digits with an optional sign; ``12.0`` is an integer, ``12.5`` is not;
- ``number``: a decimal number; NaN and infinity are violations;
- ``boolean``: true/false, yes/no, t/f, y/n, 1/0 in any case;
- ``date``: ``2026-01-31``; ``datetime``: ISO 8601, UTC where it names no zone;
- ``category`` and ``text``: any other text, kept as written.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from interlock.errors import ContractError
from interlock.ml.columns import Column, ColumnType, describe_range
from interlock.ml.contract_report import ContractReport, RuleResult
from interlock.ml.rules import Rule, RuleKind
from interlock.ml.training import Target

__all__ = [
    "REASONS_COLUMN",
    "ROW_COLUMN",
    "Column",
    "ColumnType",
    "Contract",
    "ContractReport",
    "Rule",
    "RuleKind",
    "RuleResult",
    "check_target",
    "contract_rules",
]

ROW_COLUMN = "_row"
"""In the quarantine: the row's number in the source table, from 0."""
REASONS_COLUMN = "_reasons"
"""In the quarantine: names of the rules that the row breaks, separated by ``, ``."""


class Contract(BaseModel):
    """The YAML section ``contract``.

    Attributes:
        columns: In the order of the accepted table.
        min_rows: Least number of accepted rows.
        max_quarantined: Greatest share of quarantined rows, in [0, 1].
        extra_columns: What to do with columns that the contract does not name: ``refuse``
            fails a blocking rule, ``ignore`` leaves them out of the accepted table.
        unique: Lists of columns; no two rows may agree in all columns of a list. Rows with
            no value in one of them are not compared. Of rows that agree, all are
            quarantined: which of them is right cannot be known.
        null_values: Texts besides blanks that mean "no value", e.g. ``NA``.
        decimal: The decimal mark of numbers written as text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: Annotated[tuple[Column, ...], Field(min_length=1)]
    min_rows: Annotated[int, Field(ge=1)] = 1
    max_quarantined: Annotated[float, Field(ge=0, le=1)] = 0.02
    extra_columns: Literal["refuse", "ignore"] = "refuse"
    unique: tuple[tuple[str, ...], ...] = ()
    null_values: tuple[str, ...] = ()
    decimal: Literal[".", ","] = "."

    @model_validator(mode="after")
    def _names_agree(self) -> Self:
        names = [column.name for column in self.columns]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            msg = f"columns {repeated} stand in the contract twice; keep one of each"
            raise ValueError(msg)
        for key in self.unique:
            unknown = [name for name in key if name not in names]
            if not key or unknown or len(set(key)) != len(key):
                msg = f"unique {list(key)} must list columns of the contract, each once"
                raise ValueError(msg)
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the contract, hexadecimal; equal contracts have equal digests."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def contract_rules(contract: Contract, target: Target) -> tuple[Rule, ...]:
    """All rules of a contract, known before any data is seen, in a stable order.

    Args:
        contract: The contract.
        target: What is predicted; its column is among the contract's.

    Returns:
        The rules: those of each column in the contract's order, then uniqueness, the
        target, and the table.

    Raises:
        ContractError: See ``check_target``.
    """
    check_target(contract, target)
    names = _Names()
    rules = [
        Rule(names.take(column.name, kind), kind, (column.name,), text, blocking)
        for column in contract.columns
        for kind, text, blocking in _column_rules(column)
    ]
    rules += [
        Rule(
            names.take("_and_".join(key), RuleKind.UNIQUE),
            RuleKind.UNIQUE,
            key,
            f"No two rows agree in {', '.join(key)}.",
            blocking=False,
        )
        for key in contract.unique
    ]
    label, other = target.positive, target.negative
    rules += [
        Rule(
            names.take(target.column, RuleKind.LABEL),
            RuleKind.LABEL,
            (target.column,),
            f"Every row has the label {label!r} or {other!r}.",
            blocking=False,
        ),
        Rule(
            names.take(target.column, RuleKind.BOTH_CLASSES),
            RuleKind.BOTH_CLASSES,
            (target.column,),
            f"Both {label!r} and {other!r} occur among the accepted rows.",
            blocking=True,
        ),
    ]
    rules += [
        Rule(names.take("table", kind), kind, (), text, blocking=True)
        for kind, text in _table_rules(contract)
    ]
    return tuple(rules)


def check_target(contract: Contract, target: Target) -> None:
    """Refuse a target whose labels cannot occur in its column.

    Raises:
        ContractError: The column is not in the contract, is of a type without labels, or a
            label is not of its type (``positive: Yes`` without quotes is YAML for true).
    """
    column = next((each for each in contract.columns if each.name == target.column), None)
    if column is None:
        raise ContractError(
            f"target column {target.column!r} is not in the contract",
            remedy="add it to the contract's columns",
        )
    expected = _LABEL_TYPES.get(column.type)
    if expected is None:
        raise ContractError(
            f"target column {column.name!r} is of type {column.type}, which has no labels",
            remedy="make it a category, integer, boolean or text",
        )
    for label in (target.positive, target.negative):
        if type(label) is not expected:
            raise ContractError(
                f"label {label!r} of target column {column.name!r} is {type(label).__name__},"
                f" but the column is of type {column.type}",
                remedy="quote the label" if expected is str else "write a label of that type",
            )
        if column.values is not None and label not in column.values:
            raise ContractError(
                f"label {label!r} is not among the values of target column {column.name!r}",
                remedy=f"choose from {', '.join(column.values)}",
            )


_LABEL_TYPES: Mapping[ColumnType, type] = {
    ColumnType.CATEGORY: str,
    ColumnType.TEXT: str,
    ColumnType.INTEGER: int,
    ColumnType.BOOLEAN: bool,
}


class _Names:
    """Names of rules: letters, digits and underscores, each given out once."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, subject: str, kind: RuleKind) -> str:
        name = wanted = re.sub(r"[^A-Za-z0-9_]", "_", subject) + f"__{kind}"
        number = 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name


def _column_rules(column: Column) -> Iterator[tuple[RuleKind, str, bool]]:
    """Kind, description and blocking of each rule of a column."""
    if column.type not in {ColumnType.CATEGORY, ColumnType.TEXT}:
        yield RuleKind.TYPE, f"Every value of {column.name} is of type {column.type}.", False
    if column.type is ColumnType.NUMBER:
        yield RuleKind.FINITE, f"No value of {column.name} is NaN or infinite.", False
    if column.nullable:
        yield RuleKind.HAS_VALUES, f"At least one row has a value of {column.name}.", True
    else:
        yield RuleKind.NULLS, f"Every row has a value of {column.name}.", False
    if column.min is not None or column.max is not None:
        yield RuleKind.RANGE, f"{column.name} is {describe_range(column)}.", False
    if column.values is not None:
        yield RuleKind.VALUES, f"{column.name} is one of {len(column.values)} values.", False


def _table_rules(contract: Contract) -> Iterator[tuple[RuleKind, str]]:
    yield RuleKind.MISSING_COLUMNS, "The table has every column of the contract."
    if contract.extra_columns == "refuse":
        yield RuleKind.EXTRA_COLUMNS, "The table has no column beside the contract's."
    yield RuleKind.MIN_ROWS, f"At least {contract.min_rows} rows are accepted."
    share = f"{contract.max_quarantined:.2%}"
    yield RuleKind.QUARANTINED, f"At most {share} of the rows are quarantined."
