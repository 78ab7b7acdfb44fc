"""Distances between two distributions that were counted over the same bins.

Pure functions of counts; each names the source of its formula. Which of them is drift is
decided in ``ml.verdict``; how counts come about is ``ml.profiles``.

Both sides are samples: a test asks whether two samples may be of one distribution, not whether
the current one is of the reference's. Tests hold for counts, whatever the bins:

- KS over bins is never above KS over the values themselves, so its p-value is never below
  (Noether 1963, "Note on the Kolmogorov statistic in the discrete case").
- Chi-square is a test of counts. Bins whose edges are quantiles of one of the samples change
  nothing asymptotically (Bofinger 1973, "Goodness-of-fit test using sample quantiles").

Every bin adds noise to PSI, Jensen-Shannon's distance and total variation, so that among very
many bins two samples of one distribution lie far apart. What ``over_bins`` gives is therefore
taken over bins that can be told apart, less what chance alone adds. A bin can be told apart where
chi-square holds for it, or where its own exact test says that it moved: of a large reference and
a small batch a rare bin may fill half of the batch, and still expect few rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

MIN_EXPECTED: Final = 5.0  # rows per bin on either side; Cochran 1954
_HALF: Final = 0.5  # rows added to each bin; Jeffreys 1946
_MOVED: Final = 0.05  # chance that any rare bin is set apart where none moved


@dataclass(frozen=True)
class KolmogorovSmirnov:
    """The greatest distance between two cumulative distributions.

    Attributes:
        statistic: Over the bins' edges, in [0, 1]; the exact one is not below.
        upper: The exact one is not above.
        p_value: That samples of one distribution are this far apart, or farther; not below
            the exact one's asymptotic p-value.
    """

    statistic: float
    upper: float
    p_value: float


@dataclass(frozen=True)
class TestResult:
    """A statistic and the probability of one as great where nothing has changed."""

    statistic: float
    p_value: float


@dataclass(frozen=True)
class RareMoves:
    """Which of the bins that expect few rows moved.

    Attributes:
        bins: Those that did, shape (bins,).
        p_value: That any of them, or all of them together, moved as far by chance.
    """

    bins: npt.NDArray[np.bool_]
    p_value: float

    @property
    def by_chance(self) -> bool:
        """Whether chance explains them."""
        return self.p_value > _MOVED


@dataclass(frozen=True)
class OverBins:
    """How far two tallies are apart, less what chance alone adds.

    Attributes:
        psi: Population stability index, ≥ 0.
        jensen_shannon: In [0, 1].
        total_variation: In [0, 1].
        chi_square: Pearson's statistic over the same bins; None where there are fewer than two
            bins that can be told apart, and all distances are 0.
        p_value: Of Pearson's test and of the exact tests of rare bins; 1 where there is none.
    """

    psi: float
    jensen_shannon: float
    total_variation: float
    chi_square: float | None
    p_value: float


def over_bins(reference: Counts, current: Counts) -> OverBins:
    """Distances of two tallies over bins that can be told apart, and the test of both.

    Where nothing moved chi-square is k - 1 on average, over k bins. What it is more than that is
    the share of it that chance does not explain, 1 - (k - 1) / chi-square or 0: so Bergsma (2013,
    "A bias-correction for Cramér's V and Tschuprow's T") takes phi-square, and it is the
    shrinkage of James and Stein (1961) but for one degree of freedom. PSI and Jensen-Shannon's
    divergence are multiples of chi-square to the second order (Yurdakul 2018, "Statistical
    properties of population stability index"), so each keeps that share; distances, which are
    their roots, keep its root. Of few bins and many rows the share is 1 in all but name.

    Which bins are set apart for having moved depends on where the rows lie, so chi-square over
    these has no p-value. The test is Pearson's over ``common_bins`` without them, and theirs, by
    Bonferroni: the lesser p-value twice.

    Args:
        reference: Rows per bin, shape (bins,), at least one row in all.
        current: Rows per bin, shape (bins,), at least one row in all.
    """
    tested, moves = chi_square(reference, current), rare_moves(reference, current)
    found = [each.p_value for each in (tested, moves) if each is not None]
    p_value = min(1.0, len(found) * min(found)) if found else 1.0
    apart = None if moves is None or moves.by_chance else moves.bins
    before, after = common_bins(reference, current, apart=apart)
    if len(before) < 2:  # noqa: PLR2004 - one bin cannot move
        return OverBins(0.0, 0.0, 0.0, None, p_value)
    statistic, chance = _pearson(before, after), len(before) - 1
    share = 1 - chance / statistic if statistic > chance else 0.0
    return OverBins(
        psi=share * population_stability_index(before, after),
        jensen_shannon=float(np.sqrt(share)) * jensen_shannon(before, after),
        total_variation=float(np.sqrt(share)) * total_variation(before, after),
        chi_square=statistic,
        p_value=p_value,
    )


def common_bins(
    reference: Counts, current: Counts, *, apart: npt.NDArray[np.bool_] | None = None
) -> tuple[Counts, Counts]:
    """Two tallies over bins that can be told apart, which are as many.

    Bins that expect fewer than ``MIN_EXPECTED`` rows on either side share one (Cochran 1954);
    where these are too few even together, they join the most frequent. Empty bins are left out.

    Args:
        reference: Rows per bin, shape (bins,), at least one row in all.
        current: Rows per bin, shape (bins,), at least one row in all.
        apart: Rare bins that are kept, shape (bins,); the others then share one however few.
    """
    table = np.stack([reference, current])
    expected = _expected(table)
    rare = expected < MIN_EXPECTED
    if apart is not None:
        rare &= ~apart
    kept, rest = table[:, ~rare], table[:, rare].sum(axis=1)
    if apart is None and kept.shape[1] and expected[rare].sum() < MIN_EXPECTED:
        kept[:, kept.sum(axis=0).argmax()] += rest
    elif rest.any():
        kept = np.column_stack([kept, rest])
    return kept[0], kept[1]


def rare_moves(reference: Counts, current: Counts) -> RareMoves | None:
    """Which of the bins that ``common_bins`` takes together moved, by an exact test of each.

    Of the rows that a rare bin has on both sides, those in the current data are binomial
    where nothing moved (Przyborowski and Wilenski 1940, "Homogeneity of results in testing
    samples from Poisson series"). Whether it is rare and how many are tested follows from its
    rows on both sides together, which the test takes as given; so Bonferroni's correction holds.

    Args:
        reference: Rows per bin, shape (bins,), at least one row in all.
        current: Rows per bin, shape (bins,), at least one row in all.

    Returns:
        None where no bin is rare.
    """
    from scipy.special import bdtr, bdtrc

    table = np.stack([reference, current])
    both, rows = table.sum(axis=0), table.sum(axis=1)
    rare = (both > 0) & (_expected(table) < MIN_EXPECTED)
    if not rare.any():
        return None
    now = np.append(current[rare], current[rare].sum())
    of = np.append(both[rare], both[rare].sum())
    share = rows[1] / rows.sum()
    tail = np.minimum(bdtr(now, of, share), bdtrc(now - 1, of, share))
    corrected = np.minimum(1.0, 2 * len(of) * tail)
    bins = np.zeros(len(both), dtype=np.bool_)
    bins[rare] = corrected[:-1] <= _MOVED
    return RareMoves(bins, float(corrected.min()))


def kolmogorov_smirnov(
    reference: Counts, current: Counts, *, single: npt.NDArray[np.bool_] | None = None
) -> KolmogorovSmirnov:
    """Two-sample KS over bins in order; Smirnov 1948.

    Args:
        reference: Rows per bin, shape (bins,), at least one row in all.
        current: Rows per bin, shape (bins,), at least one row in all.
        single: Which bins hold one value only; within these nothing is hidden.

    Returns:
        The statistic, its bound, and the asymptotic p-value.
    """
    from scipy.special import kolmogorov

    n, m = int(reference.sum()), int(current.sum())
    before = np.concatenate([[0.0], np.cumsum(reference) / n])
    after = np.concatenate([[0.0], np.cumsum(current) / m])
    statistic = float(np.abs(before - after).max())
    # Within a bin one side may rise before the other does.
    ahead = np.maximum(before[1:] - after[:-1], after[1:] - before[:-1])
    hidden = ahead if single is None else ahead[~single]
    upper = max(statistic, float(hidden.max(initial=0.0)))
    rows = n * m / (n + m)
    return KolmogorovSmirnov(statistic, upper, float(kolmogorov(np.sqrt(rows) * statistic)))


def population_stability_index(reference: Counts, current: Counts) -> float:
    """PSI of two tallies over the same bins: sum of (q - p) * ln(q / p).

    Bins that are empty on both sides do not count; half a row is added to every other one, so
    that an empty bin gives a finite PSI (Jeffreys' prior).

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


def jensen_shannon(reference: Counts, current: Counts) -> float:
    """Jensen-Shannon distance of two tallies, with base 2.

    Args:
        reference: Rows per bin, shape (bins,), at least one row in all.
        current: Rows per bin, shape (bins,), at least one row in all.

    Returns:
        In [0, 1]: the root of the divergence (Endres and Schindelin 2003).
    """
    # Not scipy.spatial.distance.jensenshannon, which is the same and takes seconds to import.
    from scipy.special import rel_entr

    p, q = reference / reference.sum(), current / current.sum()
    middle = (p + q) / 2
    divergence = float((rel_entr(p, middle) + rel_entr(q, middle)).sum()) / (2 * np.log(2))
    return float(np.sqrt(np.clip(divergence, 0.0, 1.0)))


def total_variation(reference: Counts, current: Counts) -> float:
    """Half the sum of absolute differences of shares: the share of rows that changed their bin.

    Args:
        reference: Rows per bin, shape (bins,), at least one row in all.
        current: Rows per bin, shape (bins,), at least one row in all.

    Returns:
        In [0, 1] (Levin, Peres and Wilmer 2017, "Markov Chains and Mixing Times", prop. 4.2).
    """
    return float(np.abs(reference / reference.sum() - current / current.sum()).sum() / 2)


def scaled_wasserstein(
    reference: Counts,
    current: Counts,
    *,
    edges: Floats,
    beyond: tuple[tuple[float, float], tuple[float, float]],
    deviation: float,
) -> float:
    """Wasserstein's distance W1 in standard deviations of the reference.

    W1 is the area between the cumulative distributions (Vallender 1974). Between edges these
    are taken as straight; beyond the first and last edge the area is the difference of the mean
    excess, which it is exactly where the two do not cross there, and never more.

    Args:
        reference: Rows per bin, shape (edges + 1,), at least one row in all.
        current: Rows per bin, shape (edges + 1,), at least one row in all.
        edges: Upper ends of all bins but the last, in the column's unit, ascending.
        beyond: Mean excess below the first edge and above the last one, in the column's unit:
            of the reference, and of the current data.
        deviation: Standard deviation of the reference, in the column's unit, > 0.

    Returns:
        Dimensionless, ≥ 0.
    """
    before = np.cumsum(reference)[:-1] / reference.sum()
    after = np.cumsum(current)[:-1] / current.sum()
    gap = before - after
    left, right = gap[:-1], gap[1:]
    ends = np.abs(left) + np.abs(right)
    crossed = np.divide(left**2 + right**2, ends, out=np.zeros_like(ends), where=ends > 0)
    area = np.where(left * right < 0, crossed, ends) / 2
    with np.errstate(over="ignore"):
        inner = float((area * (np.diff(edges) / deviation)).sum())
    outer = sum(abs(old - new) for old, new in zip(*beyond, strict=True)) / deviation
    return inner + outer


def chi_square(reference: Counts, current: Counts) -> TestResult | None:
    """Pearson's test that two tallies are of one distribution; K. Pearson 1911.

    Args:
        reference: Rows per bin, shape (bins,).
        current: Rows per bin, shape (bins,).

    Returns:
        The statistic over ``common_bins`` and its asymptotic p-value; None where fewer than two
        bins are left.
    """
    from scipy.special import chdtrc

    if not (reference.any() and current.any()):
        return None
    before, after = common_bins(reference, current)
    if len(before) < 2:  # noqa: PLR2004 - one bin cannot move
        return None
    statistic = _pearson(before, after)
    return TestResult(statistic, float(chdtrc(len(before) - 1, statistic)))


def rate_change(before: int, rows_before: int, after: int, rows_after: int) -> TestResult:
    """Whether a share of rows changed: Cohen's h, and an exact or a chi-square test.

    Fisher's exact test where few rows are expected, chi-square of the 2 x 2 table elsewhere.

    Args:
        before: Rows that have it, of the reference.
        rows_before: All rows of the reference, ≥ 1.
        after: Rows that have it, of the current data.
        rows_after: All rows of the current data, ≥ 1.

    Returns:
        ``statistic``: Cohen's h, the difference of 2 * asin(sqrt(share)), in [-pi, pi], > 0
        where the share grew (Cohen 1988, "Statistical Power Analysis", ch. 6).
    """
    p, q = before / rows_before, after / rows_after
    h = float(2 * (np.arcsin(np.sqrt(q)) - np.arcsin(np.sqrt(p))))
    tallies = np.array([[rows_before - before, before], [rows_after - after, after]])
    if not tallies.sum(axis=0).all():
        return TestResult(h, 1.0)  # none has it, or all have
    smaller = min(rows_before, rows_after) / (rows_before + rows_after)
    if smaller * min(tallies.sum(axis=0)) < MIN_EXPECTED:
        from scipy.stats import fisher_exact

        return TestResult(h, min(1.0, float(fisher_exact(tallies).pvalue)))
    found = chi_square(tallies[0], tallies[1])
    return TestResult(h, 1.0 if found is None else found.p_value)


def _expected(table: Counts) -> Floats:
    """Rows per bin that the smaller of two sides expects where nothing moved."""
    rows = table.sum(axis=1)
    expected: Floats = table.sum(axis=0) * (rows.min() / rows.sum())
    return expected


def _pearson(reference: Counts, current: Counts) -> float:
    """Pearson's statistic over bins of which none is empty on both sides."""
    table = np.stack([reference, current])
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / table.sum()
    return float((((table - expected) ** 2) / expected).sum())
