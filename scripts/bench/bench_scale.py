"""One million rows to a registered version; ten million through ingestion and validation."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from measuring import Finished, Row, run

ROOT = Path(__file__).resolve().parents[2]
MAX_PIPELINE_SECONDS = 180.0
MAX_PIPELINE_BYTES = 4e9
MAX_LARGE_SECONDS = 90.0
MAX_GROWTH = 1.5
DATA_STEPS = ("raw_data", "validated_data")


def measure(rows: int, rows_large: int) -> list[Row]:
    """Generate both portfolios, run the pipeline on one and its first half on both."""
    with tempfile.TemporaryDirectory() as folder:
        small = generate(Path(folder), rows)
        whole = pipeline(Path(folder), small, "whole")
        half = pipeline(Path(folder), small, "half", DATA_STEPS)
        small.unlink()
        large_file = generate(Path(folder), rows_large)
        large = pipeline(Path(folder), large_file, "large", DATA_STEPS)
    size, large_size = f"{rows / 1e6:g} M rows", f"{rows_large / 1e6:g} M rows"
    seconds = sum(steps(whole).values())
    large_seconds = sum(steps(large).values())
    growth = large.peak_bytes / half.peak_bytes
    return [
        Row(
            f"{size}, raw to registered",
            seconds,
            f"{seconds:.0f} s",
            f"≤ {MAX_PIPELINE_SECONDS:.0f} s",
            seconds <= MAX_PIPELINE_SECONDS,
        ),
        *[Row(f"  {name}", taken, f"{taken:.1f} s") for name, taken in steps(whole).items()],
        Row(
            f"{size}, peak memory",
            whole.peak_bytes,
            f"{whole.peak_bytes / 1e9:.2f} GB",
            f"≤ {MAX_PIPELINE_BYTES / 1e9:.0f} GB",
            whole.peak_bytes <= MAX_PIPELINE_BYTES,
        ),
        Row(
            f"{large_size}, ingested and validated",
            large_seconds,
            f"{large_seconds:.0f} s",
            f"≤ {MAX_LARGE_SECONDS:.0f} s",
            large_seconds <= MAX_LARGE_SECONDS,
        ),
        *[Row(f"  {name}", taken, f"{taken:.1f} s") for name, taken in steps(large).items()],
        Row(
            f"{large_size}, peak memory against {size}",
            growth,
            f"{large.peak_bytes / 1e9:.2f} / {half.peak_bytes / 1e9:.2f} GB = {growth:.2f}",
            f"≤ {MAX_GROWTH}",
            growth <= MAX_GROWTH,
        ),
    ]


def generate(folder: Path, rows: int) -> Path:
    """Write a synthetic portfolio with the product's own generator."""
    path = folder / f"portfolio-{rows}.csv"
    command = [sys.executable, "-m", "interlock.cli", "data", "generate"]
    run(
        [*command, "--rows", str(rows), "--out", str(path)],
        environment=os.environ,
        cwd=ROOT,
    )
    return path


def pipeline(folder: Path, data: Path, name: str, only: tuple[str, ...] = ()) -> Finished:
    """Run the synthetic product in a process and home of its own."""
    worker = Path(__file__).with_name("scale_worker.py")
    environment = {**os.environ, "INTERLOCK_HOME": str(folder / name)}
    return run(
        [sys.executable, str(worker), str(data), str(folder / f"{name}-defs"), *only],
        environment=environment,
        cwd=ROOT,
    )


def steps(finished: Finished) -> dict[str, float]:
    """Seconds per step, from the worker's last line."""
    found: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return found
