"""The console's door: that of every page of the platform, and refusals that a person can read.

What is refused before anybody is named (another host, another origin, no session) is recorded
here when it was to change something; sign-in and the order of the checks are ``webserver.door``.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Final

from starlette.responses import HTMLResponse, Response

from interlock.console.site import PLACE
from interlock.errors import RecordedRefusal, RequestRefused
from interlock.webserver.door import Door, Receive, Scope, Send
from interlock.webserver.page import POLICY
from interlock.webserver.requests import SAFE_METHODS

UNKNOWN: Final = 401  # RFC 9110, 15.5.2
_REMEDIES: Final = {
    401: "Sign in first.",
    403: "Open the console itself, and use the form on its page.",
    421: "Call the console by the name that its operator gave it.",
}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{status} - Interlock</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ display: grid; place-items: center; min-height: 100vh; margin: 0 }}
main {{ width: min(32rem, 90vw) }}
</style></head>
<body><main><h1>Not answered</h1><p role="alert">{message}.</p><p>{remedy}</p></main></body>
</html>
"""


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
            text = _PAGE.format(
                status=refused.status,
                message=escape(refused.message.capitalize()),
                remedy=escape(_REMEDIES.get(refused.status, "Correct the request.")),
            )
            told = {"content-security-policy": POLICY, "cache-control": "no-store"}
            return HTMLResponse(text, refused.status, headers=told)
