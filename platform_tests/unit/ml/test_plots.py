"""Plots: every evaluation can be drawn, alike each time, without touching global state."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from interlock.ml.evaluation import CostMatrix, Evaluation, Importance, evaluate
from interlock.ml.plots import MAX_BARS, PLOTS, evaluation_figures, figure_png

TITLE = "CreditRiskModel · xgboost"
LARGEST = 100_000  # bytes; five of them travel with every run


def evaluation(*, threshold: float = 0.3) -> Evaluation:
    rng = np.random.default_rng(0)
    score = rng.random(200)
    return evaluate(
        rng.random(200) < score,
        score,
        threshold=threshold,
        cost=CostMatrix(),
        rng=rng,
        replicates=20,
    )


def importance(features: int) -> Importance:
    mean = np.linspace(0.2, -0.01, features)
    names = tuple(f"a column with a rather long and winding name {n}" for n in range(features))
    return Importance(names, mean, np.full(features, 0.01), repeats=5, rows=200)


def test_every_plot_is_a_small_png_and_the_same_each_time() -> None:
    drawn = [
        {
            name: figure_png(figure)
            for name, figure in evaluation_figures(evaluation(), importance(6), title=TITLE).items()
        }
        for _ in range(2)
    ]
    assert tuple(drawn[0]) == PLOTS
    assert drawn[0] == drawn[1]
    for png in drawn[0].values():
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(png) < LARGEST


def test_texts_name_what_is_shown() -> None:
    figures = evaluation_figures(evaluation(), importance(3), title=TITLE)
    for figure in figures.values():
        (axes,) = figure.axes
        assert TITLE in axes.get_title(loc="left")
        assert axes.get_xlabel()
    legend = figures["roc"].axes[0].get_legend()
    assert legend is not None
    assert any("ROC-AUC 0." in text.get_text() for text in legend.get_texts())


@pytest.mark.parametrize("threshold", [0.0, 1.5])
def test_one_sided_decisions_can_be_drawn(threshold: float) -> None:
    drawn = evaluation_figures(evaluation(threshold=threshold), importance(1), title=TITLE)
    assert all(figure_png(figure) for figure in drawn.values())


def test_certain_bins_can_be_drawn() -> None:
    certain = evaluation()
    ones = np.ones_like(certain.calibration.positive_share)
    bins = replace(certain.calibration, positive_share=ones, high=ones - 1e-16)
    figures = evaluation_figures(replace(certain, calibration=bins), importance(1), title=TITLE)
    assert figure_png(figures["calibration"])


def test_only_the_most_important_features_are_drawn_and_the_rest_is_counted() -> None:
    figure = evaluation_figures(evaluation(), importance(50), title=TITLE)["importance"]
    (axes,) = figure.axes
    assert len(axes.get_yticks()) == MAX_BARS
    assert "30 less important features not shown" in axes.get_xlabel()
    assert figure_png(figure)


def test_drawing_needs_no_display_and_no_pyplot() -> None:
    code = (
        "import sys, numpy as np\n"
        "from interlock.ml.evaluation import *\n"
        "from interlock.ml.plots import evaluation_figures, figure_png\n"
        "score = np.linspace(0, 1, 50); outcome = np.arange(50) % 3 == 0\n"
        "found = evaluate(outcome, score, threshold=0.5, cost=CostMatrix(),"
        " rng=np.random.default_rng(0), replicates=5)\n"
        "bars = Importance(('a',), np.ones(1), np.ones(1), 5, 50)\n"
        "[figure_png(each) for each in evaluation_figures(found, bars, title='').values()]\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)
