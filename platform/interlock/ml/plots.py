"""Plots: the pictures of an evaluation, as matplotlib figures.

Here live looks alone; every number comes from ``ml.evaluation``. Figures use the
object-oriented interface and the Agg canvas, so that nothing global is touched and threads
may draw at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from interlock.ml.evaluation import Evaluation, Importance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOTS = ("roc", "precision_recall", "calibration", "confusion", "importance")
"""Names of the plots of one evaluation, in the order to show them."""


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
    raise NotImplementedError


def figure_png(figure: Figure) -> bytes:
    """A figure as PNG, the same bytes for the same figure.

    Args:
        figure: From this module.

    Returns:
        The PNG file's bytes.
    """
    raise NotImplementedError
