"""Who there is: accounts, one per person however the name is written."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulators import FakeClock, MemoryObjectStore

from interlock.adapters.directory import MAX_NAME, PEOPLE_PREFIX, Directory, Person, key_of
from interlock.errors import ConfigurationError, IdentityError, PreconditionFailed
from interlock.governance.principal import IdentitySource, Role, account_of

BUCKET = "artifacts"
NOW = datetime(2040, 1, 2, 9, tzinfo=UTC)


@pytest.fixture
def store() -> MemoryObjectStore:
    store = MemoryObjectStore()
    store.create_bucket(BUCKET)
    return store


@pytest.fixture
def directory(store: MemoryObjectStore, clock: FakeClock) -> Directory:
    return Directory(store, bucket=BUCKET, clock=clock)


def person(name: str = "ada", **changes: object) -> Person:
    known = Person(
        name=name,
        role=Role.ML_ENGINEER,
        teams=frozenset({"risk"}),
        source=IdentitySource.LOCAL,
        sessions_from=NOW,
    )
    return replace(known, **changes)  # type: ignore[arg-type]


def test_an_account_is_found_however_its_name_is_written(directory: Directory) -> None:
    assert directory.is_empty()
    directory.add(person("exporter", service=True))
    assert directory.is_empty()
    added = directory.add(person("Ada"))
    assert not directory.is_empty()
    for spelling in ("ada", " ADA ", "\uff21da"):
        assert directory.find(spelling) == added
    assert directory.find("grace") is None
    assert added.principal.verified_by == "local"
    assert added.principal.teams == {"risk"}


def test_second_account_of_one_name_in_other_letters_is_refused(directory: Directory) -> None:
    first = directory.add(person("ada"))
    with pytest.raises(IdentityError, match="there is an account ada already"):
        directory.add(person("ADA", role=Role.APPROVER))
    assert list(directory.people()) == [first]


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a" * (MAX_NAME + 1)])
def test_what_is_no_name_is_refused(directory: Directory, name: str) -> None:
    with pytest.raises(IdentityError, match="no name of an account"):
        directory.add(person(name))
    assert directory.is_empty()


@given(st.text(min_size=1, max_size=20))
def test_key_is_one_for_each_account_and_stays_below_its_prefix(name: str) -> None:
    key = key_of(PEOPLE_PREFIX, name)
    assert key == key_of(PEOPLE_PREFIX, account_of(name))
    assert "/" not in key.removeprefix(PEOPLE_PREFIX)


def test_every_change_ends_sessions(directory: Directory, clock: FakeClock) -> None:
    added = directory.add(person())
    clock.advance(minutes=1)
    changed = directory.change("ada", lambda known: replace(known, disabled=True))
    assert changed.sessions_from > added.sessions_from
    assert directory.change("ada", lambda known: known) == changed
    clock.advance(minutes=1)
    assert directory.end_sessions("ada").sessions_from > changed.sessions_from


def test_only_known_and_enabled_accounts_may_act(directory: Directory) -> None:
    directory.add(person())
    assert directory.require_active("ada").name == "ada"
    directory.change("ada", lambda known: replace(known, disabled=True))
    with pytest.raises(IdentityError, match="ada is disabled"):
        directory.require_active("ada")
    with pytest.raises(IdentityError, match="nobody in the directory"):
        directory.require_active("grace")
    with pytest.raises(IdentityError, match="nobody in the directory"):
        directory.change("grace", lambda known: known)


def test_change_that_meets_another_one_keeps_both(
    directory: Directory, store: MemoryObjectStore
) -> None:
    directory.add(person())
    raced: list[None] = []

    def edit(known: Person) -> Person:
        if not raced:
            raced.append(None)
            directory.change("ada", lambda other: replace(other, teams=frozenset({"fraud"})))
        return replace(known, role=Role.APPROVER)

    changed = directory.change("ada", edit)
    assert (changed.role, changed.teams) == (Role.APPROVER, frozenset({"fraud"}))


def test_change_that_never_comes_through_is_told(
    directory: Directory, store: MemoryObjectStore
) -> None:
    before = directory.add(person())
    store.fail_next("put_matching", PreconditionFailed("changed", remedy="again"), times=99)
    with pytest.raises(IdentityError, match="being changed by others"):
        directory.change("ada", lambda known: replace(known, disabled=True))
    assert directory.find("ada") == before


def test_verified_token_brings_role_and_teams_up_to_date(directory: Directory) -> None:
    known = person(source=IdentitySource.OIDC_PROXY)
    directory.note_verified(known)
    noted = directory.note_verified(replace(known, role=Role.APPROVER, teams=frozenset()))
    assert (noted.role, noted.teams) == (Role.APPROVER, frozenset())


def test_verified_token_enables_nobody(directory: Directory) -> None:
    known = directory.note_verified(person(source=IdentitySource.OIDC_PROXY))
    directory.change("ada", lambda found: replace(found, disabled=True))
    assert directory.note_verified(known).disabled


def test_verified_token_takes_over_no_account_of_another_source(directory: Directory) -> None:
    before = directory.add(person())
    with pytest.raises(IdentityError, match="account of the source local"):
        directory.note_verified(person(source=IdentitySource.OIDC_PROXY, role=Role.PLATFORM_ADMIN))
    assert directory.find("ada") == before
    with pytest.raises(IdentityError, match="no name"):
        directory.note_verified(person("a\tb", source=IdentitySource.OIDC_PROXY))


@pytest.mark.parametrize("change", [{"role": "root"}, {"schema": "other"}, {"extra": 1}])
def test_object_that_was_not_written_by_us_is_not_believed(
    directory: Directory, store: MemoryObjectStore, change: dict[str, object]
) -> None:
    directory.add(person())
    key = key_of(PEOPLE_PREFIX, "ada")
    found = store.read(BUCKET, key)
    edited = json.dumps({**json.loads(found.data), **change}).encode()
    store.put_matching(BUCKET, key, edited, etag=found.info.etag)
    with pytest.raises(ConfigurationError, match="no account that this version wrote"):
        directory.find("ada")
