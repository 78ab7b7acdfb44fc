"""Tables through their contract, duplicates of any number, and files that are written."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.adapters import parquet
from interlock.adapters.duplicates import DuplicateFinder
from interlock.adapters.tables import AppliedContract, apply_contract, write_table
from interlock.errors import ContractError, SourceError
from interlock.ml.contract import REASONS_COLUMN, ROW_COLUMN, Contract
from interlock.ml.training import Target

TARGET = Target(column="y", positive=1, negative=0)
ROWS = 300_000


def contract_of(*columns: dict[str, Any], **options: Any) -> Contract:
    return Contract.model_validate(
        {"columns": [*columns, {"name": "y", "type": "integer"}], **options}
    )


def applied(
    frame: pl.DataFrame, contract: Contract, folder: Path, **options: Any
) -> AppliedContract:
    frame.write_parquet(folder / "table.parquet")
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    result = apply_contract(
        folder / "table.parquet",
        contract=contract,
        target=TARGET,
        protected=(),
        accepted=folder / "accepted.parquet",
        quarantine=folder / "quarantine.parquet",
        scratch=scratch,
        **options,
    )
    assert list(scratch.iterdir()) == []
    return result


def test_rows_are_divided_across_batches(tmp_path: Path) -> None:
    frame = pl.select(
        pl.int_range(0, ROWS).cast(pl.String).alias("x"),
        (pl.int_range(0, ROWS) % 2).cast(pl.String).alias("y"),
    ).with_columns(
        pl.when(pl.int_range(0, ROWS) % 1_000 == 999).then(pl.lit("?")).otherwise("x").alias("x")
    )
    seen: list[int] = []
    result = applied(
        frame, contract_of({"name": "x", "type": "integer"}), tmp_path, progress=seen.append
    )
    accepted = pl.read_parquet(result.accepted)
    quarantine = pl.read_parquet(result.quarantine)
    assert dict(accepted.schema) == {"x": pl.Int64, "y": pl.Int64}
    assert accepted.height == result.report.accepted == ROWS - 300
    assert accepted["x"].to_list() == [i for i in range(ROWS) if i % 1_000 != 999]
    assert quarantine.columns == ["x", "y", ROW_COLUMN, REASONS_COLUMN]
    assert quarantine[ROW_COLUMN].to_list() == list(range(999, ROWS, 1_000))
    assert set(quarantine["x"]) == {"?"}
    assert set(quarantine[REASONS_COLUMN]) == {"x__type"}
    assert result.report.passed
    assert seen[-1] == ROWS
    assert len(seen) > 1
    for path, digest in (
        (result.accepted, result.accepted_sha256),
        (result.quarantine, result.quarantine_sha256),
    ):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == digest


def test_equal_tables_give_equal_snapshots(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": ["1", "2", "x"], "y": ["0", "1", "1"]})
    contract = contract_of({"name": "x", "type": "integer"})
    first = applied(frame, contract, tmp_path)
    second = applied(frame, contract, tmp_path)
    assert first == second


def test_quarantine_of_a_clean_table_is_an_empty_table(tmp_path: Path) -> None:
    result = applied(pl.DataFrame({"y": ["0", "1"]}), contract_of(), tmp_path)
    assert pl.read_parquet(result.quarantine).is_empty()


def test_typed_table_keeps_its_types_in_quarantine(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": [1.0, math.nan, 3.0], "y": [0, 1, 2]})
    result = applied(frame, contract_of({"name": "x", "type": "number"}), tmp_path)
    quarantine = pl.read_parquet(result.quarantine)
    assert quarantine["x"].dtype == pl.Float64
    assert quarantine[REASONS_COLUMN].to_list() == ["x__finite", "y__label"]


def test_duplicates_are_found_across_batches(tmp_path: Path) -> None:
    ids = [*range(ROWS - 2), 5, 70_000]
    frame = pl.DataFrame({"id": ids, "y": [0, 1] * (ROWS // 2)})
    contract = contract_of({"name": "id", "type": "integer"}, unique=[["id"], ["id", "y"]])
    result = applied(frame, contract, tmp_path)
    quarantine = pl.read_parquet(result.quarantine)
    assert quarantine[ROW_COLUMN].to_list() == [5, 70_000, ROWS - 2, ROWS - 1]
    assert quarantine[REASONS_COLUMN].to_list() == [
        "id__unique",
        "id__unique",
        "id__unique",
        "id__unique",
    ]


def test_uniqueness_over_a_missing_column_is_not_checked(tmp_path: Path) -> None:
    contract = contract_of({"name": "id", "type": "integer"}, unique=[["id"]])
    report = applied(pl.DataFrame({"y": ["0", "1"]}), contract, tmp_path).report
    assert {each.name: each.passed for each in report.rules}["id__unique"] is False


def test_table_without_rows_is_reported(tmp_path: Path) -> None:
    contract = contract_of({"name": "id", "type": "integer"}, unique=[["id"]])
    frame = pl.DataFrame(schema={"id": pl.String, "y": pl.String})
    assert not applied(frame, contract, tmp_path).report.passed


def test_contract_that_cannot_be_applied_leaves_no_file(tmp_path: Path) -> None:
    frame = pl.DataFrame({"y": ["0"], "_row": ["1"]})
    with pytest.raises(ContractError, match="_row"):
        applied(frame, contract_of(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["scratch", "table.parquet"]


KEYS = st.lists(st.one_of(st.none(), st.integers(min_value=0, max_value=20)), min_size=1)


@settings(deadline=None, max_examples=40)
@given(KEYS, st.integers(min_value=1, max_value=10), st.integers(min_value=1, max_value=7))
def test_duplicates_are_exact_for_any_keys_partitions_and_batches(
    tmp_path_factory: pytest.TempPathFactory,
    keys: list[int | None],
    partition_rows: int,
    batch_rows: int,
) -> None:
    folder = tmp_path_factory.mktemp("duplicates") / "finder"
    finder = DuplicateFinder(folder, rows=len(keys), partition_rows=partition_rows)
    frame = pl.DataFrame({"row": keys}, schema={"row": pl.Int64})
    for part in frame.iter_slices(batch_rows):
        finder.add(part)
    finder.finish()
    expected = [key is not None and keys.count(key) > 1 for key in keys]
    assert finder.mask(0, len(keys)).to_list() == expected
    assert [path.name for path in folder.iterdir()] == ["mask"]


def test_key_that_most_rows_share_is_counted_chunk_by_chunk(tmp_path: Path) -> None:
    finder = DuplicateFinder(tmp_path / "finder", rows=10_000, partition_rows=100)
    for first in range(0, 10_000, 500):
        finder.add(
            pl.select(
                pl.when(pl.int_range(first, first + 500) % 10 > 0)
                .then(pl.lit("same"))
                .otherwise(pl.int_range(first, first + 500).cast(pl.String))
                .alias("key")
            )
        )
    finder.finish()
    assert finder.mask(0, 10_000).to_list() == [row % 10 > 0 for row in range(10_000)]
    assert finder.mask(19, 2).to_list() == [True, False]


def test_folder_of_the_finder_must_be_new(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be written"):
        DuplicateFinder(tmp_path, rows=1)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_batches_are_written(tmp_path: Path, ending: str) -> None:
    frame = pl.DataFrame({"x": range(1_000), "t": ["a,b", None] * 500})
    seen: list[int] = []
    out = tmp_path / f"table{ending}"
    assert write_table(frame.iter_slices(300), out, progress=seen.append) == 1_000
    assert seen == [300, 600, 900, 1_000]
    read = pl.read_csv(out) if ending == ".csv" else pl.read_parquet(out)
    assert read.equals(frame)
    assert list(tmp_path.iterdir()) == [out]


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="neither"):
        write_table([pl.DataFrame({"x": [1]})], tmp_path / "table.xlsx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_file_in_a_missing_folder_is_refused(tmp_path: Path, ending: str) -> None:
    with pytest.raises(SourceError, match="cannot be written"):
        write_table([pl.DataFrame({"x": [1]})], tmp_path / "nowhere" / f"table{ending}")


def test_older_file_stays_when_writing_fails(tmp_path: Path) -> None:
    out = tmp_path / "table.csv"
    out.write_text("older")

    def batches() -> Any:
        yield pl.DataFrame({"x": [1]})
        msg = "the generator broke"
        raise RuntimeError(msg)

    with pytest.raises(RuntimeError, match="broke"):
        write_table(batches(), out)
    assert out.read_text() == "older"
    assert list(tmp_path.iterdir()) == [out]


def test_changed_byte_of_a_written_table_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table([pl.DataFrame({"x": np.random.default_rng(0).normal(size=20_000)})], path)
    content = bytearray(path.read_bytes())
    for place in range(50_000, 54_000):  # compressed as they are, so they still decompress
        content[place] ^= 0x41
    path.write_bytes(content)
    with pytest.raises(SourceError, match="damaged"):
        list(parquet.read_batches(path))


@pytest.mark.parametrize("wrap", [lambda kind: kind, pa.list_])
def test_number_that_no_frame_holds_is_refused_by_its_column(
    tmp_path: Path, wrap: Callable[[pa.DataType], pa.DataType]
) -> None:
    path = tmp_path / "long.parquet"
    kind = wrap(pa.decimal256(50, 2))
    pq.write_table(pa.table({"id": [1], "sum": pa.array([None], kind)}), path)
    for read in (parquet.schema_of, lambda path: list(parquet.read_batches(path))):
        with pytest.raises(SourceError, match=r"column 'sum' is of type .*decimal256\(50, 2\)"):
            read(path)
    assert [each.columns for each in parquet.read_batches(path, ["id"])] == [["id"]]
