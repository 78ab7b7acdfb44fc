"""Suspend the approval of a champion whose data or performance is beyond its limit.

Done by the platform itself, as an account whose policy permits this and nothing more
(``policies/monitoring.cedar``). From then on ``deploy-check`` refuses the version. Nothing here
can lift it: that takes approvals by people that name the suspension (``governance.approval``).
ADR-0014.

- A check is recorded as done once its suspension is; when that fails, the check has failed.
- Only the champion by the trail is suspended: nobody deploys another version.
- What is suspended stays so; a second finding adds no second suspension, or approvals that are
  being collected would end with each.
- What was lifted once, however long ago, suspends nothing again in the same data: whoever lifted it
  has seen it. New data does, also while the approval that lifted the last one has expired: who
  renews it has to see that, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from interlock.actions.approve import refresh_tags
from interlock.actions.authority import RunContext
from interlock.actions.case import Case, case_of, open_case
from interlock.actions.champions import history_of
from interlock.actions.suspensions import Suspension
from interlock.actions.workspace import Workspace
from interlock.errors import RegistryError
from interlock.governance.audit import as_reason, decision_ledger
from interlock.governance.policy import Action, Resource
from interlock.governance.principal import IdentitySource, Principal, Role

MONITOR: Final = Principal("monitor", Role.MONITOR, IdentitySource.SCHEDULE.value)
"""The service account that suspends."""


@dataclass(frozen=True)
class Grounds:
    """What a suspension rests on.

    Attributes:
        model: Registered model.
        version: Its number.
        cause: ``drift`` or ``performance``.
        why: What was found, one sentence without full stop and without values of rows.
        check: Key of the audit event with which the check began.
        data_hash: Of the data in which it was found.
    """

    model: str
    version: str
    cause: str
    why: str
    check: str
    data_hash: str


def suspend(workspace: Workspace, run: RunContext, grounds: Grounds) -> Suspension | None:
    """Suspend the approval of a version, if it is the champion.

    Args:
        workspace: The outside world, acting as whoever had it checked; recorded beside the
            service account.
        run: Where this happens; a denial is recorded there.
        grounds: What it rests on.

    Returns:
        The suspension that stands now; None where the version is not the champion, or what was
        found was lifted before.

    Raises:
        EvidenceError: The version or its ledgers are not proven.
        AccessDenied: Buckets and registry are not of this environment.
        AuditWriteFailed: It could not be recorded.
        RegistryError: MLflow does not answer.
    """
    behalf = {"on_behalf_of": workspace.authority.principal.name}
    acting = workspace.acting_as(MONITOR, standing=behalf)
    champion = history_of(acting, grounds.model).champion
    if champion is None or champion.version != grounds.version:
        return None
    case = open_case(acting, grounds.model, grounds.version)
    if case.suspended is not None:
        return case.suspended
    if any(_is_about(each, grounds) and case.was_lifted(each) for each in case.suspensions):
        return None
    with acting.authority.govern(
        Action.MODEL_SUSPEND,
        Resource("model", grounds.model),
        run.with_mlflow_run(case.version.run_id),
        evidence={
            "model": grounds.model,
            "version": grounds.version,
            "model_digest": case.seen.model_digest,
            "registration_event": case.seen.registration,
            "cause": grounds.cause,
            "why": as_reason(grounds.why),
            "check": grounds.check,
            "data_hash": grounds.data_hash,
            "approvals_ended": [each.place for each in case.assessment.counted],
        },
        ledger=decision_ledger(grounds.model, grounds.version),
    ):
        run.report(f"the approval of {case.label} is suspended: {grounds.why}")
    return _shown(acting, run, case).suspended


def _is_about(suspension: Suspension, grounds: Grounds) -> bool:
    same = (suspension.cause, suspension.data_hash)
    return same == (grounds.cause, grounds.data_hash)


def _shown(workspace: Workspace, run: RunContext, case: Case) -> Case:
    """The case as it is now, after its tags were made to say so."""
    after = case_of(workspace, case.version)
    try:
        refresh_tags(workspace, after)
    except RegistryError as error:
        # On record is what counts; its view in MLflow is put right by the reconciler.
        run.report(f"the tags of {case.label} do not show it yet: {error.message}")
    return after
