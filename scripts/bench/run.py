"""Measure what governance costs and how far one machine carries; see README.md beside this."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import bench_audit
import bench_demo
import bench_scale
from measuring import Row

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "bench-results.json"


def main() -> None:
    """Measure the parts that were asked for, print a table, write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["demo", "audit", "scale", []])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rows-large", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3, help="runs of demo and twin")
    options = parser.parse_args()
    measures: Mapping[str, Callable[[], list[Row]]] = {
        "demo": lambda: bench_demo.measure(options.repeats),
        "audit": bench_audit.measure,
        "scale": lambda: bench_scale.measure(options.rows, options.rows_large),
    }
    rows: list[Row] = []
    for part in options.parts or list(measures):
        print(f"measuring {part} …", file=sys.stderr, flush=True)
        rows += measures[part]()
    print_table(rows)
    RESULTS.write_text(
        json.dumps(
            {
                "machine": {
                    "cores": os.cpu_count(),
                    "python": platform.python_version(),
                    "processor": platform.machine(),
                },
                "rows": [row.as_dict() for row in rows],
            },
            indent=2,
        )
        + "\n"
    )
    print(f"\nwritten to {RESULTS.relative_to(ROOT)}")


def print_table(rows: list[Row]) -> None:
    """Print one line per figure with its bound and whether it holds."""
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", "value", "bound", "holds")
    for row in rows:
        verdict: Any = {True: "yes", False: "NO", None: ""}[row.holds]
        table.add_row(row.name, row.text, row.bound, verdict)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
