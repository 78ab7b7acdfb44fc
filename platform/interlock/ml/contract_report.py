"""What holding a table against its contract found: a result per rule, and a score.

Values only. The rules are ``ml.contract``, the checking is ``ml.contract_checker``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from interlock.ml.rules import RuleKind

MAX_EXAMPLES = 3  # per rule; enough to find the mistake, too few to copy a table


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
        return asdict(self)
