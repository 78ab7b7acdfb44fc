"""``interlock audit list``: the streams of the trail, the newest last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import click
from rich.text import Text

from interlock.adapters.audit_log import AuditLog
from interlock.assembly import process_context
from interlock.cli import view
from interlock.cli.entering import opened
from interlock.cli.trail import OUTCOME_STYLES, TRAIL, day_opened, event_row, read_events
from interlock.cli.verb import Result, Terminal, verb
from interlock.governance.audit import AuditEvent, Stream
from interlock.governance.policy import Action


@verb("list")
@click.option(
    "--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Newest streams."
)
def command(terminal: Terminal, limit: int) -> Result:
    """List the streams of the audit trail: one per run, or per process outside runs."""
    with opened(terminal) as workspace:
        audit = workspace.authority.audit
        context = process_context("audit-list", terminal.say)
        with workspace.authority.govern(Action.AUDIT_READ, TRAIL, context) as governed:
            others = [each for each in audit.streams() if each != context.stream]
            listed = _newest(audit, others, limit)
            governed.evidence |= {"streams": len(listed)}
    streams: list[dict[str, Any]] = [
        {
            "stream": stream.name,
            "opened": day_opened(stream),
            "events": len(events),
            "last": event_row(events[-1]),
        }
        for stream, events in listed
    ]
    rows = [
        (
            each["opened"] or "",
            each["stream"],
            each["events"],
            each["last"]["action"],
            Text(each["last"]["outcome"], style=OUTCOME_STYLES.get(each["last"]["outcome"], "")),
        )
        for each in streams
    ]
    shown = view.table(("opened", "stream", ">events", "last action", "outcome"), rows)
    more = len(others) - len(listed)
    return Result(
        {"location": audit.location, "streams": streams, "more": more},
        view=[shown],
        notes=[f"{more} older streams; see --limit"] if more else [],
    )


def _newest(
    audit: AuditLog, streams: Sequence[Stream], limit: int
) -> list[tuple[Stream, tuple[AuditEvent, ...]]]:
    """The streams that were written to last, of the newest days; the newest last.

    Only an event knows its time, so the streams of a day are read before the day is cut.
    """
    first_day = streams[-limit].opened if len(streams) > limit else date.min
    read = [(each, read_events(audit, each)) for each in streams if each.opened >= first_day]
    return sorted(read, key=lambda each: each[1][-1].record.time)[-limit:]
