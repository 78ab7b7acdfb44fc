"""What a recorded check of drift or performance measured: stored figures in, values out.

The figures are JSON in the data bucket, written by ``interlock.actions`` and named with their hash
in the audit trail. Pure; what is of another shape than expected is refused as a whole. Only the
vocabulary of the code becomes a label; features are bounded by ``MAX_FEATURES``, the worst first.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from interlock.errors import MonitoringError
from interlock.ml.metric_sample import METHODS
from interlock.ml.verdict import Outcome, Statistic
from monitoring.drift_check import MAX_FEATURES

BEYOND: Final = "beyond_limit"
_STATISTICS: Final = frozenset(statistic.value for statistic in Statistic)


@dataclass(frozen=True)
class DriftFigures:
    """A check of drift.

    Attributes:
        detected: Whether anything drifted.
        predictions_detected: Whether the model's scores did.
        features: Feature to distances by statistic, the worst ``MAX_FEATURES``.
        predictions: Distances of the scores by statistic.
    """

    detected: bool
    predictions_detected: bool
    features: Mapping[str, Mapping[str, float]]
    predictions: Mapping[str, float]


@dataclass(frozen=True)
class Measure:
    """A metric and the ends of its interval; None where it has none."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class PerformanceFigures:
    """A check of performance.

    Attributes:
        beyond: Metrics beyond their limit, over all windows and groups.
        metrics: Metric over all rows of the newest window that defines it.
        estimated: The same without labels, of the newest window that has an estimate.
        window_end: End of the newest window with labels, Unix time; None where none has any.
    """

    beyond: int
    metrics: Mapping[str, Measure]
    estimated: Mapping[str, Measure]
    window_end: float | None


def drift_figures(stored: bytes) -> DriftFigures:
    """Figures of a check of drift.

    Raises:
        MonitoringError: They are something else.
    """
    try:
        document = json.loads(stored)
        predictions = document["predictions"]
        drift = Outcome.DRIFT.value
        return DriftFigures(
            detected=document["outcome"] == drift,
            predictions_detected=any(each["outcome"] == drift for each in predictions),
            features={
                str(each["name"]): dict(_distances(each))
                for each in document["columns"][:MAX_FEATURES]
            },
            predictions=dict(_distances(predictions[0])) if predictions else {},
        )
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise _unreadable("drift", stored) from error


def performance_figures(stored: bytes) -> PerformanceFigures:
    """Figures of a check of performance.

    Raises:
        MonitoringError: They are something else.
    """
    try:
        windows = json.loads(stored)["windows"]
        metrics: dict[str, Measure] = {}
        estimated: dict[str, Measure] = {}
        end = None
        for window in windows:  # the oldest first: what is newer replaces it
            metrics |= dict(_measures(window["groups"][0]["metrics"]))
            estimated |= dict(_measures((window["estimate"] or {}).get("metrics", {})))
            if window["labelled"]:
                end = datetime.fromisoformat(window["end"]).timestamp()
        beyond = sum(
            metric["verdict"] == BEYOND
            for window in windows
            for group in window["groups"]
            for metric in group["metrics"].values()
        )
        return PerformanceFigures(beyond, metrics, estimated, end)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise _unreadable("performance", stored) from error


def _distances(column: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in column["statistics"].items():
        number = _number(value)
        if name in _STATISTICS and number is not None:
            yield name, number


def _measures(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Measure]]:
    for name, found in metrics.items():
        value = _number(found["value"])
        if name in METHODS and value is not None:
            yield name, Measure(value, _number(found["low"]), _number(found["high"]))


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if known and math.isfinite(value) else None  # type: ignore[arg-type]


def _unreadable(kind: str, stored: bytes) -> MonitoringError:
    return MonitoringError(
        f"{len(stored)} bytes are no figures of a check of {kind}",
        remedy="run the check again; if that does not help, update the monitor",
    )
