from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from simulators import MemoryObjectStore

from interlock.adapters.profile_planning import plan_files
from interlock.adapters.profiling import profile_files
from interlock.adapters.profiling_objects import StoredTables, plan_objects, profile_objects
from interlock.adapters.table_files import TableFile
from interlock.errors import ProfileError, SourceError, StoreUnavailable


@pytest.fixture
def stored(tmp_path: Path) -> StoredTables:
    store = MemoryObjectStore()
    store.create_bucket("data")
    addresses = []
    for day in range(3):
        values = np.random.default_rng(day).normal(size=500)
        path = tmp_path / f"{day}.parquet"
        pl.DataFrame({"x": values}).write_parquet(path)
        store.upload_new("data", f"days/{day}.parquet", path)
        addresses.append(f"s3://data/days/{day}.parquet")
    (tmp_path / "scratch").mkdir()
    return StoredTables(store, addresses, tmp_path / "scratch")


def test_objects_are_as_the_files_that_they_were(stored: StoredTables, tmp_path: Path) -> None:
    files = [TableFile(tmp_path / f"{day}.parquet") for day in range(3)]
    plan = plan_objects(stored)
    assert plan.digest == plan_files(files).digest
    told: list[float] = []
    found = profile_objects(stored, plan, progress=told.append)
    assert found.profile == profile_files(files, plan).profile
    assert found.files == tuple((address, 500) for address in stored.addresses)
    assert told == pytest.approx([1 / 3, 2 / 3, 1])
    assert not list(stored.scratch.iterdir()), "nothing stays on the disk"


def test_missing_and_damaged_objects_are_named(stored: StoredTables, tmp_path: Path) -> None:
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    stored.store.upload_new("data", "bad.parquet", tmp_path / "bad.parquet")
    plan = plan_objects(stored)
    bad = ["s3://data/bad.parquet", "s3://data/none.parquet", "https://data/x"]
    mixed = StoredTables(stored.store, [*bad, *stored.addresses], stored.scratch)
    found = profile_objects(mixed, plan)
    assert found.profile == profile_objects(stored, plan).profile
    assert [each.name for each in found.refused] == bad
    with pytest.raises(ProfileError, match="no object can be profiled"):
        profile_objects(StoredTables(stored.store, bad, stored.scratch), plan)
    with pytest.raises(SourceError, match="names no object"):
        plan_objects(StoredTables(stored.store, bad[2:], stored.scratch))
    assert not list(stored.scratch.iterdir())


def test_a_store_that_is_away_is_no_damaged_object(stored: StoredTables) -> None:
    plan = plan_objects(stored)

    assert isinstance(stored.store, MemoryObjectStore)
    stored.store.fail_next("download", StoreUnavailable("no answer", remedy="start it"))
    with pytest.raises(StoreUnavailable):
        profile_objects(stored, plan)
    assert not list(stored.scratch.iterdir())
