"""Passwords and tokens: what gets in, what does not, and what the one who asks is told."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from accounts import BUCKET, PASSWORD, Accounts
from argon2 import PasswordHasher
from simulators import FakeClock

from interlock.adapters.credentials import (
    CREDENTIALS_PREFIX,
    LOCKED_FOR,
    MAX_FAILURES,
    MAX_PASSWORD,
)
from interlock.adapters.directory import key_of
from interlock.errors import (
    ConfigurationError,
    IdentityError,
    ObjectExists,
    PreconditionFailed,
    SignInRefused,
)

WRONG = "incorrect horse battery"


class World(Accounts):
    """Ada and robot, what is stored of them, and how they are refused."""

    def stored(self, name: str = "ada") -> dict[str, object]:
        found: dict[str, object] = json.loads(
            self.store.get(BUCKET, key_of(CREDENTIALS_PREFIX, name))
        )
        return found

    def refused(self, name: str, password: str) -> str:
        with pytest.raises(SignInRefused) as caught:
            self.credentials.sign_in(name, password)
        # Nothing of the cause is in what the one who asks is told.
        assert caught.value.message == "the sign-in did not succeed"
        return caught.value.why


@pytest.fixture
def world(clock: FakeClock) -> World:
    return World(clock)


def test_right_password_signs_in_however_the_name_is_written(world: World) -> None:
    assert world.credentials.sign_in(" ADA", PASSWORD).name == "ada"
    assert world.stored()["failures"] == 0


def test_neither_password_nor_token_is_stored(world: World) -> None:
    stored = str(world.stored()) + str(world.stored("robot"))
    assert PASSWORD not in stored
    assert world.token.rpartition(".")[2] not in stored
    assert str(world.stored()["password"]).startswith("$argon2id$")


def test_cost_of_a_hash_is_that_of_the_rfc() -> None:
    # RFC 9106, 4: the second recommended option.
    hasher = PasswordHasher()
    assert (hasher.time_cost, hasher.memory_cost, hasher.parallelism) == (3, 65_536, 4)


def test_cause_of_a_refusal_is_for_the_record_alone(world: World) -> None:
    assert "wrong" in world.refused("ada", WRONG)
    assert "nobody" in world.refused("eve", WRONG)
    assert "nobody" in world.refused("  ", WRONG)
    assert "none" in world.refused("robot", WRONG)
    world.directory.change("ada", lambda found: replace(found, disabled=True))
    assert "disabled" in world.refused("ada", PASSWORD)


def test_repeated_failures_lock_the_account_for_a_while(world: World, clock: FakeClock) -> None:
    for _ in range(MAX_FAILURES):
        assert "wrong" in world.refused("ada", WRONG)
    assert "locked" in world.refused("ada", PASSWORD)
    clock.advance(seconds=LOCKED_FOR.total_seconds() - 1)
    assert "locked" in world.refused("ada", PASSWORD)
    clock.advance(seconds=2)
    assert world.credentials.sign_in("ada", PASSWORD).name == "ada"
    for _ in range(MAX_FAILURES - 1):
        world.refused("ada", WRONG)
    assert world.credentials.sign_in("ada", PASSWORD).name == "ada"


def test_guessing_at_once_gains_no_attempts(world: World) -> None:
    with ThreadPoolExecutor(4) as pool:
        causes = list(pool.map(lambda _: world.refused("ada", WRONG), range(12)))
    assert sum("wrong" in cause for cause in causes) <= MAX_FAILURES
    assert "locked" in world.refused("ada", PASSWORD)


def test_new_password_ends_the_old_one_and_a_lock(world: World) -> None:
    for _ in range(MAX_FAILURES):
        world.refused("ada", WRONG)
    world.credentials.set_password("ada", "another long passphrase")
    assert world.credentials.sign_in("ada", "another long passphrase").name == "ada"
    assert "wrong" in world.refused("ada", PASSWORD)


@pytest.mark.parametrize("password", ["short", "x" * (MAX_PASSWORD + 1), "My name is ADA, really"])
def test_weak_password_is_refused_and_the_old_one_stays(world: World, password: str) -> None:
    with pytest.raises(IdentityError, match="password"):
        world.credentials.set_password("ada", password)
    assert world.credentials.sign_in("ada", PASSWORD).name == "ada"


def test_overlong_password_is_refused_without_keeping_the_server_busy(world: World) -> None:
    assert "wrong" in world.refused("ada", "x" * 1_000_000)


def test_token_of_a_service_account_is_known_until_it_gets_another(world: World) -> None:
    assert world.credentials.check_token(world.token).name == "robot"
    new = world.credentials.new_token("robot")
    assert world.credentials.check_token(new).name == "robot"
    with pytest.raises(SignInRefused):
        world.credentials.check_token(world.token)


def test_altered_and_foreign_tokens_are_refused(world: World) -> None:
    prefix, account, secret = world.token.split(".")
    ada = b"ada".hex()
    for forged in (
        "",
        "a.b",
        "interlock.zz.secret",
        f"other.{account}.{secret}",
        f"{prefix}.{ada}.{secret}",
        f"{prefix}.{ada}.",
        f"{prefix}.{account}.{secret[:-1]}",
        f"{prefix}.{b'eve'.hex()}.{secret}",
        f"{prefix}..{secret}",
    ):
        with pytest.raises(SignInRefused):
            world.credentials.check_token(forged)
    world.directory.change("robot", lambda found: replace(found, disabled=True))
    with pytest.raises(SignInRefused) as caught:
        world.credentials.check_token(world.token)
    assert "disabled" in caught.value.why


def test_secret_that_others_change_all_the_time_is_told(world: World) -> None:
    busy = PreconditionFailed("changed", remedy="again")
    world.store.fail_next("put_matching", busy, times=99)
    with pytest.raises(IdentityError, match="being changed by others"):
        world.credentials.set_password("ada", PASSWORD)
    assert "busy" in world.refused("ada", PASSWORD)


def test_two_first_secrets_end_as_one(world: World) -> None:
    world.store.fail_next("put_new", ObjectExists("taken", remedy="again"), times=1)
    world.credentials.set_password("grace", PASSWORD)
    assert str(world.stored("grace")["password"]).startswith("$argon2id$")


@pytest.mark.parametrize("body", [b"[]", b'{"schema": "other"}', b'{"password": ""}', b"nothing"])
def test_what_is_stored_and_not_ours_is_not_believed(world: World, body: bytes) -> None:
    key = key_of(CREDENTIALS_PREFIX, "ada")
    world.store.put_matching(BUCKET, key, body, etag=world.store.head(BUCKET, key).etag)
    with pytest.raises(ConfigurationError, match="not what this version writes"):
        world.credentials.sign_in("ada", PASSWORD)
