"""The verdict: which columns have drifted, and why.

Here: the decision and its words. Distances are ``ml.column_drift``, correlations
``ml.dependence``, limits ``ml.drift_limits``; what follows from a verdict is decided elsewhere.
Reasons: ADR-0015.

Rules:

- Drift takes three things: a distance at or above its limit, a p-value at or below the
  significance after correction for all tests of the verdict, and enough rows. Of a million rows
  every noise is significant, and has no size; of fifty, noise has size, and is not significant.
- All tests of a verdict are one family: of columns, missing values, new categories, pairs and
  correlations. Nothing is left out of it for being small.
- A column with too few rows is no column without drift: it has not enough data, and says so.
- What was measured is told of every column, judged or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from interlock.ml.column_drift import (
    TEST_OF,
    Measured,
    Statistic,
    Test,
    measure_column,
    measure_dependence,
    measure_pair,
)
from interlock.ml.drift_limits import ColumnLimits, Correction, DriftLimits
from interlock.ml.profile_plan import ColumnKind, ColumnRole
from interlock.ml.profiles import TableProfile, refuse_other_plan

Floats = npt.NDArray[np.float64]

__all__ = [
    "ColumnLimits",
    "ColumnVerdict",
    "DriftLimits",
    "DriftVerdict",
    "Outcome",
    "Shift",
    "Statistic",
    "judge",
]


class Outcome(StrEnum):
    """What a verdict says."""

    DRIFT = "drift"
    NO_DRIFT = "no drift"
    NOT_ENOUGH_DATA = "not enough data"


@dataclass(frozen=True)
class Shift:
    """One distance that has a limit.

    Attributes:
        statistic: Which.
        value: The distance.
        limit: From where on it counts.
        p_value: That of the test that goes with it, before correction.
        corrected: The same after correction for all tests of the verdict.
        drifted: Whether it is drift.
    """

    statistic: Statistic
    value: float
    limit: float
    p_value: float
    corrected: float
    drifted: bool


@dataclass(frozen=True)
class ColumnVerdict:
    """What is found of one column, of a pair, or of the correlations.

    Attributes:
        name: The column's; of a pair both.
        kind: Numeric or category; None for a pair and for the correlations.
        role: What it is to the model; features for a pair and for the correlations.
        outcome: The verdict.
        reason: Why, one sentence without full stop.
        rows: Rows with a value, in the reference and in the current data.
        statistics: All that was measured.
        shifts: What was judged, worst first.
        new_categories: Values that the reference does not know, most frequent first.
    """

    name: str
    kind: ColumnKind | None
    role: ColumnRole
    outcome: Outcome
    reason: str
    rows: tuple[int, int]
    statistics: Mapping[Statistic, float]
    shifts: tuple[Shift, ...]
    new_categories: tuple[str, ...] = ()

    @property
    def severity(self) -> float:
        """The greatest distance in multiples of its limit, dimensionless."""
        return max((shift.value / shift.limit for shift in self.shifts), default=0.0)


@dataclass(frozen=True)
class DriftVerdict:
    """What is found of a table.

    Attributes:
        outcome: Drift where any column, pair or correlation drifted.
        rows: Of the reference, and of the current data.
        columns: Features and targets, drifted ones first, each by falling severity.
        predictions: The model's scores, in the same order.
        pairs: Named pairs, in the same order.
        dependence: The correlations; None when they were not followed or not to be judged.
        plan: Digest of the plan that both were counted by.
        limits: What was held against them.
        tests: How many p-values the correction is for.
    """

    outcome: Outcome
    rows: tuple[int, int]
    columns: tuple[ColumnVerdict, ...]
    predictions: tuple[ColumnVerdict, ...]
    pairs: tuple[ColumnVerdict, ...]
    dependence: ColumnVerdict | None
    plan: str
    limits: DriftLimits
    tests: int

    @property
    def everything(self) -> tuple[ColumnVerdict, ...]:
        """All that was judged, drifted ones first, each by falling severity."""
        last = () if self.dependence is None else (self.dependence,)
        return _sorted((*self.columns, *self.predictions, *self.pairs, *last))

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of all that drifted, worst first."""
        return tuple(each.name for each in self.everything if each.outcome is Outcome.DRIFT)


