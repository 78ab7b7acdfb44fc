"""Verifications of the whole trail: done beside the pages, and each on record.

Reading every event takes a while, so it is done in a thread of its own, one at a time. What was
found is recorded in a ledger, so that the last result is known after a restart and to every
console of this environment. Whether a chain is intact is decided in ``governance.audit``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from interlock.actions.authority import Authority
from interlock.actions.run_context import RunContext
from interlock.adapters.audit_log import AuditLog
from interlock.errors import InterlockError
from interlock.governance.access import Action, Resource
from interlock.governance.audit import LEDGER_DAY, Outcome, Stream, TrailReport, decode

LEDGER: Final = Stream("verifications", LEDGER_DAY)
CHECK: Final = "verify"
MAX_FINDINGS: Final = 20  # of one verification that its record names

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verified:
    """What a verification found.

    Attributes:
        at: When it ended.
        by: Who asked for it.
        streams: How many streams there were.
        events: How many events.
        unfinished: How many actions have no end.
        findings: How many findings there were; none means intact.
        told: The first of them, each with its key.
        key: Of the record of it.
    """

    at: datetime
    by: str
    streams: int
    events: int
    unfinished: int
    findings: int
    told: tuple[tuple[str, str], ...]
    key: str

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return self.findings == 0


class Verifications:
    """Verifies the trail.

    Args:
        audit: The trail, read without a memory of its own.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._running: tuple[str, datetime] | None = None
        self._failure: str = ""
        self._lock = threading.Lock()

    @property
    def running(self) -> tuple[str, datetime] | None:
        """Who asked for the one that is under way, and when."""
        return self._running

    @property
    def failure(self) -> str:
        """Why the last one in this process came to no end; empty when it did."""
        return self._failure

    def last(self) -> Verified | None:
        """The last one on record; None before the first.

        Raises:
            StoreError: The trail cannot be read.
            AuditTampered: The record cannot be read.
        """
        for stored in reversed(self._audit.read(LEDGER)):
            record = decode(stored.data, key=stored.key).record
            if record.outcome is Outcome.SUCCEEDED and record.evidence.get("check") == CHECK:
                return _read(record.evidence, record.time, record.principal.name, stored.key)
        return None

    def begin(self, authority: Authority, run: RunContext, now: datetime) -> bool:
        """Begin one, unless one is under way.

        Args:
            authority: Of who asks for it, and may.
            run: Where it is recorded when that cannot be done in the ledger.
            now: The time.

        Returns:
            Whether it was begun now.
        """
        with self._lock:
            if self._running is not None:
                return False
            self._running = (authority.principal.name, now)
        threading.Thread(
            target=self._verify, args=(authority, run), name="verification", daemon=True
        ).start()
        return True

    def _verify(self, authority: Authority, run: RunContext) -> None:
        try:
            report = self._audit.verify()
            resource = Resource("audit", "trail")
            # Recorded at its end: one that is cut off leaves no action without an end.
            with authority.govern(Action.AUDIT_READ, resource, run, ledger=LEDGER) as governed:
                governed.evidence |= _evidence(report)
            self._failure = ""
        except InterlockError as error:
            log.warning("the trail could not be verified: %s", error)
            self._failure = str(error)
        except Exception as error:
            log.exception("the trail could not be verified")
            self._failure = f"unexpected {type(error).__name__}; the console's log says more"
        finally:
            self._running = None


def _evidence(report: TrailReport) -> dict[str, Any]:
    findings = list(report.all_findings)
    return {
        "check": CHECK,
        "streams": len(report.streams),
        "events": report.events,
        "unfinished": len(report.unfinished),
        "findings": len(findings),
        "told": [[each.key[:500], each.text[:500]] for each in findings[:MAX_FINDINGS]],
    }


def _read(evidence: Mapping[str, Any], at: datetime, by: str, key: str) -> Verified:
    told = evidence.get("told")
    return Verified(
        at=at,
        by=by,
        streams=_count(evidence, "streams"),
        events=_count(evidence, "events"),
        unfinished=_count(evidence, "unfinished"),
        # A record that does not say is none of an intact trail.
        findings=_count(evidence, "findings", unknown=1),
        told=tuple((str(each[0]), str(each[1])) for each in told)
        if isinstance(told, list | tuple)
        else (),
        key=key,
    )


def _count(evidence: Mapping[str, Any], name: str, *, unknown: int = 0) -> int:
    value = evidence.get(name)
    return value if type(value) is int else unknown
