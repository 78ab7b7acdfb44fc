"""``interlock approve``: agree that a version may be used here."""

from __future__ import annotations

import click

from interlock.cli.deciding import decided
from interlock.cli.verb import Result, Terminal, verb
from interlock.governance.approval import DEFAULT_LIFETIME, MAX_LIFETIME, Verdict


@verb("approve")
@click.argument("model")
@click.argument("version")
@click.option("--reason", required=True, help="Why; part of what is signed.")
@click.option(
    "--expires-days",
    type=click.IntRange(1, MAX_LIFETIME.days),
    default=DEFAULT_LIFETIME.days,
    show_default=True,
    help="How long it is valid.",
)
@click.option("--yes", is_flag=True, help="Sign without asking.")
def command(
    terminal: Terminal, *, model: str, version: str, reason: str, expires_days: int, yes: bool
) -> Result:
    """Approve VERSION of MODEL: show what is signed, sign it, record it.

    For approvers, with APPROVAL_KEY; never for who trained it, nor for its owners. See what waits
    with `interlock approvals`.
    """
    return decided(
        terminal,
        verdict=Verdict.APPROVE,
        model=model,
        version=version,
        reason=reason,
        days=expires_days,
        yes=yes,
    )
