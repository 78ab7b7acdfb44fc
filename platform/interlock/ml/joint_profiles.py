"""What is known of columns together: joint counts of pairs, and how numbers vary together.

All of it is whole numbers, which merge to the same bits in any order. Numbers are winsorised
and rounded to a fixed point before they are multiplied, so that sums of products are exact.
The test that uses them is ``ml.dependence``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

FIXED_POINT: Final = 32  # steps per robust standard deviation
LARGEST: Final = 128  # steps, that is 4 deviations; farther values are set there
# Rows of a batch of 32,768 that are multiplied, see ``spread_rows``. Of a million rows these are
# 125,000, which find a change of a correlation by 0.02.
BATCH_PRODUCTS: Final = 4_096
_GOLDEN: Final = 0.6180339887498949  # its multiples modulo 1 lie more evenly than any other's
# A product of four is at most 2**28, so that sums of 2**33 rows stay below 2**61.
MAX_ROWS: Final = 1 << 33


def spread_rows(height: int) -> Counts:
    """Which rows of a batch are multiplied: one of each few in a row, every time another of them.

    Every eighth row would see one of eight kinds alone where kinds take turns, e.g. weekdays. The
    place among the few follows multiples of the golden ratio modulo 1, which are spread evenly
    (Weyl 1916; Niederreiter 1992, "Random Number Generation and Quasi-Monte Carlo Methods",
    ch. 3) and the same on every machine.

    Args:
        height: Rows of the batch.

    Returns:
        At most ``BATCH_PRODUCTS`` places, ascending; all rows where these are no more.
    """
    step = max(1, -(-height // BATCH_PRODUCTS))
    turns = np.arange(-(-height // step))
    places = turns * step + (turns * _GOLDEN % 1 * step).astype(np.int64)
    return places[places < height]


@dataclass(frozen=True)
class Joint:
    """Rows per cell of two columns, shape (cells of the first, cells of the second)."""

    counts: Counts

    def __add__(self, other: Joint) -> Joint:
        return Joint(self.counts + other.counts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Joint) and self.counts.tolist() == other.counts.tolist()

    __hash__ = None  # type: ignore[assignment]


@dataclass(frozen=True)
class Comoments:
    """Sums over complete rows of z, whole numbers of ``1 / FIXED_POINT`` deviations.

    Attributes:
        rows: Complete ones that were multiplied.
        first: Sums of z_i and z_i**2 and z_i**3, shape (3, columns).
        products: Sums of z_i * z_j, z_i**2 * z_j, z_i**2 * z_j**2 and z_i**3 * z_j,
            shape (4, columns, columns).
    """

    rows: int
    first: Counts
    products: Counts

    def __add__(self, other: Comoments) -> Comoments:
        return Comoments(
            self.rows + other.rows, self.first + other.first, self.products + other.products
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Comoments) and (
            self.rows == other.rows
            and bool(np.array_equal(self.first, other.first))
            and bool(np.array_equal(self.products, other.products))
        )

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def empty(cls, columns: int) -> Comoments:
        """Of no rows."""
        return cls(
            0,
            np.zeros((3, columns), dtype=np.int64),
            np.zeros((4, columns, columns), dtype=np.int64),
        )

    @classmethod
    def of(cls, values: Floats, *, centers: Floats, scales: Floats) -> Comoments:
        """Of some rows.

        Args:
            values: Shape (rows, columns), NaN where missing; at most ``BATCH_PRODUCTS`` rows.
            centers: Per column, in its unit.
            scales: Per column, in its unit, > 0.
        """
        complete = values[~np.isnan(values).any(axis=1)]
        with np.errstate(over="ignore"):
            z = (complete - centers) / scales
        z = np.rint(np.clip(z * FIXED_POINT, -LARGEST, LARGEST))
        square = z * z
        cube = square * z
        # Every partial sum is a whole number below 2**53, so that float64 adds without error
        # and in any order.
        products = np.stack([z.T @ z, square.T @ z, square.T @ square, cube.T @ z])
        first = np.stack([z.sum(axis=0), square.sum(axis=0), cube.sum(axis=0)])
        return cls(len(complete), first.astype(np.int64), products.astype(np.int64))
