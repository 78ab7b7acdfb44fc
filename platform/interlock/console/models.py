"""Pages that list: models, the versions of a model, and what waits for somebody.

Lists are for finding one's way: the state in them is what MLflow's tags and the event of a
registration say. A version's page, and what waits, is what the trail proves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from interlock.actions.approve import STATE
from interlock.actions.champions import History, history_of
from interlock.actions.waiting import Waiting, known_models, waiting
from interlock.adapters.model_registry import ModelVersion
from interlock.adapters.remembered_store import one_look
from interlock.console.notices import notice_of
from interlock.console.rendering import page
from interlock.console.site import AtConsole, Here
from interlock.console.summaries import Summary
from interlock.console.versions import (
    Choice,
    Verb,
    decision_choices,
    rollback_choice,
    version_view,
)
from interlock.errors import EvidenceError, RegistryError

VERSIONS: Final = 50  # on a page
NEWEST: Final = 20  # versions of a model that are asked about when somebody looks what waits
AT_ONCE: Final = 8  # models that are asked about at the same time

T = TypeVar("T")

pages = APIRouter()


@dataclass(frozen=True)
class ModelRow:
    """A model in the list.

    Attributes:
        name: Registered model.
        newest: Its newest version; None where it has none.
        summary: Of that version.
        history: The moves of its champion; None where the ledger does not verify.
        problem: Why not.
    """

    name: str
    newest: ModelVersion | None
    summary: Summary
    history: History | None
    problem: str


@dataclass(frozen=True)
class ForMe:
    """A version that waits, and what somebody may say about it."""

    waiting: Waiting
    choices: Mapping[str, Choice]

    @property
    def mine(self) -> bool:
        """Whether it waits for this very person."""
        agreed = self.waiting.case.assessment.approved
        return self.choices[Verb.APPROVE.value].open and not agreed


@pages.get("/")
def models(request: Request, here: AtConsole) -> Response:
    """All models."""
    names = known_models(here.workspace)
    rows = _of_each(names, lambda name: _row(here, name))
    return page(request, here, "models", rows=rows, state_tag=STATE)


@pages.get("/models/{model}")
def model(
    request: Request,
    here: AtConsole,
    model: str,
    after: Annotated[str, Query(max_length=200)] = "",
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """A model: its champion, and its versions."""
    workspace = here.workspace
    found = workspace.registry.page(model, size=VERSIONS, after=after or None)
    history, problem = _history(here, model)
    if not found.versions and history is not None and not history.versions and not after:
        raise RegistryError(f"there is no model {model!r}", remedy="choose one from the list")
    return page(
        request,
        here,
        "model",
        model=model,
        versions=list(zip(found.versions, here.site.summaries.of(found.versions), strict=True)),
        after=found.after,
        first=not after,
        history=history,
        problem=problem,
        rollback=None if history is None else rollback_choice(here, model, history),
        state_tag=STATE,
        notice=notice_of(done),
    )


@pages.get("/models/{model}/versions/{version}")
def version(
    request: Request,
    here: AtConsole,
    model: str,
    version: str,
    done: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """A version: all that is known of it, and what may be done with it."""
    with one_look():
        view = version_view(here, model, version)
    return page(request, here, "version", view=view, model=model, notice=notice_of(done))


@pages.get("/models/{model}/versions/{version}/plots/{name}")
def plot(here: AtConsole, model: str, version: str, name: str) -> Response:
    """A plot of the run that trained a version."""
    found = here.workspace.registry.version(model, version)
    image = here.site.files.plot(here.workspace, found.run_id, name.removesuffix(".png"))
    headers = {"cache-control": "private, max-age=3600", "content-security-policy": "sandbox"}
    return Response(image, media_type="image/png", headers=headers)


@pages.get("/waiting")
def waits(request: Request, here: AtConsole) -> HTMLResponse:
    """What waits for who looks, and what waits for others."""
    problems: list[str] = []

    def of(name: str) -> list[ForMe]:
        try:
            with one_look():
                found = waiting(here.workspace, name, newest=NEWEST)
        except EvidenceError as error:
            problems.append(f"{name}: {error.message}")
            return []
        return [
            ForMe(each, {one.verb.value: one for one in decision_choices(here, each.case)})
            for each in found
        ]

    names = known_models(here.workspace)
    every = [each for found in _of_each(names, of) for each in found]
    return page(
        request,
        here,
        "waiting",
        mine=[each for each in every if each.mine],
        others=[each for each in every if not each.mine],
        problems=problems,
        newest=NEWEST,
    )


def _of_each(names: Iterable[str], ask: Callable[[str], T]) -> list[T]:
    """What is found about each, several at a time; in the order of the names."""
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="console") as pool:
        return list(pool.map(ask, names))


def _row(here: Here, name: str) -> ModelRow:
    newest = here.workspace.registry.page(name, size=1).versions
    history, problem = _history(here, name)
    summary = here.site.summaries.of(newest)
    return ModelRow(
        name=name,
        newest=newest[0] if newest else None,
        summary=summary[0] if summary else Summary(),
        history=history,
        problem=problem,
    )


def _history(here: Here, model: str) -> tuple[History | None, str]:
    try:
        return history_of(here.workspace, model), ""
    except EvidenceError as error:
        return None, error.message