def judge(
    reference: TableProfile, current: TableProfile, limits: DriftLimits | None = None
) -> DriftVerdict:
    """Decide whether data has drifted from its reference.

    Args:
        reference: Of the data that the model learned from.
        current: Of the data now, counted by the reference's plan; it may have no rows.
        limits: From where on a distance is drift; the defaults when not given.

    Returns:
        The verdict.

    Raises:
        ProfileError: They are of different plans, or a limit names an unknown column.
    """
    limits = limits or DriftLimits()
    refuse_other_plan(reference, current)
    for name in limits.columns:
        reference.plan.column(name)
    subjects = [
        *_columns(reference, current, limits),
        *_pairs(reference, current, limits),
        *_correlations(reference, current, limits),
    ]
    family = {
        (place, test): subject.measured.p_values[test]
        for place, subject in enumerate(subjects)
        for test in subject.tests
    }
    after = correct(np.array(list(family.values())), limits.correction)
    corrected = dict(zip(family, after.tolist(), strict=True))
    judged = [
        _judge(subject, {test: corrected[place, test] for test in subject.tests}, limits)
        for place, subject in enumerate(subjects)
    ]
    of_table = judged[: len(reference.plan.columns)]
    pairs = judged[len(of_table) : len(of_table) + len(reference.plan.pairs)]
    return DriftVerdict(
        outcome=_overall(judged),
        rows=(reference.rows, current.rows),
        columns=_sorted(each for each in of_table if each.role is not ColumnRole.PREDICTION),
        predictions=_sorted(each for each in of_table if each.role is ColumnRole.PREDICTION),
        pairs=_sorted(pairs),
        dependence=next(iter(judged[len(of_table) + len(pairs) :]), None),
        plan=reference.plan.digest,
        limits=limits,
        tests=len(family),
    )


def correct(p_values: Floats, correction: Correction) -> Floats:
    """Correct p-values for how many they are.

    Args:
        p_values: Shape (tests,), in [0, 1].
        correction: By which rule.

    Returns:
        Adjusted p-values, in the same order: those at or below a significance are rejected at
        it by Holm's (1979), or Benjamini and Hochberg's (1995), procedure.
    """
    tests = len(p_values)
    if not tests:
        return p_values
    if correction is Correction.BENJAMINI_HOCHBERG:
        from scipy.stats import false_discovery_control

        adjusted: Floats = false_discovery_control(p_values, method="bh")
        return adjusted
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(p_values[order] * np.arange(tests, 0, -1))
    holm = np.empty(tests)
    holm[order] = np.minimum(stepped, 1.0)
    return holm


@dataclass(frozen=True)
class _Subject:
    """What is to be judged, before the correction is known."""

    name: str
    kind: ColumnKind | None
    role: ColumnRole
    measured: Measured
    limits: Mapping[Statistic, float]
    min_rows: int

    @property
    def judged(self) -> tuple[Statistic, ...]:
        """Statistics that have a limit, a test, and enough rows for it."""
        return tuple(
            each
            for each in self.limits
            if each in self.measured.statistics
            and TEST_OF[each] in self.measured.p_values
            and self.measured.rows_for(TEST_OF[each]) >= self.min_rows
        )

    @property
    def tests(self) -> tuple[Test, ...]:
        return tuple(dict.fromkeys(TEST_OF[each] for each in self.judged))


def _columns(
    reference: TableProfile, current: TableProfile, limits: DriftLimits
) -> Iterator[_Subject]:
    for column in reference.plan.columns:
        own = limits.of(column.name)
        every = {
            Statistic.KS: own.ks,
            Statistic.PSI: own.psi,
            Statistic.JENSEN_SHANNON: own.jensen_shannon,
            Statistic.WASSERSTEIN: own.wasserstein,
            Statistic.MISSING: own.missing,
            Statistic.NEW_CATEGORIES: own.new_categories,
        }
        if column.kind is ColumnKind.CATEGORY:
            every[Statistic.TOTAL_VARIATION] = own.total_variation
        yield _Subject(
            column.name,
            column.kind,
            column.role,
            measure_column(column, reference.columns[column.name], current.columns[column.name]),
            {name: limit for name, limit in every.items() if limit is not None},
            limits.min_rows,
        )


