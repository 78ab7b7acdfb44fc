"""All distances of one column, and the tests that go with them.

Here a column's two profiles become figures; which bins are compared is decided here too. The
formulas are ``ml.distances``, the decision is ``ml.verdict``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from interlock.ml import distances
from interlock.ml.column_profiles import CategoryProfile, ColumnProfile, NumericProfile
from interlock.ml.dependence import dependence_shift
from interlock.ml.joint_profiles import Comoments, Joint
from interlock.ml.profile_plan import COARSE_BINS, ColumnPlan

Counts = npt.NDArray[np.int64]


class Statistic(StrEnum):
    """What is measured; the names that reports and metrics use."""

    KS = "ks"
    KS_UPPER = "ks_upper"
    PSI = "psi"
    JENSEN_SHANNON = "jensen_shannon"
    WASSERSTEIN = "wasserstein"
    TOTAL_VARIATION = "total_variation"
    CHI_SQUARE = "chi_square"
    MISSING = "missing"
    NEW_CATEGORIES = "new_categories"
    CORRELATION = "correlation"


class Test(StrEnum):
    """What a p-value is of; statistics of one kind share it."""

    KS = "ks"
    CHI_SQUARE = "chi_square"
    MISSING = "missing"
    NEW_CATEGORIES = "new_categories"
    CORRELATION = "correlation"


TEST_OF: Final[Mapping[Statistic, Test]] = {
    Statistic.KS: Test.KS,
    Statistic.WASSERSTEIN: Test.KS,
    Statistic.PSI: Test.CHI_SQUARE,
    Statistic.JENSEN_SHANNON: Test.CHI_SQUARE,
    Statistic.TOTAL_VARIATION: Test.CHI_SQUARE,
    Statistic.MISSING: Test.MISSING,
    Statistic.NEW_CATEGORIES: Test.NEW_CATEGORIES,
    Statistic.CORRELATION: Test.CORRELATION,
}

_LUCK: Final = 4  # standard deviations of a count (Poisson) that luck hardly ever adds


@dataclass(frozen=True)
class Measured:
    """A column's figures.

    Attributes:
        statistics: What could be measured.
        p_values: Of the tests that could be made, before correction.
        rows: Rows with a value, in the reference and in the current data.
        all_rows: Rows with and without one.
        new_categories: Values that the reference does not know, most frequent first, at most
            ten.
    """

    statistics: Mapping[Statistic, float]
    p_values: Mapping[Test, float]
    rows: tuple[int, int]
    all_rows: tuple[int, int]
    new_categories: tuple[str, ...] = ()

    def rows_for(self, test: Test) -> int:
        """Rows of the smaller side that a test rests on."""
        return min(self.all_rows if test is Test.MISSING else self.rows)


def measure_column(plan: ColumnPlan, reference: ColumnProfile, current: ColumnProfile) -> Measured:
    """All distances of a column.

    Args:
        plan: How both were counted.
        reference: The column before.
        current: The column now; of the same kind.
    """
    if isinstance(reference, NumericProfile) and isinstance(current, NumericProfile):
        return _measure_numbers(plan, reference, current)
    if isinstance(reference, CategoryProfile) and isinstance(current, CategoryProfile):
        return _measure_categories(plan, reference, current)
    raise AssertionError(f"column {plan.name!r} of one plan was counted in two ways")


def measure_pair(reference: Joint, current: Joint) -> Measured:
    """Distances of a joint distribution; rows without both values are left out."""
    before, after = reference.counts[:-1, :-1].ravel(), current.counts[:-1, :-1].ravel()
    rows = (int(before.sum()), int(after.sum()))
    if not all(rows):
        return Measured({}, {}, rows, rows)
    return Measured(*_over_bins(before, after), rows, rows)


def measure_dependence(
    names: Sequence[str], reference: Comoments, current: Comoments, *, limit: float
) -> tuple[str, Measured]:
    """The correlation whose change is judged, and which it is; see ``ml.dependence``.

    Args:
        names: Of the columns that both are of.
        reference: How they varied together before.
        current: How they do now.
        limit: Cohen's q from which on a change counts.
    """
    rows = (reference.rows, current.rows)
    shift = dependence_shift(reference, current, limit=limit)
    if shift is None:
        return "correlations", Measured({}, {}, rows, rows)
    left, right = (names[place] for place in shift.pair)
    name = f"correlation of {left} and {right}, {shift.before:.2f} → {shift.after:.2f}"
    measured = {Statistic.CORRELATION: shift.q}
    return name, Measured(measured, {Test.CORRELATION: shift.p_value}, rows, rows)


def coarse_groups(counts: Counts, rows: int) -> Counts:
    """Which group of about equal rows each bin of a grid is in.

    There are ``COARSE_BINS`` groups; of few rows fewer, so that each expects enough of them. A
    grid bin of more than a group's share fills a group, or more than one.

    Args:
        counts: Rows per bin of the reference, at least one row in all.
        rows: Of the smaller side.
    """
    wanted = min(COARSE_BINS, max(1, int(rows / (distances.MIN_EXPECTED + 1))))
    until = np.cumsum(counts)
    middle = (until - counts / 2) / until[-1]
    groups = np.minimum((middle * wanted).astype(np.int64), wanted - 1)
    return np.unique(groups, return_inverse=True)[1].astype(np.int64)


def _measure_numbers(
    plan: ColumnPlan, reference: NumericProfile, current: NumericProfile
) -> Measured:
    statistics, p_values = _missing(reference, current)
    rows = (reference.rows - reference.missing, current.rows - current.missing)
    all_rows = (reference.rows, current.rows)
    if not all(rows):
        return Measured(statistics, p_values, rows, all_rows)
    single = np.zeros(len(plan.grid) + 1, dtype=np.bool_)
    if len(plan.grid):
        # An edge and the number just below it enclose one value.
        single[1:-1] = np.nextafter(plan.grid[1:], -np.inf) <= plan.grid[:-1]
    ks = distances.kolmogorov_smirnov(reference.counts, current.counts, single=single)
    statistics |= {Statistic.KS: ks.statistic, Statistic.KS_UPPER: ks.upper}
    p_values |= {Test.KS: ks.p_value}
    groups = coarse_groups(reference.counts, min(rows))
    before = np.bincount(groups, weights=reference.counts).astype(np.int64)
    after = np.bincount(groups, weights=current.counts).astype(np.int64)
    over_bins, tested = _over_bins(before, after)
    deviation = reference.deviation(plan)
    beyond = _beyond(plan, reference), _beyond(plan, current)
    if deviation is not None and beyond[0] is not None and beyond[1] is not None:
        statistics[Statistic.WASSERSTEIN] = distances.scaled_wasserstein(
            reference.counts,
            current.counts,
            edges=plan.grid,
            beyond=(beyond[0], beyond[1]),
            deviation=deviation or plan.scale,
        )
    return Measured(statistics | over_bins, p_values | tested, rows, all_rows)


def _measure_categories(
    plan: ColumnPlan, reference: CategoryProfile, current: CategoryProfile
) -> Measured:
    statistics, p_values = _missing(reference, current)
    rows = (reference.rows - reference.missing, current.rows - current.missing)
    all_rows = (reference.rows, current.rows)
    if not all(rows):
        return Measured(statistics, p_values, rows, all_rows)
    new: tuple[str, ...] = ()
    if reference.is_complete and current.is_complete:
        before, after = _aligned(reference, current)
        known, found = _all_counts(plan, reference), _all_counts(plan, current)
        unknown = {name: count for name, count in found.items() if name not in known}
        new = tuple(sorted(unknown, key=lambda name: (-unknown[name], name))[:10])
        # The share of rows with values never seen before is, in expectation, that of values
        # seen once (Good 1953, "The population frequencies of species").
        once = sum(1 for count in known.values() if count == 1)
        change = distances.rate_change(once, rows[0], sum(unknown.values()), rows[1])
        statistics[Statistic.NEW_CATEGORIES] = max(0.0, change.statistic)
        p_values[Test.NEW_CATEGORIES] = change.p_value if change.statistic > 0 else 1.0
    else:
        before, after = _frequent(reference, current)
    over_bins, tested = _over_bins(before, after)
    return Measured(statistics | over_bins, p_values | tested, rows, all_rows, new)


def _over_bins(before: Counts, after: Counts) -> tuple[dict[Statistic, float], dict[Test, float]]:
    found = distances.over_bins(before, after)
    statistics = {
        Statistic.PSI: found.psi,
        Statistic.JENSEN_SHANNON: found.jensen_shannon,
        Statistic.TOTAL_VARIATION: found.total_variation,
    }
    if found.chi_square is not None:
        statistics[Statistic.CHI_SQUARE] = found.chi_square
    return statistics, {Test.CHI_SQUARE: found.p_value}


def _missing(
    reference: ColumnProfile, current: ColumnProfile
) -> tuple[dict[Statistic, float], dict[Test, float]]:
    if not reference.rows or not current.rows:
        return {}, {}
    change = distances.rate_change(reference.missing, reference.rows, current.missing, current.rows)
    return {Statistic.MISSING: abs(change.statistic)}, {Test.MISSING: change.p_value}


def _beyond(plan: ColumnPlan, profile: NumericProfile) -> tuple[float, float] | None:
    """Mean excess beyond the grid's ends, in the column's unit."""
    below, above = profile.below.value, profile.above.value
    if not profile.finite or below is None or above is None:
        return None
    return below / profile.finite * plan.scale, above / profile.finite * plan.scale


def _all_counts(plan: ColumnPlan, profile: CategoryProfile) -> dict[str, int]:
    """Every value and its rows."""
    known = zip(plan.categories, profile.counts.tolist(), strict=True)
    return {name: rows for name, rows in known if rows} | dict(profile.others)


def _frequent(reference: CategoryProfile, current: CategoryProfile) -> tuple[Counts, Counts]:
    """Rows of the plan's categories that are frequent in both together, and of all others.

    The plan chose its categories for being frequent in the reference. The rarest of them are
    partly lucky there, and would be fewer in any other data. So whoever is judged apart is
    chosen by the rows of both, from where on hardly one is missing in the plan.
    """
    if not len(reference.counts):
        return np.array([reference.others_rows]), np.array([current.others_rows])
    least = int(reference.counts.min())
    both = reference.rows + current.rows
    enough = (least + _LUCK * (np.sqrt(least) + 1)) * both / reference.rows
    kept = reference.counts + current.counts >= enough
    before, after = (
        np.append(side.counts[kept], side.others_rows + side.counts[~kept].sum())
        for side in (reference, current)
    )
    return before.astype(np.int64), after.astype(np.int64)


def _aligned(reference: CategoryProfile, current: CategoryProfile) -> tuple[Counts, Counts]:
    """Rows of every value on both sides."""
    names = sorted({*reference.others, *current.others})
    before, after = (
        np.concatenate([side.counts, [side.others.get(name, 0) for name in names]])
        for side in (reference, current)
    )
    return before.astype(np.int64), after.astype(np.int64)
