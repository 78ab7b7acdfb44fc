"""Deciding at the console: what is done, and what every refusal leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from console_site import OWN, VERSION, Counter, hidden_fields, text_of
from httpx import Response
from office import MODEL, Office

from interlock.actions.rollback import RolledBack, rollback
from interlock.adapters.believed_keys import BelievedKey
from interlock.console.forms import FORM_TYPE
from interlock.governance.principal import Role

MODEL_PAGE = f"/models/{MODEL}"
APPROVE = f"{VERSION}/approve"
SAME_PAGE = {"accept": "text/html", "sec-fetch-site": "same-origin"}


@pytest.fixture
def counter(office: Office, tmp_path: Path) -> Counter:
    return Counter(office, tmp_path)


def confirmed(page: str) -> dict[str, str]:
    """The form of approval on a version's page, filled in, and as if it had been shown again."""
    return {**hidden_fields(page, APPROVE), "reason": "looks good", "confirmed": "yes"}


def refused(
    counter: Counter, act: Callable[[], Response], *, status: int, why: str, action: str
) -> None:
    """Somebody is refused: told why, nothing changed, and it is on record."""
    before, told = counter.world.state(), len(counter.denials())
    answer = act()
    assert answer.status_code == status, answer.text
    assert why in " ".join(answer.text.split())
    assert counter.world.state() == before
    assert counter.world.decisions() == [] or counter.office.case().assessment.counted == ()
    denied = counter.denials()[told:]
    assert [each.action for each in denied] == [action]


def test_two_people_approve_and_a_third_promotes(counter: Counter) -> None:
    counter.approve_all()
    case = counter.office.case()
    assert [each.statement.subject for each in case.assessment.counted] == ["grace", "henry"]
    assert counter.office.tags() == ("approved", "false")
    done = counter.decide("otto", "promote")
    assert (done.status_code, done.headers["location"]) == (303, f"{VERSION}?done=promote")
    assert counter.office.champion() == "1"
    page = counter.get("otto", f"{VERSION}?done=promote").text
    assert "The version is the champion now." in page


def test_approval_carries_reason_meaning_and_end(counter: Counter) -> None:
    assert counter.decide("grace", reason="fair & <b>square</b>", days="30").status_code == 303
    said = counter.office.case().signed[0].statement
    assert (said.reason, said.meaning) == ("fair & <b>square</b>", "validated for use in staging")
    assert said.expires is not None
    assert said.expires - said.issued == timedelta(days=30)
    page = counter.get("henry", VERSION).text
    assert "fair &amp; &lt;b&gt;square&lt;/b&gt;" in page
    assert "<b>square" not in page


def test_rejection_stands(counter: Counter) -> None:
    assert counter.decide("grace", "reject", reason="it declines everybody").status_code == 303
    assert counter.office.tags() == ("rejected", "true")
    refused(
        counter,
        lambda: counter.decide("henry"),
        status=409,
        why="grace rejected it, which stands",
        action="model:approve",
    )


def test_nothing_is_decided_before_it_is_confirmed(counter: Counter) -> None:
    form = counter.form("grace", VERSION, APPROVE)
    shown = counter.post("grace", APPROVE, {**form, "reason": "looks good"})
    assert shown.status_code == 200
    assert "validated for use in staging" in shown.text
    assert counter.world.decisions() == []


def succeeded_by_another(office: Office) -> Office:
    """The first version was the champion, and a second one is."""
    office.approve_all()
    office.promote()
    second = office.another_version()
    office.approve_all(second)
    office.promote(second)
    return office


def test_rollback_returns_to_the_champion_before(counter: Counter) -> None:
    office = succeeded_by_another(counter.office)
    done = counter.decide("otto", "rollback", page=MODEL_PAGE, reason="it declines everybody")
    assert done.status_code == 303, done.text
    assert office.champion() == "1"