def _pairs(
    reference: TableProfile, current: TableProfile, limits: DriftLimits
) -> Iterator[_Subject]:
    for left, right in reference.plan.pairs:
        measured = measure_pair(reference.joints[left, right], current.joints[left, right])
        yield _Subject(
            f"{left} × {right}",  # noqa: RUF001 - read as "times" by people
            None,
            ColumnRole.FEATURE,
            measured,
            {} if limits.pairs is None else {Statistic.PSI: limits.pairs},
            limits.min_rows,
        )


def _correlations(
    reference: TableProfile, current: TableProfile, limits: DriftLimits
) -> Iterator[_Subject]:
    if reference.comoments is None or current.comoments is None or limits.correlation is None:
        return
    name, measured = measure_dependence(
        reference.plan.multivariate,
        reference.comoments,
        current.comoments,
        limit=limits.correlation,
    )
    yield _Subject(
        name,
        None,
        ColumnRole.FEATURE,
        measured,
        {Statistic.CORRELATION: limits.correlation},
        limits.min_multivariate_rows,
    )


def _judge(
    subject: _Subject, corrected: Mapping[Test, float], limits: DriftLimits
) -> ColumnVerdict:
    shifts = []
    for statistic in subject.judged:
        value, limit = subject.measured.statistics[statistic], subject.limits[statistic]
        adjusted = corrected[TEST_OF[statistic]]
        shifts.append(
            Shift(
                statistic=statistic,
                value=value,
                limit=limit,
                p_value=subject.measured.p_values[TEST_OF[statistic]],
                corrected=adjusted,
                drifted=value >= limit and adjusted <= limits.significance,
            )
        )
    shifts.sort(key=lambda shift: (not shift.drifted, -shift.value / shift.limit))
    outcome, reason = _reason(subject, shifts)
    return ColumnVerdict(
        name=subject.name,
        kind=subject.kind,
        role=subject.role,
        outcome=outcome,
        reason=reason,
        rows=subject.measured.rows,
        statistics=subject.measured.statistics,
        shifts=tuple(shifts),
        new_categories=subject.measured.new_categories,
    )


def _reason(subject: _Subject, shifts: Sequence[Shift]) -> tuple[Outcome, str]:
    """The outcome, and one sentence without full stop."""
    if shifts and shifts[0].drifted:
        worst = shifts[0]
        return Outcome.DRIFT, (
            f"{worst.statistic} is {worst.value:.3g}, its limit {worst.limit:g}; by chance "
            f"alone with p = {worst.corrected:.2g} after correction"
        )
    few = min(subject.measured.rows)
    if few < subject.min_rows:
        side = "the reference" if subject.measured.rows[0] == few else "the current data"
        return Outcome.NOT_ENOUGH_DATA, (f"{side} has {few} values, {subject.min_rows} are needed")
    if not shifts:
        return Outcome.NO_DRIFT, "nothing of it is held against a limit"
    large = [shift for shift in shifts if shift.value >= shift.limit]
    if large:
        return Outcome.NO_DRIFT, (
            f"{large[0].statistic} is {large[0].value:.3g}, its limit {large[0].limit:g}, but "
            f"chance explains it (p = {large[0].corrected:.2g} after correction)"
        )
    return Outcome.NO_DRIFT, "no distance reaches its limit"


def _overall(judged: Sequence[ColumnVerdict]) -> Outcome:
    outcomes = {each.outcome for each in judged}
    if Outcome.DRIFT in outcomes:
        return Outcome.DRIFT
    if outcomes and outcomes <= {Outcome.NOT_ENOUGH_DATA}:
        return Outcome.NOT_ENOUGH_DATA
    return Outcome.NO_DRIFT


def _order(each: ColumnVerdict) -> tuple[bool, bool, float, str]:
    return (
        each.outcome is not Outcome.DRIFT,
        each.outcome is not Outcome.NOT_ENOUGH_DATA,
        -each.severity,
        each.name,
    )


def _sorted(judged: Iterable[ColumnVerdict]) -> tuple[ColumnVerdict, ...]:
    return tuple(sorted(judged, key=_order))
