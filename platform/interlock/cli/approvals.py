"""``interlock approvals``: what waits for a decision, and what it still lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click
from rich.console import RenderableType

from interlock.actions.waiting import Waiting, known_models, waiting
from interlock.cli import view
from interlock.cli.app import FAILURE, OK
from interlock.cli.entering import opened
from interlock.cli.next_steps import call
from interlock.cli.verb import Result, Terminal, verb
from interlock.errors import EvidenceError


@verb("approvals")
@click.argument("model", required=False)
def command(terminal: Terminal, model: str | None) -> Result:
    """List the versions that wait, of MODEL or of all models, with gates and metrics.

    Metrics stand beside those of the champion; who may still decide is named. Changes nothing and
    asks no permission.
    """
    with opened(terminal) as workspace:
        found: list[Waiting] = []
        problems: list[str] = []
        for name in (model,) if model else known_models(workspace):
            try:
                found += waiting(workspace, name)
            except EvidenceError as error:
                problems.append(f"{name}: {error}")
    shown: list[RenderableType] = [part for each in found for part in _shown(each)]
    return Result(
        {"waiting": [_document(each) for each in found]},
        view=shown or [view.heading("Nothing waits", "see `interlock audit list`")],
        notes=problems,
        code=FAILURE if problems else OK,
    )


def _document(each: Waiting) -> dict[str, Any]:
    case = each.case
    found = case.assessment
    return {
        "model": case.version.name,
        "version": case.version.version,
        "product": case.product,
        "tier": case.seen.tier,
        "state": each.state,
        "quorum": found.quorum,
        "valid_until": found.valid_until,
        "trained_by": case.trained_by,
        "approvals": [
            {
                "subject": signed.statement.subject,
                "proof": signed.proof,
                "verified_by": signed.statement.verified_by,
                "reason": signed.statement.reason,
                "expires": signed.statement.expires,
                "audit_event": signed.place,
            }
            for signed in found.counted
        ],
        "not_counted": [asdict(ignored) for ignored in (*found.ignored, *case.forged)],
        "gates": [asdict(gate) for gate in case.gates],
        "metrics": {
            name: {"value": value, "champion": each.champion_metrics.get(name)}
            for name, value in case.seen.metrics.items()
        },
        "champion": each.champion,
        "seen_digest": case.seen.digest,
        "lacks": each.lacks,
        "suspension": case.suspended and asdict(case.suspended),
        "may_decide": each.may_decide,
        "rolled_back": each.rolled_back and asdict(each.rolled_back),
    }


def _shown(each: Waiting) -> Iterator[RenderableType]:
    case, found = each.case, each.case.assessment
    yield view.heading(case.label, f"{case.product}, tier {case.seen.tier}")
    people = ", ".join(f"{x.statement.subject} (by {x.proof})" for x in found.counted)
    yield view.pairs(
        [
            ("state", each.state.replace("_", " ")),
            ("approvals", f"{len(found.counted)} of {found.quorum}  {people}"),
            ("trained by", case.trained_by),
            *((("rolled back", each.rolled_back.sentence),) if each.rolled_back else ()),
            *(("lacks", text) for text in each.lacks or ("nothing: it can be promoted",)),
            ("may decide", ", ".join(each.may_decide) or "nobody who is known here"),
        ]
    )
    yield view.table(
        ("gate", ">value", ">limit", "verdict"),
        [
            (
                gate.metric,
                view.figure(gate.value),
                view.figure(gate.limit),
                view.verdict(gate.passed),
            )
            for gate in case.gates
        ],
    )
    champion = f">champion (version {each.champion})" if each.champion else ">champion (none)"
    yield view.table(
        ("metric", ">this version", champion),
        [
            (name, view.number(value), view.number(each.champion_metrics.get(name)))
            for name, value in case.seen.metrics.items()
        ],
    )
    name, version = case.version.name, case.version.version
    step = (
        ("promote", name, version)
        if not each.lacks
        else ("approve", name, version, "--reason", "…")
    )
    yield view.commands([(call(*step), "next")])
