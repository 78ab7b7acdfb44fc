"""Performance per window and group: windows, verdicts, minima, correction, coverage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import DataError
from interlock.ml.evaluation import CostMatrix
from interlock.ml.label_coverage import label_coverage
from interlock.ml.metric_sample import METHODS
from interlock.ml.performance import measure_performance
from interlock.ml.performance_limit import PerformanceSettings, Verdict
from interlock.ml.performance_reference import PerformanceReference, measure_reference
from interlock.ml.performance_report import (
    REPORT_COLUMNS,
    PerformanceReport,
    WindowPerformance,
    report_table,
)

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
SETTINGS = PerformanceSettings()


def served(
    rows: int, *, seed: int = 0, day: int = 0, wrong: float = 0.0, region: str | None = None
) -> pl.DataFrame:
    """One day of predictions; of ``wrong`` of the rows the outcome is a coin's."""
    rng = np.random.default_rng(seed)
    score = rng.beta(1.2, 1.8, rows)
    chance = np.where(rng.random(rows) < wrong, 0.5, score)
    start = MONDAY + timedelta(days=day)
    return pl.DataFrame(
        {
            "time": [start + timedelta(seconds=20 * index) for index in range(rows)],
            "score": score,
            "predicted": score >= 0.5,
            "outcome": rng.random(rows) < chance,
            "region": [region] * rows if region else rng.choice(["north", "south"], rows),
        },
        schema_overrides={"time": pl.Datetime("us", "UTC"), "outcome": pl.Boolean},
    )


def reference_of(table: pl.DataFrame, **named: Any) -> PerformanceReference:
    return measure_reference(
        table["outcome"].to_numpy(),
        table["score"].to_numpy(),
        table["predicted"].to_numpy(),
        table,
        cost=CostMatrix(),
        **{"segments": ["region"], **named},
    )


REFERENCE = reference_of(served(4_000, seed=99))


def measured(table: pl.DataFrame, **named: Any) -> PerformanceReport:
    return measure_performance(table, **{"settings": SETTINGS, "reference": REFERENCE, **named})


def only(report: PerformanceReport) -> WindowPerformance:
    (window,) = report.windows
    return window


def test_a_healthy_day_is_within_its_limits() -> None:
    window = only(measured(served(3_000, seed=1)))
    assert window.overall.verdict is Verdict.WITHIN
    assert window.beyond == ()
    assert {str(each.group) for each in window.groups} == {"region = north", "region = south"}
    assert all(each.metrics.keys() == METHODS.keys() for each in window.groups)


def test_a_broken_day_is_beyond_them_and_says_by_how_much() -> None:
    window = only(measured(served(3_000, seed=1, wrong=0.8)))
    assert window.overall.verdict is Verdict.BEYOND_LIMIT
    group, judgement = window.beyond[0]
    assert group is None
    assert judgement.change is not None
    assert judgement.change.high < -judgement.limit.tolerance
    assert judgement.level == pytest.approx(1 - 0.05 / 3)
    assert "all of it beyond the tolerated 0.05" in judgement.reason


def test_a_group_that_breaks_is_found_though_the_whole_holds() -> None:
    table = pl.concat(
        [
            served(4_000, seed=1, region="north"),
            served(400, seed=2, wrong=0.9, region="south"),
        ]
    )
    window = only(measured(table))
    assert window.overall.verdict is not Verdict.BEYOND_LIMIT
    assert {str(group) for group, _ in window.beyond} == {"region = south"}


def test_too_few_rows_are_never_a_finding() -> None:
    window = only(measured(served(49, seed=1, wrong=1.0)))
    assert window.overall.verdict is Verdict.NOT_ENOUGH_DATA
    judgement = window.overall.metrics["accuracy"].judgements[0]
    assert judgement.reason == "49 labelled rows; a verdict takes 50"
    assert window.overall.metrics["accuracy"].interval is not None