def test_rollback_is_shown_with_its_reason_where_the_version_is_offered_again(
    counter: Counter,
) -> None:
    office = succeeded_by_another(counter.office)
    promoted = f"{counter.clock():%Y-%m-%d %H:%M:%S} UTC"
    counter.clock.advance(hours=1)
    back = f"{counter.clock():%Y-%m-%d %H:%M:%S} UTC"
    office.rollback(reason="it declines everybody")
    model = text_of(counter.get("arno", MODEL_PAGE).text)
    assert f"Version 1 , since {back}" in model
    assert "rollback on record" in model
    assert f"From version 2 to version 1, {back} , by otto" in model
    offered = text_of(counter.get("otto", "/waiting").text)
    for shown in (offered, text_of(counter.get("otto", f"{MODEL_PAGE}/versions/2").text)):
        assert "It was the champion and was rolled back" in shown
        assert f"on {back}" in shown
        assert "it declines everybody" in shown
    assert "Nothing keeps it from being promoted again" in offered
    assert "it declines everybody" in text_of(counter.get("arno", "/audit").text)
    assert f"It came back; it had been promoted {promoted}" in model
    office.promote("2")
    again = text_of(counter.get("otto", f"{MODEL_PAGE}/versions/2").text)
    assert "It was the champion and was rolled back" not in again


def test_rollback_of_what_moved_meanwhile_is_refused(counter: Counter) -> None:
    office = succeeded_by_another(counter.office)
    answer = counter.decide("otto", "rollback", page=MODEL_PAGE, between=office.rollback)
    assert answer.status_code == 409, answer.text
    assert office.champion() == "1"
    assert "not what the page showed" in office.last_refusal().reason


def test_form_without_proof_is_refused(counter: Counter) -> None:
    form = confirmed(counter.get("grace", VERSION).text)
    del form["proof"]
    refused(
        counter,
        lambda: counter.post("grace", APPROVE, form),
        status=403,
        why="does not carry the proof",
        action="console:approve",
    )


def test_proof_of_somebody_else_is_refused(counter: Counter) -> None:
    theirs = confirmed(counter.get("henry", VERSION).text)
    refused(
        counter,
        lambda: counter.post("grace", APPROVE, theirs),
        status=403,
        why="does not carry the proof",
        action="console:approve",
    )


def test_form_of_another_page_is_refused(counter: Counter) -> None:
    form = confirmed(counter.get("grace", VERSION).text)
    other = {"origin": "https://evil.example"}
    refused(
        counter,
        lambda: counter.post("grace", APPROVE, form, headers=other),
        status=403,
        why="The request comes from another page",
        action="console:request",
    )


@pytest.mark.parametrize(
    ("path", "body", "kind", "status"),
    [
        (f"{VERSION}/approve", "reason=x", "text/plain", 415),
        (f"{VERSION}/approve", "proof=a&proof=b", FORM_TYPE, 400),
        (f"{VERSION}/approve", "%ff=1", FORM_TYPE, 400),
        (f"{VERSION}/approve", "x" * 20_000, FORM_TYPE, 413),
        ("/nothing", "a=1", FORM_TYPE, 404),
        ("/audit", "a=1", FORM_TYPE, 405),
    ],
    ids=["type", "twice", "bytes", "size", "address", "method"],
)
def test_form_that_cannot_be_read_or_has_no_address_is_refused(
    counter: Counter, path: str, body: str, kind: str, status: int
) -> None:
    headers = {**counter.headers("grace"), **OWN, "content-type": kind}
    refused(
        counter,
        lambda: counter.client.post(path, content=body, headers=headers),
        status=status,
        why="",
        action="console:request",
    )
    assert (counter.denials()[-1].principal.name, path in counter.denials()[-1].reason) == (
        "grace",
        True,
    )


