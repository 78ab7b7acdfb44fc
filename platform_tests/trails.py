"""An audit trail for tests: records, and a log on any store that can be looked into."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from simulators import FakeClock, MemoryObjectStore

from interlock.adapters.audit_log import AuditLog
from interlock.adapters.store_probe import ProbedStore
from interlock.errors import StoreUnavailable
from interlock.governance.audit import (
    AuditRecord,
    Outcome,
    RecordedPrincipal,
    RunRef,
    StoredEvent,
    Stream,
    decode,
)

BUCKET = "audit"
PREFIX = "governance/audit/"
RETENTION = timedelta(days=1)
STREAM = Stream("credit_risk-0d1f", date(2040, 1, 2))
OTHER = Stream("other-77aa", date(2040, 1, 1))
GONE = StoreUnavailable("the store does not answer", remedy="start it")
_serial = itertools.count(1)


def record(outcome: Outcome = Outcome.DENIED, **changes: Any) -> AuditRecord:
    number = next(_serial)
    values: dict[str, Any] = {
        "id": f"event-{number}",
        "time": datetime(2040, 1, 2, 9, tzinfo=UTC) + timedelta(seconds=number),
        "environment": "dev",
        "principal": RecordedPrincipal("ada", "ml_engineer", "env"),
        "action": "model:train",
        "resource": "product/credit_risk",
        "outcome": outcome,
        "run": RunRef("0d1f", "trained_model", None),
        "evidence": {"data_hash": "ab" * 32},
    }
    return AuditRecord(**{**values, **changes})


@dataclass
class Trail:
    """A trail and everything it stands on; ``another()`` is the same trail elsewhere."""

    store: ProbedStore
    bucket: str
    spool: Path
    clock: FakeClock

    def __post_init__(self) -> None:
        self.log = self.another()

    def another(self) -> AuditLog:
        return AuditLog(
            self.store,
            bucket=self.bucket,
            prefix=PREFIX,
            retention=RETENTION,
            spool_directory=self.spool,
            clock=self.clock,
        )

    def append(self, count: int, stream: Stream = STREAM) -> list[StoredEvent]:
        return [self.log.append(stream, record()) for _ in range(count)]

    def texts(self, stream: Stream | None = None) -> list[str]:
        return [finding.text for finding in self.log.verify(stream).all_findings]

    def ids(self, stream: Stream = STREAM) -> list[str]:
        return [decode(event.data).record.id for event in self.log.read(stream)]

    def waiting(self) -> list[Path]:
        return sorted(self.spool.rglob("*.json"))


class MemoryTrail(Trail):
    """A trail whose store can be told to fail."""

    store: MemoryObjectStore
