"""Measure drift: beside Evidently, on a wide table, on a long one; ``make bench-drift``.

Evidently is installed into a folder that is removed again; the tables are made in the same folder.
Both tools are measured in one run and in the same way: tables in memory, once over the first rows
of them, then once over all. It is the clock that a bound is held against; beside it stand the
seconds of the processor, which other work on the machine changes less.

The results say of each part when it was measured and beside which load; a run of some parts
leaves the others as they were measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parent))

from measuring import Row, run
from run import print_table

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench-drift.json"
EVIDENTLY = ("evidently==0.7.23", "pandas<3", "pyarrow")
SEED = 6
REFERENCE_ROWS, CURRENT_ROWS, COLUMNS = 1_000_000, 100_000, 20
SHIFTED = {"x3": (0.5, 1.0), "x8": (-0.8, 1.0), "x12": (0.0, 2.0), "x17": (0.6, 1.5)}
WIDE_COLUMNS, WIDE_FILES, WIDE_ROWS = 1_000, 30, 100_000
LONG_COLUMNS, LONG_ROWS = 20, 1_000_000
MEGA = 1 << 20


def main() -> None:
    """Measure the parts that were asked for, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["evidently", "wide", "long", []])
    parser.add_argument("--files", type=int, default=100, help="files of a million rows")
    options = parser.parse_args()
    measures: Mapping[str, Callable[[Path], list[Row]]] = {
        "evidently": beside_evidently,
        "wide": wide,
        "long": lambda folder: long(folder, options.files),
    }
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known = {part: found[part] for part in measures if part in found}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="bench-drift-") as folder:
        for part in options.parts or list(measures):
            machine = {
                "measured": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
                "cores": os.cpu_count(),
                "load": round(os.getloadavg()[0], 1),
            }
            print(f"measuring {part}, load {machine['load']} …", file=sys.stderr, flush=True)
            measured = measures[part](Path(folder))
            known[part] = machine | {"rows": [row.as_dict() for row in measured]}
            rows += measured
    print_table(rows)
    RESULTS.write_text(json.dumps(known, indent=2, ensure_ascii=False) + "\n")


def beside_evidently(folder: Path) -> list[Row]:
    """One million rows of twenty columns against a hundred thousand, both tools in one run."""
    rng = np.random.default_rng(SEED)
    before = numbers(rng, REFERENCE_ROWS, {})
    after = numbers(rng, CURRENT_ROWS, SHIFTED)
    paths = [folder / "reference.parquet", folder / "current.parquet"]
    for table, path in zip((before, after), paths, strict=True):
        table.write_parquet(path)
    uv = str(Path(sys.executable).parent / "uv")
    python = folder / "evidently" / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "-p", sys.executable, folder / "evidently"], check=True)
    subprocess.run([uv, "pip", "install", "-q", "-p", python, *EVIDENTLY], check=True)
    script = str(Path(__file__).parent / "drift_evidently.py")
    theirs = json.loads(started([str(python), script, *map(str, paths)]))
    ours = json.loads(
        started([sys.executable, str(Path(__file__).parent / "drift_worker.py"), *map(str, paths)])
    )
    ready, built = ours["ready"], ours["built"]
    shifted = sorted(SHIFTED)
    return [
        seconds("Evidently 0.7.23, default preset, 1 M x 20 and 100 k", theirs),
        seconds("verdict with the profile in place", ready),
        seconds("verdict with building the profile", built),
        times("faster with the profile in place", theirs, ready, 100),
        times("faster with building it", theirs, built, 20),
        Row(
            "columns flagged that were shifted",
            len(set(ours["drifted"]) & set(shifted)),
            f"ours {len(set(ours['drifted']) & set(shifted))}, theirs "
            f"{len(set(theirs['drifted']) & set(shifted))} of {len(shifted)}",
            "all",
            set(shifted) <= set(ours["drifted"]) & set(theirs["drifted"]),
        ),
        Row(
            "columns flagged that were not",
            len(set(ours["drifted"]) - set(shifted)),
            f"ours {len(set(ours['drifted']) - set(shifted))}, theirs "
            f"{len(set(theirs['drifted']) - set(shifted))}",
            "ours 0",
            set(ours["drifted"]) <= set(shifted),
        ),
        Row(
            "SciPy's exact KS outside of the stated bounds",
            ours["outside"],
            f"{ours['outside']} of {COLUMNS}; widest bounds {ours['width']:.4f} apart, "
            f"SciPy {ours['scipy']:.1f} s",
            "0",
            ours["outside"] == 0,
        ),
        Row(
            "bytes of the profile per column",
            ours["bytes"] / COLUMNS,
            f"{ours['bytes'] / COLUMNS:,.0f} B",
        ),
    ]


def numbers(rng: np.random.Generator, rows: int, shifted: dict[str, tuple[float, float]]) -> Any:
    """Twenty numeric columns, normal and log-normal in turn."""
    columns = {}
    for place in range(COLUMNS):
        mean, spread = shifted.get(f"x{place}", (0.0, 1.0))
        values = rng.normal(mean, spread, rows)
        columns[f"x{place}"] = np.exp(values) if place % 3 == 2 else values  # noqa: PLR2004
    return pl.DataFrame(columns)


