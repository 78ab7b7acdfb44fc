"""Whether the trail is intact: what the last verification found, and one more on demand."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from interlock.console.changes import checked
from interlock.console.forms import Form
from interlock.console.rendering import page
from interlock.console.site import TRAIL, AtConsole
from interlock.governance.access import Action

pages = APIRouter()


@pages.get("/integrity")
def integrity(request: Request, here: AtConsole) -> Response:
    """What is known about the trail."""
    known = here.site.verifications
    return page(
        request,
        here,
        "integrity",
        last=known.last(),
        running=known.running,
        failure=known.failure,
        location=here.workspace.authority.audit.location,
    )


@pages.post("/integrity/verify")
def verify(here: AtConsole, form: Form) -> Response:
    """Begin a verification."""
    checked(here, "verify", form)
    authority, run = here.workspace.authority, here.site.run()
    authority.authorise(Action.AUDIT_READ, TRAIL, run)
    here.site.verifications.begin(authority, run, here.site.clock())
    return RedirectResponse("/integrity", 303)
