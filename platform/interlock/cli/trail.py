"""What the verbs of the audit trail share: which stream is meant, what is unfinished, tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from interlock.adapters.audit_log import AuditLog
from interlock.adapters.audit_spool import AuditSpool
from interlock.cli import view
from interlock.cli.run_state import RunState, state_of
from interlock.errors import AuditError, InterlockError
from interlock.governance.audit import (
    AuditEvent,
    Outcome,
    Stream,
    TrailReport,
    Unfinished,
    champion_ledger,
    decode,
)
from interlock.governance.policy import Resource
from interlock.settings import Settings

TRAIL = Resource("audit", "trail")
"""What `audit:read` and `audit:export` apply to."""
OUTCOME_STYLES = {"succeeded": "green", "failed": "red", "denied": "bold red", "started": "dim"}


@dataclass(frozen=True)
class RunAudit:
    """What the trail holds of a run.

    Attributes:
        stream: Its stream.
        events: All events, in order.
        report: What verification found; None when the trail could not be read.
        error: Why it could not be read.
    """

    stream: Stream
    events: tuple[AuditEvent, ...] = ()
    report: TrailReport | None = None
    error: InterlockError | None = None

    @property
    def verified(self) -> bool:
        """Whether the trail is intact and every action of it has an end."""
        return self.report is not None and self.report.intact and not self.report.unfinished


def read_audit(audit: AuditLog, stream: Stream) -> RunAudit:
    """A stream, read back from the store and verified."""
    try:
        return RunAudit(stream, read_events(audit, stream), audit.verify(stream))
    except InterlockError as error:
        return RunAudit(stream, error=error)


def read_moves(audit: AuditLog, model: str, run_id: str) -> RunAudit | None:
    """What a run recorded about a model's champion, which has a ledger of its own.

    Args:
        audit: The trail.
        model: Registered model.
        run_id: Dagster's.

    Returns:
        The run's events of the ledger; that what others began there has no end is left out.
        None when the run recorded nothing there.
    """
    ledger = champion_ledger(model)
    try:
        own = tuple(
            event
            for event in read_events(audit, ledger)
            if event.record.run and event.record.run.dagster_run == run_id
        )
        if not own:
            return None
        report = audit.verify(ledger)
    except InterlockError as error:
        return RunAudit(ledger, error=error)
    places = {event.chain.sequence for event in own}
    streams = tuple(
        replace(each, unfinished=tuple(u for u in each.unfinished if u.sequence in places))
        for each in report.streams
    )
    return RunAudit(ledger, own, replace(report, streams=streams))


def find_stream(audit: AuditLog, text: str) -> Stream:
    """The stream that a person means.

    Args:
        audit: The trail.
        text: Its name, the beginning of it, or ``day/name`` where a name occurs twice.

    Raises:
        AuditError: There is none, or more than one.
    """
    streams = audit.streams()
    exact = [each for each in streams if text in {each.name, str(each)}]
    found = exact or [each for each in streams if each.name.startswith(text)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise AuditError(
            f"{audit.location} has no stream {text!r}", remedy="see `interlock audit list`"
        )
    shown = ", ".join(map(str, found[:3])) + (", …" if len(found) > 3 else "")  # noqa: PLR2004
    raise AuditError(
        f"{text!r} names {len(found)} streams: {shown}", remedy="write one of them in full"
    )


def read_events(audit: AuditLog, stream: Stream) -> tuple[AuditEvent, ...]:
    """The events of a stream.

    Raises:
        AuditTampered: One of them cannot be read.
    """
    return tuple(decode(stored.data, key=stored.key) for stored in audit.read(stream))


@dataclass(frozen=True)
class OpenAction:
    """An action without an end, and what is known of its run.

    Attributes:
        action: The action.
        run_id: Dagster's; None outside Dagster's runs.
        state: Whether the run still works.
    """

    action: Unfinished
    run_id: str | None
    state: RunState


def open_actions(
    settings: Settings, audit: AuditLog, report: TrailReport, *, embedded: bool
) -> tuple[OpenAction, ...]:
    """The unfinished actions of a report, each with the state of its run.

    Args:
        settings: With the services' addresses.
        audit: The trail.
        report: What verification found.
        embedded: Whether Dagster is the embedded one.
    """
    if not report.unfinished:
        return ()
    runs: dict[Stream, dict[int, str | None]] = {}
    states: dict[str, RunState] = {}
    found = []
    for each in report.unfinished:
        if each.stream not in runs:
            runs[each.stream] = _run_ids(audit, each.stream)
        run_id = runs[each.stream].get(each.sequence)
        if run_id is not None and run_id not in states:
            states[run_id] = state_of(settings, run_id, embedded=embedded)
        state = RunState.UNKNOWN if run_id is None else states[run_id]
        found.append(OpenAction(each, run_id, state))
    return tuple(found)


def _run_ids(audit: AuditLog, stream: Stream) -> dict[int, str | None]:
    events = read_events(audit, stream)
    return {
        event.chain.sequence: event.record.run.dagster_run if event.record.run else None
        for event in events
    }


def day_opened(stream: Stream) -> date | None:
    """When a stream was opened; a ledger, which many processes write, has no such day."""
    return None if stream.is_ledger else stream.opened


def waiting_records(settings: Settings) -> int:
    """How many records wait on this machine's disk for the audit bucket."""
    waiting, broken = AuditSpool(settings.spool_directory).pending()
    return len(waiting) + len(broken)


def event_row(event: AuditEvent) -> dict[str, Any]:
    """An audit event in short, as JSON values: what a list of events shows."""
    record = event.record
    said = {} if record.outcome is Outcome.STARTED else record.evidence
    return {
        "sequence": event.chain.sequence,
        "time": record.time.isoformat(timespec="milliseconds"),
        "action": record.action,
        "resource": record.resource,
        "outcome": record.outcome.value,
        "principal": record.principal.name,
        "role": record.principal.role,
        "environment": record.environment,
        "version": str(record.evidence.get("version") or ""),
        "reason": record.reason or str(said.get("reason") or ""),
    }


def events_view(rows: Sequence[Mapping[str, Any]]) -> Iterator[RenderableType]:
    """Events, one a line, with the version that they are about, and below them the reasons."""
    about = any(row["version"] for row in rows)
    version = [">version"] if about else []
    yield view.table(
        (">#", "time (UTC)", "action", *version, "outcome", "principal", "role"),
        [
            (
                row["sequence"],
                view.clock_time(row["time"]),
                row["action"],
                *([row["version"]] if about else []),
                Text(row["outcome"], style=OUTCOME_STYLES.get(row["outcome"], "")),
                row["principal"],
                row["role"],
            )
            for row in rows
        ],
    )
    for row in rows:
        if row["reason"]:
            yield Text(f"#{row['sequence']}: {row['reason']}", style="dim")
