"""Attacks on the gate in front of Dagster: each is refused, changes nothing, and is on record."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accounts import PASSWORD
from front import HOST, MUTATION, OWN, Front, connection
from issuer import Issuer, serving
from simulators import FakeClock

from interlock.governance.principal import Role
from interlock.webserver.dagster_names import REFUSED
from interlock.webserver.door import REFUSALS
from interlock.webserver.records import MAX_NAMED
from interlock.webserver.visitors import COOKIE, COUNTS, SESSION

SIGN_IN = [("dagit:signIn", "denied", "unverified")]
REQUEST = [("dagit:request", "denied", "unverified")]
EVIL = {"origin": "https://evil.example"}


@pytest.fixture
def front(clock: FakeClock, tmp_path: Path) -> Front:
    return Front(clock, tmp_path)


@pytest.fixture
def issuer(clock: FakeClock) -> Iterator[Issuer]:
    with serving(clock) as made:
        yield made


@pytest.fixture
def proxied(front: Front, issuer: Issuer) -> Front:
    """The gate behind a proxy whose tokens say who somebody is."""
    front.gate._visitors = front.desk.visitors_behind(issuer)
    return front


def encoded(said: dict[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


def bearer(token: str) -> dict[str, str]:
    return {**OWN, "authorization": f"Bearer {token}"}


def test_tokens_of_a_proxy_that_are_not_believed(proxied: Front, issuer: Issuer) -> None:
    good = issuer.token()
    stranger = Issuer(issuer.clock)
    issuer_key = stranger.new_key("first")
    head, body, signature = good.split(".")
    hour = issuer.clock().timestamp() - 3_600
    ahead = issuer.clock().timestamp() + 3_600
    bad = {
        "forged": issuer.token(key=issuer_key),
        "expired": issuer.token(iat=hour - 300, exp=hour),
        "of a clock an hour ahead": issuer.token(iat=ahead, nbf=ahead, exp=ahead + 300),
        "unsigned": f"{encoded({'alg': 'none', 'kid': 'first'})}.{body}.",
        "with its signature taken off": f"{head}.{body}.",
        "for another audience": issuer.token(aud="somebody-else"),
        "of another issuer": issuer.token(iss="https://evil.example"),
        "padded": ".".join(part + "=" * (-len(part) % 4 or 4) for part in (head, body, signature)),
        "with more behind it": f"{good}.{signature}",
        "in another's name": f"{head}.{body[:-2]}AA.{signature}",
        "twice": f"{good},{good}",
    }
    for what, token in bad.items():
        before = len(proxied.records())
        refused = proxied.ask(MUTATION, bearer(token), r="1")
        assert refused.status_code == 401, what
        assert proxied.told()[before:] == SIGN_IN, what
    assert proxied.reached == []
    assert {each.account for each in proxied.desk.directory.people()} == {"ada", "robot"}
    assert proxied.ask("{ version }", bearer(good)).status_code == 200
    assert proxied.reached[-1][1] == "ada@example.com"


def test_connection_outlives_the_token_that_let_it_in_and_not_its_person(
    proxied: Front, issuer: Issuer
) -> None:
    """A load balancer's token is good for two minutes; a page stays open for hours."""
    now, clock = issuer.clock().timestamp(), proxied.desk.clock
    headers = bearer(issuer.token(iat=now, exp=now + 120))
    started = {"type": "start", "payload": {"query": "subscription { logs { id } }"}}
    proxied.before_sending = lambda: clock.advance(seconds=300)
    got = connection(proxied, headers, *[started] * 3)
    assert [each["type"] for each in got] == ["websocket.accept", *["websocket.send"] * 3]
    assert proxied.told() == []
    again = bearer(issuer.token())

    def disable() -> None:
        proxied.desk.disable("ada@example.com")
        clock.advance(seconds=COUNTS.total_seconds())

    proxied.before_sending = disable
    got = connection(proxied, again, *[started] * 3)
    assert [each["type"] for each in got] == ["websocket.accept", "websocket.close"]


def test_behind_a_proxy_nobody_is_told_that_they_are_signed_out(
    proxied: Front, issuer: Issuer
) -> None:
    refused = proxied.client.post("/sign-out", headers=bearer(issuer.token()))
    assert refused.status_code == 404
    assert proxied.told() == REQUEST


