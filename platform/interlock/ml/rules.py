"""A rule of the data contract, as a value.

Which rules a contract has is decided in ``ml.contract``; what checking them found is
``ml.contract_report``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
