"""The data contract: its rules, what breaks them, and what the report says."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from interlock.errors import ContractError
from interlock.ml.contract import (
    REASONS_COLUMN,
    ROW_COLUMN,
    Column,
    ColumnType,
    Contract,
    ContractReport,
    RuleResult,
    check_target,
    contract_rules,
)
from interlock.ml.contract_checker import CheckedBatch, ContractChecker
from interlock.ml.training import Target

TARGET = Target(column="paid", positive="no", negative="yes")
PAID: dict[str, Any] = {"name": "paid", "type": "category", "values": ["yes", "no"]}


def contract_of(*columns: dict[str, Any], **settings: Any) -> Contract:
    return Contract.model_validate({"columns": [*columns, PAID], **settings})


def check(
    contract: Contract,
    table: dict[str, Any],
    *,
    target: Target = TARGET,
    protected: tuple[str, ...] = (),
    duplicates: dict[str, list[bool]] | None = None,
) -> tuple[CheckedBatch, ContractReport]:
    """Hold one batch against a contract; a table without target gets paying customers."""
    columns = dict(table)
    height = len(next(iter(columns.values())))
    if target == TARGET:
        columns.setdefault("paid", ["yes", "no", *["yes"] * (height - 2)][:height])
    frame = pl.DataFrame(columns)
    checker = ContractChecker(contract, target, schema=dict(frame.schema), protected=protected)
    masks = {name: pl.Series(mask) for name, mask in (duplicates or {}).items()}
    return checker.check(frame, masks), checker.report()


def result(report: ContractReport, name: str) -> RuleResult:
    return next(rule for rule in report.rules if rule.name == name)


def reasons(batch: CheckedBatch) -> dict[int, str]:
    return dict(batch.quarantined.select(ROW_COLUMN, REASONS_COLUMN).iter_rows())


def test_rules_are_known_before_any_data_and_named_by_column_and_kind() -> None:
    contract = contract_of(
        {"name": "age in years", "type": "integer", "min": 18, "max": 100},
        {"name": "rate", "type": "number", "nullable": True},
        unique=[["age in years", "rate"]],
    )
    names = [rule.name for rule in contract_rules(contract, TARGET)]
    assert names == [
        "age_in_years__type",
        "age_in_years__nulls",
        "age_in_years__range",
        "rate__type",
        "rate__finite",
        "rate__has_values",
        "paid__nulls",
        "paid__values",
        "age_in_years_and_rate__unique",
        "paid__label",
        "paid__both_classes",
        "table__missing_columns",
        "table__extra_columns",
        "table__min_rows",
        "table__quarantined",
    ]


def test_report_has_one_result_per_rule_in_the_same_order() -> None:
    contract = contract_of({"name": "age", "type": "integer"}, extra_columns="ignore")
    _, report = check(contract, {"age": ["1", "2"]})
    rules = contract_rules(contract, TARGET)
    assert [each.name for each in report.rules] == [each.name for each in rules]
    assert [each.blocking for each in report.rules] == [each.blocking for each in rules]


def test_columns_whose_names_differ_in_punctuation_get_rules_of_their_own() -> None:
    contract = contract_of({"name": "a.b", "type": "text"}, {"name": "a b", "type": "text"})
    names = [rule.name for rule in contract_rules(contract, TARGET)]
    assert "a_b__nulls" in names
    assert "a_b__nulls_2" in names
    assert len(set(names)) == len(names)


def test_row_rules_quarantine_and_table_rules_block() -> None:
    contract = contract_of({"name": "age", "type": "integer", "min": 1, "nullable": True})
    blocking = {rule.name for rule in contract_rules(contract, TARGET) if rule.blocking}
    assert blocking == {
        "age__has_values",
        "paid__both_classes",
        "table__missing_columns",
        "table__extra_columns",
        "table__min_rows",
        "table__quarantined",
    }


def test_clean_table_is_accepted_whole_and_typed() -> None:
    contract = contract_of(
        {"name": "age", "type": "integer"},
        {"name": "rate", "type": "number"},
        {"name": "own", "type": "boolean"},
        {"name": "day", "type": "date"},
        {"name": "at", "type": "datetime"},
        {"name": "note", "type": "text"},
    )
    batch, report = check(
        contract,
        {
            "age": ["18", " 7", "12.0"],
            "rate": ["1.5", "-2e3", "7"],
            "own": ["true", "No", "1"],
            "day": ["2026-01-31", "2024-02-29", "1999-12-31"],
            "at": ["2026-01-31T10:00:00+02:00", "2026-01-31 10:00", "2026-01-31"],
            "note": [" kept as is ", "ü", "x"],
        },
    )
    assert batch.accepted.to_dict(as_series=False) == {
        "age": [18, 7, 12],
        "rate": [1.5, -2000.0, 7.0],
        "own": [True, False, True],
        "day": [date(2026, 1, 31), date(2024, 2, 29), date(1999, 12, 31)],
        "at": [
            datetime(2026, 1, 31, 8, tzinfo=UTC),
            datetime(2026, 1, 31, 10, tzinfo=UTC),
            datetime(2026, 1, 31, tzinfo=UTC),
        ],
        "note": [" kept as is ", "ü", "x"],
        "paid": ["yes", "no", "yes"],
    }
    assert batch.quarantined.is_empty()
    assert report.passed
    assert report.data_quality_score == 1.0
    assert (report.rows, report.accepted, report.quarantined, report.positives) == (3, 3, 0, 1)


@pytest.mark.parametrize(
    ("column_type", "value"),
    [
        ("integer", "twelve"),
        ("integer", "12.5"),
        ("integer", "2026-01-31"),
        ("integer", "NaN"),
        ("integer", "99999999999999999999"),
        ("number", "1,5"),
        ("number", "2026-01-31"),
        ("number", "car"),
        ("number", "1_000"),
        ("boolean", "maybe"),
        ("date", "31.01.2026"),
        ("date", "2026-02-30"),
        ("datetime", "noon"),
    ],
)
def test_value_of_another_type_sends_the_row_to_quarantine(column_type: str, value: str) -> None:
    good = {
        "integer": "1",
        "number": "1",
        "boolean": "yes",
        "date": "2026-01-31",
        "datetime": "2026-01-31",
    }
    contract = contract_of({"name": "x", "type": column_type}, max_quarantined=0.5)
    batch, report = check(contract, {"x": [good[column_type], good[column_type], value]})
    assert reasons(batch) == {2: "x__type"}
    assert batch.quarantined["x"].to_list() == [value]
    assert result(report, "x__type").failed_rows == 1
    assert result(report, "x__type").examples[0].row == 2
    assert report.accepted == 2


@pytest.mark.parametrize("value", ["nan", "NaN", "inf", "-Infinity", "1e999"])
def test_nan_and_infinity_are_violations_and_not_missing_values(value: str) -> None:
    contract = contract_of({"name": "x", "type": "number", "nullable": True, "min": 0, "max": 9})
    batch, report = check(contract, {"x": ["1", "2", value]})
    assert reasons(batch) == {2: "x__finite"}
    assert not result(report, "x__finite").passed
    assert result(report, "x__range").passed


@pytest.mark.parametrize("blank", ["", " ", "\t", None])
def test_blank_is_a_missing_value(blank: str | None) -> None:
    required = contract_of({"name": "x", "type": "number"})
    assert reasons(check(required, {"x": ["1", "2", blank]})[0]) == {2: "x__nulls"}
    optional = contract_of({"name": "x", "type": "number", "nullable": True})
    batch, report = check(optional, {"x": ["1", "2", blank]})
    assert batch.accepted["x"].to_list() == [1.0, 2.0, None]
    assert report.passed


def test_declared_null_values_mean_missing_and_others_do_not() -> None:
    contract = contract_of(
        {"name": "x", "type": "number", "nullable": True},
        {"name": "y", "type": "category", "values": ["a"], "nullable": True},
        null_values=["NA", "?"],
    )
    batch, _ = check(contract, {"x": ["1", " NA", "n/a"], "y": ["a", "?", "a"]})
    assert batch.accepted.select("x", "y").rows() == [(1.0, "a"), (None, None)]
    assert reasons(batch) == {2: "x__type"}


def test_decimal_comma() -> None:
    contract = contract_of({"name": "x", "type": "number"}, decimal=",", max_quarantined=1.0)
    batch, _ = check(contract, {"x": ["1,5", "7", "1.234,5", "1.5"]})
    assert batch.accepted["x"].to_list() == [1.5, 7.0]
    assert reasons(batch) == {2: "x__type", 3: "x__type"}


def test_limits_are_included() -> None:
    contract = contract_of({"name": "age", "type": "integer", "min": 18, "max": 100})
    batch, report = check(contract, {"age": ["18", "100", "17", "101"]})
    assert batch.accepted["age"].to_list() == [18, 100]
    assert reasons(batch) == {2: "age__range", 3: "age__range"}
    assert "from 18 to 100" in result(report, "age__range").detail


def test_limits_of_dates() -> None:
    contract = contract_of(
        {"name": "day", "type": "date", "min": date(2020, 1, 1)},
        {"name": "at", "type": "datetime", "max": datetime(2026, 1, 1)},  # noqa: DTZ001 - as YAML
    )
    batch, _ = check(
        contract,
        {
            "day": ["2020-01-01", "2019-12-31", "2020-01-01"],
            "at": ["2026-01-01", "2020-01-01", "2026-01-01 00:00:01"],
        },
    )
    assert reasons(batch) == {1: "day__range", 2: "at__range"}


def test_unseen_category_is_a_violation() -> None:
    contract = contract_of({"name": "purpose", "type": "category", "values": ["car", "home"]})
    batch, report = check(contract, {"purpose": ["car", "home", "yacht"]})
    assert reasons(batch) == {2: "purpose__values"}
    assert result(report, "purpose__values").examples[0].value == "yacht"


def test_numbers_in_a_category_are_texts() -> None:
    contract = contract_of({"name": "code", "type": "category", "values": [1, 2.5]})
    assert contract.columns[0].values == ("1", "2.5")


@pytest.mark.parametrize("label", ["", "maybe", None])
def test_row_without_a_known_label_is_quarantined(label: str | None) -> None:
    contract = contract_of({"name": "x", "type": "integer"})
    batch, report = check(contract, {"x": ["1", "2", "3"], "paid": ["yes", "no", label]})
    assert "paid__label" in reasons(batch)[2]
    assert result(report, "paid__label").failed_rows == 1


def test_target_with_one_class_blocks() -> None:
    contract = contract_of({"name": "x", "type": "integer"})
    _, report = check(contract, {"x": ["1", "2"], "paid": ["yes", "yes"]})
    assert not report.passed
    assert "0 rows are 'no', 2 are 'yes'" in result(report, "paid__both_classes").detail
    assert report.data_quality_score == pytest.approx(4 / 5)


def test_class_that_only_quarantined_rows_have_blocks() -> None:
    contract = contract_of({"name": "x", "type": "integer"}, max_quarantined=1.0)
    _, report = check(contract, {"x": ["1", "two"], "paid": ["yes", "no"]})
    assert not result(report, "paid__both_classes").passed


def test_all_null_column_blocks() -> None:
    contract = contract_of({"name": "x", "type": "integer", "nullable": True})
    batch, report = check(contract, {"x": ["", " "]})
    assert batch.accepted.height == 2
    assert not result(report, "x__has_values").passed
    assert not report.passed


def test_column_with_values_in_a_later_batch_is_not_all_null() -> None:
    contract = contract_of({"name": "x", "type": "integer", "nullable": True})
    checker = ContractChecker(contract, TARGET, schema={"x": pl.String(), "paid": pl.String()})
    checker.check(pl.DataFrame({"x": ["", ""], "paid": ["yes", "no"]}))
    batch = checker.check(pl.DataFrame({"x": ["1", "one"], "paid": ["yes", "no"]}))
    assert checker.report().passed is False  # one row of four is quarantined
    assert result(checker.report(), "x__has_values").passed
    assert reasons(batch) == {3: "x__type"}


def test_missing_column_leaves_no_acceptable_row() -> None:
    contract = contract_of({"name": "x", "type": "integer"}, {"name": "y", "type": "integer"})
    batch, report = check(contract, {"x": ["1", "2"]})
    assert batch.accepted.is_empty()
    assert dict(batch.accepted.schema) == {"x": pl.Int64, "y": pl.Int64, "paid": pl.String}
    assert set(reasons(batch).values()) == {"table__missing_columns"}
    assert "(y)" in result(report, "table__missing_columns").detail
    assert result(report, "y__type").detail == "the table lacks the column"
    assert not report.passed
    assert report.data_quality_score == 0.0


def test_missing_target_column_blocks() -> None:
    contract = contract_of({"name": "x", "type": "integer"})
    checker = ContractChecker(contract, TARGET, schema={"x": pl.String()})
    checker.check(pl.DataFrame({"x": ["1"]}))
    report = checker.report()
    assert not result(report, "paid__both_classes").passed
    assert not report.passed


def test_extra_column_blocks_unless_ignored() -> None:
    contract = contract_of({"name": "x", "type": "integer"})
    table = {"x": ["1", "2"], "new": ["a", "b"]}
    batch, report = check(contract, table)
    assert not result(report, "table__extra_columns").passed
    assert "(new)" in result(report, "table__extra_columns").detail
    assert not report.passed
    assert batch.accepted.height == 2
    ignoring = contract.model_copy(update={"extra_columns": "ignore"})
    batch, report = check(ignoring, table)
    assert report.passed
    assert batch.accepted.columns == ["x", "paid"]


def test_too_few_rows_and_too_many_in_quarantine_block() -> None:
    contract = contract_of({"name": "x", "type": "integer"}, min_rows=3, max_quarantined=0.2)
    _, report = check(contract, {"x": ["1", "2", "three", "four"]})
    assert result(report, "table__min_rows").detail == "2 accepted, expected at least 3"
    assert "(50.00%)" in result(report, "table__quarantined").detail
    assert not result(report, "table__quarantined").passed
    # half of the rows, and three of five table rules
    assert report.data_quality_score == pytest.approx(0.5 * 3 / 5)


def test_table_without_rows_blocks_and_scores_zero() -> None:
    contract = contract_of({"name": "x", "type": "integer"})
    checker = ContractChecker(contract, TARGET, schema={"x": pl.String(), "paid": pl.String()})
    report = checker.report()
    assert not report.passed
    assert report.data_quality_score == 0.0


def test_duplicates_are_quarantined_with_both_rows() -> None:
    contract = contract_of({"name": "id", "type": "integer"}, unique=[["id"]])
    table = {"id": ["1", "01", "2", "3"]}
    batch, report = check(contract, table, duplicates={"id__unique": [True, True, False, False]})
    assert reasons(batch) == {0: "id__unique", 1: "id__unique"}
    assert result(report, "id__unique").failed_rows == 2


def test_keys_are_compared_as_values_and_not_as_text() -> None:
    contract = contract_of({"name": "id", "type": "integer"}, unique=[["id"]])
    frame = pl.DataFrame({"id": ["1", "01", " 1", "x", ""]})
    checker = ContractChecker(contract, TARGET, schema=dict(frame.schema))
    assert checker.unique_rules[0].name == "id__unique"
    keys = checker.keys(frame, checker.unique_rules[0])
    assert keys["id"].to_list() == [1, 1, 1, None, None]


def test_every_reason_of_a_row_is_listed() -> None:
    contract = contract_of(
        {"name": "x", "type": "integer"}, {"name": "y", "type": "number", "max": 1}
    )
    batch, _ = check(contract, {"x": ["1", "2", "three"], "y": ["0", "5", "5"]})
    assert reasons(batch) == {1: "y__range", 2: "x__type, y__range"}


def test_protected_and_free_text_values_stand_in_no_report() -> None:
    contract = contract_of(
        {"name": "age", "type": "integer", "max": 50},
        {"name": "sex", "type": "category", "values": ["m", "f"]},
        {"name": "name", "type": "text"},
    )
    _, report = check(
        contract,
        {"age": ["1", "1", "99"], "sex": ["m", "f", "secret"], "name": ["Ann", "Bob", ""]},
        protected=("age", "sex"),
    )
    assert result(report, "age__range").examples[0].value is None
    assert result(report, "sex__values").examples[0].row == 2
    assert "secret" not in json.dumps(report.as_dict())
    assert "99" not in json.dumps(report.as_dict())


def test_examples_are_few_and_short() -> None:
    contract = contract_of({"name": "x", "type": "integer"})
    _, report = check(contract, {"x": ["1", *["y" * 500] * 9]})
    examples = result(report, "x__type").examples
    assert [each.row for each in examples] == [1, 2, 3]
    assert all(each.value == "y" * 80 for each in examples)


def test_typed_columns_of_parquet_are_read_as_values() -> None:
    contract = contract_of(
        {"name": "i", "type": "integer"},
        {"name": "n", "type": "number"},
        {"name": "b", "type": "boolean"},
        {"name": "c", "type": "category", "values": ["1", "2"]},
        {"name": "d", "type": "date"},
        {"name": "t", "type": "datetime"},
        max_quarantined=1.0,
    )
    noon = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - as Parquet may hold it
    midnight = datetime(2026, 1, 1)  # noqa: DTZ001 - as Parquet may hold it
    batch, _ = check(
        contract,
        {
            "i": pl.Series([1.0, 2.5, 3.0, float("nan")]),
            "n": pl.Series([1, 2, 3, 4]),
            "b": pl.Series([True, False, None, True]),
            "c": pl.Series(["1", "2", "1", "2"], dtype=pl.Categorical),
            "d": pl.Series([midnight, midnight, midnight, noon]),
            "t": pl.Series([date(2026, 1, 1)] * 4),
        },
    )
    assert batch.accepted.drop("paid").rows() == [
        (1, 1.0, True, "1", date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC))
    ]
    assert reasons(batch) == {1: "i__type", 2: "b__nulls", 3: "i__type, d__type"}


def test_typed_column_of_another_kind_breaks_the_type() -> None:
    contract = contract_of(
        {"name": "i", "type": "integer"}, {"name": "c", "type": "text"}, max_quarantined=1.0
    )
    batch, _ = check(
        contract,
        {"i": pl.Series([True, False]), "c": pl.Series([datetime(2026, 1, 1, tzinfo=UTC)] * 2)},
    )
    assert reasons(batch) == {0: "i__type", 1: "i__type"}


@pytest.mark.parametrize("dtype", [pl.List(pl.Int64()), pl.Struct({"a": pl.Int64()}), pl.Binary()])
def test_nested_column_is_refused(dtype: pl.DataType) -> None:
    contract = contract_of({"name": "x", "type": "integer"})
    with pytest.raises(ContractError, match="column 'x' is of type"):
        ContractChecker(contract, TARGET, schema={"x": dtype, "paid": pl.String()})


@pytest.mark.parametrize("name", [ROW_COLUMN, REASONS_COLUMN])
def test_column_with_a_name_of_the_quarantine_is_refused(name: str) -> None:
    contract = contract_of({"name": "x", "type": "integer"}, extra_columns="ignore")
    with pytest.raises(ContractError, match="rename it"):
        ContractChecker(contract, TARGET, schema={"x": pl.String(), name: pl.String()})


@pytest.mark.parametrize(
    ("column", "target", "message"),
    [
        (PAID, Target(column="other", positive="a", negative="b"), "not in the contract"),
        (PAID, Target(column="paid", positive=True, negative=False), "quote the label"),
        (PAID, Target(column="paid", positive="no", negative="maybe"), "not among the values"),
        (
            {"name": "paid", "type": "integer"},
            Target(column="paid", positive="1", negative="0"),
            "write a label of that type",
        ),
        (
            {"name": "paid", "type": "integer"},
            Target(column="paid", positive=True, negative=False),
            "is bool",
        ),
        (
            {"name": "paid", "type": "number"},
            Target(column="paid", positive=1, negative=0),
            "has no labels",
        ),
    ],
)
def test_target_that_cannot_occur_is_refused(
    column: dict[str, Any], target: Target, message: str
) -> None:
    contract = Contract.model_validate({"columns": [column]})
    with pytest.raises(ContractError, match=message):
        check_target(contract, target)
    with pytest.raises(ContractError, match=message):
        contract_rules(contract, target)


@pytest.mark.parametrize(
    ("column_type", "positive", "negative", "values"),
    [
        ("integer", 1, 0, ["1", "0"]),
        ("boolean", True, False, ["Yes", "no"]),
        ("text", "bad", "good", ["bad", "good"]),
    ],
)
def test_targets_of_every_labelled_type(
    column_type: str, positive: Any, negative: Any, values: list[str]
) -> None:
    contract = Contract.model_validate({"columns": [{"name": "y", "type": column_type}]})
    target = Target(column="y", positive=positive, negative=negative)
    _, report = check(contract, {"y": values}, target=target)
    assert report.passed
    assert report.positives == 1


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"name": "x", "type": "category"}, "has no values"),
        ({"name": "x", "type": "category", "values": ["a", "a"]}, "repeat"),
        ({"name": "x", "type": "category", "values": ["a", " "]}, "blank"),
        ({"name": "x", "type": "category", "values": [True, False]}, "quote it"),
        ({"name": "x", "type": "category", "values": "abc"}, "valid tuple"),
        ({"name": "x", "type": "integer", "values": ["a"]}, "only a category"),
        ({"name": "x", "type": "integer", "min": 2, "max": 1}, "is below min"),
        ({"name": "x", "type": "integer", "min": True}, "no limit"),
        ({"name": "x", "type": "number", "min": float("nan")}, "no limit"),
        ({"name": "x", "type": "number", "max": date(2026, 1, 1)}, "no limit"),
        ({"name": "x", "type": "text", "min": 1}, "no limit"),
        ({"name": "x", "type": "date", "min": 1}, "no limit"),
        ({"name": "x", "type": "integr"}, "Input should be"),
        ({"name": "x", "type": "text", "nulable": True}, "Extra inputs"),
        ({"name": "", "type": "text"}, "at least 1 character"),
    ],
)
def test_column_that_contradicts_itself_is_refused(column: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Column.model_validate(column)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unique": [["y"]]}, "must list columns"),
        ({"unique": [[]]}, "must list columns"),
        ({"unique": [["paid", "paid"]]}, "each once"),
        ({"columns": [PAID, PAID]}, "twice"),
        ({"columns": []}, "at least 1 item"),
        ({"max_quarantined": 1.5}, "less than or equal to 1"),
        ({"min_rows": 0}, "greater than or equal to 1"),
        ({"extra_columns": "drop"}, "Input should be"),
    ],
)
def test_contract_that_contradicts_itself_is_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        Contract.model_validate({"columns": [PAID], **settings})


def test_digest_changes_with_any_rule_and_with_nothing_else() -> None:
    contract = contract_of({"name": "age", "type": "integer", "max": 100})
    same = contract_of({"max": 100, "type": "integer", "name": "age"})
    other = contract_of({"name": "age", "type": "integer", "max": 101})
    assert contract.digest == same.digest
    assert contract.digest != other.digest


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from(["", " ", "1", "-3", "2.50", "nan", "inf", "x", "1e3", "\u0661"]),
                st.floats(allow_nan=False, allow_infinity=False).map(str),
                st.text(max_size=4),
            ),
            st.sampled_from(["yes", "no", "", "maybe"]),
        ),
        min_size=1,
        max_size=30,
    ),
    st.integers(min_value=1, max_value=31),
)
def test_any_table_is_divided_without_loss_and_alike_in_batches(
    rows: list[tuple[str, str]], batch_rows: int
) -> None:
    contract = contract_of({"name": "x", "type": "number", "min": -10, "max": 1e9})
    frame = pl.DataFrame(rows, schema={"x": pl.String, "paid": pl.String}, orient="row")
    whole = ContractChecker(contract, TARGET, schema=dict(frame.schema))
    batch = whole.check(frame)
    report = whole.report()
    assert report.accepted == batch.accepted.height
    assert report.accepted + report.quarantined == report.rows == len(rows)
    assert 0 <= report.data_quality_score <= 1
    assert batch.accepted["x"].is_finite().all()
    assert batch.accepted["x"].is_between(-10, 1e9).all()
    kept = [tuple(row) for row in batch.quarantined.select("x", "paid").iter_rows()]
    assert kept == [rows[i] for i in batch.quarantined[ROW_COLUMN]]
    assert all(text for text in batch.quarantined[REASONS_COLUMN])

    parts = ContractChecker(contract, TARGET, schema=dict(frame.schema))
    checked = [parts.check(part) for part in frame.iter_slices(batch_rows)]
    assert parts.report() == report
    assert pl.concat([each.accepted for each in checked]).equals(batch.accepted)
    assert pl.concat([each.quarantined for each in checked]).equals(batch.quarantined)


@given(st.sampled_from(ColumnType), st.lists(st.one_of(st.none(), st.text()), min_size=1))
def test_any_text_is_read_or_refused_and_never_an_error(
    column_type: ColumnType, texts: list[str | None]
) -> None:
    from interlock.ml.value_types import DTYPES, read_column

    column = read_column(pl.Series(texts, dtype=pl.String), column_type)
    assert column.values.dtype == DTYPES[column_type]
    there = column.values.is_not_null()
    # Each value is exactly one of: read, missing, wrong.
    assert (there.cast(int) + column.missing.cast(int) + column.wrong.cast(int) == 1).all()
