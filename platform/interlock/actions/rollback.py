"""Go back to the champion before: fast, on one person's word, and on record as such.

An emergency does not wait for a quorum: the policies let on-call roles roll back alone. What they
go back to was promoted before, by the trail, with the approvals that were needed then; what was
rejected since is passed over. A rollback renews no approval: whether the version may still be
deployed is for ``deploy_check``, which says what it lacks. ADR-0011.
"""

from __future__ import annotations

from dataclasses import dataclass

from interlock.actions.authority import RunContext
from interlock.actions.case import Case, case_of, demands_approval
from interlock.actions.champions import CHAMPION, History, Reign, history_of
from interlock.actions.files import require_digest
from interlock.actions.promote import Move, move
from interlock.actions.workspace import Workspace
from interlock.errors import ApprovalError, EvidenceError, InterlockError
from interlock.governance.approval import Excluded, Signed, assess
from interlock.governance.audit import as_reason
from interlock.governance.policy import Action, Resource


@dataclass(frozen=True)
class RolledBack:
    """A rollback.

    Attributes:
        move: Where the alias points now.
        lacks: Why the version may not be deployed as it is, e.g. an approval that has expired.
        passed_over: Earlier champions that could not be returned to, each with the reason.
    """

    move: Move
    lacks: tuple[str, ...]
    passed_over: tuple[str, ...]


def rollback(
    workspace: Workspace,
    run: RunContext,
    *,
    model: str,
    reason: str,
    expected_move: str | None = None,
) -> RolledBack:
    """Point the champion alias back at the champion before.

    Args:
        workspace: The outside world.
        run: Where this happens.
        model: Registered model.
        reason: Why; part of the record.
        expected_move: Key of the newest move that whoever asks has seen; the newest one by default.

    Returns:
        What was done.

    Raises:
        AccessDenied: The principal may not roll back here.
        ApprovalError: No reason is given, there is no champion to go back to, or the champion was
            moved since it was looked at.
        EvidenceError: The trail or the version's files are not as recorded.
        AuditWriteFailed: It could not be recorded; the alias was taken back.
        ProductBusy: Another move of this champion is under way.
    """
    authority, resource = workspace.authority, Resource("model", model)
    passed_over: list[str] = []
    try:
        if not reason.strip():
            raise ApprovalError("a rollback needs a reason", remedy="say why, with --reason")
        history = history_of(workspace, model)
        _require_unmoved(model, history, expected_move or history.last_move)
        reign, case = _target(workspace, model, history, passed_over)
    except InterlockError as error:
        evidence = {"model": model, "alias": CHAMPION, "passed_over": passed_over}
        authority.refuse(Action.MODEL_ROLLBACK, resource, run, error, evidence=evidence)
        raise
    required = demands_approval(authority.environment)

    def require_unchanged() -> None:
        _require_unmoved(model, history_of(workspace, model), history.last_move)
        now = case_of(workspace, workspace.registry.version(model, reign.version))
        if now.assessment.rejections:
            raise ApprovalError(now.assessment.reasons_against()[0], remedy="promote another one")
        require_digest(workspace, now.version.source, reign.model_digest)

    moved = move(
        workspace,
        run.with_mlflow_run(case.version.run_id),
        case.version,
        action=Action.MODEL_ROLLBACK,
        context=case.facts(authority.context, authority.principal),
        evidence={
            "model_digest": reign.model_digest,
            "registration_event": reign.registration,
            "promotion": reign.promotion,
            "why": as_reason(reason.strip()),
            "emergency": required,
            "without_quorum": required,
            "approval_now": case.assessment.state.value,
            "passed_over": passed_over,
        },
        check=require_unchanged,
    )
    lacks = case.assessment.reasons_against() if required else []
    return RolledBack(move=moved, lacks=tuple(lacks), passed_over=tuple(passed_over))


def _require_unmoved(model: str, now: History, expected: str | None) -> None:
    """Refuse to go further back than was meant.

    Raises:
        ApprovalError: The champion was moved since.
    """
    if now.last_move != expected:
        raise ApprovalError(
            f"the champion of {model} was moved by somebody else meanwhile",
            remedy="look at what it is now, and roll back again if that is still right",
        )


def _target(
    workspace: Workspace, model: str, history: History, passed_over: list[str]
) -> tuple[Reign, Case]:
    """The newest earlier champion that nothing speaks against."""
    if history.champion is None:
        raise ApprovalError(
            f"the audit trail knows no champion of {model}", remedy="promote a version first"
        )
    for reign in history.earlier:
        try:
            case = case_of(workspace, workspace.registry.version(model, reign.version))
            _require_fit(workspace, case, reign)
        except InterlockError as error:
            passed_over.append(f"version {reign.version}: {error.message}")
        else:
            return reign, case
    tried = "; ".join(passed_over) or "there was none before"
    raise ApprovalError(
        f"{model} has no earlier champion to go back to: {tried}",
        remedy="promote a version that is approved",
    )


def _require_fit(workspace: Workspace, case: Case, reign: Reign) -> None:
    """Refuse a version that was not approved when it reigned, or was rejected since.

    Raises:
        ApprovalError: Says which.
        EvidenceError: It is another version by now.
    """
    if (case.seen.registration, case.seen.model_digest) != (reign.registration, reign.model_digest):
        raise EvidenceError(
            "it is another version than the one that was champion",
            remedy="promote it as what it is now",
        )
    if case.assessment.rejections:
        raise ApprovalError(case.assessment.reasons_against()[0], remedy="promote another one")
    if case.suspended is not None:
        raise ApprovalError(case.suspended.sentence, remedy="promote a version that is approved")
    if demands_approval(workspace.authority.environment) and not _was_approved(case, reign):
        raise ApprovalError(
            "no quorum of signed approvals from before its promotion is on record",
            remedy="promote a version that is approved",
        )


def _was_approved(case: Case, reign: Reign) -> bool:
    """Whether signed approvals carried the promotion, by what there was to see then."""
    then: list[Signed] = [
        each for each in case.signed if each.statement.seen.digest == reign.seen_digest
    ]
    if not then:
        return False
    excluded = Excluded(case.excluded.subjects, case.excluded.teams)
    seen = then[0].statement.seen
    return assess(then, seen=seen, now=reign.since, excluded=excluded).approved
