"""From where on a distance is drift: limits with sourced defaults, as the YAML writes them.

Each limit is an effect size, on a scale of its own; None leaves the distance out of the verdict.
How they are used is ``ml.verdict``.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, le=1)]
Distance = Annotated[float, Field(gt=0)]

# Of a normal column, KS of 0.1 is a shift by a quarter of its standard deviation, between what
# Cohen (1988, "Statistical Power Analysis", ch. 2) calls small, 0.2, and medium, 0.5.
KS_LIMIT: Final = 0.1
# Between Siddiqi's (2006, "Credit Risk Scorecards", ch. 8) 0.1, "some minor change", and 0.25,
# "a major shift"; the limit most in use.
PSI_LIMIT: Final = 0.2
# One row in ten in another category: for categories what KS is for numbers.
TOTAL_VARIATION_LIMIT: Final = 0.1
# Cohen's h, small: from 0 to 1 % of the rows, or from 10 to 16.6 % (Cohen 1988, ch. 6).
RATE_LIMIT: Final = 0.2
# Cohen's q, medium: from a correlation of 0 to 0.29 (Cohen 1988, ch. 4).
CORRELATION_LIMIT: Final = 0.3
SIGNIFICANCE: Final = 0.01  # one verdict in a hundred may be drift by chance alone
# Below, KS finds nothing short of 0.5 at this significance in a table of twenty columns.
MIN_ROWS: Final = 30
MIN_MULTIVARIATE_ROWS: Final = 200  # complete ones; variances of products want more than 30


class Correction(StrEnum):
    """For many tests at once.

    Holm (1979) holds the chance of any false alarm; Benjamini and Hochberg (1995) the share of
    false ones among the columns named.
    """

    HOLM = "holm"
    BENJAMINI_HOCHBERG = "benjamini-hochberg"


class ColumnLimits(BaseModel):
    """Limits of one column.

    Attributes:
        ks: Kolmogorov-Smirnov's statistic, of numbers.
        psi: Population stability index; over ten bins of numbers, over categories.
        jensen_shannon: Distance with base 2, over the same bins.
        wasserstein: In standard deviations of the reference, of numbers.
        total_variation: Of categories.
        missing: Change of the share of missing values, Cohen's h.
        new_categories: Share of rows with values that the reference does not know, Cohen's h
            from the share that would be new by chance.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ks: Share | None = KS_LIMIT
    psi: Distance | None = PSI_LIMIT
    jensen_shannon: Share | None = None
    wasserstein: Distance | None = None
    total_variation: Share | None = TOTAL_VARIATION_LIMIT
    missing: Distance | None = RATE_LIMIT
    new_categories: Distance | None = RATE_LIMIT


class DriftLimits(BaseModel):
    """Limits of a verdict.

    Attributes:
        columns: Limits of columns by name; of others, ``default``.
        default: Limits of columns not named.
        pairs: PSI of the joint distribution of a named pair.
        correlation: Cohen's q of the change of any correlation; None leaves them out.
        significance: Greatest chance of a false alarm in a verdict.
        correction: For many tests at once.
        min_rows: Values that a column needs on both sides.
        min_multivariate_rows: Complete rows that the correlations need on both sides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    columns: dict[str, ColumnLimits] = {}
    default: ColumnLimits = ColumnLimits()
    pairs: Distance | None = PSI_LIMIT
    correlation: Distance | None = CORRELATION_LIMIT
    significance: Annotated[float, Field(gt=0, lt=0.5)] = SIGNIFICANCE
    correction: Correction = Correction.HOLM
    min_rows: Annotated[int, Field(ge=5)] = MIN_ROWS
    min_multivariate_rows: Annotated[int, Field(ge=20)] = MIN_MULTIVARIATE_ROWS

    def of(self, column: str) -> ColumnLimits:
        """Limits of a column."""
        return self.columns.get(column, self.default)

    def judges(self, columns: Iterable[str], *, pairs: bool) -> bool:
        """Whether anything is held against a limit.

        Args:
            columns: Of the data.
            pairs: Whether joint distributions of pairs are counted.
        """
        together = self.correlation is not None or (pairs and self.pairs is not None)
        return together or any(limit is not None for name in columns for _, limit in self.of(name))
