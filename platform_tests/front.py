"""The gate of Dagster's web server before a small application that tells what reached it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accounts import PASSWORD
from asgi_client import AsgiClient
from desk import Desk
from httpx import Response
from simulators import FakeClock, MemoryObjectStore
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from trails import BUCKET, Trail

from interlock.adapters.directory import Person
from interlock.governance.audit import AuditRecord, decode
from interlock.webserver.door import PERSON
from interlock.webserver.gate import Gate
from interlock.webserver.records import Records
from interlock.webserver.visitors import COOKIE

HOST = "localhost:3000"
OWN = {"origin": f"https://{HOST}"}
MUTATION = "mutation M($r: String!) { terminateRun(runId: $r) { __typename } }"


class Front:
    """The gate before a small application that tells what reached it."""

    def __init__(self, clock: FakeClock, folder: Path) -> None:
        self.desk = Desk(clock, folder)
        self.store = MemoryObjectStore(clock=clock)
        self.store.create_bucket(BUCKET, object_lock=True)
        self.trail = Trail(self.store, BUCKET, folder / "spool", clock)
        self.reached: list[Any] = []
        self.answer: Any = {"data": {"terminateRun": {"__typename": "TerminateRunSuccess"}}}
        self.noted: list[tuple[str, str]] = []
        self.before_sending: Callable[[], None] = lambda: None
        inner = Starlette(
            routes=[
                WebSocketRoute("/graphql", self.socket),
                Route("/{path:path}", self.inside, methods=["GET", "POST"]),
            ]
        )
        self.gate = Gate(
            inner,
            visitors=self.desk.visitors,
            records=Records(self.trail.log, environment="prod", clock=clock),
            hosts={HOST},
            environment="prod",
            clock=clock,
            secure=True,
            succeeded=self.note,
        )
        self.client = AsgiClient(self.gate)

    def note(self, mutation: str, _variables: Any, person: Person) -> None:
        self.noted.append((mutation, person.name))

    async def inside(self, request: Request) -> JSONResponse:
        person = request.scope.get(PERSON)
        self.reached.append((request.url.path, person and person.name, dict(request.headers)))
        if isinstance(self.answer, Exception):
            raise self.answer
        await request.body()
        return JSONResponse(self.answer)

    async def socket(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self.reached.append(("socket", websocket.scope[PERSON].name))
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                self.reached.append(await websocket.receive_json())
                self.before_sending()
                await websocket.send_json({"type": "data"})

    def cookie(self) -> dict[str, str]:
        return {"cookie": f"{COOKIE}={self.desk.visitors.sign_in('ada', PASSWORD)}"}

    def signed_in(self, **more: str) -> dict[str, str]:
        return {**self.cookie(), **OWN, **more}

    def ask(self, query: str, headers: dict[str, str] | None = None, **variables: Any) -> Response:
        return self.client.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers=self.signed_in() if headers is None else headers,
        )

    def records(self) -> list[AuditRecord]:
        log = self.trail.log
        return [decode(e.data).record for stream in log.streams() for e in log.read(stream)]

    def told(self) -> list[tuple[str, str, str]]:
        return [(each.action, each.outcome.value, each.principal.name) for each in self.records()]


def connection(front: Front, headers: dict[str, str], *messages: Any) -> list[dict[str, Any]]:
    """What a WebSocket gets for these messages."""
    waiting: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    waiting += [{"type": "websocket.receive", "text": json.dumps(each)} for each in messages]
    waiting.append({"type": "websocket.disconnect", "code": 1000})
    got: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        got.append(message)

    scope: dict[str, Any] = {
        "type": "websocket",
        "path": "/graphql",
        "headers": [(k.encode(), v.encode()) for k, v in {"host": HOST, **headers}.items()],
        "query_string": b"",
        "subprotocols": [],
    }
    asyncio.run(front.gate(scope, receive, send))
    return got
