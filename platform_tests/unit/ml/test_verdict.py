from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from interlock.errors import ProfileError
from interlock.ml.drift_limits import ColumnLimits, Correction, DriftLimits
from interlock.ml.profile_plan import ColumnKind, ColumnRole
from interlock.ml.profiles import TableProfile, profile_reference, profile_table
from interlock.ml.verdict import DriftVerdict, Outcome, Statistic, judge

PAIRS = [("income", "region")]


def table(rows: int, seed: int, *, moved: float = 0.0) -> pl.DataFrame:
    """``moved`` standard deviations of one column, of 20."""
    rng = np.random.default_rng(seed)
    plain = {f"x{place}": rng.normal(size=rows) for place in range(17)}
    return pl.DataFrame(
        {
            "income": rng.normal(moved, 1, rows),
            **plain,
            "region": rng.choice(list("abcd"), rows, p=[0.5, 0.3, 0.15, 0.05]),
            "score": rng.beta(2, 5, rows),
        }
    )


@cache
def reference() -> TableProfile:
    return profile_reference(
        table(20_000, seed=1), pairs=PAIRS, roles={"score": ColumnRole.PREDICTION}
    )


def verdict_on(rows: pl.DataFrame, limits: DriftLimits | None = None) -> DriftVerdict:
    return judge(reference(), profile_table(rows, reference().plan), limits)


def outcome_of(verdict: DriftVerdict, name: str) -> Outcome:
    return next(each.outcome for each in verdict.everything if each.name == name)


def test_another_sample_of_the_same_distribution_is_no_drift() -> None:
    for rows in (50, 500, 20_000):
        verdict = verdict_on(table(rows, seed=rows))
        assert verdict.outcome is Outcome.NO_DRIFT
        assert verdict.drifted == ()


def test_fifty_rows_do_not_hide_a_large_shift() -> None:
    verdict = verdict_on(table(50, seed=2, moved=1.2))
    assert verdict.drifted == ("income", "income × region")  # noqa: RUF001
    assert verdict.columns[0].name == "income"
    assert verdict.columns[0].shifts[0].drifted
    assert "psi is 1.48, its limit 0.2; by chance alone with p" in verdict.columns[0].reason


def test_a_million_rows_do_not_make_noise_drift() -> None:
    rng = np.random.default_rng(3)
    before = profile_reference(pl.DataFrame({"x": rng.normal(size=1_000_000)}))
    now = profile_table(pl.DataFrame({"x": rng.normal(0.02, 1, 1_000_000)}), before.plan)
    column = judge(before, now).columns[0]
    shift = next(shift for shift in column.shifts if shift.statistic is Statistic.KS)
    assert shift.corrected < 1e-6, "significant, beyond any doubt"
    assert column.outcome is Outcome.NO_DRIFT, "and of no size"
    assert column.reason == "no distance reaches its limit"


def test_a_distance_that_chance_explains_is_no_drift() -> None:
    verdict = verdict_on(table(40, seed=5))
    large = [each for each in verdict.columns if "chance explains it" in each.reason]
    assert large
    assert all(each.outcome is Outcome.NO_DRIFT for each in large)


def test_too_few_rows_are_not_enough_data() -> None:
    verdict = verdict_on(table(20, seed=2, moved=5))
    assert verdict.outcome is Outcome.NOT_ENOUGH_DATA
    assert verdict.tests == 0
    assert verdict.columns[0].reason == "the current data has 20 values, 30 are needed"
    assert {each.outcome for each in verdict.everything} == {Outcome.NOT_ENOUGH_DATA}
    assert verdict.columns[0].statistics, "what was measured is told all the same"


def test_no_row_and_one_row_are_not_enough_data() -> None:
    rows = table(100, seed=2)
    assert verdict_on(rows.clear()).outcome is Outcome.NOT_ENOUGH_DATA
    assert verdict_on(rows.head(1)).outcome is Outcome.NOT_ENOUGH_DATA
    single = profile_reference(rows.head(1))
    verdict = judge(single, profile_table(rows, single.plan))
    assert verdict.outcome is Outcome.NOT_ENOUGH_DATA
    assert "the reference has 1 values" in verdict.columns[0].reason


def test_values_that_went_missing_are_drift_even_when_all_did() -> None:
    rows = table(500, seed=6).with_columns(pl.lit(None, dtype=pl.Float64).alias("income"))
    verdict = verdict_on(rows)
    assert verdict.drifted == ("income",)
    worst = verdict.columns[0]
    assert worst.shifts[0].statistic is Statistic.MISSING
    assert worst.rows == (20_000, 0)


def test_infinite_values_are_drift_of_the_distribution() -> None:
    endless = pl.when(pl.col("income") > 0).then(float("inf")).otherwise(pl.col("income"))
    verdict = verdict_on(table(500, seed=6).with_columns(endless.alias("income")))
    column = verdict.columns[0]
    assert column.name == "income"
    assert column.outcome is Outcome.DRIFT
    assert column.statistics[Statistic.KS] == pytest.approx(0.5, abs=0.05)


