"""The application: pages, what pages load, and how errors are told.

A request that was to change something and is refused before it is an action, because its form
cannot be read or nothing is at its address, is recorded here. Refused actions record themselves.
"""

from __future__ import annotations

import logging
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from interlock.console import changes, integrity, models, trail
from interlock.console.rendering import STATIC, page
from interlock.console.site import Site, here_of
from interlock.errors import (
    AccessDenied,
    ApprovalError,
    AuditError,
    AuditWriteFailed,
    EvidenceError,
    InterlockError,
    ProductBusy,
    RecordedRefusal,
    RegistryError,
    RegistryUnavailable,
    RequestRefused,
    StoreError,
)
from interlock.webserver.requests import SAFE_METHODS

UNEXPECTED: Final = "the console made a mistake that nobody foresaw"
_STATUS: Final[tuple[tuple[type[InterlockError], int], ...]] = (
    (AccessDenied, 403),
    (AuditWriteFailed, 503),
    (RegistryUnavailable, 503),
    (StoreError, 503),
    (RegistryError, 404),
    (ApprovalError, 409),
    (EvidenceError, 409),
    (ProductBusy, 409),
    (AuditError, 400),
)

log = logging.getLogger(__name__)


def create_app(site: Site) -> FastAPI:
    """The application; behind a door, for it asks the scope who is there.

    Args:
        site: What it stands on.
    """
    app = FastAPI(title="Interlock", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = site
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    # The timeline's words come before those of models: what changes something is asked last.
    for router in (models.pages, trail.pages, integrity.pages, changes.pages):
        app.include_router(router)
    app.add_exception_handler(InterlockError, _told)
    app.add_exception_handler(HTTPException, _told_by_framework)
    app.add_exception_handler(RequestValidationError, _told_of_input)
    app.add_exception_handler(Exception, _told_of_mistake)
    return app


def status_of(error: InterlockError) -> int:
    """HTTP's status of an error."""
    if isinstance(error, RequestRefused):
        return error.status
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def error_page(
    request: Request, status: int, message: str, remedy: str, *, denied: AccessDenied | None = None
) -> Response:
    """What happened and what to do about it."""
    return page(
        request,
        here_of(request),
        "error",
        status=status,
        code=status,
        message=message,
        remedy=remedy,
        denied=denied,
    )


def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, InterlockError)  # noqa: S101 - as it was registered
    status = status_of(error)
    if status >= 500:  # noqa: PLR2004 - HTTP's errors of servers
        log.warning("a page could not be served: %s", error)
    if isinstance(error, RequestRefused) and not isinstance(error, RecordedRefusal):
        _record(request, error.message)
    denied = error if isinstance(error, AccessDenied) else None
    return error_page(request, status, error.message, error.remedy, denied=denied)


def _told_by_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as it was registered
    message, remedy = {
        404: ("there is no such page", "choose one from the navigation"),
        405: ("this page is not asked for like that", "open it from the navigation"),
    }.get(error.status_code, (str(error.detail), "open the page again from the navigation"))
    _record(request, message)
    return error_page(request, error.status_code, message, remedy)


def _told_of_input(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as it was registered
    first = error.errors()[0]
    message = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    _record(request, message)
    return error_page(request, 400, message, "open the page again from the navigation")


def _record(request: Request, why: str) -> None:
    """Record that a request was refused, if it was to change something."""
    if request.method in SAFE_METHODS:
        return
    asked = f"{request.method} {request.url.path[:200]!r}: {why}"
    try:
        here_of(request).record_refusal("request", asked)
    except AuditWriteFailed as error:  # it stays refused
        log.warning("a refusal could not be recorded (%s): %s", asked, error)


def _told_of_mistake(request: Request, error: Exception) -> Response:
    log.error("unexpected error on %s", request.url.path, exc_info=error)
    remedy = "try again; if it stays, the console's log says more"
    return error_page(request, 500, UNEXPECTED, remedy)
