"""What a person sees of a run: the document of ``run_document.py`` as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from interlock.cli import view
from interlock.cli.trail import events_view

Document = Mapping[str, Any]


def run_view(document: Document) -> Iterator[RenderableType]:
    """A run from top to bottom; parts that were not reached are left out.

    Args:
        document: As ``run_document`` makes it.
    """
    if document["assets"]:
        yield view.heading("Assets")
        yield _assets(document)
    if document["quarantine"] is not None:
        yield from _quarantine(document["quarantine"])
    if document["candidates"]:
        yield view.heading("Candidates", f"{document['candidates'][0]['metric']}, cross-validated")
        yield _candidates(document["candidates"])
    if document["metrics"]:
        yield view.heading("Holdout", "data that no search saw")
        yield _metrics(document)
    if document["gates"]:
        yield view.heading("Gates")
        yield _gates(document["gates"])
    if document["model"] is not None:
        yield from _model(document["model"])
    yield from audit_view(document["audit"])
    if document["promotion"] is not None:
        yield from audit_view(document["promotion"], title="Promotion")
    yield view.heading("Time", _times(document["seconds"]))


def audit_view(audit: Document, *, title: str = "Audit trail") -> Iterator[RenderableType]:
    """The audit trail of a run, or what it recorded about the champion."""
    yield view.heading(title, audit["stream"])
    if audit["events"]:
        yield from events_view(audit["events"])
    if "error" in audit:
        yield Text(f"The trail could not be read: {audit['error']['message']}", style="red")
    for finding in audit["findings"]:
        yield Text(f"{finding['key']}: {finding['text']}", style="red")
    count = len(audit["events"])
    yield ""
    if not count and "error" not in audit:
        yield "Its record waits on this machine's disk."
        return
    yield view.verdict(
        audit["verified"],
        f"Verified: {count} events, the chain is intact and every action has an end",
        f"NOT verified: {count} events",
    )


def _assets(document: Document) -> RenderableType:
    return view.table(
        ("asset", ">rows", "sha-256", ">seconds"),
        [
            (
                asset["asset"],
                "" if asset["rows"] is None else f"{asset['rows']:,}",
                view.short(asset["hash"]),
                view.number(asset["seconds"], 1),
            )
            for asset in document["assets"]
        ],
    )


def _quarantine(quarantine: Document) -> Iterator[RenderableType]:
    share = quarantine["share"]
    remark = f"{quarantine['rows']:,} rows" + (f", {share:.2%}" if share else "")
    score = f"data quality score {view.number(quarantine['data_quality_score'])}"
    yield view.heading("Quarantine", f"{remark}, {score}")
    if quarantine["reasons"]:
        yield view.table(
            ("rule", ">rows", "found"),
            [(each["rule"], f"{each['rows']:,}", each["detail"]) for each in quarantine["reasons"]],
        )


def _candidates(candidates: Sequence[Document]) -> RenderableType:
    return view.table(
        ("candidate", ">score", ">± fold", ">fits", ">seconds", ""),
        [
            (
                Text(each["name"], style="bold" if each["winner"] else ""),
                view.number(each["score"]),
                view.number(each["deviation"]),
                each["fits"],
                view.number(each["seconds"], 1),
                _remark(each),
            )
            for each in candidates
        ],
    )


def _remark(candidate: Document) -> Text:
    if candidate["failure"]:
        return Text(f"failed: {candidate['failure']}", style="red")
    if candidate["winner"]:
        return Text("best", style="green")
    return Text("; ".join(candidate["notes"]), style="dim")


def _metrics(document: Document) -> RenderableType:
    intervals = document["intervals"]

    def interval(name: str) -> str:
        found = intervals.get(name)
        if found is None:
            return ""
        return f"{view.number(found['low'])} to {view.number(found['high'])}"

    return view.table(
        ("metric", ">value", "95 % interval"),
        [(name, view.number(value), interval(name)) for name, value in document["metrics"].items()],
    )


def _gates(gates: Sequence[Document]) -> RenderableType:
    return view.table(
        ("gate", ">value", ">limit", "verdict"),
        [
            (
                gate["metric"],
                view.figure(gate["value"]),
                f"{'≥' if gate['direction'] == 'min' else '≤'} {view.figure(gate['limit'])}",
                view.verdict(gate["passed"], "passed", f"failed: {gate['reason']}"),
            )
            for gate in gates
        ],
    )


def _times(seconds: Mapping[str, float]) -> str:
    steps = sum(value for name, value in seconds.items() if name != "total")
    rest = seconds["total"] - steps
    return f"{seconds['total']:.1f} s in total: {steps:.1f} s in steps, {rest:.1f} s around them"


def _model(model: Document) -> Iterator[RenderableType]:
    aliases = ", ".join(model["aliases"]) or "no alias"
    yield view.heading(f"{model['name']} version {model['version']}", aliases)
    yield view.pairs(model["tags"].items())
