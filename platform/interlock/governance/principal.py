"""Who acts, and where: principals, their roles, environments.

Here are the words and how to read them from text. What a role may do is in
``policies/*.cedar`` and decided by ``policy.py``; how a principal is found (an operator's
setting, a schedule, later a signed token) is up to the entry points. ADR-0002.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from interlock.errors import ConfigurationError


class Role(StrEnum):
    """What somebody is on this platform; what it permits is in ``policies/``."""

    VIEWER = "viewer"
    DATA_SCIENTIST = "data_scientist"
    ML_ENGINEER = "ml_engineer"
    APPROVER = "approver"
    AUDITOR = "auditor"
    PLATFORM_ADMIN = "platform_admin"
    SCHEDULER = "scheduler"
    MONITOR = "monitor"

    @property
    def is_platforms(self) -> bool:
        """Whether no person has it: it is for what the platform does by itself."""
        return self in {Role.SCHEDULER, Role.MONITOR}


class Environment(StrEnum):
    """Where a process runs; buckets and registry carry the one they were created for."""

    DEV = "dev"
    STAGING = "staging"
    PROD = "prod"


class IdentitySource(StrEnum):
    """Where the name and role of a principal come from.

    ``env`` is the operator's word alone: the default in dev, elsewhere only when chosen
    explicitly. ``schedule`` is the platform's own service account for runs that no person
    started.
    """

    ENV = "env"
    LOCAL = "local"
    OIDC_PROXY = "oidc-proxy"
    SCHEDULE = "schedule"


TEAM: Final = "team:"
"""What an owner begins with that is a team."""


@dataclass(frozen=True)
class Principal:
    """Who acts.

    Attributes:
        name: The account, printable and not blank, as the record shows it.
        role: The one role in which they act.
        verified_by: How the name was found, e.g. ``env`` or ``schedule``; recorded with
            every event.
        teams: Names of the teams they belong to, as far as that source knows.

    Raises:
        ConfigurationError: The name is blank or holds unprintable characters.
    """

    name: str
    role: Role
    verified_by: str
    teams: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.name.isprintable():
            raise ConfigurationError(
                f"{self.name!r} is no name of a principal, expected printable characters",
                remedy="set RUN_OWNER to the account that acts",
            )

    @property
    def account(self) -> str:
        """The name by which two principals are one; see ``account_of``."""
        return account_of(self.name)

    def is_owner(self, owner: str) -> bool:
        """Whether an owner of a product means them.

        Args:
            owner: ``team:`` and a team, or a person's account.
        """
        if owner.startswith(TEAM):
            return owner.removeprefix(TEAM) in self.teams
        return account_of(owner) == self.account


UNVERIFIED = Principal(name="unverified", role=Role.VIEWER, verified_by="nobody")
"""Whoever did not prove who they are."""


def account_of(name: str) -> str:
    """The form of a name in which equal accounts compare equal.

    Four eyes must not become two by a capital letter, a blank or a full-width character:
    NFKC, surrounding blanks removed, case folded.

    Args:
        name: A name as it was given.

    Returns:
        The name to compare; empty only for a blank one.
    """
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def parse_role(text: str) -> Role:
    """Read a role, e.g. the value of ``RUN_ROLE``.

    Raises:
        ConfigurationError: No such role; the remedy lists them all.
    """
    return _parse(text, Role, "role")


def parse_roles(text: str) -> frozenset[Role]:
    """Read a list of roles, e.g. the value of ``ALLOWED_PROD_ROLES``.

    Args:
        text: Roles separated by commas; blanks around them are ignored.

    Returns:
        The roles; empty for a blank text, which then allows nobody.

    Raises:
        ConfigurationError: One of them is no role.
    """
    return frozenset(parse_role(part) for part in text.split(",") if part.strip())


def parse_environment(text: str) -> Environment:
    """Read an environment, e.g. the value of ``ENVIRONMENT``.

    Raises:
        ConfigurationError: No such environment; the remedy lists them all.
    """
    return _parse(text, Environment, "environment")


def parse_identity_source(text: str) -> IdentitySource:
    """Read where principals come from, e.g. the value of ``IDENTITY_SOURCE``.

    Raises:
        ConfigurationError: No such source; the remedy lists them all.
    """
    return _parse(text, IdentitySource, "identity source")


_Word = TypeVar("_Word", bound=StrEnum)


def _parse(text: str, words: type[_Word], kind: str) -> _Word:
    """The word that the text, without surrounding blanks, spells exactly."""
    try:
        return words(text.strip())
    except ValueError as error:
        raise ConfigurationError(
            f"unknown {kind} {text!r}", remedy=f"choose one of {', '.join(words)}"
        ) from error
