"""A WebSocket of somebody who is signed in: what may come over it, and how it ends.

It carries subscriptions alone. What let somebody in may be over long before the connection is, as
a proxy's token is after minutes; so it is asked now and then whether they may stay.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from interlock.errors import IdentityError
from interlock.webserver.documents import read_document
from interlock.webserver.door import POLICY_VIOLATION, Message, Receive, Send
from interlock.webserver.requests import MAX_BODY
from interlock.webserver.visitors import COUNTS

CLOSE: Final = {"type": "websocket.close", "code": POLICY_VIOLATION}
DISCONNECT: Final = {"type": "websocket.disconnect", "code": POLICY_VIOLATION}
STARTS: Final = frozenset({"start", "subscribe"})
"""Types of messages by which the two protocols of GraphQL start an operation."""


class Connection:
    """Stands between a client and the application; once it has ended, nothing more is sent.

    Args:
        receive: Gives what the client sends.
        send: Takes what the application sends.
        may_stay: Asks whether who is connected may stay.
        refuse: Records why a message was refused.
        clock: The time, aware UTC.
    """

    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        may_stay: Callable[[], Awaitable[bool]],
        refuse: Callable[[str], Awaitable[None]],
        clock: Callable[[], datetime],
    ) -> None:
        self._receive = receive
        self._send = send
        self._may_stay = may_stay
        self._refuse = refuse
        self._clock = clock
        self._looked = clock()
        self._has_ended = False

    async def receive(self) -> Message:
        """What the client sends, as far as it may; otherwise the connection ends."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            return message
        refusal = refusal_of(message)
        if refusal and not self._has_ended:
            await self._refuse(refusal)
            await self.send({**CLOSE})
        return {**DISCONNECT} if self._has_ended else message

    async def send(self, message: Message) -> None:
        """Send on what the application sends to somebody who may stay."""
        if self._has_ended:
            return
        if message["type"] == "websocket.send" and self._clock() - self._looked >= COUNTS:
            self._looked = self._clock()
            if not await self._may_stay():
                message = {**CLOSE}
        # Two may send at once, and the other one have ended it meanwhile.
        if not self._has_ended:
            self._has_ended = message["type"] == CLOSE["type"]
            await self._send(message)


def refusal_of(message: Message) -> str:
    """Why a message may not pass; empty where it may.

    Args:
        message: Of ASGI.
    """
    text = message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")
    if len(text) > MAX_BODY:
        return f"the message has {len(text)} characters"
    try:
        said = json.loads(text)
        kind, payload = said.get("type"), said.get("payload") or {}
        if not isinstance(kind, str) or not isinstance(payload, dict):
            return "the message is none of GraphQL's: its type is no text or its payload no object"
        if kind not in STARTS and "query" not in payload:
            return ""
        asked = read_document(str(payload.get("query", "")))
    except (ValueError, AttributeError, RecursionError, IdentityError) as error:
        return f"the message cannot be read: {error}"
    kinds = {each.value for each in asked.operations}
    return "" if kinds == {"subscription"} else f"the connection was sent {sorted(kinds)}"
