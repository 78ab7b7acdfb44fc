"""Rows as a model reads them: typed as the reference has them, and kept as they were written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.dummy import DummyClassifier

from interlock.adapters.scored_rows import scored_batches
from interlock.errors import SourceError
from interlock.ml.model_reference import profile_of_training
from interlock.ml.monitoring import SCORE
from interlock.ml.profile_plan import ProfilePlan
from interlock.ml.source import CsvSource

FEATURES = ["amount", "at"]
GERMAN = CsvSource(kind="csv", path="now.csv", delimiter=";")
TEXT = "amount;at\n1,5;2026-07-01 00:30\n-2;2026-07-01 23:30\n"


@pytest.fixture
def plan() -> ProfilePlan:
    table = pl.DataFrame(
        {
            "amount": [float(each) for each in range(100)],
            "at": pl.Series([f"2026-07-0{1 + each % 9} 12:00" for each in range(100)]),
        }
    ).with_columns(pl.col("at").str.to_datetime())
    held = table.with_row_index()["index"].to_numpy()
    return profile_of_training(table, features=FEATURES, held=held, score=held / 100).plan


def rows(path: Path, plan: ProfilePlan, **options: Any) -> pl.DataFrame:
    path.write_text(TEXT)
    pipeline = DummyClassifier(strategy="constant", constant=1).fit([[0, 0], [0, 0]], [0, 1])
    found = scored_batches(path, GERMAN, plan=plan, pipeline=pipeline, features=FEATURES, **options)
    return pl.concat(found)


def test_decimal_mark_is_the_declared_one(plan: ProfilePlan, tmp_path: Path) -> None:
    found = rows(tmp_path / "now.csv", plan, decimal=",")
    assert found["amount"].to_list() == [1.5, -2.0]
    with pytest.raises(SourceError, match="row 1 has no number in column 'amount'"):
        rows(tmp_path / "now.csv", plan)


def test_kept_column_stays_as_written_though_it_is_a_feature(
    plan: ProfilePlan, tmp_path: Path
) -> None:
    found = rows(tmp_path / "now.csv", plan, decimal=",", keep=("at",))
    assert found["at"].to_list() == ["2026-07-01 00:30", "2026-07-01 23:30"]
    assert found[SCORE].to_list() == [1.0, 1.0]
