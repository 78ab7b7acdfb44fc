"""Move the champion alias, with a record before and after.

MLflow's alias call is last-writer-wins and knows no transaction with the audit trail. So:
the intent is recorded, the lease is held, the alias is moved, the end is recorded, and when
that last record cannot be written the alias goes back.
"""

from __future__ import annotations

from dataclasses import replace

from interlock.actions.authority import RunContext
from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import ModelVersion
from interlock.errors import AuditWriteFailed
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
    """
    if workspace.registry.version_at(product.model, CHAMPION) is not None:
        return False
    moved = False
    try:
        with (
            workspace.authority.govern(
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
            ),
            workspace.lease(product.name, run.stream.name),
        ):
            if workspace.registry.version_at(product.model, CHAMPION) is None:
                run.report(f"{product.model} version {version.version} becomes champion")
                workspace.registry.set_alias(version, CHAMPION)
                moved = True
    except AuditWriteFailed:
        if moved:
            workspace.registry.delete_alias(product.model, CHAMPION)
        raise
    return moved
