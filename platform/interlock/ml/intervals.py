"""Confidence intervals of a proportion, a mean loss and an area, as closed forms.

Which metric gets which of them is decided in ``ml.metric_sample``. SciPy is imported where it is
used: web servers import this module, compute nothing, and have no SciPy.
"""

from __future__ import annotations

import math

from interlock.ml.evaluation import Interval

_EDGE = 1e-12


def wilson(hits: float, rows: float, *, level: float) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927).

    Args:
        hits: Rows that count, from 0 to ``rows``.
        rows: All rows, > 0.
        level: Confidence level, in (0, 1).

    Returns:
        The interval, inside [0, 1] and never of width zero.
    """
    from scipy.special import ndtri

    z2 = float(ndtri(0.5 + level / 2.0)) ** 2
    share = hits / rows
    centre = (share + z2 / (2.0 * rows)) / (1.0 + z2 / rows)
    half = math.sqrt(z2 * (share * (1.0 - share) / rows + z2 / (4.0 * rows**2))) / (1.0 + z2 / rows)
    # The exact ends at 0 and 1 are 0 and 1; rounding would put them a hair beside.
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    return Interval(low=low, high=1.0 if hits == rows else min(1.0, centre + half))


def mean_interval(value: float, deviation: float, rows: int, *, level: float) -> Interval:
    """Student's t interval of the mean of losses, which are not below zero.

    Args:
        value: The mean.
        deviation: Sample standard deviation.
        rows: Rows, ≥ 2.
        level: Confidence level, in (0, 1).

    Returns:
        The interval.
    """
    from scipy.special import stdtrit

    half = float(stdtrit(rows - 1, 0.5 + level / 2.0)) * deviation / math.sqrt(rows)
    return Interval(low=max(0.0, value - half), high=value + half)


def is_extreme(value: float) -> bool:
    """Whether a share is so near 0 or 1 that it has no usable logit."""
    return not _EDGE < value < 1.0 - _EDGE


def around_logit(value: float, error: float, *, level: float) -> Interval:
    """An interval that is symmetric on the logit scale, and so inside (0, 1).

    Args:
        value: The estimate, not extreme.
        error: Standard error of its logit.
        level: Confidence level, in (0, 1).

    Returns:
        The interval.
    """
    from scipy.special import ndtri

    half = float(ndtri(0.5 + level / 2.0)) * error
    centre = math.log(value / (1.0 - value))
    # tanh does not overflow where exp would.
    low, high = (0.5 * (1.0 + math.tanh(end / 2.0)) for end in (centre - half, centre + half))
    return Interval(low=low, high=high)


def newcombe(value: float, positives: int, negatives: int, *, level: float) -> Interval:
    """Interval of a ROC-AUC by Newcombe's method 5 (Statistics in Medicine 2006, part 2).

    Its variance is that of the interval's end itself, so that it has a width at 0 and 1 too.

    Args:
        value: The area.
        positives: Positive rows, > 0.
        negatives: Negative rows, > 0.
        level: Confidence level, in (0, 1).

    Returns:
        The interval.
    """
    low = _newcombe_low(value, positives, negatives, level=level)
    return Interval(
        low=low, high=1.0 - _newcombe_low(1.0 - value, positives, negatives, level=level)
    )


def _newcombe_low(value: float, positives: int, negatives: int, *, level: float) -> float:
    from scipy.optimize import brentq
    from scipy.special import ndtri

    quantile = float(ndtri(0.5 + level / 2.0))
    mean = (positives + negatives) / 2.0 - 1.0

    def beyond(end: float) -> float:
        odd = 1.0 + mean * ((1.0 - end) / (2.0 - end) + end / (1.0 + end))
        variance = end * (1.0 - end) * odd / (positives * negatives)
        return value - end - quantile * math.sqrt(variance)

    if value <= _EDGE:
        return 0.0
    return float(brentq(beyond, 0.0, value - _EDGE))
