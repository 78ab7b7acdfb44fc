"""The directory: people and service accounts, their roles and teams, and who is disabled.

One small object per account beside the environment mark of the artifact bucket, where runs may
read and never write. Secrets are elsewhere (``credentials.py``): what proves that somebody is
who they say is no business of a run. What a role permits is decided by the policies. ADR-0012.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal
from urllib.parse import quote

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from interlock.adapters.object_store import ObjectStore
from interlock.errors import (
    ConfigurationError,
    IdentityError,
    ObjectExists,
    ObjectMissing,
    PreconditionFailed,
)
from interlock.governance.principal import IdentitySource, Principal, Role, account_of

PEOPLE_PREFIX: Final = "_interlock/people/"
MAX_NAME: Final = 128  # characters; a name is part of a key, of tags and of every event
ATTEMPTS: Final = 8  # at a change that others change meanwhile
_SAFE: Final = "@.-_+"


@dataclass(frozen=True, kw_only=True)
class Person:
    """An account: a person, or a service that acts under a name of its own.

    Attributes:
        name: As records show it.
        role: The one role in which they act.
        teams: The teams they belong to.
        source: Who vouches for them: this platform's own sign-in, or a proxy's tokens.
        sessions_from: Sessions that began earlier are void.
        disabled: Whether they may do nothing any more.
        service: Whether it is a service account, which has a token and no password.
    """

    name: str
    role: Role
    teams: frozenset[str]
    source: IdentitySource
    sessions_from: datetime
    disabled: bool = False
    service: bool = False

    @property
    def account(self) -> str:
        """The name by which two people are one."""
        return account_of(self.name)

    @property
    def principal(self) -> Principal:
        """Who acts, as the policies know them."""
        return Principal(
            name=self.name, role=self.role, verified_by=str(self.source), teams=self.teams
        )


class _Stored(BaseModel):
    """A person as stored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_: Literal["interlock.person/v1"] = Field(alias="schema")
    name: str
    role: Role
    teams: tuple[str, ...]
    source: IdentitySource
    sessions_from: AwareDatetime
    disabled: bool
    service: bool


