"""``interlock data generate``."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from command_line import call
from rich.console import Console

from interlock.cli.app import FAILURE, OK
from interlock.cli.data_generate import _bar


def test_equal_seeds_give_equal_files(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.csv" for number in range(3)]
    for path, seed in zip(files, ("1", "1", "2"), strict=True):
        words = ("--rows", "500", "--out", str(path), "--seed", seed)
        called = call(capsys, "data", "generate", *words, "--json")
        assert called.code == OK
        assert called.document["rows"] == 500
        assert called.document["bytes"] == path.stat().st_size
    first, second, third = (path.read_bytes() for path in files)
    assert first == second
    assert first != third
    assert first.count(b"\n") == 501


def test_file_of_another_kind_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "rows.xlsx"
    called = call(capsys, "data", "generate", "--rows", "5", "--out", str(path))
    assert called.code == FAILURE
    assert ".parquet" in called.err
    assert not path.exists()


def test_parquet_is_written_as_well(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    called = call(capsys, "data", "generate", "--rows", "5", "--out", str(path))
    assert (called.code, called.err) == (OK, "")
    assert path.read_bytes()[:4] == b"PAR1"
    assert "rows" in called.out


def test_terminal_shows_a_bar() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    with _bar(screen, 10) as advance:
        advance(10)
    assert isinstance(screen.file, io.StringIO)
    assert "10/10" in screen.file.getvalue()
