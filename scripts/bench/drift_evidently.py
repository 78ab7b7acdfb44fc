"""Evidently's default preset on two Parquet files, run by ``bench_drift`` in its own environment.

It prints the seconds that the report took, tables in memory, and which columns it calls drifted.
What is done once per process is done before, over the first rows, as ``drift_worker`` does.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset

WARM_ROWS = 1_000  # as in ``drift_worker``


def main() -> None:
    """Measure one report."""
    tables = [pd.read_parquet(path) for path in sys.argv[1:3]]
    report(*(dataset(table.head(WARM_ROWS)) for table in tables))
    before, now = (dataset(table) for table in tables)
    started, busy = time.perf_counter(), time.process_time()
    found = report(before, now)
    seconds, processor = time.perf_counter() - started, time.process_time() - busy
    drifted = []
    for metric in found["metrics"]:
        config = metric["config"]
        if "method" not in config:
            continue
        if "p_value" in config["method"]:
            moved = float(metric["value"]) < config["threshold"]
        else:
            moved = float(metric["value"]) >= config["threshold"]
        if moved:
            drifted.append(config["column"])
    print(json.dumps({"seconds": seconds, "processor": processor, "drifted": drifted}))


def dataset(table: pd.DataFrame) -> Dataset:
    """A table as Evidently wants it."""
    definition = DataDefinition(numerical_columns=list(table.columns))
    return Dataset.from_pandas(table, data_definition=definition)


def report(before: Dataset, now: Dataset) -> dict[str, Any]:
    """The default preset's figures."""
    figures: dict[str, Any] = Report([DataDriftPreset()]).run(now, before).dict()
    return figures


if __name__ == "__main__":
    main()
