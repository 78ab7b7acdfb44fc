"""Recorded checks of drift and performance as samples. Names: ``catalogue.py``.

A check of drift that the platform recorded speaks by the product's own limits and of the model's
scores too. Its figures stand in place of those that the monitor measures itself: always where it is
of a source of its own, and of a snapshot until the next one is ingested.
"""

from __future__ import annotations

from collections.abc import Mapping

from monitoring.catalogue import Families
from monitoring.check_figures import DriftFigures, PerformanceFigures
from monitoring.observed import CheckView

Checks = Mapping[tuple[str, str], CheckView]


def shown_by_check(found: Checks) -> frozenset[str]:
    """Products whose drift is told by a recorded check."""
    return frozenset(
        product
        for (product, _), each in found.items()
        if each.is_newest and isinstance(each.figures, DriftFigures)
    )


def fill_checks(out: Families, found: Checks) -> None:
    """Each product's checks: age, verdict, figures."""
    products = set(out.bounded("product", (product for product, _ in found)))
    for (product, kind), each in found.items():
        if product not in products:
            continue
        out.add("monitoring_check_up", each.tried, product, kind)
        if each.recorded is not None:
            time = each.recorded.time
            out.add("monitoring_check_last_timestamp_seconds", time, product, kind)
            daily = each.recorded.day is not None
            out.add("monitoring_check_daily", daily, product, kind)
        if isinstance(each.figures, DriftFigures):
            _fill_drift(out, product, each.figures, is_newest=each.is_newest)
        elif isinstance(each.figures, PerformanceFigures):
            _fill_performance(out, product, each.figures)


def _fill_drift(out: Families, product: str, found: DriftFigures, *, is_newest: bool) -> None:
    out.add("prediction_drift_detected", found.predictions_detected, product)
    for statistic, value in found.predictions.items():
        out.add("prediction_drift_score", value, product, statistic)
    if not is_newest:
        return
    out.add("data_drift_detected", found.detected, product)
    for feature, distances in found.features.items():
        for statistic, value in distances.items():
            out.add("feature_drift_score", value, product, feature, statistic)


def _fill_performance(out: Families, product: str, found: PerformanceFigures) -> None:
    out.add("model_performance_beyond_limit", found.beyond, product)
    if found.window_end is not None:
        out.add("model_performance_window_end_timestamp_seconds", found.window_end, product)
    for metric, each in found.metrics.items():
        out.add("model_performance", each.value, product, metric)
        for end, value in (("low", each.low), ("high", each.high)):
            if value is not None:
                out.add("model_performance_interval", value, product, metric, end)
    for metric, each in found.estimated.items():
        out.add("model_performance_estimated", each.value, product, metric)
