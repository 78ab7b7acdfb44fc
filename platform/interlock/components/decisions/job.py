"""The job by which somebody approves or rejects in Dagit; it delivers what they signed.

Whoever launches it signs in at the web server, which signs the decision (``webserver.decisions``).
Launched in any other way it is denied: the run holds no key, and its tags fit nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

import dagster as dg

from interlock.actions.approve import Decided
from interlock.actions.launched import LAUNCH_TAG, Launch, deliver_launch, read_launch
from interlock.governance.approval import DEFAULT_LIFETIME
from interlock.guard import EVENT_METADATA, Guard

DECISION_JOB: Final = "model_decision"
DECIDE: Final = "decide"
DECIDERS: Final = "team:interlock/approvers"
"""Owner of the job in Dagster's eyes. No product can have it, and nobody is in such a team: the
policies say who may approve, see ``webserver.rights``."""


class DecisionConfig(dg.Config):
    """What is decided; see ``interlock.actions.launched.Launch``.

    Attributes:
        model: Registered model.
        version: Its number.
        decision: approve or reject.
        reason: Why; part of what is signed.
        expires_days: How long an approval is valid.
        meaning: When given, the decision must mean exactly this.
        seen_digest: When given, what is decided on must be exactly this.
    """

    model: str
    version: str
    decision: str
    reason: str
    expires_days: int = DEFAULT_LIFETIME.days
    meaning: str = ""
    seen_digest: str = ""


@dg.op(name=DECIDE, required_resource_keys={"guard"})
def decide(context: dg.OpExecutionContext, config: DecisionConfig) -> None:
    """Deliver the decision that was signed when this run was launched."""
    guard: Guard = context.resources.guard
    with guard.operation(context, DECISION_JOB) as (workspace, run):
        launch = read_launch(config.model_dump())
        decided = deliver_launch(workspace, run, launch, context.run.tags.get(LAUNCH_TAG, ""))
    context.add_output_metadata(_shown(decided))


def decision_job() -> dg.JobDefinition:
    """The job."""

    @dg.job(
        name=DECISION_JOB,
        owners=[DECIDERS],
        description="**Approve or reject a version.** Fill in the Launchpad; you decide as whom "
        "you are signed in. `interlock approvals` and the console show what waits.",
    )
    def model_decision() -> None:
        decide()

    return model_decision


def configured_with(run_config: Mapping[str, Any]) -> object:
    """The decision in a run's configuration, as it was typed.

    Args:
        run_config: Of a run of this job.
    """
    found: object = run_config
    for name in ("ops", DECIDE, "config"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def version_in(run_config: Mapping[str, Any]) -> Launch:
    """The same, understood.

    Raises:
        ApprovalError: It is no decision.
    """
    return read_launch(configured_with(run_config))


def _shown(decided: Decided) -> dict[str, Any]:
    """What a person wants to see in Dagit of a decision."""
    statement, found = decided.statement, decided.assessment
    return {
        "version": decided.case.label,
        "decision": f"{statement.verdict.value}: {statement.meaning}",
        "by": statement.subject,
        "state": found.state.value,
        "approvals": f"{len(found.counted)} of {found.quorum}",
        "lacks": dg.MetadataValue.json(found.reasons_against()),
        EVENT_METADATA: decided.event_key,
    }
