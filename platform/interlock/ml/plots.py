"""Plots: the pictures of an evaluation, as matplotlib figures.

Here live looks alone; every number comes from ``ml.evaluation``. Figures use the
object-oriented interface and the Agg canvas, so that nothing global is touched, no display
is needed and threads may draw at once. Colours are told apart with any colour vision
(Okabe & Ito 2008).
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from interlock.ml.evaluation import Evaluation, Importance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOTS = ("roc", "precision_recall", "calibration", "confusion", "importance")
"""Names of the plots of one evaluation, in the order to show them."""

MAX_BARS = 20  # features in the plot of importances; more do not fit legibly

_SIZE = (5.6, 4.4)  # inches
_DOTS_PER_INCH = 110
_BLUE, _ORANGE, _GREY, _INK, _LIGHT = "#0072B2", "#D55E00", "#8A8F98", "#22262B", "#E6E8EB"


def evaluation_figures(
    evaluation: Evaluation, importance: Importance, *, title: str
) -> dict[str, Figure]:
    """All plots of one evaluation.

    Args:
        evaluation: The winner on the holdout.
        importance: Its permutation importance.
        title: What is shown, e.g. ``CreditRiskModel · xgboost``.

    Returns:
        A figure for each name in ``PLOTS``.
    """
    return {
        "roc": _roc(evaluation, title),
        "precision_recall": _precision_recall(evaluation, title),
        "calibration": _calibration(evaluation, title),
        "confusion": _confusion(evaluation, title),
        "importance": _importance(importance, title),
    }


def figure_png(figure: Figure) -> bytes:
    """A figure as PNG, the same bytes for the same figure.

    Args:
        figure: From this module.

    Returns:
        The PNG file's bytes, without date or program in its metadata.
    """
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def _roc(evaluation: Evaluation, title: str) -> Figure:
    figure, axes = _canvas(f"ROC on the holdout\n{title}")
    axes.plot((0, 1), (0, 1), color=_GREY, linewidth=1, linestyle="--", label="chance")
    axes.plot(
        evaluation.roc.x,
        evaluation.roc.y,
        color=_BLUE,
        linewidth=2,
        label=f"ROC-AUC {_with_interval(evaluation, 'roc_auc')}",
    )
    confusion = evaluation.confusion
    negatives = evaluation.rows - evaluation.positives
    axes.plot(
        confusion.false_positive / negatives,
        confusion.true_positive / evaluation.positives,
        color=_ORANGE,
        marker="o",
        linestyle="none",
        label=f"threshold {evaluation.metrics['threshold']:.3f}",
    )
    _unit_square(axes)
    axes.set_xlabel("false-positive rate")
    axes.set_ylabel("true-positive rate (recall)")
    _legend(axes, "lower right")
    return figure


def _precision_recall(evaluation: Evaluation, title: str) -> Figure:
    figure, axes = _canvas(f"Precision and recall on the holdout\n{title}")
    share = evaluation.positives / evaluation.rows
    axes.axhline(share, color=_GREY, linewidth=1, linestyle="--", label=f"chance {share:.3f}")
    axes.plot(
        evaluation.precision_recall.x,
        evaluation.precision_recall.y,
        # A straight line between two points would promise more (Davis & Goadrich 2006).
        drawstyle="steps-pre",
        color=_BLUE,
        linewidth=2,
        label=f"PR-AUC {_with_interval(evaluation, 'pr_auc')}",
    )
    if "precision" in evaluation.metrics:
        axes.plot(
            evaluation.metrics["recall"],
            evaluation.metrics["precision"],
            color=_ORANGE,
            marker="o",
            linestyle="none",
            label=f"threshold {evaluation.metrics['threshold']:.3f}",
        )
    _unit_square(axes)
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    _legend(axes, "upper right")
    return figure


def _calibration(evaluation: Evaluation, title: str) -> Figure:
    figure, axes = _canvas(f"Calibration on the holdout\n{title}")
    bins = evaluation.calibration
    axes.plot((0, 1), (0, 1), color=_GREY, linewidth=1, linestyle="--", label="perfect")
    axes.errorbar(
        bins.mean_score,
        bins.positive_share,
        # A Wilson interval may end a rounding error short of its own share.
        yerr=np.maximum(
            np.stack([bins.positive_share - bins.low, bins.high - bins.positive_share]), 0.0
        ),
        color=_BLUE,
        ecolor=_GREY,
        elinewidth=1,
        capsize=2,
        linewidth=2,
        marker="o",
        markersize=5,
        label=f"{len(bins.rows)} bins of about {int(np.median(bins.rows)):,} rows, 95 % Wilson",
    )
    _unit_square(axes)
    axes.set_xlabel("mean score in the bin")
    axes.set_ylabel("share of positive rows in the bin")
    _legend(axes, "upper left", title=f"Brier {_with_interval(evaluation, 'brier')}")
    return figure


def _confusion(evaluation: Evaluation, title: str) -> Figure:
    threshold = evaluation.metrics["threshold"]
    figure, axes = _canvas(f"Confusion on the holdout at threshold {threshold:.3f}\n{title}")
    counts = evaluation.confusion
    table = np.array(
        [
            [counts.true_negative, counts.false_positive],
            [counts.false_negative, counts.true_positive],
        ]
    )
    shares = table / table.sum(axis=1, keepdims=True)
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.6, aspect="auto")
    for (row, column), count in np.ndenumerate(table):
        axes.text(
            column,
            row,
            f"{count:,}\n{shares[row, column]:.1%} of the class",
            ha="center",
            va="center",
            color=_INK,
            fontsize=12,
        )
    axes.set_xticks((0, 1), labels=("called negative", "called positive"))
    axes.set_yticks((0, 1), labels=("is negative", "is positive"), rotation=90, va="center")
    axes.set_xlabel(f"rows; cost {_with_interval(evaluation, 'expected_cost')} per row")
    axes.tick_params(length=0)
    axes.grid(visible=False)
    return figure


def _importance(importance: Importance, title: str) -> Figure:
    figure, axes = _canvas(f"Permutation importance on the holdout\n{title}")
    shown = min(len(importance.features), MAX_BARS)
    place = np.arange(shown)[::-1]
    axes.barh(
        place,
        importance.mean[:shown],
        xerr=importance.deviation[:shown],
        color=_BLUE,
        ecolor=_GREY,
        height=0.7,
        capsize=2,
    )
    axes.axvline(0.0, color=_GREY, linewidth=1)
    names = [_short(name) for name in importance.features[:shown]]
    axes.set_yticks(place, labels=names, fontsize=8)
    axes.set_ylim(-0.7, shown - 0.3)
    hidden = len(importance.features) - shown
    more = f"; {hidden} less important features not shown" if hidden else ""
    axes.set_xlabel(
        f"fall of ROC-AUC when shuffled, {importance.repeats} times {importance.rows:,} rows{more}",
        fontsize=9,
    )
    axes.grid(visible=False, axis="y")
    return figure


def _canvas(title: str) -> tuple[Figure, Any]:
    """An empty figure with one set of axes in the house style."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.grid(visible=True, color=_LIGHT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_GREY)
    axes.tick_params(colors=_INK)
    return figure, axes


def _unit_square(axes: Any) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)


def _legend(axes: Any, place: str, *, title: str | None = None) -> None:
    axes.legend(loc=place, title=title, fontsize=8.5, title_fontsize=8.5, edgecolor=_LIGHT)


def _with_interval(evaluation: Evaluation, metric: str) -> str:
    interval = evaluation.intervals[metric]
    return f"{evaluation.metrics[metric]:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _short(name: str, *, longest: int = 32) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
