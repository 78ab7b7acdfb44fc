"""Counting and wording what the rules of a contract found, batch by batch.

Which rows break which rule is decided in ``ml.contract_checker``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import polars as pl

from interlock.ml.contract import Contract, Rule, RuleKind, contract_rules
from interlock.ml.contract_report import MAX_EXAMPLES, ContractReport, Example, RuleResult
from interlock.ml.training import Target
from interlock.ml.value_types import TypedColumn

MAX_EXAMPLE_CHARACTERS = 80
_NAMES_SHOWN = 5  # of missing or extra columns, in a sentence

_ROW_FAULTS = {
    RuleKind.TYPE: "hold a value of another type",
    RuleKind.FINITE: "hold NaN or infinity",
    RuleKind.NULLS: "hold no value",
    RuleKind.RANGE: "hold a value out of range",
    RuleKind.VALUES: "hold a value that is not listed",
    RuleKind.UNIQUE: "agree with another row",
    RuleKind.LABEL: "have neither label",
}


class Findings:
    """What the rules found so far.

    Args:
        contract: What must hold.
        target: What is predicted.
        missing: Columns of the contract that the table lacks.
        extra: Columns of the table that the contract lacks.
        private: Columns whose values stand in no report.
    """

    def __init__(
        self,
        contract: Contract,
        target: Target,
        *,
        missing: tuple[str, ...],
        extra: tuple[str, ...],
        private: Collection[str],
    ) -> None:
        self._contract = contract
        self._target = target
        self._rules = contract_rules(contract, target)
        self._missing = missing
        self._extra = extra
        self._private = frozenset(private)
        self._failed: Counter[str] = Counter()
        self._examples: dict[str, list[Example]] = {rule.name: [] for rule in self._rules}
        self._filled: set[str] = set()
        self._positives = 0
        self._accepted = 0
        self.rows = 0

    def add_batch(
        self,
        raw: pl.DataFrame,
        broken: Mapping[str, pl.Series],
        typed: Mapping[str, TypedColumn],
        accepted: pl.DataFrame,
    ) -> None:
        """Count what one batch showed.

        Args:
            raw: The batch as it came.
            broken: By rule, which rows break it; rules that all rows satisfy are left out.
            typed: The contract's columns, read.
            accepted: The rows that break no rule.
        """
        for rule in self._rules:
            if rule.name in broken:
                self._failed[rule.name] += int(broken[rule.name].sum())
                self._add_examples(rule, raw, broken[rule.name])
        self._filled |= {
            name
            for name, read in typed.items()
            if name not in self._filled and len(read.missing) and not read.missing.all()
        }
        self._positives += int((accepted[self._target.column] == self._target.positive).sum())
        self._accepted += accepted.height
        self.rows += raw.height

    def report(self) -> ContractReport:
        """All of it, one result per rule."""
        results = tuple(self._result(rule) for rule in self._rules)
        blocking = [each.passed for each in results if each.blocking]
        share = self._accepted / self.rows if self.rows else 0.0
        return ContractReport(
            rules=results,
            rows=self.rows,
            accepted=self._accepted,
            quarantined=self.rows - self._accepted,
            positives=self._positives,
            data_quality_score=share * sum(blocking) / len(blocking),
            passed=all(blocking),
        )

    def _add_examples(self, rule: Rule, raw: pl.DataFrame, mask: pl.Series) -> None:
        examples = self._examples[rule.name]
        for row in mask.arg_true().head(MAX_EXAMPLES - len(examples)):
            examples.append(Example(self.rows + row, self._value(rule, raw, row)))

    def _value(self, rule: Rule, raw: pl.DataFrame, row: int) -> str | None:
        if len(rule.columns) != 1 or rule.columns[0] in self._private:
            return None
        value = raw[rule.columns[0]][row]
        return None if value is None else str(value)[:MAX_EXAMPLE_CHARACTERS]

    def _result(self, rule: Rule) -> RuleResult:
        failed = self._failed[rule.name]
        if set(rule.columns) & set(self._missing):
            passed, detail = False, "the table lacks the column"
        elif rule.kind in _ROW_FAULTS:
            passed = failed == 0
            detail = (
                f"all {self.rows} rows hold"
                if passed
                else f"{failed} of {self.rows} rows {_ROW_FAULTS[rule.kind]};"
                f" expected: {rule.description}"
            )
        else:
            passed, detail = self._table_result(rule)
        return RuleResult(
            name=rule.name,
            kind=rule.kind,
            columns=rule.columns,
            passed=passed,
            blocking=rule.blocking,
            failed_rows=failed,
            examples=tuple(self._examples[rule.name]),
            detail=detail,
        )

    def _table_result(self, rule: Rule) -> tuple[bool, str]:
        """Whether a table rule holds, and what was found."""
        if rule.kind is RuleKind.HAS_VALUES:
            filled = rule.columns[0] in self._filled
            return filled, "the column has values" if filled else "no row has a value"
        if rule.kind is RuleKind.BOTH_CLASSES:
            others = self._accepted - self._positives
            found = (
                f"{self._positives} rows are {self._target.positive!r},"
                f" {others} are {self._target.negative!r}"
            )
            return self._positives > 0 and others > 0, found
        if rule.kind is RuleKind.MIN_ROWS:
            least = self._contract.min_rows
            return self._accepted >= least, f"{self._accepted} accepted, expected at least {least}"
        if rule.kind is RuleKind.QUARANTINED:
            quarantined = self.rows - self._accepted
            share = quarantined / self.rows if self.rows else 0.0
            limit = self._contract.max_quarantined
            found = f"{quarantined} of {self.rows} rows ({share:.2%}), expected at most {limit:.2%}"
            return share <= limit, found
        names = self._missing if rule.kind is RuleKind.MISSING_COLUMNS else self._extra
        return not names, f"{len(names)} found{_listed(names)}"


def _listed(names: Iterable[str]) -> str:
    """Up to five names in brackets, or nothing."""
    shown = list(names)
    if not shown:
        return ""
    more = ", …" if len(shown) > _NAMES_SHOWN else ""
    return f" ({', '.join(shown[:_NAMES_SHOWN])}{more})"
