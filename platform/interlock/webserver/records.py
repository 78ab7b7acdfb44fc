"""The record of what people do on a page: every change, allowed or refused, and sign-ins.

The first record is written before Dagster sees the request: what cannot be recorded does not
happen.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from interlock.adapters.audit_log import AuditLog
from interlock.adapters.directory import Person
from interlock.governance.audit import (
    AuditRecord,
    Outcome,
    RecordedPrincipal,
    Stream,
    as_reason,
)

DAGIT: Final = "dagit"
MUTATION: Final = f"{DAGIT}:"
NOBODY: Final = RecordedPrincipal(name="unverified", role="viewer", verified_by="nobody")
MAX_NAMED: Final = 300  # assets, jobs, schedules and runs that one record names
_NAMES: Final = frozenset(
    {
        "pipelineName",
        "jobName",
        "scheduleName",
        "sensorName",
        "runId",
        "runIds",
        "parentRunId",
        "backfillId",
        "partitionSetName",
        "partitionsDefName",
        "scheduleOriginId",
        "scheduleSelectorId",
        "jobOriginId",
        "jobSelectorId",
        "path",
        "repositoryLocationName",
        "concurrencyKey",
        "id",
    }
)
MAX_NAME: Final = 150  # characters of one; the digest of the whole request is on record too
_WORD: Final = re.compile(r"[^\x20-\x7e]")


class Records:
    """Writes what people do.

    Args:
        audit: The trail.
        environment: Where this server runs.
        clock: The time, aware UTC.
        place: Which page it is, as streams, actions and resources name it.
    """

    def __init__(
        self,
        audit: AuditLog,
        *,
        environment: str,
        clock: Callable[[], datetime],
        place: str = DAGIT,
    ) -> None:
        self._audit = audit
        self._place = place
        self._environment = environment
        self._clock = clock
        self._suffix = uuid.uuid4().hex[:12]

    @property
    def sign_in(self) -> str:
        """The action of signing in."""
        return f"{self._place}:signIn"

    @property
    def sign_out(self) -> str:
        """The action of signing out."""
        return f"{self._place}:signOut"

    def write(
        self,
        action: str,
        outcome: Outcome,
        person: Person | None,
        *,
        resource: str | None = None,
        reason: str = "",
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one record.

        Raises:
            AuditWriteFailed: It cannot be written.
        """
        today = self._clock().date()
        who = NOBODY if person is None else RecordedPrincipal.of(person.principal)
        self._audit.append(
            Stream(name=f"{self._place}-{today:%Y%m%d}-{self._suffix}", opened=today),
            AuditRecord(
                id=str(uuid.uuid4()),
                time=self._clock(),
                environment=self._environment,
                principal=who,
                action=action,
                resource=resource or f"platform/{self._place}",
                outcome=outcome,
                reason=as_reason(reason) if reason else "",
                evidence=dict(evidence or {}),
            ),
        )


def named_in(arguments: object) -> list[str]:
    """The assets, jobs, schedules and runs that a mutation's arguments name, as ``key=name``.

    Each once; more than ``MAX_NAMED`` are too many for one record.
    """
    found: dict[str, None] = {}

    def look(key: str, value: object) -> None:
        if isinstance(value, Mapping):
            for name, each in value.items():
                look(str(name), each)
        elif isinstance(value, list) and key == "path" and all(isinstance(x, str) for x in value):
            look(key, "/".join(value))
        elif isinstance(value, list):
            for each in value:
                look(key, each)
        elif key in _NAMES and isinstance(value, str):
            found[f"{key}={_WORD.sub('?', value)}"[:MAX_NAME]] = None

    look("", arguments)
    return list(found)
