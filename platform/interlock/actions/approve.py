"""Approve or reject a version: prepare what is to be said, have it signed, deliver it.

Three steps, because they need not happen in one process. ``prepare`` knows the person, asks the
policies and gives the statement; whoever holds the key signs it (``sign``); ``deliver`` checks
everything again and puts it on record. A command line does all three; a web server, which knows
the person, does the first two and lets a run deliver, which holds no key. What a decision is
bound to and when it counts is decided in ``governance.approval``. ADR-0011.

Tags are a view of the outcome (``refresh_tags``); nobody believes them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from interlock.actions.authority import RunContext
from interlock.actions.case import Case, case_of, open_case, signed_statement
from interlock.actions.deciders import require_decider
from interlock.actions.files import require_digest
from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import ModelVersion
from interlock.adapters.signer import Signer
from interlock.errors import ApprovalError, InterlockError, RegistryError
from interlock.governance.approval import (
    CLOCK_TOLERANCE,
    DEFAULT_LIFETIME,
    SERVER,
    Assessment,
    State,
    Statement,
    Verdict,
    decided_on,
    proof_of,
    unproven,
)
from interlock.governance.audit import decision_ledger
from interlock.governance.dsse import Envelope, Signature
from interlock.governance.gates import all_hold
from interlock.governance.policy import Action, Resource
from interlock.governance.principal import IdentitySource, Principal, Role

BLOCKED, STATE = "deployment_blocked", "approval_state"
NOT_REQUIRED: Final = "not_required"
REJECTED_BY_GATES: Final = "rejected_by_gates"
_ACTIONS = {Verdict.APPROVE: Action.MODEL_APPROVE, Verdict.REJECT: Action.MODEL_REJECT}


@dataclass(frozen=True)
class Decided:
    """A decision on record.

    Attributes:
        statement: What was decided.
        event_key: Where it is recorded.
        case: The version with this decision taken into account.
    """

    statement: Statement
    event_key: str
    case: Case

    @property
    def assessment(self) -> Assessment:
        """What the decisions about the version come to now."""
        return self.case.assessment


def prepare(
    workspace: Workspace,
    run: RunContext,
    *,
    verdict: Verdict,
    model: str,
    version: str,
    reason: str,
    lifetime: timedelta = DEFAULT_LIFETIME,
) -> Statement:
    """What a person says when they decide now; nothing is signed or decided by it.

    Args:
        workspace: The outside world, acting as that person.
        run: Where this happens; a refusal is recorded there.
        verdict: Approve or reject.
        model: Registered model.
        version: Its number.
        reason: Why.
        lifetime: How long an approval is valid; of no meaning for a rejection.

    Returns:
        The statement to show and to sign.

    Raises:
        AccessDenied: The person may not decide on this version; it is recorded.
        ApprovalError: The version cannot be decided on like this; it is recorded.
        IdentityError: The directory does not know them, or not any more; it is recorded.
        EvidenceError: The version is not proven by the audit trail; it is recorded.
    """
    authority, action = workspace.authority, _ACTIONS[verdict]
    resource = Resource("model", model)
    evidence = {"model": model, "version": version}
    try:
        require_decider(workspace)
        case = open_case(workspace, model, version)
    except InterlockError as error:
        authority.refuse(action, resource, run, error, evidence=evidence)
        raise
    context = case.facts(authority.context, authority.principal)
    authority.authorise(action, resource, run, context=context, evidence=evidence)
    try:
        statement = _said_by(workspace, case, verdict, reason=reason, lifetime=lifetime)
        _require_decidable(workspace, case, statement)
    except InterlockError as error:
        authority.refuse(action, resource, run, error, evidence=evidence)
        raise
    return statement


def sign(statement: Statement, signer: Signer) -> Envelope:
    """The statement in an envelope with the key's signature.

    Args:
        statement: As ``prepare`` gave it.
        signer: Holds the key.
    """
    envelope = Envelope(statement.payload, ())
    signature = Signature(signer.key_id, signer.sign(envelope.signed_bytes))
    return Envelope(statement.payload, (signature,))


def deliver(workspace: Workspace, run: RunContext, envelope: Envelope) -> Decided:
    """Put a signed decision on record, whoever carries it.

    Args:
        workspace: The outside world, acting as anybody: who decided is what the envelope says.
        run: Where this happens.
        envelope: The signed statement.

    Returns:
        The decision and what it comes to.

    Raises:
        ApprovalError: No believed key signed it, it is not shown who decided, or it cannot be
            decided like this now; it is recorded.
        IdentityError: The directory does not know who decided, or not any more; it is recorded.
        AccessDenied: The policies do not permit the decision to who made it.
        EvidenceError: The version is not proven by the audit trail.
        AuditWriteFailed: It could not be recorded.
    """
    statement, signed_for = _believed(workspace, run, envelope)
    action, model = _ACTIONS[statement.verdict], statement.seen.model
    carrier = workspace.authority.principal
    acting = workspace.acting_as(_who_decided(statement))
    authority, resource = acting.authority, Resource("model", model)
    known = {
        "model": model,
        "version": statement.seen.version,
        "verdict": statement.verdict.value,
        "meaning": statement.meaning,
        "seen_digest": statement.seen.digest,
        "proof": proof_of(statement, signed_for).value,
        "delivered_by": carrier.name,
    }
    try:
        require_decider(acting)
        case = open_case(acting, model, statement.seen.version)
        _require_proven(statement, signed_for)
        _require_decidable(acting, case, statement)
        require_digest(acting, case.version.source, case.seen.model_digest)
    except InterlockError as error:
        authority.refuse(action, resource, run, error, evidence=known)
        raise
    with authority.govern(
        action,
        resource,
        run.with_mlflow_run(case.version.run_id),
        context=case.facts(authority.context, authority.principal),
        evidence=known,
        ledger=decision_ledger(model, case.version.version),
    ) as governed:
        governed.evidence |= {
            "reason": statement.reason,
            "expires": statement.document()["predicate"]["expires"],
            "envelope": envelope.document(),
        }
    after = case_of(acting, case.version)
    try:
        refresh_tags(acting, after)
    except RegistryError as error:
        # The decision is on record; its view in MLflow is put right by the reconciler.
        run.report(f"the tags of {case.label} do not show the decision yet: {error.message}")
    return Decided(statement=statement, event_key=governed.event_key, case=after)


def decide(
    workspace: Workspace,
    run: RunContext,
    signer: Signer,
    *,
    show: Callable[[Statement], None] = lambda _: None,
    **wanted: Any,
) -> Decided:
    """Prepare, show, sign and deliver in one process.

    Args:
        workspace: The outside world, acting as the person who decides.
        run: Where this happens.
        signer: Holds the key.
        show: Given exactly what will be signed; raises when the person does not want that.
        **wanted: As for ``prepare``.

    Returns:
        The decision and what it comes to.

    Raises:
        ApprovalError: As for ``prepare`` and ``deliver``, and what ``show`` raises.
    """
    statement = prepare(workspace, run, **wanted)
    _require_provable(workspace, run, statement)
    show(statement)
    return deliver(workspace, run, sign(statement, signer))


def obstacles(workspace: Workspace, case: Case, verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """Why who acts cannot decide on a version now, each with its remedy; none when they can.

    For pages that say so before anybody tries; nothing is recorded, and ``prepare`` asks anew.

    Args:
        workspace: The outside world, acting as that person.
        case: The version.
        verdict: Approve or reject.
    """
    authority = workspace.authority
    decision = authority.engine.decide(
        principal=authority.principal,
        action=_ACTIONS[verdict],
        resource=Resource("model", case.version.name),
        environment=authority.environment,
        context=case.facts(authority.context, authority.principal),
    )
    if not decision.allowed:
        return ((decision.reason, decision.remedy),)
    try:
        require_decider(workspace)
    except InterlockError as error:
        return ((error.message, error.remedy),)
    statement = _said_by(workspace, case, verdict, reason="not said yet", lifetime=DEFAULT_LIFETIME)
    return tuple(_reasons_against(workspace, case, statement))


def view_of(workspace: Workspace, case: Case) -> dict[str, str]:
    """What the tags of a version have to say, by the trail."""
    required = case.needs_approval(workspace.authority.environment)
    return tags_for(case, case.assessment, required=required)


def tags_for(case: Case, assessment: Assessment, *, required: bool) -> dict[str, str]:
    """The tags that an outcome gives.

    Args:
        case: The version.
        assessment: What its decisions come to.
        required: Whether an approval is needed where it is.
    """
    state = assessment.state
    if not all_hold(case.gates):
        return {STATE: REJECTED_BY_GATES, BLOCKED: "true"}
    if state is State.REJECTED or required:
        return {STATE: state.value, BLOCKED: str(not assessment.approved).lower()}
    return {STATE: NOT_REQUIRED, BLOCKED: "false"}


def refresh_tags(workspace: Workspace, case: Case) -> ModelVersion:
    """Make MLflow's view of a version say what the trail says.

    Raises:
        RegistryError: MLflow refused; the decision stands, and the reconciler tries again.
    """
    wanted = view_of(workspace, case)
    # Blocked first and freed last: cut off in between, the view errs on the safe side.
    order = sorted(wanted, key=lambda name: name != BLOCKED or wanted[BLOCKED] == "false")
    workspace.registry.set_tags(case.version, {name: wanted[name] for name in order})
    return workspace.registry.version(case.version.name, case.version.version)


def _believed(workspace: Workspace, run: RunContext, envelope: Envelope) -> tuple[Statement, str]:
    try:
        statement, signed_for = signed_statement(workspace, envelope)
        _who_decided(statement)
    except (InterlockError, ValueError) as error:
        wrong = (
            error
            if isinstance(error, InterlockError)
            else ApprovalError(
                f"who decided cannot be understood: {error}",
                remedy="have it signed by this version of Interlock",
            )
        )
        workspace.authority.refuse(
            Action.MODEL_APPROVE, Resource("model", "unknown"), run, wrong, evidence={}
        )
        raise wrong from error
    return statement, signed_for


def _said_by(
    workspace: Workspace, case: Case, verdict: Verdict, *, reason: str, lifetime: timedelta
) -> Statement:
    """What who acts says about a version now."""
    principal = workspace.authority.principal
    return decided_on(
        verdict=verdict,
        seen=case.seen,
        now=workspace.clock(),
        lifetime=lifetime,
        subject=principal.account,
        role=principal.role.value,
        verified_by=principal.verified_by,
        teams=tuple(sorted(principal.teams)),
        reason=reason,
    )


def _who_decided(statement: Statement) -> Principal:
    return Principal(
        name=statement.subject,
        role=Role(statement.role),
        verified_by=IdentitySource(statement.verified_by).value,
        teams=frozenset(statement.teams),
    )


def _require_provable(workspace: Workspace, run: RunContext, statement: Statement) -> None:
    """Refuse, on record, what no signature can show to be a person's, before it is signed."""
    seen, act = statement.seen, _ACTIONS[statement.verdict]
    known = {"model": seen.model, "version": seen.version}
    try:
        if statement.subject not in workspace.signatories.people:  # who may hold their own key
            _require_proven(statement, SERVER)
    except ApprovalError as error:
        workspace.authority.refuse(act, Resource("model", seen.model), run, error, evidence=known)
        raise


