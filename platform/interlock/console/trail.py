"""The audit timeline: what happened, with filters, and each event as it is stored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import date
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from interlock.actions.waiting import known_models
from interlock.adapters.audit_pages import Sought
from interlock.console.rendering import audit_path, page
from interlock.console.site import AtConsole, Here
from interlock.errors import AuditTampered, ObjectMissing, RegistryError, RequestRefused
from interlock.governance.access import Action
from interlock.governance.audit import AuditEvent, Outcome, decode, event_key, parse_key

FAMILIES: Final = ("model:", "data:", "audit:", "platform:", "dagit:", "console:")
Text = Annotated[str, Field(max_length=200)]
Key = Annotated[str, Field(max_length=1_100)]
AskedKey = Annotated[str, Query(max_length=1_100)]

pages = APIRouter()


class Wanted(BaseModel):
    """What the timeline is asked for; texts are empty where nothing is."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    model: Text = ""
    action: Text = ""
    outcome: Text = ""
    person: Text = ""
    day: Text = ""
    before: Key = ""

    @property
    def filters(self) -> dict[str, str]:
        """What is looked for, without where."""
        return self.model_dump(exclude={"before"})

    @property
    def sought(self) -> Sought:
        """The same for the trail.

        Raises:
            RequestRefused: There is no such outcome or day.
        """
        return Sought(
            about=self.model,
            action=self.action,
            outcome=_outcome(self.outcome),
            person=self.person,
            day=_day(self.day),
        )


@pages.get("/audit")
def timeline(request: Request, here: AtConsole, wanted: Annotated[Wanted, Query()]) -> Response:
    """What happened, the newest first."""
    here.read_trail()
    found = here.site.trail.page(wanted.sought, before=wanted.before)
    return page(
        request,
        here,
        "audit",
        found=found,
        chosen=wanted.filters,
        is_first=not wanted.before,
        is_filtered=any(wanted.filters.values()),
        earlier=audit_path(**wanted.filters, before=found.earlier) if found.earlier else "",
        models=_models(here),
        actions=(*FAMILIES, *(each.value for each in Action)),
        outcomes=[each.value for each in Outcome],
    )


@pages.get("/audit/event")
def event(request: Request, here: AtConsole, key: AskedKey) -> Response:
    """An event: what it says, and its stored bytes."""
    here.read_trail()
    data = _stored(here, key)
    try:
        found: AuditEvent | None = decode(data, key=key)
        text = json.dumps(json.loads(data), indent=2, ensure_ascii=False)
        problem = ""
    except AuditTampered as error:
        found, text, problem = None, data.decode("utf-8", "replace"), error.message
    return page(
        request,
        here,
        "event",
        key=key,
        event=found,
        text=text,
        problem=problem,
        sha256=hashlib.sha256(data).hexdigest(),
        neighbours=_neighbours(here, key),
    )


@pages.get("/audit/event.json")
def raw_event(here: AtConsole, key: AskedKey) -> Response:
    """The stored bytes of an event."""
    here.read_trail()
    name = key.replace("/", "_").encode("ascii", "replace").decode()
    return Response(
        _stored(here, key),
        media_type="application/json",
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "content-security-policy": "sandbox",
            "cache-control": "no-store",
        },
    )


def _stored(here: Here, key: str) -> bytes:
    try:
        return here.site.trail.event(key)
    except ObjectMissing as error:
        raise RequestRefused(404, "the trail holds no event of that key") from error


def _neighbours(here: Here, key: str) -> Sequence[tuple[str, str]]:
    """The keys of the events before and after, as far as there can be any."""
    place = parse_key(here.site.trail.prefix, key)
    if place is None:
        return ()
    stream, sequence = place
    before = [("Event before", event_key(here.site.trail.prefix, stream, sequence - 1))]
    after = [("Event after", event_key(here.site.trail.prefix, stream, sequence + 1))]
    return (*(before if sequence > 1 else ()), *after)


def _models(here: Here) -> tuple[str, ...]:
    try:
        return known_models(here.workspace)
    except RegistryError:
        return ()  # the trail can be read while MLflow is away


def _outcome(text: str) -> Outcome | None:
    if not text:
        return None
    if text not in tuple(Outcome):
        raise RequestRefused(400, f"there is no outcome {text!r}")
    return Outcome(text)


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise RequestRefused(400, f"{text!r} is no day; write it as 2026-01-31") from error
