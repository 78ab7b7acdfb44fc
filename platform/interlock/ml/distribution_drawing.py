"""Distributions as small inline SVG: the reference to the left, current data to the right.

Looks alone; what is drawn is ``ml.distribution_shapes``. Colours are classes of
``ml.report_page``, so that one picture serves light, dark and print.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from interlock.ml.distribution_shapes import Histogram, Shape, ValueShares

WIDTH: Final = 640
PANEL: Final = 306  # of either side
GAP: Final = WIDTH - 2 * PANEL
HEIGHT: Final = 84  # of a histogram, of which the tallest bar leaves ``_TOP``
ROW: Final = 17  # of a value's bar
_NAMES: Final = 176  # for a value's name
_FIGURES: Final = 46  # for a share
_LONG: Final = (WIDTH - _NAMES - 2 * _FIGURES - GAP) / 2  # the longest bar
_STARTS: Final = (_NAMES, _NAMES + _LONG + _FIGURES + GAP)  # of either side's bars
_LETTERS: Final = 26  # of a name that fits
_TOP: Final = 8
_FOOT: Final = 16  # for the ends of the axis


def drawing(shape: Shape, *, name: str, place: int) -> str:
    """A shape as SVG.

    Args:
        shape: What is drawn.
        name: The column's, for those who do not see the picture.
        place: Of the picture in its document, for a unique id.
    """
    if isinstance(shape, Histogram):
        return _histograms(shape, name, place)
    return _bars(shape, name, place)


def current_begins(shape: Shape) -> float:
    """Where the current side begins, as a share of the width."""
    return (PANEL + GAP if isinstance(shape, Histogram) else _STARTS[1]) / WIDTH


def percent(share: float) -> str:
    """A share for people: what is not nothing never reads as nothing."""
    if not share:
        return "0 %"
    if share < 0.001:  # noqa: PLR2004 - below a tenth of a percent
        return "<0.1 %"
    return f"{share:.1%}".replace("%", " %")


def _histograms(shape: Histogram, name: str, place: int) -> str:
    tallest = max(*shape.reference, *shape.current) or 1.0
    scale = (HEIGHT - _TOP) / tallest
    right = PANEL + GAP
    outline = _outline(shape.reference, scale, right)
    parts = [
        f'<path class="b0" d="{_filled(shape.reference, scale, 0)}"/>',
        f'<path class="b1" d="{_filled(shape.current, scale, right)}"/>',
        f'<path class="l0" d="{outline}"/>',
    ]
    for left in (0, right):
        parts.append(f'<path class="ax" d="M{left} {HEIGHT + 0.5}h{PANEL}"/>')
        foot = HEIGHT + 13
        parts.append(f'<text x="{left}" y="{foot}">{escape(shape.ends[0])}</text>')
        parts.append(
            f'<text class="e" x="{left + PANEL}" y="{foot}">{escape(shape.ends[1])}</text>'
        )
    about = (
        f"{name}: share of rows in {len(shape.reference)} equal bars from {shape.ends[0]} to "
        f"{shape.ends[1]}, reference left, current right with the reference's outline"
    )
    return _svg(parts, HEIGHT + _FOOT, about, place)


def _filled(shares: Sequence[float], scale: float, left: int) -> str:
    step = PANEL / len(shares)
    bars = (
        f"M{left + number * step:.1f} {HEIGHT}v-{share * scale:.1f}h{step - 1:.1f}"
        f"v{share * scale:.1f}z"
        for number, share in enumerate(shares)
        if share > 0
    )
    return "".join(bars)


def _outline(shares: Sequence[float], scale: float, left: int) -> str:
    step = PANEL / len(shares)
    tops = "".join(f"V{HEIGHT - share * scale:.1f}h{step:.2f}" for share in shares)
    return f"M{left} {HEIGHT}{tops}V{HEIGHT}"


def _bars(shape: ValueShares, name: str, place: int) -> str:
    longest = max(*shape.reference, *shape.current) or 1.0
    parts = []
    for number, value in enumerate(shape.names):
        top = number * ROW
        other = shape.others and number == len(shape.names) - 1
        shown = value if len(value) <= _LETTERS else f"{value[: _LETTERS - 1]}…"
        style = ' class="i"' if other else ""
        parts.append(f'<text{style} x="0" y="{top + 12}">{escape(shown)}</text>')
        for side, shares in enumerate((shape.reference, shape.current)):
            width = shares[number] / longest * _LONG
            # The figure stands clear of the reference's mark too.
            clear = max(width, shape.reference[number] / longest * _LONG)
            parts.append(
                f'<rect class="b{side}" x="{_STARTS[side]:.0f}" y="{top + 2}" '
                f'width="{width:.1f}" height="{ROW - 5}"/>'
                f'<text x="{_STARTS[side] + clear + 4:.1f}" y="{top + 12}">'
                f"{percent(shares[number])}</text>"
            )
        before = shape.reference[number] / longest * _LONG
        parts.append(f'<path class="l0" d="M{_STARTS[1] + before:.1f} {top + 1}v{ROW - 3}"/>')
    about = "; ".join(
        f"{value} {percent(before)} then {percent(after)}"
        for value, before, after in zip(shape.names, shape.reference, shape.current, strict=True)
    )
    return _svg(parts, len(shape.names) * ROW, f"{name}: {about}", place)


def _svg(parts: Sequence[str], height: int, about: str, place: int) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t{place}">'
        f'<title id="t{place}">{escape(about)}</title>{"".join(parts)}</svg>'
    )
