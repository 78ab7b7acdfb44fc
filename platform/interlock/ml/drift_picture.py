"""One picture of a verdict: how far each column is from its limit. Looks alone.

What was found is ``ml.verdict``; the whole report is ``ml.drift_report``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from interlock.ml.plots import figure_png
from interlock.ml.verdict import DriftVerdict, Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_BARS: Final = 20
_COLOURS: Final = {
    Outcome.DRIFT: "#D55E00",
    Outcome.NO_DRIFT: "#0072B2",
    Outcome.NOT_ENOUGH_DATA: "#8A8F98",
}


def drift_png(verdict: DriftVerdict, *, title: str) -> bytes:
    """A bar per column, worst on top, in multiples of its limit; as PNG.

    Args:
        verdict: What was found.
        title: What is shown.
    """
    return figure_png(_figure(verdict, title))


def _figure(verdict: DriftVerdict, title: str) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    worst = sorted(
        verdict.everything,
        key=lambda each: (each.outcome is not Outcome.DRIFT, -each.severity, each.name),
    )[:MAX_BARS]
    figure = Figure(figsize=(5.6, 1.2 + 0.24 * len(worst)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.barh(
        [each.name for each in reversed(worst)],
        [each.severity for each in reversed(worst)],
        color=[_COLOURS[each.outcome] for each in reversed(worst)],
    )
    axes.axvline(1.0, color="#22262B", linewidth=1, linestyle="--")
    axes.set_xlabel("greatest distance, in multiples of its limit")
    axes.set_title(title, fontsize=9, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
