"""May this environment deploy that model version? The first reader of ``deployment_blocked``.

Believes no tag alone and no event alone: flag, gates and audit trail must agree, and the
stored files must be those that were registered. Whatever is missing or cannot be reached is
a reason to refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interlock.actions.authority import RunContext
from interlock.actions.evidence import stream_of
from interlock.actions.promote import CHAMPION
from interlock.actions.register import require_digest
from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import ModelVersion
from interlock.errors import DeploymentRefused, InterlockError
from interlock.governance.audit import AuditRecord, Outcome, decode
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
_BOUND = ("model_digest", "model_fingerprint", "data_hash", "policy_hash", "approval_state")
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
    if environment is not Environment.DEV:
        reasons.append(f"no approval is recorded, which {environment.value} demands")
    return reasons


def _reasons_in_trail(workspace: Workspace, version: ModelVersion, alias: str) -> list[str]:
    key = version.tags.get("audit_event")
    if not key:
        return ["tag audit_event is missing, so its registration cannot be proven"]
    try:
        stream = stream_of(workspace, key)
        findings = workspace.authority.audit.verify(stream).all_findings
        stored = workspace.authority.audit.read(stream)
    except InterlockError as error:
        return [f"the audit trail cannot be read: {error.message}"]
    if findings:
        return [f"the audit stream {stream.name} does not verify: {findings[0].text}"]
    events = {each.key: decode(each.data).record for each in stored}
    record = events.get(key)
    if record is None:
        return [f"the audit trail holds no event {key}"]
    if (record.action, record.outcome) != (Action.MODEL_REGISTER.value, Outcome.SUCCEEDED):
        return [f"event {key} records {record.action} {record.outcome.value}, no registration"]
    evidence = record.evidence
    here = workspace.authority.environment.value
    reasons = []
    if record.environment != here:
        reasons.append(f"event {key} was recorded in {record.environment}, this is {here}")
    reasons += [
        f"{name} is {found!r}, the audit trail recorded {recorded!r}"
        for name, found, recorded in _claims(version, record)
        if found != recorded
    ]
    if (record.resource, evidence.get("model"), evidence.get("version")) != (
        f"model/{version.name}",
        version.name,
        version.version,
    ):
        reasons.append(
            f"event {key} registers {evidence.get('model')} version {evidence.get('version')}"
        )
    reasons += _reasons_in_gates(evidence)
    promotions = [event for event in events.values() if _promotes(event, version, key)]
    if alias == CHAMPION and (
        not promotions
        or promotions[-1].outcome is not Outcome.SUCCEEDED
        or promotions[-1].environment != here
    ):
        reasons.append("the audit trail holds no promotion of this version to champion")
    return reasons


def _claims(version: ModelVersion, record: AuditRecord) -> Iterator[tuple[str, object, object]]:
    """What MLflow says of a version, each with what the registration's event recorded."""
    for name in _BOUND:
        yield f"tag {name}", version.tags.get(name), record.evidence.get(name)
    yield "tag audit_owner", version.tags.get("audit_owner"), record.principal.name
    yield "its source", version.source, record.evidence.get("model_uri")


def _promotes(event: AuditRecord, version: ModelVersion, registration: str) -> bool:
    """Whether an event is about making that registered version the champion."""
    claimed = {
        "model": version.name,
        "version": version.version,
        "model_digest": version.tags.get("model_digest"),
        "alias": CHAMPION,
        "registration_event": registration,
    }
    return (
        event.action == Action.MODEL_PROMOTE.value
        and event.resource == f"model/{version.name}"
        and claimed.items() <= dict(event.evidence).items()
    )


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
