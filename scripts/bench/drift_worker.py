"""What ``bench_drift`` measures of ours, in a process of its own.

With two Parquet files: a verdict about tables in memory, as Evidently gets them. With a list of
files and a number of processes: the plan and the profile of these files.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from interlock.adapters.profile_planning import plan_files
from interlock.adapters.profiling import profile_files
from interlock.adapters.table_files import TableFile
from interlock.ml.profile_bytes import from_bytes, to_bytes
from interlock.ml.profiles import TableProfile, profile_reference, profile_table
from interlock.ml.verdict import DriftVerdict, Statistic, judge

WARM_ROWS = 1_000  # over which all is done once before, as ``drift_evidently`` does


def verdict(reference: Path, current: Path) -> dict[str, Any]:
    """Judge two tables, with the profile stored and without."""
    before, after = pl.read_parquet(reference), pl.read_parquet(current)
    _measured(before.head(WARM_ROWS), after.head(WARM_ROWS))
    found, stored, timed = _measured(before, after)
    # Only now: SciPy's statistics take long to import, and are for comparison alone.
    from scipy.stats import ks_2samp

    started, outside, width = time.perf_counter(), 0, 0.0
    for column in found.columns:
        one, two = before[column.name].to_numpy(), after[column.name].to_numpy()
        exact = ks_2samp(one, two, method="asymp").statistic
        low, high = column.statistics[Statistic.KS], column.statistics[Statistic.KS_UPPER]
        outside += not low - 1e-12 <= exact <= high + 1e-12
        width = max(width, high - low)
    return timed | {
        "drifted": list(found.drifted),
        "outside": outside,
        "width": width,
        "scipy": time.perf_counter() - started,
        "bytes": len(stored),
    }


def profile(listing: Path, jobs: int) -> dict[str, float]:
    """Plan and count files."""
    files = [TableFile(Path(name)) for name in json.loads(listing.read_text())]
    started, busy = time.perf_counter(), _processor()
    plan = plan_files(files, jobs=jobs)
    planned = time.perf_counter()
    profile_files(files, plan, jobs=jobs)
    ended = time.perf_counter()
    return {
        "seconds": ended - started,
        "plan": planned - started,
        "profile": ended - planned,
        "processor": _processor() - busy,
    }


def _measured(
    before: pl.DataFrame, after: pl.DataFrame
) -> tuple[DriftVerdict, bytes, dict[str, dict[str, float]]]:
    """The verdict, the stored profile, and what both ways to the verdict took."""
    stored = to_bytes(profile_reference(before))
    found, ready = _timed(lambda: _judged(from_bytes(stored), after))
    _, built = _timed(lambda: _judged(profile_reference(before), after))
    return found, stored, {"ready": ready, "built": built}


def _judged(reference: TableProfile, after: pl.DataFrame) -> DriftVerdict:
    return judge(reference, profile_table(after, reference.plan))


def _timed(work: Callable[[], DriftVerdict]) -> tuple[DriftVerdict, dict[str, float]]:
    started, busy = time.perf_counter(), time.process_time()
    found = work()
    return found, {
        "seconds": time.perf_counter() - started,
        "processor": time.process_time() - busy,
    }


def _processor() -> float:
    """Seconds of the processor, of this process and of its helpers that ended."""
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in both)


if __name__ == "__main__":
    first, second = sys.argv[1:3]
    is_number = second.isdigit()
    result = profile(Path(first), int(second)) if is_number else verdict(Path(first), Path(second))
    print(json.dumps(result))