def wide(folder: Path) -> list[Row]:
    """Three million rows of a thousand columns: thirty files, three of them different.

    Numbers have two decimals, so that files are small and read from the disk's cache.
    """
    rng = np.random.default_rng(SEED)
    names = []
    for number in range(WIDE_FILES):
        path = folder / f"wide-{number}.parquet"
        if number < 3:  # noqa: PLR2004
            base = rng.normal(size=WIDE_ROWS).astype(np.float32).round(2)
            table = {
                f"x{place}": np.roll(base, 97 * place) * np.float32(1 + place / 100)
                for place in range(WIDE_COLUMNS)
            }
            pl.DataFrame(table).write_parquet(path, compression_level=1)
        else:
            path.hardlink_to(folder / f"wide-{number % 3}.parquet")
        names.append(path)
    found = counted(names, jobs=2)
    for path in names:
        path.unlink()
    return [
        Row(
            "3 M x 1,000 Parquet, two decimals, plan and profile, 2 processes",
            found["seconds"],
            f"{found['seconds']:.0f} s (plan {found['plan']:.0f} s; processor "
            f"{found['processor']:.0f} s)",
            "≤ 300 s",
            found["seconds"] <= 300,  # noqa: PLR2004
        ),
        Row(
            "its memory",
            found["peak"],
            f"{found['peak'] / MEGA:,.0f} MB",
            "≤ 4,096 MB",
            found["peak"] <= 4_096 * MEGA,
        ),
    ]


def long(folder: Path, files: int) -> list[Row]:
    """One million rows of twenty columns, and a hundred times as many in as many files."""
    rng = np.random.default_rng(SEED)
    first = folder / "long-0.parquet"
    pl.DataFrame(
        {
            f"x{place}": rng.normal(size=LONG_ROWS).astype(np.float32)
            for place in range(LONG_COLUMNS)
        }
    ).write_parquet(first, row_group_size=131_072, compression_level=1)
    names = [first]
    for number in range(1, files):
        names.append(folder / f"long-{number}.parquet")
        names[-1].hardlink_to(first)
    once = counted(names[:10], jobs=2)
    often = counted(names, jobs=2)
    # In one process: of a million rows, a second one would hardly come to work.
    one, all_of_them = counted(names[:1], jobs=1), counted(names, jobs=1)
    more = files / 10
    return [
        Row(
            f"{files} M x 20 Parquet, profile, 2 processes",
            often["profile"],
            f"{often['profile']:.0f} s (processor {often['processor']:.0f} s)",
        ),
        Row(
            f"its processor seconds per row against those of 10 M ({once['processor']:.0f} s)",
            often["processor"] / once["processor"] / more,
            f"{often['processor'] / once['processor'] / more:.2f} times",
            "≤ 1.2 times",
            often["processor"] <= 1.2 * more * once["processor"],
        ),
        Row(
            f"its memory in one process against that of 1 M ({one['peak'] / MEGA:.0f} MB)",
            all_of_them["peak"] / one["peak"],
            f"{all_of_them['peak'] / MEGA:.0f} MB, {all_of_them['peak'] / one['peak']:.2f} times; "
            f"in two processes {often['peak'] / MEGA:.0f} MB",
            "≤ 1.5 times",
            all_of_them["peak"] <= 1.5 * one["peak"],
        ),
    ]


def counted(files: Sequence[Path], *, jobs: int) -> dict[str, Any]:
    """Plan and profile files in a process of its own; its memory from outside."""
    listing = files[0].parent / "files.json"
    listing.write_text(json.dumps([str(path) for path in files]))
    command = [sys.executable, str(Path(__file__).parent / "drift_worker.py"), str(listing)]
    finished = run([*command, str(jobs)], environment=os.environ, cwd=ROOT)
    found: dict[str, Any] = json.loads(finished.stdout)
    return found | {"peak": finished.peak_bytes}


def started(command: Sequence[str]) -> str:
    """What a command printed.

    Raises:
        CalledProcessError: It failed.
    """
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def seconds(name: str, found: dict[str, float]) -> Row:
    """How long something took."""
    words = f"{found['seconds']:.2f} s (processor {found['processor']:.2f} s)"
    return Row(name, found["seconds"], words)


def times(name: str, theirs: dict[str, float], ours: dict[str, float], bound: int) -> Row:
    """How many times faster ours is, by the clock and by the processor."""
    clock = theirs["seconds"] / ours["seconds"]
    processor = theirs["processor"] / ours["processor"]
    words = f"{clock:.0f} times (processor {processor:.0f} times)"
    return Row(name, clock, words, f"≥ {bound} times", clock >= bound)


if __name__ == "__main__":
    begun = time.monotonic()
    main()
    print(f"\nwritten to {RESULTS.name} after {time.monotonic() - begun:.0f} s")
