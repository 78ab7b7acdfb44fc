"""What a list says about a version: in a few words, from the one event of its registration.

Fast, and for finding one's way alone: the event is read and not verified. The version's own page
asks ``actions.case``, which believes neither tag nor event by itself.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from interlock.actions.case import gates_of
from interlock.adapters.audit_pages import TrailPages
from interlock.adapters.model_registry import ModelVersion
from interlock.errors import AuditError, StoreError
from interlock.governance.audit import decode
from interlock.governance.gates import holds

MAX_KEPT: Final = 5_000
READERS: Final = 16  # threads


@dataclass(frozen=True)
class Summary:
    """A version in a list.

    Attributes:
        registered: When; None where the trail does not say.
        by: Who registered it.
        product: Of which product.
        tier: Of the product.
        gates: How many gates it has.
        passed: How many of them hold.
        metrics: Its metrics.
    """

    registered: datetime | None = None
    by: str = ""
    product: str = ""
    tier: str = ""
    gates: int = 0
    passed: int = 0
    metrics: Mapping[str, float | None] = field(default_factory=dict)


UNKNOWN: Final = Summary()


class Summaries:
    """Finds summaries and keeps them: an event never changes.

    Args:
        trail: Where events are.
    """

    def __init__(self, trail: TrailPages) -> None:
        self._trail = trail
        self._kept: OrderedDict[str, Summary] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, versions: Sequence[ModelVersion]) -> list[Summary]:
        """The summary of each version, in their order."""
        keys = [version.tags.get("audit_event", "") for version in versions]
        with self._lock:
            missing = [key for key in keys if key and key not in self._kept]
        with ThreadPoolExecutor(READERS, thread_name_prefix="summaries") as pool:
            read = dict(zip(missing, pool.map(self._read, missing), strict=True))
        with self._lock:
            found = [self._kept.get(key) or read.get(key) or UNKNOWN for key in keys]
            self._kept |= {key: each for key, each in read.items() if each is not None}
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return found

    def _read(self, key: str) -> Summary | None:
        try:
            record = decode(self._trail.event(key), key=key).record
        except (AuditError, StoreError):  # for the version's own page to explain
            return None
        gates = gates_of(record.evidence)
        metrics = record.evidence.get("metrics")
        return Summary(
            registered=record.time,
            by=record.principal.name,
            product=str(record.evidence.get("product", "")),
            tier=str(record.evidence.get("tier", "")),
            gates=len(gates),
            passed=sum(holds(gate) for gate in gates),
            metrics=dict(metrics) if isinstance(metrics, Mapping) else {},
        )
