"""Move the champion alias to a version, with a record before and after.

MLflow's alias call is last-writer-wins and knows no transaction with the audit trail. So:
policies, gates and approvals are asked, the lease is taken, the intent is recorded in the ledger
of the model's moves, everything is asked once more, the alias is moved, the end is recorded, and
when anything of this fails the alias goes back. A promotion that was cut off anywhere can
simply be run again. The way back to an earlier champion is ``rollback``; what the ledger says is
read in ``champions``. ADR-0011.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from interlock.actions.authority import Governed, RunContext
from interlock.actions.case import Case, case_of, open_case
from interlock.actions.champions import CHAMPION, TAKEN_BACK, History, history_of
from interlock.actions.files import require_digest
from interlock.actions.workspace import Workspace
from interlock.adapters.lease import Lease
from interlock.adapters.model_registry import ModelVersion
from interlock.errors import (
    ApprovalError,
    AuditWriteFailed,
    InterlockError,
    ProductBusy,
)
from interlock.governance.audit import champion_ledger
from interlock.governance.gates import GateResult
from interlock.governance.policy import Action, RequestContext, Resource
from interlock.product import ModelProduct

__all__ = ["CHAMPION", "Move", "move", "promote", "promote_first_champion"]


@dataclass(frozen=True)
class Move:
    """A move of the champion alias.

    Attributes:
        model: Registered model.
        version: Where the alias points now.
        previous: The champion that the trail knew before; None for the first.
        event_key: The record of it; of the earlier move when there was nothing to do.
        moved: Whether anything was to be done.
    """

    model: str
    version: str
    previous: str | None
    event_key: str
    moved: bool


def promote(workspace: Workspace, run: RunContext, *, model: str, version: str) -> Move:
    """Make a version the champion.

    Args:
        workspace: The outside world.
        run: Where this happens.
        model: Registered model.
        version: Its number.

    Returns:
        What was done; running it again does nothing more.

    Raises:
        AccessDenied: The principal may not, or a gate, an approval or what else the policies
            demand is missing.
        EvidenceError: The version is not proven by the audit trail, or its files changed.
        ApprovalError: Approvals or policies changed while this was under way.
        AuditWriteFailed: The promotion could not be recorded; the alias was taken back.
        ProductBusy: Another move of this champion is under way.
    """
    resource = Resource("model", model)
    authority = workspace.authority
    try:
        case = open_case(workspace, model, version)
    except InterlockError as error:
        evidence = {"model": model, "version": version, "alias": CHAMPION}
        authority.refuse(Action.MODEL_PROMOTE, resource, run, error, evidence=evidence)
        raise
    context = case.facts(authority.context, authority.principal)
    history = history_of(workspace, model)
    champion = history.champion
    if champion is not None and _is_champion(workspace, case, history):
        authority.authorise(Action.MODEL_PROMOTE, resource, run, context=context)
        return Move(model, version, champion.version, champion.promotion, moved=False)

    def require_unchanged() -> None:
        now = case_of(workspace, workspace.registry.version(model, version))
        same = now.seen.digest == case.seen.digest
        agreed = now.assessment.approved or not now.needs_approval(authority.environment)
        if not same or not agreed or now.assessment.rejections:
            against = "; ".join(now.assessment.reasons_against()) or "what was approved changed"
            raise ApprovalError(
                f"{case.label} may not be promoted any more: {against}",
                remedy="see `interlock approvals` for what it lacks now",
            )
        require_digest(workspace, case.version.source, case.seen.model_digest)

    return move(
        workspace,
        run.with_mlflow_run(case.version.run_id),
        case.version,
        action=Action.MODEL_PROMOTE,
        context=context,
        evidence=promotion_evidence(case),
        check=require_unchanged,
    )


def promote_first_champion(
    workspace: Workspace,
    product: ModelProduct,
    run: RunContext,
    version: ModelVersion,
    *,
    gates: tuple[GateResult, ...],
    registration_event: str,
) -> bool:
    """Make a passing version the champion where dev has none yet.

    Args:
        workspace: The outside world.
        product: Whose model it is.
        run: Where this happens.
        version: The version; its gates passed.
        gates: Their results, which the policies read.
        registration_event: The audit event that says so.

    Returns:
        Whether it became the champion; False when there is one already.

    Raises:
        AccessDenied: The principal may not promote here.
        AuditWriteFailed: The promotion could not be recorded; the alias was taken back.
        ProductBusy: Another version became the champion at the same time.
    """
    if workspace.registry.version_at(product.model, CHAMPION) is not None:
        return False
    if kept_champion(workspace, product.model, history_of(workspace, product.model)) is not None:
        return False  # somebody removed its alias; that makes no first champion of another

    def require_no_champion() -> None:
        if workspace.registry.version_at(product.model, CHAMPION) is not None:
            raise ProductBusy(
                f"another version of {product.model} became champion meanwhile",
                remedy="nothing is lost: this version stays challenger",
            )

    move(
        workspace,
        run.with_mlflow_run(version.run_id),
        version,
        action=Action.MODEL_PROMOTE,
        # Registered a moment ago: nobody can have rejected it.
        context=replace(workspace.authority.context, gates=gates, rejected=False),
        evidence={
            "model_digest": version.tags["model_digest"],
            "registration_event": registration_event,
        },
        check=require_no_champion,
    )
    return True


def promotion_evidence(case: Case) -> dict[str, Any]:
    """What the record of a promotion says about its grounds."""
    counted = case.assessment.counted
    return {
        "model_digest": case.seen.model_digest,
        "registration_event": case.seen.registration,
        "seen_digest": case.seen.digest,
        "quorum": case.assessment.quorum,
        "approvals": [each.place for each in counted],
        "approved_by": [each.statement.subject for each in counted],
    }


def move(
    workspace: Workspace,
    run: RunContext,
    version: ModelVersion,
    *,
    action: Action,
    context: RequestContext,
    evidence: Mapping[str, Any],
    check: Callable[[], None],
) -> Move:
    """Point the champion alias at a version, on record.

    Args:
        workspace: The outside world.
        run: Where this happens.
        version: The version.
        action: Promotion or rollback.
        context: What the policies must know.
        evidence: The grounds, for the record.
        check: Raises when the version must not become the champion; asked with the lease held.

    Returns:
        The move.

    Raises:
        AccessDenied: The principal may not.
        AuditWriteFailed: It could not be recorded; the alias was taken back.
        ProductBusy: Another move of this champion is under way.
    """
    authority, resource = workspace.authority, Resource("model", version.name)
    known = {"model": version.name, "version": version.version, "alias": CHAMPION, **evidence}
    # Who may not is refused before a lease is taken from those who may.
    authority.authorise(action, resource, run, context=context, evidence=known)
    is_free = False
    try:
        # Held until the end is on record, so that nobody takes the move for tampering.
        with champion_lease(workspace, version.name, run.stream.name) as lease:
            is_free = True
            before = history_of(workspace, version.name)
            govern = partial(
                authority.govern,
                action,
                resource,
                run,
                context=context,
                ledger=champion_ledger(version.name),
            )
            key = _move(
                workspace,
                run,
                version,
                lease=lease,
                govern=govern,
                known=known,
                before=before,
                check=check,
            )
    except ProductBusy as error:
        if not is_free:
            authority.refuse(action, resource, run, error, evidence=known)
        raise
    return Move(
        model=version.name,
        version=version.version,
        previous=before.champion.version if before.champion else None,
        event_key=key,
        moved=True,
    )


def _move(
    workspace: Workspace,
    run: RunContext,
    version: ModelVersion,
    *,
    lease: Lease,
    govern: Callable[..., AbstractContextManager[Governed]],
    known: Mapping[str, Any],
    before: History,
    check: Callable[[], None],
) -> str:
    """The move itself, with the lease held; the key of its record."""
    replaced = {
        "replaces": before.last_move,
        "previous_version": before.champion.version if before.champion else None,
    }
    may_have_moved = False
    try:
        with govern(evidence={**known, **replaced}) as governed:
            check()
            run.report(f"{version.name} version {version.version} becomes champion")
            lease.check()
            may_have_moved = True  # also when the answer is lost
            workspace.registry.set_alias(version, CHAMPION)
            lease.check()
    except BaseException as error:
        if may_have_moved:
            _take_back(workspace, version, before, error)
        if isinstance(error, AuditWriteFailed) and error.spooled is not None:
            again = partial(govern, evidence={**known, TAKEN_BACK: error.record_id}, is_done=True)
            _record_take_back(again, error)
        raise
    return governed.event_key


def champion_lease(workspace: Workspace, model: str, holder: str) -> Lease:
    """The right to move a model's champion; not the product's, which training holds for long."""
    return workspace.lease(f"champion-{model}", holder)


def kept_champion(workspace: Workspace, model: str, history: History) -> ModelVersion | None:
    """The version that is the champion by the trail, if the registry still has that very one.

    Raises:
        RegistryError: MLflow does not answer.
    """
    champion = history.champion
    if champion is None:
        return None
    for each in workspace.registry.versions(model):
        known = (each.version, each.tags.get("audit_event"))
        if known == (champion.version, champion.registration):
            return each
    return None


def _is_champion(workspace: Workspace, case: Case, history: History) -> bool:
    """Whether trail and alias both say that a version is the champion already."""
    champion = history.champion
    at = workspace.registry.version_at(case.version.name, CHAMPION)
    return (
        champion is not None
        and at is not None
        and at.version == case.version.version == champion.version
        and champion.registration == case.seen.registration
        and champion.seen_digest in {case.seen.digest, ""}
    )


def _record_take_back(
    govern: Callable[[], AbstractContextManager[Governed]], error: AuditWriteFailed
) -> None:
    """Record after a success that waits on disk, and that the trail will hold, its undoing."""
    try:
        with govern():
            raise error
    except InterlockError as second:
        if second is not error:
            error.add_note(f"that alias {CHAMPION} was taken back is not on record: {second}")


def _take_back(
    workspace: Workspace, version: ModelVersion, before: History, error: BaseException
) -> None:
    """Undo a move that is not on record as succeeded: back to the champion that is."""
    registry = workspace.registry
    try:
        champion = registry.version_at(version.name, CHAMPION)
        if champion is None or champion.version != version.version:
            return
        previous = kept_champion(workspace, version.name, before)
        if previous is None:
            registry.delete_alias(version.name, CHAMPION)
        elif previous.version != version.version:
            registry.set_alias(previous, CHAMPION)
    except InterlockError as second:
        error.add_note(f"alias {CHAMPION} may still be set, and no record says so: {second}")
