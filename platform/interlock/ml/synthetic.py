"""A synthetic credit portfolio of any size, for tests of scale. Nobody in it exists.

Columns and how they depend on each other (z is income on a log scale, centred and scaled;
all draws are independent given what stands left of them):

- ``application_id``: ``A`` and nine digits, the row's number from 1;
- ``age``: years, 18 + 62 x Beta(1.9, 3.0), rounded down;
- ``region``: one of six, with a shift of the income;
- ``employment_years``: (age - 18) x Beta(1.3, 1.9), one decimal;
- ``income``: EUR a year, log-normal around 24,000, rising 1.2 % per year of age up to 50 and
  2 % per year of employment;
- ``housing``: own, rent or free, by age and z;
- ``purpose``: one of six;
- ``loan_amount``: EUR, log-normal around 30 % of the income, scaled by purpose;
- ``term``: 12 to 72 months, longer for larger loans;
- ``utilisation``: share of the card limit in use, Beta around a logistic function of -z;
  blank for the 7 % without a card;
- ``delinquencies``: late payments in two years, Poisson, more with utilisation, fewer with age;
- ``debt_to_income``: yearly instalments plus other debts, divided by income;
- ``interest``: per cent a year, rising with utilisation, delinquencies and debt;
- ``default``: 1 with probability 1 / (1 + exp(-s)), about 12 % of all rows, where

      s = -3.70 + 0.55 min(d, 4) + 1.1 u + 1.9 min(b, 1) - 0.35 z - 0.025 e
          + 0.25 [purpose is debt_consolidation] + 0.2 (term / 36 - 1)
          + 0.45 u min(d, 4)                      late payments weigh more on a drawn card
          + 1.2 min(b, 1) [housing is rent]       debt weighs more on tenants
          + 0.6 [age < 25 and e < 2]              young and new in the job

  with d delinquencies, u utilisation (0.3 without a card), b debt to income, e years of
  employment. Region has no direct effect: it acts through income alone.

Equal seeds give equal rows with the same NumPy version and processor architecture, in
batches of any size: every block of ``BLOCK_ROWS`` rows has a generator of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

BLOCK_ROWS = 65_536
REGIONS = ("north", "south", "east", "west", "centre", "coast")
REGION_SHARES = (0.22, 0.20, 0.13, 0.24, 0.13, 0.08)
REGION_INCOME = (0.00, 0.12, -0.16, 0.06, -0.04, -0.08)  # shift of log income
PURPOSES = ("car", "furniture", "renovation", "education", "medical", "debt_consolidation")
PURPOSE_SHARES = (0.34, 0.18, 0.15, 0.08, 0.07, 0.18)
PURPOSE_AMOUNT = (0.25, -0.55, 0.30, 0.00, -0.35, 0.15)  # shift of log amount
HOUSING = ("own", "rent", "free")
CARDLESS = 0.07  # share of applicants without a credit card
YOUNG = 25  # years of age
NEW_IN_JOB = 2  # years of employment

Array = NDArray[Any]


def generate_batches(rows: int, *, seed: int, batch_rows: int = 131_072) -> Iterator[pl.DataFrame]:
    """The portfolio, batch by batch; equal rows for any ``batch_rows``.

    Args:
        rows: How many, ≥ 1.
        seed: Equal seeds give equal portfolios; ≥ 0.
        batch_rows: Rows per batch, ≥ 1; the last batch may be shorter.

    Yields:
        Batches in order.

    Raises:
        ValueError: Fewer than one row or batch row.
    """
    import polars as pl

    if rows < 1 or batch_rows < 1:
        msg = f"rows and batch_rows must be at least 1, found {rows} and {batch_rows}"
        raise ValueError(msg)
    pending: list[pl.DataFrame] = []
    held = 0
    for first in range(0, rows, BLOCK_ROWS):
        block = pl.DataFrame(_block(seed, first)).head(rows - first)
        pending.append(block.with_columns(pl.col("utilisation").fill_nan(None)))
        held += block.height
        while held >= batch_rows:
            table = pl.concat(pending)
            yield table.head(batch_rows)
            pending = [table.slice(batch_rows)]
            held -= batch_rows
    if held:
        yield pl.concat(pending)


def _block(seed: int, first: int) -> dict[str, Any]:
    """The columns of one block, whose first row has the number ``first``."""
    import polars as pl

    rng = np.random.default_rng((seed, first // BLOCK_ROWS))
    n = BLOCK_ROWS
    age = np.floor(18 + 62 * rng.beta(1.9, 3.0, n))
    region = _choice(rng, REGION_SHARES, n)
    employment = np.round((age - 18) * rng.beta(1.3, 1.9, n), 1)
    log_income = (
        np.log(24_000)
        + 0.012 * (np.minimum(age, 50) - 18)
        + 0.02 * employment
        + np.take(REGION_INCOME, region)
        + 0.42 * rng.standard_normal(n, dtype=np.float32)
    )
    income = np.round(np.exp(log_income), -1)
    z = (log_income - 10.5) / 0.5
    housing = _housing(rng, age, z)
    purpose = _choice(rng, PURPOSE_SHARES, n)
    log_amount = (
        np.log(0.30) + log_income + np.take(PURPOSE_AMOUNT, purpose)
    ) + 0.5 * rng.standard_normal(n, dtype=np.float32)
    amount = np.clip(np.round(np.exp(log_amount), -2), 500, 75_000)
    term = _term(rng, amount)
    utilisation = _utilisation(rng, z)
    drawn = np.where(np.isnan(utilisation), 0.3, utilisation)
    late = rng.poisson(np.exp(-1.75 + 1.6 * (drawn - 0.4) - 0.012 * (age - 40)))
    other_debts = 0.18 * rng.gamma(1.6, 1.0, n) * (0.5 + drawn)
    debt = np.round(np.minimum(12 * amount / term / income + other_debts, 3.0), 3)
    interest = np.round(
        np.clip(
            3.2
            + 3.0 * drawn
            + 1.3 * np.minimum(late, 4)
            + 3.5 * np.minimum(debt, 1)
            + rng.standard_normal(n, dtype=np.float32),
            1.9,
            24.9,
        ),
        2,
    )
    few_late, capped_debt = np.minimum(late, 4), np.minimum(debt, 1)
    score = (
        -3.70
        + 0.55 * few_late
        + 1.1 * drawn
        + 1.9 * capped_debt
        - 0.35 * z
        - 0.025 * employment
        + 0.25 * (purpose == PURPOSES.index("debt_consolidation"))
        + 0.2 * (term / 36 - 1)
        + 0.45 * drawn * few_late
        + 1.2 * capped_debt * (housing == HOUSING.index("rent"))
        + 0.6 * ((age < YOUNG) & (employment < NEW_IN_JOB))
    )
    default = rng.random(n) < 1 / (1 + np.exp(-score))
    number = pl.int_range(first + 1, first + n + 1, eager=True).cast(pl.String)
    return {
        "application_id": "A" + number.str.zfill(9),
        "age": age.astype(np.int64),
        "region": _labels(REGIONS, region),
        "employment_years": employment,
        "income": income.astype(np.int64),
        "housing": _labels(HOUSING, housing),
        "purpose": _labels(PURPOSES, purpose),
        "loan_amount": amount.astype(np.int64),
        "term": term,
        "utilisation": utilisation,
        "delinquencies": late,
        "debt_to_income": debt,
        "interest": interest,
        "default": default.astype(np.int64),
    }


def _choice(rng: np.random.Generator, shares: tuple[float, ...], n: int) -> Array:
    """Shape (n,), indices drawn with these shares."""
    return np.searchsorted(np.cumsum(shares)[:-1], rng.random(n), side="right")


def _labels(names: tuple[str, ...], index: Array) -> Any:
    """A string column from indices."""
    import polars as pl

    return pl.Series(names, dtype=pl.String).gather(index)


def _housing(rng: np.random.Generator, age: Array, z: Array) -> Array:
    """Shape (n,), indices into ``HOUSING``: owners are older and earn more."""
    own = 1 / (1 + np.exp(-(-0.9 + 0.045 * (age - 35) + 0.7 * z)))
    free = (1 - own) * 0.12
    draw = rng.random(len(age))
    return np.where(draw < own, 0, np.where(draw < own + free, 2, 1))


def _term(rng: np.random.Generator, amount: Array) -> Array:
    """Shape (n,), months: a year more for every 4,500 EUR, give or take one."""
    years = np.round(1 + amount / 4_500 + rng.random(len(amount)) * 2 - 1)
    return (12 * np.clip(years, 1, 6)).astype(np.int64)


def _utilisation(rng: np.random.Generator, z: Array) -> Array:
    """Shape (n,), share in [0, 1] or NaN without a card."""
    mean = 1 / (1 + np.exp(0.6 + 0.5 * z))
    share = np.round(rng.beta(3.0 * mean, 3.0 * (1 - mean)), 3)
    return np.where(rng.random(len(z)) < CARDLESS, np.nan, share)
