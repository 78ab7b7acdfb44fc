"""What was measured of a model's performance: values that reports, gauges and decisions read.

How it is measured is in ``ml.performance``; how a verdict is reached, in ``ml.performance_limit``;
how it looks, elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from interlock.ml.evaluation import Interval
from interlock.ml.label_coverage import LabelCoverage
from interlock.ml.performance_limit import Judgement, PerformanceSettings, Verdict, gravest

REPORT_COLUMNS: Mapping[str, pl.DataType] = {
    "window": pl.String(),
    "column": pl.String(),
    "group": pl.String(),
    "protected": pl.Boolean(),
    "predictions": pl.Int64(),
    "labelled": pl.Int64(),
    "metric": pl.String(),
    "value": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "verdict": pl.String(),
    "reason": pl.String(),
}
"""Columns of ``report_table``; ``column`` and ``group`` are null for all rows of a window."""


@dataclass(frozen=True)
class Group:
    """A group of rows: value ``value`` of column ``column``."""

    column: str
    value: str
    protected: bool

    def __str__(self) -> str:
        return f"{self.column} = {self.value}"


@dataclass(frozen=True)
class Measured:
    """One metric of one group of rows in one window.

    Attributes:
        metric: A key of ``METHODS``.
        value: In the metric's unit; none where the rows do not define it.
        interval: At the settings' level, uncorrected; none as above.
        method: How the interval was found.
        judgements: One per limit; none where the metric has no limit.
    """

    metric: str
    value: float | None
    interval: Interval | None
    method: str
    judgements: tuple[Judgement, ...]

    @property
    def verdict(self) -> Verdict | None:
        """The gravest of the judgements; none where there is no limit."""
        return gravest(each.verdict for each in self.judgements)


@dataclass(frozen=True)
class GroupPerformance:
    """What was measured on one group of rows.

    Attributes:
        group: The group; none for all rows of the window.
        predictions: Rows, labelled or not.
        rows: Labelled rows, which the metrics speak for.
        positives: Of these, rows of the positive class.
        metrics: Metric to measure, every key of ``METHODS``.
    """

    group: Group | None
    predictions: int
    rows: int
    positives: int
    metrics: Mapping[str, Measured]

    @property
    def verdict(self) -> Verdict | None:
        """The gravest over all metrics; none where none has a limit."""
        found = (each.verdict for each in self.metrics.values())
        return gravest(verdict for verdict in found if verdict is not None)


@dataclass(frozen=True)
class WindowPerformance:
    """One window.

    Attributes:
        name: ``2026-11-21``, ``2026-W47`` or the batch.
        start: First moment of the day or week; of a batch, its first prediction. UTC.
        end: First moment after it; of a batch, its last prediction.
        coverage: How far the labels speak for all predictions.
        overall: All rows.
        groups: Every group of every segment column that has rows, in the reference's order.
    """

    name: str
    start: datetime
    end: datetime
    coverage: LabelCoverage
    overall: GroupPerformance
    groups: tuple[GroupPerformance, ...]

    @property
    def beyond(self) -> tuple[tuple[Group | None, Judgement], ...]:
        """Every judgement that found a metric beyond its limit."""
        return tuple(
            (each.group, judgement)
            for each in (self.overall, *self.groups)
            for measured in each.metrics.values()
            for judgement in measured.judgements
            if judgement.verdict is Verdict.BEYOND_LIMIT
        )


@dataclass(frozen=True)
class PerformanceReport:
    """All windows, the oldest first, and what they were measured by."""

    windows: tuple[WindowPerformance, ...]
    settings: PerformanceSettings

    def latest(self, metric: str) -> tuple[WindowPerformance, Measured] | None:
        """The newest window with enough labels for a verdict, and the metric over all its rows.

        Args:
            metric: A key of ``METHODS``.

        Returns:
            Window and measure; none where no window has both.
        """
        for window in reversed(self.windows):
            measured = window.overall.metrics[metric]
            if measured.value is not None and not shortage(window.overall, self.settings):
                return window, measured
        return None


def shortage(measured: GroupPerformance, settings: PerformanceSettings) -> str | None:
    """Why there is not enough data for a verdict, or none.

    Args:
        measured: The group of rows, or all rows of a window.
        settings: The minima.
    """
    least = min(measured.positives, measured.rows - measured.positives)
    share = measured.rows / measured.predictions if measured.predictions else 0.0
    if measured.rows < settings.minimum_rows:
        return f"{measured.rows:,} labelled rows; a verdict takes {settings.minimum_rows:,}"
    if least < settings.minimum_class:
        return f"{least:,} labelled rows of one class; a verdict takes {settings.minimum_class:,}"
    if share < settings.minimum_coverage:
        return (
            f"labels for {share:.1%} of the predictions; a verdict takes "
            f"{settings.minimum_coverage:.1%}"
        )
    return None


def report_table(report: PerformanceReport) -> pl.DataFrame:
    """A report as one flat table: a row for each window, group and metric that is defined there.

    Args:
        report: The report.

    Returns:
        Columns of ``REPORT_COLUMNS``. ``reason`` is that of the gravest judgement.
    """
    return pl.DataFrame(list(_rows(report)), schema=dict(REPORT_COLUMNS), orient="row")


def _rows(report: PerformanceReport) -> Iterator[tuple[Any, ...]]:
    for window in report.windows:
        for each in (window.overall, *window.groups):
            group = each.group
            named = (group.column, group.value, group.protected) if group else (None, None, False)
            for measured in each.metrics.values():
                verdict = measured.verdict
                if measured.value is None and verdict is None:
                    continue
                interval = measured.interval
                ends = (interval.low, interval.high) if interval else (None, None)
                told = (one.reason for one in measured.judgements if one.verdict is verdict)
                yield (
                    window.name,
                    *named,
                    each.predictions,
                    each.rows,
                    measured.metric,
                    measured.value,
                    *ends,
                    verdict,
                    next(told, None),
                )