def test_headers_of_a_proxy_make_nobody_anybody_where_another_is_believed(
    proxied: Front, issuer: Issuer
) -> None:
    spoofed = {**OWN, "x-amzn-oidc-data": issuer.token(), "cf-access-jwt-assertion": "a.b.c"}
    assert proxied.ask(MUTATION, {**spoofed, "x-forwarded-user": "ada"}, r="1").status_code == 401
    cookie = {**OWN, **proxied.cookie()}  # a session of our own says nothing here
    assert proxied.ask(MUTATION, cookie, r="1").status_code == 401
    assert proxied.reached == []


def test_session_is_replayed_in_vain(front: Front) -> None:
    headers = front.signed_in()
    front.desk.clock.advance(seconds=1)
    assert front.client.post("/sign-out", headers=headers).status_code == 303
    assert front.ask(MUTATION, headers, r="1").status_code == 401
    assert front.told()[-1:] == SIGN_IN
    assert front.reached == []


def test_session_from_a_clock_that_is_ahead_or_over_is_refused(front: Front) -> None:
    front.desk.clock.advance(hours=1)
    early = front.signed_in()
    front.desk.clock.advance(hours=-1)
    assert front.ask(MUTATION, early, r="1").status_code == 401
    late = front.signed_in()
    front.desk.clock.advance(seconds=SESSION.total_seconds())
    assert front.ask(MUTATION, late, r="1").status_code == 401
    assert front.told() == SIGN_IN * 2
    assert front.reached == []


def test_role_that_was_taken_away_is_gone_within_seconds(front: Front) -> None:
    headers = front.signed_in()
    assert front.ask("{ version }", headers).status_code == 200
    front.desk.clock.advance(seconds=1)
    front.desk.directory.change("ada", lambda known: replace(known, role=Role.VIEWER))
    front.desk.clock.advance(seconds=COUNTS.total_seconds())
    # A change ends sessions: what they may do now is asked when they come back.
    assert front.ask(MUTATION, headers, r="1").status_code == 401
    assert front.told() == SIGN_IN


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("more", [{"host": "evil.example"}, EVIL])
def test_mutation_by_link_to_another_host_or_from_another_page(
    front: Front, method: str, more: dict[str, str]
) -> None:
    headers = {**front.cookie(), **more}
    found = front.client.request(method, "/graphql", params={"query": MUTATION}, headers=headers)
    assert found.status_code in {403, 421}
    assert front.told() == REQUEST
    assert front.reached == []
    # What changes nothing is refused too, and fills no trail.
    assert front.client.get("/", headers=headers).status_code in {403, 421}
    assert len(front.records()) == 1


def test_connection_from_another_page_is_closed_on_record(front: Front) -> None:
    got = connection(front, {**front.signed_in(), **EVIL}, {"type": "connection_init"})
    assert got == [{"type": "websocket.close", "code": 1008}]
    (record,) = front.records()
    assert (record.action, record.outcome.value) == ("dagit:subscription", "denied")
    assert "evil.example" in record.reason


START = 'startSchedule(scheduleSelector: {scheduleName: "other"}) { __typename }'
HIDDEN = [
    f"query Shown {{ __typename }} mutation Hidden {{ {START} }}",
    f"mutation {{ {START.replace('{ __typename', '@skip(if: true) { __typename')} }}",
    f"mutation {{ ... @include(if: false) {{ {START} }} }}",
    f"mutation {{ ...f @skip(if: true) }} fragment f on Mutation {{ {START} }}",
    f"mutation {{ harmless: setNuxSeen version: {START} }}",
    f"mutation {{ a: {START} b: {START} }}",
    f"mutation A {{ {START} }} mutation B {{ {START} }}",
    f"mutation {{ ...f ...f }} fragment f on Mutation {{ {START} }}",
]


