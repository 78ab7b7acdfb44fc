"""The YAML section ``monitoring``: what fits together, and names of partitions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from product_fixtures import tiny_product
from pydantic import ValidationError

from interlock.errors import DataError
from interlock.ml.drift_limits import ColumnLimits
from interlock.ml.monitoring import SCORE, Monitoring, has_place, source_of
from interlock.ml.source import CsvSource, PostgresSource

CSV = {"kind": "csv", "path": "served.csv"}
PARTED = {"kind": "csv", "path": "served/{partition}.csv"}
LABELS = {"source": CSV, "id": "case", "time": "known"}
MEASURED = {"current": CSV, "id": "case", "time": "made", "labels": LABELS}
BLIND = dict.fromkeys(ColumnLimits.model_fields)
QUERY = PostgresSource(kind="postgres", dsn_variable="DSN", query="select 1", order_by=("a",))


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"current": PARTED}, "give partitions and a path"),
        ({"current": CSV, "partitions": "batch"}, "give partitions and a path"),
        ({"partitions": "batch"}, "give partitions and a path"),
        ({"current": PARTED, "partitions": "daily"}, "give since"),
        ({"current": PARTED, "partitions": "batch", "since": "2026-01-01"}, "give since"),
        ({"labels": LABELS}, "labels need current, id and time"),
        ({"current": CSV, "id": "case", "labels": LABELS}, "labels need current, id and time"),
        (
            {"current": CSV, "id": "a", "time": "b", "labels": LABELS | {"source": PARTED}},
            "labels hold",
        ),
        ({"performance": {"window": "batch", "batch_column": "b"}}, "a batch is a partition"),
        ({"suspend_on": []}, "at least 1 item"),
        ({"suspend_on": ["nothing"]}, "drift"),
        ({"suspend_on": ["performance"]}, "performance alone suspends and no labels"),
        (MEASURED | {"performance": {"tolerances": {}}}, "suspends and has no tolerance"),
        ({"retraining": {"cool_down_hours": 0}}, "greater than or equal to 1"),
        ({"suspension": "off"}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_together_is_refused(section: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Monitoring.model_validate(section)


@pytest.mark.parametrize(
    "drift",
    [
        {"default": BLIND, "correlation": None},
        {"columns": {"income": BLIND, "region": BLIND}, "correlation": None},
        {"columns": {SCORE: {}}, "default": BLIND, "correlation": None},
    ],
)
def test_drift_that_suspends_has_a_limit(drift: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="drift suspends and has no limit"):
        tiny_product(monitoring={"drift": drift})
    alone = MEASURED | {"drift": drift, "suspend_on": ["performance"]}
    assert tiny_product(monitoring=alone).watched.suspend_on == ("performance",)
    for more in (
        {"correlation": 0.3},
        {"columns": {"income": {"ks": 0.2}}},
    ):
        assert tiny_product(monitoring={"drift": drift | more})
    assert tiny_product(monitoring={"drift": drift, "pairs": [["income", "region"]]})


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"pairs": [["income", "wage"]]}, r"pairs \['wage'\]"),
        ({"segments": ["town"]}, r"segments \['town'\]"),
        ({"drift": {"columns": {"town": {}}}}, r"drift.columns \['town'\]"),
    ],
)
def test_columns_that_the_product_does_not_have_are_refused(
    section: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        tiny_product(monitoring=section)


def test_whatever_is_declared_something_suspends() -> None:
    assert tiny_product().watched.suspend_on == ("drift", "performance")
    assert tiny_product(monitoring={}).watched == Monitoring()


def test_partition_takes_its_place_in_the_path() -> None:
    source = CsvSource(kind="csv", path="served/{partition}.csv")
    found = source_of(source, "2026-11-21")
    assert isinstance(found, CsvSource)
    assert found.path == "served/2026-11-21.csv"
    assert source_of(QUERY, None) is QUERY
    assert not has_place(QUERY)


@given(st.one_of(st.none(), st.text(max_size=20)))
def test_no_partition_leaves_its_folder(name: str | None) -> None:
    source = CsvSource(kind="csv", path="served/{partition}.csv")
    try:
        found = source_of(source, name)
    except DataError:
        return
    assert isinstance(found, CsvSource)
    assert found.path.count("/") == 1
    assert ".." not in found.path
