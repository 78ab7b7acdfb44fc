"""What an exporter counts itself, because nobody keeps the sum: since its own start.

Both tallies start at 0 for every job and schedule that is known, so that the first one counted
is an increase to Prometheus. Sums that Dagster's storage keeps are read from there instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from monitoring.dagster_values import Run, Schedule

# Seconds. The demo takes some 20 s, a million rows some 3 minutes.
BUCKETS: Final = (5, 10, 20, 30, 60, 120, 300, 600, 1_200, 3_600, 7_200, math.inf)
TICK_STATUSES: Final = ("success", "skipped", "failure")
TIMED_STATUSES: Final = ("success", "failure")
SEEN_RUNS: Final = 10_000  # whose durations were counted; far more than end between readings


@dataclass
class Durations:
    """A histogram of runs that ended since the exporter started.

    Attributes:
        since: Unix time; earlier runs do not count.
        counts: Job and status to runs per bucket, not cumulative.
        sums: Job and status to seconds.
    """

    since: float
    counts: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    sums: dict[tuple[str, str], float] = field(default_factory=dict)
    _seen: dict[str, None] = field(default_factory=dict)

    def know(self, jobs: Iterable[str]) -> None:
        """Starts the histograms of jobs at 0, so that their first run shows as an increase."""
        for job in jobs:
            for status in TIMED_STATUSES:
                self.counts.setdefault((job, status), [0] * len(BUCKETS))
                self.sums.setdefault((job, status), 0.0)

    def observe(self, runs: Iterable[Run]) -> None:
        """Counts runs of known jobs, each once."""
        for run in runs:
            key = (run.job, run.status)
            if run.id in self._seen or key not in self.counts or run.seconds is None:
                continue
            if run.ended is None or run.ended < self.since:
                continue
            self._seen[run.id] = None
            place = next(i for i, end in enumerate(BUCKETS) if run.seconds <= end)
            self.counts[key][place] += 1
            self.sums[key] += run.seconds
        for run_id in list(self._seen)[: max(0, len(self._seen) - SEEN_RUNS)]:
            del self._seen[run_id]


@dataclass
class Ticks:
    """Ticks of schedules that ended since the exporter started."""

    since: float
    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    _seen: dict[str, set[str]] = field(default_factory=dict)

    def observe(self, schedules: Iterable[Schedule]) -> None:
        """Counts ticks that have ended, each once."""
        for schedule in schedules:
            for status in TICK_STATUSES:
                self.counts.setdefault((schedule.name, status), 0)
            seen = self._seen.get(schedule.name, set())
            new = [t for t in schedule.ticks if t.status in TICK_STATUSES and t.id not in seen]
            for tick in new:
                if tick.due >= self.since:
                    self.counts[schedule.name, tick.status] += 1
            shown = {tick.id for tick in schedule.ticks}
            self._seen[schedule.name] = (seen & shown) | {tick.id for tick in new}
