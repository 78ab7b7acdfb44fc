"""What the benchmarks share: a figure, and a child process with its time and memory."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

SAMPLE_SECONDS = 0.1
NOT_OURS = "weed"  # the object store's memory is its own, not the pipeline's


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        name: What was measured.
        value: The number.
        text: The number with its unit.
        bound: What it is held against, in words.
        holds: Whether it is within the bound; None where there is none.
    """

    name: str
    value: float
    text: str
    bound: str = ""
    holds: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """The figure as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Finished:
    """A child process that ended well.

    Attributes:
        seconds: Wall clock.
        peak_bytes: Largest sum of resident memory of the process and its children, the
            object store left out; sampled ten times a second.
        stdout: What it printed.
    """

    seconds: float
    peak_bytes: int
    stdout: str


def run(command: Sequence[str], *, environment: Mapping[str, str], cwd: Path) -> Finished:
    """Run a command to its end and measure it from outside.

    Raises:
        SystemExit: It failed; its standard error is shown.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        env=dict(environment),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    peak = [0]
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, ended), daemon=True)
    watcher.start()
    stdout, stderr = process.communicate()
    seconds = time.monotonic() - started
    ended.set()
    watcher.join()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{stderr[-4000:]}")
    return Finished(seconds=seconds, peak_bytes=peak[0], stdout=stdout)


def _watch(pid: int, peak: list[int], ended: threading.Event) -> None:
    while not ended.wait(SAMPLE_SECONDS):
        try:
            root = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        peak[0] = max(peak[0], sum(_resident(process) for process in family))


def _resident(process: psutil.Process) -> int:
    try:
        return 0 if process.name() == NOT_OURS else int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def median(values: Sequence[float]) -> float:
    """The middle value, the upper of two."""
    return sorted(values)[len(values) // 2]
