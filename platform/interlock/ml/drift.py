"""How far a column has moved: profiles of columns and distances between them.

Pure: a column in, figures out. Which snapshots are compared and what an alert says is decided
in ``monitoring/``. A changed hash is no drift; here it takes a changed distribution.

Rules:

- PSI is measured over bins that the reference decides: deciles of a numeric column, the
  values of a categorical one. A missing value is a bin of its own.
- Bins that are empty on both sides do not count; half a row is added to every other one, so
  that an empty bin gives a finite PSI (Jeffreys' prior).
- A PSI is only drift where it exceeds both the threshold and what chance alone would give
  samples of these sizes: few rows must not raise an alarm.
- KS compares numeric columns without bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DECILES: Final = 10  # bins of a numeric column; Siddiqi 2006, "Credit Risk Scorecards", ch. 8
MIN_EXPECTED_ROWS: Final = 5  # per category, rarer ones share a bin; Cochran 1954, chi-square rule
MAX_CATEGORIES: Final = 100  # bins of a categorical column; the rest shares one
# Rows of a column that are compared. KS of two such samples resolves 0.005 (1.63 * sqrt(2/n),
# the 1 % point of Smirnov 1948).
MAX_ROWS: Final = 200_000
CONFIDENCE: Final = 0.999  # that chance alone gives less than the noise floor
_HALF: Final = 0.5  # rows added to each bin; Jeffreys 1946


@dataclass(frozen=True)
class NumericProfile:
    """A numeric column as later ones are compared with it.

    Attributes:
        edges: Upper ends of all bins but the last, ascending, in the unit of the column.
        counts: Rows per bin, one more than ``edges``; the last bin is that of missing values.
        values: Up to ``MAX_ROWS`` finite values, ascending.
    """

    edges: Floats
    counts: Counts
    values: Floats


@dataclass(frozen=True)
class CategoryProfile:
    """A categorical column as later ones are compared with it.

    Attributes:
        categories: Value to its bin, counted from 0.
        counts: Rows per bin; after the categories one for all other values, and one for
            missing ones.
    """

    categories: Mapping[str, int]
    counts: Counts


Profile = NumericProfile | CategoryProfile


@dataclass(frozen=True)
class ColumnDrift:
    """The distance of a column from its profile.

    Attributes:
        psi: Population stability index, dimensionless, ≥ 0.
        noise: The PSI that chance alone stays below with probability ``CONFIDENCE``.
        ks: Kolmogorov-Smirnov statistic in [0, 1]; None for a categorical column, and where
            one side has no value.
    """

    psi: float
    noise: float
    ks: float | None

    def exceeds(self, threshold: float) -> bool:
        """Whether this is drift: more than the threshold, and more than chance.

        Args:
            threshold: PSI, dimensionless.
        """
        return self.psi > threshold and self.psi > self.noise


def profile(column: pl.Series) -> Profile:
    """What later columns are compared with.

    Args:
        column: At least one row. Numbers, dates and times are numeric, all else categorical.

    Returns:
        The profile; the size of it does not grow with the column.

    Raises:
        ValueError: The column has no rows.
    """
    if not len(column):
        raise ValueError(f"column {column.name} has no rows to profile")
    sample = sampled(column)
    if _is_numeric(column.dtype):
        values = _numbers(sample)
        finite = values[np.isfinite(values)]
        edges = np.unique(np.quantile(finite, _LEVELS, method="lower")) if len(finite) else _EMPTY
        return NumericProfile(edges, _numeric_counts(edges, values), np.sort(finite))
    found = _tally(sample)
    floor = [name for name, rows in found.items() if name is not None and rows >= MIN_EXPECTED_ROWS]
    kept = sorted(floor, key=lambda name: (-found[name], name))[:MAX_CATEGORIES]
    categories = MappingProxyType({name: place for place, name in enumerate(kept)})
    return CategoryProfile(categories, _category_counts(categories, found))


def distance(reference: Profile, column: pl.Series) -> ColumnDrift:
    """How far a column is from a profile.

    Args:
        reference: Of the column that it is compared with.
        column: At least one row; read as the kind that the profile has.

    Returns:
        The distances.

    Raises:
        ValueError: The column has no rows, or is text where the profile is numeric.
    """
    if not len(column):
        raise ValueError(f"column {column.name} has no rows to compare")
    sample = sampled(column)
    if isinstance(reference, CategoryProfile):
        found = _tally(sample)
        return _drift(reference.counts, _category_counts(reference.categories, found), ks=None)
    if not _is_numeric(column.dtype):
        raise ValueError(f"column {column.name} is {column.dtype}, its profile is of numbers")
    values = _numbers(sample)
    counts = _numeric_counts(reference.edges, values)
    finite = values[np.isfinite(values)]
    return _drift(reference.counts, counts, ks=_ks(reference.values, finite))


def population_stability_index(reference: Counts, current: Counts) -> float:
    """PSI of two tallies over the same bins: sum of (q - p) * ln(q / p).

    Args:
        reference: Rows per bin, shape (bins,), at least one row in all.
        current: Rows per bin, shape (bins,), at least one row in all.

    Returns:
        PSI, dimensionless, ≥ 0; 0 for equal shares over equal rows (Siddiqi 2006, ch. 8).
    """
    used = (reference + current) > 0
    before = reference[used] + _HALF
    after = current[used] + _HALF
    p, q = before / before.sum(), after / after.sum()
    return float(np.sum((q - p) * np.log(q / p)))


def psi_noise(reference: Counts, current: Counts) -> float:
    """The PSI that chance alone stays below with probability ``CONFIDENCE``.

    PSI of two samples of one distribution is about (1/n + 1/m) times a chi-square variable with
    bins - 1 degrees of freedom (Yurdakul and Naranjo 2020, Journal of Risk Model Validation).

    Args:
        reference: Rows per bin, shape (bins,).
        current: Rows per bin, shape (bins,).

    Returns:
        PSI, dimensionless; 0 where there is one bin.
    """
    from scipy.stats import chi2

    bins = int(np.count_nonzero(reference + current))
    if bins < 2:  # noqa: PLR2004 - one bin cannot move
        return 0.0
    rows = 1 / reference.sum() + 1 / current.sum()
    return float(chi2.ppf(CONFIDENCE, bins - 1) * rows)


def sampled(column: pl.Series) -> pl.Series:
    """At most ``MAX_ROWS`` rows, evenly spread, the same for the same column.

    Args:
        column: Any.
    """
    step = -(-len(column) // MAX_ROWS)
    return column if step <= 1 else column.gather_every(step)


_LEVELS: Final = np.linspace(0, 1, DECILES + 1)[1:-1]
_EMPTY: Final[Floats] = np.empty(0)


def _is_numeric(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or (dtype.is_temporal() and not isinstance(dtype, pl.Duration))


def _numbers(column: pl.Series) -> Floats:
    """Values as floats, missing ones as NaN; dates and times in their own unit."""
    physical = column.to_physical() if column.dtype.is_temporal() else column
    values: Floats = physical.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return values


def _numeric_counts(edges: Floats, values: Floats) -> Counts:
    missing = np.isnan(values)
    places = np.searchsorted(edges, values[~missing], side="left")
    counts = np.bincount(places, minlength=len(edges) + 1)
    return np.append(counts, int(missing.sum())).astype(np.int64)


def _tally(column: pl.Series) -> dict[str | None, int]:
    counted = column.cast(pl.String).value_counts(name="rows")
    return dict(zip(*(counted[name].to_list() for name in counted.columns), strict=True))


def _category_counts(categories: Mapping[str, int], found: Mapping[str | None, int]) -> Counts:
    counts = np.zeros(len(categories) + 2, dtype=np.int64)
    for name, rows in found.items():
        counts[-1 if name is None else categories.get(name, len(categories))] += rows
    return counts


def _ks(reference: Floats, current: Floats) -> float | None:
    from scipy.stats import ks_2samp

    if not len(reference) or not len(current):
        return None
    # The statistic alone is used. The exact p-value takes far longer; the asymptotic one divides
    # by the statistic, which is 0 for equal samples.
    with np.errstate(divide="ignore"):
        return float(ks_2samp(reference, current, method="asymp").statistic)


def _drift(reference: Counts, current: Counts, *, ks: float | None) -> ColumnDrift:
    return ColumnDrift(
        psi=population_stability_index(reference, current),
        noise=psi_noise(reference, current),
        ks=ks,
    )
