"""Feature frames: two types, whatever the source had."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from interlock.errors import TrainingError
from interlock.ml.features import column_kinds, feature_frame, probe_of


def column(values: Any, dtype: Any = None) -> pd.Series:
    return feature_frame(pd.DataFrame({"x": pd.Series(values, dtype=dtype)}), ["x"])["x"]


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([1, 2], "int64", [1.0, 2.0]),
        ([1, None], "Int64", [1.0, np.nan]),
        ([1.5, None], "float64", [1.5, np.nan]),
        ([True, False], "bool", [1.0, 0.0]),
        ([True, None], "boolean", [1.0, np.nan]),
        ([True, None], "object", [1.0, np.nan]),
        ([Decimal("1.25"), None], "object", [1.25, np.nan]),
        ([1, 2.5], "object", [1.0, 2.5]),
        ([date(1970, 1, 2), None], "object", [1.0, np.nan]),
        ([pd.Timestamp("1970-01-01 12:00"), pd.NaT], None, [0.5, np.nan]),
        ([pd.Timestamp("1970-01-01T00:00", tz="America/New_York")], None, [5 / 24]),
    ],
)
def test_what_can_be_counted_becomes_a_number(values: Any, dtype: Any, expected: Any) -> None:
    made = column(values, dtype)
    assert made.dtype == np.float64
    np.testing.assert_allclose(made.to_numpy(), expected)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (["a", None], "object", ["a", None]),
        (["a", np.nan], "object", ["a", None]),
        (["a", None], "string", ["a", None]),
        (["a", None, "b"], "category", ["a", None, "b"]),
        ([1, None, 2], pd.CategoricalDtype([1, 2]), ["1", None, "2"]),
    ],
)
def test_what_is_named_becomes_text(values: Any, dtype: Any, expected: list[str | None]) -> None:
    made = column(values, dtype)
    assert made.dtype == object
    assert made.tolist() == expected


def test_frame_has_the_features_in_their_order_and_leaves_the_table_alone() -> None:
    table = pd.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, np.nan]}, index=[7, 9])
    before = table.copy()
    made = feature_frame(table, ["c", "b"])
    made.iloc[0, 0] = 9.0
    assert list(made.columns) == ["c", "b"]
    assert list(made.index) == [0, 1]
    assert column_kinds(made) == (("c",), ("b",))
    pd.testing.assert_frame_equal(table, before)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([None, None], "has no value in any of 2 rows"),
        ([1.0, -np.inf], "is infinite in 1 rows"),
        ([1, "a"], "holds mixed-integer values"),
        ([b"a", b"b"], "holds bytes values"),
    ],
)
def test_columns_without_one_meaning_are_refused(values: Any, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        column(values)


def test_probe_follows_from_frame_and_generator() -> None:
    frame = feature_frame(
        pd.DataFrame({"n": [1.0, 5.0, np.nan], "whole": [1, 2, 3], "c": ["a", "b", "b"]}),
        ["n", "whole", "c"],
    )
    one, other = (probe_of(frame, rng=np.random.default_rng(4), rows=6) for _ in range(2))
    pd.testing.assert_frame_equal(one, other)
    assert one["n"].isna().tolist() == [True, *[False] * 5]
    assert set(one["whole"]) == {1.0, 2.0, 3.0}
    assert set(one["c"]) == {"a", "b"}
