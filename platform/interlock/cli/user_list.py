"""``interlock user list``: who there is."""

from __future__ import annotations

from interlock.actions.administer import accounts as all_accounts
from interlock.cli.accounts import document_of, opened_accounts, shown
from interlock.cli.verb import Result, Terminal, verb


@verb("list")
def command(terminal: Terminal) -> Result:
    """List people and service accounts, with roles, teams and who is disabled.

    For platform administrators.
    """
    with opened_accounts(terminal) as accounts:
        people = all_accounts(accounts.authority, accounts.run, directory=accounts.directory)
    return Result({"accounts": [document_of(person) for person in people]}, view=[shown(people)])
