"""A synthetic credit portfolio of any size, for tests of scale."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


def generate_batches(rows: int, *, seed: int, batch_rows: int = 131_072) -> Iterator[pl.DataFrame]:
    """The portfolio, batch by batch; equal rows for any ``batch_rows``.

    Args:
        rows: How many, ≥ 1.
        seed: Equal seeds give equal portfolios.
        batch_rows: Rows per batch, ≥ 1.

    Yields:
        Batches in order.
    """
    raise NotImplementedError
