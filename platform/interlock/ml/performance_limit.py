"""Whether a metric is beyond its limit, within it, or whether that cannot be told.

A limit is a reference and a tolerance. The verdict rests on the confidence interval of the change
from the reference, as a trial of non-inferiority does (ICH E9, 3.3.2; FDA 2016, "Non-Inferiority
Clinical Trials"): a model is

- **beyond its limit** only when the whole interval is worse than the tolerance allows;
- **within** only when the whole interval is not;
- **undecided** when the tolerance lies inside the interval;
- **not enough data** when the sample is below its minimum or does not define the metric.

A reference that was itself measured has an interval of its own; the interval of the change holds
both (MOVER, Zou & Donner 2008; for proportions it is Newcombe's method 10 of 1998). A fixed limit,
as a gate, has none. Where the tests of one window are several, each is judged at the level that
keeps the chance of one false "beyond" in all of them (Bonferroni; Dunn 1961).

Metrics and their intervals are in ``ml.metric_sample``; who is compared, in ``ml.performance``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from interlock.ml.evaluation import CostMatrix, Interval
from interlock.ml.metric_sample import LOSSES, METHODS, MetricSample

DEFAULT_TOLERANCES: Mapping[str, float] = {"accuracy": 0.05, "f1": 0.05, "roc_auc": 0.05}
"""Metric to the change for the worse that is tolerated. A choice, not a finding: ICH E10, 1.5.1.1
has the margin follow from what a loss means, which a product knows and its YAML should say."""

UNLIMITED = frozenset({"positive_rate"})
"""Metrics that have no better and worse; they are measured and never judged."""


class Verdict(StrEnum):
    """What can be said of a metric and its limit, the gravest last."""

    WITHIN = "within"
    UNDECIDED = "undecided"
    NOT_ENOUGH_DATA = "not_enough_data"
    BEYOND_LIMIT = "beyond_limit"


def _known(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        msg = f"time zone {zone!r} is unknown; name an IANA zone, e.g. Europe/Berlin"
        raise ValueError(msg) from error
    return zone


Zone = Annotated[str, AfterValidator(_known)]
"""An IANA zone."""


class PerformanceSettings(BaseModel):
    """How performance is measured and judged.

    Attributes:
        window: Predictions of one day, ISO week or batch are measured together.
        batch_column: Column that names the batch; for ``batch`` alone.
        zone: IANA zone of days and weeks; of a product without one, that of its monitoring.
        level: Confidence level of the intervals shown, and of a window's verdicts together.
        minimum_rows: Fewest labelled rows for a verdict. Also keeps groups of a few people out.
        minimum_class: Fewest labelled rows of each class for a verdict. At 10 DeLong's interval
            keeps its level (docs/performance.md).
        minimum_coverage: Least share of labelled predictions for a verdict. Below one half the
            rows without a label outweigh those with one.
        tolerances: Metric to tolerated change for the worse, in the metric's unit; only these
            are judged against the reference.
        cost: Costs behind ``expected_cost``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    window: Literal["day", "week", "batch"] = "day"
    batch_column: str | None = None
    zone: Zone = "UTC"
    level: Annotated[float, Field(gt=0.5, lt=1)] = 0.95
    minimum_rows: Annotated[int, Field(ge=2)] = 50
    minimum_class: Annotated[int, Field(ge=2)] = 10
    minimum_coverage: Annotated[float, Field(ge=0, le=1)] = 0.5
    tolerances: Mapping[str, Annotated[float, Field(ge=0)]] = DEFAULT_TOLERANCES
    cost: CostMatrix = CostMatrix()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if (self.window == "batch") != (self.batch_column is not None):
            msg = "name batch_column when the window is batch, and only then"
            raise ValueError(msg)
        wrong = [name for name in self.tolerances if name not in METHODS or name in UNLIMITED]
        if wrong:
            known = ", ".join(name for name in METHODS if name not in UNLIMITED)
            msg = f"no tolerance can be given for {', '.join(wrong)}; expected one of {known}"
            raise ValueError(msg)
        return self


@dataclass(frozen=True)
class Limit:
    """What a metric is held against.

    Attributes:
        metric: A key of ``METHODS``.
        reference: Its value there, in the metric's unit.
        tolerance: Change for the worse that is allowed, ≥ 0, same unit.
        measured: The sample that the reference was measured on; none for a fixed value.
        source: Whose value it is, for a reader: ``the reference``, ``the gate``.
    """

    metric: str
    reference: float
    tolerance: float
    measured: MetricSample | None
    source: str

    @property
    def bound(self) -> float:
        """The worst value that is not beyond the limit."""
        sign = 1.0 if self.metric in LOSSES else -1.0
        return self.reference + sign * self.tolerance


