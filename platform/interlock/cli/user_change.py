"""``interlock user change``: another role, other teams."""

from __future__ import annotations

import click

from interlock.actions.administer import reassign
from interlock.cli.accounts import ROLES, document_of, opened_accounts, shown, teams_of
from interlock.cli.verb import Result, Terminal, verb
from interlock.governance.principal import Role


@verb("change")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="The one role they act in.")
@click.option("--team", "teams", multiple=True, help="A team they belong to; repeat for more.")
def command(terminal: Terminal, *, name: str, role: str, teams: tuple[str, ...]) -> Result:
    """Give the account NAME another role and these teams alone; it has to sign in again.

    For platform administrators.
    """
    with opened_accounts(terminal) as accounts:
        person = reassign(
            accounts.authority,
            accounts.run,
            directory=accounts.directory,
            name=name,
            role=Role(role),
            teams=teams_of(teams),
        )
    return Result({"changed": document_of(person)}, view=[shown([person])])
