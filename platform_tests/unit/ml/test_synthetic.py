"""The synthetic portfolio: equal for equal seeds, and with the dependence it states."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.ml.synthetic import BLOCK_ROWS, HOUSING, PURPOSES, REGIONS, generate_batches

ROWS = 2 * BLOCK_ROWS


@pytest.fixture(scope="module")
def portfolio() -> pl.DataFrame:
    return pl.concat(generate_batches(ROWS, seed=7))


def test_columns_and_types(portfolio: pl.DataFrame) -> None:
    assert dict(portfolio.schema) == {
        "application_id": pl.String,
        "age": pl.Int64,
        "region": pl.String,
        "employment_years": pl.Float64,
        "income": pl.Int64,
        "housing": pl.String,
        "purpose": pl.String,
        "loan_amount": pl.Int64,
        "term": pl.Int64,
        "utilisation": pl.Float64,
        "delinquencies": pl.Int64,
        "debt_to_income": pl.Float64,
        "interest": pl.Float64,
        "default": pl.Int64,
    }
    assert portfolio.height == ROWS
    assert portfolio["application_id"].n_unique() == ROWS


@settings(max_examples=5, deadline=None)
@given(st.integers(min_value=1, max_value=BLOCK_ROWS + 10), st.integers(min_value=1_000))
def test_rows_are_equal_for_any_batch_size(rows: int, batch_rows: int) -> None:
    whole = pl.concat(generate_batches(rows, seed=3, batch_rows=rows))
    parts = list(generate_batches(rows, seed=3, batch_rows=batch_rows))
    assert pl.concat(parts).equals(whole)
    assert whole.height == rows
    assert {part.height for part in parts[:-1]} <= {batch_rows}


def test_shorter_portfolio_is_the_beginning_of_a_longer_one(portfolio: pl.DataFrame) -> None:
    short = pl.concat(generate_batches(1_000, seed=7))
    assert short.equals(portfolio.head(1_000))


def test_other_seed_gives_other_rows(portfolio: pl.DataFrame) -> None:
    other = pl.concat(generate_batches(1_000, seed=8))
    assert not other["income"].equals(portfolio["income"].head(1_000))


def test_about_one_in_eight_defaults(portfolio: pl.DataFrame) -> None:
    assert portfolio["default"].mean() == pytest.approx(0.12, abs=0.005)


def test_values_are_within_their_limits(portfolio: pl.DataFrame) -> None:
    limits = {
        "age": (18, 79),
        "employment_years": (0, 62),
        "loan_amount": (500, 75_000),
        "term": (12, 72),
        "utilisation": (0, 1),
        "debt_to_income": (0, 3),
        "interest": (1.9, 24.9),
    }
    for name, (least, greatest) in limits.items():
        assert portfolio[name].drop_nulls().is_between(least, greatest).all(), name
    assert (portfolio["employment_years"] <= portfolio["age"] - 18).all()
    assert set(portfolio["region"]) == set(REGIONS)
    assert set(portfolio["housing"]) == set(HOUSING)
    assert set(portfolio["purpose"]) == set(PURPOSES)
    assert portfolio["utilisation"].null_count() / ROWS == pytest.approx(0.07, abs=0.005)
    assert portfolio["utilisation"].is_not_nan().all()


def test_risk_depends_on_what_the_docstring_says(portfolio: pl.DataFrame) -> None:
    def rate(condition: pl.Expr) -> float:
        return float(portfolio.filter(condition)["default"].mean() or 0)  # type: ignore[arg-type]

    tenant, drawn = pl.col("housing") == "rent", pl.col("utilisation") > 0.6
    late, indebted = pl.col("delinquencies") >= 1, pl.col("debt_to_income") > 0.6
    assert rate(late) > 2 * rate(~late)
    assert rate(indebted) > 1.5 * rate(~indebted)
    # Interactions: debt weighs more on tenants, late payments more on a drawn card.
    assert rate(tenant & indebted) / rate(tenant & ~indebted) > 1
    assert rate(late & drawn) - rate(late & ~drawn) > rate(~late & drawn) - rate(~late & ~drawn)


@pytest.mark.parametrize(("rows", "batch_rows"), [(0, 1), (1, 0)])
def test_no_rows_are_refused(rows: int, batch_rows: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        next(generate_batches(rows, seed=1, batch_rows=batch_rows))
