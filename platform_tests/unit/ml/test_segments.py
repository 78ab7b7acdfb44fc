"""Segments: the reference decides the groups, and every later row falls in exactly one."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import DataError
from interlock.ml.segments import (
    MAX_VALUES,
    MISSING,
    OTHER,
    Segmentation,
    assign_segments,
    fit_segmentation,
)


def groups_of(reference: list[Any], later: list[Any]) -> list[str]:
    fitted = fit_segmentation(pl.DataFrame({"x": reference}), segments=["x"])
    return assign_segments(pl.DataFrame({"x": later}), fitted)["x"].to_list()


def test_values_of_the_reference_are_groups_and_new_ones_are_others() -> None:
    assert groups_of(["a", "b", "a", None], ["a", "c", " ", None]) == ["a", OTHER, MISSING, MISSING]


def test_few_numbers_are_grouped_by_value_whatever_their_type() -> None:
    assert groups_of([1, 2, 3], [1.0, 2.5, float("nan")]) == ["1", OTHER, MISSING]
    assert groups_of([True, False], [True, None]) == ["true", MISSING]
    assert groups_of([date(2026, 1, 1)], [date(2026, 1, 2)]) == [OTHER]


def test_many_numbers_are_parted_by_fifths_of_the_reference() -> None:
    ages = list(range(20, 70))
    found = groups_of(ages, [19.0, 29.0, 30.0, 60.0, 99.0, None, float("inf"), float("nan")])
    assert found == [
        "< 30",
        "< 30",
        "30 to < 40",
        "≥ 60",
        "≥ 60",
        MISSING,
        OTHER,
        MISSING,
    ]


def test_rare_values_share_a_group() -> None:
    reference = [f"v{index:02}" for index in range(30) for _ in range(31 - index)]
    found = groups_of(reference, ["v00", f"v{MAX_VALUES - 1:02}", f"v{MAX_VALUES:02}"])
    assert found == ["v00", f"v{MAX_VALUES - 1:02}", OTHER]


def test_protected_columns_come_first_and_once() -> None:
    table = pl.DataFrame({"age": [1, 2], "region": ["n", "s"]})
    fitted = fit_segmentation(table, segments=["region", "age"], protected=["age"])
    assert [(each.name, each.protected) for each in fitted.columns] == [
        ("age", True),
        ("region", False),
    ]
    assert Segmentation.model_validate_json(fitted.model_dump_json()) == fitted


def test_a_missing_or_changed_column_is_refused() -> None:
    fitted = fit_segmentation(pl.DataFrame({"x": list(range(50))}), segments=["x"])
    with pytest.raises(DataError, match="segment columns x are not in the table"):
        assign_segments(pl.DataFrame({"y": [1]}), fitted)
    with pytest.raises(DataError, match="is of type String"):
        assign_segments(pl.DataFrame({"x": ["young"]}), fitted)
    assert assign_segments(pl.DataFrame({"x": [None]}), fitted)["x"].to_list() == [MISSING]


NUMBERS = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=60)


@given(NUMBERS, NUMBERS)
@settings(max_examples=30)
def test_every_row_has_one_of_the_groups(reference: list[Any], later: list[Any]) -> None:
    table = pl.DataFrame({"x": reference}, schema={"x": pl.Float64})
    fitted = fit_segmentation(table, segments=["x"])
    found = assign_segments(pl.DataFrame({"x": later}, schema={"x": pl.Float64}), fitted)["x"]
    assert set(found) <= set(fitted.columns[0].groups)
    own = assign_segments(table, fitted)["x"]
    assert (own == MISSING).sum() == table["x"].null_count()
