"""``interlock audit export``: a copy of the trail that can be verified without the store."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from interlock.assembly import process_context
from interlock.cli import view
from interlock.cli.app import FAILURE, OK
from interlock.cli.entering import opened
from interlock.cli.next_steps import call
from interlock.cli.trail import TRAIL
from interlock.cli.verb import Result, Terminal, verb
from interlock.governance.policy import Action


@verb("export")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def command(terminal: Terminal, folder: Path) -> Result:
    """Copy the audit trail byte for byte into FOLDER, which is empty or does not exist."""
    with opened(terminal) as workspace:
        context = process_context("audit-export", terminal.say)
        authority = workspace.authority
        with authority.govern(Action.AUDIT_EXPORT, TRAIL, context) as governed:
            report = authority.audit.export(folder)
            governed.evidence |= {"streams": len(report.streams), "events": report.events}
    document = {
        "folder": folder.resolve(),
        "intact": report.intact,
        "streams": len(report.streams),
        "events": report.events,
        "findings": [asdict(finding) for finding in report.all_findings],
    }
    shown = view.pairs(
        [
            ("folder", folder.resolve()),
            ("streams", f"{len(report.streams):,}"),
            ("events", f"{report.events:,}"),
            ("verified", view.verdict(report.intact, "intact", "NOT intact")),
        ]
    )
    steps = [(call("audit", "verify", "--export", str(folder)), "verify it, also elsewhere")]
    return Result(
        document,
        view=[shown, view.heading("Next"), view.commands(steps)],
        code=OK if report.intact else FAILURE,
    )
