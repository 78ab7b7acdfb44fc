"""Everything there is to know about a version before something is decided about it.

Found from the audit trail: what was registered, who trained and registered it, what there is to
see, which decisions are signed by a believed key, and what they come to. MLflow's tags are asked
for one thing alone, which event to look at; what they claim is compared by ``deploy_check`` and
``reconcile``. Code in a run can write audit events, so an event is only the carrier of a
decision: what counts is its signature. ADR-0011.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from interlock.actions.evidence import recorded_event, require_text, verified_events
from interlock.actions.suspensions import Suspension, suspensions_of
from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import ModelVersion
from interlock.errors import ApprovalError, AuditError, EvidenceError
from interlock.governance.approval import (
    SERVER,
    Assessment,
    Excluded,
    Ignored,
    Seen,
    Signed,
    Statement,
    Tier,
    assess,
    quorum_of,
    read_statement,
    was_lifted,
)
from interlock.governance.audit import AuditRecord, Outcome, decision_ledger
from interlock.governance.dsse import Envelope, read_envelope
from interlock.governance.gates import GateResult
from interlock.governance.policy import Action, Fairness, RequestContext
from interlock.governance.principal import Environment, Principal, account_of

TEAM = "team:"
_DECISIONS = (Action.MODEL_APPROVE.value, Action.MODEL_REJECT.value)
_AGAIN = "register the version again"


@dataclass(frozen=True)
class Case:
    """A version, and what the audit trail says about it.

    Attributes:
        version: As MLflow holds it.
        product: Name of the product that it belongs to.
        registration: The record of its registration; its key is in ``seen``.
        trained_by: Who trained it.
        registered_by: Who registered it.
        seen: What a decision about it is bound to.
        excluded: Whose approval does not count.
        gates: Results of its gates.
        signed: Decisions with a verified signature, in the order of the ledger.
        forged: Events that pass for decisions and carry no believed signature.
        assessment: What the decisions come to now.
        suspensions: What suspended its approval so far, lifted or not.
    """

    version: ModelVersion
    product: str
    registration: AuditRecord
    trained_by: str
    registered_by: str
    seen: Seen
    excluded: Excluded
    gates: tuple[GateResult, ...]
    signed: tuple[Signed, ...]
    forged: tuple[Ignored, ...]
    assessment: Assessment
    suspensions: tuple[Suspension, ...] = ()

    @property
    def suspension(self) -> Suspension | None:
        """What suspended its approval last, lifted or not; None where nothing did."""
        return self.suspensions[-1] if self.suspensions else None

    @property
    def suspended(self) -> Suspension | None:
        """What keeps its approval suspended now; nothing once enough people have agreed again."""
        last = self.suspension
        return None if last is None or self.was_lifted(last) else last

    def was_lifted(self, suspension: Suspension) -> bool:
        """Whether enough people agreed once they had seen a suspension; it may have expired."""
        return was_lifted(self.signed, suspension.event_key, self.seen, self.excluded)

    def needs_approval(self, environment: Environment) -> bool:
        """Whether it may be used here only once it is approved; dev needs it after a suspension."""
        return demands_approval(environment) or self.suspension is not None

    @property
    def label(self) -> str:
        """The version in words."""
        return f"{self.version.name} version {self.version.version}"

    def facts(self, context: RequestContext, principal: Principal) -> RequestContext:
        """What the policies ask about a version, added to what they ask about everything."""
        demands = self.registration.evidence.get("demands")
        # A registration that does not say what it demands, demands everything.
        unknown = not isinstance(demands, list | tuple)
        declared = {"fairness", "signature"} if unknown else set(_listed(demands))
        assessed = self.seen.fairness != Fairness.NOT_ASSESSED.value
        return replace(
            context,
            gates=self.gates,
            fairness=Fairness(self.seen.fairness),
            fairness_demanded="fairness" in declared or assessed,
            signed=self.seen.signed,
            signature_demanded="signature" in declared or self.seen.signed,
            approved=self.assessment.approved,
            rejected=bool(self.assessment.rejections),
            author=self.trained_by,
            requester=self.registered_by,
            in_owning_team=self.owned_by(principal),
        )

    def owned_by(self, principal: Principal) -> bool:
        """Whether somebody owns the product, by name or by team."""
        people, teams = owners_of(self.registration)
        owners = Excluded(dict.fromkeys(people, "owns the product"), teams)
        return bool(owners.reason_against(principal.account, principal.teams))


def open_case(workspace: Workspace, model: str, version: str) -> Case:
    """Find everything about a version.

    Args:
        workspace: The outside world.
        model: Registered model.
        version: Its number.

    Raises:
        RegistryError: There is no such version, or MLflow does not answer.
        EvidenceError: Its registration or training is not proven by the audit trail.
        ApprovalError: What was recorded of it cannot be decided on.
        StoreError: The trail cannot be read.
    """
    return case_of(workspace, workspace.registry.version(model, version))


def case_of(workspace: Workspace, version: ModelVersion) -> Case:
    """As ``open_case``, of a version that is at hand."""
    key, registration = registration_of(workspace, version)
    reasons = reasons_against_registration(workspace, version, key, registration)
    if reasons:
        raise EvidenceError(
            f"{version.name} version {version.version}: {reasons[0]}", remedy=_AGAIN
        )
    trained = _training_of(workspace, registration)
    suspensions = suspensions_of(workspace, version.name, version.version)
    seen = _seen(workspace, key, registration, suspensions)
    excluded = _excluded(registration, trained)
    signed, forged = decisions_about(workspace, version.name, version.version)
    return Case(
        version=version,
        product=trained.resource.partition("/")[2],
        registration=registration,
        trained_by=trained.principal.name,
        registered_by=registration.principal.name,
        seen=seen,
        excluded=excluded,
        gates=gates_of(registration.evidence),
        signed=signed,
        forged=forged,
        assessment=assess(signed, seen=seen, now=workspace.clock(), excluded=excluded),
        suspensions=suspensions,
    )


def registration_of(workspace: Workspace, version: ModelVersion) -> tuple[str, AuditRecord]:
    """The record of a version's registration, of a stream that verifies.

    Raises:
        EvidenceError: There is none.
        AuditError: There is no such stream.
        StoreError: The trail cannot be read.
    """
    key = version.tags.get("audit_event")
    if not key:
        raise EvidenceError(
            "tag audit_event is missing, so its registration cannot be proven", remedy=_AGAIN
        )
    record = recorded_event(workspace, key)
    if (record.action, record.outcome) != (Action.MODEL_REGISTER.value, Outcome.SUCCEEDED):
        raise EvidenceError(
            f"event {key} records {record.action} {record.outcome.value}, no registration",
            remedy=_AGAIN,
        )
    return key, record


def reasons_against_registration(
    workspace: Workspace, version: ModelVersion, key: str, record: AuditRecord
) -> list[str]:
    """Why a registration is not that of a version here; none when it is."""
    here = workspace.authority.environment.value
    evidence = record.evidence
    reasons = []
    if record.environment != here:
        reasons.append(f"event {key} was recorded in {record.environment}, this is {here}")
    if (record.resource, evidence.get("model"), evidence.get("version")) != (
        f"model/{version.name}",
        version.name,
        version.version,
    ):
        reasons.append(
            f"event {key} registers {evidence.get('model')} version {evidence.get('version')}"
        )
    return reasons


def gates_of(evidence: Mapping[str, Any]) -> tuple[GateResult, ...]:
    """The gates' results in an event's evidence; none when any of them cannot be read."""
    try:
        return tuple(GateResult(**gate) for gate in _listed(evidence.get("gates")))
    except TypeError:  # fields that a gate's result does not have, or has not all
        return ()


def decisions_about(
    workspace: Workspace, model: str, version: str
) -> tuple[tuple[Signed, ...], tuple[Ignored, ...]]:
    """The decisions about a version.

    Returns:
        Those whose signature was verified with a believed key, in the order of the ledger, and
        the events that pass for decisions without one.

    Raises:
        EvidenceError: The ledger does not verify.
        StoreError: It cannot be read.
    """
    signed: list[Signed] = []
    forged: list[Ignored] = []
    for key, event in verified_events(workspace, decision_ledger(model, version)):
        record = event.record
        if record.action not in _DECISIONS or record.outcome is not Outcome.SUCCEEDED:
            continue
        try:
            envelope = read_envelope(record.evidence.get("envelope"))
            statement, signed_for = signed_statement(workspace, envelope)
            signed.append(Signed(statement, key, signed_for))
        except ApprovalError as error:
            why = f"was not decided by anybody: {error.message}"
            forged.append(Ignored(key, record.principal.name, why, forged=True))
    return tuple(signed), tuple(forged)


def signed_statement(workspace: Workspace, envelope: Envelope) -> tuple[Statement, str]:
    """What an envelope says, and whose key signed it.

    Returns:
        The statement, and the account that the key belongs to or ``SERVER``.

    Raises:
        ApprovalError: No believed key signed it, or only that of somebody else.
    """
    accounts = workspace.who_signed(envelope)
    if not accounts:
        raise ApprovalError(
            "no believed key signed it",
            remedy="sign with the key whose public half APPROVAL_PUBLIC_KEYS holds, and have "
            "events that nobody signed examined",
        )
    statement = read_statement(envelope.payload)
    for signed_for in (statement.subject, SERVER):
        if signed_for in accounts:
            return statement, signed_for
    raise ApprovalError(
        f"the key of {', '.join(sorted(accounts))} signed it for {statement.subject}",
        remedy="sign with your own key for yourself, and have who held that key examined",
    )


def owners_of(registration: AuditRecord) -> tuple[tuple[str, ...], frozenset[str]]:
    """Who owns a version's product: accounts, and teams.

    Raises:
        EvidenceError: The record does not say; then nobody is known to be outside.
    """
    names = [str(each) for each in _listed(registration.evidence.get("owners"))]
    if not names:
        raise EvidenceError(
            "the record of its registration does not say who owns the product",
            remedy="register the version again; it was registered before approvals were recorded",
        )
    people = tuple(account_of(each) for each in names if not each.startswith(TEAM))
    teams = frozenset(each.removeprefix(TEAM) for each in names if each.startswith(TEAM))
    return people, teams


def _training_of(workspace: Workspace, registration: AuditRecord) -> AuditRecord:
    key = require_text(registration.evidence, "upstream_event", "registered_version")
    try:
        record = recorded_event(workspace, key)
    except AuditError as error:
        raise EvidenceError(f"its training is not on record: {error.message}", remedy=_AGAIN) from (
            error
        )
    same = record.evidence.get("model_fingerprint") == registration.evidence.get(
        "model_fingerprint"
    )
    if (record.action, record.outcome, record.environment, same) != (
        Action.MODEL_TRAIN.value,
        Outcome.SUCCEEDED,
        registration.environment,
        True,
    ):
        raise EvidenceError(f"event {key} is not the training of this version", remedy=_AGAIN)
    return record


def _seen(
    workspace: Workspace,
    key: str,
    registration: AuditRecord,
    suspensions: Sequence[Suspension],
) -> Seen:
    evidence = registration.evidence
    tier, raised = evidence.get("tier"), evidence.get("quorum")
    # Of a tier that is not known the highest is assumed.
    known = Tier(str(tier)) if tier in tuple(Tier) else Tier.HIGH
    names = ("model", "version", "model_digest", "model_fingerprint", "data_hash")
    return Seen.of(
        {
            **{name: evidence.get(name) for name in (*names, "metrics", "gates")},
            "environment": registration.environment,
            "registration": key,
            "policy_hash": workspace.authority.engine.policy_hash,
            "tier": known.value,
            "quorum": quorum_of(known, raised if type(raised) is int else None),
            "fairness": Fairness.NOT_ASSESSED.value,
            "signed": False,
            "model_card": None,
            "suspension": suspensions[-1].event_key if suspensions else None,
        }
    )


def _excluded(registration: AuditRecord, trained: AuditRecord) -> Excluded:
    people, teams = owners_of(registration)
    # A service account acts for whoever enabled its schedule or sensor.
    behalf = [each.evidence.get("on_behalf_of") for each in (registration, trained)]
    return Excluded(
        {
            **dict.fromkeys(people, "owns the product"),
            **{account_of(name): "enabled its schedule" for name in behalf if _is_named(name)},
            account_of(registration.principal.name): "registered it",
            account_of(trained.principal.name): "trained it",
        },
        teams,
    )


def _is_named(found: object) -> TypeGuard[str]:
    return isinstance(found, str) and found != ""


def _listed(found: object) -> Sequence[Any]:
    """A list; empty for anything else."""
    return found if isinstance(found, list | tuple) else ()


def demands_approval(environment: Environment) -> bool:
    """Whether a version is blocked here until it is approved; dev alone does without."""
    return environment is not Environment.DEV
