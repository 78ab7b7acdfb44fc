from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from interlock.adapters import profiling
from interlock.adapters.profile_planning import Wanted, plan_files, profile_reference_files
from interlock.adapters.profiling import profile_files
from interlock.adapters.table_files import TableFile
from interlock.errors import ProfileError, TrainingError
from interlock.ml.column_profiles import NumericProfile
from interlock.ml.column_values import Family
from interlock.ml.columns import ColumnType
from interlock.ml.profile_plan import ColumnKind
from interlock.ml.profiles import merge, profile_table


def rows_of(seed: int, rows: int = 2_000) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "income": rng.lognormal(10, 1, rows).round(2),
            "age": rng.integers(18, 90, rows),
            "region": rng.choice(["north", "south"], rows),
            "day": pl.Series(rng.integers(0, 9_000, rows)).cast(pl.Date),
            "late": rng.random(rows) < 0.3,
        }
    )


@pytest.fixture
def files(tmp_path: Path) -> list[TableFile]:
    found = []
    for seed in range(3):
        path = tmp_path / f"part-{seed}.parquet"
        rows_of(seed).write_parquet(path, row_group_size=300)
        found.append(TableFile(path))
    return found


PAIRS = Wanted(pairs=(("income", "region"),))


def test_many_files_are_as_one_table(
    files: list[TableFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(profiling, "COLUMNS_AT_ONCE", 2)
    monkeypatch.setattr(profiling, "PIECE_VALUES", 1_500)
    told: list[float] = []
    found = profile_reference_files(files, PAIRS, progress=told.append)
    whole = profile_table(pl.concat(rows_of(seed) for seed in range(3)), found.profile.plan)
    assert found.profile.rows == 6_000
    assert found.profile.joints == whole.joints
    assert found.profile.comoments is not None
    for name, profile in whole.columns.items():
        assert found.profile.columns[name].counts.tolist() == profile.counts.tolist()
    assert [rows for _, rows in found.files] == [2_000] * 3
    assert not found.refused
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_nan_is_missing_as_null_is_when_columns_are_followed(tmp_path: Path) -> None:
    rows = rows_of(1).with_columns(
        gappy=pl.when(pl.int_range(pl.len()) % 9 == 0)
        .then(1 / pl.col("age"))
        .otherwise(float("nan"))
    )
    rows.write_parquet(tmp_path / "nan.parquet")
    plan = plan_files([TableFile(tmp_path / "nan.parquet")])
    assert plan.multivariate == ("income", "age", "day")


def test_partitions_profiled_apart_give_identical_numbers(files: list[TableFile]) -> None:
    plan = plan_files(files, PAIRS)
    together = profile_files(files, plan).profile
    apart = [profile_files([file], plan).profile for file in reversed(files)]
    assert merge(apart) == together


def test_both_cores_give_identical_numbers(
    files: list[TableFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_files(files, PAIRS)
    alone = profile_files(files, plan)
    monkeypatch.setattr(profiling, "ALONE_VALUES", 0)
    assert profile_files(files, plan, jobs=2).profile == alone.profile
    monkeypatch.setattr("interlock.adapters.profile_planning.ALONE_VALUES", 0)
    assert plan_files(files, PAIRS, jobs=2).digest == plan.digest


def test_columns_that_cannot_be_counted_are_named(tmp_path: Path) -> None:
    path = tmp_path / "lists.parquet"
    pl.DataFrame({"x": [[1]], "y": [1]}).write_parquet(path)
    with pytest.raises(ProfileError, match=r"x: a column of type List\(Int64\)"):
        plan_files([TableFile(path)])
    assert plan_files([TableFile(path)], Wanted(columns=("y",))).column("y")


def test_files_beyond_one_wave_are_counted_too(
    files: list[TableFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_files(files)
    before = profile_files(files, plan)
    monkeypatch.setattr(profiling, "PIECES_AT_ONCE", 1)
    assert profile_files(files, plan).profile == before.profile


def test_damaged_files_are_named_and_the_others_count(files: list[TableFile]) -> None:
    plan = plan_files(files)
    good = profile_files(files, plan).profile
    folder = files[0].path.parent
    raw = files[0].path.read_bytes()
    (folder / "short.parquet").write_bytes(raw[: len(raw) // 2])
    broken = bytearray(raw)
    broken[5_000:9_000] = bytes(4_000)
    (folder / "broken.parquet").write_bytes(broken)
    rows_of(4).rename({"age": "years"}).write_parquet(folder / "renamed.parquet")
    bad = [folder / name for name in ("short.parquet", "broken.parquet", "renamed.parquet")]
    bad += [folder / "absent.parquet", folder / "absent.csv", folder / "twice.parquet"]
    twice = pa.table([[1.0], [2.0]], names=["income", "income"])
    pq.write_table(twice, bad[-1])
    mixed = [TableFile(bad[0]), *files, *(TableFile(path) for path in bad[1:])]
    found = profile_files(mixed, plan)
    assert found.profile == good
    assert [refused.name for refused in found.refused] == [str(path) for path in bad]
    short, damaged, renamed, absent, no_text, repeated = (
        refused.reason for refused in found.refused
    )
    assert "is no Parquet file" in short
    assert "damaged" in damaged
    assert "missing: age; not in the reference: years" in renamed
    assert "no Parquet file" in absent
    assert "its columns cannot be told apart" in repeated
    assert "cannot be read (No such file or directory)" in no_text
    assert [column.name for column in plan_files(mixed).columns] == list(good.columns)


def test_when_no_file_is_good_nothing_is_profiled(files: list[TableFile], tmp_path: Path) -> None:
    plan = plan_files(files)
    (tmp_path / "no.parquet").write_bytes(b"PAR1")
    with pytest.raises(ProfileError, match=r"no file can be profiled: .*no\.parquet"):
        profile_files([TableFile(tmp_path / "no.parquet")], plan)
    with pytest.raises(ProfileError, match="of 1 files none can be read and has rows"):
        plan_files([TableFile(tmp_path / "no.parquet")])


def test_an_empty_file_is_a_profile_of_no_rows(files: list[TableFile], tmp_path: Path) -> None:
    plan = plan_files(files)
    rows_of(1).clear().write_parquet(tmp_path / "empty.parquet")
    rows_of(1).clear().write_csv(tmp_path / "empty.csv")
    for name in ("empty.parquet", "empty.csv"):
        assert profile_files([TableFile(tmp_path / name)], plan).profile.rows == 0
    with pytest.raises(ProfileError, match="none can be read and has rows"):
        plan_files([TableFile(tmp_path / "empty.parquet")])


def test_a_csv_is_read_as_the_types_of_the_reference(
    files: list[TableFile], tmp_path: Path
) -> None:
    plan = plan_files(files[:1], PAIRS)
    rows_of(0).write_csv(tmp_path / "same.csv")
    told: list[float] = []
    same = [TableFile(tmp_path / "same.csv")]
    profile = profile_files(same, plan, progress=told.append).profile
    assert told[-1] == 1.0
    assert told == sorted(told)
    known = profile_files(files[:1], plan).profile
    assert profile.joints == known.joints
    for name, column in known.columns.items():
        assert profile.columns[name].counts.tolist() == column.counts.tolist()


def test_types_of_a_csv_reference_are_found_in_its_values(tmp_path: Path) -> None:
    path = tmp_path / "reference.csv"
    rows_of(0).with_columns(
        pl.lit("2026-01-31T12:00:00Z").alias("at"), pl.lit(None).alias("none")
    ).write_csv(path)
    found = profile_reference_files([TableFile(path)])
    assert {column.name: column.family for column in found.profile.plan.columns} == {
        "income": Family.NUMBER,
        "age": Family.NUMBER,
        "region": Family.TEXT,
        "day": Family.DATE,
        "late": Family.TEXT,
        "at": Family.INSTANT,
        "none": Family.TEXT,
    }
    declared = TableFile(path, types={"age": ColumnType.TEXT, "late": ColumnType.BOOLEAN})
    plan = plan_files([declared])
    assert plan.column("age").family is Family.TEXT
    assert plan.column("late").categories == ("false", "true")


def test_clock_times_of_a_csv_stay_without_zone(tmp_path: Path) -> None:
    rows = rows_of(0).select(pl.col("day").cast(pl.Datetime("us")).alias("at"))
    rows.write_parquet(tmp_path / "reference.parquet")
    rows.write_csv(tmp_path / "now.csv")
    reference = profile_reference_files([TableFile(tmp_path / "reference.parquet")]).profile
    now = profile_files([TableFile(tmp_path / "now.csv")], reference.plan).profile
    assert now.columns["at"].counts.tolist() == reference.columns["at"].counts.tolist()


def test_a_value_that_is_no_number_is_named_by_its_row(tmp_path: Path) -> None:
    rows_of(0).write_parquet(tmp_path / "reference.parquet")
    plan = plan_files([TableFile(tmp_path / "reference.parquet")])
    rows = rows_of(1).with_columns(pl.col("age").cast(pl.String))
    rows[1_499, "age"] = "old"
    rows.write_csv(tmp_path / "now.csv")
    with pytest.raises(ProfileError, match="row 1500 has no number in column 'age'"):
        profile_files([TableFile(tmp_path / "now.csv", name="s3://now")], plan)


def test_words_for_missing_are_missing(tmp_path: Path) -> None:
    (tmp_path / "now.csv").write_text("a;b\n1;x\nNA;NA\n3;\n")
    file = TableFile(tmp_path / "now.csv", delimiter=";", null_values=("NA",))
    profile = profile_reference_files([file]).profile
    assert profile.columns["a"].missing == 1
    assert profile.columns["b"].missing == 2


def test_a_long_csv_is_thinned_to_a_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.adapters.profile_planning.SAMPLE_ROWS", 1_000)
    pl.DataFrame({"x": np.arange(10_000)}).write_csv(tmp_path / "long.csv")
    found = profile_reference_files([TableFile(tmp_path / "long.csv")])
    column = found.profile.columns["x"]
    assert isinstance(column, NumericProfile)
    assert (column.rows, column.least, column.greatest) == (10_000, 0, 9_999)
    assert column.counts[1:-1].max() < 3 * 10_000 / 256


def test_data_in_the_order_of_time_is_seen_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.adapters.profile_planning.MAX_GROUPS", 8)
    pl.DataFrame({"x": np.arange(20_000)}).write_parquet(
        tmp_path / "long.parquet", row_group_size=100
    )
    plan = plan_files([TableFile(tmp_path / "long.parquet")])
    edges = plan.column("x").edges
    assert edges[0] < 200
    assert edges[-1] > 17_000


def test_a_dead_process_is_told_as_such(
    files: list[TableFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise TrainingError("dead", remedy="none")

    plan = plan_files(files)
    monkeypatch.setattr(profiling, "compute_all", die)
    with pytest.raises(ProfileError, match="a process that counted rows died"):
        profile_files(files, plan)


def test_codes_are_the_same_categories_in_parquet_and_csv(tmp_path: Path) -> None:
    codes = pl.DataFrame({"code": [1, 2, 30, -4] * 50})
    codes.write_parquet(tmp_path / "codes.parquet")
    codes.write_csv(tmp_path / "codes.csv")
    files = [TableFile(tmp_path / f"codes.{ending}") for ending in ("parquet", "csv")]
    wanted = Wanted(kinds={"code": ColumnKind.CATEGORY})
    profiles = [profile_reference_files([file], wanted).profile for file in files]
    for reference in profiles:
        assert reference.plan.column("code").categories == ("-4", "1", "2", "30")
        for file in files:
            now = profile_files([file], reference.plan).profile
            counts = reference.columns["code"].counts
            assert now.columns["code"].counts.tolist() == counts.tolist()