def test_too_few_rows_of_a_class_are_none_either() -> None:
    table = served(300, seed=1).with_columns(outcome=pl.int_range(pl.len()) < 9)
    judgement = only(measured(table)).overall.metrics["roc_auc"].judgements[0]
    assert judgement.reason == "9 labelled rows of one class; a verdict takes 10"


def test_too_low_a_coverage_is_none_either() -> None:
    table = served(1_000, seed=1).with_columns(
        outcome=pl.when(pl.int_range(pl.len()) < 400).then(pl.col("outcome"))
    )
    window = only(measured(table))
    assert window.coverage.share == 0.4
    judgement = window.overall.metrics["f1"].judgements[0]
    assert judgement.reason == "labels for 40.0% of the predictions; a verdict takes 50.0%"


def test_small_groups_do_not_weaken_the_verdict_on_others() -> None:
    table = pl.concat(
        [served(1_000, seed=1, region="north")]
        + [served(5, seed=9, region=name) for name in ("a", "b")]
    )
    window = only(measured(table))
    levels = {
        str(each.group): each.metrics["f1"].judgements[0].level
        for each in window.groups
        if each.rows >= 50
    }
    assert levels == {"region = north": pytest.approx(1 - 0.05 / 3)}
    assert {each.group.value for each in window.groups if each.group} == {"north", "(other)"}


def test_a_group_without_reference_is_held_against_the_whole_one() -> None:
    window = only(measured(served(500, seed=1, region="west")))
    (west,) = window.groups
    assert west.metrics["accuracy"].judgements[0].limit.source == "the whole reference"


def test_gates_hold_over_all_rows_beside_the_reference() -> None:
    window = only(measured(served(3_000, seed=1), gates={"roc_auc": 0.99, "brier": 0.5}))
    area = window.overall.metrics["roc_auc"]
    assert [each.verdict for each in area.judgements] == [Verdict.WITHIN, Verdict.BEYOND_LIMIT]
    assert area.verdict is Verdict.BEYOND_LIMIT
    assert window.overall.metrics["brier"].verdict is Verdict.WITHIN
    assert window.groups[0].metrics["brier"].verdict is None


def test_without_reference_only_gates_judge() -> None:
    window = only(measured(served(500, seed=1), reference=None))
    assert window.overall.verdict is None
    assert window.groups == ()
    own = measured(served(500, seed=1), reference=None, segmentation=REFERENCE.segmentation)
    assert len(only(own).groups) == 2


def test_days_and_weeks_follow_the_clock_of_their_zone() -> None:
    times = [MONDAY - timedelta(hours=1), MONDAY, MONDAY + timedelta(days=6, hours=23, minutes=59)]
    table = served(3).with_columns(time=pl.Series(times, dtype=pl.Datetime("us", "UTC")))
    days = measured(table).windows
    assert [each.name for each in days] == ["2026-11-15", "2026-11-16", "2026-11-22"]
    assert days[1].start == MONDAY
    assert days[1].end == MONDAY + timedelta(days=1)
    weekly = PerformanceSettings(window="week", zone="Europe/Berlin")
    weeks = measured(table, settings=weekly).windows
    assert [each.name for each in weeks] == ["2026-W47", "2026-W48"]
    assert weeks[0].start == MONDAY - timedelta(hours=1)
    assert weeks[0].end == weeks[1].start


def test_a_day_of_a_change_of_clocks_has_its_own_length() -> None:
    table = served(2).with_columns(
        time=pl.Series([datetime(2026, 10, 25, 10, tzinfo=UTC)] * 2, dtype=pl.Datetime("us", "UTC"))
    )
    window = only(measured(table, settings=PerformanceSettings(zone="Europe/Berlin")))
    assert window.end - window.start == timedelta(hours=25)


