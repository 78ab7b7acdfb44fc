"""``interlock promote``: make an approved version the champion."""

from __future__ import annotations

from dataclasses import asdict

import click

from interlock.actions.promote import promote
from interlock.assembly import process_context
from interlock.cli import view
from interlock.cli.entering import opened
from interlock.cli.next_steps import call
from interlock.cli.verb import Result, Terminal, verb


@verb("promote")
@click.argument("model")
@click.argument("version")
def command(terminal: Terminal, model: str, version: str) -> Result:
    """Point the alias champion of MODEL at VERSION, when policies, gates and approvals allow it.

    Cut off anywhere, it can simply be run again.
    """
    with opened(terminal) as workspace:
        context = process_context("promote", terminal.say)
        moved = promote(workspace, context, model=model, version=version)
    shown = view.pairs(
        [
            ("champion", f"{moved.model} version {moved.version}"),
            ("before", moved.previous or "none"),
            ("moved", "yes" if moved.moved else "no, it was the champion already"),
            ("audit_event", moved.event_key),
        ]
    )
    steps = [(call("deploy-check", model), "may it be deployed here?")]
    return Result(asdict(moved), view=[shown, view.heading("Next"), view.commands(steps)])
