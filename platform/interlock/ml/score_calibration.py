"""Calibration of scores on the reference: whether a score of 0.3 means three positives in ten.

An estimate of performance without labels rests on it. The rules:

- scores are kept as they are unless the reference shows them to be miscalibrated (Hosmer & Lemeshow
  1980 over deciles, 5 %); then logistic recalibration (Cox 1958, two numbers) or isotonic
  regression (Zadrozny & Elkan 2002, any rising curve) is used, whichever, fitted on four fifths,
  has the lower Brier score on the fifth that it did not see, if that is lower than without;
- what is kept is judged on rows that it was not fitted on;
- it fails when deciles still differ by more than ``MAX_ERROR`` on average, beyond chance;
- the calibration's own uncertainty is kept, so that an estimate can hold it: the counts behind an
  isotonic curve, the information on level and slope behind the others.

What is estimated with it is in ``ml.estimated_performance``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.optimize import isotonic_regression
from scipy.special import expit, logit
from scipy.stats import chi2

from interlock.errors import DataError
from interlock.ml.score_cells import Booleans, Floats

MAX_ERROR = 0.05
"""Greatest expected calibration error (Naeini, Cooper & Hauskrecht 2015) to be relied on: an
estimated accuracy errs by at most as much, which is also the tolerance of a metric by default."""

LEAST_ROWS, LEAST_OF_A_CLASS = 200, 20
"""Fewest reference rows, and rows of each class: twenty rows in each of ten deciles."""

MAX_BINS = 200  # of equally many rows; the JSON stays below 5 kB
FOLDS = 5
_DECILES = 10
_SUSPECT, _CERTAIN = 0.05, 0.01  # p-values to look for a remedy, and to refuse
_EDGE = 1e-9
_STEPS = 30  # of Newton's method, which takes fewer than ten where there is a solution

Correction = Literal["none", "logistic", "isotonic"]


class ScoreCalibration(BaseModel):
    """How scores relate to probabilities, as the reference showed it.

    Attributes:
        correction: How scores become probabilities.
        level: Shift of the scores' logits; 0 without logistic correction.
        slope: Factor of the scores' logits; 1 without logistic correction.
        rows: Reference rows.
        positives: Of these, positive ones.
        least: Lowest score there.
        greatest: Highest score there.
        bin_scores: Mean score of each bin, rising.
        bin_rows: Rows of each bin.
        bin_positives: Positive rows of each bin.
        error_raw: Expected calibration error of the scores as they are.
        error: The same of what is used, on rows it was not fitted on.
        p_raw: p-value of the scores' calibration.
        p_value: p-value of the calibration of what is used.
        failures: Why no estimate may rest on this; empty when it may.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    correction: Correction
    level: float
    slope: float
    rows: int
    positives: int
    least: float
    greatest: float
    bin_scores: tuple[float, ...]
    bin_rows: tuple[int, ...]
    bin_positives: tuple[int, ...]
    error_raw: float
    error: float
    p_raw: float
    p_value: float
    failures: tuple[str, ...]

    def probability(self, score: Floats) -> Floats:
        """Probability of the positive class for each score.

        Args:
            score: Shape (n,), in [0, 1].
        """
        if self.correction == "isotonic":
            return np.interp(score, self.bin_scores, self._curve)
        if self.correction == "none":
            return score
        return _logistic(score, self.level, self.slope)

    def replicates(self, score: Floats, *, rng: np.random.Generator, draws: int) -> Floats:
        """The probabilities that other references of this size would have led to.

        Args:
            score: Shape (k,).
            rng: Source of randomness.
            draws: How many.

        Returns:
            Shape (draws, k).
        """
        if self.correction == "isotonic":
            drawn = rng.binomial(self.bin_rows, self._curve, size=(draws, len(self.bin_rows)))
            curves = (_isotonic(hits / self.bin_rows, self.bin_rows) for hits in drawn)
            return np.stack([np.interp(score, self.bin_scores, curve) for curve in curves])
        centre = np.array([self.level, self.slope])
        information = _information(
            np.array(self.bin_scores), np.array(self.bin_rows, dtype=np.float64), centre
        )
        parameters = rng.multivariate_normal(centre, np.linalg.pinv(information), size=draws)
        return _logistic(score, parameters[:, :1], parameters[:, 1:])

    @property
    def _curve(self) -> Floats:
        return _isotonic(np.array(self.bin_positives) / self.bin_rows, self.bin_rows)


