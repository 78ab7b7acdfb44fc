"""The performance that later windows are held against, small enough to lie beside the version.

It is measured once, on rows that the model was not fitted on: counts and a few moments for all rows
and for each group, and nothing of any single row. Its JSON is ``model_dump_json``. The groups
themselves are decided in ``ml.segments``, the numbers in ``ml.metric_sample``.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from pydantic import BaseModel, ConfigDict

from interlock.errors import DataError
from interlock.ml.evaluation import CostMatrix
from interlock.ml.metric_sample import MetricSample, metric_sample
from interlock.ml.score_cells import Booleans, Floats
from interlock.ml.segments import Segmentation, assign_segments, fit_segmentation


class GroupSample(BaseModel):
    """One group of the reference.

    Attributes:
        column: Segment column.
        value: Its group.
        sample: What was measured there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str
    value: str
    sample: MetricSample


class PerformanceReference(BaseModel):
    """A model's performance when it was evaluated.

    Attributes:
        overall: All rows.
        segmentation: How rows are parted.
        groups: Every group that had rows.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    overall: MetricSample
    segmentation: Segmentation
    groups: tuple[GroupSample, ...]

    def group(self, column: str, value: str) -> MetricSample | None:
        """What was measured on a group; none where it had no rows."""
        found = (each for each in self.groups if (each.column, each.value) == (column, value))
        return next((each.sample for each in found), None)


def measure_reference(
    outcome: Booleans,
    score: Floats,
    predicted: Booleans,
    table: pl.DataFrame,
    *,
    cost: CostMatrix,
    segments: Sequence[str] = (),
    protected: Sequence[str] = (),
) -> PerformanceReference:
    """Measure the reference of a model.

    Args:
        outcome: Shape (n,), True for the positive class; both classes present.
        score: Shape (n,), in [0, 1].
        predicted: Shape (n,), True for rows called positive.
        table: n rows, with the segment columns; protected ones need not be features.
        cost: Costs of wrong decisions; the same as in the later settings.
        segments: Columns to part by.
        protected: Columns whose groups are protected.

    Returns:
        The reference.

    Raises:
        DataError: One class alone, shapes that differ, or a column that is missing.
    """
    if table.height != len(outcome):
        raise DataError(
            f"the table has {table.height:,} rows for {len(outcome):,} outcomes",
            remedy="pass the rows that were scored, in their order",
        )
    positives = int(outcome.sum())
    if positives in (0, len(outcome)):
        raise DataError(
            f"{positives:,} of {len(outcome):,} reference rows are positive, so one class is "
            "missing",
            remedy="measure the reference on rows of both classes",
        )
    segmentation = fit_segmentation(table, segments=segments, protected=protected)
    overall = metric_sample(outcome, score, predicted, cost=cost)
    groups = []
    for column, names in assign_segments(table, segmentation).items():
        for value in names.unique().sort():
            rows = (names == value).to_numpy()
            sample = metric_sample(outcome[rows], score[rows], predicted[rows], cost=cost)
            groups.append(GroupSample(column=column, value=value, sample=sample))
    return PerformanceReference(overall=overall, segmentation=segmentation, groups=tuple(groups))
