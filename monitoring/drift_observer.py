"""Reads what the drift monitor knows: trail, aliases, snapshots, integrity, disks.

Every method reads one part and raises when it cannot; none writes. What was read is in
``observed.py``, what becomes of it in ``drift_metrics.py``.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

from interlock.adapters.audit_log import AuditLog
from interlock.adapters.audit_spool import AuditSpool
from interlock.adapters.audit_tail import LEDGER_DAY, AuditTail
from interlock.adapters.mlflow_connection import MlflowConnection
from interlock.adapters.model_inputs import input_columns
from interlock.adapters.model_registry import ModelRegistry
from interlock.adapters.object_store import ObjectStore
from interlock.errors import InterlockError, MonitoringError
from monitoring.check_figures import (
    DriftFigures,
    PerformanceFigures,
    drift_figures,
    performance_figures,
)
from monitoring.drift_check import DriftCheck, baseline_of, has_snapshot
from monitoring.observed import (
    AliasedVersion,
    CheckView,
    DriftView,
    Integrity,
    LocalView,
    TrailView,
)
from monitoring.trail_state import ProductState, RecordedCheck, TrailState

log = logging.getLogger(__name__)

ALIASES: Final = ("champion", "challenger")
SUSPENDED: Final = "suspended"  # of governance.approval.State, as tags show it
WHOLE_TRAIL: Final = timedelta(hours=1)  # between two looks at streams of earlier days

READERS: Final[Mapping[str, Callable[[bytes], DriftFigures | PerformanceFigures]]] = {
    "drift": drift_figures,
    "performance": performance_figures,
}

Aliases = Mapping[tuple[str, str], AliasedVersion]


@dataclass(frozen=True)
class Sources:
    """What is observed.

    Attributes:
        store: The object store.
        data_bucket: Where snapshots are.
        tail: The audit trail as it grows.
        audit: The audit trail as a whole.
        connection: The way to MLflow.
        spool: Where audit records wait that could not be written.
        folders: Name to a folder whose disk is watched; one that does not exist is left out.
        scratch: Folder on a disk with room for a snapshot.
        baseline: ``BASELINE_DATA_HASH``; None when unset.
        clock: The time, aware UTC.
    """

    store: ObjectStore
    data_bucket: str
    tail: AuditTail
    audit: AuditLog
    connection: MlflowConnection
    spool: Path
    folders: Mapping[str, Path]
    scratch: Path
    baseline: str | None
    clock: Callable[[], datetime]


class DriftObserver:
    """Reads the parts. The trail first: the others build on what it says.

    Args:
        sources: What is observed.
    """

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._registry = ModelRegistry(sources.connection)
        self._state = TrailState()
        self._whole_read: datetime | None = None
        self._trail_is_known = self._aliases_are_known = False
        self._aliases: Aliases = {}
        self._features: dict[str, tuple[str, ...]] = {}
        self._checks: dict[str, DriftCheck] = {}
        self._checked: dict[str, float] = {}
        self._figures: dict[str, DriftFigures | PerformanceFigures] = {}

    def trail(self) -> TrailView:
        """What the trail says, new events included.

        Raises:
            StoreError: It cannot be read.
        """
        self._trail_is_known = False
        now = self._sources.clock()
        whole = self._whole_read is None or now - self._whole_read >= WHOLE_TRAIL
        self._state.add(self._sources.tail.read(None if whole else self._recent_days(now)))
        if whole:
            self._whole_read = now
        self._trail_is_known = True
        products = self._state.products
        chosen = self._sources.baseline
        return TrailView(
            products={
                name: replace(product, gates_failed=Counter(product.gates_failed))
                for name, product in products.items()
            },
            events=dict(self._state.events),
            events_by_role=dict(self._state.events_by_role),
            newest=self._state.newest,
            streams=self._sources.tail.streams,
            missing=self._sources.tail.missing,
            baseline_found=(
                None
                if chosen is None
                else any(has_snapshot(product, chosen) for product in products.values())
            ),
            tampering=dict(self._state.tampering),
        )

    def aliases(self) -> Aliases:
        """Product and alias to the version that it points at.

        MLflow is not asked before the trail knows a registered model: an empty one is marked by
        whoever opens it first, and that is no observer's to do.

        Raises:
            RegistryError: MLflow gave no usable answer.
        """
        self._aliases_are_known = False
        found = {}
        for name, product in self._state.products.items():
            for alias in ALIASES if product.model is not None else ():
                version = self._registry.version_at(product.model or "", alias)
                if version is not None:
                    found[name, alias] = AliasedVersion(
                        version=version.version,
                        source=version.source,
                        registration=product.versions.get(version.version),
                        suspended=version.tags.get("approval_state") == SUSPENDED,
                    )
        self._aliases, self._aliases_are_known = found, True
        return found

    def drift(self) -> Mapping[str, DriftView]:
        """Each product's newest data against its baseline.

        Raises:
            MonitoringError: Trail or aliases were not read now, so what is newest is unknown.
        """
        if not self._trail_is_known or not self._aliases_are_known:
            raise MonitoringError(
                "the audit trail or the registry could not be read, so neither the newest data nor "
                "the champion is known",
                remedy="see the messages about trail and models",
            )
        return {name: self._drift(name, each) for name, each in self._state.products.items()}

    def checks(self) -> Mapping[tuple[str, str], CheckView]:
        """Product and kind to what was recorded of its checks.

        Raises:
            MonitoringError: Trail or aliases were not read now, so the champion is unknown.
        """
        if not self._trail_is_known or not self._aliases_are_known:
            raise MonitoringError(
                "the audit trail or the registry could not be read, so the champion is unknown",
                remedy="see the messages about trail and models",
            )
        found = {
            (name, kind): self._check(name, product, kind)
            for name, product in self._state.products.items()
            for kind in sorted({kind for kind, _ in product.attempts})
        }
        used = {each.recorded.figures_hash for each in found.values() if each.recorded}
        self._figures = {key: value for key, value in self._figures.items() if key in used}
        return found

    def integrity(self) -> Integrity | None:
        """What verifying the whole trail found; None while there is nothing to verify.

        Raises:
            StoreError: The trail cannot be read.
        """
        if not self._sources.audit.streams():
            return None
        report = self._sources.audit.verify()
        return Integrity(
            intact=report.intact,
            findings=len(report.all_findings),
            unfinished=len(report.unfinished),
            time=self._sources.clock().timestamp(),
        )

    def local(self) -> LocalView:
        """Records that wait, and room on disks.

        Raises:
            MonitoringError: A folder cannot be read.
        """
        try:
            spooled = None
            if self._sources.spool.is_dir():
                waiting, broken = AuditSpool(self._sources.spool).pending()
                spooled = len(waiting) + len(broken)
            usage = {
                name: shutil.disk_usage(folder)
                for name, folder in self._sources.folders.items()
                if folder.is_dir()
            }
        except OSError as error:
            raise MonitoringError(
                f"{error.filename} cannot be read: {error.strerror}",
                remedy="give the monitor's user the right to read the folders of INTERLOCK_HOME",
            ) from error
        return LocalView(spooled, {name: (each.free, each.total) for name, each in usage.items()})

    def _check(self, name: str, product: ProductState, kind: str) -> CheckView:
        alias = self._aliases.get((name, "champion"))
        champion = None if alias is None else alias.version
        recorded, figures = product.check_of(kind, champion), None
        if recorded is not None and recorded.version == champion:
            try:
                figures = self._figures_of(recorded, kind)
            except InterlockError as error:
                log.warning("the check of %s of %s cannot be shown: %s", kind, name, error)
        raw, attempt = product.raw, product.attempt_of(kind, champion)
        newest = recorded is not None and (
            not recorded.of_snapshot or raw is None or recorded.time >= raw.time
        )
        return CheckView(attempt is not None and attempt.succeeded, recorded, figures, newest)

    def _figures_of(self, recorded: RecordedCheck, kind: str) -> DriftFigures | PerformanceFigures:
        if recorded.figures_hash not in self._figures:
            stored = self._sources.store.get(self._sources.data_bucket, recorded.figures_key)
            if hashlib.sha256(stored).hexdigest() != recorded.figures_hash:
                raise MonitoringError(
                    f"{recorded.figures_key} is not what the audit trail recorded",
                    remedy="have the data bucket examined; figures are never overwritten",
                )
            self._figures[recorded.figures_hash] = READERS[kind](stored)
        return self._figures[recorded.figures_hash]

    def _recent_days(self, now: datetime) -> list[date]:
        """Where events are expected; other clocks may be ahead of this one, ledgers never end."""
        around = {LEDGER_DAY, *((now + timedelta(days=each)).date() for each in (-1, 0, 1))}
        newest = self._sources.tail.newest_day
        return sorted(around if newest is None else {*around, newest})

    def _drift(self, name: str, product: ProductState) -> DriftView:
        champion = self._aliases.get((name, "champion"))
        baseline = baseline_of(
            product,
            chosen=self._sources.baseline,
            champion=champion.registration if champion is not None else None,
        )
        if baseline is None or product.raw is None:
            return DriftView(None, None, None, None)
        measured, comparison = None, None
        model = champion or self._aliases.get((name, "challenger"))
        if baseline.snapshot is not None and product.validated is not None and model is not None:
            check = self._checks.setdefault(
                name,
                DriftCheck(
                    self._sources.store,
                    bucket=self._sources.data_bucket,
                    scratch=self._sources.scratch,
                ),
            )
            try:
                features = self._features_of(model.source)
                comparison = check.compare(baseline.snapshot, product.validated, features)
                measured = True
                self._checked[name] = self._sources.clock().timestamp()
            except InterlockError as error:
                log.warning("drift of %s cannot be measured: %s", name, error)
                measured = False
        return DriftView(
            hash_changed=product.raw.hash != baseline.raw_hash,
            measured=measured,
            comparison=comparison,
            checked=self._checked.get(name),
        )

    def _features_of(self, source: str) -> tuple[str, ...]:
        if source not in self._features:
            self._features = {source: input_columns(self._sources.connection, source)} | {
                kept: names
                for kept, names in self._features.items()
                if any(each.source == kept for each in self._aliases.values())
            }
        return self._features[source]
