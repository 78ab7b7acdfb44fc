"""The console's door: that of every page of the platform, and refusals that a person can read.

What is refused before anybody is named (another host, another origin, no session) is recorded
here when it was to change something; sign-in and the order of the checks are ``webserver.door``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import HTMLResponse, Response

from interlock.console.site import PLACE
from interlock.errors import RecordedRefusal, RequestRefused
from interlock.webserver.door import Door, Receive, Scope, Send
from interlock.webserver.page import POLICY, refusal_page
from interlock.webserver.requests import SAFE_METHODS

UNKNOWN: Final = 401  # RFC 9110, 15.5.2
_REMEDIES: Final = {
    401: "Sign in first.",
    403: "Open the console itself, and use the form on its page.",
    421: "Call the console by the name that its operator gave it.",
}


class ConsoleDoor(Door):
    """The ASGI application in front of the console's pages."""

    async def _answer(
        self, scope: Scope, headers: Mapping[str, str], receive: Receive, send: Send
    ) -> Response | None:
        try:
            return await super()._answer(scope, headers, receive, send)
        except RequestRefused as refused:
            # So is a session or token that is not believed.
            is_recorded = isinstance(refused, RecordedRefusal) or refused.status == UNKNOWN
            if scope["method"] not in SAFE_METHODS and not is_recorded:
                why = f"{scope['method']} {str(scope['path'])[:200]!r}: {refused.message}"
                await self._record_refusal(f"{PLACE}:request", why, None)
            if "text/html" not in headers.get("accept", ""):
                raise
            remedy = _REMEDIES.get(refused.status, "Correct the request.")
            text = refusal_page(refused.message, remedy)
            told = {"content-security-policy": POLICY, "cache-control": "no-store"}
            return HTMLResponse(text, refused.status, headers=told)
