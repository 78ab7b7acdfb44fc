from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import ProfileError
from interlock.ml.column_profiles import (
    MAX_OTHERS,
    CategoryProfile,
    NumericProfile,
    frequent,
)
from interlock.ml.column_values import MAX_TEXT, Family, category_name
from interlock.ml.exact_sums import ExactSum
from interlock.ml.joint_profiles import BATCH_PRODUCTS, Comoments, spread_rows
from interlock.ml.profile_parts import divide, join
from interlock.ml.profile_plan import (
    GRID_BINS,
    ColumnKind,
    ColumnRole,
    plan_profile,
)
from interlock.ml.profiles import (
    TableProfile,
    evenly_spread,
    merge,
    profile_reference,
    profile_table,
)
from interlock.ml.quantile_sketch import RANK_ERROR, QuantileSketch
from interlock.ml.verdict import Statistic, judge

PAIRS = [("income", "region"), ("income", "age")]


def table(rows: int, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    income = rng.lognormal(10, 1, rows)
    income[rng.random(rows) < 0.02] = np.nan
    return pl.DataFrame(
        {
            "income": income,
            "age": rng.integers(18, 90, rows),
            "region": rng.choice(["north", "south", "east"], rows),
            "name": [f"v{value}" for value in rng.zipf(1.6, rows)],
            "flag": rng.random(rows) < 0.3,
        }
    ).with_columns(
        pl.when(pl.col("age") % 17 == 0).then(None).otherwise(pl.col("region")).alias("region")
    )


def numeric(profile: TableProfile, name: str) -> NumericProfile:
    found = profile.columns[name]
    assert isinstance(found, NumericProfile)
    return found


def category(profile: TableProfile, name: str) -> CategoryProfile:
    found = profile.columns[name]
    assert isinstance(found, CategoryProfile)
    return found


def test_counts_are_those_of_the_rows() -> None:
    rows = table(5_000)
    profile = profile_reference(rows, pairs=PAIRS)
    income = numeric(profile, "income")
    values = rows["income"].to_numpy()
    finite = values[np.isfinite(values)]
    plan = profile.plan.column("income")
    assert (income.rows, income.missing) == (5_000, int(np.isnan(values).sum()))
    expected = np.histogram(finite, [-np.inf, *np.nextafter(plan.grid, np.inf), np.inf])[0]
    assert income.counts.tolist() == expected.tolist()
    assert (income.least, income.greatest) == (finite.min(), finite.max())
    assert income.mean(plan) == pytest.approx(finite.mean(), rel=1e-12)
    assert income.deviation(plan) == pytest.approx(finite.std(), rel=1e-12)
    region = category(profile, "region")
    counted = dict(zip(profile.plan.column("region").categories, region.counts, strict=True))
    assert counted == dict(rows["region"].drop_nulls().value_counts().iter_rows())
    assert region.missing == rows["region"].null_count()
    assert category(profile, "flag").rows == 5_000


def test_joint_counts_are_those_of_the_rows() -> None:
    rows = table(3_000)
    profile = profile_reference(rows, pairs=PAIRS)
    joint = profile.joints["income", "region"].counts
    assert int(joint.sum()) == 3_000
    assert int(joint[-1].sum()) == numeric(profile, "income").missing
    assert int(joint[:, -1].sum()) == category(profile, "region").missing
    names = profile.plan.column("region").categories
    south = rows.filter(pl.col("region") == "south").height
    assert int(joint[:, names.index("south")].sum()) == south


def test_correlations_are_those_of_the_rows() -> None:
    rng = np.random.default_rng(3)
    left = rng.normal(size=4_000)
    rows = pl.DataFrame({"a": left, "b": left + rng.normal(size=4_000), "c": [None] * 4_000})
    profile = profile_reference(rows, columns=["a", "b"])
    sums = profile.comoments
    assert sums is not None
    mean = sums.first[0] / sums.rows
    covariance = sums.products[0] / sums.rows - np.outer(mean, mean)
    found = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert found == pytest.approx(np.corrcoef(left, rows["b"].to_numpy())[0, 1], abs=2e-3)


def test_rows_that_take_turns_are_all_seen_by_correlations() -> None:
    # The two vary together in every eighth row alone.
    rng = np.random.default_rng(3)
    left, other = rng.normal(size=(2, 65_536))
    right = np.where(np.arange(65_536) % 8 == 0, 0.9 * left + np.sqrt(0.19) * other, other)
    rows = pl.DataFrame({"a": left, "b": right})
    before = profile_reference(rows)
    found = judge(before, profile_table(rows.sample(fraction=1, shuffle=True, seed=3), before.plan))
    assert found.dependence is not None
    assert found.dependence.statistics[Statistic.CORRELATION] < 0.05


def test_nan_is_missing_as_null_is_when_columns_are_followed() -> None:
    rng = np.random.default_rng(4)
    gappy = np.where(rng.random(2_000) < 0.9, np.nan, rng.normal(size=2_000))
    rows = pl.DataFrame({"a": rng.normal(size=2_000), "b": rng.random(2_000), "gappy": gappy})
    for each in (rows, rows.fill_nan(None)):
        assert profile_reference(each).plan.multivariate == ("a", "b")


@pytest.mark.parametrize("height", [0, 1, 4_096, 4_097, 12_345, 32_768])
def test_rows_of_correlations_are_spread_over_the_batch(height: int) -> None:
    places = spread_rows(height)
    step = max(1, -(-height // BATCH_PRODUCTS))
    assert (np.diff(places) > 0).all()
    assert (np.diff(places) < 2 * step).all()
    assert height // step <= len(places) <= BATCH_PRODUCTS
    for kinds in range(2, 25 if height > BATCH_PRODUCTS else 2):
        seen = np.bincount(places % kinds, minlength=kinds)
        assert seen.max() - seen.min() < 0.2 * seen.mean()


@given(st.lists(st.integers(0, 600), min_size=2, max_size=5), st.randoms())
@settings(max_examples=20, deadline=None)
def test_merging_knows_no_order(cuts: list[int], chance: object) -> None:
    rows = table(600)
    plan = profile_reference(rows, pairs=PAIRS).plan
    ends = [0, *sorted(cuts), 600]
    parts = [profile_table(rows.slice(start, end - start), plan) for start, end in pairwise(ends)]
    inner = merge([merge(parts[:2]), merge(parts[2:])]) if parts[2:] else merge(parts)
    chance.shuffle(parts)  # type: ignore[attr-defined]
    assert merge(parts) == inner
    whole = profile_table(rows, plan)
    assert whole.rows == inner.rows
    assert whole.joints == inner.joints
    assert whole.comoments == inner.comoments
    for name, profile in whole.columns.items():
        assert inner.columns[name].counts.tolist() == profile.counts.tolist()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=30), st.randoms())
def test_an_exact_sum_knows_no_order(values: list[float], chance: object) -> None:
    def total(numbers: list[float]) -> ExactSum:
        found = ExactSum()
        for number in numbers:
            found += ExactSum.of(number)
        return found

    before = total(values)
    chance.shuffle(values)  # type: ignore[attr-defined]
    assert total(values) == before
    assert ExactSum.from_document(before.document()) == before


def test_an_exact_sum_of_what_is_no_number_is_none() -> None:
    lost = ExactSum.of(1.0) + ExactSum.of(float("inf"))
    assert lost.value is None
    assert lost.document() is None
    assert ExactSum.from_document(None) == lost
    assert (ExactSum.of(1.7e308) + ExactSum.of(1.7e308)).value is None
    with pytest.raises(ValueError, match="no exact sum"):
        ExactSum.from_document(["1", -1])
    with pytest.raises(ValueError, match="no exact sum"):
        ExactSum.from_document(["f" * 599, 2_000])


def test_the_grid_has_equal_shares_and_frequent_values_stand_alone() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=50_000)
    values[:20_000] = 0.5
    profile = profile_reference(pl.DataFrame({"x": values}))
    counts = numeric(profile, "x").counts
    plan = profile.plan.column("x")
    alone = int(np.searchsorted(plan.grid, 0.5))
    assert counts[alone] == 20_000
    assert np.nextafter(0.5, -1) == plan.grid[alone - 1]
    others = np.delete(counts, alone)
    assert others.max() <= 3 * 50_000 / GRID_BINS


