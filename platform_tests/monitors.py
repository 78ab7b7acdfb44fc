"""The drift monitor over a world of tests, and what it serves as plain values."""

from __future__ import annotations

from pathlib import Path

from product_fixtures import AUDIT, DATA, PREFIX, World

from interlock.adapters.audit_tail import AuditTail
from monitoring.catalogue import Families
from monitoring.drift_monitor import DriftMonitor
from monitoring.drift_observer import DriftObserver, Sources
from monitoring.sections import poll_once


def sources(world: World, scratch: Path, *, baseline: str | None = None) -> Sources:
    return Sources(
        store=world.store,
        data_bucket=DATA,
        tail=AuditTail(world.store, bucket=AUDIT, prefix=PREFIX),
        audit=world.audit,
        connection=world.connection,
        spool=world.spool,
        folders={"home": world.folder, "nowhere": scratch / "nowhere"},
        scratch=scratch,
        baseline=baseline,
        clock=world.clock,
    )


def monitor_of(found: Sources) -> DriftMonitor:
    return DriftMonitor(DriftObserver(found), threshold=0.2, interval=30, verify_interval=600)


def samples(monitor: DriftMonitor, *, poll: bool = True) -> dict[str, float]:
    if poll:
        for loop in monitor.loops:
            poll_once(loop.sections)
    out = Families()
    monitor.fill(out)
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in out.all()
        for sample in family.samples
    }
