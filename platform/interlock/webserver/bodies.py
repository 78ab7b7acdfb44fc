"""Bodies of requests and answers: read within limits, replayed, and understood."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

from interlock.errors import RequestRefused
from interlock.governance.audit import Outcome
from interlock.webserver.requests import MAX_BODY

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


SEVERAL: Final = "TerminateRunsResult"
"""The one answer of Dagster that holds several: what came of each is one level below."""
REFUSED: Final = "You do not have permission"
"""How Dagster says that somebody may not terminate a run; it has no type of its own for that."""


def outcome_of(status: int, body: bytes) -> tuple[Outcome, str]:
    """What an answer to a mutation says came of it, and why."""
    try:
        answer = json.loads(body)
    except ValueError:
        answer = {}
    answer = answer if isinstance(answer, dict) else {}
    data = answer.get("data") or {}
    done: list[Mapping[str, Any]] = _mappings([*data.values()])
    if any(each.get("__typename") == SEVERAL for each in done):
        done = [one for each in done for several in each.values() for one in _mappings(several)]
        if not done or not all("__typename" in each for each in done):
            return Outcome.FAILED, f"answered {status}, and not which of them were done"
    kinds = [str(each.get("__typename", "")) for each in done]
    if done and all(REFUSED in str(each.get("message", "")) for each in done):
        return Outcome.DENIED, "Dagster's permission map does not give it to them"
    if "UnauthorizedError" in kinds or "UnauthorizedError" in str(answer.get("errors", "")):
        return Outcome.DENIED, "Dagster's permission map does not give it to them"
    errors = [kind for kind in kinds if kind.endswith(("Error", "Invalid", "NotFound", "Failure"))]
    if status >= 400 or answer.get("errors") or errors:  # noqa: PLR2004 - HTTP's errors
        return Outcome.FAILED, f"answered {status} {', '.join(errors)}".strip()
    if not data or None in data.values():
        return Outcome.FAILED, f"answered {status}, and not whether it was done"
    return Outcome.SUCCEEDED, ""


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


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
