"""``interlock reject``: say that a version must not be used here."""

from __future__ import annotations

import click

from interlock.cli.deciding import decided
from interlock.cli.verb import Result, Terminal, verb
from interlock.governance.approval import Verdict


@verb("reject")
@click.argument("model")
@click.argument("version")
@click.option("--reason", required=True, help="Why; part of what is signed.")
@click.option("--yes", is_flag=True, help="Sign without asking.")
def command(terminal: Terminal, model: str, version: str, reason: str, yes: bool) -> Result:
    """Reject VERSION of MODEL, for good: another version may be approved, this one never again."""
    return decided(
        terminal, verdict=Verdict.REJECT, model=model, version=version, reason=reason, yes=yes
    )
