"""May this environment deploy that model version? The first reader of ``deployment_blocked``.

Believes no tag alone and no event alone: flag, gates, audit trail and the signatures of those
who approved must agree, the trail's newest move must have made it the champion, and the stored
files must be those that were registered. Whatever is missing or cannot be reached is a reason to
refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interlock.actions.approve import STATE, view_of
from interlock.actions.authority import RunContext
from interlock.actions.case import (
    case_of,
    reasons_against_registration,
    registration_of,
)
from interlock.actions.champions import CHAMPION, history_of
from interlock.actions.files import require_digest
from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import ModelVersion
from interlock.errors import DeploymentRefused, EvidenceError, InterlockError
from interlock.governance.audit import AuditRecord
from interlock.governance.gates import GateResult, holds
from interlock.governance.policy import Action, Resource
from interlock.governance.principal import Environment

GOVERNANCE_TAGS = (
    "owner",
    "environment",
    "approval_state",
    "data_hash",
    "audit_owner",
    "audit_env",
    "audit_timestamp",
    "deployment_blocked",
    "model_digest",
    "model_fingerprint",
    "policy_hash",
)
_BOUND = ("model_digest", "model_fingerprint", "data_hash", "policy_hash")
_REMEDY = "register a version that passes its gates and is approved for this environment"


@dataclass(frozen=True)
class Deployable:
    """A version that may be deployed here.

    Attributes:
        version: The version.
        event_key: The audit event of its registration.
    """

    version: ModelVersion
    event_key: str


def parse_reference(reference: str) -> tuple[str, str]:
    """Split ``MODEL[@alias]``; the alias is ``champion`` when none is given."""
    model, _, alias = reference.partition("@")
    return model, alias or CHAMPION


def deploy_check(workspace: Workspace, reference: str, run: RunContext) -> Deployable:
    """Find every reason against deploying a version, or none.

    Args:
        workspace: The outside world.
        reference: ``MODEL`` or ``MODEL@alias``.
        run: Where this happens.

    Returns:
        The version, when nothing speaks against it.

    Raises:
        AccessDenied: The principal may not deploy here.
        DeploymentRefused: With every reason that was found.
    """
    model, alias = parse_reference(reference)
    label = f"{model}@{alias}"
    resource = Resource("model", model)
    with workspace.authority.govern(Action.MODEL_SERVE, resource, run) as governed:
        governed.evidence |= {"model": model, "alias": alias, "check": "deploy"}
        try:
            version = workspace.registry.version_at(model, alias)
        except InterlockError as error:
            raise DeploymentRefused(
                model=label, reasons=[error.message], remedy=error.remedy
            ) from error
        if version is None:
            raise DeploymentRefused(
                model=label, reasons=["there is no such model or alias"], remedy=_REMEDY
            )
        governed.evidence |= {"version": version.version}
        reasons = [
            *_reasons_in_tags(version, workspace.authority.environment),
            *_reasons_in_trail(workspace, version, alias),
            *_reasons_in_files(workspace, version),
        ]
        if reasons:
            raise DeploymentRefused(
                model=f"{label} (version {version.version})", reasons=reasons, remedy=_REMEDY
            )
    return Deployable(version=version, event_key=version.tags["audit_event"])


def _reasons_in_tags(version: ModelVersion, environment: Environment) -> list[str]:
    tags = version.tags
    reasons = [f"tag {name} is missing" for name in GOVERNANCE_TAGS if not tags.get(name)]
    if tags.get("deployment_blocked") not in {None, "", "false"}:
        reasons.append(f"deployment_blocked is {tags['deployment_blocked']!r}, expected 'false'")
    for name in ("environment", "audit_env"):
        if tags.get(name) not in {None, "", environment.value}:
            reasons.append(f"it was registered in {tags[name]}, this is {environment.value}")
            break
    return reasons


def _reasons_in_trail(workspace: Workspace, version: ModelVersion, alias: str) -> list[str]:
    """What the trail says against a version; its approvals and its reign included."""
    try:
        key, record = registration_of(workspace, version)
    except EvidenceError as error:
        return [error.message]
    except InterlockError as error:
        return [f"the audit trail cannot be read: {error.message}"]
    foreign = reasons_against_registration(workspace, version, key, record)
    claims = _claims(version, record)
    reasons = foreign + [
        f"{name} is {found!r}, the audit trail recorded {recorded!r}"
        for name, found, recorded in claims
        if found != recorded
    ]
    reasons += _reasons_in_gates(record.evidence)
    # Decisions are bound to a registration; with another one there is nothing to assess.
    reasons += [] if foreign else _reasons_in_decisions(workspace, version)
    if alias == CHAMPION:
        reasons += _reasons_in_moves(workspace, version, key)
    return reasons


def _reasons_in_decisions(workspace: Workspace, version: ModelVersion) -> list[str]:
    """What the signed decisions say against a version, and what passes for one."""
    try:
        case = case_of(workspace, version)
    except InterlockError as error:
        return [f"its approval cannot be assessed: {error.message}"]
    reasons = [f"event {each.place} {each.why}" for each in case.forged]
    if case.suspended is not None:
        reasons.append(case.suspended.sentence)
    if case.needs_approval(workspace.authority.environment) or case.assessment.rejections:
        reasons += case.assessment.reasons_against()
    expected = view_of(workspace, case)
    found = version.tags.get(STATE)
    if found != expected[STATE]:
        reasons.append(f"tag {STATE} is {found!r}, by the audit trail it is {expected[STATE]!r}")
    return reasons


def _reasons_in_moves(workspace: Workspace, version: ModelVersion, registration: str) -> list[str]:
    """Whether the trail's newest move made this very version the champion."""
    try:
        history = history_of(workspace, version.name)
    except InterlockError as error:
        return [f"the moves of {CHAMPION} cannot be read: {error.message}"]
    champion = history.champion
    if champion is not None and (
        champion.version,
        champion.model_digest,
        champion.registration,
    ) == (version.version, version.tags.get("model_digest"), registration):
        return []
    if champion is not None and version.version in history.versions - {champion.version}:
        known = f"by the audit trail version {champion.version} is the champion"
        return [f"alias {CHAMPION} was moved outside of Interlock: {known}"]
    return ["the audit trail holds no promotion of this version to champion"]