@pytest.mark.parametrize("query", HIDDEN)
def test_mutation_beside_others_or_under_a_condition_is_refused(front: Front, query: str) -> None:
    """What was not done would be on record as done, or what was done as refused."""
    front.answer = {"data": {"__typename": "Query"}}
    assert front.ask(query).status_code == 403
    assert ("dagit:startSchedule", "denied", "Ada") in front.told()
    assert {each[1] for each in front.told()} == {"denied"}
    assert front.reached == []
    assert front.noted == []


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_backfill_that_would_act_for_somebody_else_is_not_taken_up_again(
    front: Front, name: str
) -> None:
    """Dagster gives the new one the tags of the old one, and asks nobody for their own."""
    assert front.ask(f'mutation {{ {name}(x: "b") {{ __typename }} }}').status_code == 403
    (record,) = front.records()
    assert (record.action, record.outcome.value) == (f"dagit:{name}", "denied")
    assert "launch a new backfill" in record.reason
    assert front.reached == []
    front.gate._refused = {}  # where nobody signs in, all runs are the operator's
    assert front.ask(f'mutation {{ {name}(x: "b") {{ __typename }} }}').status_code == 200


@pytest.mark.parametrize("answer", [{"data": {}}, {"data": None}, {"data": {"terminateRun": None}}])
def test_answer_that_does_not_say_what_was_done_is_no_success(front: Front, answer: Any) -> None:
    front.answer = answer
    front.ask(MUTATION, r="1")
    assert [each[1] for each in front.told()] == ["started", "failed"]
    assert front.noted == []


FORBIDDEN = {"__typename": "TerminateRunFailure", "message": "You do not have permission to"}
ENDED = {"__typename": "TerminateRunSuccess"}


@pytest.mark.parametrize(
    ("results", "outcome"),
    [
        ([ENDED, ENDED], "succeeded"),
        ([FORBIDDEN, FORBIDDEN], "denied"),
        ([ENDED, FORBIDDEN], "failed"),
        ([{"__typename": "TerminateRunFailure"}], "failed"),
        ([{"__typename": "SomethingNew"}], "failed"),
        ([{}], "failed"),
        ([7], "failed"),
        (None, "failed"),
    ],
)
def test_record_says_what_came_of_each_run_that_was_to_end(
    front: Front, results: Any, outcome: str
) -> None:
    several = {"__typename": "TerminateRunsResult", "terminateRunResults": results}
    front.answer = {"data": {"terminateRuns": several}}
    front.ask('mutation { terminateRuns(runIds: ["0d1f"]) { __typename } }')
    assert [each[1] for each in front.told()] == ["started", outcome]


LAUNCHED = {"__typename": "LaunchRunSuccess"}
NOT_THEIRS = {"__typename": "UnauthorizedError"}


@pytest.mark.parametrize(
    ("results", "outcome", "reason"),
    [
        ([LAUNCHED], "succeeded", ""),
        ([NOT_THEIRS, NOT_THEIRS], "denied", "permission map"),
        ([LAUNCHED, NOT_THEIRS, LAUNCHED], "failed", "2 LaunchRunSuccess, 1 UnauthorizedError"),
        ([{"__typename": "RunConflict"}], "failed", "1 RunConflict"),
        ([], "failed", "nothing that says"),
    ],
)
def test_record_says_what_came_of_each_run_that_was_to_start(
    front: Front, results: Any, outcome: str, reason: str
) -> None:
    several = {"__typename": "LaunchMultipleRunsResult", "launchMultipleRunsResult": results}
    front.answer = {"data": {"launchMultipleRuns": several}}
    front.ask("mutation { launchMultipleRuns(x: 1) { __typename } }")
    assert front.records()[-1].outcome.value == outcome
    assert reason in front.records()[-1].reason


@pytest.mark.parametrize("kind", ["RunConflict", "ReloadNotSupported"])
def test_answer_whose_name_does_not_sound_like_an_error_is_no_success(
    front: Front, kind: str
) -> None:
    front.answer = {"data": {"launchRun": {"__typename": kind}}}
    front.ask("mutation { launchRun(x: 1) { __typename } }")
    assert [each[1] for each in front.told()] == ["started", "failed"]
    assert front.noted == []


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        (MUTATION, {"r": "0d1f", "runId": "of somebody else"}),
        ('mutation { terminateRun(runId: "0d1f") { __typename } }', {"runId": "another"}),
        ('mutation M($r: String = "0d1f") { terminateRun(runId: $r) { __typename } }', {}),
        ('mutation { x: terminateRun(runId: "0d1f") { __typename } }', {}),
        (
            "mutation M($r: ID!) { ...f } fragment f on M {terminateRun(runId: $r) {__typename} }",
            {"r": "0d1f"},
        ),
        ("# " + "x" * 2_000 + "\n" + MUTATION, {"r": "0d1f"}),
    ],
)
def test_record_names_what_the_mutation_is_about_whatever_the_variables_are_called(
    front: Front, query: str, variables: dict[str, Any]
) -> None:
    assert front.ask(query, **variables).status_code == 200
    for record in front.records():
        names: Any = record.evidence["names"]
        assert list(names) == ["runId=0d1f"]


