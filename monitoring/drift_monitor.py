"""Data, models and audit trail as metrics: ``python -m monitoring.drift_monitor``.

Reads the trail as it grows, asks the registry for aliases, compares snapshots, verifies the
trail, and looks after what waits on disk. It only reads; a part that cannot be read takes its
own metrics away and no others. Reading is in ``drift_observer.py``, metrics are made in
``drift_metrics.py``; here they are put together from settings.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from interlock.adapters.audit_log import AuditLog
from interlock.adapters.audit_tail import AuditTail
from interlock.adapters.mlflow_connection import MlflowConnection
from interlock.adapters.object_store import S3ObjectStore
from interlock.errors import ConfigurationError, InterlockError
from interlock.settings import Settings, load_settings
from monitoring import check_metrics, drift_metrics
from monitoring.catalogue import Families
from monitoring.drift_observer import Aliases, DriftObserver, Sources
from monitoring.endpoint import SectionCollector, run_exporter
from monitoring.observed import CheckView, DriftView, Integrity, LocalView, TrailView
from monitoring.sections import Loop, Section

PORT: Final = 9100
READINGS_KEPT: Final = 4  # a value that was not renewed for so many intervals is dropped
SLOW_READING: Final = 60.0  # seconds that one reading may take, retries of S3 and MLflow included


class DriftMonitor:
    """The sections of the monitor, and their metrics.

    Args:
        observer: Reads the parts.
        threshold: ``DRIFT_THRESHOLD``.
        interval: Seconds between two readings.
        verify_interval: Seconds between two verifications of the whole trail; a trail that is
            still empty, or could not be read, is looked at with every reading.
        monotonic: Monotonic seconds.
    """

    def __init__(
        self,
        observer: DriftObserver,
        *,
        threshold: float,
        interval: float,
        verify_interval: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = threshold
        self._interval = interval
        self._verify_interval = verify_interval
        self._monotonic = monotonic
        self._observer = observer
        self._verified = -math.inf

        def section(name: str, read: Callable[[], Any], every: float) -> Section[Any]:
            age = READINGS_KEPT * (every + SLOW_READING)
            return Section(name, read, max_age=age, clock=monotonic)

        self.trail: Section[TrailView] = section("trail", observer.trail, interval)
        self.models: Section[Aliases] = section("models", observer.aliases, interval)
        self.drift: Section[Mapping[str, DriftView]] = section("drift", observer.drift, interval)
        self.checks: Section[Mapping[tuple[str, str], CheckView]] = section(
            "checks", observer.checks, interval
        )
        self.integrity: Section[Integrity | None] = section(
            "integrity", self._verify_when_due, verify_interval
        )
        self.local: Section[LocalView] = section("local", observer.local, interval)

    @property
    def collector(self) -> SectionCollector:
        """Hands out the metrics."""
        sections = (self.trail, self.models, self.drift, self.checks, self.integrity, self.local)
        return SectionCollector(sections, self.fill)

    @property
    def loops(self) -> tuple[Loop, ...]:
        """What is read in the background."""
        return (
            Loop((self.trail, self.models, self.drift, self.checks), self._interval),
            Loop((self.integrity,), self._interval),
            Loop((self.local,), self._interval),
        )

    def _verify_when_due(self) -> Integrity | None:
        known = self.integrity.value
        if known is not None and self._monotonic() - self._verified < self._verify_interval:
            return known
        found = self._observer.integrity()
        self._verified = self._monotonic()
        return found

    def fill(self, out: Families) -> None:
        """Adds the samples of what is known now."""
        if (trail := self.trail.value) is not None:
            drift_metrics.fill_trail(out, trail)
        if (models := self.models.value) is not None:
            drift_metrics.fill_models(out, models)
        checks = self.checks.value or {}
        if (drift := self.drift.value) is not None:
            measured = check_metrics.shown_by_check(checks)
            drift_metrics.fill_drift(out, drift, threshold=self._threshold, but=measured)
        check_metrics.fill_checks(out, checks)
        if (integrity := self.integrity.value) is not None:
            drift_metrics.fill_integrity(out, integrity)
        if (local := self.local.value) is not None:
            drift_metrics.fill_local(out, local)


def sources_of(settings: Settings, *, scratch: Path) -> Sources:
    """What the settings name.

    Args:
        settings: Of this process.
        scratch: Folder on a disk with room for a snapshot.

    Raises:
        ConfigurationError: Environment or MLflow is not given.
    """
    if settings.environment is None or settings.mlflow_tracking_uri is None:
        missing = "ENVIRONMENT" if settings.environment is None else "MLFLOW_TRACKING_URI"
        raise ConfigurationError(
            f"{missing} is unset, expected what the observed platform uses",
            remedy=f"give this process the same {missing} as the code location",
        )
    store = S3ObjectStore(
        endpoint_url=settings.s3_endpoint_url,
        access_key=settings.aws_access_key_id,
        secret_key=settings.aws_secret_access_key,
        region=settings.aws_region,
    )
    return Sources(
        store=store,
        data_bucket=settings.data_bucket,
        tail=AuditTail(store, bucket=settings.audit_bucket, prefix=settings.audit_log_prefix),
        audit=AuditLog(
            store,
            bucket=settings.audit_bucket,
            prefix=settings.audit_log_prefix,
            retention=settings.audit_retention,
            spool_directory=settings.spool_directory,
            clock=_now,
        ),
        connection=MlflowConnection(
            tracking_uri=settings.mlflow_tracking_uri,
            artifact_root=None,
            environment=settings.environment,
        ),
        spool=settings.spool_directory,
        folders={"home": settings.home, "scratch": scratch},
        scratch=scratch,
        baseline=settings.baseline_data_hash,
        clock=_now,
    )


def _now() -> datetime:
    return datetime.now(UTC)


def parser() -> argparse.ArgumentParser:
    """The command line; everything else is read from Interlock's environment variables."""
    made = argparse.ArgumentParser(
        prog="python -m monitoring.drift_monitor",
        description="Data, models and audit trail as metrics.",
    )
    made.add_argument("--host", default="127.0.0.1", help="address to listen on")
    made.add_argument("--port", type=int, default=PORT, help="port to listen on")
    made.add_argument("--interval", type=float, default=30.0, help="seconds between readings")
    made.add_argument(
        "--verify-interval", type=float, default=600.0, help="seconds between verifications"
    )
    made.add_argument(
        "--scratch",
        type=Path,
        default=Path(tempfile.gettempdir()),
        help="folder with room for a snapshot",
    )
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point."""
    options = parser().parse_args(arguments)
    try:
        settings = load_settings()
        monitor = DriftMonitor(
            DriftObserver(sources_of(settings, scratch=options.scratch)),
            threshold=settings.drift_threshold,
            interval=options.interval,
            verify_interval=options.verify_interval,
        )
        run_exporter(monitor.collector, monitor.loops, host=options.host, port=options.port)
    except InterlockError as error:
        sys.exit(f"drift-monitor: {error}")


if __name__ == "__main__":
    main()
