"""Move the champion alias, with a record before and after.

MLflow's alias call is last-writer-wins and knows no transaction with the audit trail. So:
the intent is recorded, the lease is held, the alias is moved, the end is recorded, and when
anything of this fails the alias goes back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

from interlock.actions.authority import Governed, RunContext
from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import ModelVersion
from interlock.errors import AuditWriteFailed, InterlockError, ProductBusy
from interlock.governance.gates import GateResult
from interlock.governance.policy import Action, Resource
from interlock.product import ModelProduct

CHAMPION = "champion"


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
    may_have_moved = False
    govern = partial(
        workspace.authority.govern,
        Action.MODEL_PROMOTE,
        Resource("model", product.model),
        run.with_mlflow_run(version.run_id),
        context=replace(workspace.authority.context, gates=gates),
        evidence={
            "model": version.name,
            "version": version.version,
            "model_digest": version.tags["model_digest"],
            "alias": CHAMPION,
            "previous_version": None,
            "registration_event": registration_event,
        },
    )
    try:
        with (
            govern(),
            workspace.lease(product.name, run.stream.name) as lease,
        ):
            _require_no_champion(workspace, product.model)
            run.report(f"{product.model} version {version.version} becomes champion")
            lease.check()
            may_have_moved = True  # also when the answer is lost
            workspace.registry.set_alias(version, CHAMPION)
    except BaseException as error:
        if may_have_moved:
            _take_back(workspace, version, error)
        if isinstance(error, AuditWriteFailed) and error.spooled is not None:
            _record_take_back(govern, error)
        raise
    return True


def _require_no_champion(workspace: Workspace, model: str) -> None:
    if workspace.registry.version_at(model, CHAMPION) is not None:
        raise ProductBusy(
            f"another version of {model} became champion meanwhile",
            remedy="nothing is lost: this version stays challenger",
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


def _take_back(workspace: Workspace, version: ModelVersion, error: BaseException) -> None:
    """Remove the alias of a promotion that is not on record as succeeded."""
    try:
        champion = workspace.registry.version_at(version.name, CHAMPION)
        if champion is not None and champion.version == version.version:
            workspace.registry.delete_alias(version.name, CHAMPION)
    except InterlockError as second:
        error.add_note(f"alias {CHAMPION} may still be set, and no record says so: {second}")
