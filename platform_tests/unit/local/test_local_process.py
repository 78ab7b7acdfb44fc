"""Children end with their parent, in whatever way it ends, and with all that they started."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from interlock.errors import ProcessFailed
from interlock.local.locks import is_held, read_held
from interlock.local.process import KEEPER, ChildProcess, end_orphan, is_alive, log_excerpt

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
# Ignores SIGTERM, and says when it does.
DEAF = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(60)
"""
GRANDCHILD = """
import subprocess, sys
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(grandchild.pid, flush=True)
"""


def eventually(holds: Callable[[], bool], *, seconds: float = 8.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


class Maker:
    """Makes children of one test and ends them with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.made: list[ChildProcess] = []

    def __call__(self, command: list[str], *, lock: str = "a.lock") -> ChildProcess:
        child = ChildProcess(
            "Sleeper",
            command,
            environment={"PATH": os.defpath},
            log=self.directory / "logs" / "a.log",
            directory=self.directory,
            lock=self.directory / lock,
        )
        self.made.append(child)
        return child


@pytest.fixture
def child_of(tmp_path: Path) -> Iterator[Maker]:
    maker = Maker(tmp_path)
    yield maker
    for child in maker.made:
        child.kill()


def logged(child: ChildProcess) -> str:
    return child.log.read_text() if child.log.exists() else ""


def test_child_runs_in_its_own_group_and_ends_when_stopped(child_of: Maker) -> None:
    child = child_of(SLEEP)
    assert not child.running
    child.start()
    pid, keeper = child.pid, child.keeper_pid
    assert pid is not None
    assert keeper is not None
    assert child.running
    assert os.getpgid(pid) == pid != os.getpgid(keeper)
    assert "Sleeper" in repr(child)
    assert read_held(child.lock) == {"service": "Sleeper", "pid": pid, "keeper": keeper}
    child.stop()
    assert not child.running
    assert not is_alive(pid)
    assert not is_held(child.lock)


def test_stopping_what_never_started_does_nothing(child_of: Maker) -> None:
    child = child_of(SLEEP)
    child.stop()
    child.kill()
    assert child.keeper_pid is None


def test_grandchildren_end_with_the_child(child_of: Maker) -> None:
    child = child_of([sys.executable, "-c", f"{GRANDCHILD}grandchild.wait()"])
    child.start()
    assert eventually(lambda: logged(child).endswith("\n"))
    grandchild = int(logged(child))
    child.kill()
    assert eventually(lambda: not is_alive(grandchild))


def test_grandchildren_end_when_the_child_ends_by_itself(child_of: Maker) -> None:
    child = child_of([sys.executable, "-c", GRANDCHILD])
    child.start()
    assert eventually(lambda: not child.running)
    assert eventually(lambda: not is_alive(int(logged(child))))


def test_child_that_is_deaf_to_sigterm_is_killed(
    child_of: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.local.process.STOP_SECONDS", 0.3)
    child = child_of([sys.executable, "-c", DEAF])
    child.start()
    assert eventually(lambda: "deaf" in logged(child))
    pid = child.pid
    assert pid is not None
    child.stop()
    assert not child.running
    assert eventually(lambda: not is_alive(pid))


def test_lock_keeps_a_second_child_from_starting(
    child_of: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlock.local.process.LOCK_SECONDS", 0.1)
    child = child_of(SLEEP)
    child.start()
    with pytest.raises(ProcessFailed, match="is running already"):
        child.start()
    second = child_of(SLEEP)
    with pytest.raises(ProcessFailed, match=f"runs elsewhere already .process {child.pid}"):
        second.start()
    assert not second.running
    assert child.running


def test_program_that_does_not_exist_is_reported(child_of: Maker) -> None:
    child = child_of(["/no/such/program"])
    with pytest.raises(ProcessFailed, match="cannot start /no/such/program"):
        child.start()
    assert not child.running
    assert not is_held(child.lock)


def test_child_that_ends_early_is_reported_with_status_and_log(child_of: Maker) -> None:
    child = child_of([sys.executable, "-c", "print('no disk'); raise SystemExit(3)"])
    child.start()
    with pytest.raises(ProcessFailed, match="ended before it was ready with exit status 3") as e:
        child.wait_until(lambda: False, seconds=20)
    assert "no disk" in str(e.value)


def test_child_ended_by_a_signal_reports_it_as_a_shell_would(child_of: Maker) -> None:
    child = child_of(SLEEP)
    child.start()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    assert eventually(lambda: not child.running)
    assert "with exit status 137" in str(child.failure("ended"))


def test_child_that_is_not_ready_in_time_is_stopped(child_of: Maker) -> None:
    child = child_of(SLEEP)
    child.start()
    with pytest.raises(ProcessFailed, match="was not ready within 0 s"):
        child.wait_until(lambda: False, seconds=0.05)
    assert not child.running


def test_child_starts_with_default_signals_also_from_a_background_job(child_of: Maker) -> None:
    """A shell's background job ignores SIGINT, which children would inherit."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = child_of(
            [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT))"]
        )
        child.start()
        assert eventually(lambda: not child.running)
    finally:
        signal.signal(signal.SIGINT, before)
    assert "default_int_handler" in logged(child)


