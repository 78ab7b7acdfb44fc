"""Bodies of requests: read within limits, replayed, and understood."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from interlock.errors import RequestRefused
from interlock.webserver.requests import MAX_BODY

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


def request_of(body: bytes) -> tuple[str, Mapping[str, Any]]:
    """Document and variables; one operation, not a batch."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestRefused(400, "the request is no JSON") from error
    if not isinstance(said, dict) or not isinstance(said.get("query"), str):
        raise RequestRefused(400, "expected one object with a query; batches are not taken")
    variables = said.get("variables") or {}
    if not isinstance(variables, dict):
        raise RequestRefused(400, "expected variables as one object")
    return said["query"], variables


def credentials_of(body: bytes) -> tuple[str, str]:
    """Name and password of a sign-in that is no form.

    Raises:
        RequestRefused: The body is something else.
    """
    try:
        said = json.loads(body)
        name, password = said["name"], said["password"]
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise RequestRefused(400, "expected one object with name and password") from error
    if not isinstance(name, str) or not isinstance(password, str):
        raise RequestRefused(400, "expected name and password as text")
    return name, password


async def whole_body(receive: Receive) -> bytes:
    """The body of a request.

    Raises:
        RequestRefused: It is too long.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            raise RequestRefused(413, f"the request has more than {MAX_BODY} bytes")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read already, then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
