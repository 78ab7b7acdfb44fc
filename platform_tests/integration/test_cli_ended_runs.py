"""Runs that end before they are done: interrupted, or killed and closed afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command_line import call, values

from interlock.cli.app import FAILURE, OK
from interlock.settings import REPOSITORY
from interlock.variables import VARIABLES

SECONDS = 120  # until a run trains, on a busy machine
OWN = (*VARIABLES, "DAGSTER_HOME")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("INTERLOCK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@contextmanager
def training(home: Path, *, until: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A run in a process of its own, once it has said something; and what it says."""
    said = home.with_name("said.txt")
    with said.open("w") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "interlock.cli", "run", "credit_risk", "--json"],
            env={**os.environ, "INTERLOCK_HOME": str(home)},
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
        )
    try:
        deadline = time.monotonic() + SECONDS
        while until not in said.read_text():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline, said.read_text()
            time.sleep(0.1)
        yield process, said
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_killed_run_shows_as_unfinished_until_it_is_closed(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with training(home, until=" searched, ") as (process, _):
        alive = call(capsys, "audit", "verify", "--json")
        assert alive.code == OK
        assert values(alive.document["unfinished"], "run") == ["running"]
        stream = alive.document["unfinished"][0]["stream"]
        monkeypatch.setenv("RUN_ROLE", "platform_admin")
        close = ("audit", "close", stream, "--reason", "its process was killed")
        working = call(capsys, *close, "--json")
        assert (working.code, working.document["error"]["type"]) == (FAILURE, "ProductBusy")
        process.kill()
        process.wait()
    dead = call(capsys, "audit", "verify")
    assert dead.code == FAILURE
    assert "Unfinished: model:train on product/credit_risk" in " ".join(dead.out.split())
    assert f"audit close {stream} --reason" in dead.out
    closed = call(capsys, *close, "--json")
    assert closed.code == OK, closed.err
    assert values(closed.document["closed"], "action") == ["model:train"]
    assert len(closed.document["mlflow_runs"]) == 1
    assert closed.document["mlflow_left_open"] == ""
    again = call(capsys, "audit", "verify", "--json")
    assert (again.code, again.document["unfinished"]) == (OK, [])
    assert not list((home / "run").glob("run-*.lock"))


@pytest.mark.slow
def test_interrupted_run_ends_its_actions_and_says_so(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with training(home, until="trained_model: started") as (process, said):
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == FAILURE
    assert "the run was interrupted in trained_model" in " ".join(said.read_text().split())
    assert '"verified": true' in out
    verified = call(capsys, "audit", "verify", "--json")
    assert (verified.code, verified.document["unfinished"]) == (OK, [])
    events = call(capsys, "audit", "show", "credit_risk-", "--json").document["events"]
    assert values(events, "outcome")[-2:] == ["started", "failed"]