def test_a_constant_column_is_no_drift_until_it_changes() -> None:
    same = profile_reference(pl.DataFrame({"x": [3.0] * 100}))
    assert judge(same, same).outcome is Outcome.NO_DRIFT
    other = profile_table(pl.DataFrame({"x": [4.0] * 100}), same.plan)
    verdict = judge(same, other)
    assert verdict.drifted == ("x",)
    assert verdict.columns[0].statistics[Statistic.KS] == 1


def test_a_column_of_nothing_has_not_enough_data() -> None:
    rows = pl.DataFrame({"x": pl.Series([None] * 50, dtype=pl.Float64), "y": [1.0, 2.0] * 25})
    before = profile_reference(rows)
    verdict = judge(before, before)
    assert outcome_of(verdict, "x") is Outcome.NOT_ENOUGH_DATA
    assert outcome_of(verdict, "y") is Outcome.NO_DRIFT
    found = profile_table(rows.with_columns(pl.lit(1.0).alias("x")), before.plan)
    assert judge(before, found).drifted == ("x",), "values that appear are a change of the missing"


def test_new_categories_are_drift_and_named() -> None:
    rows = table(2_000, seed=7)
    rows = rows.with_columns(
        pl.when(pl.int_range(pl.len()) % 20 == 0)
        .then(pl.lit("new"))
        .otherwise(pl.col("region"))
        .alias("region")
    )
    verdict = verdict_on(rows)
    assert "region" in verdict.drifted
    column = next(each for each in verdict.columns if each.name == "region")
    assert column.new_categories == ("new",)
    assert column.shifts[0].statistic is Statistic.NEW_CATEGORIES


def test_values_that_are_always_new_are_no_drift() -> None:
    before = profile_reference(pl.DataFrame({"id": [f"a{place}" for place in range(900)]}))
    now = pl.DataFrame({"id": [f"b{place}" for place in range(900)]})
    verdict = judge(before, profile_table(now, before.plan))
    assert verdict.outcome is Outcome.NO_DRIFT


def test_very_many_categories_are_compared_by_the_frequent_ones() -> None:
    rng = np.random.default_rng(9)

    def draw(share: float) -> pl.DataFrame:
        often = rng.random(20_000) < share
        values = np.where(often, "top", rng.integers(0, 10**9, 20_000).astype(str))
        return pl.DataFrame({"id": values})

    before = profile_reference(draw(0.3))
    assert judge(before, profile_table(draw(0.3), before.plan)).outcome is Outcome.NO_DRIFT
    assert judge(before, profile_table(draw(0.5), before.plan)).drifted == ("id",)


def test_a_small_shift_among_very_many_categories_is_no_drift() -> None:
    rng = np.random.default_rng(1)
    names = np.array([f"c{place}" for place in range(1_001)])
    rare = 1 / np.sqrt(np.arange(1, 1_001))

    def draw(rows: int, share: float) -> pl.DataFrame:
        shares = np.append((1 - share) * rare / rare.sum(), share)
        return pl.DataFrame({"town": rng.choice(names, rows, p=shares)})

    before = profile_reference(draw(50_000, 0.1))
    small = judge(before, profile_table(draw(1_000, 0.16), before.plan)).columns[0]
    assert small.outcome is Outcome.NO_DRIFT
    assert small.statistics[Statistic.TOTAL_VARIATION] < 0.1
    assert judge(before, profile_table(draw(1_000, 0.3), before.plan)).drifted == ("town",)


def test_categories_that_were_lucky_in_the_reference_are_no_drift() -> None:
    # Of 3,000 equally rare values the plan keeps those that the reference happens to have often.
    rng = np.random.default_rng(21)

    def draw() -> pl.DataFrame:
        return pl.DataFrame({"id": rng.integers(0, 3_000, 10_000).astype(str)})

    before = profile_reference(draw())
    column = judge(before, profile_table(draw(), before.plan)).columns[0]
    assert column.outcome is Outcome.NO_DRIFT
    assert all(shift.p_value > 0.001 for shift in column.shifts)


def test_a_known_category_that_was_rare_and_fills_half_of_a_batch_is_drift() -> None:
    rng = np.random.default_rng(1)

    def draw(rows: int, shares: list[float]) -> pl.DataFrame:
        town = rng.choice(["a", "b", "c"], rows, p=shares)
        return pl.DataFrame({"town": town, "side": rng.choice(["left", "right"], rows)})

    before = profile_reference(draw(100_000, [0.9, 0.0999, 0.0001]), pairs=[("town", "side")])
    verdict = judge(before, profile_table(draw(900, [0.4, 0.1, 0.5]), before.plan))
    assert {*verdict.drifted} == {"town", "town × side"}  # noqa: RUF001
    town = next(each for each in verdict.columns if each.name == "town")
    assert town.statistics[Statistic.TOTAL_VARIATION] == pytest.approx(0.5, abs=0.02)
    assert not town.new_categories
    assert verdict.pairs[0].statistics[Statistic.TOTAL_VARIATION] == pytest.approx(0.5, abs=0.02)


