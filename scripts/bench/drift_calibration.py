"""Calibrate the drift verdict: false alarms where nothing moved, and power where something did.

``make drift-calibration`` runs it, draws ``docs/pictures/drift-*.svg`` and writes the figures
into ``docs/drift.md`` between its markers. Every verdict is of draws of its own, from a seed of its
own, so that they may be made in any order, on both cores.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl

from interlock.ml.drift_limits import DriftLimits
from interlock.ml.profiles import profile_reference, profile_table
from interlock.ml.verdict import Outcome, judge

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "drift.md"
PICTURES = ROOT / "docs" / "pictures"
MARKS = ("<!-- calibration: begin -->", "<!-- calibration: end -->")
SEED = 20_261_121
ROWS_AND_REPEATS = ((500, 1_000), (10_000, 1_000), (1_000_000, 100))
POWER_ROWS = (50, 500, 10_000)
SIZES = (0.0, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
MISSING, ZEROS, FLAGGED = 0.05, 0.7, 0.03  # shares of rows
COPIES = 4  # columns of each kind in a table of power
TABLES = 25  # tables per size and number of rows
NOMINAL = (0.01, 0.05)
SURE = 0.95  # of the bounds that are told beside shares
REGIONS = pl.Series(list("abcdef"))
TOWNS = pl.Series([f"town {place}" for place in range(1_001)])
RARE = 1 / np.sqrt(np.arange(1, len(TOWNS)))

Result = TypeVar("Result")
Generator = np.random.Generator


def unmoved(rng: Generator, rows: int) -> pl.DataFrame:
    """A table of the shapes that columns of applicants have."""
    left = rng.normal(size=rows)
    gappy = rng.normal(size=rows)
    gappy[rng.random(rows) < MISSING] = np.nan
    return pl.DataFrame(
        {
            "normal": left,
            "correlated": 0.8 * left + 0.6 * rng.normal(size=rows),
            "lognormal": rng.lognormal(10, 1, rows),
            "heavy_tails": rng.standard_t(3, rows),
            "uniform": rng.random(rows),
            "counts": rng.poisson(3, rows),
            "mostly_zero": np.where(rng.random(rows) < ZEROS, 0.0, rng.exponential(1, rows)),
            "gappy": gappy,
            "score": rng.beta(2, 5, rows),
            "region": REGIONS[rng.choice(6, rows, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01])],
            "long_tail": pl.Series(rng.zipf(1.5, rows) % 5_000).cast(pl.String),
            "rare_flag": rng.random(rows) < FLAGGED,
        }
    )


@dataclass(frozen=True)
class Alarm:
    """One verdict about two samples of one distribution.

    Attributes:
        drifted: Whether it said drift.
        least: The least corrected p-value.
        p_values: All p-values before correction.
    """

    drifted: bool
    least: float
    p_values: tuple[float, ...]


def false_alarm(rows: int, number: int) -> Alarm:
    """One verdict where nothing moved."""
    rng = np.random.default_rng([SEED, rows, number])
    reference = profile_reference(unmoved(rng, rows), pairs=[("region", "counts")])
    verdict = judge(reference, profile_table(unmoved(rng, rows), reference.plan))
    shifts = [(each.name, shift) for each in verdict.everything for shift in each.shifts]
    return Alarm(
        drifted=verdict.outcome is Outcome.DRIFT,
        least=min(shift.corrected for _, shift in shifts),
        # Statistics of one test share its p-value.
        p_values=tuple({(name, shift.p_value): shift.p_value for name, shift in shifts}.values()),
    )


@dataclass(frozen=True)
class Alarms:
    """False alarms at one number of rows.

    Attributes:
        rows: Of the reference, and of the current data.
        found: One per verdict.
    """

    rows: int
    found: tuple[Alarm, ...]

    @property
    def p_values(self) -> list[float]:
        """All p-values before correction."""
        return [value for each in self.found for value in each.p_values]

    def share(self, kept: Callable[[Alarm], bool]) -> str:
        """A share of the verdicts, and below which it is at ``SURE``."""
        count = sum(map(kept, self.found))
        return f"{count / len(self.found):.2%} (< {upper_bound(count, len(self.found)):.2%})"


def at_or_below(level: float) -> Callable[[Alarm], bool]:
    """Whether a verdict is significant at a level."""
    return lambda one: one.least <= level


def upper_bound(count: int, of: int) -> float:
    """The share that so many of so many speak against at ``SURE`` (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    return 1.0 if count == of else float(beta.ppf(SURE, count + 1, of - count))


KINDS: dict[str, tuple[str, Callable[[Generator, int, float], pl.Series]]] = {
    "mean": (
        "mean of a normal column, in standard deviations",
        lambda rng, rows, size: pl.Series(rng.normal(size, 1, rows)),
    ),
    "spread": (
        "spread of a normal column, growth of the standard deviation",
        lambda rng, rows, size: pl.Series(rng.normal(0, 1 + size, rows)),
    ),
    "category": (
        "share of rows that left the most frequent of four categories",
        lambda rng, rows, size: pl.Series(
            rng.choice(list("abcd"), rows, p=[0.6 - size * 0.6, 0.2 + size * 0.6, 0.1, 0.1])
        ),
    ),
    "many": (
        "share of rows that moved to one of 1,001 categories",
        lambda rng, rows, size: TOWNS[
            rng.choice(
                len(TOWNS),
                rows,
                p=np.append((0.9 - size * 0.3) * RARE / RARE.sum(), 0.1 + size * 0.3),
            )
        ],
    ),
    "missing": (
        "share of values that went missing",
        lambda rng, rows, size: pl.Series(
            np.where(rng.random(rows) < size * 0.5, np.nan, rng.normal(size=rows))
        ),
    ),
}
SCALES = {"mean": 1.0, "spread": 1.0, "category": 0.6, "many": 0.3, "missing": 0.5}


def power(rows: int, size: float) -> dict[str, float]:
    """How often a column that moved is found, were it the only one of twenty."""
    rng = np.random.default_rng([SEED, rows, int(size * 1_000)])
    limits = DriftLimits(correlation=None)
    found = dict.fromkeys(KINDS, 0)
    for _ in range(TABLES):
        before, after = (
            pl.DataFrame(
                {
                    f"{kind} {copy}": draw(rng, count, moved)
                    for kind, (_, draw) in KINDS.items()
                    for copy in range(COPIES)
                }
            )
            for count, moved in ((10_000, 0.0), (rows, size))
        )
        reference = profile_reference(before)
        verdict = judge(reference, profile_table(after, reference.plan), limits)
        for column in verdict.columns:
            # Holm's correction is kinder where many columns moved; Bonferroni's is what the
            # first of them meets.
            found[column.name.split()[0]] += any(
                shift.value >= shift.limit and shift.p_value * verdict.tests <= limits.significance
                for shift in column.shifts
            )
    return {kind: count / (TABLES * COPIES) for kind, count in found.items()}


def draw_alarms(alarms: list[Alarms]) -> None:
    """P-values of undrifted samples against the uniform distribution that they should have."""
    figure, axes = new_figure(1)
    axis = axes[0]
    axis.plot([1e-4, 1], [1e-4, 1], color="0.4", linewidth=1, label="nominal")
    for each in alarms:
        ordered = np.sort(each.p_values)
        share = np.arange(1, len(ordered) + 1) / len(ordered)
        axis.plot(ordered.clip(1e-4), share, label=f"{each.rows:,} rows")
    axis.set(xscale="log", yscale="log", xlim=(1e-4, 1), ylim=(1e-4, 1.1))
    axis.set(xlabel="p-value of a test", ylabel="share of tests at or below it")
    axis.set_title("Where nothing moved: below the line is on the safe side")
    axis.legend()
    save(figure, "drift-false-alarms.svg")


def draw_power(found: dict[tuple[int, float], dict[str, float]]) -> None:
    """Power against the size of a shift."""
    figure, axes = new_figure(len(KINDS))
    for axis, (kind, (title, _)) in zip(axes[: len(KINDS)], KINDS.items(), strict=True):
        for rows in POWER_ROWS:
            sizes = [size * SCALES[kind] for size in SIZES]
            shares = [found[rows, size][kind] for size in SIZES]
            axis.plot(sizes, shares, marker="o", markersize=3, label=f"{rows:,} rows")
        axis.set(xlabel=title, ylabel="share found", ylim=(-0.03, 1.03))
    for axis in axes[len(KINDS) :]:
        axis.set_visible(False)
    axes[0].legend()
    save(figure, "drift-power.svg")


def new_figure(panels: int):  # type: ignore[no-untyped-def]
    """A figure of panels side by side, two in a row."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "interlock", "font.size": 9, "axes.grid": True})
    from matplotlib import pyplot as plt

    rows = -(-panels // 2)
    figure, axes = plt.subplots(
        rows, min(2, panels), figsize=(9 if panels > 1 else 6, 3.6 * rows), squeeze=False
    )
    return figure, axes.ravel()


def save(figure, name: str) -> None:  # type: ignore[no-untyped-def]
    """Write a picture; the same figures give the same bytes."""
    figure.tight_layout()
    figure.savefig(PICTURES / name, metadata={"Date": None})


def page(alarms: list[Alarms], found: dict[tuple[int, float], dict[str, float]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| rows each | verdicts | drift | corrected p ≤ 1 % | ≤ 5 % | tests | p ≤ 1 % | ≤ 5 % |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in alarms:
        single = [np.mean(np.array(each.p_values) <= level) for level in NOMINAL]
        corrected = [each.share(at_or_below(level)) for level in NOMINAL]
        lines.append(
            f"| {each.rows:,} | {len(each.found):,} | {each.share(lambda one: one.drifted)} "
            f"| {corrected[0]} | {corrected[1]} | {len(each.p_values):,} "
            f"| {single[0]:.2%} | {single[1]:.2%} |"
        )
    lines += ["", "![P-values where nothing moved](pictures/drift-false-alarms.svg)", ""]
    lines += [
        "| what moved | rows | " + " | ".join(f"{size:g}" for size in SIZES) + " |",
        "|---|---:|" + "---:|" * len(SIZES),
    ]
    for kind, (title, _) in KINDS.items():
        by = "" if SCALES[kind] == 1 else f", times {SCALES[kind]:g}"
        for rows in POWER_ROWS:
            shares = " | ".join(f"{found[rows, size][kind]:.0%}" for size in SIZES)
            lines.append(f"| {title}{by} | {rows:,} | {shares} |")
    lines += ["", "![Share of shifts found](pictures/drift-power.svg)"]
    return "\n".join(lines)


def tell(words: str) -> None:
    """One line that is written over."""
    if sys.stderr.isatty():
        print(f"\r{words}   ", end="", file=sys.stderr, flush=True)


def main() -> None:
    """Calibrate, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the repeats")
    options = parser.parse_args()
    part = 10 if options.quick else 1
    cells = [(rows, size) for rows in POWER_ROWS for size in SIZES]
    os.environ["POLARS_MAX_THREADS"] = "1"  # of the processes below, one per core
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:

        def spread(work: Callable[..., Result], *arguments: Sequence[object]) -> Iterator[Result]:
            for place, result in enumerate(pool.map(work, *arguments)):
                tell(f"{work.__name__}: {place + 1} of {len(arguments[-1])}")
                yield result

        alarms = [
            Alarms(rows, tuple(spread(false_alarm, [rows] * count, range(count))))
            for rows, repeats in ROWS_AND_REPEATS
            for count in [max(2, repeats // part)]
        ]
        found = dict(zip(cells, spread(power, *zip(*cells, strict=True)), strict=True))
    draw_alarms(alarms)
    draw_power(found)
    text = page(alarms, found)
    print(text)
    if PAGE.exists():
        between = re.compile(f"{MARKS[0]}.*{MARKS[1]}", re.DOTALL)
        written = between.sub(lambda _: f"{MARKS[0]}\n\n{text}\n\n{MARKS[1]}", PAGE.read_text())
        PAGE.write_text(written)


if __name__ == "__main__":
    main()
