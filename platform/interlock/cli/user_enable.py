"""``interlock user enable``: an account may act again."""

from __future__ import annotations

import click

from interlock.actions.administer import set_disabled
from interlock.cli.accounts import document_of, opened_accounts, shown
from interlock.cli.verb import Result, Terminal, verb


@verb("enable")
@click.argument("name")
def command(terminal: Terminal, name: str) -> Result:
    """Enable the account NAME again, with the password or token that it had.

    For platform administrators.
    """
    with opened_accounts(terminal) as accounts:
        person = set_disabled(
            accounts.authority,
            accounts.run,
            directory=accounts.directory,
            name=name,
            disabled=False,
        )
    return Result({"enabled": document_of(person)}, view=[shown([person])])
