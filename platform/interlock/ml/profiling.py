"""Counting rows: batches in, the parts of a profile out.

Here is the one place where speed was bought: each column of a batch is sorted once, after which
its counts, least and greatest numbers are looked up, and the sketch takes it in twice as fast.
What is kept is ``ml.column_profiles`` and ``ml.joint_profiles``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from interlock.errors import ProfileError
from interlock.ml.column_profiles import (
    MAX_OTHERS,
    CategoryProfile,
    ColumnProfile,
    NumericProfile,
    frequent,
)
from interlock.ml.column_values import numbers_of, tally, texts_of, type_name
from interlock.ml.exact_sums import ExactSum
from interlock.ml.joint_profiles import MAX_ROWS, Comoments, Joint, spread_rows
from interlock.ml.profile_plan import (
    ColumnKind,
    ColumnPlan,
    ProfilePlan,
)
from interlock.ml.quantile_sketch import QuantileSketch

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

BATCH_ROWS: Final = 32_768  # a column and its copies, 1 MB, stay in the processor's cache

Parts = tuple[Mapping[str, ColumnProfile], Mapping[tuple[str, str], Joint], Comoments | None]


class Profiler:
    """Counts what a plan names, batch by batch.

    Args:
        plan: What to count.
    """

    def __init__(self, plan: ProfilePlan) -> None:
        self._plan = plan
        self._columns: dict[str, _NumericCounter | _CategoryCounter] = {
            column.name: (
                _NumericCounter(column)
                if column.kind is ColumnKind.NUMERIC
                else _CategoryCounter(column)
            )
            for column in plan.columns
        }
        self._joints = {
            (left, right): Joint(
                np.zeros((plan.column(left).cells, plan.column(right).cells), dtype=np.int64)
            )
            for left, right in plan.pairs
        }
        followed = [plan.column(name) for name in plan.multivariate]
        self._centers = np.array([column.center for column in followed])
        self._scales = np.array([column.scale for column in followed])
        self._comoments = Comoments.empty(len(followed)) if followed else None
        self.rows = 0

    def add(self, batch: pl.DataFrame) -> None:
        """Count some rows.

        Raises:
            ProfileError: A column is missing, or of another type than the plan's; nothing of
                the batch was counted.
        """
        check_schema(self._plan, dict(batch.schema))
        if self.rows + batch.height > MAX_ROWS:
            raise ProfileError(
                f"one profile holds {MAX_ROWS:,} rows at most",
                remedy="profile partitions of the data apart, e.g. by day",
            )
        for piece in batch.iter_slices(BATCH_ROWS):
            self._add(piece)

    def parts(self) -> Parts:
        """What was counted: columns, pairs, and how numbers vary together."""
        columns = {name: counter.profile() for name, counter in self._columns.items()}
        return columns, self._joints, self._comoments

    def _add(self, piece: pl.DataFrame) -> None:
        if not piece.height:
            return
        for name, counter in self._columns.items():
            counter.add(piece[name])
        cells = {
            name: _cells(self._plan.column(name), piece[name])
            for name in {name for pair in self._joints for name in pair}
        }
        for (left, right), joint in self._joints.items():
            wide = joint.counts.shape[1]
            flat = np.bincount(cells[left] * wide + cells[right], minlength=joint.counts.size)
            self._joints[left, right] = joint + Joint(flat.reshape(joint.counts.shape))
        if self._comoments is not None:
            spread = piece.select(self._plan.multivariate)[spread_rows(piece.height)]
            values = np.column_stack([_with_nan(spread[name]) for name in spread.columns])
            self._comoments += Comoments.of(values, centers=self._centers, scales=self._scales)
        self.rows += piece.height


def check_schema(plan: ProfilePlan, schema: Mapping[str, pl.DataType]) -> None:
    """Hold a table's columns against a plan.

    Args:
        plan: What is counted.
        schema: Of the table; it may have further columns.

    Raises:
        ProfileError: A column is missing, or of another type; all of them are named, with those
            that the plan does not know, since one may be the other under a new name.
    """
    gone = [column.name for column in plan.columns if column.name not in schema]
    other = [
        f"{column.name} ({type_name(found)}, in the reference {column.family})"
        for column in plan.columns
        if (found := schema.get(column.name)) is not None
        and found != pl.Null  # a column of nothing but missing values fits any
        and type_name(found) != column.family
    ]
    if not gone and not other:
        return
    known = {column.name for column in plan.columns}
    added = [name for name in schema if name not in known]
    found_words = [
        f"{words}: {', '.join(names[:20])}"
        for words, names in (
            ("missing", gone),
            ("of another type", other),
            ("not in the reference", added),
        )
        if names
    ]
    raise ProfileError(
        "the columns are not those of the reference; " + "; ".join(found_words),
        remedy="rename or convert the columns, or make a reference of data as it is now",
    )


class _NumericCounter:
    def __init__(self, plan: ColumnPlan) -> None:
        self._plan = plan
        self._counts: Counts = np.zeros(len(plan.edges) + 1, dtype=np.int64)
        self._rows = self._missing = self._infinite = 0
        self._least, self._greatest = np.inf, -np.inf
        self._total = self._squares = self._under = self._over = ExactSum()
        self._sketch = QuantileSketch()

    def add(self, column: pl.Series) -> None:
        values = _sorted_numbers(column)
        self._rows += len(column)
        self._missing += len(column) - len(values)
        below = np.searchsorted(values, self._plan.grid, side="right")
        self._counts += np.diff(below, prepend=0, append=len(values))
        # Sorted: infinities stand at the ends.
        start = int(np.searchsorted(values, -np.inf, side="right"))
        end = int(np.searchsorted(values, np.inf, side="left"))
        self._infinite += len(values) - (end - start)
        finite = values[start:end]
        if not len(finite):
            return
        self._least = min(self._least, float(finite[0]))
        self._greatest = max(self._greatest, float(finite[-1]))
        with np.errstate(over="ignore", invalid="ignore"):
            z = finite - self._plan.center
            z /= self._plan.scale
            self._total += ExactSum.of(float(z.sum()))
            # Not z @ z: BLAS adds in an order that depends on its threads.
            self._squares += ExactSum.of(float(np.multiply(z, z, out=z).sum()))
            if len(below):
                first, last = self._plan.edges[0], self._plan.edges[-1]
                under = (first - values[start : max(start, below[0])]) / self._plan.scale
                over = (values[min(end, below[-1]) : end] - last) / self._plan.scale
                self._under += ExactSum.of(float(under.sum()))
                self._over += ExactSum.of(float(over.sum()))
        self._sketch.add(finite)

    def profile(self) -> NumericProfile:
        known = self._least <= self._greatest
        return NumericProfile(
            rows=self._rows,
            missing=self._missing,
            infinite=self._infinite,
            counts=self._counts.copy(),
            least=self._least if known else None,
            greatest=self._greatest if known else None,
            total=self._total,
            squares=self._squares,
            below=self._under,
            above=self._over,
            sketch=self._sketch,
        )


class _CategoryCounter:
    def __init__(self, plan: ColumnPlan) -> None:
        self._places = {name: place for place, name in enumerate(plan.categories)}
        self._counts: Counts = np.zeros(len(plan.categories), dtype=np.int64)
        self._rows = self._missing = 0
        self._others: Mapping[str, int] = {}
        self._error = 0

    def add(self, column: pl.Series) -> None:
        self._rows += len(column)
        self._missing += column.null_count()
        others = []
        for name, rows in tally(column).items():
            place = self._places.get(name)
            if place is None:
                others.append((name, rows))
            else:
                self._counts[place] += rows
        if others:
            self._others, self._error = frequent(
                [*self._others.items(), *others], error=self._error
            )

    def profile(self) -> CategoryProfile:
        assert len(self._others) <= MAX_OTHERS  # noqa: S101 - ``frequent`` keeps no more
        return CategoryProfile(
            self._rows, self._missing, self._counts.copy(), self._others, self._error
        )


def _sorted_numbers(column: pl.Series) -> Floats:
    """All but missing values, ascending; infinities at the ends."""
    if column.null_count() == len(column):
        return np.empty(0)
    # Numbers with nulls become float64 with NaN.
    ordered: Floats = np.sort(numbers_of(column).to_numpy()).astype(np.float64, copy=False)
    # NaN is sorted to the end.
    return ordered[: int(np.searchsorted(ordered, np.nan, side="left"))]


def _with_nan(column: pl.Series) -> Floats:
    if column.null_count() == len(column):
        return np.full(len(column), np.nan)
    values: Floats = numbers_of(column).to_numpy().astype(np.float64, copy=False)
    return values


def _cells(plan: ColumnPlan, column: pl.Series) -> Counts:
    """Each row's place along one side of a pair's joint counts."""
    if plan.kind is ColumnKind.NUMERIC:
        values = _with_nan(column)
        places = np.searchsorted(plan.coarse, values, side="left")
        places[np.isnan(values)] = plan.cells - 1
        return places.astype(np.int64)
    kept = list(plan.categories[: plan.cells - 2])
    texts = texts_of(column)
    found = texts.replace_strict(
        kept, list(range(len(kept))), default=plan.cells - 2, return_dtype=pl.Int64
    )
    filled: Counts = found.zip_with(texts.is_not_null(), pl.Series([plan.cells - 1])).to_numpy()
    return filled
