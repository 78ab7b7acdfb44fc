"""Do intervals of performance keep their level, and how far can estimates without labels go.

Draws synthetic windows whose true metrics are known, and windows of a real table where one is
given; writes the tables of docs/performance.md between its two marks, and its picture.

    python scripts/bench/performance_calibration.py [--data uci_credit_card_default.csv]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from performance_plot import Line, draw_estimates
from scipy.special import expit

from interlock.ml.estimated_performance import (
    EstimatedPerformance,
    contradictions_of,
    estimate_performance,
)
from interlock.ml.evaluation import CostMatrix
from interlock.ml.metric_sample import LOSSES, METHODS, MetricSample, metric_sample
from interlock.ml.performance_limit import (
    PerformanceSettings,
    Verdict,
    judge,
    reference_limit,
)
from interlock.ml.score_calibration import ScoreCalibration, fit_calibration
from interlock.ml.score_cells import Booleans, Floats

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"
MARKS = ("<!-- figures -->\n", "<!-- /figures -->\n")

COST = CostMatrix(false_negative=5, false_positive=1)
SETTINGS = PerformanceSettings(cost=COST)
THRESHOLD = 0.3
SIZES = {50: 1_000, 500: 1_000, 10_000: 300}  # rows of a window to windows drawn
TRUTH_ROWS = 1_000_000
SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
LINKS = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)
REFERENCE_ROWS, WINDOW_ROWS, WINDOWS = 5_000, 2_000, 40
LOW_LIMIT, HIGH_BILL = 50_000, 100_000  # New Taiwan dollars
SHOWN = ("accuracy", "f1", "roc_auc")

Scored = tuple[Booleans, Floats]


def main() -> None:
    """Measure, write page and picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="UCI credit-card default table, as CSV")
    given = parser.parse_args()
    rng = np.random.default_rng(20261121)
    parts = [_coverage(rng), _verdicts(rng), _synthetic(rng)]
    if given.data is not None:
        parts.append(_real(given.data, rng))
    lines = []
    for line in chain(*parts):
        print(line, flush=True)
        lines.append(line)
    text = PAGE.read_text()
    before, rest = text.split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    PAGE.write_text(before + MARKS[0] + "\n".join(lines) + "\n" + MARKS[1] + after)


def draw(
    rng: np.random.Generator,
    rows: int,
    *,
    mean: float = -1.2,
    link: float = 1.0,
    noise: float = 0.0,
) -> Scored:
    """Scored rows of a calibrated model.

    Args:
        rng: Source of randomness.
        rows: How many.
        mean: Of the true logits: who comes.
        link: 1 is calibrated, 0 outcomes that do not depend on the score: how they behave.
        noise: Deviation of what the score misses; above 0 it is not calibrated.

    Returns:
        Outcome and score.
    """
    truth = rng.normal(mean, 1.3, rows)
    score: Floats = expit(truth + rng.normal(0.0, noise, rows))
    return rng.random(rows) < expit(truth * link), score


def _sample(scored: Scored) -> MetricSample:
    outcome, score = scored
    return metric_sample(outcome, score, score >= THRESHOLD, cost=COST)


def _coverage(rng: np.random.Generator) -> Iterator[str]:
    truth = _sample(draw(rng, TRUTH_ROWS, noise=0.6))
    yield "### Intervals of 95 %"
    yield (
        f"Share of windows whose interval holds the true value; in brackets, share wholly on the "
        f"worse side of it, which a limit at the true value would call beyond (2.5 % allowed). "
        f"{', '.join(f'{draws:,} windows of {rows:,} rows' for rows, draws in SIZES.items())}; "
        f"{truth.positives / truth.rows:.0%} positive.\n"
    )
    yield "| metric | " + " | ".join(f"n = {rows:,}" for rows in SIZES) + " |"
    yield "|---" * (len(SIZES) + 1) + "|"
    cells: dict[str, list[str]] = {metric: [] for metric in METHODS}
    for rows, draws in SIZES.items():
        drawn = [_sample(draw(rng, rows, noise=0.6)) for _ in range(draws)]
        for metric in METHODS:
            value: Any = truth.value(metric)
            known = [each.interval(metric, level=0.95) for each in drawn]
            found = [each for each in known if each is not None]
            held = sum(each.low <= value <= each.high for each in found) / len(found)
            worse = sum(
                each.low > value if metric in LOSSES else each.high < value for each in found
            )
            cells[metric].append(f"{held:.1%} ({worse / len(found):.1%})")
    for metric, row in cells.items():
        yield f"| {metric} | " + " | ".join(row) + " |"