def fit_calibration(
    outcome: Booleans, score: Floats, *, rng: np.random.Generator
) -> ScoreCalibration:
    """Look at the calibration of scores and correct it where that is needed and helps.

    Args:
        outcome: Shape (n,), True for the positive class; rows the model was not fitted on.
        score: Shape (n,), in [0, 1].
        rng: Source of randomness of the folds.

    Returns:
        The calibration, with its failures if there are any.

    Raises:
        DataError: No rows, different shapes, or scores that are no probabilities.
    """
    if outcome.shape != score.shape or not len(score):
        raise DataError(
            f"outcomes have shape {outcome.shape} and scores {score.shape}",
            remedy="pass one score for each outcome, and at least one",
        )
    if not bool(np.all((score >= 0.0) & (score <= 1.0))):
        raise DataError(
            "scores are not all in [0, 1]", remedy="pass probabilities of the positive class"
        )
    p_raw, error_raw = _agreement(outcome, score, score)
    p_value, error = p_raw, error_raw
    correction: Correction = "none"
    positives = int(outcome.sum())
    small = len(score) < LEAST_ROWS or min(positives, len(score) - positives) < LEAST_OF_A_CLASS
    if p_raw < _SUSPECT and not small:
        fold = rng.permutation(len(score)) % FOLDS
        best = float(np.mean((score - outcome) ** 2))
        for name, fit in _FITS.items():
            corrected = _out_of_fold(outcome, score, fold, fit)
            brier = float(np.mean((corrected - outcome) ** 2))
            if brier < best:
                best, correction = brier, name
                p_value, error = _agreement(outcome, corrected, score)
    failures = []
    if small:
        failures.append(
            f"the reference has {len(score):,} rows, {positives:,} of them positive; calibration "
            f"takes {LEAST_ROWS:,} rows and {LEAST_OF_A_CLASS} of each class"
        )
    if p_value < _CERTAIN and error > MAX_ERROR:
        failures.append(
            f"scores are not calibrated on the reference: they differ from observed shares by "
            f"{error:.3f} on average, where {MAX_ERROR} is allowed (p = {p_value:.2g})"
        )
    bins = _bins(outcome, score)
    level, slope = _level_and_slope(*bins) if correction == "logistic" else (0.0, 1.0)
    return ScoreCalibration(
        correction=correction,
        level=float(level),
        slope=float(slope),
        rows=len(score),
        positives=positives,
        least=float(score.min()),
        greatest=float(score.max()),
        bin_scores=tuple(bins[0].tolist()),
        bin_rows=tuple(bins[1].astype(int).tolist()),
        bin_positives=tuple(bins[2].astype(int).tolist()),
        error_raw=error_raw,
        error=error,
        p_raw=p_raw,
        p_value=p_value,
        failures=tuple(failures),
    )


def _agreement(outcome: Booleans, probability: Floats, score: Floats) -> tuple[float, float]:
    """p-value of Hosmer and Lemeshow for probabilities from elsewhere, and the mean gap.

    Over deciles of the score: a curve that is flat where shares rise and fall agrees with them on
    average, and yet not with the rows on either side of a threshold.
    """
    parts = np.array_split(np.argsort(score, kind="stable"), min(_DECILES, len(outcome)))
    statistic = gap = 0.0
    for part in parts:
        difference = float(outcome[part].sum() - probability[part].sum())
        spread = float(np.sum(probability[part] * (1.0 - probability[part])))
        statistic += difference**2 / max(spread, _EDGE)
        gap += abs(difference)
    # Nothing was fitted on these rows, so no degree of freedom is spent.
    return float(chi2.sf(statistic, len(parts))), gap / len(outcome)


_Fit = Callable[[Floats, Floats, Floats, Floats], Floats]


def _out_of_fold(outcome: Booleans, score: Floats, fold: NDArray[np.int64], fit: _Fit) -> Floats:
    corrected = np.empty(len(score))
    for number in range(FOLDS):
        seen = fold != number
        corrected[~seen] = fit(*_bins(outcome[seen], score[seen]), score[~seen])
    return corrected


def _fit_logistic(scores: Floats, rows: Floats, hits: Floats, at: Floats) -> Floats:
    return _logistic(at, *_level_and_slope(scores, rows, hits))


def _fit_isotonic(scores: Floats, rows: Floats, hits: Floats, at: Floats) -> Floats:
    return np.interp(at, scores, _isotonic(hits / rows, rows))


_FITS: Mapping[Correction, _Fit] = {"logistic": _fit_logistic, "isotonic": _fit_isotonic}


def _level_and_slope(scores: Floats, rows: Floats, hits: Floats) -> Floats:
    """Shift and factor of the logits of greatest likelihood, by Newton's method."""
    found = np.array([0.0, 1.0])
    columns = np.stack([np.ones(len(scores)), _logits(scores)])
    for _ in range(_STEPS):
        gradient = columns @ (hits - rows * expit(found @ columns))
        step = np.linalg.pinv(_information(scores, rows, found)) @ gradient
        found = found + step
        if np.abs(step).max() < _EDGE:
            break
    return found


def _information(scores: Floats, rows: Floats, parameters: Floats) -> Floats:
    """Fisher information on shift and factor of the logits, shape (2, 2)."""
    columns = np.stack([np.ones(len(scores)), _logits(scores)])
    chance = expit(parameters @ columns)
    information: Floats = (columns * (rows * chance * (1.0 - chance))) @ columns.T
    return information


def _logistic(score: Floats, level: Floats | float, slope: Floats | float) -> Floats:
    moved: Floats = expit(level + slope * _logits(score))
    return moved


def _logits(score: Floats) -> Floats:
    found: Floats = logit(np.clip(score, _EDGE, 1.0 - _EDGE))
    return found


def _bins(outcome: Booleans, score: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean score, rows and positive rows of bins of about equally many rows, by rising score."""
    distinct, place = np.unique(score, return_inverse=True)
    rows: Floats = np.bincount(place).astype(np.float64)
    hits: Floats = np.bincount(place, weights=outcome).astype(np.float64)
    if len(distinct) > MAX_BINS:
        before = np.cumsum(rows) - rows
        group = np.minimum(before * MAX_BINS // rows.sum(), MAX_BINS - 1)
        start = np.flatnonzero(np.diff(group, prepend=-1))
        total = np.add.reduceat(rows, start)
        distinct = np.add.reduceat(rows * distinct, start) / total
        rows, hits = total, np.add.reduceat(hits, start)
    return distinct, rows, hits


def _isotonic(shares: Floats, rows: Floats | Sequence[int]) -> Floats:
    fitted: Floats = isotonic_regression(shares, weights=rows).x
    return np.clip(fitted, 0.0, 1.0)
