"""``interlock user renew``: another password, or another token."""

from __future__ import annotations

import click

from interlock.actions.administer import renew_secret
from interlock.cli.accounts import asked_password, opened_accounts
from interlock.cli.verb import Result, Terminal, verb


@verb("renew")
@click.argument("name")
@click.option("--service", is_flag=True, help="It is a service account, which gets a new token.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def command(terminal: Terminal, *, name: str, service: bool, password_stdin: bool) -> Result:
    """Give the account NAME a new password or token; the old one and its sessions end.

    For platform administrators.
    """
    with opened_accounts(terminal) as accounts:
        accounts.require_administrator("renew", name)
        token = renew_secret(
            accounts.authority,
            accounts.run,
            directory=accounts.directory,
            credentials=accounts.credentials,
            name=name,
            password=None if service else asked_password(name, from_stdin=password_stdin),
        )
    notes = [] if token is None else ["the token is shown this once and stored nowhere"]
    document = {"renewed": name, **({"token": token} if token else {})}
    return Result(document, view=[token or f"{name} has a new password"], notes=notes)
