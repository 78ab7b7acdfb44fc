"""``interlock reconcile``: put back what was changed outside of Interlock, once."""

from __future__ import annotations

from typing import Any

import click

from interlock.actions.reconcile import Reconciled, reconcile_all
from interlock.assembly import process_context
from interlock.cli import view
from interlock.cli.app import FAILURE, OK
from interlock.cli.entering import opened
from interlock.cli.verb import Result, Terminal, verb


@verb("reconcile")
@click.argument("models", nargs=-1, metavar="[MODEL]...")
def command(terminal: Terminal, models: tuple[str, ...]) -> Result:
    """Compare aliases and governance tags with the audit trail, and put them back.

    Of every model, or of each MODEL. For platform administrators: RUN_ROLE=platform_admin. Exits
    with 1 when something was changed by hand or could not be put back. `interlock up` does the
    same every 30 seconds.
    """
    with opened(terminal) as workspace:
        context = process_context("reconcile", terminal.say)
        found = reconcile_all(workspace, context, models)
    changed = [each for each in found if each.findings]
    failed = [f"{each.model}: {why}" for each in found for why in each.failed]
    shown: list[Any] = [
        view.heading("Every alias and tag is as the audit trail says")
        if not changed and not failed
        else ""
    ]
    for each in changed:
        shown += [view.heading(each.model), view.table(("found", "what became of it"), _rows(each))]
    in_flight = [each.model for each in found if each.in_flight]
    return Result(
        {"models": [_document(each) for each in found]},
        view=shown,
        notes=[*failed, *(f"{name}: a move of the champion is under way" for name in in_flight)],
        code=FAILURE if failed or any(each.tampering for each in found) else OK,
    )


def _rows(found: Reconciled) -> list[tuple[str, str]]:
    return [
        (each.what, "put back" if each.what in found.put_back else "recorded")
        for each in found.findings
    ]


def _document(found: Reconciled) -> dict[str, Any]:
    return {
        "model": found.model,
        "tampering": found.tampering,
        "put_back": found.put_back,
        "failed": found.failed,
        "in_flight": bool(found.in_flight),
        "audit_event": found.event_key or None,
    }
