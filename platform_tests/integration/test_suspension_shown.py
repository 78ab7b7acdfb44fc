"""Where people meet a suspension: on the console's pages and in ``interlock approvals``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import call
from console_site import VERSION, Counter, text_of
from office import MODEL, Office

from interlock.actions.suspend import Grounds, suspend
from interlock.actions.workspace import Workspace
from interlock.cli import approvals
from interlock.cli.app import OK
from interlock.governance.principal import Role

WHY = "drift of income (200 rows against 240) in 2026-11-20"


@pytest.fixture
def stopped(office: Office) -> Office:
    """The champion's approval is suspended."""
    office.approve_all()
    office.promote()
    grounds = Grounds(MODEL, "1", "drift", WHY, "governance/audit/x/000002.json", "ab" * 32)
    assert suspend(office.as_("otto", Role.ML_ENGINEER), office.at("otto"), grounds) is not None
    return office


def test_console_says_it_first_and_lists_it_among_what_waits(
    stopped: Office, tmp_path: Path
) -> None:
    counter = Counter(stopped, tmp_path)

    def read(path: str) -> str:
        return text_of(counter.get("grace", path).text)

    page = read(VERSION)
    assert "Its approval is suspended since" in page
    assert WHY in page
    assert page.index(WHY) < page.index("Gates")
    assert page.count("Its approval is suspended since") == 1  # as an alarm
    assert "Could still approve: grace, henry." in page
    assert "is from before its approval was suspended" in page
    assert WHY in read("/waiting")
    stopped.approve_all()
    stopped.world.clock.advance(days=91)
    counter = Counter(stopped, tmp_path)
    assert "suspended since" not in read(VERSION)  # it was lifted, and expired


def test_command_line_lists_the_champion_again(
    stopped: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def opened(_terminal: object) -> Iterator[Workspace]:
        yield stopped.as_("otto", Role.ML_ENGINEER)

    monkeypatch.setattr(approvals, "opened", opened)
    (found,) = call(capsys, "approvals", "--json").document["waiting"]
    assert (found["version"], found["champion"], found["state"]) == ("1", "1", "suspended")
    assert found["suspension"]["why"] == WHY
    assert WHY in found["lacks"][0]
    shown = call(capsys, "approvals", MODEL)
    assert shown.code == OK
    assert f"approve {MODEL} 1 --reason" in shown.out