def test_mutation_that_names_more_than_a_record_holds_is_refused(front: Front) -> None:
    query = "mutation M($r: [String!]!) { terminateRuns(runIds: $r) { __typename } }"
    assert front.ask(query, r=[str(each) for each in range(MAX_NAMED + 1)]).status_code == 403
    assert front.told() == [("dagit:terminateRuns", "denied", "Ada")]
    assert front.reached == []
    many = [f"{each:0200}" for each in range(MAX_NAMED)]
    front.ask(query, r=[each[::-1] for each in many])
    assert [each[1] for each in front.told()[1:]] == ["started", "succeeded"]


@pytest.mark.parametrize(
    "content",
    [
        b'{"query": "mutation { deleteRun }", "variables": "{}"}',
        b'{"query": "mutation { deleteRun }", "variables": [1]}',
    ],
)
def test_variables_that_are_no_object_are_refused(front: Front, content: bytes) -> None:
    headers = front.signed_in(**{"content-type": "application/json"})
    assert front.client.post("/graphql", content=content, headers=headers).status_code == 400
    assert front.told() == [("dagit:request", "denied", "Ada")]
    assert front.reached == []


@pytest.mark.parametrize(
    "query",
    [
        "mutation { " + "x" * 100_000 + " { __typename } }",
        'mutation { deleteRun(runId: "\ud800") { __typename } }',
    ],
)
def test_words_that_no_record_can_hold_are_refused_on_record(front: Front, query: str) -> None:
    content = '{"query": ' + json.dumps(query) + "}"
    headers = front.signed_in(**{"content-type": "application/json"})
    answer = front.client.post("/graphql", content=content.encode(), headers=headers)
    assert answer.status_code in {400, 403}
    assert [each[1:] for each in front.told()] == [("denied", "Ada")]
    assert front.reached == []


@pytest.mark.parametrize("path", ["/", "//graphql", "/graphql/x", "/%0aA%20b/c", "/" + "x" * 5_000])
def test_post_to_any_other_path_is_refused_on_record(front: Front, path: str) -> None:
    assert front.client.post(path, json={}, headers=front.signed_in()).status_code == 403
    assert [each[1:] for each in front.told()] == [("denied", "Ada")]
    assert front.reached == []


def test_post_to_no_path_is_refused_on_record(front: Front) -> None:
    answers: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        answers.append(message)

    said = {"host": HOST, **front.signed_in()}
    headers = [(name.encode(), value.encode()) for name, value in said.items()]
    scope = {"type": "http", "path": "*", "method": "POST", "headers": headers}
    asyncio.run(front.gate({**scope, "query_string": b""}, receive, send))
    assert answers[0]["status"] == 403
    assert front.told() == [("dagit:*", "denied", "Ada")]


def test_dead_sessions_hide_no_guess_of_a_password(front: Front) -> None:
    for _ in range(REFUSALS + 1):
        front.client.get("/", headers={"cookie": f"{COOKIE}=dead"})
    assert len(front.records()) == REFUSALS
    said = {"name": "ada", "password": "wrong"}
    assert front.client.post("/sign-in", data=said, headers=OWN).status_code == 403
    assert "the password of Ada is wrong" in front.records()[-1].reason


def test_who_floods_one_kind_of_refusal_hides_no_other(front: Front) -> None:
    for _ in range(REFUSALS + 1):
        front.ask(MUTATION, {**front.cookie(), **EVIL}, r="1")
    assert len(front.records()) == REFUSALS
    said = {"name": "ada", "password": "wrong"}
    assert front.client.post("/sign-in", data=said, headers=OWN).status_code == 403
    assert front.told()[-1:] == SIGN_IN
    assert PASSWORD not in str(front.records())