def _verdicts(rng: np.random.Generator) -> Iterator[str]:
    yield "\n### Verdicts on accuracy"
    yield (
        "Against a reference measured on 2,000 rows, tolerance 0.05: share of windows found beyond "
        "the limit / shown to be within. A quarter as many windows, each with a fresh reference.\n"
    )
    yield "| true change | " + " | ".join(f"n = {rows:,}" for rows in SIZES) + " |"
    yield "|---" * (len(SIZES) + 1) + "|"
    for link in (1.0, 0.657, 0.35, 0.1):
        then, now = (_sample(draw(rng, TRUTH_ROWS, link=each)) for each in (1.0, link))
        row = []
        for rows, draws in SIZES.items():
            found = [_verdict(rng, rows, link) for _ in range(draws // 4)]
            shares = [
                found.count(each) / len(found) for each in (Verdict.BEYOND_LIMIT, Verdict.WITHIN)
            ]
            row.append(f"{shares[0]:.1%} / {shares[1]:.1%}")
        change = (now.value("accuracy") or 0.0) - (then.value("accuracy") or 0.0)
        yield f"| {change:+.3f} | " + " | ".join(row) + " |"


def _verdict(rng: np.random.Generator, rows: int, link: float) -> Verdict:
    reference = _sample(draw(rng, 2_000))
    limit = reference_limit("accuracy", reference, tolerance=0.05, source="the reference")
    if limit is None:
        raise SystemExit("a reference of 2,000 rows defines no accuracy")
    return judge(_sample(draw(rng, rows, link=link)), limit, level=0.95).verdict


def _synthetic(rng: np.random.Generator) -> Iterator[str]:
    yield "\n### Estimates without labels, synthetic"
    yield (
        f"Reference {REFERENCE_ROWS:,} rows, {WINDOWS} windows of {WINDOW_ROWS:,}: mean of what "
        "labels show / mean estimate (share of windows whose interval holds what labels show). "
        "*Contradicted*: share of windows whose labels, once there, contradict the estimate.\n"
    )
    yield f"| change | {' | '.join(SHOWN)} | contradicted |"
    yield "|---" * (len(SHOWN) + 2) + "|"
    families: dict[str, list[tuple[float, float, float]]] = {"who comes": [], "how they behave": []}
    for family, values in (("who comes", SHIFTS), ("how they behave", LINKS)):
        for each in values:
            change = {"mean": -1.2 + each} if family == "who comes" else {"link": each}
            name = f"{family}: " + (
                f"logits {each:+.1f}" if family == "who comes" else f"link {each:.1f}"
            )
            windows = []
            for _ in range(WINDOWS):
                known = fit_calibration(*draw(rng, REFERENCE_ROWS), rng=rng)
                windows.append(_held(draw(rng, WINDOW_ROWS, **change), known, rng))
            text, means = _row(windows)
            families[family].append((each, *means))
            yield f"| {name} | {text} |"
    folder = ROOT / "docs" / "pictures"
    draw_estimates(
        folder,
        {
            family: (
                Line("what labels show", [each[0] for each in rows], [each[1] for each in rows]),
                Line("estimate", [each[0] for each in rows], [each[2] for each in rows], "--"),
            )
            for family, rows in families.items()
        },
    )


Held = tuple[EstimatedPerformance, MetricSample, tuple[str, ...] | None]


def _held(
    scored: Scored, known: ScoreCalibration, rng: np.random.Generator, threshold: float = THRESHOLD
) -> Held:
    outcome, score = scored
    predicted = score >= threshold
    estimate = estimate_performance(
        score, predicted, calibration=known, settings=SETTINGS, rng=rng, replicates=300
    )
    said = contradictions_of(
        outcome,
        score,
        predicted,
        calibration=known,
        settings=SETTINGS,
        rng=rng,
        replicates=300,
    )
    return estimate, metric_sample(outcome, score, predicted, cost=COST), said


def _row(windows: Sequence[Held]) -> tuple[str, tuple[float, float]]:
    """Cells of one change, and the mean measured and estimated accuracy for the picture."""
    cells, means = [], []
    usable = [each for each in windows if not each[0].refusals]
    for metric in SHOWN:
        pairs = [(sample.value(metric), estimate.metrics[metric]) for estimate, sample, _ in usable]
        known = [(value, found) for value, found in pairs if value is not None]
        shown = float(np.mean([value for value, _ in known]))
        expected = float(np.mean([found.value for _, found in known]))
        held = np.mean(
            [found.interval.low <= value <= found.interval.high for value, found in known]
        )
        cells.append(f"{shown:.3f} / {expected:.3f} ({held:.0%})")
        means.append((shown, expected))
    refused = len(windows) - len(usable)
    against = np.mean([bool(said) for _, _, said in windows])
    cells.append(f"{against:.0%}" + (f", {refused} refused" if refused else ""))
    return " | ".join(cells), means[0]


def _real(path: Path, rng: np.random.Generator) -> Iterator[str]:
    from sklearn.ensemble import HistGradientBoostingClassifier

    table = pd.read_csv(path).sample(frac=1.0, random_state=7, ignore_index=True)
    outcome = table.pop("default.payment.next.month").to_numpy() == 1
    features = table.drop(columns=["ID", "SEX", "EDUCATION", "MARRIAGE", "AGE"])
    third = len(table) // 3
    model = HistGradientBoostingClassifier(max_iter=120, learning_rate=0.05, random_state=0)
    model.fit(features[:third], outcome[:third])
    score = model.predict_proba(features)[:, 1]
    known = fit_calibration(outcome[third : 2 * third], score[third : 2 * third], rng=rng)
    rest = np.arange(2 * third, len(table))
    late = (table["PAY_0"].to_numpy()[rest] > 0).astype(float)
    poor = (table["LIMIT_BAL"].to_numpy()[rest] <= LOW_LIMIT).astype(float)
    heavy = (table["BILL_AMT1"].to_numpy()[rest] > HIGH_BILL).astype(float)
    yield "\n### Estimates without labels, credit-card clients in Taiwan"
    yield (
        f"Yeh & Lien 2009, UCI, {len(table):,} rows: a third each to train (histogram gradient "
        f"boosting), as reference (calibration: {known.correction}, error {known.error:.3f}) and "
        f"to draw {WINDOWS} windows of {WINDOW_ROWS:,} rows from.\n"
    )
    yield f"| change | {' | '.join(SHOWN)} | contradicted |"
    yield "|---" * (len(SHOWN) + 2) + "|"
    for name, weight, flipped in (
        ("none", np.ones(len(rest)), 0.0),
        ("clients late with payment three times as frequent", 1 + 2 * late, 0.0),
        ("limits up to 50,000 three times as frequent", 1 + 2 * poor, 0.0),
        ("bills above 100,000 three times as frequent", 1 + 2 * heavy, 0.0),
        ("a tenth of the outcomes reversed", np.ones(len(rest)), 0.1),
        ("a quarter of the outcomes reversed", np.ones(len(rest)), 0.25),
    ):
        windows = []
        for _ in range(WINDOWS):
            drawn = rng.choice(rest, WINDOW_ROWS, replace=False, p=weight / weight.sum())
            seen = outcome[drawn] ^ (rng.random(WINDOW_ROWS) < flipped)
            windows.append(_held((seen, score[drawn]), known, rng))
        yield f"| {name} | {_row(windows)[0]} |"


if __name__ == "__main__":
    main()
