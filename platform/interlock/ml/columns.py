"""A column of the data contract: its name, its type and its limits.

The contract that holds the columns is ``ml.contract``; how a value of each type is written
as text is ``ml.value_types``.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Bound = int | float | datetime | date


class ColumnType(StrEnum):
    """What a column holds."""

    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CATEGORY = "category"
    TEXT = "text"
    DATE = "date"
    DATETIME = "datetime"


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
    min: Bound | None = None
    max: Bound | None = None
    values: tuple[str, ...] | None = None
    unit: str | None = None
    description: str | None = None

    @field_validator("min", "max", mode="before")
    @classmethod
    def _is_no_flag(cls, bound: object) -> object:
        if isinstance(bound, bool):
            msg = f"{bound} is no limit; write a number or a date"
            raise ValueError(msg)  # noqa: TRY004 - pydantic collects ValueError only
        return bound

    @field_validator("min", "max")
    @classmethod
    def _is_aware(cls, bound: Bound | None) -> Bound | None:
        if isinstance(bound, datetime) and bound.tzinfo is None:
            return bound.replace(tzinfo=UTC)
        return bound

    @field_validator("values", mode="before")
    @classmethod
    def _are_texts(cls, values: object) -> object:
        if not isinstance(values, list | tuple):
            return values
        for value in values:
            if isinstance(value, bool):
                msg = f"YAML reads an unquoted yes or no as {value}; quote it"
                raise ValueError(msg)  # noqa: TRY004 - pydantic collects ValueError only
        return tuple(str(value) if isinstance(value, int | float) else value for value in values)

    @model_validator(mode="after")
    def _limits_fit_type(self) -> Self:
        for name, bound in (("min", self.min), ("max", self.max)):
            if bound is not None and not _fits(bound, self.type):
                msg = f"{name} {bound!r} is no limit for column {self.name!r} of type {self.type}"
                raise ValueError(msg)
        if self.min is not None and self.max is not None and self.max < self.min:  # type: ignore[operator]
            msg = f"max {self.max} of column {self.name!r} is below min {self.min}"
            raise ValueError(msg)
        if self.type is ColumnType.CATEGORY:
            if not self.values:
                msg = f"category column {self.name!r} has no values; list them, or make it text"
                raise ValueError(msg)
            if len(set(self.values)) != len(self.values) or not all(map(str.strip, self.values)):
                msg = f"values of column {self.name!r} repeat or are blank; list each once"
                raise ValueError(msg)
        elif self.values is not None:
            msg = f"column {self.name!r} of type {self.type} has values; only a category has"
            raise ValueError(msg)
        return self


def describe_range(column: Column) -> str:
    """A column's range in words, e.g. ``from 18 to 100 years``."""
    unit = f" {column.unit}" if column.unit else ""
    if column.min is None:
        return f"at most {column.max}{unit}"
    if column.max is None:
        return f"at least {column.min}{unit}"
    return f"from {column.min} to {column.max}{unit}"


def _fits(bound: Bound, column_type: ColumnType) -> bool:
    """Whether a limit can limit values of a type."""
    if column_type is ColumnType.DATETIME:
        return isinstance(bound, datetime)
    if column_type is ColumnType.DATE:
        return isinstance(bound, date) and not isinstance(bound, datetime)
    if column_type in {ColumnType.INTEGER, ColumnType.NUMBER}:
        return isinstance(bound, int | float) and math.isfinite(bound)
    return False