class Directory:
    """People and service accounts.

    Args:
        store: Where they are kept.
        bucket: The artifact bucket, which no product may read.
        clock: The time, aware UTC.
    """

    def __init__(self, store: ObjectStore, *, bucket: str, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._bucket = bucket
        self._clock = clock

    def find(self, name: str) -> Person | None:
        """An account, however its name is written.

        Raises:
            ConfigurationError: What is stored is not what this version writes.
            StoreUnavailable: The store does not answer.
        """
        found = self._read(name)
        return None if found is None else found[0]

    def require_active(self, name: str) -> Person:
        """An account that may act now.

        Raises:
            IdentityError: Nobody has that name, or they are disabled.
        """
        person = self.find(name)
        if person is None:
            raise IdentityError(
                f"{name} is nobody in the directory", remedy="have them added: `interlock user add`"
            )
        if person.disabled:
            raise IdentityError(
                f"{person.name} is disabled",
                remedy="ask an administrator to enable them, if that is right",
            )
        return person

    def people(self) -> Iterator[Person]:
        """All accounts, by name."""
        for info in self._store.list(self._bucket, PEOPLE_PREFIX):
            yield _decode(self._store.get(self._bucket, info.key), info.key)

    def is_empty(self) -> bool:
        """Whether no person was ever added; the service accounts of a stack are none."""
        return all(found.service for found in self.people())

    def add(self, person: Person) -> Person:
        """Add an account.

        Returns:
            The account as it is now.

        Raises:
            IdentityError: The name is taken, also in other letters, or it is no name.
        """
        _require_name(person.name)
        added = replace(person, sessions_from=self._clock())
        try:
            self._store.put_new(self._bucket, key_of(PEOPLE_PREFIX, person.name), _encode(added))
        except ObjectExists as error:
            raise IdentityError(
                f"there is an account {person.account} already",
                remedy="change it with `interlock user enable`, or choose another name",
            ) from error
        return added

    def change(self, name: str, edit: Callable[[Person], Person]) -> Person:
        """Change an account; its open sessions end with that.

        Args:
            name: Whose.
            edit: Gives the new state for the present one; may be called more than once.

        Returns:
            The account as it is now.

        Raises:
            IdentityError: Nobody has that name, or others change it all the time.
        """
        for _ in range(ATTEMPTS):
            found = self._read(name)
            if found is None:
                raise IdentityError(
                    f"{name} is nobody in the directory", remedy="see `interlock user list`"
                )
            person, etag = found
            changed = replace(edit(person), name=person.name)
            if changed == person:
                return person
            changed = replace(changed, sessions_from=self._clock())
            try:
                self._store.put_matching(
                    self._bucket, key_of(PEOPLE_PREFIX, name), _encode(changed), etag=etag
                )
            except PreconditionFailed:
                continue
            return changed
        raise IdentityError(f"{name} is being changed by others", remedy="try again")

    def end_sessions(self, name: str) -> Person:
        """End the open sessions of an account.

        Raises:
            IdentityError: Nobody has that name, or others change it all the time.
        """
        return self.change(name, lambda person: replace(person, sessions_from=self._clock()))

    def note_verified(self, person: Person) -> Person:
        """Keep what a proxy's verified token said of somebody, for runs that look them up later.

        Nobody becomes enabled by it, and no account of another source becomes theirs.

        Returns:
            The account as it is now.

        Raises:
            IdentityError: The name belongs to an account of another source.
        """
        found = self.find(person.name)
        if found is None:
            try:
                return self.add(person)
            except IdentityError:  # added meanwhile, unless the name is none
                _require_name(person.name)
        return self.change(person.name, lambda known: _as_verified(known, person))

    def _read(self, name: str) -> tuple[Person, str] | None:
        key = key_of(PEOPLE_PREFIX, name)
        try:
            found = self._store.read(self._bucket, key)
        except ObjectMissing:
            return None
        return _decode(found.data, key), found.info.etag


def key_of(prefix: str, name: str) -> str:
    """Where something of an account is stored: readable, and one key for one account."""
    return f"{prefix}{quote(account_of(name), safe=_SAFE)}.json"


def _as_verified(known: Person, verified: Person) -> Person:
    if known.source is not verified.source or known.service:
        raise IdentityError(
            f"{known.name} is an account of the source {known.source}, not of {verified.source}",
            remedy="choose another name for one of the two",
        )
    return replace(known, role=verified.role, teams=verified.teams)


def _require_name(name: str) -> None:
    if not account_of(name) or not name.isprintable() or len(name) > MAX_NAME:
        raise IdentityError(
            f"{name[:MAX_NAME]!r} is no name of an account, expected 1 to {MAX_NAME} printable "
            "characters",
            remedy="take the address or the user name by which people know them",
        )


def _encode(person: Person) -> bytes:
    stored = _Stored.model_validate(
        {
            "schema": "interlock.person/v1",
            "name": person.name,
            "role": person.role,
            "teams": tuple(sorted(person.teams)),
            "source": person.source,
            "sessions_from": person.sessions_from,
            "disabled": person.disabled,
            "service": person.service,
        }
    )
    return stored.model_dump_json(by_alias=True, indent=2).encode()


def _decode(data: bytes, key: str) -> Person:
    try:
        stored = _Stored.model_validate_json(data)
    except ValidationError as error:
        raise ConfigurationError(
            f"{key} is no account that this version wrote: {error.errors()[0]['msg']}",
            remedy="restore the object's previous version",
        ) from error
    fields = {name: getattr(stored, name) for name in _Stored.model_fields if name != "schema_"}
    return Person(**{**fields, "teams": frozenset(stored.teams)})
