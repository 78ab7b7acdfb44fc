"""What the verbs of ``interlock user`` have in common: who acts, passwords, how accounts look."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import click
from rich.console import RenderableType

from interlock.actions.administer import PLATFORM
from interlock.actions.authority import Authority, RunContext
from interlock.adapters.credentials import MIN_PASSWORD, Credentials
from interlock.adapters.directory import Directory, Person
from interlock.assembly import (
    open_credentials,
    open_directory,
    open_own_authority,
    open_store,
    process_context,
)
from interlock.cli import view
from interlock.cli.entering import checked_settings, services
from interlock.cli.next_steps import call
from interlock.cli.verb import Terminal
from interlock.errors import AccessDenied
from interlock.governance.access import Action
from interlock.governance.principal import Principal, Role
from interlock.settings import operator_principal
from interlock.variables import team_list

ROLES = [role.value for role in Role]


@dataclass(frozen=True)
class Accounts:
    """Where accounts are changed, and by whom.

    Args:
        authority: Who acts.
        run: Where this happens.
        directory: Who there is.
        credentials: Where secrets are kept.
        operator: Whose word it is that the first administrator is right.
    """

    authority: Authority
    run: RunContext
    directory: Directory
    credentials: Credentials
    operator: Principal

    def on_the_operators_word(self) -> Accounts:
        """The same, acting as an administrator, which is right for the first account alone."""
        return replace(self, authority=self.authority.acting_as(self.operator))

    def require_administrator(self, change: str, name: str) -> None:
        """Refuse who may not change accounts, before they are asked for a password.

        Args:
            change: What they want to do, as records name it.
            name: To which account.

        Raises:
            AccessDenied: They are no administrator; it is recorded.
        """
        evidence = {"change": change, "account": name}
        try:
            self.authority.authorise(
                Action.PLATFORM_ADMINISTER, PLATFORM, self.run, evidence=evidence
            )
        except AccessDenied as denial:
            if self.directory.is_empty():
                denial.remedy = (
                    "there is no account yet, so add an administrator first, which is done on your "
                    f"word: `{call('user', 'add', 'root@example.com', '--role', 'platform_admin')}`"
                )
            raise


@contextlib.contextmanager
def opened_accounts(terminal: Terminal) -> Iterator[Accounts]:
    """Directory and credentials, with the services that the settings name.

    Raises:
        AccessDenied: RUN_ROLE is no role or ENVIRONMENT no environment; it is recorded.
        ConfigurationError: Another setting is wrong.
    """
    with services(terminal, checked_settings(terminal)) as settings:
        store = open_store(settings)
        yield Accounts(
            authority=open_own_authority(settings, store),
            run=process_context("user", terminal.say),
            directory=open_directory(settings, store),
            credentials=open_credentials(settings, store),
            operator=operator_principal(settings),
        )


def asked_password(name: str, *, from_stdin: bool) -> str:
    """A new password: typed twice, or the first line of standard input.

    How long it has to be is said with the question.

    Args:
        name: Whose.
        from_stdin: Whether it is piped in.
    """
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    question = f"Password of {name}, at least {MIN_PASSWORD} characters"
    return str(click.prompt(question, hide_input=True, confirmation_prompt=True, err=True))


def teams_of(given: tuple[str, ...]) -> frozenset[str]:
    """The teams that were given, one per option.

    Raises:
        BadParameter: One of them is no team's name.
    """
    try:
        return team_list(",".join(given)) if given else frozenset()
    except ValueError as error:
        raise click.BadParameter(f"expected {error}", param_hint="--team") from error


def document_of(person: Person) -> dict[str, Any]:
    """An account as JSON values."""
    return {
        "name": person.name,
        "role": person.role,
        "teams": sorted(person.teams),
        "source": person.source,
        "service": person.service,
        "disabled": person.disabled,
    }


def shown(people: list[Person]) -> RenderableType:
    """Accounts as a table."""
    return view.table(
        ("name", "kind", "role", "teams", "source", "state"),
        [
            (
                person.name,
                "service" if person.service else "person",
                person.role.value,
                ", ".join(sorted(person.teams)),
                person.source.value,
                view.verdict(not person.disabled, "enabled", "disabled"),
            )
            for person in people
        ],
    )
