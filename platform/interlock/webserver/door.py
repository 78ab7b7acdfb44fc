"""What stands in front of a web server of this platform: nobody passes unnamed.

In this order: health, host, origin; then who it is, or the form by which they say so. Identity
headers that a client wrote go no further, and what follows finds who it is in the scope under
``PERSON``. Nothing here knows of Dagster: ``gate.py`` adds what its GraphQL needs, and a page of
the platform's own stands behind the same door. ADR-0012.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)

from interlock.adapters.credentials import AT_ONCE
from interlock.adapters.directory import Person
from interlock.errors import (
    IdentityError,
    InterlockError,
    RecordedRefusal,
    RequestRefused,
    SignInRefused,
)
from interlock.governance.audit import Outcome
from interlock.webserver.bodies import MAX_SIGN_IN, credentials_of, form_of, whole_body
from interlock.webserver.few_at_once import FewAtOnce
from interlock.webserver.page import POLICY, sign_in_page
from interlock.webserver.records import Records
from interlock.webserver.requests import (
    SAFE_METHODS,
    cookies_of,
    headers_of,
    is_own_host,
    is_own_origin,
    with_security,
    without_identity,
)
from interlock.webserver.visitors import COOKIE, SESSION, Visitor, Visitors

log = logging.getLogger(__name__)

PERSON: Final = "interlock.person"
"""Where a scope holds who is signed in."""
HEALTH: Final = "/healthz"
"""Answers everybody, by whatever name they call the server, and tells nothing."""
SIGN_IN_OF_COMMANDS: Final = "/sign-in/token"
"""Where a command line gets its token, for a name and a password in JSON."""
UNKNOWN: Final = 401  # RFC 9110, 15.5.2; a session or token that is not believed is on record
WAITING: Final = 16  # sign-ins that wait for others; each takes some tenths of a second
REFUSALS: Final = 60  # recorded in a minute; more would let strangers fill the trail
FORGET: Final = {"clear-site-data": '"storage"'}
"""Dagit keeps what it was told in the browser, and would show one person the buttons of another."""
POLICY_VIOLATION: Final = 1008  # RFC 6455, 7.4.1

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Door:
    """An ASGI application in front of another.

    Args:
        app: The other.
        visitors: Finds who sends a request.
        records: Writes what they do.
        hosts: Names of this server with port, lower case, as browsers send them.
        environment: Where it runs.
        clock: The time, aware UTC.
        secure: Whether browsers reach it over https alone.
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
    ) -> None:
        self._app = app
        self._visitors = visitors
        self._records = records
        self._hosts = frozenset(hosts)
        self._environment = environment
        self._clock = clock
        self._secure = secure
        self._refusals: dict[tuple[str, str], deque[datetime]] = {}
        self._sign_ins = FewAtOnce(AT_ONCE, waiting=WAITING, what="sign-ins")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, connection or lifespan."""
        if scope["type"] == "http":
            await self._http(scope, receive, _secured(send, https=self._secure))
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _let_in(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> Response | None:
        """The answer to somebody who is named in the scope, unless the application gave it."""
        del headers
        await self._app(scope, receive, send)
        return None

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A connection: of whoever it is, there is nothing to connect to."""
        del scope
        await receive()
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        try:
            answer = await self._answer(scope, headers, receive, send)
        except RequestRefused as refused:
            answer = JSONResponse({"error": refused.message}, refused.status)
            if refused.status == UNKNOWN:
                _forget_session(answer, headers)
        except InterlockError as error:
            log.warning("a request could not be served: %s", error)
            answer = JSONResponse({"error": "the server cannot do this now"}, 503)
        if answer is not None:
            await answer(scope, receive, send)

    async def _answer(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> Response | None:
        """The answer, unless the application gave it."""
        path, method = str(scope["path"]), str(scope["method"])
        if path == HEALTH and method in SAFE_METHODS:
            return PlainTextResponse("ok", headers={"cache-control": "no-store"})
        if not is_own_host(headers, self._hosts):
            raise RequestRefused(421, "this server does not answer to that Host")
        from_page = is_own_origin(headers, self._hosts, https=self._secure)
        if "origin" in headers and not from_page:
            raise RequestRefused(403, "the request comes from another page")
        if path == "/sign-in" and self._visitors.sign_in_here:
            return await self._sign_in(method, receive, from_page=from_page)
        if path == SIGN_IN_OF_COMMANDS and method == "POST" and self._visitors.sign_in_here:
            return await self._token(headers, receive)
        visitor = await self._visitor(headers)
        if visitor is None:
            page = method == "GET" and "text/html" in headers.get("accept", "")
            if page and self._visitors.sign_in_here:
                return _forget_session(RedirectResponse("/sign-in", 303), headers)
            raise RequestRefused(UNKNOWN, "sign in first")
        if method not in SAFE_METHODS and visitor.by_cookie and not from_page:
            raise RequestRefused(403, "the request names no page of this server as its origin")
        if path == "/sign-out" and method == "POST":
            if not self._visitors.sign_in_here:
                # A proxy would sign them in again with the next request.
                raise RequestRefused(404, "nobody signs in here, so nobody signs out here")
            return await self._sign_out(visitor.person)
        return await self._let_in(named(scope, visitor.person), headers, receive, send)

    async def _visitor(self, headers: Mapping[str, str]) -> Visitor | None:
        cookies = cookies_of(headers)
        known = self._visitors.remembered(headers, cookies)
        if known is not None:
            return known
        try:
            return await asyncio.to_thread(self._visitors.find, headers, cookies)
        except IdentityError as error:
            why = error.why if isinstance(error, SignInRefused) else error.message
            await self._record_refusal(self._records.sign_in, why, None, kind="shown")
            return None

    async def _sign_in(self, method: str, receive: Receive, *, from_page: bool) -> Response:
        policy = {"content-security-policy": POLICY, "cache-control": "no-store"}
        if method in SAFE_METHODS:
            return HTMLResponse(sign_in_page(self._environment), headers=policy)
        if method != "POST" or not from_page:
            raise RequestRefused(403, "the form was not sent by a page of this server")
        name, password = form_of(await whole_body(receive, limit=MAX_SIGN_IN))
        try:
            cookie = await self._sign_ins.run(self._visitors.sign_in, name, password)
        except SignInRefused as refused:
            await self._record_refusal(self._records.sign_in, refused.why, None)
            shown = f"{refused.message}: {refused.remedy}."
            text = sign_in_page(self._environment, shown, name)
            return HTMLResponse(text, 403, headers=policy)
        visitor = await asyncio.to_thread(self._visitors.find, {}, {COOKIE: cookie})
        assert visitor is not None  # noqa: S101 - who has just signed in
        await self._record_whole(self._records.sign_in, visitor.person)
        answer = RedirectResponse("/", 303, headers=FORGET)
        answer.set_cookie(
            COOKIE,
            cookie,
            max_age=int(SESSION.total_seconds()),
            httponly=True,
            samesite="strict",
            secure=self._secure,
        )
        return answer

    async def _token(self, headers: Mapping[str, str], receive: Receive) -> Response:
        """A token for a command line; a page cannot ask for one without being seen as such."""
        if headers.get("content-type", "") != "application/json":
            raise RequestRefused(415, "name and password are sent as application/json")
        name, password = credentials_of(await whole_body(receive, limit=MAX_SIGN_IN))
        try:
            person, token = await self._sign_ins.run(self._visitors.token, name, password)
        except SignInRefused as refused:
            await self._record_refusal(self._records.sign_in, refused.why, None)
            raise RecordedRefusal(403, f"{refused.message}: {refused.remedy}") from refused
        evidence = {"for": "the command line"}
        await self._record_whole(self._records.sign_in, person, evidence=evidence)
        return JSONResponse({"token": token}, headers={"cache-control": "no-store"})

    async def _sign_out(self, person: Person) -> Response:
        await self._record(self._records.sign_out, Outcome.STARTED, person)
        await asyncio.to_thread(self._visitors.sign_out, person)
        await self._record(self._records.sign_out, Outcome.SUCCEEDED, person)
        answer = RedirectResponse("/sign-in", 303, headers=FORGET)
        answer.delete_cookie(COOKIE)
        return answer

    async def _record(
        self, action: str, outcome: Outcome, person: Person | None, **more: Any
    ) -> None:
        await asyncio.to_thread(self._records.write, action, outcome, person, **more)

    async def _record_whole(self, action: str, person: Person, **more: Any) -> None:
        """Record what is done: an end without a beginning would be a finding in the trail."""
        for outcome in (Outcome.STARTED, Outcome.SUCCEEDED):
            await self._record(action, outcome, person, **more)

    async def _record_refusal(
        self, action: str, why: str, person: Person | None, *, kind: str = ""
    ) -> None:
        """Record what was refused; of strangers not more than fits into a trail."""
        now = self._clock()
        if person is None:
            # By action and kind: who floods one kind of refusal hides no other.
            recent = self._refusals.setdefault((action, kind), deque(maxlen=REFUSALS))
            if len(recent) == REFUSALS and now - recent[0] < timedelta(minutes=1):
                log.warning("refused, and not recorded for there are too many: %s", why)
                return
            recent.append(now)
        await self._record(action, Outcome.DENIED, person, reason=why)


def named(scope: Scope, person: Person) -> Scope:
    """A scope with a person in it, and nothing else in it that says who it is."""
    return {**scope, "headers": without_identity(scope["headers"]), PERSON: person}


def _forget_session(answer: Response, headers: Mapping[str, str]) -> Response:
    """Have a browser forget a session that is not believed: pages ask again every few seconds."""
    if COOKIE in cookies_of(headers):
        answer.delete_cookie(COOKIE)
    return answer


def _secured(send: Send, *, https: bool) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": with_security(message.get("headers", []), https=https)}
        await send(message)

    return with_headers
