"""What stands in front of Dagster's web server: the door, and a reader of what GraphQL asks for.

Mutations are found by parsing. Every one is recorded before Dagster sees it and once more when it
has answered; what is not GraphQL changes nothing here. ADR-0012.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, Response

from interlock.adapters.directory import Person
from interlock.errors import IdentityError, InterlockError, RecordedRefusal, RequestRefused
from interlock.governance.audit import Outcome
from interlock.webserver.answers import outcome_of
from interlock.webserver.bodies import replayed, request_of, whole_body
from interlock.webserver.connection import CLOSE, Connection
from interlock.webserver.dagster_names import MUTATIONS, REFUSED
from interlock.webserver.documents import Asked, read_document
from interlock.webserver.door import (
    PERSON,
    UNKNOWN,
    App,
    Door,
    Message,
    Receive,
    Scope,
    Send,
    named,
)
from interlock.webserver.records import MAX_NAME, MAX_NAMED, MUTATION, named_in
from interlock.webserver.requests import (
    SAFE_METHODS,
    headers_of,
    is_own_host,
    is_own_origin,
)
from interlock.webserver.visitors import Visitor

log = logging.getLogger(__name__)

Succeeded = Callable[[str, Mapping[str, Any], Person], None]

REQUEST = f"{MUTATION}request"
"""The action of a request that was to change something and was refused before it was read."""
CONNECTION = f"{MUTATION}subscription"
MAX_KNOWN = 20_000  # characters of a document that is kept


class Gate(Door):
    """The ASGI application in front of Dagster's.

    Args:
        app: Dagster's.
        succeeded: Told of each mutation that succeeded, with its arguments and by whom.
        refused: Mutations that nobody may send here, and why.
        options: Of the door.
    """

    def __init__(
        self,
        app: App,
        *,
        succeeded: Succeeded = lambda _mutation, _arguments, _person: None,
        refused: Mapping[str, str] = REFUSED,
        **options: Any,
    ) -> None:
        super().__init__(app, **options)
        self._succeeded = succeeded
        self._refused = refused

    async def _answer(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> Response | None:
        try:
            return await super()._answer(scope, headers, receive, send)
        except RecordedRefusal:
            raise
        except RequestRefused as refused:
            if refused.status != UNKNOWN and _would_change(scope):
                await self._record_refusal(REQUEST, _said_of(scope, refused), None)
            raise

    async def _let_in(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> Response | None:
        path, method = str(scope["path"]), str(scope["method"])
        if path.rstrip("/") == "/graphql":
            try:
                await self._graphql(scope, headers, receive, send)
            except RecordedRefusal:
                raise
            except RequestRefused as refused:
                await self._refuse(REQUEST, refused, _said_of(scope, refused), scope[PERSON])
            return None
        if method not in SAFE_METHODS:
            never = RequestRefused(403, "only GraphQL changes anything here")
            action = f"{MUTATION}{path.lstrip('/').split('/')[0][:MAX_NAME]}"
            await self._refuse(action, never, f"{method} {path[:MAX_NAME]}", scope[PERSON])
        await self._app(scope, receive, send)
        return None

    async def _refuse(self, action: str, refused: RequestRefused, why: str, person: Person) -> None:
        await self._record_refusal(action, why, person)
        raise RecordedRefusal(refused.status, refused.message) from refused

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
                        action = f"{MUTATION}{name[:MAX_NAME]}"
                        await self._record_refusal(action, "sent by GET", person)
                    raise RecordedRefusal(405, "mutations are sent by POST")
            await self._app(scope, receive, send)
            return
        if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            raise RequestRefused(415, "GraphQL is sent as application/json")
        body = await whole_body(receive)
        text, variables = request_of(body)
        asked = _read(text, variables)
        evidence = {
            "names": named_in(asked.arguments),
            "document": text[:1_000],
            "request": hashlib.sha256(body).hexdigest(),
        }
        refusals = {name: self._refusal_of(name, asked) for name in asked.mutations}
        refusal = next(filter(None, refusals.values()), "")
        if refusal:
            for name in refusals:
                await self._record_refusal(f"{MUTATION}{name[:MAX_NAME]}", refusal, person)
            raise RecordedRefusal(403, refusal)
        for name in asked.mutations:
            await self._record(
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
            await self._record(
                f"{MUTATION}{name}",
                outcome,
                person,
                reason=reason,
                evidence=evidence,
            )
            if outcome is Outcome.SUCCEEDED:
                await asyncio.to_thread(self._succeeded, name, asked.arguments, person)

    def _refusal_of(self, name: str, asked: Asked) -> str:
        if name not in MUTATIONS:
            return f"the mutation {name[:MAX_NAME]} is new, and Interlock has no rule for it"
        if name in self._refused:
            return f"nobody may send {name} here: {self._refused[name]}"
        if name in asked.silent:
            return f"the mutation {name} does not ask for __typename, so nobody could say its end"
        if not asked.alone:
            return f"the mutation {name} is not alone in its document, or stands under a condition"
        if len(named_in(asked.arguments)) > MAX_NAMED:
            return f"the mutation {name} names over {MAX_NAMED} things, too many for one record"
        return ""

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

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = headers_of(scope)
        visitor = None
        if is_own_host(headers, self._hosts) and is_own_origin(
            headers, self._hosts, https=self._secure
        ):
            visitor = await self._visitor(headers)
        else:
            why = f"from {headers.get('origin', '')!r}, to {headers.get('host', '')!r}"
            await self._record_refusal(CONNECTION, f"another page or host: {why}", None)
        if visitor is None:
            await receive()
            await send({**CLOSE})
            return
        person = visitor.person
        connection = Connection(
            receive,
            send,
            may_stay=functools.partial(self._may_stay, visitor),
            refuse=lambda why: self._record_refusal(CONNECTION, why, person),
            clock=self._clock,
        )
        await self._app(named(scope, person), connection.receive, connection.send)

    async def _may_stay(self, visitor: Visitor) -> bool:
        try:
            await asyncio.to_thread(self._visitors.check_still, visitor)
        except InterlockError as error:
            log.info("a connection ends: %s", error)
            return False
        return True


def _would_change(scope: Scope) -> bool:
    """Whether a request was to change something, as far as can be said without reading it."""
    if scope["method"] not in SAFE_METHODS:
        return True
    asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("query", [])
    return any("mutation" in text for text in asked)


def _said_of(scope: Scope, refused: RequestRefused) -> str:
    return f"{scope['method']} {str(scope['path'])[:200]!r}: {refused.message}"


def _read(text: str, variables: Mapping[str, Any] | None = None) -> Asked:
    try:
        asked = _known(text) if len(text) <= MAX_KNOWN else read_document(text)
        # What a query asks for does not depend on its variables.
        return read_document(text, variables) if asked.changes_something else asked
    except IdentityError as error:
        raise RequestRefused(400, error.message) from error


@functools.lru_cache(maxsize=256)
def _known(text: str) -> Asked:
    """Pages send the same queries again and again."""
    return read_document(text)
