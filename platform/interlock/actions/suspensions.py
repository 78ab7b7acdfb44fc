"""Suspensions on record: which there are of a version, and what each says.

Reading alone. A suspension is an event in the ledger of a version's decisions, so that its place
among them is fixed; approvals name the one that they lift (``governance.approval``). Code in a run
can write audit events, so it can suspend, which is the safe side; it can lift nothing. What
suspends is ``actions.suspend``. ADR-0014.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from interlock.actions.evidence import verified_events
from interlock.actions.workspace import Workspace
from interlock.governance.audit import AuditRecord, Outcome, decision_ledger
from interlock.governance.policy import Action


@dataclass(frozen=True)
class Suspension:
    """An approval that was suspended.

    Attributes:
        event_key: Where it is recorded.
        since: When.
        cause: ``drift`` or ``performance``.
        why: What was found, one sentence without full stop.
        check: Key of the audit event with which the check that found it began.
        data_hash: Of the data in which it was found.
    """

    event_key: str
    since: datetime
    cause: str
    why: str
    check: str
    data_hash: str

    @property
    def sentence(self) -> str:
        """What it means, and what to do."""
        return (
            f"its approval is suspended since {self.since:%Y-%m-%d %H:%M} UTC: {self.why} "
            f"(event {self.event_key}); an approver who has looked at it lifts this by approving "
            "again with a reason, or another version takes its place"
        )


def suspensions_of(workspace: Workspace, model: str, version: str) -> tuple[Suspension, ...]:
    """What suspended a version's approval so far, lifted or not, in the order of the ledger.

    Args:
        workspace: Where the trail is.
        model: Registered model.
        version: Its number.

    Raises:
        EvidenceError: The ledger does not verify.
        StoreError: It cannot be read.
    """
    here = workspace.authority.environment.value
    return tuple(
        _read(key, event.record)
        for key, event in verified_events(workspace, decision_ledger(model, version))
        if (event.record.action, event.record.outcome, event.record.environment)
        == (Action.MODEL_SUSPEND.value, Outcome.SUCCEEDED, here)
    )


def _read(key: str, record: AuditRecord) -> Suspension:
    evidence = record.evidence
    return Suspension(
        event_key=key,
        since=record.time,
        cause=_text(evidence, "cause"),
        why=_text(evidence, "why") or "the record does not say why",
        check=_text(evidence, "check"),
        data_hash=_text(evidence, "data_hash"),
    )


def _text(evidence: Mapping[str, object], name: str) -> str:
    value = evidence.get(name)
    return value if isinstance(value, str) else ""