def test_batches_are_measured_one_by_one() -> None:
    batches = PerformanceSettings(window="batch", batch_column="batch")
    table = served(100).with_columns(batch=pl.int_range(pl.len()) // 60)
    report = measured(table, settings=batches)
    assert [(each.name, each.overall.rows) for each in report.windows] == [("0", 60), ("1", 40)]
    assert report.windows[0].end == table["time"][59]
    nameless = table.with_columns(batch=pl.when(pl.int_range(pl.len()) > 1).then("batch"))
    with pytest.raises(DataError, match="2 rows have no 'batch'"):
        measured(nameless, settings=batches)
    with pytest.raises(DataError, match="lacks batch"):
        measured(table.drop("batch"), settings=batches)


def test_the_latest_window_with_enough_labels_is_the_one_to_show() -> None:
    table = pl.concat([served(500, day=0), served(400, day=1, seed=3), served(20, day=2)])
    report = measured(table)
    found = report.latest("accuracy")
    assert found is not None
    assert found[0].name == "2026-11-17"
    assert found[1] is found[0].overall.metrics["accuracy"]
    assert measured(served(20)).latest("accuracy") is None


def test_no_rows_give_no_window() -> None:
    assert measured(served(0)).windows == ()


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(DataError, match="gates on rows cannot be measured"):
        measured(served(10), gates={"rows": 900})
    with pytest.raises(DataError, match="lacks outcome"):
        measured(served(10).drop("outcome"))
    with pytest.raises(DataError, match="segment columns region"):
        measured(served(10).drop("region"))


def test_the_flat_table_has_a_row_for_every_defined_metric() -> None:
    table = report_table(measured(served(500, seed=1)))
    assert table.schema == REPORT_COLUMNS
    assert table.height == 3 * len(METHODS)
    assert table.filter(pl.col("column").is_null() & (pl.col("metric") == "f1"))["verdict"][0]
    assert report_table(measured(served(0))).is_empty()
    bare = report_table(measured(served(3).with_columns(outcome=pl.lit(None, dtype=pl.Boolean))))
    assert set(bare["verdict"]) == {"not_enough_data"}


def test_a_reference_survives_as_json() -> None:
    assert PerformanceReference.model_validate_json(REFERENCE.model_dump_json()) == REFERENCE
    assert len(REFERENCE.model_dump_json()) < 2_000


def test_a_reference_takes_both_classes_and_all_rows() -> None:
    table = served(10)
    with pytest.raises(DataError, match="0 of 10 reference rows are positive"):
        reference_of(table.with_columns(outcome=False))
    with pytest.raises(DataError, match="has 9 rows for 10 outcomes"):
        measure_reference(
            table["outcome"].to_numpy(),
            table["score"].to_numpy(),
            table["predicted"].to_numpy(),
            table.head(9),
            cost=CostMatrix(),
        )


def test_coverage_says_when_labels_are_no_random_part() -> None:
    table = served(2_000, seed=5)
    some = pl.when(pl.int_range(pl.len()) % 2 == 0).then("outcome").alias("outcome")
    high = pl.when(pl.col("score") > 0.5).then("outcome").alias("outcome")
    random, chosen = (label_coverage(table.with_columns(each)) for each in (some, high))
    assert "no notable difference" in random.statement(level=0.95)
    assert "no random part" in chosen.statement(level=0.95)
    assert "all 2,000" in label_coverage(table).statement(level=0.95)
    nothing = label_coverage(table.with_columns(outcome=pl.lit(None, dtype=pl.Boolean)))
    assert nothing.statement(level=0.95) == "none of 2,000 predictions has a label"
    assert label_coverage(table.clear()).share == 0.0


@given(hidden=st.floats(0, 1), seed=st.integers(0, 1_000))
@settings(max_examples=30)
def test_the_accuracy_bounds_hold_whatever_the_missing_labels_say(hidden: float, seed: int) -> None:
    table = served(60, seed=seed)
    known = np.random.default_rng(seed).random(60) >= hidden
    part = table.with_columns(outcome=pl.when(pl.Series(known)).then("outcome"))
    bounds = label_coverage(part).accuracy_bounds
    assert bounds is not None
    truth = (table["outcome"] == table["predicted"]).mean()
    assert isinstance(truth, float)
    assert bounds.low - 1e-12 <= truth <= bounds.high + 1e-12
