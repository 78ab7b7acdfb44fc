"""Pages from templates: every value escaped, times with their zone, numbers and hashes set well.

What a page shows is found elsewhere; what it may load is said here (the content security policy).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from interlock.console.site import TRAIL, Here
from interlock.governance.access import Action
from interlock.governance.audit import AuditRecord
from interlock.governance.gates import GateResult

FOLDER: Final = Path(__file__).parent
STATIC: Final = FOLDER / "static"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {"content-security-policy": POLICY, "cache-control": "no-store"}
STATES: Final = frozenset(
    {
        *("approved", "passed", "succeeded", "counts"),
        *("rejected", "rejected_by_gates", "suspended", "failed", "denied", "stands"),
        *("pending", "expired", "void", "suspended", "started"),
    }
)
_UNITS: Final = (
    (timedelta(days=365), "y"),
    (timedelta(days=30), "mo"),
    (timedelta(days=1), "d"),
    (timedelta(hours=1), "h"),
    (timedelta(minutes=1), "min"),
)
_LEAST, _MOST = 1e-3, 1e5  # numbers outside are written with an exponent


def page(
    request: Request, here: Here, name: str, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """A page for somebody.

    Args:
        request: Theirs.
        here: Who is there.
        name: Of the template, without ending.
        status: HTTP's.
        values: For the template.
    """
    site = here.site
    trail = here.decide(Action.AUDIT_READ, TRAIL.name)
    text = (
        _templates()
        .get_template(f"{name}.html")
        .render(
            {
                "here": here,
                "principal": here.workspace.authority.principal,
                "environment": site.environment,
                "source": site.source.value,
                "now": site.clock(),
                "proof": site.forms.proof(here.account),
                "path": request.url.path,
                "may_read_trail": trail.allowed,
                "trail_reason": trail.reason,
                **values,
            }
        )
    )
    return HTMLResponse(text, status, headers=dict(HEADERS))


def model_path(model: str) -> str:
    """The address of a model's page."""
    return f"/models/{quote(model, safe='')}"


def version_path(model: str, version: str) -> str:
    """The address of a version's page."""
    return f"{model_path(model)}/versions/{quote(version, safe='')}"


def event_path(key: str) -> str:
    """The address of an event's page."""
    return f"/audit/event?{urlencode({'key': key})}"


def audit_path(**wanted: object) -> str:
    """The address of the timeline with what is looked for."""
    chosen = {name: str(value) for name, value in wanted.items() if value}
    return f"/audit?{urlencode(chosen)}" if chosen else "/audit"


@cache
def asset(name: str) -> str:
    """The address of a file that pages load; another one when the file changes."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


def figure(value: object) -> str:
    """A number as a person reads it; other values as they are."""
    if value is None:
        return "not measured"
    if type(value) is int:
        return f"{value:,}"
    if not isinstance(value, float):
        return str(value)
    if value and not _LEAST <= abs(value) < _MOST:
        return f"{value:.3g}".replace("-", "\N{MINUS SIGN}")
    text = f"{value:,.0f}" if value.is_integer() and abs(value) >= 10 else f"{value:.4f}"  # noqa: PLR2004
    return text.replace("-", "\N{MINUS SIGN}")


def difference(value: float | None, other: float | None) -> str:
    """How far one number is from another, with its sign; empty where one is missing."""
    if value is None or other is None:
        return ""
    text = figure(float(value - other))
    return text if value < other or value == other else f"+{text}"


def margin(gate: GateResult) -> str:
    """How far a gate's value is on the good side of its limit: positive where it passes."""
    if gate.direction == "min":
        return difference(gate.value, gate.limit)
    return difference(gate.limit, gate.value)


def moment(time: datetime) -> str:
    """A time in UTC, to the second, with its zone."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso(time: datetime) -> str:
    """A time for programs."""
    return time.astimezone(UTC).isoformat(timespec="seconds")


def age(time: datetime, now: datetime) -> str:
    """How long ago something was, or how long until it comes, in one unit."""
    distance = abs(now - time)
    for unit, word in _UNITS:
        if distance >= unit:
            amount = f"{distance // unit} {word}"
            return f"{amount} ago" if time <= now else f"in {amount}"
    return "just now"


def json_text(value: object) -> str:
    """JSON to read."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=_plain)


def styled(name: str) -> str:
    """The name by which the style sheet knows a state; what comes from elsewhere it does not."""
    return f"state-{name}" if name in STATES else "state-other"


def words(text: str) -> str:
    """A word of the program as people write it: ``rejected_by_gates``."""
    return text.replace("_", " ")


def reason_of(record: AuditRecord) -> str:
    """Why somebody did something, or why it was refused; empty where the record does not say."""
    evidence = record.evidence
    return str(record.reason or evidence.get("reason") or evidence.get("why") or "")


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)


@cache
def _templates() -> Environment:
    found = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Any] = {
        "figure": figure,
        "moment": moment,
        "iso": iso,
        "json": json_text,
        "reason": reason_of,
        "styled": styled,
        "words": words,
    }
    found.filters |= filters
    found.globals |= {
        "age": age,
        "asset": asset,
        "audit_path": audit_path,
        "difference": difference,
        "event_path": event_path,
        "margin": margin,
        "model_path": model_path,
        "version_path": version_path,
    }
    return found
