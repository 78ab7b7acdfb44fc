"""Requests to an ASGI application in this process, without a port."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

ADDRESS = "http://localhost:3000"


class AsgiClient:
    """Sends each request on its own; nothing is remembered between them.

    Args:
        app: The application.
    """

    def __init__(self, app: Any) -> None:
        self._app = app

    def request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **rest: Any
    ) -> httpx.Response:
        """One request; redirections are not followed."""

        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url=ADDRESS) as client:
                return await client.request(method, path, headers=dict(headers or {}), **rest)

        return asyncio.run(send())

    def get(self, path: str, **rest: Any) -> httpx.Response:
        """A GET request."""
        return self.request("GET", path, **rest)

    def post(self, path: str, **rest: Any) -> httpx.Response:
        """A POST request."""
        return self.request("POST", path, **rest)
