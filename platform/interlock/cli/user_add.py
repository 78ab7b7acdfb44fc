"""``interlock user add``: a new account."""

from __future__ import annotations

import click

from interlock.actions.administer import add_account
from interlock.adapters.directory import Person
from interlock.assembly import utc_now
from interlock.cli.accounts import (
    ROLES,
    asked_password,
    document_of,
    opened_accounts,
    shown,
    teams_of,
)
from interlock.cli.verb import Result, Terminal, verb
from interlock.governance.principal import IdentitySource, Role


@verb("add")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="The one role they act in.")
@click.option("--team", "teams", multiple=True, help="A team they belong to; repeat for more.")
@click.option("--service", is_flag=True, help="A service account, which gets a token.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def command(
    terminal: Terminal,
    *,
    name: str,
    role: str,
    teams: tuple[str, ...],
    service: bool,
    password_stdin: bool,
) -> Result:
    """Add the account NAME: a person with a password, or a service account with a token.

    For platform administrators. The first account, while there is none, is added on your word and
    has to be an administrator.
    """
    person = Person(
        name=name,
        role=Role(role),
        teams=teams_of(teams),
        source=IdentitySource.LOCAL,
        sessions_from=utc_now(),
        service=service,
    )
    with opened_accounts(terminal) as opened:
        first = opened.directory.is_empty() and not service
        by_word = first and person.role is Role.PLATFORM_ADMIN
        accounts = opened.on_the_operators_word() if by_word else opened
        accounts.require_administrator("add", person.account)
        token = add_account(
            accounts.authority,
            accounts.run,
            directory=accounts.directory,
            credentials=accounts.credentials,
            person=person,
            password=None if service else asked_password(name, from_stdin=password_stdin),
        )
    notes = [] if token is None else ["the token is shown this once and stored nowhere"]
    document = {"added": document_of(person), **({"token": token} if token else {})}
    tokens = [] if token is None else ["", token]
    return Result(document, view=[shown([person]), *tokens], notes=notes)
