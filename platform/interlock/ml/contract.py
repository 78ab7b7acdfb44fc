"""The data contract: what a table must satisfy, and the rules that follow from it.

Here live the YAML section ``contract`` (``Contract``, ``Column``), the rules derived from it
before any data is seen (``contract_rules``) and what checking them yields (``RuleResult``,
``ContractReport``). The checking itself is ``ml.contract_checker``; reading text as numbers
and dates is ``ml.typing``; files are ``adapters.tables``. Reasons: ADR-0004.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from interlock.errors import ContractError
from interlock.ml.training import Target

ROW_COLUMN = "_row"
"""In the quarantine: the row's number in the source table, from 0."""
REASONS_COLUMN = "_reasons"
"""In the quarantine: names of the rules that the row breaks, separated by ``, ``."""
MAX_EXAMPLES = 3  # per rule; enough to find the mistake, too few to copy a table

Bound = bool | int | float | datetime | date


class ColumnType(StrEnum):
    """What a column holds."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    TEXT = "text"
    DATE = "date"
    DATETIME = "datetime"


class RuleKind(StrEnum):
    """What a rule asks of a row, a column or the table."""

    TYPE = "type"
    FINITE = "finite"
    NULLS = "nulls"
    RANGE = "range"
    VALUES = "values"
    HAS_VALUES = "has_values"
    UNIQUE = "unique"
    LABEL = "label"
    MISSING_COLUMNS = "missing_columns"
    EXTRA_COLUMNS = "extra_columns"
    MIN_ROWS = "min_rows"
    QUARANTINED = "quarantined"
    BOTH_CLASSES = "both_classes"


class Column(BaseModel):
    """One column of the contract.

    Attributes:
        name: As the header has it.
        type: What it holds.
        nullable: Whether a row may have no value here.
        min: Least value, included; for integer, number, date and datetime.
        max: Greatest value, included.
        values: All values there are; for category.
        unit: E.g. ``years`` or ``EUR``; for readers.
        description: For readers.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    type: ColumnType
    nullable: bool = False
    min: float | int | date | datetime | None = None
    max: float | int | date | datetime | None = None
    values: tuple[str, ...] | None = None
    unit: str | None = None
    description: str | None = None


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

    @property
    def digest(self) -> str:
        """SHA-256 of the contract, hexadecimal; equal contracts have equal digests."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


@dataclass(frozen=True)
class Rule:
    """One rule of a contract.

    Attributes:
        name: Unique within the contract, of ``[A-Za-z0-9_]``, e.g. ``age_in_years__range``.
        kind: What it asks.
        columns: Columns it looks at; none for the table as a whole.
        description: One sentence for readers.
        blocking: Whether its failure stops everything that builds on the table. True for
            table rules; row rules send rows to quarantine instead.
    """

    name: str
    kind: RuleKind
    columns: tuple[str, ...]
    description: str
    blocking: bool


@dataclass(frozen=True)
class Example:
    """A row that breaks a rule.

    Attributes:
        row: Its number in the source table, from 0.
        value: What it held there, at most 80 characters; None where the column is protected
            or free text, whose values stand in no report.
    """

    row: int
    value: str | None


@dataclass(frozen=True)
class RuleResult:
    """What checking a rule found.

    Attributes:
        name: The rule's name.
        kind: What it asks.
        columns: Columns it looks at.
        passed: Whether it holds.
        blocking: See ``Rule``.
        failed_rows: Rows that break it; for table rules 0.
        examples: The first rows that break it, at most ``MAX_EXAMPLES``.
        detail: One sentence: what was found and what was expected.
    """

    name: str
    kind: RuleKind
    columns: tuple[str, ...]
    passed: bool
    blocking: bool
    failed_rows: int
    examples: tuple[Example, ...]
    detail: str


@dataclass(frozen=True)
class ContractReport:
    """A table held against its contract.

    Attributes:
        rules: One result per rule, in the order of ``contract_rules``.
        rows: Rows of the table.
        accepted: Rows that break no row rule.
        quarantined: The others.
        positives: Accepted rows of the positive class.
        data_quality_score: In [0, 1]: the share of accepted rows times the share of table
            rules that hold. 1 only when everything holds; 0 for a table without rows.
        passed: Whether every blocking rule holds.
    """

    rules: tuple[RuleResult, ...]
    rows: int
    accepted: int
    quarantined: int
    positives: int
    data_quality_score: float
    passed: bool

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        raise NotImplementedError


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
    raise NotImplementedError


def check_target(contract: Contract, target: Target) -> None:
    """Refuse a target whose labels cannot occur in its column.

    Raises:
        ContractError: The column is not in the contract, is a date, number or datetime, or a
            label is not of its type (``positive: Yes`` without quotes is YAML for true).
    """
    raise NotImplementedError
