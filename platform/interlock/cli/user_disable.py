"""``interlock user disable``: an account may do nothing any more."""

from __future__ import annotations

import click

from interlock.actions.administer import set_disabled
from interlock.cli.accounts import document_of, opened_accounts, shown
from interlock.cli.verb import Result, Terminal, verb


@verb("disable")
@click.argument("name")
def command(terminal: Terminal, name: str) -> Result:
    """Disable the account NAME: its sessions end, its runs are denied at their next step.

    For platform administrators.
    """
    with opened_accounts(terminal) as accounts:
        person = set_disabled(
            accounts.authority,
            accounts.run,
            directory=accounts.directory,
            name=name,
            disabled=True,
        )
    return Result({"disabled": document_of(person)}, view=[shown([person])])
