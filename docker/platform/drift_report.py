"""Has the data drifted from what the champions learned? One look, for a scheduled job.

The drift monitor asks the same every few seconds for Prometheus; this asks once and ends with 1
when a product's newest data has drifted, or when that cannot be known.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from interlock.errors import InterlockError
from interlock.settings import load_settings
from monitoring.drift_monitor import sources_of
from monitoring.drift_observer import DriftObserver
from monitoring.observed import DriftView


def report(views: Mapping[str, DriftView], *, threshold: float) -> Iterator[tuple[str, bool]]:
    """A sentence per product, and whether it is as it should be.

    Args:
        views: Product to what was found.
        threshold: Distance above which a feature has drifted.
    """
    for name, view in sorted(views.items()):
        if view.comparison is not None:
            drifted = view.comparison.has_drift(threshold)
            verdict = "drifted" if drifted else "has not drifted"
            features = len(view.comparison.features)
            yield f"{name}: the data {verdict} ({features} features compared)", not drifted
        elif view.measured is None:
            yield f"{name}: there is nothing to compare yet", True
        else:
            yield f"{name}: drift could not be measured; see the drift monitor's log", False


def main() -> int:
    """Looks once.

    Returns:
        0 when nothing drifted, else 1.
    """
    try:
        settings = load_settings()
        observer = DriftObserver(sources_of(settings, scratch=Path(tempfile.gettempdir())))
        observer.trail()
        observer.aliases()
        found = list(report(observer.drift(), threshold=settings.drift_threshold))
    except InterlockError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    for sentence, _ in found:
        print(sentence)
    if not found:
        print("the audit trail knows no product yet")
    return 0 if all(good for _, good in found) else 1


if __name__ == "__main__":
    sys.exit(main())
