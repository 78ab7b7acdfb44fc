"""The demo as a whole process, next to its ungoverned twin, in turn."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from measuring import Row, median, run

ROOT = Path(__file__).resolve().parents[2]
MAX_SECONDS = 25.0
MAX_OVERHEAD_SHARE = 0.05
MAX_OVERHEAD_SECONDS = 1.0  # whichever of the two is larger


def measure(repeats: int) -> list[Row]:
    """Run both in turn, each from an empty home, and compare the medians."""
    governed, twin = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "INTERLOCK_HOME": f"{folder}/home"}
            governed.append(
                run(
                    [sys.executable, "-m", "interlock.cli", "demo", "--json"],
                    environment=environment,
                    cwd=ROOT,
                ).seconds
            )
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "INTERLOCK_HOME": f"{folder}/home"}
            twin.append(
                run(
                    [sys.executable, str(Path(__file__).with_name("ungoverned_twin.py"))],
                    environment=environment,
                    cwd=ROOT,
                ).seconds
            )
    ours, theirs = median(governed), median(twin)
    allowed = max(MAX_OVERHEAD_SHARE * theirs, MAX_OVERHEAD_SECONDS)
    return [
        Row(
            "demo, whole process",
            ours,
            f"{ours:.1f} s",
            f"≤ {MAX_SECONDS:.0f} s",
            ours <= MAX_SECONDS,
        ),
        Row("ungoverned twin, whole process", theirs, f"{theirs:.1f} s"),
        Row(
            "governance costs",
            ours - theirs,
            f"{ours - theirs:+.2f} s ({(ours - theirs) / theirs:+.1%})",
            f"≤ {allowed:.2f} s",
            ours - theirs <= allowed,
        ),
    ]
