"""Performance once labels have come: metrics per window, over all rows and per group.

Here lives the measuring of joined labels (``ml.label_join``) against a reference: windows by day,
ISO week or batch; in each, the metrics of all labelled rows and of every group of
``ml.segments``, their intervals and their verdicts. The rules:

- labels of a window speak for its labelled rows; their share, whether they score differently from
  the others, and how far the others could move the accuracy stand beside them;
- there is no verdict where rows, rows of a class or coverage are below their minimum;
- all verdicts over all rows of one window keep the level together, and so do all verdicts over its
  groups. Windows are not corrected for each other: each is a decision of its own day;
- a group is held against the same group of the reference, and against the whole reference where
  that group has no measure of its own there.

How a verdict is reached is in ``ml.performance_limit``, what is handed over in
``ml.performance_report``; what follows from it is decided in ``governance`` and ``actions``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from interlock.errors import DataError
from interlock.ml.label_coverage import label_coverage
from interlock.ml.metric_sample import METHODS, MetricSample, metric_sample
from interlock.ml.performance_limit import (
    Limit,
    PerformanceSettings,
    corrected_level,
    fixed_limit,
    judge,
    reference_limit,
    undetermined,
)
from interlock.ml.performance_reference import PerformanceReference
from interlock.ml.performance_report import (
    Group,
    GroupPerformance,
    Measured,
    PerformanceReport,
    WindowPerformance,
    shortage,
)
from interlock.ml.segments import Segmentation, assign_segments

_ACCOUNTED = ("time", "score", "predicted", "outcome")


def measure_performance(
    table: pl.DataFrame,
    *,
    settings: PerformanceSettings,
    reference: PerformanceReference | None = None,
    gates: Mapping[str, float] | None = None,
    segmentation: Segmentation | None = None,
) -> PerformanceReport:
    """Measure every window of a joined table.

    Args:
        table: ``JoinedLabels.table``: ``time``, ``score``, ``predicted``, ``outcome``, the segment
            columns, and the batch column where the window is a batch.
        settings: How to measure and judge.
        reference: What the metrics of ``settings.tolerances`` are held against; none judges by
            gates alone.
        gates: Metric to fixed limit; judged over all rows, not per group.
        segmentation: Groups to measure; the reference's by default.

    Returns:
        The report. A table without rows gives one without windows.

    Raises:
        DataError: A column is missing, a batch has no name, or a gate names no metric.
    """
    _require(table, settings, gates or {})
    parted = segmentation or (reference.segmentation if reference else Segmentation())
    groups = assign_segments(table, parted)
    work = table.select(_ACCOUNTED).with_columns(
        window_names(table, settings),
        *(series.alias(f"in {name}") for name, series in groups.items()),
    )
    parts = work.sort("time").partition_by("window", maintain_order=True)
    return PerformanceReport(
        windows=tuple(
            _measure_window(part, parted, settings, reference, gates or {}) for part in parts
        ),
        settings=settings,
    )


def window_names(table: pl.DataFrame, settings: PerformanceSettings) -> pl.Series:
    """The window that each row belongs to, by name.

    Args:
        table: ``time``, in UTC, and the batch column where the window is a batch.
        settings: The kind of window, its zone, the batch column.

    Returns:
        Text, named ``window``.
    """
    if settings.batch_column is not None:
        return table[settings.batch_column].cast(pl.String).alias("window")
    local = table["time"].dt.convert_time_zone(settings.zone)
    form = "%Y-%m-%d" if settings.window == "day" else "%G-W%V"
    return local.dt.strftime(form).alias("window")


def _require(
    table: pl.DataFrame, settings: PerformanceSettings, gates: Mapping[str, float]
) -> None:
    needed = _ACCOUNTED if settings.batch_column is None else (*_ACCOUNTED, settings.batch_column)
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise DataError(
            f"the table lacks {', '.join(missing)}", remedy="pass the table of `join_labels`"
        )
    unknown = [name for name in gates if name not in METHODS]
    if unknown:
        raise DataError(
            f"gates on {', '.join(unknown)} cannot be measured on served predictions",
            remedy=f"pass gates on {', '.join(METHODS)} alone",
        )
    if settings.batch_column is not None and table[settings.batch_column].null_count():
        raise DataError(
            f"{table[settings.batch_column].null_count():,} rows have no {settings.batch_column!r}",
            remedy="name the batch of every prediction",
        )


def _measure_window(
    part: pl.DataFrame,
    parted: Segmentation,
    settings: PerformanceSettings,
    reference: PerformanceReference | None,
    gates: Mapping[str, float],
) -> WindowPerformance:
    start, end = _borders(part, settings)
    everything = _sample(part, None, settings)
    limits = _limits(reference, None, settings)
    limits += [fixed_limit(metric, value) for metric, value in gates.items()]
    samples = list(_group_samples(part, parted, settings))
    group_limits = [_limits(reference, each.group, settings) for each in samples]
    short = [shortage(each.bare, settings) for each in samples]
    tests = sum(len(each) for each, why in zip(group_limits, short, strict=True) if not why)
    return WindowPerformance(
        name=part["window"][0],
        start=start,
        end=end,
        coverage=label_coverage(part),
        overall=_judged(
            everything,
            limits,
            corrected_level(settings.level, len(limits)),
            settings,
            why=shortage(everything.bare, settings),
        ),
        groups=tuple(
            _judged(each, held, corrected_level(settings.level, tests), settings, why=why)
            for each, held, why in zip(samples, group_limits, short, strict=True)
        ),
    )


@dataclass(frozen=True)
class _Sampled:
    group: Group | None
    predictions: int
    sample: MetricSample

    @property
    def bare(self) -> GroupPerformance:
        """The counts alone."""
        return GroupPerformance(
            self.group, self.predictions, self.sample.rows, self.sample.positives, {}
        )


def _sample(part: pl.DataFrame, group: Group | None, settings: PerformanceSettings) -> _Sampled:
    labelled = part.filter(pl.col("outcome").is_not_null())
    sample = metric_sample(
        labelled["outcome"].to_numpy(),
        labelled["score"].to_numpy(),
        labelled["predicted"].to_numpy(),
        cost=settings.cost,
    )
    return _Sampled(group, part.height, sample)


def _group_samples(
    part: pl.DataFrame, parted: Segmentation, settings: PerformanceSettings
) -> Iterator[_Sampled]:
    for column in parted.columns:
        pieces = part.partition_by(f"in {column.name}", as_dict=True)
        for value in column.groups:
            piece = pieces.get((value,))
            if piece is not None:
                yield _sample(piece, Group(column.name, value, column.protected), settings)


def _limits(
    reference: PerformanceReference | None, group: Group | None, settings: PerformanceSettings
) -> list[Limit]:
    if reference is None:
        return []
    own = None if group is None else reference.group(group.column, group.value)
    found = []
    for metric, tolerance in settings.tolerances.items():
        limit = None
        if own is not None:
            limit = reference_limit(
                metric, own, tolerance=tolerance, source="this group in the reference"
            )
        if limit is None:
            whole = "the reference" if group is None else "the whole reference"
            limit = reference_limit(metric, reference.overall, tolerance=tolerance, source=whole)
        if limit is not None:
            found.append(limit)
    return found


def _judged(
    sampled: _Sampled,
    limits: Sequence[Limit],
    level: float,
    settings: PerformanceSettings,
    *,
    why: str | None,
) -> GroupPerformance:
    sample = sampled.sample
    metrics = {}
    for metric, method in METHODS.items():
        held = [limit for limit in limits if limit.metric == metric]
        metrics[metric] = Measured(
            metric=metric,
            value=sample.value(metric),
            interval=sample.interval(metric, level=settings.level),
            method=method,
            judgements=tuple(
                undetermined(limit, level, why) if why else judge(sample, limit, level=level)
                for limit in held
            ),
        )
    return GroupPerformance(
        sampled.group, sampled.predictions, sample.rows, sample.positives, metrics
    )


def _borders(part: pl.DataFrame, settings: PerformanceSettings) -> tuple[datetime, datetime]:
    first, last = part["time"][0], part["time"][-1]
    if settings.window == "batch":
        return first, last
    zone = ZoneInfo(settings.zone)
    day = first.astimezone(zone).date()
    if settings.window == "week":
        day -= timedelta(days=day.weekday())
    length = timedelta(days=1 if settings.window == "day" else 7)
    # From wall clock to wall clock: a day of a change of clocks has 23 or 25 hours.
    ends = (datetime.combine(each, time(), zone) for each in (day, day + length))
    start, end = (each.astimezone(UTC) for each in ends)
    return start, end