def _require_proven(statement: Statement, signed_for: str) -> None:
    """Refuse a decision that does not show who made it, and say what would."""
    seen = statement.seen
    why = unproven(statement, signed_for)
    if why:
        raise ApprovalError(
            f"{seen.model} version {seen.version} cannot be decided on: the decision {why}",
            remedy="sign in and decide again, or sign with a key that APPROVAL_PUBLIC_KEYS gives "
            f"to {statement.subject} (docs/operations.md, Approvals)",
        )


def _require_decidable(workspace: Workspace, case: Case, statement: Statement) -> None:
    """Refuse a decision that would not count, or that was made already.

    Raises:
        ApprovalError: Says why.
    """
    for why, remedy in _reasons_against(workspace, case, statement):
        raise ApprovalError(f"{case.label} cannot be decided on: {why}", remedy=remedy)


def _reasons_against(
    workspace: Workspace, case: Case, statement: Statement
) -> Iterator[tuple[str, str]]:
    """Why a decision would not count, each with its remedy."""
    now = workspace.clock()
    if statement.issued > now + CLOCK_TOLERANCE:
        yield "it was decided in the future", "compare the clocks of both machines"
    if statement.seen.digest != case.seen.digest:
        yield "what was decided on changed since", "look at it again, and decide again"
    rejected = case.assessment.rejections
    if rejected:
        who = rejected[0].statement.subject
        again = statement.verdict is Verdict.APPROVE or who == statement.subject
        if again:
            yield f"{who} rejected it, which stands", "train and register another version"
    if statement.verdict is Verdict.REJECT:
        return
    # Also what no policy knows, e.g. who enabled the schedule that trained it.
    if against := case.excluded.reason_against(statement.subject, statement.teams):
        yield f"{statement.subject} {against}", "ask an approver who had no part in it"
    if statement.expires is None or statement.expires <= now:
        yield "the approval has expired already", "decide again"
    if not all_hold(case.gates):
        yield "its gates did not pass", "train and register another version"
    if statement.subject in {each.statement.subject for each in case.assessment.counted}:
        yield (
            f"{statement.subject} approved it already",
            "ask another approver; renew it when it has expired or is void",
        )