def test_two_rollbacks_at_once_go_back_once(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one is confirmed between the look at what is there and the move."""
    office = counter.office
    for version in ("1", office.another_version(), office.another_version()):
        office.approve_all(version)
        office.promote(version)

    def later(*args: Any, **options: Any) -> RolledBack:
        office.rollback()
        return rollback(*args, **options)

    monkeypatch.setattr("interlock.console.changes.rollback", later)
    answer = counter.decide("otto", "rollback", page=MODEL_PAGE)
    assert answer.status_code == 409, answer.text
    assert office.champion() == "2"
    assert "moved by somebody else meanwhile" in office.last_refusal().reason


@pytest.mark.parametrize("verb", ["approve", "reject", "promote"])
def test_nothing_is_done_by_a_link(counter: Counter, verb: str) -> None:
    refused(
        counter,
        lambda: counter.get("grace", f"{VERSION}/{verb}?reason=x&confirmed=yes"),
        status=405,
        why="nothing is done by following a link",
        action=f"console:{verb}",
    )


def test_author_cannot_approve_own_model(counter: Counter) -> None:
    # Another role does not make another person.
    counter.directory.change("ada", lambda known: known.__class__(
        **{**known.__dict__, "role": Role.APPROVER}
    ))  # fmt: skip
    refused(
        counter,
        lambda: counter.decide("ada"),
        status=403,
        why="nobody decides on their own version",
        action="model:approve",
    )


@pytest.mark.parametrize(
    ("name", "verb", "why"),
    [
        ("vera", "approve", "no policy permits it to the role viewer"),
        ("otto", "approve", "no policy permits it to the role ml_engineer"),
        ("tess", "approve", "they or their team own"),
        ("grace", "promote", "no policy permits it to the role approver"),
        ("arno", "reject", "no policy permits it to the role auditor"),
    ],
)
def test_who_may_not_is_refused(counter: Counter, name: str, verb: str, why: str) -> None:
    refused(
        counter,
        lambda: counter.decide(name, verb),
        status=403,
        why=why,
        action=f"model:{verb}",
    )


def test_nobody_approves_twice(counter: Counter) -> None:
    assert counter.decide("grace").status_code == 303
    before = counter.world.decisions()
    answer = counter.decide("grace")
    assert answer.status_code == 409
    assert "grace approved it already" in answer.text
    assert counter.world.decisions() == before
    assert "grace approved it already" in counter.office.last_refusal().reason


def test_evidence_that_changed_since_the_page_is_refused(counter: Counter) -> None:
    refused(
        counter,
        lambda: counter.decide("grace", seen="ab" * 32),
        status=409,
        why="is not what the page showed",
        action="model:approve",
    )


def test_promotion_of_something_else_than_was_shown_is_refused(counter: Counter) -> None:
    counter.office.approve_all()
    before = counter.world.state()
    answer = counter.decide("otto", "promote", seen="ab" * 32)
    assert answer.status_code == 409
    assert (counter.world.state(), counter.office.champion()) == (before, None)
    assert "not what the page showed" in counter.office.last_refusal().reason


def test_promotion_lacks_what_was_rejected_meanwhile(counter: Counter) -> None:
    counter.office.approve_all()
    answer = counter.decide("otto", "promote", between=lambda: counter.office.reject("ines"))
    assert answer.status_code == 403, answer.text
    assert counter.office.champion() is None
    assert counter.denials()[-1].action == "model:promote"


def test_disabled_user_does_nothing_any_more(counter: Counter) -> None:
    form = confirmed(counter.get("grace", VERSION).text)
    counter.disable("grace")
    refused(
        counter,
        lambda: counter.post("grace", APPROVE, form),
        status=401,
        why="Sign in first",
        action="console:signIn",
    )


def test_expired_session_does_nothing_any_more(counter: Counter) -> None:
    form = confirmed(counter.get("grace", VERSION).text)
    headers = {**counter.headers("grace"), **OWN}
    counter.clock.advance(hours=11)
    before = counter.world.state()
    answer = counter.client.post(APPROVE, data=form, headers=headers)
    assert answer.status_code == 401
    assert counter.world.state() == before
    assert counter.denials()[0].action == "console:signIn"


def test_page_that_was_opened_yesterday_is_refused(counter: Counter) -> None:
    form = confirmed(counter.get("grace", VERSION).text)
    counter.clock.advance(hours=11)
    counter._cookies.clear()  # signed in anew
    refused(
        counter,
        lambda: counter.post("grace", APPROVE, form),
        status=403,
        why="was opened too long ago",
        action="console:approve",
    )


@pytest.mark.parametrize("fields", [{"reason": " "}, {"days": "0"}, {"days": "366"}, {"days": "x"}])
def test_approval_needs_a_reason_and_a_lifetime(counter: Counter, fields: dict[str, Any]) -> None:
    refused(
        counter,
        lambda: counter.decide("grace", **fields),
        status=409,
        why="What to do:",
        action="model:approve",
    )


def test_rollback_needs_a_reason(counter: Counter) -> None:
    counter.office.approve_all()
    counter.office.promote()
    answer = counter.decide("otto", "rollback", page=MODEL_PAGE, reason="")
    assert answer.status_code == 409
    assert counter.denials()[-1].action == "model:rollback"
    assert counter.office.champion() == "1"


def test_without_a_key_nothing_is_signed(counter: Counter) -> None:
    site = counter.site_of(signer=None)
    counter.client = counter.client_of(site, counter.visitors)
    page = counter.get("grace", VERSION).text
    assert "this console holds no key that signs decisions" in page
    refused(
        counter,
        lambda: counter.decide("grace"),
        status=500,
        why="holds no key that signs decisions",
        action="model:approve",
    )


def test_hostile_form_is_refused(counter: Counter) -> None:
    headers = {**counter.headers("grace"), **OWN}
    kind = {"content-type": "application/x-www-form-urlencoded"}
    sent = [
        (b"reason=a&reason=b", 400),
        (b"reason=%ff", 400),
        (b"x" * 20_000, 413),
        (b"&".join(b"f%d=1" % n for n in range(50)), 400),
    ]
    for body, status in sent:
        answer = counter.client.post(APPROVE, content=body, headers={**headers, **kind})
        assert answer.status_code == status, body[:30]
    answer = counter.client.post(APPROVE, json={"reason": "a"}, headers=headers)
    assert answer.status_code == 415
    assert counter.world.decisions() == []


def test_operator_alone_shows_nobody_that_they_decided(counter: Counter) -> None:
    client = counter.without_sign_in("grace", Role.APPROVER)
    page = client.get(VERSION, headers=SAME_PAGE).text
    assert "whoever opens this page acts as <strong>grace</strong>" in page
    assert "nobody signs in here, so nothing would show that grace decided" in page
    form = confirmed(page)
    other = client.post(APPROVE, data=form, headers=SAME_PAGE)
    assert other.status_code == 403  # a browser that does not say from which page
    refused(
        counter,
        lambda: client.post(APPROVE, data=form, headers={**SAME_PAGE, **OWN}),
        status=409,
        why="rests on",
        action="model:approve",
    )


def test_operator_signs_with_a_key_of_their_own(counter: Counter) -> None:
    counter.office.believe(BelievedKey(counter.office.key.public_key, "grace"))
    client = counter.without_sign_in("grace", Role.APPROVER)
    page = client.get(VERSION, headers=SAME_PAGE).text
    form = confirmed(page)
    done = client.post(APPROVE, data=form, headers={**SAME_PAGE, **OWN})
    assert done.status_code == 303, done.text
    assert [each.statement.subject for each in counter.office.case().assessment.counted] == [
        "grace"
    ]
    # Nobody else can decide with it.
    signed_in = counter.client_of(counter.site_of(), counter.visitors)
    assert (
        "this console signs for grace alone"
        in signed_in.get(VERSION, headers=counter.headers("henry")).text
    )


def test_key_that_nobody_believes_is_said_beforehand(counter: Counter) -> None:
    counter.office.believe()
    site = counter.site_of()
    counter.client = counter.client_of(site, counter.visitors)
    assert "the key of this console is not believed" in counter.get("grace", VERSION).text
