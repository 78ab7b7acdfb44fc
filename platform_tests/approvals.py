"""Statements about a made-up version, for tests of approvals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from interlock.governance.approval import (
    DEFAULT_LIFETIME,
    Seen,
    Signed,
    Statement,
    Verdict,
    decided_on,
)

NOW = datetime(2040, 1, 2, 9, tzinfo=UTC)
GATE = {
    "metric": "roc_auc",
    "value": 0.8,
    "limit": 0.7,
    "direction": "min",
    "passed": True,
    "reason": "roc_auc 0.8 reaches the 0.7 minimum",
}


def seen(**changes: Any) -> Seen:
    """What there is to see of the version, with fields replaced."""
    return Seen.of(
        {
            "environment": "prod",
            "model": "TinyModel",
            "version": "3",
            "registration": "governance/audit/2040/01/02/tiny-run-1/000008.json",
            "model_digest": "ab" * 32,
            "model_fingerprint": "cd" * 32,
            "data_hash": "ef" * 32,
            "metrics": {"roc_auc": 0.8, "brier": 0.18},
            "gates": [GATE],
            "policy_hash": "01" * 32,
            "tier": "high",
            "quorum": 2,
            "fairness": "not_assessed",
            "signed": False,
        }
        | changes
    )


def statement(
    subject: str = "grace",
    *,
    verdict: Verdict = Verdict.APPROVE,
    on: Seen | None = None,
    at: datetime = NOW,
    lifetime: timedelta = DEFAULT_LIFETIME,
    **changes: Any,
) -> Statement:
    """A decision of somebody, with fields replaced."""
    return decided_on(
        verdict=verdict,
        seen=seen() if on is None else on,
        now=at,
        lifetime=lifetime,
        **{
            "subject": subject,
            "role": "approver",
            "verified_by": "local",
            "reason": "reviewed the holdout",
        }
        | changes,
    )


def signed(*statements: Statement) -> list[Signed]:
    """Statements as if their signatures had been verified, each in a place of its own."""
    return [Signed(each, f"event-{number}") for number, each in enumerate(statements, start=1)]
