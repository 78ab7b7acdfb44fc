"""Bodies of requests: read within limits, replayed, and understood."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qs

from interlock.errors import RequestRefused
from interlock.webserver.requests import MAX_BODY

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

MAX_SIGN_IN: Final = 8_192  # bytes; name and password, each character written as twelve
MAX_FIELDS: Final = 8  # of a form that signs in; the page's has two


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


def form_of(body: bytes) -> tuple[str, str]:
    """Name and password of the sign-in page's form; empty where one is not in it.

    Raises:
        RequestRefused: It has more fields than any form of this server.
    """
    try:
        form = parse_qs(body.decode("utf-8", "replace"), max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise RequestRefused(400, f"the form has more than {MAX_FIELDS} fields") from error
    return form.get("name", [""])[0], form.get("password", [""])[0]


def credentials_of(body: bytes) -> tuple[str, str]:
    """Name and password of a sign-in that is no form.

    Raises:
        RequestRefused: The body is something else.
    """
    try:
        said = json.loads(body)
        name, password = said["name"], said["password"]
        f"{name}{password}".encode()  # half a character is no text
    except (ValueError, RecursionError, TypeError, KeyError) as error:
        raise RequestRefused(400, "expected one object with name and password") from error
    if not isinstance(name, str) or not isinstance(password, str):
        raise RequestRefused(400, "expected name and password as text")
    return name, password


async def whole_body(receive: Receive, *, limit: int = MAX_BODY) -> bytes:
    """The body of a request.

    Args:
        receive: Gives its parts.
        limit: Bytes.

    Raises:
        RequestRefused: It is too long.
    """
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise RequestRefused(413, f"the request has more than {limit} bytes")
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