def test_few_distinct_values_each_have_a_bin() -> None:
    profile = profile_reference(pl.DataFrame({"x": [1, 2, 2, 5, 5, 5]}))
    assert [count for count in numeric(profile, "x").counts if count] == [1, 2, 3]


def test_missing_infinite_and_constant_columns_are_counted() -> None:
    rows = pl.DataFrame(
        {
            "nothing": pl.Series([None] * 4, dtype=pl.Float64),
            "untyped": [None] * 4,
            "same": [7.0] * 4,
            "endless": [float("inf"), float("-inf"), float("nan"), 1.0],
            "huge": [1e308, -1e308, 1e308, 1e307],
        }
    )
    profile = profile_reference(rows)
    nothing = numeric(profile, "nothing")
    assert (nothing.missing, nothing.finite, nothing.least) == (4, 0, None)
    assert nothing.mean(profile.plan.column("nothing")) is None
    assert nothing.deviation(profile.plan.column("nothing")) is None
    assert category(profile, "untyped").missing == 4
    assert numeric(profile, "same").deviation(profile.plan.column("same")) == 0
    endless = numeric(profile, "endless")
    assert (endless.missing, endless.infinite, endless.finite) == (1, 2, 1)
    assert (endless.counts[0], endless.counts[-1]) == (1, 1)
    assert numeric(profile, "huge").greatest == 1e308
    assert not profile.plan.multivariate, "neither of two columns varies"


