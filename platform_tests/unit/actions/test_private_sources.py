"""A product's YAML must not make a snapshot of the platform's own files and buckets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from product_fixtures import new_world, tiny_product

from interlock.actions.ingest import ingest
from interlock.errors import SourceError


def csv_source(path: str) -> dict[str, str]:
    return {"kind": "csv", "path": path}


@pytest.mark.parametrize(
    "path",
    [
        "home/credentials.csv",
        "elsewhere/../home/credentials.csv",
        "link.csv",
        "/proc/self/environ",
        "/etc/passwd",
        "s3://audit/governance/audit/2026/01/01/a/000001.json",
    ],
)
def test_platforms_own_files_are_no_source(
    tmp_path: Path, mlflow_template: Callable[[], Path], path: str
) -> None:
    world = new_world(tmp_path / "world", mlflow_template)
    home = world.folder / "home"
    home.mkdir()
    (home / "credentials.csv").write_text("key,secret\na,b\n")
    (world.folder / "elsewhere").mkdir()
    (world.folder / "link.csv").symlink_to(home / "credentials.csv")
    workspace = world.workspace()
    workspace = replace(
        workspace,
        private_paths=(*workspace.private_paths, home),
        private_buckets=("audit",),
    )
    before = world.state()
    with pytest.raises(SourceError, match="is the platform's own") as refusal:
        ingest(workspace, tiny_product(source=csv_source(path)), world.run())
    assert "copy the data" in refusal.value.remedy
    assert world.state() == before
    assert world.story() == [("data:ingest", "started"), ("data:ingest", "failed")]
