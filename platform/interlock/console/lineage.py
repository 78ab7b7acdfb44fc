"""From the source to a version: each step with the event that proves it.

The chain is followed by ``upstream_event``, and each event is read from a stream that verifies.
Where it breaks, the picture ends there and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from interlock.actions.case import Case
from interlock.actions.evidence import recorded_event
from interlock.actions.workspace import Workspace
from interlock.errors import InterlockError
from interlock.governance.access import Action
from interlock.governance.audit import AuditRecord

_STEPS: Final = {
    Action.DATA_INGEST.value: ("Snapshot", "data_hash"),
    Action.DATA_VALIDATE.value: ("Validated snapshot", "data_hash"),
    Action.MODEL_TRAIN.value: ("Training run", "model_fingerprint"),
    Action.MODEL_REGISTER.value: ("Version", "model_digest"),
}
LONGEST: Final = len(_STEPS)


@dataclass(frozen=True)
class Step:
    """A step on the way to a version.

    Attributes:
        title: What was made.
        name: The hash or number by which it is known.
        hash_of: What the hash is called in the record.
        facts: What is worth knowing of it, each in words.
        by: Who did it.
        at: When it was recorded.
        key: The event that proves it.
    """

    title: str
    name: str
    hash_of: str
    facts: tuple[str, ...]
    by: str
    at: datetime
    key: str


@dataclass(frozen=True)
class Lineage:
    """The way of a version.

    Attributes:
        steps: From the source on.
        problem: Why it is not known further back; empty when it is.
        data: Evidence of the validated snapshot; empty when it is not known.
        raw: Evidence of the snapshot; empty when it is not known.
    """

    steps: tuple[Step, ...]
    problem: str
    data: Mapping[str, Any]
    raw: Mapping[str, Any]


def lineage_of(workspace: Workspace, case: Case) -> Lineage:
    """Follow a version back to its source.

    Args:
        workspace: The outside world.
        case: The version; its registration is proven.
    """
    key, record = case.seen.registration, case.registration
    steps: list[Step] = []
    by_action: dict[str, Mapping[str, Any]] = {}
    problem = ""
    while True:
        steps.append(_step(key, record))
        by_action[record.action] = record.evidence
        if record.action == Action.DATA_INGEST.value or len(steps) == LONGEST:
            break
        upstream = record.evidence.get("upstream_event")
        if not isinstance(upstream, str):
            problem = f"event {key} does not say what it built on"
            break
        key = upstream
        try:
            record = recorded_event(workspace, key)
        except InterlockError as error:
            problem = error.message
            break
        if record.action not in _STEPS:
            problem = f"event {key} is {record.action}, which makes nothing"
            break
    return Lineage(
        steps=tuple(reversed(steps)),
        problem=problem,
        data=by_action.get(Action.DATA_VALIDATE.value, {}),
        raw=by_action.get(Action.DATA_INGEST.value, {}),
    )


def _step(key: str, record: AuditRecord) -> Step:
    title, hash_of = _STEPS[record.action]
    evidence = record.evidence
    name = evidence.get(hash_of)
    return Step(
        title=title,
        name=name if isinstance(name, str) else "",
        hash_of=hash_of,
        facts=tuple(_facts(record.action, evidence)),
        by=record.principal.name,
        at=record.time,
        key=key,
    )


def _facts(action: str, evidence: Mapping[str, Any]) -> list[str]:
    shown = {
        Action.DATA_INGEST.value: ("rows", "columns"),
        Action.DATA_VALIDATE.value: ("rows", "quarantined"),
        Action.MODEL_TRAIN.value: ("winner", "rows"),
        Action.MODEL_REGISTER.value: ("version", "tier"),
    }[action]
    return [_text(name, evidence[name]) for name in shown if evidence.get(name) is not None]


def _text(name: str, value: object) -> str:
    return f"{value:,} {name}" if type(value) is int else f"{name} {value}"
