"""Late labels: every row is accounted for, and none is believed that contradicts another."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import DataError
from interlock.ml.label_join import JoinedLabels, LabelState, Reason, join_labels
from interlock.ml.target import Target

TARGET = Target(column="default", positive=1, negative=0)
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW = START + timedelta(days=100)
HOUR = timedelta(hours=1)


def predictions(*rows: tuple[Any, ...], **more: list[Any]) -> pl.DataFrame:
    """Rows of id, hours after START, score, decision."""
    return pl.DataFrame(
        {
            "id": [row[0] for row in rows],
            "time": [START + row[1] * HOUR for row in rows],
            "score": [row[2] for row in rows],
            "predicted": [row[3] for row in rows],
            **more,
        }
    )


def labels(*rows: tuple[Any, ...]) -> pl.DataFrame:
    """Rows of id, label, hours after START."""
    return pl.DataFrame(
        {
            "id": [row[0] for row in rows],
            "label": [row[1] for row in rows],
            "time": [START + row[2] * HOUR for row in rows],
        },
        schema_overrides={"time": pl.Datetime("us", "UTC")},
    )


def joined(made: pl.DataFrame, told: pl.DataFrame, **named: Any) -> JoinedLabels:
    return join_labels(made, told, **{"target": TARGET, "now": NOW, **named})


TWO = predictions(("a", 0, 0.9, True), ("b", 1, 0.2, False))
NO_LABELS = pl.DataFrame(schema={"id": pl.String, "label": pl.Int64, "time": pl.Datetime("us")})


def test_labels_join_by_id_and_say_how_late_they_came() -> None:
    result = joined(TWO, labels(("b", 0, 25), ("a", 1, 6)))
    assert result.table["outcome"].to_list() == [True, False]
    assert result.coverage == 1.0
    assert result.delay is not None
    assert result.delay.quantiles[0.0] == 6 * HOUR
    assert result.delay.quantiles[1.0] == 24 * HOUR
    assert result.predictions.set_aside == result.labels.set_aside == {}
    assert result.set_aside.is_empty()


def test_further_columns_stay_with_their_prediction() -> None:
    made = predictions(("a", 0, 0.9, True), ("b", 1, 0.2, False), region=["north", "south"])
    assert joined(made, labels(("a", 1, 6))).table["region"].to_list() == ["north", "south"]


def test_waiting_predictions_lower_the_coverage() -> None:
    result = joined(TWO, labels(("a", 1, 6)))
    assert result.coverage == 0.5
    assert result.table["label_state"].to_list() == [LabelState.LABELLED, LabelState.AWAITED]
    assert any("no usable label yet" in finding for finding in result.findings)


def test_no_labels_yet_is_no_error() -> None:
    result = joined(TWO, NO_LABELS)
    assert (result.coverage, result.delay) == (0.0, None)
    assert any("no metric can be measured" in finding for finding in result.findings)


def test_no_predictions_leave_labels_without_one() -> None:
    result = joined(TWO.clear(), labels(("a", 1, 6)))
    assert result.coverage == 0.0
    assert result.labels.set_aside == {Reason.WITHOUT_PREDICTION: 1}


def test_equal_labels_count_once_and_the_earliest_ends_the_delay() -> None:
    result = joined(TWO, labels(("a", 1, 30), ("a", 1, 6), ("b", 0, 7)))
    assert result.labels.set_aside == {Reason.REPEATED: 1}
    assert result.delay is not None
    assert result.delay.rows == 2
    assert result.delay.quantiles[0.0] == 6 * HOUR
    assert result.set_aside.rows() == [("labels", 0, "a", "repeated")]


def test_contradicting_labels_are_believed_neither_time() -> None:
    result = joined(TWO, labels(("a", 1, 6), ("a", 0, 7), ("b", 0, 7)))
    assert result.labels.set_aside == {Reason.CONTRADICTING: 2}
    assert result.table["outcome"].to_list() == [None, False]
    assert result.table["label_state"].to_list()[0] == LabelState.CONTRADICTING
    assert result.coverage == 0.5


def test_repeated_prediction_counts_once_and_contradicting_ones_never() -> None:
    made = predictions(
        ("a", 0, 0.9, True),
        ("a", 0, 0.9, True),
        ("b", 1, 0.2, False),
        ("b", 1, 0.3, False),
        ("c", 1, 0.3, False),
    )
    result = joined(made, labels(("a", 1, 6), ("b", 0, 6)))
    assert result.table["id"].to_list() == ["a", "c"]
    assert result.predictions.set_aside == {Reason.REPEATED: 1, Reason.CONTRADICTING: 2}
    assert result.labels.set_aside == {Reason.PREDICTION_SET_ASIDE: 1}


def test_label_older_than_its_prediction_is_not_believed() -> None:
    result = joined(TWO, labels(("a", 1, -1), ("b", 0, 1)))
    assert result.labels.set_aside == {Reason.BEFORE_PREDICTION: 1}
    assert result.table["label_state"].to_list() == ["before_prediction", "labelled"]


def test_what_claims_to_be_from_the_future_is_set_aside() -> None:
    made = predictions(("a", 0, 0.9, True), ("b", 24 * 101, 0.2, False))
    result = joined(made, labels(("a", 1, 24 * 101)))
    assert result.predictions.set_aside == {Reason.IN_THE_FUTURE: 1}
    assert result.labels.set_aside == {Reason.IN_THE_FUTURE: 1}
    assert result.table["label_state"].to_list() == [LabelState.UNUSABLE]


def test_unusable_cells_are_set_aside_each_with_its_reason() -> None:
    made = predictions(
        ("a", 0, 0.9, True), (" ", 0, 0.9, True), ("c", 0, 1.5, True), ("d", 0, float("nan"), True)
    ).vstack(predictions(("e", 0, 0.5, None)))
    told = labels(("a", 1, 6), ("c", None, 6), ("d", 7, 6), (None, 1, 6), ("zz", 1, 6))
    result = joined(made, told)
    assert result.predictions.set_aside == {
        Reason.MISSING_ID: 1,
        Reason.UNUSABLE_SCORE: 2,
        Reason.UNUSABLE_DECISION: 1,
    }
    assert result.labels.set_aside == {
        Reason.MISSING_ID: 1,
        Reason.MISSING_LABEL: 1,
        Reason.UNKNOWN_LABEL: 1,
        Reason.WITHOUT_PREDICTION: 1,
    }
    assert len(result.set_aside) == 8


def test_ids_of_which_none_joins_are_an_error() -> None:
    with pytest.raises(DataError, match="none of the 1 labels has the id of a prediction"):
        joined(TWO, labels(("x", 1, 6)))


def test_ids_of_different_kinds_are_an_error() -> None:
    with pytest.raises(DataError, match="text in the predictions and integers in the labels"):
        joined(TWO, labels((1, 1, 6)))
    with pytest.raises(DataError, match="of type Float64"):
        joined(TWO, labels((1.0, 1, 6)))


def test_integers_join_whatever_their_width() -> None:
    made = predictions((1, 0, 0.9, True)).with_columns(pl.col("id").cast(pl.UInt8))
    assert joined(made, labels((1, 1, 6))).coverage == 1.0


@pytest.mark.parametrize(
    ("written", "positive", "negative"),
    [
        ([1.0, 0.0], 1, 0),
        (["1", "0"], 1, 0),
        (["bad", "good"], "bad", "good"),
        ([True, False], True, False),
        ([0.5, 0.25], 0.5, 0.25),
        ([1, 0], 1.0, 0.0),
    ],
)
def test_classes_are_compared_by_what_they_mean(
    written: list[Any], positive: Any, negative: Any
) -> None:
    target = Target(column="y", positive=positive, negative=negative)
    told = labels(("a", written[0], 6), ("b", written[1], 6))
    made = TWO.with_columns(pl.Series("predicted", written))
    result = joined(made, told, target=target)
    assert result.table["outcome"].to_list() == [True, False]
    assert result.table["predicted"].to_list() == [True, False]


def test_labels_of_neither_class_are_an_error_when_there_are_no_others() -> None:
    with pytest.raises(DataError, match="no label is 1 or 0; found 'yes'"):
        joined(TWO, labels(("a", "yes", 6)))


def test_times_without_zone_are_refused_unless_the_zone_is_declared() -> None:
    naive = TWO.with_columns(pl.col("time").dt.replace_time_zone(None))
    with pytest.raises(DataError, match="2 of 2 times of the predictions have no time zone"):
        joined(naive, labels(("a", 1, 6)))
    result = joined(naive, labels(("a", 1, 6)), zone="America/New_York")
    assert result.table["time"][0] == datetime(2026, 3, 1, 17, tzinfo=UTC)


def test_local_times_that_the_clock_shows_never_or_twice_are_set_aside() -> None:
    times = ["2026-03-29 02:30:00", "2025-10-26 02:30", "2026-03-01", "nonsense", None]
    made = predictions(*((name, 0, 0.5, True) for name in "abcde")).with_columns(
        pl.Series("time", times)
    )
    result = joined(made, NO_LABELS, zone="Europe/Berlin")
    assert result.table["time"].to_list() == [datetime(2026, 2, 28, 23, tzinfo=UTC)]
    assert result.predictions.set_aside == {Reason.UNUSABLE_TIME: 4}


def test_texts_keep_the_offset_that_they_state() -> None:
    made = TWO.with_columns(
        pl.Series("time", ["2026-03-01T12:00:00+02:00", "2026-03-01T12:00:00.5Z"])
    )
    result = joined(made, NO_LABELS)
    assert result.table["time"][0] == datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert result.table["time"][1].microsecond == 500_000


def test_dates_need_a_zone_too() -> None:
    made = TWO.with_columns(pl.Series("time", [date(2026, 3, 1)] * 2))
    with pytest.raises(DataError, match="no time zone"):
        joined(made, NO_LABELS)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"zone": "Mars/Olympus"}, "is unknown"),
        ({"now": datetime(2026, 3, 1)}, "no zone"),  # noqa: DTZ001 - what is refused
    ],
)
def test_zones_have_to_exist(change: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        joined(TWO, labels(("a", 1, 6)), **change)


def test_tables_of_another_shape_are_refused() -> None:
    with pytest.raises(DataError, match="predictions lack score, predicted"):
        joined(TWO.drop("score", "predicted"), NO_LABELS)
    with pytest.raises(DataError, match="which the join adds"):
        joined(TWO.with_columns(outcome=True), NO_LABELS)
    with pytest.raises(DataError, match="times of the predictions are of type Int64"):
        joined(TWO.with_columns(time=pl.lit(1, pl.Int64)), NO_LABELS)


def test_columns_without_any_value_are_read() -> None:
    made = predictions(("a", 0, "0.9", "1")).with_columns(time=pl.lit(None))
    assert joined(made, NO_LABELS).predictions.set_aside == {Reason.UNUSABLE_TIME: 1}
    categorical = TWO.with_columns(pl.col("id").cast(pl.Categorical))
    assert joined(categorical, labels(("a", 1, 6))).coverage == 0.5


ROW = st.tuples(
    st.sampled_from(["a", "b", "c", "d", " ", None]),
    st.integers(-3, 3),
    st.sampled_from([0.1, 0.9, None, 2.0]),
    st.sampled_from([True, False, None]),
)
TOLD = st.tuples(
    st.sampled_from(["a", "b", "c", "e", None]),
    st.sampled_from([0, 1, 1, 5, None]),
    st.integers(-4, 24 * 101),
)


@given(st.lists(ROW, max_size=12), st.lists(TOLD, max_size=12))
@settings(max_examples=80)
def test_every_row_is_used_or_set_aside_once(made: list[Any], told: list[Any]) -> None:
    types: Any = {"id": pl.String, "time": pl.Datetime("us", "UTC")}
    types |= {"score": pl.Float64, "predicted": pl.Boolean}
    left = predictions(*made).cast(types)
    right = labels(*told).cast({"id": pl.String, "label": pl.Int64})
    try:
        result = joined(left, right)
    except DataError:  # all labels unknown, or none of these ids; each has a test of its own
        return
    for side, rows in ((result.predictions, len(made)), (result.labels, len(told))):
        assert side.rows == rows
        assert side.used + sum(side.set_aside.values()) == rows
    sides = result.set_aside["side"]
    assert (sides == "labels").sum() == len(told) - result.labels.used
    assert result.table["id"].is_unique().all()
    assert result.table["outcome"].drop_nulls().len() == result.labels.used
    assert (result.table["label_state"] == "labelled").sum() == result.labels.used
    known = result.table.filter(pl.col("outcome").is_not_null())
    assert (known["label_time"] >= known["time"]).all()


def test_order_of_the_labels_changes_nothing() -> None:
    told = labels(("a", 1, 9), ("b", 0, 7), ("a", 1, 3), ("b", 1, 8), ("x", 0, 1))
    first, second = joined(TWO, told), joined(TWO, told.reverse())
    assert first.table.equals(second.table)
    assert first.labels == second.labels
