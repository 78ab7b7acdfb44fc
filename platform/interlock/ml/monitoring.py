"""The YAML section ``monitoring``: what a version in use is held against, and what follows.

Pure declarations. Limits of drift are ``ml.drift_limits``, of performance
``ml.performance_limit``, sources ``ml.source``. What checks them is ``actions.drift_check`` and
``actions.performance_check``. ADR-0014.

Rules:

- Without the section data is still checked when somebody asks: the newest validated snapshot
  against the default limits.
- At least one of drift and performance suspends the approval of a champion: there is no switch
  that turns this off, nor does it help to take away what a cause is found by, labels or limits.
- ``{partition}`` in a path stands for the day or batch that is checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from interlock.errors import DataError
from interlock.ml.drift_limits import DriftLimits
from interlock.ml.performance_limit import PerformanceSettings, Zone
from interlock.ml.source import PostgresSource, Source

PLACE: Final = "{partition}"
SCORE: Final = "(model score)"
"""The column of scores in a profile; no column of data has such a name."""
_PARTITION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}(\.[A-Za-z0-9_-]+)*")
_Name = Annotated[str, Field(min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Labels(_Section):
    """Where outcomes arrive, late.

    Attributes:
        source: Where from; its path may hold ``{partition}``.
        id: Column that names the prediction which a label belongs to.
        label: Column with one of the target's two values; the target's own name by default.
        time: Column that says when the outcome became known.
        days_late: After how many days the labels of a day are worth looking at; the schedule
            waits as long.
    """

    source: Source
    id: _Name
    label: _Name | None = None
    time: _Name
    days_late: Annotated[int, Field(ge=0, le=3650)] = 0


class Retraining(_Section):
    """When drift may start a new training.

    Attributes:
        cool_down_hours: Least hours between two requests.
        per_day: Most requests in 24 hours.
    """

    cool_down_hours: Annotated[int, Field(ge=1, le=24 * 365)] = 24
    per_day: Annotated[int, Field(ge=1, le=24)] = 1


class Monitoring(_Section):
    """The section.

    Attributes:
        current: Where today's data comes from; by default the product's newest validated
            snapshot.
        partitions: What ``{partition}`` stands for: a day, or a batch that somebody names.
        since: First day, where partitions are days.
        id: Column of ``current`` that names a prediction; for performance alone.
        time: Column of ``current`` that says when it was made; for performance alone.
        zone: IANA zone of the product's days, which times without one are meant in. Without it
            days are those of UTC, and such times are refused.
        labels: Where outcomes arrive; performance is measured only where this is given.
        pairs: Columns whose joint distribution is followed.
        segments: Columns whose groups are measured on their own, besides protected ones.
        drift: Limits of drift.
        performance: Limits of performance. Costs are those of ``search.cost``.
        suspend_on: What suspends the approval of a champion.
        retraining: When drift may start a training; never by default.
    """

    current: Source | None = None
    partitions: Literal["daily", "batch"] | None = None
    since: date | None = None
    id: _Name | None = None
    time: _Name | None = None
    zone: Zone | None = None
    labels: Labels | None = None
    pairs: tuple[tuple[_Name, _Name], ...] = ()
    segments: tuple[_Name, ...] = ()
    drift: DriftLimits = DriftLimits()
    performance: PerformanceSettings = PerformanceSettings()
    suspend_on: Annotated[tuple[Literal["drift", "performance"], ...], Field(min_length=1)] = (
        "drift",
        "performance",
    )
    retraining: Retraining | None = None

    @field_validator("performance")
    @classmethod
    def _is_by_time(cls, performance: PerformanceSettings) -> PerformanceSettings:
        if performance.window == "batch":
            msg = "window is day or week here; a batch is a partition"
            raise ValueError(msg)
        return performance

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for wrong, msg in self._mistakes():
            if wrong:
                raise ValueError(msg)
        return self

    @property
    def clock(self) -> ZoneInfo:
        """The zone of the product's days."""
        return ZoneInfo(self.zone or "UTC")

    def require_columns(self, features: Sequence[str], columns: Sequence[str]) -> None:
        """Refuse names that a product does not have, and limits that judge none of its columns.

        Args:
            features: What the model learns from.
            columns: Of the contract.

        Raises:
            ValueError: Names them.
        """
        for what, names, known in (
            ("pairs", [name for pair in self.pairs for name in pair], features),
            ("drift.columns", self.drift.columns, (*features, SCORE)),
            ("segments", self.segments, columns),
        ):
            unknown = sorted(set(names) - set(known))
            if unknown:
                msg = f"{what} {unknown} are none of {', '.join(known)}"
                raise ValueError(msg)
        # Scores of snapshots are not judged, see ``actions.drift_check``.
        judged = features if self.current is None else (*features, SCORE)
        if "drift" in self.suspend_on and not self.drift.judges(judged, pairs=bool(self.pairs)):
            msg = "drift suspends and has no limit; give one, or name performance alone"
            raise ValueError(msg)

    def _mistakes(self) -> Iterator[tuple[bool, str]]:
        parted = self.current is not None and has_place(self.current)
        yield (
            parted != (self.partitions is not None),
            f"give partitions and a path of current that holds {PLACE}, or neither",
        )
        yield (
            (self.partitions == "daily") != (self.since is not None),
            "give since, the first day, where partitions are daily, and only there",
        )
        late = self.labels is not None
        yield (
            late and (self.current is None or self.id is None or self.time is None),
            "labels need current, id and time, which say which prediction was made when",
        )
        yield (
            not late and set(self.suspend_on) == {"performance"},
            "performance alone suspends and no labels measure it; declare labels, or name drift",
        )
        yield (
            late and "performance" in self.suspend_on and not self.performance.tolerances,
            "performance suspends and has no tolerance; give one, or name drift alone",
        )
        yield (
            self.labels is not None and has_place(self.labels.source) and not parted,
            f"labels hold {PLACE} and current does not",
        )


def has_place(source: Source) -> bool:
    """Whether a source's path is one per partition."""
    return not isinstance(source, PostgresSource) and PLACE in source.path


def day_of(partition: str | None) -> date | None:
    """The day that a partition is; none for a batch, whose names have no order."""
    try:
        found = date.fromisoformat(partition or "")
    except ValueError:
        return None
    return found if found.isoformat() == partition else None


def source_of(source: Source, partition: str | None) -> Source:
    """The source of a partition.

    Args:
        source: As declared.
        partition: Its name; none for a source that has no partitions.

    Raises:
        DataError: A partition is missing, or its name cannot be part of a path.
    """
    if isinstance(source, PostgresSource) or not has_place(source):
        return source
    if partition is None or not _PARTITION.fullmatch(partition):
        raise DataError(
            f"{partition!r} names no partition of {source.path}",
            remedy="name a day such as 2026-11-21, or a batch in letters, digits, '-' and '_'",
        )
    return source.model_copy(update={"path": source.path.replace(PLACE, partition)})
