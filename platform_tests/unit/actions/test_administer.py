"""Accounts are changed by administrators, on record, and never until nobody is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from accounts import PASSWORD, QUICK
from product_fixtures import World

from interlock.actions.administer import (
    accounts,
    add_account,
    reassign,
    renew_secret,
    set_disabled,
)
from interlock.actions.authority import Authority
from interlock.adapters.credentials import Credentials
from interlock.adapters.directory import Directory, Person
from interlock.errors import AccessDenied, IdentityError, SignInRefused
from interlock.governance.audit import Outcome
from interlock.governance.principal import IdentitySource, Role

ARTIFACTS = "artifacts"


@dataclass
class Bureau:
    """A world with a directory."""

    world: World

    def __post_init__(self) -> None:
        self.world.store.create_bucket(ARTIFACTS)
        where: dict[str, Any] = {"bucket": ARTIFACTS, "clock": self.world.clock}
        self.directory = Directory(self.world.store, **where)
        self.credentials = Credentials(
            self.world.store,
            directory=self.directory,
            hasher=QUICK,
            **where,
        )
        self.run = self.world.run("process-1")

    def as_(self, role: Role) -> Authority:
        return self.world.workspace(name="root", role=role).authority

    def add(
        self,
        name: str,
        role: Role = Role.ML_ENGINEER,
        *,
        by: Role = Role.PLATFORM_ADMIN,
        service: bool = False,
        password: str | None = PASSWORD,
    ) -> str | None:
        return add_account(
            self.as_(by),
            self.run,
            directory=self.directory,
            credentials=self.credentials,
            person=Person(
                name=name,
                role=role,
                teams=frozenset(),
                source=IdentitySource.LOCAL,
                sessions_from=self.world.clock(),
                service=service,
            ),
            password=None if service else password,
        )

    def disable(
        self, name: str, *, by: Role = Role.PLATFORM_ADMIN, disabled: bool = True
    ) -> Person:
        return set_disabled(
            self.as_(by), self.run, directory=self.directory, name=name, disabled=disabled
        )

    def renew(self, name: str, password: str | None) -> str | None:
        return renew_secret(
            self.as_(Role.PLATFORM_ADMIN),
            self.run,
            directory=self.directory,
            credentials=self.credentials,
            name=name,
            password=password,
        )

    def recorded(self) -> list[tuple[Outcome, Any]]:
        return [
            (record.outcome, record.evidence.get("change"))
            for record in self.world.ledger(self.run.stream)
            if record.action == "platform:administer"
        ]


@pytest.fixture
def bureau(world: World) -> Bureau:
    return Bureau(world)


def test_added_people_and_services_get_in(bureau: Bureau) -> None:
    assert bureau.add("ada") is None
    assert bureau.credentials.sign_in("ada", PASSWORD).role is Role.ML_ENGINEER
    token = bureau.add("robot", Role.VIEWER, service=True)
    assert token is not None
    assert bureau.credentials.check_token(token).service
    assert bureau.recorded() == [(Outcome.STARTED, "add"), (Outcome.SUCCEEDED, "add")] * 2
    names = [
        person.name
        for person in accounts(
            bureau.as_(Role.PLATFORM_ADMIN), bureau.run, directory=bureau.directory
        )
    ]
    assert names == ["ada", "robot"]


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PLATFORM_ADMIN])
def test_only_administrators_change_accounts(bureau: Bureau, role: Role) -> None:
    bureau.add("ada")
    before = bureau.recorded()
    changes: list[Callable[[], object]] = [
        lambda: bureau.add("eve", by=role),
        lambda: bureau.disable("ada", by=role),
        lambda: reassign(
            bureau.as_(role),
            bureau.run,
            directory=bureau.directory,
            name="ada",
            role=Role.PLATFORM_ADMIN,
            teams=frozenset(),
        ),
        lambda: accounts(bureau.as_(role), bureau.run, directory=bureau.directory),
    ]
    for change in changes:
        with pytest.raises(AccessDenied):
            change()
    assert bureau.directory.find("eve") is None
    ada = bureau.directory.find("ada")
    assert ada is not None
    assert (ada.role, ada.disabled) == (Role.ML_ENGINEER, False)
    assert bureau.recorded()[len(before) :] == [
        (Outcome.DENIED, "add"),
        (Outcome.DENIED, "disable"),
        (Outcome.DENIED, "reassign"),
        (Outcome.DENIED, None),
    ]


def test_disabled_account_gets_in_nowhere_until_it_is_enabled(bureau: Bureau) -> None:
    bureau.add("ada")
    assert bureau.disable("ada").disabled
    with pytest.raises(SignInRefused):
        bureau.credentials.sign_in("ada", PASSWORD)
    bureau.disable("ada", disabled=False)
    assert bureau.credentials.sign_in("ada", PASSWORD).name == "ada"


def test_last_administrator_can_be_neither_disabled_nor_reassigned(bureau: Bureau) -> None:
    bureau.add("root", Role.PLATFORM_ADMIN)

    def demote() -> Person:
        return reassign(
            bureau.as_(Role.PLATFORM_ADMIN),
            bureau.run,
            directory=bureau.directory,
            name="root",
            role=Role.VIEWER,
            teams=frozenset({"risk"}),
        )

    changes: list[Callable[[], Person]] = [lambda: bureau.disable("root"), demote]
    for change in changes:
        with pytest.raises(IdentityError, match="last administrator"):
            change()
    root = bureau.directory.find("root")
    assert root is not None
    assert (root.role, root.disabled) == (Role.PLATFORM_ADMIN, False)
    assert bureau.recorded()[-1] == (Outcome.FAILED, "reassign")
    bureau.add("second", Role.PLATFORM_ADMIN)
    assert demote().teams == {"risk"}


def test_name_that_is_taken_keeps_its_password(bureau: Bureau) -> None:
    bureau.add("ada")
    with pytest.raises(IdentityError, match="already"):
        bureau.add("ADA", password="another long passphrase")
    assert bureau.credentials.sign_in("ada", PASSWORD).name == "ada"
    assert bureau.recorded()[-1] == (Outcome.FAILED, "add")


def test_person_without_a_proper_password_is_not_added(bureau: Bureau) -> None:
    with pytest.raises(IdentityError, match="password"):
        bureau.add("ada", password="short")
    with pytest.raises(IdentityError, match="a person has a password"):
        bureau.add("ada", password=None)
    with pytest.raises(IdentityError, match="service accounts"):
        bureau.add("ada", Role.SCHEDULER)
    assert bureau.directory.is_empty()


def test_new_secret_ends_the_old_one_and_its_sessions(bureau: Bureau) -> None:
    bureau.add("ada")
    token = bureau.add("robot", service=True)
    before = bureau.directory.require_active("ada").sessions_from
    bureau.world.clock.advance(minutes=1)
    assert bureau.renew("ada", "another long passphrase") is None
    assert bureau.directory.require_active("ada").sessions_from > before
    with pytest.raises(SignInRefused):
        bureau.credentials.sign_in("ada", PASSWORD)
    new = bureau.renew("robot", None)
    assert new is not None
    assert new != token
    assert bureau.credentials.check_token(new).name == "robot"
    for name, password in (("ada", None), ("robot", PASSWORD)):
        with pytest.raises(IdentityError, match="a person has a password"):
            bureau.renew(name, password)
    with pytest.raises(IdentityError, match="nobody"):
        bureau.renew("eve", PASSWORD)
