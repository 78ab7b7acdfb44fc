"""What passes the gate in front of Dagster, and what every refusal leaves behind."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import threading
from html import escape
from pathlib import Path
from typing import Any

import httpx
import pytest
from accounts import PASSWORD
from asgi_client import ADDRESS
from front import MUTATION, OWN, Front, connection
from httpx import Response
from simulators import FakeClock
from trails import GONE

from interlock.adapters.credentials import AT_ONCE, MAX_FAILURES
from interlock.adapters.directory import Person
from interlock.adapters.run_identity import COMMANDS
from interlock.console.rendering import STATIC
from interlock.governance.principal import IdentitySource, Role
from interlock.webserver.bodies import MAX_SIGN_IN
from interlock.webserver.connection import refusal_of
from interlock.webserver.door import REFUSALS, SIGN_IN_OF_COMMANDS, WAITING
from interlock.webserver.records import named_in
from interlock.webserver.requests import (
    MAX_BODY,
    is_own_origin,
    with_security,
    without_identity,
)
from interlock.webserver.visitors import COOKIE, COUNTS, SESSION, OperatorAlone


@pytest.fixture
def front(clock: FakeClock, tmp_path: Path) -> Front:
    return Front(clock, tmp_path)


def sign_in(front: Front, password: str = PASSWORD, **headers: str) -> Response:
    return front.client.post(
        "/sign-in", data={"name": "ada", "password": password}, headers={**OWN, **headers}
    )


def test_person_signs_in_looks_and_signs_out(front: Front) -> None:
    page = {"accept": "text/html"}
    assert front.client.get("/", headers=page).headers["location"] == "/sign-in"
    assert "<form" in front.client.get("/sign-in").text
    done = sign_in(front)
    assert done.status_code == 303
    cookie = done.headers["set-cookie"]
    for word in ("HttpOnly", "SameSite=strict", "Secure", "Max-Age=36000"):
        assert word in cookie
    session = {"cookie": cookie.split(";")[0]}
    assert front.client.get("/", headers=session).status_code == 200
    assert front.reached[-1][1] == "Ada"
    front.desk.clock.advance(seconds=1)
    out = front.client.post("/sign-out", headers={**session, **OWN})
    assert out.status_code == 303
    # Dagit keeps buttons in the browser; who comes next is to see their own.
    assert [each.headers["clear-site-data"] for each in (done, out)] == ['"storage"'] * 2
    assert front.client.get("/", headers=session).status_code == 401
    assert [each[:2] for each in front.told()] == [
        ("dagit:signIn", "started"),
        ("dagit:signIn", "succeeded"),
        ("dagit:signOut", "started"),
        ("dagit:signOut", "succeeded"),
        ("dagit:signIn", "denied"),
    ]
    assert front.trail.log.verify().intact


@pytest.mark.parametrize("other", ['theme={"a":1}', "a[b]=1", "k=v w", 'a="b', "_x"])
def test_cookies_of_others_hide_no_session(front: Front, other: str) -> None:
    session = front.cookie()["cookie"]
    for cookies in (f"{other}; {session}", f"{session}; {other}"):
        assert front.client.get("/", headers={"cookie": cookies}).status_code == 200


def test_failed_sign_in_tells_nothing_and_is_recorded(front: Front) -> None:
    refused = sign_in(front, "wrong")
    assert refused.status_code == 403
    assert "did not succeed" in refused.text
    assert "set-cookie" not in refused.headers
    (record,) = front.records()
    assert (record.outcome.value, record.principal.name) == ("denied", "unverified")
    assert "the password of Ada is wrong" in record.reason


def test_page_after_a_failed_sign_in_keeps_the_name_and_tells_of_it(front: Front) -> None:
    typed = '"><script>alert(1)</script>'
    refused = front.client.post("/sign-in", data={"name": typed, "password": "x"}, headers=OWN)
    assert refused.status_code == 403
    assert '<p class="alarm" role="alert">The sign-in did not succeed' in refused.text
    assert f'value="{escape(typed)}"' in refused.text
    assert "<script" not in refused.text
    assert "required autofocus>\n<button" in refused.text  # the password is what is missing
    style = re.search(r"<style>(.*)</style>", refused.text, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in refused.headers["content-security-policy"]


def test_sign_in_page_has_the_consoles_colours(front: Front) -> None:
    """Those who look at both see one platform."""
    console = (STATIC / "console.css").read_text()
    colours = re.findall(r"--[a-z-]+: #[0-9a-f]+", front.client.get("/sign-in").text)
    assert len(colours) > 20
    assert [each for each in colours if each not in console] == []


@pytest.mark.parametrize(
    ("form", "status"), [(b"a=b&" * 20, 400), (b"password=" + b"x" * MAX_SIGN_IN, 413)]
)
def test_form_that_is_none_of_ours_is_refused(front: Front, form: bytes, status: int) -> None:
    assert front.client.post("/sign-in", content=form, headers=OWN).status_code == status
    assert front.told() == [("dagit:request", "denied", "unverified")]


def test_form_of_another_page_signs_nobody_in(front: Front) -> None:
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}):
        assert sign_in(front, **headers).status_code == 403
    bare = front.client.post("/sign-in", data={"name": "ada", "password": PASSWORD})
    assert bare.status_code == 403


def test_nobody_reaches_anything_but_health(front: Front) -> None:
    health = front.client.get("/healthz")
    assert (health.status_code, health.text) == (200, "ok")
    before = len(front.reached)
    for path in ("/", "/graphql?query={version}", "/logs/x", "/server_info", "/healthz/../graphql"):
        assert front.client.get(path).status_code == 401
    assert front.ask("{ version }", {}).status_code == 401
    assert len(front.reached) == before


def test_browser_forgets_a_session_that_is_not_believed(front: Front) -> None:
    page, forged = {"accept": "text/html"}, {"cookie": f"{COOKIE}=forged"}
    for answer in (
        front.client.get("/", headers={**page, **forged}),
        front.ask("{ version }", {**OWN, **forged}),
    ):
        assert answer.headers["set-cookie"].startswith(f'{COOKIE}=""; expires=')
    for answer in (front.client.get("/", headers=page), front.ask("{ version }", {})):
        assert "set-cookie" not in answer.headers


def test_page_over_http_is_none_of_a_server_over_https(front: Front) -> None:
    plain = {"origin": OWN["origin"].replace("https", "http")}
    assert front.ask(MUTATION, {**front.cookie(), **plain}, r="1").status_code == 403
    assert front.told() == [("dagit:request", "denied", "unverified")]
    got = connection(front, {**front.signed_in(), **plain}, START)
    assert got == [{"type": "websocket.close", "code": 1008}]
    assert front.reached == []
    answer = front.client.get("/healthz")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    secured = with_security([], https=False)
    assert b"strict-transport-security" not in dict(secured)
    assert is_own_origin(plain, {"localhost:3000"}, https=False)


def test_sign_ins_beyond_those_that_may_wait_are_sent_away(front: Front) -> None:
    """Whoever is signed in waits for none of them."""
    may_go_on, begun = threading.Event(), threading.Semaphore(0)
    hashed = front.desk.credentials.sign_in

    def slowly(name: str, password: str) -> Person:
        begun.release()
        assert may_go_on.wait(10)
        return hashed(name, password)

    front.desk.credentials.sign_in = slowly  # type: ignore[method-assign]
    said = {"name": "ada", "password": PASSWORD}
    headers = {"authorization": f"Bearer {front.desk.token}"}

    async def flood() -> tuple[list[int], int]:
        transport = httpx.ASGITransport(app=front.gate)
        async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
            guesses = [
                asyncio.create_task(client.post(SIGN_IN_OF_COMMANDS, json=said))
                for _ in range(AT_ONCE + WAITING + 2)
            ]
            for _ in range(AT_ONCE):
                await asyncio.to_thread(begun.acquire)
            query = {"query": "{ version }"}
            beside = await client.post("/graphql", json=query, headers=headers)
            assert sum(each.done() for each in guesses) <= 2
            may_go_on.set()
            answers = await asyncio.gather(*guesses)
        return sorted(each.status_code for each in answers), beside.status_code

    statuses, beside = asyncio.run(flood())
    assert beside == 200
    assert statuses == [200] * (AT_ONCE + WAITING) + [503] * 2
    assert front.told().count(("dagit:request", "denied", "unverified")) == 2
    assert front.client.post(SIGN_IN_OF_COMMANDS, json=said).status_code == 200


def test_other_host_is_not_answered(front: Front) -> None:
    for host in ("evil.example", "localhost", "localhost:3001", ""):
        refused = front.client.get("/sign-in", headers={"host": host})
        assert refused.status_code == 421
        # Load balancers call a server by its address.
        assert front.client.get("/healthz", headers={"host": host}).status_code == 200
    assert front.reached == []


def test_headers_that_a_client_wrote_make_nobody_anybody(front: Front) -> None:
    spoofed = {"X-Forwarded-User": "root", "x-amzn-oidc-data": "a.b.c", "Remote-User": "root"}
    assert front.client.get("/", headers=spoofed).status_code == 401
    front.client.get("/", headers={**front.signed_in(), **spoofed, "X_Auth_Request_Email": "r"})
    _, name, headers = front.reached[-1]
    assert name == "Ada"
    assert not {"x-forwarded-user", "x-amzn-oidc-data", "remote-user"} & set(headers)
    assert "x_auth_request_email" not in headers
    assert without_identity([(b"Authorization", b"x"), (b"accept", b"y")]) == [(b"accept", b"y")]


def test_mutation_is_recorded_before_and_after(front: Front) -> None:
    assert front.ask(MUTATION, r="0d1f").status_code == 200
    action = "dagit:terminateRun"
    assert front.told() == [(action, "started", "Ada"), (action, "succeeded", "Ada")]
    names: Any = front.records()[0].evidence["names"]
    assert list(names) == ["runId=0d1f"]
    assert front.noted == [("terminateRun", "Ada")]
    assert front.ask("{ version }").status_code == 200
    assert len(front.records()) == 2


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ({"data": {"terminateRun": {"__typename": "UnauthorizedError"}}}, "denied"),
        ({"data": {"terminateRun": {"__typename": "PythonError"}}}, "failed"),
        ({"data": None, "errors": [{"message": "no"}]}, "failed"),
        ({"errors": [{"message": "UnauthorizedError"}]}, "denied"),
        (RuntimeError("broken"), "failed"),
    ],
)
def test_what_dagster_answered_is_recorded(front: Front, answer: Any, outcome: str) -> None:
    front.answer = answer
    front.ask(MUTATION, r="0d1f")
    assert [each[1] for each in front.told()] == ["started", outcome]
    assert front.noted == []


def test_what_cannot_be_recorded_does_not_happen(front: Front) -> None:
    headers = front.signed_in()
    front.store.fail_next("put_new", GONE, times=99)
    assert front.ask(MUTATION, headers, r="0d1f").status_code == 503
    assert front.reached == []


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("mutation { wipeEverything { __typename } }", 403),
        ("mutation { version: wipeEverything { __typename } }", 403),
        ("mutation { ...f } fragment f on M { wipeEverything { __typename } }", 403),
        ("mutation { terminateRun(runId: 1) { __typename: id } }", 403),
        ("mutation { terminateRun(runId: 1) { __typename @skip(if: true) } }", 403),
        ("{" + "a {" * 60 + "a" + "}" * 61, 400),
        ("nothing", 400),
    ],
)
def test_mutation_that_nobody_gave_a_rule_or_could_tell_is_refused(
    front: Front, query: str, status: int
) -> None:
    assert front.ask(query).status_code == status
    assert front.reached == []
    assert status == 403 or front.told()[0][0] == "dagit:request"
    assert [each[1:] for each in front.told()] == [("denied", "Ada")]


def test_mutation_over_get_is_refused(front: Front) -> None:
    for query in (MUTATION, "query Q { version } mutation M { deleteRun { __typename } }"):
        found = front.client.get("/graphql", params={"query": query}, headers=front.signed_in())
        assert found.status_code == 405
    assert front.reached == []
    assert [each[:2] for each in front.told()] == [
        ("dagit:terminateRun", "denied"),
        ("dagit:deleteRun", "denied"),
    ]
    asked = front.client.get("/graphql", params={"query": "{ version }"}, headers=front.cookie())
    assert asked.status_code == 200


def test_page_of_another_origin_changes_nothing(front: Front) -> None:
    for origin in ({}, {"origin": "https://evil.example"}, {"origin": "null"}):
        assert front.ask(MUTATION, {**front.cookie(), **origin}, r="1").status_code == 403
    assert front.reached == []
    assert front.told() == [("dagit:request", "denied", "unverified")] * 3


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"query=mutation", "application/x-www-form-urlencoded", 415),
        (b"mutation { deleteRun }", "application/graphql", 415),
        (b'{"query": "{ version }"}', "text/plain", 415),
        (b"[]", "application/json", 400),
        (b'[{"query": "{ version }"}]', "application/json", 400),
        (b'{"query": 7}', "application/json", 400),
        (b"nothing", "application/json", 400),
        (b"[" * 200_000, "application/json", 400),
        (b" " * (MAX_BODY + 1), "application/json", 413),
    ],
)
def test_bodies_that_are_no_single_query_are_refused(
    front: Front, content: bytes, kind: str, status: int
) -> None:
    headers = front.signed_in(**{"content-type": kind})
    assert front.client.post("/graphql", content=content, headers=headers).status_code == status
    assert front.reached == []
    assert front.told() == [("dagit:request", "denied", "Ada")]


def test_report_endpoints_and_other_posts_are_refused(front: Front) -> None:
    path = "/report_asset_materialization/credit_risk/raw_data"
    assert front.client.post(path, json={}, headers=front.signed_in()).status_code == 403
    assert front.told() == [("dagit:report_asset_materialization", "denied", "Ada")]
    assert front.reached == []


def test_service_account_needs_no_page(front: Front) -> None:
    found = front.ask("{ version }", {"authorization": f"Bearer {front.desk.token}"})
    assert found.status_code == 200
    assert front.reached[-1][1] == "robot"
    assert "authorization" not in front.reached[-1][2]
    forged = front.ask("{ version }", {"authorization": "Bearer interlock.00.00"})
    assert forged.status_code == 401
    assert front.told() == [("dagit:signIn", "denied", "unverified")]


def test_who_is_disabled_while_signed_in_is_out(front: Front) -> None:
    headers = front.signed_in()
    assert front.ask("{ version }", headers).status_code == 200
    front.desk.disable("ada")
    front.desk.clock.advance(seconds=COUNTS.total_seconds())
    assert front.ask(MUTATION, headers, r="1").status_code == 401
    assert front.told()[-1] == ("dagit:signIn", "denied", "unverified")


def test_strangers_do_not_fill_the_trail(front: Front) -> None:
    for _ in range(REFUSALS + 5):
        front.client.get("/", headers={"cookie": f"{COOKIE}=forged"})
    assert len(front.records()) == REFUSALS
    front.desk.clock.advance(minutes=1)
    front.client.get("/", headers={"cookie": f"{COOKIE}=forged"})
    assert len(front.records()) == REFUSALS + 1


def test_every_answer_says_how_browsers_must_treat_it(front: Front) -> None:
    for answer in (
        front.client.get("/sign-in"),
        front.client.get("/healthz"),
        front.client.get("/"),
    ):
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"


START = {"type": "start", "payload": {"query": "subscription { logs { id } }"}}


def test_connection_carries_subscriptions_of_who_is_signed_in(front: Front) -> None:
    got = connection(front, front.signed_in(), {"type": "connection_init"}, START)
    assert [each["type"] for each in got] == ["websocket.accept", *["websocket.send"] * 2]
    assert front.reached[0] == ("socket", "Ada")


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"host": "evil.example"}, {"cookie": "a=b"}]
)
def test_connection_of_another_page_or_of_nobody_is_closed(
    front: Front, headers: dict[str, str]
) -> None:
    got = connection(front, {**front.signed_in(), **headers}, START)
    assert got == [{"type": "websocket.close", "code": 1008}]
    assert front.reached == []
    nobodys = [] if "cookie" in headers else [("dagit:subscription", "denied", "unverified")]
    assert front.told() == nobodys


@pytest.mark.parametrize(
    "query",
    [MUTATION, "{ version }", "subscription { a } mutation { b }", "nothing", "x" * MAX_BODY],
)
def test_connection_that_carries_something_else_is_ended(front: Front, query: str) -> None:
    connection(front, front.signed_in(), {"type": "start", "payload": {"query": query}})
    assert front.reached == [("socket", "Ada")]
    assert front.told() == [("dagit:subscription", "denied", "Ada")]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "x", "payload": 5},
        {"type": ["a"]},
        {"type": "start", "payload": "query"},
        {"payload": {}},
        [],
        7,
    ],
)
def test_message_of_no_protocol_ends_the_connection_on_record(front: Front, message: Any) -> None:
    got = connection(front, front.signed_in(), message, START)
    assert got[1:] == [{"type": "websocket.close", "code": 1008}]
    assert front.reached == [("socket", "Ada")]
    assert front.told() == [("dagit:subscription", "denied", "Ada")]


def test_nested_message_is_refused_and_no_mistake() -> None:
    deep = "[" * 100_000
    assert "cannot be read" in refusal_of({"type": "websocket.receive", "text": deep})


def test_connection_ends_with_the_session_that_let_it_in(front: Front) -> None:
    headers = front.signed_in()
    front.desk.clock.advance(seconds=SESSION.total_seconds() - 60)
    front.before_sending = lambda: front.desk.clock.advance(seconds=30)
    got = connection(front, headers, START, START, START)
    types = [each["type"] for each in got]
    assert types == ["websocket.accept", "websocket.send", "websocket.close"]
    assert front.told() == []


def test_connection_ends_when_its_person_is_disabled(front: Front) -> None:
    headers = front.signed_in()

    def disable() -> None:
        front.desk.disable("ada")
        front.desk.clock.advance(seconds=COUNTS.total_seconds())

    front.before_sending = disable
    got = connection(front, headers, START)
    assert got == [
        {"type": "websocket.accept", "subprotocol": None, "headers": []},
        {"type": "websocket.close", "code": 1008},
    ]
    assert connection(front, headers, START) == [{"type": "websocket.close", "code": 1008}]


def test_names_are_found_wherever_variables_hold_them() -> None:
    variables = {
        "p": {"selector": {"pipelineName": "job\n", "assetSelection": [{"path": ["a", "b"]}] * 2}},
        "runIds": [str(number) for number in range(40)],
        "n": 7,
    }
    found = named_in(variables)
    assert found[:3] == ["pipelineName=job?", "path=a/b", "runIds=0"]
    assert len(found) == 42


def test_command_line_gets_a_token_that_no_page_takes(front: Front) -> None:
    said = {"name": "ada", "password": PASSWORD}
    done = front.client.post("/sign-in/token", json=said)
    assert done.status_code == 200
    assert done.headers["cache-control"] == "no-store"
    token = done.json()["token"]
    name, _ = front.desk.verifier.of_session(
        token, environment="prod", now=front.desk.clock(), kind=COMMANDS
    )
    assert name == "Ada"
    started, record = front.records()
    assert (started.action, started.outcome.value) == ("dagit:signIn", "started")
    assert (record.action, record.outcome.value, record.principal.name) == (
        "dagit:signIn",
        "succeeded",
        "Ada",
    )
    assert record.evidence["for"] == "the command line"
    assert front.client.get("/", headers={"cookie": f"{COOKIE}={token}"}).status_code == 401


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"json": {"name": "ada", "password": "wrong"}}, 403),
        ({"json": {"name": "ada"}}, 400),
        ({"json": {"name": "ada", "password": 7}}, 400),
        ({"json": ["ada"]}, 400),
        ({"content": rb'{"name": "\ud800", "password": "x"}', "headers": JSON}, 400),
        ({"content": rb'{"name": "ada", "password": "\ud800"}', "headers": JSON}, 400),
        ({"json": {"name": "ada", "password": "x" * MAX_SIGN_IN}}, 413),
        ({"content": b"nothing", "headers": JSON}, 400),
        ({"content": b"[" * MAX_SIGN_IN, "headers": JSON}, 400),
        ({"data": {"name": "ada", "password": PASSWORD}}, 415),
    ],
)
def test_wrong_sign_in_of_a_command_line_is_refused(
    front: Front, said: dict[str, Any], status: int
) -> None:
    refused = front.client.post("/sign-in/token", **said)
    assert refused.status_code == status
    assert "token" not in refused.json()
    action = "dagit:signIn" if status == 403 else "dagit:request"
    assert front.told() == [(action, "denied", "unverified")]


def test_page_of_another_origin_gets_no_token(front: Front) -> None:
    said = {"name": "ada", "password": PASSWORD}
    evil = {"origin": "https://evil.example"}
    assert front.client.post("/sign-in/token", json=said, headers=evil).status_code == 403
    assert front.told() == [("dagit:request", "denied", "unverified")]


def test_command_lines_that_guess_lock_the_account(front: Front) -> None:
    for _ in range(MAX_FAILURES):
        front.client.post("/sign-in/token", json={"name": "ada", "password": "wrong"})
    said = {"name": "ada", "password": PASSWORD}
    assert front.client.post("/sign-in/token", json=said).status_code == 403
    assert "locked" in front.records()[-1].reason


class Operated(Front):
    """The gate where nobody signs in."""

    def __init__(self, clock: FakeClock, folder: Path) -> None:
        super().__init__(clock, folder)
        operator = Person(
            name="olga",
            role=Role.ML_ENGINEER,
            teams=frozenset(),
            source=IdentitySource.ENV,
            sessions_from=clock(),
        )
        self.gate._visitors = OperatorAlone(operator)


@pytest.fixture
def operated(clock: FakeClock, tmp_path: Path) -> Operated:
    return Operated(clock, tmp_path)


def test_operator_is_the_one_person_where_nobody_signs_in(operated: Operated) -> None:
    assert operated.client.get("/", headers={"accept": "text/html"}).status_code == 200
    assert operated.reached[-1][1] == "olga"
    assert operated.ask(MUTATION, {}, r="1").status_code == 200  # a program's
    records = [(each.principal.name, each.principal.verified_by) for each in operated.records()]
    assert records == [("olga", "env")] * 2
    assert operated.client.post("/sign-out", headers=OWN).status_code == 404
    assert operated.client.post("/sign-in", data={}, headers=OWN).status_code == 403
    assert operated.client.post("/sign-in/token", json={}).status_code == 403


@pytest.mark.parametrize("name", ["sec-fetch-site", "sec-fetch-mode", "referer", "cookie"])
def test_page_of_another_origin_does_not_act_for_the_operator(
    operated: Operated, name: str
) -> None:
    for headers in (
        {name: "same-origin"},
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"host": "evil.example"},
    ):
        assert operated.ask(MUTATION, headers, r="1").status_code in {403, 421}
    query = {"query": MUTATION}
    assert operated.client.get("/graphql", params=query).status_code == 405
    assert operated.reached == []
    assert operated.ask(MUTATION, {name: "same-origin", **OWN}, r="1").status_code == 200
