"""What administrators do to accounts: add, enable, disable, give a new secret. Each is recorded.

The first administrator is added on the word of who operates the platform, as long as the
directory is empty; every later change needs a role that may administer. ADR-0012.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from interlock.actions.authority import Authority, RunContext
from interlock.adapters.credentials import Credentials
from interlock.adapters.directory import Directory, Person
from interlock.errors import IdentityError
from interlock.governance.access import Action, Resource
from interlock.governance.principal import Role

PLATFORM = Resource("platform", "interlock")


def add_account(
    authority: Authority,
    run: RunContext,
    *,
    directory: Directory,
    credentials: Credentials,
    person: Person,
    password: str | None,
) -> str | None:
    """Add a person with a password, or a service account with a token.

    Args:
        authority: Who acts, and where it is recorded.
        run: Where this happens.
        directory: Who there is.
        credentials: Where secrets are kept.
        person: The new account.
        password: A person's; None for a service account.

    Returns:
        The service account's token; None for a person.

    Raises:
        AccessDenied: The principal may not administer the platform here.
        IdentityError: The name is taken or no name, the password no password, or the role one
            that no person has.
    """
    if person.role.is_platforms and not person.service:
        raise IdentityError(
            f"the role {person.role} is for service accounts",
            remedy="choose a person's role, or add a service account",
        )
    if person.service is not (password is None):
        raise IdentityError(
            "a person has a password, a service account has none", remedy="give one or the other"
        )
    with _changing(authority, run, "add", person):
        if directory.find(person.name) is not None:
            raise IdentityError(
                f"there is an account {person.account} already",
                remedy="change it, or choose another name",
            )
        # The secret first: nobody is ever in the directory who could not have got in properly.
        if password is not None:
            credentials.set_password(person.name, password)
            directory.add(person)
            return None
        token = credentials.new_token(person.name)
        directory.add(person)
        return token


def set_disabled(
    authority: Authority, run: RunContext, *, directory: Directory, name: str, disabled: bool
) -> Person:
    """Disable an account, which ends its sessions and denies its runs, or enable it again.

    Raises:
        AccessDenied: The principal may not administer the platform here.
        IdentityError: Nobody has that name, or it is the last administrator who is enabled.
    """
    known = _known(directory, name)
    with _changing(authority, run, "disable" if disabled else "enable", known):
        if disabled and known.role is Role.PLATFORM_ADMIN and _is_last(directory, known):
            raise IdentityError(
                f"{known.name} is the last administrator who is enabled",
                remedy="add or enable another one first",
            )
        return directory.change(name, lambda person: replace(person, disabled=disabled))


def accounts(authority: Authority, run: RunContext, *, directory: Directory) -> list[Person]:
    """All accounts, for those who administer them.

    Raises:
        AccessDenied: The principal may not administer the platform here.
    """
    authority.authorise(Action.PLATFORM_ADMINISTER, PLATFORM, run)
    return list(directory.people())


def reassign(
    authority: Authority,
    run: RunContext,
    *,
    directory: Directory,
    name: str,
    role: Role,
    teams: frozenset[str],
) -> Person:
    """Give an account another role and other teams.

    Raises:
        AccessDenied: The principal may not administer the platform here.
        IdentityError: Nobody has that name, or it is the last administrator who is enabled.
    """
    known = _known(directory, name)
    changed = replace(known, role=role, teams=teams)
    with _changing(authority, run, "reassign", changed):
        losing = known.role is Role.PLATFORM_ADMIN and role is not Role.PLATFORM_ADMIN
        if losing and _is_last(directory, known):
            raise IdentityError(
                f"{known.name} is the last administrator who is enabled",
                remedy="give somebody else the role first",
            )
        return directory.change(name, lambda person: replace(person, role=role, teams=teams))


def renew_secret(
    authority: Authority,
    run: RunContext,
    *,
    directory: Directory,
    credentials: Credentials,
    name: str,
    password: str | None,
) -> str | None:
    """Give a person a new password, or a service account a new token; sessions end.

    Returns:
        The token; None for a person.

    Raises:
        AccessDenied: The principal may not administer the platform here.
        IdentityError: Nobody has that name, or the password is no password.
    """
    known = _known(directory, name)
    if known.service is not (password is None):
        raise IdentityError(
            "a person has a password, a service account has none", remedy="give one or the other"
        )
    with _changing(authority, run, "renew", known):
        token = None
        if password is None:
            token = credentials.new_token(name)
        else:
            credentials.set_password(name, password)
        directory.end_sessions(name)
        return token


@contextlib.contextmanager
def _changing(authority: Authority, run: RunContext, change: str, person: Person) -> Iterator[None]:
    evidence: Mapping[str, Any] = {
        "change": change,
        "account": person.account,
        "account_role": str(person.role),
        "account_teams": sorted(person.teams),
        "service": person.service,
    }
    with authority.govern(Action.PLATFORM_ADMINISTER, PLATFORM, run, evidence=evidence):
        yield


def _known(directory: Directory, name: str) -> Person:
    person = directory.find(name)
    if person is None:
        raise IdentityError(
            f"{name} is nobody in the directory", remedy="see `interlock user list`"
        )
    return person


def _is_last(directory: Directory, person: Person) -> bool:
    return not any(
        other.role is Role.PLATFORM_ADMIN and not other.disabled and other.account != person.account
        for other in directory.people()
    )
