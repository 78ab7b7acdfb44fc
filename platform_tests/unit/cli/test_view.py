"""How figures, tables and commands look."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from interlock.cli import next_steps, view


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (30_000.0, "30,000"),
        (900, "900"),
        (0.7636, "0.7636"),
        (0.0, "0.0000"),
        (1.0, "1.0000"),
        (0.615, "0.6150"),
        (-2.5, "-2.5000"),
        (None, "not measured"),
    ],
)
def test_figures(value: float | None, text: str) -> None:
    assert view.figure(value) == text


def test_missing_numbers_are_left_empty() -> None:
    assert view.number(None) == ""
    assert view.number(1.23456, 2) == "1.23"
    assert view.short(None) == ""
    assert view.short("a" * 64) == "a" * 12


def test_program_is_named_as_the_shell_finds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path(sys.executable).parent / "interlock"
    monkeypatch.setattr("shutil.which", lambda _name: str(own))
    assert view.program() == "interlock"
    monkeypatch.setattr("shutil.which", lambda _name: "/usr/bin/interlock")
    monkeypatch.chdir(own.parents[2])
    assert view.program() == str(own.relative_to(own.parents[2]))
    monkeypatch.chdir("/")
    assert view.program() == str(own.relative_to("/"))


def test_program_without_a_command_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    assert view.program() == f"{tmp_path / 'python'} -m interlock.cli"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "interlock").touch()
    assert view.program() == "./interlock"


def test_commands_carry_what_they_need_to_work_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "program", lambda: "interlock")
    monkeypatch.delenv("INTERLOCK_HOME", raising=False)
    assert next_steps.call("audit", "verify") == "interlock audit verify"
    monkeypatch.setenv("INTERLOCK_HOME", "/a home")
    assert (
        next_steps.call("run", "x", RUN_ROLE="auditor")
        == "INTERLOCK_HOME='/a home' RUN_ROLE=auditor interlock run x"
    )
