"""What is known of one column after all its rows went by: counts, and little else.

A profile is a value; two of the same plan are merged to that of all their rows. Counts are
whole numbers and sums exact (``ml.exact_sums``), so the order of merging does not show in them;
quantile sketches (``ml.quantile_sketch``) and the rarer values of a column with very many agree
within a stated error. Whole tables are ``ml.profiles``, the counting of rows ``ml.profiling``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from interlock.ml.exact_sums import ExactSum
from interlock.ml.profile_plan import ColumnPlan
from interlock.ml.quantile_sketch import QuantileSketch

Counts = npt.NDArray[np.int64]

MAX_OTHERS: Final = 1_024  # values beside the plan's that are counted one by one
# Of a column with more: log2 of the counters. An estimate is short of the truth by at most
# 3.5 / 2**lg of all weight (Anderson et al. 2017, "A High-Performance Algorithm for Identifying
# Frequent Items in Data Streams").
LG_COUNTERS: Final = 12


@dataclass(frozen=True)
class NumericProfile:
    """A numeric column.

    Attributes:
        rows: All.
        missing: Rows without a number: null or NaN.
        infinite: Rows of plus or minus infinity; they are in the outermost bins.
        counts: Rows per bin of the plan's grid, shape (edges + 1,); they sum to
            ``rows - missing``.
        least: Least finite number; None when there is none.
        greatest: Greatest finite number.
        total: Sum of (x - center) / scale over finite numbers.
        squares: Sum of the squares of these.
        below: Sum of (first edge - x) / scale over finite numbers below the first edge.
        above: Sum of (x - last edge) / scale over finite numbers above the last edge.
        sketch: Quantiles of the finite numbers.
    """

    rows: int
    missing: int
    infinite: int
    counts: Counts
    least: float | None
    greatest: float | None
    total: ExactSum
    squares: ExactSum
    below: ExactSum
    above: ExactSum
    sketch: QuantileSketch = field(compare=False, repr=False)

    def __eq__(self, other: object) -> bool:
        """Whether all but the sketches, which draw lots, is the same."""
        return isinstance(other, NumericProfile) and self._known == other._known

    __hash__ = None  # type: ignore[assignment]

    @property
    def _known(self) -> tuple[object, ...]:
        return (
            *(self.rows, self.missing, self.infinite, self.counts.tolist()),
            *(self.least, self.greatest, self.total, self.squares, self.below, self.above),
        )

    @property
    def finite(self) -> int:
        """Rows that hold a finite number."""
        return self.rows - self.missing - self.infinite

    def mean(self, plan: ColumnPlan) -> float | None:
        """Of the finite numbers, in the column's unit; None where there is none."""
        total = self.total.value
        if not self.finite or total is None:
            return None
        return plan.center + plan.scale * (total / self.finite)

    def deviation(self, plan: ColumnPlan) -> float | None:
        """Standard deviation of the finite numbers, in the column's unit; None where unknown."""
        total, squares = self.total.value, self.squares.value
        if not self.finite or total is None or squares is None:
            return None
        mean = total / self.finite
        return plan.scale * float(np.sqrt(max(0.0, squares / self.finite - mean * mean)))

    def merged(self, other: NumericProfile) -> NumericProfile:
        """The profile of the rows of both."""
        sketch = QuantileSketch()
        sketch.merge(self.sketch)
        sketch.merge(other.sketch)
        return NumericProfile(
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            infinite=self.infinite + other.infinite,
            counts=self.counts + other.counts,
            least=_of_both(min, self.least, other.least),
            greatest=_of_both(max, self.greatest, other.greatest),
            total=self.total + other.total,
            squares=self.squares + other.squares,
            below=self.below + other.below,
            above=self.above + other.above,
            sketch=sketch,
        )


@dataclass(frozen=True)
class CategoryProfile:
    """A categorical column.

    Attributes:
        rows: All.
        missing: Rows without a value.
        counts: Rows per category of the plan, exact, shape (categories,).
        others: Other values and their rows, by falling rows; exact while ``error`` is 0, else
            the frequent ones, none short of the truth by more than ``error``.
        error: Rows that a value in ``others`` may have more, or that one missing there may have.
    """

    rows: int
    missing: int
    counts: Counts
    others: Mapping[str, int]
    error: int = 0

    def __eq__(self, other: object) -> bool:
        """Whether all counts are the same."""
        return isinstance(other, CategoryProfile) and (
            (self.rows, self.missing, self.error) == (other.rows, other.missing, other.error)
            and self.counts.tolist() == other.counts.tolist()
            and dict(self.others) == dict(other.others)
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    def others_rows(self) -> int:
        """Rows of all values that are none of the plan's categories."""
        return self.rows - self.missing - int(self.counts.sum())

    @property
    def is_complete(self) -> bool:
        """Whether every value is known with its rows."""
        return self.error == 0

    def merged(self, other: CategoryProfile) -> CategoryProfile:
        """The profile of the rows of both."""
        others, error = frequent(
            [*self.others.items(), *other.others.items()], error=self.error + other.error
        )
        return CategoryProfile(
            rows=self.rows + other.rows,
            missing=self.missing + other.missing,
            counts=self.counts + other.counts,
            others=others,
            error=error,
        )


ColumnProfile = NumericProfile | CategoryProfile


def frequent(counted: Iterable[tuple[str, int]], *, error: int) -> tuple[Mapping[str, int], int]:
    """The most frequent of some values, and how much their rows may be short.

    Args:
        counted: Values and rows; a value may occur more than once.
        error: Rows by which these may be short already.

    Returns:
        At most ``MAX_OTHERS`` values by falling rows, and the error.
    """
    found: dict[str, int] = {}
    for value, rows in counted:
        found[value] = found.get(value, 0) + rows
    if len(found) > MAX_OTHERS:
        from datasketches import frequent_items_error_type, frequent_strings_sketch

        sketch = frequent_strings_sketch(LG_COUNTERS)
        for value in sorted(found):
            sketch.update(value, found[value])
        kept = sketch.get_frequent_items(frequent_items_error_type.NO_FALSE_NEGATIVES, 0)
        # Rows of the library: value, estimate, lower bound, upper bound.
        bounds = sorted((-int(row[2]), str(row[0])) for row in kept)
        short = max((int(row[3]) - int(row[2]) for row in kept), default=0)
        cut = -bounds[MAX_OTHERS][0] if len(bounds) > MAX_OTHERS else 0
        found = {value: -rows for rows, value in bounds[:MAX_OTHERS] if rows}
        error += max(1, short + cut)
    ordered = sorted(found.items(), key=lambda each: (-each[1], each[0]))
    return dict(ordered), error


def _of_both(
    choose: Callable[[float, float], float], left: float | None, right: float | None
) -> float | None:
    if left is None or right is None:
        return right if left is None else left
    return choose(left, right)
