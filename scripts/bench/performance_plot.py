"""The picture of docs/performance.md, once for light and once for dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling_plots import SETTINGS, THEMES


@dataclass(frozen=True)
class Line:
    """One line: its name, where it runs, and how it is drawn."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    style: str = "-"


def draw_estimates(folder: Path, panels: Mapping[str, Sequence[Line]]) -> list[Path]:
    """Accuracy as labels show it and as it is estimated, one panel per kind of change.

    Args:
        folder: Where the pictures go.
        panels: What changes (``who comes``, ``how they behave``) to its lines.

    Returns:
        The files.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    below = {
        "who comes": "shift of the logits (covariate shift)",
        "how they behave": "link of outcome and score (concept drift)",
    }
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
            figure, axes = plt.subplots(
                1, len(panels), figsize=(7.2, 3.0), sharey=True, layout="constrained"
            )
            for each, (change, lines) in zip(axes, panels.items(), strict=True):
                for line, colour in zip(lines, theme.lines, strict=False):
                    each.plot(
                        line.x,
                        line.y,
                        line.style,
                        color=colour,
                        label=line.name,
                        marker="o",
                        ms=3.5,
                    )
                each.set_title(f"a change of {change}", color=theme.ink, fontsize=9, loc="left")
                each.set_xlabel(below[change])
                each.grid(visible=True, lw=0.6)
                each.set_axisbelow(True)
            axes[-1].invert_xaxis()
            axes[0].set_ylabel("accuracy")
            axes[0].legend(frameon=False, labelcolor=theme.ink, loc="lower left")
            path = folder / f"performance-estimates-{kind}.svg"
            figure.savefig(path, metadata={"Date": None, "Creator": None})
            plt.close(figure)
        written.append(path)
    return written