def _claims(version: ModelVersion, record: AuditRecord) -> Iterator[tuple[str, object, object]]:
    """What MLflow says of a version, each with what the registration's event recorded."""
    for name in _BOUND:
        yield f"tag {name}", version.tags.get(name), record.evidence.get(name)
    yield "tag audit_owner", version.tags.get("audit_owner"), record.principal.name
    yield "its source", version.source, record.evidence.get("model_uri")


def _reasons_in_gates(evidence: Mapping[str, Any]) -> list[str]:
    gates = evidence.get("gates")
    readable = isinstance(gates, Sequence) and all(isinstance(gate, Mapping) for gate in gates)
    if not gates or not readable:
        return ["no gate result is recorded"]
    # A verdict is believed by its value and limit, not by the word "passed" beside them.
    failed = [gate for gate in gates if not _holds(gate)]
    reasons = [f"gate {gate.get('metric')} failed: {gate.get('reason')}" for gate in failed]
    if not failed and evidence.get("gates_passed") is not True:
        reasons.append("the audit trail does not record that the gates passed")
    return reasons


def _holds(gate: Mapping[str, Any]) -> bool:
    try:
        return holds(GateResult(**gate))
    except TypeError:  # fields that a gate's result does not have, or has not all
        return False


def _reasons_in_files(workspace: Workspace, version: ModelVersion) -> list[str]:
    try:
        require_digest(workspace, version.source, version.tags.get("model_digest", ""))
        if not workspace.registry.loads_its_source(version):
            return [f"who loads it by name gets other files than those at {version.source}"]
    except InterlockError as error:
        return [error.message]
    return []
