"""``interlock audit export``: a copy of the trail that can be verified without the store."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import click

from interlock.adapters.audit_export import sign_export
from interlock.adapters.signer import open_signer
from interlock.assembly import process_context
from interlock.cli import view
from interlock.cli.app import FAILURE, OK
from interlock.cli.entering import checked_settings, opened
from interlock.cli.next_steps import call
from interlock.cli.trail import TRAIL
from interlock.cli.verb import Result, Terminal, verb
from interlock.governance.policy import Action


@verb("export")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--sign-key",
    "key",
    metavar="KEY",
    help="Sign the copy: a PEM file with a P-256 key, or awskms:///alias/NAME.",
)
def command(terminal: Terminal, folder: Path, key: str | None) -> Result:
    """Copy the audit trail byte for byte into FOLDER, which is empty or does not exist."""
    region = checked_settings(terminal).aws_region
    with (
        nullcontext() if key is None else open_signer(key, region=region) as signer,
        opened(terminal) as workspace,
    ):
        context = process_context("audit-export", terminal.say)
        authority = workspace.authority
        with authority.govern(Action.AUDIT_EXPORT, TRAIL, context) as governed:
            report = authority.audit.export(folder)
            governed.evidence |= {"streams": len(report.streams), "events": report.events}
            if signer is not None:
                governed.evidence |= {
                    "manifest_sha256": sign_export(folder, signer),
                    "signed_by": signer.public_key.fingerprint,
                }
    document = {
        "folder": folder.resolve(),
        "intact": report.intact,
        "streams": len(report.streams),
        "events": report.events,
        "findings": [asdict(finding) for finding in report.all_findings],
    }
    if signer is not None:
        document["signed_by"] = signer.public_key.fingerprint
    shown = view.pairs(
        [
            ("folder", folder.resolve()),
            ("streams", f"{len(report.streams):,}"),
            ("events", f"{report.events:,}"),
            ("verified", view.verdict(report.intact, "intact", "NOT intact")),
        ]
    )
    checked = ["--public-key", "PUBLIC.pem"] if signer is not None else []
    verify = call("audit", "verify", "--export", str(folder), *checked)
    steps = [(verify, "verify it, also elsewhere")]
    return Result(
        document,
        view=[shown, view.heading("Next"), view.commands(steps)],
        code=OK if report.intact else FAILURE,
    )
