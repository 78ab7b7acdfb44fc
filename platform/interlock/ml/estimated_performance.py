"""Performance before labels come: confidence-based performance estimation (CBPE).

The method is that of NannyML (documentation, "Confidence-based Performance Estimation"), with the
theory in Kivimäki, Białek, Kuberski & Nurminen 2025, arXiv 2505.05295: if scores are calibrated, a
row that is called positive at a probability of 0.8 is right in eight cases of ten, so expected
counts of right and wrong decisions follow from the scores alone, and metrics from the counts.

It holds while P(outcome | score) is that of the reference. It follows a change of *who* is scored;
it does not see a change of *how they behave* (concept drift), and would go on reporting the old
performance. No figure without labels can tell these apart. So:

- what was assumed stands in every result, with what was found for and against it;
- there is a refusal instead of an estimate where the scores are not calibrated on the reference,
  lie outside its range, or are too few;
- as soon as a window has labels, its estimate is held against them; contradicted, there are no
  further estimates until a later labelled window agrees.

The interval is of the metric that the labels of these very rows would show: outcomes are drawn
from the probabilities, and those from what other references of that size would have led to. A
verdict on an estimate is a warning; decisions belong to measured performance (``ml.performance``).
Only classifiers are trained here; for a regression there would be no such estimate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from interlock.ml.evaluation import Interval
from interlock.ml.expected_cells import ExpectedCells
from interlock.ml.metric_sample import metric_sample
from interlock.ml.performance import window_names
from interlock.ml.performance_limit import (
    Judgement,
    PerformanceSettings,
    Verdict,
    corrected_level,
    gravest,
    judge_value,
    reference_limit,
)
from interlock.ml.performance_reference import PerformanceReference
from interlock.ml.score_calibration import ScoreCalibration
from interlock.ml.score_cells import Booleans, Floats

METHOD = "CBPE, confidence-based performance estimation (NannyML; Kivimäki et al. 2025)"

ESTIMATED = ("accuracy", "precision", "recall", "f1", "roc_auc", "brier", "expected_cost")
"""Metrics that can be estimated; the others of ``METHODS`` need labels."""

MAX_OUTSIDE = 0.05
"""Greatest share of scores outside the reference's range. Of a reference of 200 rows, 1 % fall
outside without any change: two in n + 1."""

REPLICATES = 1_000


@dataclass(frozen=True)
class Assumption:
    """What an estimate rests on.

    Attributes:
        statement: What has to hold.
        holds: Whether it does; none where it cannot be known without labels.
        evidence: What was found, one sentence.
    """

    statement: str
    holds: bool | None
    evidence: str


@dataclass(frozen=True)
class EstimatedMetric:
    """One estimated metric.

    Attributes:
        metric: Of ``ESTIMATED``.
        value: Expected, in the metric's unit.
        interval: Of what labels of these rows would show, at the settings' level.
        judgement: Against the reference; none without a tolerance or reference.
    """

    metric: str
    value: float
    interval: Interval
    judgement: Judgement | None


@dataclass(frozen=True)
class EstimatedPerformance:
    """An estimate, or why there is none.

    Attributes:
        rows: Predictions.
        metrics: Metric to estimate; empty after a refusal.
        assumptions: All that it rests on.
        refusals: Why there is no estimate; empty when there is one.
        method: Name and source of the method.
    """

    rows: int
    metrics: Mapping[str, EstimatedMetric]
    assumptions: tuple[Assumption, ...]
    refusals: tuple[str, ...]
    method: str = METHOD

    @property
    def verdict(self) -> Verdict | None:
        """The gravest, a warning and no more; none without judgements."""
        judgements = (each.judgement for each in self.metrics.values())
        return gravest(each.verdict for each in judgements if each is not None)


@dataclass(frozen=True)
class WindowEstimate:
    """The estimate of one window.

    Attributes:
        name: As in the measured performance.
        estimate: Of all its predictions.
        contradictions: How its labels contradict an estimate of the labelled rows; none where
            there are too few labels to tell.
    """

    name: str
    estimate: EstimatedPerformance
    contradictions: tuple[str, ...] | None


def estimate_performance(
    score: Floats,
    predicted: Booleans,
    *,
    calibration: ScoreCalibration,
    settings: PerformanceSettings,
    rng: np.random.Generator,
    reference: PerformanceReference | None = None,
    contradictions: Sequence[str] = (),
    replicates: int = REPLICATES,
) -> EstimatedPerformance:
    """Estimate the metrics of rows that have no labels.

    Args:
        score: Shape (n,), in [0, 1].
        predicted: Shape (n,), True for rows called positive.
        calibration: Of the same model on its reference.
        settings: Level, minimum of rows, tolerances and costs.
        rng: Source of randomness of the interval.
        reference: What estimates are held against; none judges nothing.
        contradictions: What labels have said against earlier estimates; any refuses this one.
        replicates: Draws behind the interval.

    Returns:
        The estimate, or a refusal.
    """
    beyond = np.sum((score < calibration.least) | (score > calibration.greatest))
    outside = float(beyond) / max(1, len(score))
    assumptions = _assumptions(calibration, outside, contradictions)
    refusals = [each.evidence for each in assumptions if each.holds is False]
    if len(score) < settings.minimum_rows:
        refusals.append(f"{len(score):,} predictions; an estimate takes {settings.minimum_rows:,}")
    if refusals:
        return EstimatedPerformance(len(score), {}, assumptions, tuple(refusals))
    cells = ExpectedCells.of(score, predicted, settings.cost)
    chance = calibration.probability(cells.score)
    expected = cells.rows * chance
    values = cells.metrics(expected[0], expected[1])
    drawn = calibration.replicates(cells.score.ravel(), rng=rng, draws=replicates)
    drawn = drawn.reshape(replicates, *cells.score.shape)
    hits = rng.binomial(cells.rows.astype(np.int64), drawn).astype(np.float64)
    shown = cells.metrics(hits[:, 0], hits[:, 1])
    level = corrected_level(settings.level, len(settings.tolerances))
    metrics = {}
    for name in ESTIMATED:
        value = float(values[name])
        found = shown[name][np.isfinite(shown[name])]
        if np.isfinite(value) and len(found):
            # A fitted calibration flatters itself; refitted on draws of itself, by as much again.
            flattery = float(found.mean()) - value
            value, found = value - flattery, found - 2.0 * flattery
            metrics[name] = EstimatedMetric(
                metric=name,
                value=value,
                interval=_central(found, settings.level),
                judgement=_judgement(
                    name, value, found, reference=reference, settings=settings, level=level
                ),
            )
    return EstimatedPerformance(len(score), metrics, assumptions, ())


def contradictions_of(
    outcome: Booleans,
    score: Floats,
    predicted: Booleans,
    *,
    calibration: ScoreCalibration,
    settings: PerformanceSettings,
    rng: np.random.Generator,
    replicates: int = REPLICATES,
) -> tuple[str, ...] | None:
    """Hold an estimate against the labels of the same rows.

    Args:
        outcome: Shape (n,), what the labels say.
        score: Shape (n,).
        predicted: Shape (n,).
        calibration: As for the estimate.
        settings: Tolerances: a metric contradicts when it lies outside its interval and further
            from the estimate than its tolerance.
        rng: Source of randomness.
        replicates: Draws behind the intervals.

    Returns:
        One sentence for each metric that contradicts; none where nothing could be estimated.
    """
    several = corrected_level(settings.level, len(settings.tolerances))
    strict = settings.model_copy(update={"level": several})
    estimate = estimate_performance(
        score,
        predicted,
        calibration=calibration,
        settings=strict,
        rng=rng,
        replicates=replicates,
    )
    if estimate.refusals:
        return None
    sample = metric_sample(outcome, score, predicted, cost=settings.cost)
    found = []
    for metric, tolerance in settings.tolerances.items():
        value, expected = sample.value(metric), estimate.metrics.get(metric)
        if value is None or expected is None:
            continue
        inside = expected.interval.low <= value <= expected.interval.high
        if not inside and abs(value - expected.value) > tolerance:
            found.append(
                f"{metric} was estimated at {expected.value:.4g} ({expected.interval.low:.4g} to "
                f"{expected.interval.high:.4g}) and labels show {value:.4g}: outcomes no longer "
                "follow the scores as on the reference"
            )
    return tuple(found)


def estimate_windows(
    table: pl.DataFrame,
    *,
    settings: PerformanceSettings,
    calibration: ScoreCalibration,
    rng: np.random.Generator,
    reference: PerformanceReference | None = None,
) -> tuple[WindowEstimate, ...]:
    """Estimate every window of a joined table, the oldest first, and believe labels meanwhile.

    Args:
        table: ``JoinedLabels.table``.
        settings: As for measured performance; the same windows.
        calibration: Of the same model on its reference.
        rng: Source of randomness.
        reference: What estimates are held against.

    Returns:
        One per window. Contradicted by labels, a window and those after it have no estimate until
        the labels of a later one agree.
    """
    work = table.select("time", "score", "predicted", "outcome", window_names(table, settings))
    standing: tuple[str, ...] = ()
    found = []
    for part in work.sort("time").partition_by("window", maintain_order=True):
        labelled = part.filter(pl.col("outcome").is_not_null())
        said = None
        if labelled.height:
            said = contradictions_of(
                labelled["outcome"].to_numpy(),
                *_scored(labelled),
                calibration=calibration,
                settings=settings,
                rng=rng,
            )
        standing = standing if said is None else said
        estimate = estimate_performance(
            *_scored(part),
            calibration=calibration,
            settings=settings,
            rng=rng,
            reference=reference,
            contradictions=standing,
        )
        found.append(WindowEstimate(part["window"][0], estimate, said))
    return tuple(found)


def _scored(part: pl.DataFrame) -> tuple[Floats, Booleans]:
    return part["score"].to_numpy(), part["predicted"].to_numpy()


def _assumptions(
    calibration: ScoreCalibration, outside: float, contradictions: Sequence[str]
) -> tuple[Assumption, ...]:
    how = {
        "none": "as they are",
        "logistic": "after logistic recalibration",
        "isotonic": "after isotonic regression",
    }[calibration.correction]
    calibrated = (
        f"on {calibration.rows:,} reference rows the scores, {how}, differ from observed shares "
        f"by {calibration.error:.3f} on average (p = {calibration.p_value:.2g})"
    )
    return (
        Assumption(
            "scores are calibrated on the reference",
            not calibration.failures,
            "; ".join(calibration.failures) or calibrated,
        ),
        Assumption(
            "scores lie where the reference has some",
            outside <= MAX_OUTSIDE,
            f"{outside:.1%} of the scores lie outside the reference's {calibration.least:.3f} to "
            f"{calibration.greatest:.3f}; {MAX_OUTSIDE:.0%} are allowed. Whether features do is in "
            "the drift report",
        ),
        Assumption(
            "outcomes follow the scores as on the reference (no concept drift)",
            False if contradictions else None,
            "; ".join(contradictions) or "cannot be known without labels",
        ),
    )


def _judgement(
    metric: str,
    value: float,
    found: Floats,
    *,
    reference: PerformanceReference | None,
    settings: PerformanceSettings,
    level: float,
) -> Judgement | None:
    if reference is None or metric not in settings.tolerances:
        return None
    limit = reference_limit(
        metric,
        reference.overall,
        tolerance=settings.tolerances[metric],
        source="the reference",
    )
    if limit is None:
        return None
    known = reference.overall.interval(metric, level=level)
    return judge_value(value, _central(found, level), limit, reference=known, level=level)


def _central(found: Floats, level: float) -> Interval:
    low, high = np.quantile(found, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(low=float(low), high=float(high))
