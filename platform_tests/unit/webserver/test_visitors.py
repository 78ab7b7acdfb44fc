"""Who sends a request: sessions, tokens, and what ends them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accounts import PASSWORD
from desk import Desk
from issuer import Issuer, serving
from simulators import FakeClock

from interlock.errors import IdentityError, SignInRefused
from interlock.governance.principal import IdentitySource, Role
from interlock.webserver import visitors as module
from interlock.webserver.visitors import COOKIE, COUNTS, SESSION, Visitors


@pytest.fixture
def desk(clock: FakeClock, tmp_path: Path) -> Desk:
    return Desk(clock, tmp_path)


def test_session_is_of_who_signed_in(desk: Desk) -> None:
    assert desk.visitors.sign_in_here
    assert desk.by_cookie(desk.visitors.sign_in("ADA", PASSWORD)).name == "Ada"
    assert desk.visitors.find({}, {}) is None
    with pytest.raises(SignInRefused):
        desk.visitors.sign_in("ada", "wrong")


def test_session_ends_with_the_day(desk: Desk) -> None:
    cookie = desk.visitors.sign_in("ada", PASSWORD)
    desk.clock.advance(seconds=SESSION.total_seconds() - 1)
    assert desk.by_cookie(cookie)
    desk.clock.advance(seconds=1)
    with pytest.raises(IdentityError, match="has ended"):
        desk.by_cookie(cookie)


def test_forged_and_foreign_sessions_are_refused(desk: Desk) -> None:
    cookie = desk.visitors.sign_in("ada", PASSWORD)
    forger, _ = desk.key("forger")
    forged = forger.session(name="ada", environment="prod", lifetime=SESSION)
    staging = desk.signer.session(name="ada", environment="staging", lifetime=SESSION)
    backfill = desk.signer.backfill_tag(name="ada", nonce="1", environment="prod")
    gone = desk.signer.session(name="eve", environment="prod", lifetime=SESSION)
    for text in (forged, staging, backfill, gone, cookie[:-6], "", "ada"):
        with pytest.raises(IdentityError):
            desk.by_cookie(text)


def test_who_is_disabled_while_signed_in_is_out_within_seconds(desk: Desk) -> None:
    cookie = desk.visitors.sign_in("ada", PASSWORD)
    assert desk.by_cookie(cookie)
    desk.disable("ada")
    desk.clock.advance(seconds=COUNTS.total_seconds())
    with pytest.raises(IdentityError, match="disabled"):
        desk.by_cookie(cookie)
    # Enabled again, they have to sign in again: the old session is replayed in vain.
    desk.directory.change("ada", lambda known: replace(known, disabled=False))
    desk.clock.advance(seconds=COUNTS.total_seconds())
    with pytest.raises(IdentityError, match="was ended"):
        desk.by_cookie(cookie)


def test_session_is_replayed_in_vain_after_signing_out(desk: Desk) -> None:
    cookie = desk.visitors.sign_in("ada", PASSWORD)
    person = desk.by_cookie(cookie)
    desk.clock.advance(seconds=1)
    desk.visitors.sign_out(person)
    with pytest.raises(IdentityError, match="was ended"):
        desk.by_cookie(cookie)


def test_directory_is_not_asked_for_every_request(desk: Desk) -> None:
    cookie = desk.visitors.sign_in("ada", PASSWORD)
    desk.by_cookie(cookie)
    before = desk.store.calls["read"]
    for _ in range(5):
        desk.by_cookie(cookie)
    assert desk.store.calls["read"] == before


def test_who_was_just_found_is_remembered_until_the_directory_has_to_be_asked(desk: Desk) -> None:
    cookies = {COOKIE: desk.visitors.sign_in("ada", PASSWORD)}
    assert desk.visitors.remembered({}, cookies) is None
    found = desk.visitors.find({}, cookies)
    assert desk.visitors.remembered({}, cookies) is found
    assert desk.visitors.remembered({}, {COOKIE: "another"}) is None
    assert desk.visitors.remembered({"authorization": "Bearer x"}, cookies) is None
    desk.clock.advance(seconds=COUNTS.total_seconds())
    assert desk.visitors.remembered({}, cookies) is None
    person = desk.by_cookie(cookies[COOKIE])
    desk.clock.advance(seconds=1)
    desk.visitors.sign_out(person)
    assert desk.visitors.remembered({}, cookies) is None


def test_flood_of_people_does_not_fill_memory(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 1)
    for name in ("ada", "robot", "ada"):
        cookie = desk.signer.session(name=name, environment="prod", lifetime=SESSION)
        assert desk.by_cookie(cookie).account == name


def test_service_account_shows_its_token(desk: Desk) -> None:
    found = desk.visitors.find({"authorization": f"Bearer {desk.token}"}, {})
    assert found is not None
    assert (found.person.name, found.by_cookie) == ("robot", False)
    with pytest.raises(IdentityError):
        desk.visitors.find({"authorization": "Bearer interlock.00.00"}, {})
    desk.disable("robot")
    with pytest.raises(IdentityError):
        desk.visitors.find({"authorization": f"Bearer {desk.token}"}, {})


@pytest.fixture
def issuer(clock: FakeClock) -> Iterator[Issuer]:
    with serving(clock) as made:
        yield made


@pytest.fixture
def proxied(desk: Desk, issuer: Issuer) -> Visitors:
    return desk.visitors_behind(issuer)


def test_proxys_token_says_who_and_the_directory_keeps_it(
    desk: Desk, issuer: Issuer, proxied: Visitors
) -> None:
    def role(**changes: Any) -> Role:
        found = proxied.find({"authorization": f"Bearer {issuer.token(**changes)}"}, {})
        assert found is not None
        assert found.by_cookie
        return found.person.role

    assert not proxied.sign_in_here
    assert role() is Role.ML_ENGINEER
    kept = desk.directory.require_active("ada@example.com")
    assert kept.source is IdentitySource.OIDC_PROXY
    assert role() is Role.ML_ENGINEER
    assert role(groups=["risk-approvers"]) is Role.APPROVER
    assert proxied.find({}, {}) is None


def test_behind_a_proxy_no_cookie_of_our_own_is_believed(desk: Desk, proxied: Visitors) -> None:
    cookie = desk.signer.session(name="ada", environment="prod", lifetime=SESSION)
    assert proxied.find({}, {COOKIE: cookie}) is None


def test_who_is_disabled_here_is_out_whatever_the_proxy_says(
    desk: Desk, issuer: Issuer, proxied: Visitors
) -> None:
    headers = {"authorization": f"Bearer {issuer.token()}"}
    assert proxied.find(headers, {})
    desk.disable("ada@example.com")
    desk.clock.advance(seconds=COUNTS.total_seconds())
    with pytest.raises(IdentityError, match="disabled"):
        proxied.find(headers, {})
