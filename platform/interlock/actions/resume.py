"""Go on after a decision: promote where the policies let the platform do so, else say it is ready.

Nobody waits for approvals; a sensor starts this when one was delivered. Whether a promotion is
automatic is for the policies to say: as they ship, the platform's service account promotes in dev
alone, and elsewhere a person does. ADR-0011.
"""

from __future__ import annotations

from dataclasses import dataclass

from interlock.actions.approve import refresh_tags
from interlock.actions.authority import RunContext
from interlock.actions.case import Case, open_case
from interlock.actions.champions import history_of
from interlock.actions.promote import Move, promote
from interlock.actions.waiting import lacks
from interlock.actions.workspace import Workspace
from interlock.governance.policy import Action, Resource


@dataclass(frozen=True)
class Resumed:
    """What became of a version after a decision.

    Attributes:
        case: The version.
        lacks: What a promotion still lacks; empty when it is ready.
        move: The promotion, where it was made.
        why_not: Why a version that is ready was not promoted; empty when it was.
    """

    case: Case
    lacks: tuple[str, ...]
    move: Move | None = None
    why_not: str = ""

    @property
    def is_ready(self) -> bool:
        """Whether nothing is lacking."""
        return not self.lacks


def resume(workspace: Workspace, run: RunContext, *, model: str, version: str) -> Resumed:
    """Promote a version whose quorum is complete, or say what is to be done.

    Args:
        workspace: The outside world, acting as the platform's service account.
        run: Where this happens.
        model: Registered model.
        version: Its number.

    Raises:
        InterlockError: The version is not proven, or the promotion failed; see ``promote``.
    """
    case = open_case(workspace, model, version)
    refresh_tags(workspace, case)
    lacking = tuple(lacks(workspace, case))
    if lacking:
        return Resumed(case, lacking)
    champion = history_of(workspace, model).champion
    if champion is not None and int(champion.version) >= int(version):
        is_it = champion.version == version
        text = "it is the champion" if is_it else f"version {champion.version} is the champion"
        return Resumed(case, (), why_not=text)
    authority = workspace.authority
    decision = authority.engine.decide(
        principal=authority.principal,
        action=Action.MODEL_PROMOTE,
        resource=Resource("model", model),
        environment=authority.environment,
        context=case.facts(authority.context, authority.principal),
    )
    if not decision.allowed:
        return Resumed(case, (), why_not=f"{decision.reason}; {decision.remedy}")
    people = [each.statement.subject for each in case.assessment.counted]
    behalf = {"on_behalf_of": ", ".join(people)} if people else None
    acting = workspace.acting_as(authority.principal, standing=behalf)
    return Resumed(case, (), move=promote(acting, run, model=model, version=version))
