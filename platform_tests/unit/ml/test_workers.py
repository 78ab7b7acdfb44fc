"""Workers: the same results on any number of processes, and none left behind."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from interlock.errors import TrainingError
from interlock.ml.workers import compute_all


@dataclass
class Doubling:
    """Picklable only where this module can be imported, which a helper cannot."""

    @contextmanager
    def session(self) -> Iterator[Callable[[int], int]]:
        yield lambda task: 2 * task


def test_one_process_computes_in_order_of_results() -> None:
    done: list[int] = []
    assert compute_all(Doubling(), [3, 1, 2], jobs=1, on_done=done.append) == [6, 2, 4]
    assert sorted(done) == [0, 1, 2]


def test_nothing_to_do_is_done() -> None:
    assert compute_all(Doubling(), [], jobs=2, on_done=lambda _: None) == []


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The helper processes that a test starts."""
    processes: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def remember(*arguments: Any, **named: Any) -> subprocess.Popen[bytes]:
        processes.append(popen(*arguments, **named))
        return processes[-1]

    monkeypatch.setattr(subprocess, "Popen", remember)
    return processes


def test_helper_that_dies_stops_the_work(
    started: list[subprocess.Popen[bytes]], capfd: pytest.CaptureFixture[str]
) -> None:
    def wait_for_death(_: int) -> None:
        # Called here while the helper fails to load the work, which it cannot import.
        started[0].wait(timeout=60)
        time.sleep(0.02)

    with pytest.raises(TrainingError, match="a helper process of the training died"):
        compute_all(Doubling(), list(range(500)), jobs=2, on_done=wait_for_death)
    assert started[0].poll() is not None
    assert "Error" in capfd.readouterr().err


def test_error_in_the_calling_process_ends_the_helpers(
    started: list[subprocess.Popen[bytes]],
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compute_all(Doubling(), [1, 2, 3], jobs=3, on_done=interrupt)
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)
