"""Whether columns vary together as they did: the multivariate test.

The method: correlations of the two samples are compared pair by pair with variances that hold
for any distribution (Steiger and Hakstian 1982, "The asymptotic distribution of elements of a
correlation matrix", asymptotically distribution-free), and the greatest of all standardised
differences is tested, as Cai, Liu and Xia (2013, JASA 108) do for covariances; the bound over
all pairs is Bonferroni's. It finds what no column shows alone, and it names the pair. The
effect is Cohen's q, the difference of Fisher's z (Cohen 1988, "Statistical Power Analysis",
ch. 4: 0.1 small, 0.3 medium, 0.5 large).

Drift wants size and significance of one and the same pair. So where the effect of some pairs
reaches the limit, the surest of these stands for all: if it is no drift, no other pair is.

Numbers are winsorised at four robust deviations before (``ml.joint_profiles``), so that the
fourth moments that the variances are made of exist.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from interlock.ml.joint_profiles import Comoments

Floats = npt.NDArray[np.float64]

_NEAR_ONE: Final = 1 - 1e-9  # a perfect correlation has no finite Fisher's z
# From here on, a variance inflation factor of 10, two columns are called collinear (Marquardt 1970,
# "Generalized inverses, ridge regression"): one tells what the other does, and a model sees no
# difference between 0.997 and 0.999, of which Fisher's z makes half a unit.
COLLINEAR: Final = 0.9**0.5


@dataclass(frozen=True)
class DependenceShift:
    """The change of a correlation that is judged.

    Attributes:
        pair: Places of the two columns among those followed.
        before: Their correlation in the reference, in [-1, 1].
        after: Their correlation in the current data.
        q: Cohen's q of the two, ≥ 0; of correlations beyond ``COLLINEAR``, as of this one.
        statistic: The difference of Fisher's z, standardised.
        p_value: Of one as great among all pairs, after Bonferroni.
    """

    pair: tuple[int, int]
    before: float
    after: float
    q: float
    statistic: float
    p_value: float


def dependence_shift(
    reference: Comoments, current: Comoments, *, limit: float
) -> DependenceShift | None:
    """How far the correlations of some columns moved.

    Args:
        reference: At least two columns.
        current: Of the same columns.
        limit: Cohen's q from which on a change counts.

    Returns:
        The pair whose change is surest, of those that reach the limit where any does; None where
        no pair of columns varies on both sides.
    """
    from scipy.special import ndtr

    if min(reference.rows, current.rows) < 4:  # noqa: PLR2004 - Fisher's z has n - 3
        return None
    before, spread_before = _correlations(reference)
    after, spread_after = _correlations(current)
    rows, columns = np.triu_indices(len(before), k=1)
    known = np.isfinite(before[rows, columns]) & np.isfinite(after[rows, columns])
    if not known.any():
        return None
    rows, columns = rows[known], columns[known]
    p, q = before[rows, columns], after[rows, columns]
    before_z, after_z = (np.arctanh(np.clip(r, -COLLINEAR, COLLINEAR)) for r in (p, q))
    effect = np.abs(after_z - before_z)
    spread = np.sqrt(spread_before[rows, columns] + spread_after[rows, columns])
    standardised = np.abs(np.arctanh(q) - np.arctanh(p)) / spread
    large = effect >= limit
    most = int(np.where(large | ~large.any(), standardised, -1).argmax())
    p_value = min(1.0, 2 * float(ndtr(-standardised[most])) * len(rows))
    return DependenceShift(
        pair=(int(rows[most]), int(columns[most])),
        before=float(p[most]),
        after=float(q[most]),
        q=float(effect[most]),
        statistic=float(standardised[most]),
        p_value=p_value,
    )


def _correlations(sums: Comoments) -> tuple[Floats, Floats]:
    """Correlations, and the variances of their Fisher's z; NaN where a column is constant."""
    n = sums.rows
    s1, s2, s3 = (row[:, None] / n for row in sums.first.astype(np.float64))
    r11, r21, r22, r31 = (part / n for part in sums.products.astype(np.float64))
    a, b = s1, s1.T
    # Central moments from those about zero.
    m11 = r11 - a * b
    m20 = s2 - a**2
    r12 = r21.T
    m22 = (
        r22
        - 2 * b * r21
        - 2 * a * r12
        + b**2 * s2
        + a**2 * s2.T
        + 4 * a * b * r11
        - 3 * a**2 * b**2
    )
    m31 = r31 - b * s3 - 3 * a * r21 + 3 * a * b * s2 + 3 * a**2 * r11 - 3 * a**3 * b
    m40 = np.diag(m22)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        varies = np.where(m20 > 0, m20, np.nan)
        both = np.sqrt(varies * varies.T)
        r = np.clip(m11 / both, -_NEAR_ONE, _NEAR_ONE)
        k40 = m40 / varies**2
        k22 = m22 / both**2
        k31 = m31 / (varies * both)
        spread = r**2 * (k40 + k40.T + 2 * k22) / 4 - r * (k31 + k31.T) + k22
        # Never less than for a normal distribution: few rows seldom show the rare products.
        spread = np.maximum(spread / (1 - r**2) ** 2, 1.0) / max(1, n - 3)
    return r, spread
