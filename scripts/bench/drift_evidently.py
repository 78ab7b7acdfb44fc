"""Evidently's default preset on two Parquet files, run by ``bench_drift`` in its own environment.

It prints the seconds that the report took, tables in memory, and which columns it calls drifted.
"""

from __future__ import annotations

import json
import sys
import time

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def main() -> None:
    """Measure one report."""
    reference, current = (pd.read_parquet(path) for path in sys.argv[1:3])
    definition = DataDefinition(numerical_columns=list(reference.columns))
    before, now = (
        Dataset.from_pandas(table, data_definition=definition) for table in (reference, current)
    )
    started, busy = time.perf_counter(), time.process_time()
    snapshot = Report([DataDriftPreset()]).run(now, before)
    found = snapshot.dict()
    seconds = time.perf_counter() - started
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
    print(
        json.dumps(
            {"seconds": seconds, "drifted": drifted, "processor": time.process_time() - busy}
        )
    )


if __name__ == "__main__":
    main()
