"""What stands in front of Dagster's web server: nobody passes unnamed, and nothing unrecorded.

In this order: host, origin, size; then who it is; then, for GraphQL, what the document really asks
for. Identity headers that a client wrote go no further. Every mutation is recorded before Dagster
sees it and once more when it has answered. ADR-0012.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qs

from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from interlock.adapters.directory import Person
from interlock.errors import IdentityError, InterlockError, RequestRefused, SignInRefused
from interlock.governance.audit import Outcome
from interlock.webserver.bodies import outcome_of, replayed, request_of, whole_body
from interlock.webserver.dagster_names import MUTATIONS
from interlock.webserver.documents import Asked, read_document
from interlock.webserver.page import POLICY, sign_in_page
from interlock.webserver.records import MUTATION, SIGN_IN, SIGN_OUT, Records, named_in
from interlock.webserver.requests import (
    MAX_BODY,
    SAFE_METHODS,
    cookies_of,
    headers_of,
    is_own_host,
    is_own_origin,
    with_security,
    without_identity,
)
from interlock.webserver.visitors import COOKIE, COUNTS, SESSION, Visitor, Visitors

log = logging.getLogger(__name__)

PERSON: Final = "interlock.person"
"""Where a scope holds who is signed in."""
HEALTH: Final = "/server_info"
REFUSALS: Final = 60  # recorded in a minute; more would let strangers fill the trail
POLICY_VIOLATION: Final = 1008  # RFC 6455, 7.4.1

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Succeeded = Callable[[str, Mapping[str, Any], Person], None]


class Gate:
    """The ASGI application in front of Dagster's.

    Args:
        app: Dagster's.
        visitors: Finds who sends a request.
        records: Writes what they do.
        hosts: Names of this server with port, lower case, as browsers send them.
        environment: Where it runs.
        clock: The time, aware UTC.
        secure: Whether browsers reach it over https alone.
        succeeded: Told of each mutation that succeeded, with its variables and by whom.
    """

    def __init__(
        self,
        app: App,
        *,
        visitors: Visitors,
        records: Records,
        hosts: Collection[str],
        environment: str,
        clock: Callable[[], datetime],
        secure: bool,
        succeeded: Succeeded = lambda _mutation, _variables, _person: None,
    ) -> None:
        self._app = app
        self._visitors = visitors
        self._records = records
        self._hosts = frozenset(hosts)
        self._environment = environment
        self._clock = clock
        self._secure = secure
        self._succeeded = succeeded
        self._refusals: deque[datetime] = deque(maxlen=REFUSALS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, connection or lifespan."""
        if scope["type"] == "http":
            await self._http(scope, receive, _secured(send))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        try:
            answer = await self._answer(scope, headers, receive, send)
        except RequestRefused as refused:
            answer = JSONResponse({"error": refused.message}, refused.status)
        except InterlockError as error:
            log.warning("a request could not be served: %s", error)
            answer = JSONResponse({"error": "the server cannot do this now"}, 503)
        if answer is not None:
            await answer(scope, receive, send)

    async def _answer(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> Response | None:
        """The answer, unless Dagster gave it."""
        path, method = str(scope["path"]), str(scope["method"])
        if not is_own_host(headers, self._hosts):
            raise RequestRefused(421, "this server does not answer to that Host")
        if path == HEALTH and method in SAFE_METHODS:
            await self._app(scope, receive, send)
            return None
        from_page = is_own_origin(headers, self._hosts)
        if "origin" in headers and not from_page:
            raise RequestRefused(403, "the request comes from another page")
        if path == "/sign-in" and self._visitors.sign_in_here:
            return await self._sign_in(method, receive, from_page=from_page)
        visitor = await self._visitor(headers)
        if visitor is None:
            page = method == "GET" and "text/html" in headers.get("accept", "")
            if page and self._visitors.sign_in_here:
                return RedirectResponse("/sign-in", 303)
            raise RequestRefused(401, "sign in first")
        if method not in SAFE_METHODS and visitor.by_cookie and not from_page:
            raise RequestRefused(403, "the request names no page of this server as its origin")
        inner = {**scope, "headers": without_identity(scope["headers"]), PERSON: visitor.person}
        if path == "/sign-out" and method == "POST":
            return await self._sign_out(visitor.person)
        if path.rstrip("/") == "/graphql":
            await self._graphql(inner, headers, receive, send)
            return None
        if method not in SAFE_METHODS:
            await self._record_refusal(
                f"{MUTATION}{path.split('/')[1]}", f"{method} {path}", visitor.person
            )
            raise RequestRefused(403, "only GraphQL changes anything here")
        await self._app(inner, receive, send)
        return None

    async def _visitor(self, headers: Mapping[str, str]) -> Visitor | None:
        try:
            return await asyncio.to_thread(self._visitors.find, headers, cookies_of(headers))
        except IdentityError as error:
            why = error.why if isinstance(error, SignInRefused) else error.message
            await self._record_refusal(SIGN_IN, why, None)
            return None

    async def _sign_in(self, method: str, receive: Receive, *, from_page: bool) -> Response:
        policy = {"content-security-policy": POLICY, "cache-control": "no-store"}
        if method in SAFE_METHODS:
            return HTMLResponse(sign_in_page(self._environment), headers=policy)
        if method != "POST" or not from_page:
            raise RequestRefused(403, "the form was not sent by a page of this server")
        form = parse_qs((await whole_body(receive)).decode("utf-8", "replace"))
        name, password = (form.get(field, [""])[0] for field in ("name", "password"))
        try:
            cookie = await asyncio.to_thread(self._visitors.sign_in, name, password)
        except SignInRefused as refused:
            await self._record_refusal(SIGN_IN, refused.why, None)
            shown = f"{refused.message}: {refused.remedy}."
            return HTMLResponse(sign_in_page(self._environment, shown), 403, headers=policy)
        visitor = await asyncio.to_thread(self._visitors.find, {}, {COOKIE: cookie})
        assert visitor is not None  # noqa: S101 - who has just signed in
        await asyncio.to_thread(self._records.write, SIGN_IN, Outcome.SUCCEEDED, visitor.person)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            COOKIE,
            cookie,
            max_age=int(SESSION.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )
        return answer

    async def _sign_out(self, person: Person) -> Response:
        await asyncio.to_thread(self._visitors.sign_out, person)
        await asyncio.to_thread(self._records.write, SIGN_OUT, Outcome.SUCCEEDED, person)
        answer = RedirectResponse("/sign-in" if self._visitors.sign_in_here else "/", 303)
        answer.delete_cookie(COOKIE)
        return answer

    async def _graphql(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> None:
        person: Person = scope[PERSON]
        if scope["method"] in SAFE_METHODS:
            texts = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("query", [])
            for text in texts:
                asked = _read(text)
                if asked.changes_something:
                    for name in asked.mutations:
                        await self._record_refusal(f"{MUTATION}{name}", "sent by GET", person)
                    raise RequestRefused(405, "mutations are sent by POST")
            await self._app(scope, receive, send)
            return
        if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            raise RequestRefused(415, "GraphQL is sent as application/json")
        body = await whole_body(receive)
        text, variables = request_of(body)
        asked = _read(text)
        evidence = {"names": named_in(variables), "document": text[:1_000]}
        for name in asked.mutations:
            refusal = _refusal_of(name, asked)
            if refusal:
                await self._record_refusal(f"{MUTATION}{name}", refusal, person)
                raise RequestRefused(403, refusal)
        for name in asked.mutations:
            await asyncio.to_thread(
                self._records.write,
                f"{MUTATION}{name}",
                Outcome.STARTED,
                person,
                evidence=evidence,
            )
        if not asked.mutations:
            await self._app(scope, replayed(body, receive), send)
            return
        outcome, reason = await self._observed(scope, replayed(body, receive), send)
        for name in asked.mutations:
            await asyncio.to_thread(
                self._records.write,
                f"{MUTATION}{name}",
                outcome,
                person,
                reason=reason,
                evidence=evidence,
            )
            if outcome is Outcome.SUCCEEDED:
                await asyncio.to_thread(self._succeeded, name, variables, person)

    async def _observed(self, scope: Scope, receive: Receive, send: Send) -> tuple[Outcome, str]:
        """Let Dagster answer, and say what it answered."""
        parts: list[bytes] = []
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, watch)
        except Exception as error:
            log.exception("Dagster failed at a mutation")
            if not status:
                await JSONResponse({"error": "Dagster failed"}, 500)(scope, receive, send)
            return Outcome.FAILED, f"Dagster failed: {type(error).__name__}"
        return outcome_of(status, b"".join(parts))

    async def _record_refusal(self, action: str, why: str, person: Person | None) -> None:
        """Record what was refused; of strangers not more than fits into a trail."""
        now = self._clock()
        if person is None:
            full = len(self._refusals) == REFUSALS
            if full and now - self._refusals[0] < timedelta(minutes=1):
                log.warning("refused, and not recorded for there are too many: %s", why)
                return
            self._refusals.append(now)
        await asyncio.to_thread(self._records.write, action, Outcome.DENIED, person, reason=why)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        visitor = None
        if is_own_host(headers, self._hosts) and is_own_origin(headers, self._hosts):
            visitor = await self._visitor(headers)
        if visitor is None:
            await receive()
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
            return
        person = visitor.person
        looked = self._clock()

        async def checked() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                refusal = _refusal_of_message(message)
                if refusal:
                    await self._record_refusal(f"{MUTATION}subscription", refusal, person)
                    await send({"type": "websocket.close", "code": POLICY_VIOLATION})
                    return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
            return message

        async def sent(message: Message) -> None:
            nonlocal looked
            if self._clock() - looked >= COUNTS and message["type"] == "websocket.send":
                looked = self._clock()
                if await self._visitor(headers) is None:
                    message = {"type": "websocket.close", "code": POLICY_VIOLATION}
            await send(message)

        inner = {**scope, "headers": without_identity(scope["headers"]), PERSON: person}
        await self._app(inner, checked, sent)


def _refusal_of(name: str, asked: Asked) -> str:
    if name not in MUTATIONS:
        return f"the mutation {name} is new, and Interlock has no rule for it"
    if name in asked.silent:
        return f"the mutation {name} does not ask for __typename, so nobody could say what it did"
    return ""


def _refusal_of_message(message: Message) -> str:
    """Why a message of a connection may not pass; connections carry subscriptions alone."""
    text = message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")
    if len(text) > MAX_BODY:
        return f"the message has {len(text)} characters"
    try:
        said = json.loads(text)
        payload = said.get("payload") or {}
        if said.get("type") not in {"start", "subscribe"} and "query" not in payload:
            return ""
        asked = read_document(str(payload.get("query", "")))
    except (ValueError, AttributeError, IdentityError) as error:
        return f"the message cannot be read: {error}"
    kinds = {each.value for each in asked.operations}
    return "" if kinds == {"subscription"} else f"the connection was sent {sorted(kinds)}"


def _read(text: str) -> Asked:
    try:
        return read_document(text)
    except IdentityError as error:
        raise RequestRefused(400, error.message) from error


def _secured(send: Send) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": with_security(message.get("headers", []))}
        await send(message)

    return with_headers
