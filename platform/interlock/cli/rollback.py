"""``interlock rollback``: go back to the champion before."""

from __future__ import annotations

from dataclasses import asdict

import click

from interlock.actions.rollback import rollback
from interlock.assembly import process_context
from interlock.cli import view
from interlock.cli.entering import opened
from interlock.cli.verb import Result, Terminal, verb


@verb("rollback")
@click.argument("model")
@click.option("--reason", required=True, help="Why; part of the record.")
def command(terminal: Terminal, model: str, reason: str) -> Result:
    """Point the alias champion of MODEL back at the champion before, on one person's word.

    For ML engineers and platform administrators. What was rejected since is passed over.
    """
    with opened(terminal) as workspace:
        context = process_context("rollback", terminal.say)
        done = rollback(workspace, context, model=model, reason=reason)
    moved = done.move
    shown = view.pairs(
        [
            ("champion", f"{moved.model} version {moved.version}"),
            ("before", moved.previous or "none"),
            ("audit_event", moved.event_key),
        ]
    )
    notes = [f"Passed over: {each}" for each in done.passed_over]
    notes += [f"It may not be deployed like this: {each}" for each in done.lacks]
    document = asdict(moved) | {"lacks": done.lacks, "passed_over": done.passed_over}
    return Result(document, view=[shown], notes=notes)
