"""A metric over time as small inline SVG: a dot and its interval per window, and the limit.

Looks alone; what was measured is ``ml.performance_report``, classes are ``ml.report_page``.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from interlock.ml.performance_limit import Verdict
from interlock.ml.performance_report import Measured, WindowPerformance

WIDTH: Final = 640
HEIGHT: Final = 120
_LEFT: Final = 46  # for the axis
_FOOT: Final = 16
_TOP: Final = 8
_MIN_SPAN: Final = 1e-9


def metric_drawing(windows: Sequence[WindowPerformance], metric: str, *, place: int) -> str:
    """One metric of all rows in every window, the oldest first; nothing where none defines it.

    Args:
        windows: The windows.
        metric: Which.
        place: Of the picture in its document, for a unique id.
    """
    measured = [window.overall.metrics[metric] for window in windows]
    ends = [end for each in measured for end in _ends(each)]
    if not ends:
        return ""
    bounds = sorted({judged.limit.bound for each in measured for judged in each.judgements})
    low, high = min(ends + bounds), max(ends + bounds)
    margin = max((high - low) * 0.08, _MIN_SPAN)
    low, high = low - margin, high + margin

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (HEIGHT - _TOP)

    parts = [f'<path class="ax" d="M{_LEFT} {_TOP}V{HEIGHT}H{WIDTH}"/>']
    parts += [
        f'<text class="e" x="{_LEFT - 5}" y="{y(value) + 4:.1f}">{value:.3g}</text>'
        for value in (low + margin, high - margin)
    ]
    parts += [f'<path class="lim" d="M{_LEFT} {y(bound):.1f}H{WIDTH}"/>' for bound in bounds]
    step = (WIDTH - _LEFT) / len(windows)
    named = max(1, -(-len(windows) // 8))  # every so many-th, or names overlap
    for number, (window, each) in enumerate(zip(windows, measured, strict=True)):
        x = _LEFT + (number + 0.5) * step
        if number % named == 0:
            parts.append(
                f'<text class="m" x="{x:.1f}" y="{HEIGHT + 13}">{escape(window.name)}</text>'
            )
        if each.value is None:
            continue
        if each.interval is not None:
            parts.append(
                f'<path class="iv" d="M{x:.1f} {y(each.interval.low):.1f}'
                f'V{y(each.interval.high):.1f}"/>'
            )
        bad = " bad" if each.verdict is Verdict.BEYOND_LIMIT else ""
        parts.append(f'<circle class="dot{bad}" cx="{x:.1f}" cy="{y(each.value):.1f}" r="3.5"/>')
    about = "; ".join(
        f"{window.name} {each.value:.3g}"
        for window, each in zip(windows, measured, strict=True)
        if each.value is not None
    )
    title = escape(f"{metric} per window: {about}")
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT + _FOOT}" role="img" aria-labelledby="m{place}">'
        f'<title id="m{place}">{title}</title>{"".join(parts)}</svg>'
    )


def _ends(each: Measured) -> list[float]:
    if each.value is None:
        return []
    return [each.value, *([each.interval.low, each.interval.high] if each.interval else [])]
