"""``interlock audit show``: the events of a stream, in short or as they are stored."""

from __future__ import annotations

import click
from rich.text import Text

from interlock.assembly import process_context
from interlock.cli import view
from interlock.cli.entering import opened
from interlock.cli.trail import TRAIL, day_opened, event_row, events_view, find_stream
from interlock.cli.verb import Result, Terminal, verb
from interlock.errors import AuditError
from interlock.governance.audit import decode, event_document
from interlock.governance.policy import Action


@verb("show")
@click.argument("stream")
@click.option("--event", "number", type=click.IntRange(min=1), help="Only this one, as stored.")
def command(terminal: Terminal, stream: str, number: int | None) -> Result:
    """Show the events of STREAM: its name, or enough of its beginning to be the only one."""
    with opened(terminal) as workspace:
        audit = workspace.authority.audit
        context = process_context("audit-show", terminal.say)
        with workspace.authority.govern(Action.AUDIT_READ, TRAIL, context) as governed:
            found = find_stream(audit, stream)
            governed.evidence |= {"stream": found.name}
            stored = audit.read(found)
    if number is not None and number > len(stored):
        raise AuditError(
            f"stream {found.name} has {len(stored)} events, no event {number}",
            remedy="leave --event out to see them all",
        )
    chosen = stored if number is None else [stored[number - 1]]
    events = [decode(each.data, key=each.key) for each in chosen]
    document = {
        "stream": found.name,
        "opened": day_opened(found),
        "events": [
            {**event_document(event), "key": each.key, "sha256": each.sha256}
            for event, each in zip(events, chosen, strict=True)
        ],
    }
    if number is not None:
        return Result(document, view=[Text(chosen[0].data.decode().rstrip(), no_wrap=True)])
    rows = [event_row(event) for event in events]
    return Result(
        document,
        view=[view.heading(found.name if found.is_ledger else str(found)), *events_view(rows)],
    )