def test_dates_and_times_are_numbers() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    rows = pl.DataFrame(
        {
            "day": [date(2026, 1, 31), None],
            "instant": [noon, noon],
            "clock": [noon.replace(tzinfo=None)] * 2,
            "hour": [time(12), time(13)],
            "span": [timedelta(seconds=1), timedelta(seconds=2)],
        }
    ).with_columns(pl.lit("1.50").cast(pl.Decimal(10, 2)).alias("price"))
    profile = profile_reference(rows)
    families = [column.family for column in profile.plan.columns]
    assert families == [
        *(Family.DATE, Family.INSTANT, Family.DATETIME, Family.TIME, Family.DURATION),
        Family.NUMBER,
    ]
    assert numeric(profile, "instant").least == noon.timestamp() * 1e6
    assert numeric(profile, "hour").least == 12 * 3600 * 1e6
    assert numeric(profile, "span").greatest == 2e6
    assert numeric(profile, "price").least == 1.5
    abroad = rows.with_columns(pl.col("instant").dt.convert_time_zone("Asia/Tokyo"))
    assert profile_table(abroad, profile.plan).columns["instant"] == profile.columns["instant"]


def test_one_row_and_no_row_are_profiles_too() -> None:
    rows = table(300)
    plan = profile_reference(rows, pairs=PAIRS).plan
    none = profile_table(rows.clear(), plan)
    one = profile_table(rows.head(1), plan)
    assert (none.rows, one.rows) == (0, 1)
    assert merge([none, one]) == one
    assert profile_reference(rows.head(1)).rows == 1
    assert profile_table(iter([]), plan) == none