def test_a_moved_prediction_stands_apart() -> None:
    rows = table(2_000, seed=8).with_columns(pl.col("score") + 0.3)
    verdict = verdict_on(rows)
    assert [each.name for each in verdict.predictions] == ["score"]
    assert verdict.predictions[0].outcome is Outcome.DRIFT
    assert "score" not in {each.name for each in verdict.columns}


def test_a_moved_pair_and_a_moved_correlation_are_drift_that_no_column_shows() -> None:
    rows = table(4_000, seed=9)
    income = rows["income"].to_numpy()
    rng = np.random.default_rng(10)
    rows = rows.with_columns(
        pl.Series("x0", 0.6 * income + 0.8 * rng.normal(size=len(income))),
        pl.Series("region", np.where(income > 0, "a", rng.choice(["b", "c", "d"], len(income)))),
    )
    verdict = verdict_on(rows)
    assert outcome_of(verdict, "x0") is Outcome.NO_DRIFT
    assert verdict.pairs[0].name == "income × region"  # noqa: RUF001
    assert verdict.pairs[0].outcome is Outcome.DRIFT
    assert verdict.dependence is not None
    assert verdict.dependence.outcome is Outcome.DRIFT
    assert verdict.dependence.name.startswith("correlation of income and x0, ")


def test_pairs_and_correlations_without_limits_are_not_judged() -> None:
    rows = table(4_000, seed=9)
    verdict = verdict_on(rows, DriftLimits(correlation=None, pairs=None))
    assert verdict.dependence is None
    assert verdict.pairs[0].reason == "nothing of it is held against a limit"
    empty = rows.with_columns(pl.lit(None, dtype=pl.String).alias("region"))
    assert verdict_on(empty).pairs[0].outcome is Outcome.NOT_ENOUGH_DATA


def test_constant_columns_have_no_correlation_to_move() -> None:
    rows = pl.DataFrame({"x": [1.0] * 500, "y": [2.0] * 500})
    before = profile_reference(
        rows.with_columns(pl.Series("x", np.arange(500.0)), pl.Series("y", np.arange(500.0) ** 2))
    )
    verdict = judge(before, profile_table(rows, before.plan))
    assert verdict.dependence is not None
    assert verdict.dependence.name == "correlations"
    assert verdict.dependence.outcome is Outcome.NO_DRIFT


def test_limits_of_a_column_are_its_own() -> None:
    rows = table(5_000, seed=11, moved=0.15)
    assert verdict_on(rows).outcome is Outcome.NO_DRIFT
    strict = DriftLimits(columns={"income": ColumnLimits(ks=0.03, wasserstein=0.1)})
    assert verdict_on(rows, strict).drifted == ("income",)
    judged = verdict_on(rows, strict).columns[0].shifts
    assert {shift.statistic for shift in judged if shift.drifted} == {
        Statistic.KS,
        Statistic.WASSERSTEIN,
    }
    blind = DriftLimits(
        default=ColumnLimits(
            ks=None, psi=None, total_variation=None, missing=None, new_categories=None
        ),
        correlation=None,
        pairs=None,
    )
    assert verdict_on(table(5_000, seed=1, moved=3), blind).outcome is Outcome.NO_DRIFT


def test_the_share_of_false_discoveries_may_be_held_instead() -> None:
    rows = table(300, seed=12, moved=0.5)
    limits = DriftLimits(correction=Correction.BENJAMINI_HOCHBERG)
    holm, found = verdict_on(rows).columns[0], verdict_on(rows, limits).columns[0]
    assert found.shifts[0].corrected <= holm.shifts[0].corrected


def test_a_limit_of_an_unknown_column_is_refused() -> None:
    limits = DriftLimits(columns={"wage": ColumnLimits()})
    with pytest.raises(ProfileError, match="no column 'wage'"):
        verdict_on(table(50, seed=1), limits)
    with pytest.raises(ValidationError):
        DriftLimits.model_validate({"default": {"hellinger": 0.1}})


def test_a_profile_of_another_schema_is_refused() -> None:
    other = profile_reference(table(100, seed=1).drop("region"))
    with pytest.raises(ProfileError, match=r"of another schema than .* \(missing: region"):
        judge(reference(), other)


def test_kinds_and_rows_are_told() -> None:
    verdict = verdict_on(table(500, seed=13))
    region = next(each for each in verdict.columns if each.name == "region")
    assert (region.kind, region.rows) == (ColumnKind.CATEGORY, (20_000, 500))
    assert verdict.rows == (20_000, 500)
    assert verdict.plan == reference().plan.digest
