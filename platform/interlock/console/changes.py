"""What people do from the pages: approve, reject, promote, roll back.

Each is asked for by a form that carries what its page showed, answered by a page that shows
exactly what will happen, and done when that page is sent back. What was seen is compared both
times: what changed meanwhile has to be looked at again. The acts themselves are those of the
command line, and record themselves; here is recorded what does not get that far. ADR-0013.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from interlock.actions.approve import deliver, prepare, sign
from interlock.actions.case import Case, open_case
from interlock.actions.champions import CHAMPION, History, history_of
from interlock.actions.promote import promote
from interlock.actions.rollback import rollback
from interlock.console.forms import Form
from interlock.console.rendering import model_path, page, version_path
from interlock.console.site import PLACE, AtConsole, Here
from interlock.console.versions import NO_KEY, NO_KEY_REMEDY, Verb
from interlock.errors import (
    ApprovalError,
    ConfigurationError,
    InterlockError,
    RecordedRefusal,
    RequestRefused,
)
from interlock.governance.approval import DEFAULT_LIFETIME, MAX_LIFETIME, Statement, Verdict
from interlock.governance.policy import Action, Resource

_VERDICTS: Final = {Verb.APPROVE: Verdict.APPROVE, Verb.REJECT: Verdict.REJECT}
_ACTIONS: Final = {
    Verb.APPROVE: Action.MODEL_APPROVE,
    Verb.REJECT: Action.MODEL_REJECT,
    Verb.PROMOTE: Action.MODEL_PROMOTE,
    Verb.ROLLBACK: Action.MODEL_ROLLBACK,
}
CONFIRMED: Final = "yes"

pages = APIRouter()


@pages.post("/models/{model}/versions/{version}/approve")
def approve(request: Request, here: AtConsole, form: Form, model: str, version: str) -> Response:
    """Approve a version."""
    return _decide(request, here, form, Verb.APPROVE, model=model, version=version)


@pages.post("/models/{model}/versions/{version}/reject")
def reject(request: Request, here: AtConsole, form: Form, model: str, version: str) -> Response:
    """Reject a version."""
    return _decide(request, here, form, Verb.REJECT, model=model, version=version)


@pages.post("/models/{model}/versions/{version}/promote")
def make_champion(
    request: Request, here: AtConsole, form: Form, model: str, version: str
) -> Response:
    """Make a version the champion."""
    checked(here, Verb.PROMOTE, form)
    case = _opened(here, Verb.PROMOTE, model, version)
    _require_seen(here, Verb.PROMOTE, model, form, case.seen.digest, of=case.label)
    authority = here.workspace.authority
    if form.get("confirmed") == CONFIRMED:
        promote(here.workspace, here.site.run(), model=model, version=version)
        return _done(here, Verb.PROMOTE, version_path(model, version))
    authority.authorise(
        Action.MODEL_PROMOTE,
        Resource("model", model),
        here.site.run(),
        context=case.facts(authority.context, authority.principal),
        evidence={"model": model, "version": version, "alias": CHAMPION},
    )
    champion = history_of(here.workspace, model).champion
    return page(
        request,
        here,
        "confirm",
        verb=Verb.PROMOTE.value,
        model=model,
        version=version,
        case=case,
        champion=champion,
        statement=None,
        form=form,
        action=f"{version_path(model, version)}/promote",
        back=version_path(model, version),
    )


@pages.post("/models/{model}/rollback")
def go_back(request: Request, here: AtConsole, form: Form, model: str) -> Response:
    """Go back to the champion before."""
    checked(here, Verb.ROLLBACK, form)
    try:
        history = history_of(here.workspace, model)
    except InterlockError as error:
        _refuse(here, Verb.ROLLBACK, model, error)
        raise
    _require_seen(here, Verb.ROLLBACK, model, form, seen_of(history), of=f"{model}'s champion")
    if form.get("confirmed") == CONFIRMED:
        done = rollback(
            here.workspace,
            here.site.run(),
            model=model,
            reason=form.get("reason", ""),
            expected_move=seen_of(history),
        )
        return _done(here, Verb.ROLLBACK, version_path(model, done.move.version))
    authority, evidence = here.workspace.authority, {"model": model, "alias": CHAMPION}
    resource = Resource("model", model)
    if not form.get("reason"):
        missing = ApprovalError("a rollback needs a reason", remedy="go back and give one")
        run = here.site.run()
        authority.refuse(Action.MODEL_ROLLBACK, resource, run, missing, evidence=evidence)
        raise missing
    return page(
        request,
        here,
        "confirm",
        verb=Verb.ROLLBACK.value,
        model=model,
        version=history.earlier[0].version if history.earlier else "",
        case=None,
        champion=history.champion,
        statement=None,
        form=form,
        action=f"{model_path(model)}/rollback",
        back=model_path(model),
    )


@pages.get("/models/{model}/versions/{version}/{verb}")
def by_get(here: AtConsole, model: str, version: str, verb: str) -> Response:
    """Nothing is done by following a link; that somebody tried is recorded."""
    return _by_get(here, verb, f"model/{model}", {"model": model, "version": version})


@pages.get("/models/{model}/rollback")
def back_by_get(here: AtConsole, model: str) -> Response:
    """The same of a rollback."""
    return _by_get(here, Verb.ROLLBACK.value, f"model/{model}", {"model": model})


@pages.get("/integrity/verify")
def verify_by_get(here: AtConsole) -> Response:
    """The same of a verification."""
    return _by_get(here, "verify", None, {})


def checked(here: Here, verb: str, form: Mapping[str, str]) -> None:
    """Refuse, on record, a form that is not of this console.

    Raises:
        RecordedRefusal: It is not.
    """
    try:
        here.site.forms.require(here.account, form.get("proof", ""))
    except RequestRefused as error:
        here.record_refusal(verb, error.message)
        raise RecordedRefusal(error.status, error.message) from error


def seen_of(history: History) -> str:
    """What a rollback is bound to: the newest move of the champion."""
    return history.last_move or ""


def _decide(
    request: Request, here: Here, form: Mapping[str, str], verb: Verb, *, model: str, version: str
) -> Response:
    checked(here, verb, form)
    run = here.site.run()
    statement = prepare(
        here.workspace,
        run,
        verdict=_VERDICTS[verb],
        model=model,
        version=version,
        reason=form.get("reason", ""),
        lifetime=_lifetime(here, verb, model, form),
    )
    _require_seen(here, verb, model, form, statement.seen.digest, of=f"{model} version {version}")
    signer = here.site.signer
    if signer is None:
        missing = ConfigurationError(NO_KEY, remedy=NO_KEY_REMEDY)
        _refuse(here, verb, model, missing)
        raise missing
    if form.get("confirmed") != CONFIRMED:
        return _confirmation(request, here, form, verb, statement)
    deliver(here.workspace, run, sign(statement, signer))
    return _done(here, verb, version_path(model, version))


def _done(here: Here, verb: Verb, path: str) -> Response:
    """Where somebody sees what they have done; the timeline shows it at once, too."""
    here.site.trail.forget_recent()
    return RedirectResponse(f"{path}?done={verb.value}", 303)


def _confirmation(
    request: Request, here: Here, form: Mapping[str, str], verb: Verb, statement: Statement
) -> Response:
    seen = statement.seen
    return page(
        request,
        here,
        "confirm",
        verb=verb.value,
        model=seen.model,
        version=seen.version,
        case=None,
        champion=None,
        statement=statement,
        form=form,
        action=f"{version_path(seen.model, seen.version)}/{verb.value}",
        back=version_path(seen.model, seen.version),
    )


def _opened(here: Here, verb: Verb, model: str, version: str) -> Case:
    try:
        return open_case(here.workspace, model, version)
    except InterlockError as error:
        _refuse(here, verb, model, error)
        raise


def _require_seen(
    here: Here, verb: Verb, model: str, form: Mapping[str, str], now: str, *, of: str
) -> None:
    """Refuse, on record, to act on something else than what the page showed.

    Raises:
        ApprovalError: It changed.
    """
    seen = form.get("seen")
    if seen == now:
        return
    said = "the form does not say what was seen" if seen is None else "it changed since"
    error = ApprovalError(
        f"{of} is not what the page showed: {said}", remedy="open the page again and look"
    )
    _refuse(here, verb, model, error)
    raise error


def _lifetime(here: Here, verb: Verb, model: str, form: Mapping[str, str]) -> timedelta:
    text = form.get("days", "") or str(DEFAULT_LIFETIME.days)
    days = int(text) if text.isascii() and text.isdigit() and len(text) < 5 else 0  # noqa: PLR2004
    if not 1 <= days <= MAX_LIFETIME.days:
        error = ApprovalError(
            f"an approval cannot be valid for {text!r} days",
            remedy=f"choose 1 to {MAX_LIFETIME.days} days",
        )
        _refuse(here, verb, model, error)
        raise error
    return timedelta(days=days)


def _refuse(here: Here, verb: Verb, model: str, error: InterlockError) -> None:
    here.workspace.authority.refuse(
        _ACTIONS[verb],
        Resource("model", model),
        here.site.run(),
        error,
        evidence={"model": model, "in": PLACE},
    )


def _by_get(here: Here, verb: str, resource: str | None, evidence: Mapping[str, Any]) -> Response:
    if verb not in {*Verb, "verify"}:
        raise RequestRefused(404, "there is no such page")
    here.record_refusal(verb, "asked for by GET", resource=resource, evidence=evidence)
    raise RecordedRefusal(405, "nothing is done by following a link; use the form of the page")
