"""What a column's two distributions look like, as shares: from profiles, for pictures.

Here lies what is drawn; how it is drawn is ``ml.distribution_drawing``, whether it is drift
``ml.verdict``. Shapes are for the eye: within a bin of the grid rows are taken as evenly spread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt

from interlock.ml.column_profiles import CategoryProfile, ColumnProfile, NumericProfile
from interlock.ml.profile_plan import ColumnPlan, Family

Floats = npt.NDArray[np.float64]

BARS: Final = 32  # of a number's histogram
MAX_VALUES: Final = 12  # that are drawn one by one
TAIL: Final = 0.01  # share at either end that is drawn in the outermost bar
_WHOLE: Final = 0.999  # share of rows from which on a column counts as a few values
_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LEVELS: Final = tuple(np.linspace(0, 1, 33).tolist())


@dataclass(frozen=True)
class Histogram:
    """Shares of rows with a number, in bars of equal width; the outermost hold the tails.

    Attributes:
        ends: Where the first bar begins and the last ends, as text.
        reference: A share per bar.
        current: The same now.
    """

    ends: tuple[str, str]
    reference: tuple[float, ...]
    current: tuple[float, ...]


@dataclass(frozen=True)
class ValueShares:
    """Shares of rows with a value, the most frequent values first.

    Attributes:
        names: Values as text; numbers in their order.
        reference: A share per value.
        current: The same now.
        others: How many further values the last name stands for; 0 when it is a value itself.
    """

    names: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]
    others: int = 0


Shape = Histogram | ValueShares


def shape_of(plan: ColumnPlan, reference: ColumnProfile, current: ColumnProfile) -> Shape | None:
    """What is drawn of a column; None where a side has no finite value.

    Args:
        plan: How both were counted.
        reference: The column before.
        current: The column now.
    """
    if isinstance(reference, CategoryProfile) and isinstance(current, CategoryProfile):
        return _of_categories(plan, reference, current)
    if isinstance(reference, NumericProfile) and isinstance(current, NumericProfile):
        if not reference.finite or not current.finite or not len(plan.grid):
            return None
        return _of_few_numbers(plan, reference, current) or _of_numbers(plan, reference, current)
    return None


def medians(
    plan: ColumnPlan, reference: ColumnProfile, current: ColumnProfile
) -> tuple[str, str] | None:
    """The median of either side as text; None for categories, and where there is none."""
    found = []
    for side in (reference, current):
        if not isinstance(side, NumericProfile) or not side.finite or not len(plan.grid):
            return None
        found.append(number_text(plan, _quantile(*_curve(plan, side), 0.5)))
    return found[0], found[1]


def number_text(plan: ColumnPlan, value: float) -> str:
    """A number of a column for people: three digits, or a date."""
    try:
        if plan.family in _TIMES:
            return _TIMES[plan.family](value)
    except OverflowError:
        return f"{value:.3g}"
    if 1000 <= abs(value) < 1e6:  # noqa: PLR2004 - where whole numbers read best
        return f"{value:,.0f}"
    if 1e6 <= abs(value) < 1e9:  # noqa: PLR2004 - where words read best
        return f"{value / 1e6:.3g} million"
    return f"{value:.3g}"


def _date(days: float) -> str:
    return f"{_START + timedelta(days=days):%Y-%m-%d}"


def _clock(microseconds: float) -> str:
    return f"{_START + timedelta(microseconds=microseconds):%Y-%m-%d %H:%M}"


def _instant(microseconds: float) -> str:
    return f"{_clock(microseconds)} UTC"


def _span(microseconds: float) -> str:
    return f"{timedelta(seconds=round(microseconds / 1e6))}"


_TIMES: Final[Mapping[Family, Callable[[float], str]]] = {
    Family.DATE: _date,
    Family.DATETIME: _clock,
    Family.INSTANT: _instant,
    Family.TIME: _span,
    Family.DURATION: _span,
}


def _of_categories(
    plan: ColumnPlan, reference: CategoryProfile, current: CategoryProfile
) -> ValueShares | None:
    sides = [
        dict(zip(plan.categories, side.counts.tolist(), strict=True)) | dict(side.others)
        for side in (reference, current)
    ]
    rows = [side.rows - side.missing for side in (reference, current)]
    if not all(rows):
        return None
    shares = {
        name: (sides[0].get(name, 0) / rows[0], sides[1].get(name, 0) / rows[1])
        for name in {**sides[0], **sides[1]}
    }
    ordered = sorted(shares, key=lambda name: (-max(shares[name]), name))
    ordered = [name for name in ordered if max(shares[name]) > 0]
    return _few(
        [(name, *shares[name]) for name in ordered],
        exact=reference.is_complete and current.is_complete,
    )


def _few(values: list[tuple[str, float, float]], *, exact: bool) -> ValueShares | None:
    """The first values one by one, the others as one."""
    if not values:
        return None
    kept = values if len(values) <= MAX_VALUES and exact else values[: MAX_VALUES - 1]
    others = len(values) - len(kept)
    before, after = [each[1] for each in kept], [each[2] for each in kept]
    names = [each[0] for each in kept]
    if others or not exact:
        names.append(f"{others:,} other values" if exact else "all other values")
        before.append(max(0.0, 1 - sum(before)))
        after.append(max(0.0, 1 - sum(after)))
        others = max(1, others)
    return ValueShares(tuple(names), tuple(before), tuple(after), others)


def _of_few_numbers(
    plan: ColumnPlan, reference: NumericProfile, current: NumericProfile
) -> ValueShares | None:
    """Shares of single numbers, where the reference holds a few alone."""
    single = np.zeros(len(plan.grid) + 1, dtype=np.bool_)
    # An edge and the number just below it enclose one value.
    single[1:-1] = np.nextafter(plan.grid[1:], -np.inf) <= plan.grid[:-1]
    before = reference.counts / max(1, reference.rows - reference.missing)
    after = current.counts / max(1, current.rows - current.missing)
    places = np.flatnonzero(single & ((before > 0) | (after > 0)))
    if not 0 < len(places) < MAX_VALUES or before[places].sum() < _WHOLE:
        return None
    names = [number_text(plan, float(plan.grid[place])) for place in places]
    if len(set(names)) < len(names):
        return None
    shares = [before[places].tolist(), after[places].tolist()]
    if after[places].sum() >= _WHOLE:
        return ValueShares(tuple(names), tuple(shares[0]), tuple(shares[1]))
    rest = [max(0.0, 1 - sum(each)) for each in shares]
    return ValueShares(
        (*names, "all other values"), (*shares[0], rest[0]), (*shares[1], rest[1]), 1
    )


def _of_numbers(
    plan: ColumnPlan, reference: NumericProfile, current: NumericProfile
) -> Histogram | None:
    curves = [_curve(plan, side) for side in (reference, current)]
    low = min(_quantile(*curve, TAIL) for curve in curves)
    high = max(_quantile(*curve, 1 - TAIL) for curve in curves)
    if not np.isfinite(high - low):
        return None
    if high <= low:
        low, high = low - plan.scale, high + plan.scale
    # A number at a bar's beginning is in that bar, as the least one is.
    inner = np.nextafter(np.linspace(low, high, BARS + 1)[1:-1], -np.inf)
    shares = [
        np.diff(np.interp(inner, *curve), prepend=0.0, append=1.0).clip(min=0).tolist()
        for curve in curves
    ]
    ends = (number_text(plan, low), number_text(plan, high))
    return Histogram(ends, tuple(shares[0]), tuple(shares[1]))


def _curve(plan: ColumnPlan, side: NumericProfile) -> tuple[Floats, Floats]:
    """Points, ascending, and the share of numbers that do not exceed each.

    Between the grid's ends these are counts; what lies beyond is followed by the sketch.
    """
    shares = np.cumsum(side.counts[:-1]) / side.counts.sum()
    found = np.array(side.sketch.quantiles(_LEVELS), dtype=np.float64)
    levels = np.array(_LEVELS)
    first, last = plan.grid[0], plan.grid[-1]
    under = (found < first) & (levels < shares[0])
    over = (found > last) & (levels > shares[-1])
    points = np.concatenate([found[under], plan.grid, found[over]])
    rises = np.concatenate([levels[under], shares, levels[over]])
    return points, np.maximum.accumulate(rises)


def _quantile(points: Floats, rises: Floats, level: float) -> float:
    return float(points[min(int(np.searchsorted(rises, level)), len(points) - 1)])
