"""Simulate six-hourly rounds from one team to ten thousand products; write docs/autoscaling.md.

How a round is simulated is in ``scaling_model.py``, which settings are compared in
``scaling_settings.py``, what is taken as given in ``scaling_inputs.yaml``, prices in
``scaling_costs.yaml``. Tables are written between the marks in the page; everything else there is
written by hand. The same inputs give the same bytes.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parent))

from scaling_inputs import Given, read_given
from scaling_model import PERIOD, Round, simulate
from scaling_plots import Curve, draw_rounds, draw_timelines
from scaling_report import (
    calibration_table,
    costs_table,
    demand_table,
    inputs_table,
    ladder_table,
    recommended_table,
    scales_table,
)
from scaling_settings import HOUR, MOST, SCALES, ladder, recommended

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs/autoscaling.md"
PICTURES: Final = ROOT / "docs/pictures"


def pictures(given: Given) -> list[Path]:
    """Draw both pictures."""
    rungs = ladder()
    shown = {"one run for all, as delivered": rungs[0], "a schedule for each": rungs[1]}
    shown |= {"also code locations, threads, 200 places": rungs[4]}
    curves = [
        _curve(name, (simulate(given.inputs, rung.at(each)) for each in SCALES))
        for name, rung in shown.items()
    ]
    better = (simulate(given.inputs, recommended(each)) for each in SCALES)
    curves.append(_curve("recommended: also spread over five hours", better, style=":"))
    written = draw_rounds(PICTURES, curves, period_hours=PERIOD / HOUR)
    crowd, spread = (simulate(given.inputs, rungs[number].at(MOST)) for number in (4, 6))
    panels = {
        "10,000 products due at once, 200 places": _timeline(crowd),
        "10,000 products spread over five hours, 100 places": _timeline(spread),
    }
    return written + draw_timelines(PICTURES, panels)


def _curve(name: str, rounds: Iterator[Round], *, style: str = "-") -> Curve:
    found = [(each, one.usual_delay / HOUR) for each, one in zip(SCALES, rounds, strict=True)]
    finite = [(x, y) for x, y in found if not math.isinf(y)]
    return Curve(name, [float(x) for x, _ in finite], [y for _, y in finite], style)


def _timeline(found: Round) -> list[Curve]:
    time = found.timeline[:, 0] / HOUR
    return [
        Curve("wait in the queue", time, found.timeline[:, 1]),
        Curve("under way", time, found.timeline[:, 2]),
    ]


def sections(given: Given) -> dict[str, str]:
    """Every generated part of the page."""
    return {
        "inputs": inputs_table(given),
        "calibration": calibration_table(given),
        "ladder": ladder_table(given),
        "scales": scales_table(given),
        "recommended": recommended_table(given),
        "demand": demand_table(given),
        "costs": costs_table(given),
    }


def filled(page: str, parts: Mapping[str, str]) -> str:
    """The page with its generated parts replaced.

    Args:
        page: Markdown with ``<!-- begin: name -->`` and ``<!-- end: name -->`` around each part.
        parts: What belongs there.

    Raises:
        ValueError: The page has no place for a part.
    """
    for name, text in parts.items():
        begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
        found = re.compile(f"{begin}.*?{end}", re.DOTALL)
        if not found.search(page):
            msg = f"docs/autoscaling.md has no {begin} … {end}"
            raise ValueError(msg)
        whole = f"{begin}\n{text}\n{end}"
        page = found.sub(lambda _, whole=whole: whole, page)  # type: ignore[misc]
    return page


def main() -> None:
    """Simulate, draw, and write the page anew, or print what would be written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="print the tables, write nothing")
    options = parser.parse_args()
    given = read_given()
    parts = sections(given)
    if options.print:
        for name, text in parts.items():
            print(f"## {name}\n{text}\n")
        return
    PAGE.write_text(filled(PAGE.read_text(), parts))
    for path in [PAGE, *pictures(given)]:
        print(f"written: {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
