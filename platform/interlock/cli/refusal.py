"""Who gives a role or an environment that does not exist is refused, and that is recorded.

Nothing is opened for them. The attempt under an unknown role goes to the audit trail of the
environment; where the environment itself is unknown, or not the one that the buckets were
created for, nothing is written there: the record waits on disk for a process that belongs to
the store.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass

from interlock.adapters.audit_log import AuditLog
from interlock.adapters.environment_mark import read_mark
from interlock.assembly import open_audit_log, open_store, process_context, utc_now
from interlock.cli.trail import RunAudit, read_audit
from interlock.cli.verb import Terminal
from interlock.errors import AccessDenied, AuditError, ConfigurationError, InterlockError
from interlock.governance.audit import AuditRecord, Outcome, RecordedPrincipal, Stream
from interlock.local.home import Home
from interlock.local.platform import connected
from interlock.settings import Settings, applied_to_process, principal, process_environment

ENTER = "platform:enter"
PLATFORM = "interlock"
REFUSED = ("RUN_ROLE", "ENVIRONMENT")
"""Settings whose unknown value is an attempt to act as what one is not."""
UNVERIFIED = "nobody"  # who vouches for such a principal


@dataclass(frozen=True)
class Refusal:
    """An attempt that was refused before anything was opened.

    Attributes:
        denial: What to raise.
        audit: Where the attempt is recorded.
    """

    denial: AccessDenied
    audit: RunAudit


def refusal_of(error: ConfigurationError, terminal: Terminal) -> Refusal | None:
    """The recorded refusal behind settings that cannot be read.

    Args:
        error: What is wrong with them.
        terminal: Told what is being done.

    Returns:
        None when something else is wrong, also besides.
    """
    for name in REFUSED:
        value = process_environment().get(name, "").strip()
        with contextlib.ExitStack() as stack:
            try:
                settings = stack.enter_context(applied_to_process({name: ""}))
            except ConfigurationError:
                continue
            if name == "RUN_ROLE":
                return _refuse_role(value, settings, error, terminal)
            return _refuse_environment(value, settings, error)
    return None


def _refuse_role(
    role: str, settings: Settings, error: ConfigurationError, terminal: Terminal
) -> Refusal:
    with connected(settings, echo=terminal.say) as found:
        store = open_store(found)
        audit = open_audit_log(found, store)
        environment = str(found.environment or "unset")
        denial, record = _denial(_name(found), role, environment, error)
        ours = str(read_mark(store, found.audit_bucket)) == environment
        return Refusal(denial, _write(audit, record, denial, ours=ours))


def _refuse_environment(value: str, settings: Settings, error: ConfigurationError) -> Refusal:
    if settings.embedded:
        Home(settings.home).prepare()
    audit = open_audit_log(settings, open_store(settings))
    denial, record = _denial(_name(settings), str(settings.run_role), value, error)
    return Refusal(denial, _write(audit, record, denial, ours=False))


def _name(settings: Settings) -> str:
    return settings.run_owner or principal(settings).name


def _denial(
    name: str, role: str, environment: str, error: ConfigurationError
) -> tuple[AccessDenied, AuditRecord]:
    denial = AccessDenied(
        principal=name,
        role=role,
        action=ENTER,
        resource=PLATFORM,
        environment=environment,
        policies=(),
        reason=error.message,
        remedy=error.remedy,
    )
    denial.__cause__ = error
    record = AuditRecord(
        id=str(uuid.uuid4()),
        time=utc_now(),
        environment=environment,
        principal=RecordedPrincipal(name=name, role=role, verified_by=UNVERIFIED),
        action=ENTER,
        resource=f"platform/{PLATFORM}",
        outcome=Outcome.DENIED,
        reason=error.message,
    )
    return denial, record


def _write(audit: AuditLog, record: AuditRecord, denial: AccessDenied, *, ours: bool) -> RunAudit:
    stream = process_context("refused", lambda _: None).stream
    if ours:
        try:
            audit.append(stream, record)
            return read_audit(audit, stream)
        except InterlockError as second:
            denial.add_note(str(second))
    return _spool(audit, stream, record, denial)


def _spool(audit: AuditLog, stream: Stream, record: AuditRecord, denial: AccessDenied) -> RunAudit:
    try:
        denial.add_note(f"recorded in {audit.spool(stream, record)}")
    except AuditError as error:
        denial.add_note(str(error))
        return RunAudit(stream, error=error)
    return RunAudit(stream)