def test_orphan_is_ended_only_when_its_keeper_is_gone(child_of: Maker) -> None:
    child = child_of(SLEEP)
    child.start()
    pid, keeper = child.pid, child.keeper_pid
    assert pid is not None
    assert keeper is not None
    assert not end_orphan(child.lock)
    os.kill(keeper, signal.SIGKILL)
    assert eventually(lambda: not child.running)
    assert is_alive(pid)
    assert end_orphan(child.lock)
    assert eventually(lambda: not is_alive(pid))
    assert not end_orphan(child.lock)


def test_process_of_somebody_else_counts_as_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_pid: int, _number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", forbidden)
    assert is_alive(1)


def test_excerpt_shows_first_and_last_lines_since_the_start(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert log_excerpt(log) == "  (nothing logged)"
    log.write_text("earlier\n" + "\n".join(f"line {number}" for number in range(100)))
    lines = log_excerpt(log, start=len("earlier\n")).splitlines()
    assert lines[0] == "  line 0"
    assert "  ..." in lines
    assert lines[-1] == "  line 99"
    assert len(lines) == 19


# The keeper itself, as a program.


def keep(parent: int, *command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(KEEPER), str(parent), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def started(keeper: subprocess.Popen[bytes]) -> int:
    assert keeper.stdout is not None
    return int(keeper.stdout.readline())


def finish(keeper: subprocess.Popen[bytes]) -> int:
    status = keeper.wait(timeout=20)
    for pipe in (keeper.stdin, keeper.stdout):
        assert pipe is not None
        pipe.close()
    return status


def test_keeper_ends_its_child_when_standard_input_ends() -> None:
    keeper = keep(os.getpid(), *SLEEP)
    pid = started(keeper)
    assert keeper.stdin is not None
    keeper.stdin.close()
    assert finish(keeper) == 128 + signal.SIGTERM
    assert not is_alive(pid)


def test_keeper_ends_its_child_when_it_has_another_parent() -> None:
    keeper = keep(1, *SLEEP)
    pid = started(keeper)
    assert finish(keeper) == 128 + signal.SIGTERM
    assert not is_alive(pid)


def test_keeper_exits_as_its_child_did() -> None:
    keeper = keep(os.getpid(), sys.executable, "-c", "raise SystemExit(7)")
    started(keeper)
    assert finish(keeper) == 7


@pytest.fixture
def keeper_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("keeper_under_test", KEEPER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_keeper_needs_nothing_but_the_standard_library(keeper_module: ModuleType) -> None:
    allowed = set(sys.stdlib_module_names) | {"__future__"}
    lines = KEEPER.read_text().splitlines()
    imported = {
        line.split()[1].split(".")[0] for line in lines if line.startswith(("import", "from"))
    }
    assert imported <= allowed
    assert keeper_module.GRACE_SECONDS < 5
