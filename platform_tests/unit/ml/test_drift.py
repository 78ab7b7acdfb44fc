from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.ml import drift
from interlock.ml.drift import (
    MAX_ROWS,
    CategoryProfile,
    NumericProfile,
    distance,
    population_stability_index,
    profile,
    psi_noise,
)

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
numbers = st.lists(st.none() | finite, min_size=1, max_size=60)
texts = st.lists(st.none() | st.sampled_from("abcdef"), min_size=1, max_size=60)
tallies = st.lists(st.integers(0, 10_000), min_size=2, max_size=12).filter(any)


def column(values: Any, dtype: pl.DataType | None = None) -> pl.Series:
    return pl.Series("income", values, dtype=dtype)


def normal(rows: int, *, mean: float = 0.0, seed: int = 1) -> pl.Series:
    return column(np.random.default_rng(seed).normal(mean, 1.0, rows))


@given(values=numbers)
def test_a_numeric_column_is_at_no_distance_from_itself(values: list[float | None]) -> None:
    found = column(values, pl.Float64())
    moved = distance(profile(found), found)
    assert moved.psi == 0
    assert moved.ks in {0, None}
    assert not moved.exceeds(0.0)


@given(values=texts)
def test_a_categorical_column_is_at_no_distance_from_itself(values: list[str | None]) -> None:
    found = column(values, pl.String())
    assert distance(profile(found), found).psi == 0


@given(before=tallies, after=tallies)
def test_psi_is_finite_never_negative_and_symmetric(before: list[int], after: list[int]) -> None:
    size = min(len(before), len(after))
    one, two = np.array(before[:size]), np.array(after[:size])
    if not one.any() or not two.any():
        return
    psi = population_stability_index(one, two)
    assert np.isfinite(psi)
    assert psi >= 0
    assert psi == pytest.approx(population_stability_index(two, one))


@settings(max_examples=50)
@given(
    before=st.lists(finite, min_size=1),
    after=st.lists(finite, min_size=1),
    seed=st.integers(0, 99),
)
def test_distances_do_not_depend_on_the_order_of_rows(
    before: list[float], after: list[float], seed: int
) -> None:
    shuffled = np.random.default_rng(seed).permutation(after)
    reference = profile(column(before, pl.Float64()))
    assert distance(reference, column(after, pl.Float64())) == distance(
        reference, column(shuffled, pl.Float64())
    )


@given(before=st.lists(finite, min_size=1), after=st.lists(finite, min_size=1))
def test_ks_is_the_largest_gap_between_the_shares_below(
    before: list[float], after: list[float]
) -> None:
    moved = distance(profile(column(before, pl.Float64())), column(after, pl.Float64()))
    both = np.sort(np.concatenate([before, after]))
    shares = [
        np.searchsorted(np.sort(each), both, side="right") / len(each) for each in (before, after)
    ]
    assert moved.ks == pytest.approx(np.abs(shares[0] - shares[1]).max())


def test_psi_is_the_published_formula() -> None:
    # Shares 0.1 and 0.9 against 0.5 and 0.5; half a row of many changes the fourth digit.
    before, after = np.array([100_000, 900_000]), np.array([500_000, 500_000])
    expected = 0.4 * np.log(0.5 / 0.1) + (-0.4) * np.log(0.5 / 0.9)
    assert population_stability_index(before, after) == pytest.approx(expected, rel=1e-4)


def test_a_shifted_column_is_drift() -> None:
    moved = distance(profile(normal(2_000)), normal(2_000, mean=1.0, seed=2))
    assert moved.exceeds(0.2)
    assert moved.ks is not None
    assert moved.ks > 0.3


def test_another_sample_of_the_same_distribution_is_no_drift() -> None:
    moved = distance(profile(normal(2_000)), normal(2_000, seed=2))
    assert not moved.exceeds(0.2)
    assert moved.psi < moved.noise


def test_few_rows_raise_no_alarm_by_chance() -> None:
    reference = profile(normal(2_000))
    found = [distance(reference, normal(12, seed=seed)) for seed in range(200)]
    assert sum(each.psi > 0.2 for each in found) > 100, "the threshold alone would alarm"
    assert sum(each.exceeds(0.2) for each in found) <= 2


def test_values_that_disappear_are_drift() -> None:
    before = normal(1_000)
    after = column([None if place % 2 else value for place, value in enumerate(before)])
    assert distance(profile(before), after).exceeds(0.2)


def test_a_column_without_any_value_has_no_ks() -> None:
    empty = column([None] * 100, pl.Float64())
    moved = distance(profile(normal(1_000)), empty)
    assert moved.ks is None
    assert moved.exceeds(0.2)
    assert distance(profile(empty), normal(1_000)).ks is None


def test_a_new_category_is_drift() -> None:
    before = column(["car", "house"] * 500)
    after = column(["car", "boat"] * 500)
    assert distance(profile(before), after).exceeds(0.2)
    assert distance(profile(before), before.reverse()).psi == 0


def test_rare_categories_share_a_bin() -> None:
    reference = profile(column(["a"] * 100 + ["b"] * 5 + ["c"] * 4 + [None]))
    assert isinstance(reference, CategoryProfile)
    assert dict(reference.categories) == {"a": 0, "b": 1}
    assert reference.counts.tolist() == [100, 5, 4, 1]


def test_identifiers_do_not_grow_the_profile() -> None:
    reference = profile(column([f"id-{place % 1_000}" for place in range(6_000)]))
    assert isinstance(reference, CategoryProfile)
    assert len(reference.categories) == drift.MAX_CATEGORIES
    assert reference.counts.sum() == 6_000


def test_large_columns_are_sampled_evenly_and_always_alike() -> None:
    rows = 3 * MAX_ROWS + 1
    large = column(np.arange(rows, dtype=np.float64))
    reference = profile(large)
    assert isinstance(reference, NumericProfile)
    assert len(reference.values) <= MAX_ROWS
    assert reference.values[-1] > rows * 0.99
    assert distance(reference, large).psi == 0


def test_bands_and_truth_values_and_dates_are_compared() -> None:
    bands = column([1, 2, 3, 4] * 100)
    assert distance(profile(bands), column([1] * 400)).exceeds(0.2)
    truth = column([True, False] * 100)
    assert isinstance(profile(truth), CategoryProfile)
    assert distance(profile(truth), column([True] * 200)).exceeds(0.2)
    days = column([date(2026, 1, 1) + timedelta(days=day) for day in range(400)])
    later = column([date(2027, 6, 1) + timedelta(days=day) for day in range(400)])
    assert distance(profile(days), days).psi == 0
    assert distance(profile(days), later).exceeds(0.2)


def test_infinities_have_a_bin() -> None:
    moved = distance(profile(normal(1_000)), column([float("inf")] * 500))
    assert moved.exceeds(0.2)
    assert moved.ks is None


def test_one_bin_cannot_move() -> None:
    assert psi_noise(np.array([10, 0]), np.array([20, 0])) == 0
    same = column(["a"] * 10)
    assert not distance(profile(same), same).exceeds(0.0)


def test_no_rows_are_refused() -> None:
    empty = column([], pl.Float64())
    with pytest.raises(ValueError, match="no rows to profile"):
        profile(empty)
    with pytest.raises(ValueError, match="no rows to compare"):
        distance(profile(normal(10)), empty)


def test_text_is_not_compared_with_numbers() -> None:
    with pytest.raises(ValueError, match="its profile is of numbers"):
        distance(profile(normal(10)), column(["a"]))