def test_columns_that_do_not_fit_are_all_named() -> None:
    rows = table(300)
    plan = profile_reference(rows).plan
    wrong = rows.rename({"age": "years"}).with_columns(pl.col("income").cast(pl.String))
    with pytest.raises(ProfileError) as refused:
        profile_table(wrong, plan)
    assert str(refused.value).startswith(
        "the columns are not those of the reference; missing: age; of another type: "
        "income (text, in the reference number); not in the reference: years"
    )


def test_further_columns_and_columns_of_nothing_are_no_other_schema() -> None:
    rows = table(300)
    plan = profile_reference(rows).plan
    more = rows.with_columns(pl.lit(1).alias("more"), pl.lit(None).alias("age"))
    assert numeric(profile_table(more, plan), "age").missing == 300


def test_a_clock_time_is_no_instant() -> None:
    rows = pl.DataFrame({"at": [datetime(2026, 1, 1, tzinfo=UTC)]})
    plan = profile_reference(rows).plan
    with pytest.raises(ProfileError, match=r"at \(datetime, in the reference datetime with zone\)"):
        profile_table(rows.with_columns(pl.col("at").dt.replace_time_zone(None)), plan)


def test_profiles_of_two_plans_are_not_merged() -> None:
    rows = table(300)
    one = profile_reference(rows)
    two = profile_reference(rows.drop("age").with_columns(pl.lit(1).alias("new")))
    with pytest.raises(ProfileError, match=r"another schema.*missing: age; added: new"):
        merge([one, two])
    other = profile_reference(table(300, seed=2))
    with pytest.raises(ProfileError, match="counted otherwise: income"):
        one.merged(other)
    paired = profile_reference(rows, pairs=PAIRS)
    with pytest.raises(ProfileError, match="pairs or correlations differ"):
        one.merged(paired)
    with pytest.raises(ProfileError, match="no profile to merge"):
        merge([])


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"columns": ["age", "wage"]}, "no column wage"),
        ({"kinds": {"wage": ColumnKind.CATEGORY}}, "no column wage"),
        ({"kinds": {"region": ColumnKind.NUMERIC}}, "'region' is text and has no numbers"),
        ({"pairs": [("age", "wage")]}, "no column wage"),
        ({"multivariate": ["age", "region"]}, "'region' is a category"),
        ({"columns": []}, "0 columns"),
    ],
)
def test_what_cannot_be_planned_is_refused(wanted: dict[str, object], message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        plan_profile(table(100), **wanted)  # type: ignore[arg-type]


def test_a_column_of_lists_is_refused() -> None:
    with pytest.raises(ProfileError, match=r"x: a column of type List\(Int64\) has"):
        plan_profile(pl.DataFrame({"x": [[1]]}))
    plan = plan_profile(pl.DataFrame({"x": [1]}))
    with pytest.raises(ProfileError, match=r"x \(List\(Int64\), in the reference number\)"):
        profile_table(pl.DataFrame({"x": [[1]]}), plan)


def test_a_column_may_have_any_name() -> None:
    rows = pl.DataFrame({"rows": ["a", "b"] * 5, "value": ["x"] * 10, "literal": range(10)})
    assert category(profile_reference(rows), "rows").counts.tolist() == [5, 5]


def test_an_unknown_column_of_a_plan_is_refused() -> None:
    with pytest.raises(ProfileError, match="no column 'wage'"):
        plan_profile(table(10)).column("wage")


def test_codes_may_be_counted_as_categories_and_scores_have_their_role() -> None:
    plan = plan_profile(
        table(200), kinds={"age": ColumnKind.CATEGORY}, roles={"income": ColumnRole.PREDICTION}
    )
    assert plan.column("age").kind is ColumnKind.CATEGORY
    assert plan.column("income").role is ColumnRole.PREDICTION
    assert plan.multivariate == ()


def test_too_many_values_leave_the_frequent_ones() -> None:
    rng = np.random.default_rng(5)
    rows = pl.DataFrame({"id": [f"u{value}" for value in rng.zipf(1.3, 30_000)]})
    plan = profile_reference(rows.head(50)).plan
    parts = [profile_table(rows.slice(start, 10_000), plan) for start in (0, 10_000, 20_000)]
    found = category(merge(parts), "id")
    counted = dict(rows["id"].value_counts().iter_rows())
    assert not found.is_complete
    assert len(found.others) <= MAX_OTHERS
    for name, count in found.others.items():
        assert count <= counted[name] <= count + found.error
    known = dict(zip(plan.column("id").categories, found.counts.tolist(), strict=True))
    assert known == {name: counted[name] for name in known}, "the plan's categories are exact"
    forgotten = set(counted) - set(known) - set(found.others)
    assert max(counted[name] for name in forgotten) <= found.error
    assert found.error < 0.01 * 30_000


def test_few_values_stay_exact() -> None:
    counted, error = frequent([("a", 2), ("b", 1), ("a", 1)], error=0)
    assert (dict(counted), error) == ({"a": 3, "b": 1}, 0)


def test_long_texts_are_kept_by_their_start_and_hash() -> None:
    one, two = category_name("x" * 1_000), category_name("x" * 1_001)
    assert len(one) == len(two) == MAX_TEXT
    assert one != two
    rows = pl.DataFrame({"text": ["y" * 500] * 10 + ["z"] * 10})
    assert profile_reference(rows).plan.column("text").categories[0][:5] in {"yyyyy", "z"}


def test_columns_may_be_counted_apart() -> None:
    rows = table(1_000).with_columns(pl.col("age").alias(f"n{place}") for place in range(5))
    whole = profile_reference(rows, pairs=PAIRS)
    parts = divide(whole.plan, columns=3)
    assert len(parts) > 1
    counted = [profile_table(rows, part) for part in parts]
    assert join(whole.plan, counted) == whole
    with pytest.raises(ProfileError, match="parts of a profile disagree"):
        join(whole.plan, counted[1:])
    counted[-1] = profile_table(rows.head(10), parts[-1])
    with pytest.raises(ProfileError, match=r"rows \[10, 1000\]"):
        join(whole.plan, counted)
    alone = profile_reference(rows, columns=["region", "name", "flag"])
    assert [len(part.columns) for part in divide(alone.plan, columns=2)] == [2, 1]


def test_a_sketch_keeps_its_promise() -> None:
    values = np.sort(np.random.default_rng(2).lognormal(size=200_000))
    halves = [QuantileSketch(), QuantileSketch()]
    halves[0].add(values[:50_000])
    halves[1].add(values[50_000:])
    halves[0].merge(halves[1])
    assert QuantileSketch().quantiles([0.5]) == []
    levels = [0.01, 0.25, 0.5, 0.75, 0.99]
    for level, found in zip(levels, halves[0].quantiles(levels), strict=True):
        # Stated with 99 % confidence; three times as much is never seen.
        assert abs(np.searchsorted(values, found) / len(values) - level) < 3 * RANK_ERROR


def test_rows_are_taken_evenly() -> None:
    rows = pl.DataFrame({"x": np.arange(300_000)})
    taken = evenly_spread(rows)["x"].to_numpy()
    assert len(taken) == 100_000
    assert set(np.diff(taken)) == {3}
    assert evenly_spread(rows.head(10)).height == 10


def test_products_are_whole_numbers_whatever_the_values() -> None:
    values = np.array([[1e300, -1e300], [0.0, np.nan], [np.inf, 2.0]])
    sums = Comoments.of(values, centers=np.zeros(2), scales=np.full(2, 1e-300))
    assert sums.rows == 2
    assert sums.first[0].tolist() == [256, 0]


def test_progress_is_told() -> None:
    rows = table(500)
    plan = profile_reference(rows).plan
    told: list[int] = []
    profile_table(rows.iter_slices(200), plan, progress=told.append)
    assert told == [200, 400, 500]