@dataclass(frozen=True)
class Judgement:
    """One metric of one sample held against one limit.

    Attributes:
        limit: The limit.
        verdict: The verdict.
        change: Interval of value minus reference, at ``level``; none without a verdict from data.
        level: Confidence level of ``change``, after correction for the other tests.
        reason: Found, expected and what that means; one sentence.
    """

    limit: Limit
    verdict: Verdict
    change: Interval | None
    level: float
    reason: str


def fixed_limit(metric: str, value: float) -> Limit:
    """A limit that was set and not measured, e.g. a gate of the product."""
    return Limit(metric=metric, reference=value, tolerance=0.0, measured=None, source="the gate")


def reference_limit(
    metric: str, sample: MetricSample, *, tolerance: float, source: str
) -> Limit | None:
    """The limit that follows from a reference sample; none where it does not define the metric."""
    value = sample.value(metric)
    if value is None or sample.interval(metric, level=0.95) is None:
        return None
    return Limit(
        metric=metric, reference=value, tolerance=tolerance, measured=sample, source=source
    )


def corrected_level(level: float, tests: int) -> float:
    """The level of each of several tests that together keep ``level`` (Bonferroni)."""
    return 1.0 - (1.0 - level) / max(1, tests)


def judge(sample: MetricSample, limit: Limit, *, level: float) -> Judgement:
    """Hold one metric of a sample against its limit.

    Args:
        sample: What was measured, large enough for a verdict.
        limit: What it is held against.
        level: Confidence level of the interval of the change.

    Returns:
        The judgement.
    """
    value = sample.value(limit.metric)
    interval = sample.interval(limit.metric, level=level)
    if value is None or interval is None:
        return undetermined(limit, level, f"{limit.metric} is not defined on these rows")
    known = None if limit.measured is None else limit.measured.interval(limit.metric, level=level)
    return judge_value(value, interval, limit, reference=known, level=level)


def judge_value(
    value: float, interval: Interval, limit: Limit, *, reference: Interval | None, level: float
) -> Judgement:
    """Hold a value with an interval against a limit, whatever they were found by.

    Args:
        value: The metric.
        interval: Its interval at ``level``.
        limit: What it is held against.
        reference: Interval of the limit's reference at ``level``; none when that is fixed.
        level: Confidence level of the intervals.

    Returns:
        The judgement.
    """
    change = difference(value, interval, limit.reference, reference)
    # For a loss more is worse: looked at in a mirror, less is worse for all.
    worst, best = (
        (-change.high, -change.low) if limit.metric in LOSSES else (change.low, change.high)
    )
    if best < -limit.tolerance:
        verdict, says = Verdict.BEYOND_LIMIT, "all of it beyond the tolerated"
    elif worst >= -limit.tolerance:
        verdict, says = Verdict.WITHIN, "none of it beyond the tolerated"
    else:
        verdict, says = Verdict.UNDECIDED, "partly beyond the tolerated"
    return Judgement(
        limit=limit,
        verdict=verdict,
        change=change,
        level=level,
        reason=(
            f"{limit.metric} {value:.4g}, {limit.source} {limit.reference:.4g}: the change is "
            f"{change.low:+.4g} to {change.high:+.4g} at {level:.2%} confidence, {says} "
            f"{limit.tolerance:.4g}"
        ),
    )


def undetermined(limit: Limit, level: float, reason: str) -> Judgement:
    """The judgement where there is not enough data for one."""
    return Judgement(
        limit=limit, verdict=Verdict.NOT_ENOUGH_DATA, change=None, level=level, reason=reason
    )


def difference(
    value: float, interval: Interval, reference: float, known: Interval | None
) -> Interval:
    """Interval of ``value - reference`` from the interval of each (MOVER).

    Args:
        value: Of one sample.
        interval: Its interval.
        reference: Of another, independent sample, or a fixed number.
        known: The other's interval at the same level; none for a fixed number.

    Returns:
        The interval of the difference.
    """
    known = Interval(reference, reference) if known is None else known
    below = math.hypot(value - interval.low, known.high - reference)
    above = math.hypot(interval.high - value, reference - known.low)
    return Interval(low=value - reference - below, high=value - reference + above)


def gravest(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The verdict that decides over several: beyond, else what keeps from being sure; or none."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=None)
