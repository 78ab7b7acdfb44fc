"""The commands that are worth trying next, such that they work as they are printed."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import RenderableType

from interlock.cli import view
from interlock.governance.access import Action
from interlock.settings import process_environment

CARRIED = ("INTERLOCK_HOME", "ENVIRONMENT", "AUDIT_RETENTION_DAYS", "IDENTITY_SOURCE")
"""Variables without which a command would look elsewhere, or be refused."""


def call(*words: str, **variables: str) -> str:
    """A command line of this program as it can be typed here.

    Args:
        words: Those after ``interlock``.
        variables: Environment variables to set for it.
    """
    environment = process_environment()
    given = {name: environment[name] for name in CARRIED if environment.get(name)}
    settings = [f"{name}={shlex.quote(value)}" for name, value in (given | variables).items()]
    return " ".join([*settings, view.program(), *map(shlex.quote, words)])


def after_run(
    document: Mapping[str, Any], addresses: Mapping[str, str], *, by_word: bool = True
) -> Iterator[RenderableType]:
    """What to try after a run.

    Args:
        document: As ``run_document`` makes it.
        addresses: Where `interlock up` serves; empty when it does not run.
        by_word: Whether RUN_ROLE says as what a command acts, for nobody signs in.
    """
    lines = [(call("audit", "verify"), "verify the whole audit trail")]
    if document["audit"]["events"]:
        show = call("audit", "show", document["audit"]["stream"])
        lines.append((show, "read this run's events"))
    lines += list(_steps(document, running=bool(addresses), by_word=by_word))
    yield view.heading("Next")
    yield view.commands(lines)
    if addresses:
        yield view.heading("Running")
        yield view.pairs(addresses.items())


def _steps(
    document: Mapping[str, Any], *, running: bool, by_word: bool
) -> Iterator[tuple[str, str]]:
    if "denied" in document:
        action = document["denied"]["action"]
        words = (action,) if action in tuple(Action) else ()
        yield call("policy", "explain", *words), "who may, and which policy decides"
    elif document["model"] is not None:
        yield from _of_version(document["model"])
        yield call("policy", "explain"), "who may do what"
        if by_word:
            yield call("run", document["product"], RUN_ROLE="auditor"), "see a denial"
        else:
            yield call("sign-in", "NAME"), "act as somebody else, e.g. an auditor, who is denied"
        if not running:
            yield call("up"), "Dagster, MLflow and S3 for daily work"
    else:
        yield call("doctor"), "check what usually goes wrong"


def _of_version(model: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    name, version, tags = model["name"], model["version"], model["tags"]
    if "champion" in model["aliases"]:
        yield call("deploy-check", name), "may this version be deployed here?"
    elif tags.get("approval_state") == "pending":
        yield call("approvals", name), "it is blocked until enough people agree: what it lacks"
        approve = call("approve", name, version, "--reason", "WHY")
        yield approve, "agree, as an approver who had no part in it"
    elif "challenger" in model["aliases"]:
        question = "may the challenger be deployed here? Only the first version of a model is "
        question += "promoted by itself, and only in dev"
        yield call("deploy-check", f"{name}@challenger"), question
        yield call("promote", name, version), "make it the champion"
