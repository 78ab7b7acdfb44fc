"""The pictures of docs/autoscaling.md, each once for light and once for dark pages.

Same figures, same bytes: text is drawn as paths, so that no reader needs a font, ids come from a
fixed salt, no date is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SETTINGS: Final = {
    "svg.fonttype": "path",
    "svg.hashsalt": "interlock",
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@dataclass(frozen=True)
class Theme:
    """Colours of one kind of page.

    Attributes:
        paper: Behind everything.
        ink: Text and axes.
        faint: Grid.
        lines: Of the curves, told apart also by people who see fewer colours.
    """

    paper: str
    ink: str
    faint: str
    lines: tuple[str, ...]


THEMES: Final[Mapping[str, Theme]] = {
    # The curves' colours are those of Okabe and Ito (2008), lighter on dark paper.
    "light": Theme("#ffffff", "#1f2328", "#d8dee4", ("#0072b2", "#d55e00", "#009e73", "#cc79a7")),
    "dark": Theme("#0d1117", "#d1d7e0", "#30363d", ("#56b4e9", "#e69f00", "#3fc99b", "#e39bc4")),
}


@dataclass(frozen=True)
class Curve:
    """One line: its name, where it runs, and how it is drawn."""

    name: str
    x: Sequence[float] | NDArray[np.float64]
    y: Sequence[float] | NDArray[np.float64]
    style: str = "-"


def draw_rounds(folder: Path, curves: Sequence[Curve], *, period_hours: float) -> list[Path]:
    """Within what time runs have ended, by the number of products.

    Args:
        folder: Where the pictures go.
        curves: Products against hours, one per setting.
        period_hours: When the same runs are due again.

    Returns:
        The files.
    """

    def draw(axes: Any, theme: Theme) -> None:
        for curve, colour in zip(curves, theme.lines, strict=False):
            axes.loglog(
                curve.x, curve.y, curve.style, color=colour, label=curve.name, marker="o", ms=3.5
            )
        axes.axhline(period_hours, color=theme.ink, lw=1, ls="--")
        axes.text(900, period_hours * 1.12, "due again", color=theme.ink, ha="center")
        axes.set_xlabel("model products, one run each every six hours")
        axes.set_ylabel("from due to ended, 19 of 20 runs")
        axes.set_xticks([3, 30, 300, 3_000, 10_000], ["3", "30", "300", "3,000", "10,000"])
        axes.set_yticks(
            [1 / 60, 0.1, 1, 6, 24, 168], ["1 min", "6 min", "1 h", "6 h", "1 day", "1 week"]
        )
        axes.minorticks_off()
        axes.legend(frameon=False, labelcolor=theme.ink, loc="upper left", bbox_to_anchor=(0, 1.0))

    return _both(folder, "scaling-rounds", draw, size=(7.2, 4.0))


def draw_timelines(folder: Path, panels: Mapping[str, Sequence[Curve]]) -> list[Path]:
    """How a round passes, in panels below each other.

    Args:
        folder: Where the pictures go.
        panels: Title to curves of hours against runs.

    Returns:
        The files.
    """

    def draw(axes: Any, theme: Theme) -> None:
        for each, (title, curves) in zip(axes, panels.items(), strict=True):
            for curve, colour in zip(curves, theme.lines, strict=False):
                each.plot(curve.x, curve.y, curve.style, color=colour, label=curve.name, lw=1.4)
            each.set_title(title, color=theme.ink, fontsize=9, loc="left")
            each.set_ylim(bottom=0)
            each.set_ylabel("runs")
        axes[0].legend(frameon=False, labelcolor=theme.ink)
        axes[-1].set_xlabel("hours since the round began")

    return _both(folder, "scaling-timeline", draw, size=(7.2, 4.6), rows=len(panels))


def _both(
    folder: Path,
    name: str,
    draw: Callable[[Any, Theme], None],
    *,
    size: tuple[float, float],
    rows: int = 1,
) -> list[Path]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, theme in THEMES.items():
        settings: Any = {
            **SETTINGS,
            **dict.fromkeys(("figure.facecolor", "axes.facecolor"), theme.paper),
            **dict.fromkeys(("axes.edgecolor", "axes.labelcolor", "text.color"), theme.ink),
            **dict.fromkeys(("xtick.color", "ytick.color"), theme.ink),
            "grid.color": theme.faint,
        }
        with mpl.rc_context(settings):
            figure, axes = plt.subplots(rows, 1, figsize=size, sharex=True, layout="constrained")
            for each in np.atleast_1d(axes):
                each.grid(visible=True, lw=0.6)
                each.set_axisbelow(True)
            draw(axes, theme)
            path = folder / f"{name}-{kind}.svg"
            figure.savefig(path, metadata={"Date": None, "Creator": None})
            plt.close(figure)
        written.append(path)
    return written
