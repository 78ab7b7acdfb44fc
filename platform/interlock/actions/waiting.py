"""What waits for a decision or a promotion, and what each version still lacks. Reads alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from interlock.actions.approve import STATE, view_of
from interlock.actions.case import Case, case_of
from interlock.actions.champions import Rollback, history_of
from interlock.actions.deciders import known_deciders, who_may_decide
from interlock.actions.workspace import Workspace
from interlock.errors import EvidenceError, RegistryError, StoreError
from interlock.governance.approval import State
from interlock.governance.gates import all_hold
from interlock.governance.policy import Action, Resource
from interlock.governance.principal import Principal, Role


@dataclass(frozen=True)
class Waiting:
    """A version that could become champion.

    Attributes:
        case: Everything known about it.
        state: In a word, as MLflow's tag has to say it: ``not_required`` where nobody has to agree.
        lacks: What a promotion still lacks; empty when it can be promoted.
        champion: Version that is champion now; None while there is none.
        champion_metrics: Its metrics.
        may_decide: Who could still add an approval, by name.
        rolled_back: How it lost the champion's place; None where it never had it, or has it.
    """

    case: Case
    state: str
    lacks: tuple[str, ...]
    champion: str | None
    champion_metrics: Mapping[str, float | None]
    may_decide: tuple[str, ...] = ()
    rolled_back: Rollback | None = None


def waiting(workspace: Workspace, model: str, *, newest: int | None = None) -> tuple[Waiting, ...]:
    """The versions of a model that could become champion, the newest first.

    Last the champion itself, where its approval is suspended, or has expired since it was.

    Those that failed a gate, were rejected, are not proven, or are older than the champion are
    left out.

    Args:
        workspace: The outside world.
        model: Registered model.
        newest: How many of the newest versions to look at; all those when not given.

    Raises:
        EvidenceError: The ledger of its champions does not verify.
        RegistryError: MLflow does not answer.
        StoreError: The trail cannot be read.
    """
    history = history_of(workspace, model)
    reign = history.champion
    champion = reign.version if reign else None
    metrics: Mapping[str, float | None] = {}
    stopped: Case | None = None
    if champion is not None:
        try:
            known = case_of(workspace, workspace.registry.version(model, champion))
            metrics = known.seen.metrics
            stopped = known if known.suspension and not known.assessment.approved else None
        except (EvidenceError, RegistryError):
            metrics = {}  # deleted or unproven: for the reconciler to say
    people = known_deciders(workspace)

    def told(case: Case) -> Waiting:
        return Waiting(
            case=case,
            state=view_of(workspace, case)[STATE],
            lacks=tuple(lacks(workspace, case)),
            champion=champion,
            champion_metrics=metrics,
            may_decide=who_may_decide(workspace, case, people),
            rolled_back=history.rolled_back(case.version.version),
        )

    found = []
    registry = workspace.registry
    every = (
        registry.versions(model) if newest is None else registry.page(model, size=newest).versions
    )
    for version in every:
        if champion is not None and int(version.version) <= int(champion):
            break
        try:
            case = case_of(workspace, version)
        except StoreError:
            raise
        except EvidenceError:
            continue
        if all_hold(case.gates) and case.assessment.state is not State.REJECTED:
            found.append(told(case))
    if stopped is not None:
        found.append(told(stopped))
    return tuple(found)


def lacks(workspace: Workspace, case: Case) -> list[str]:
    """What a promotion of a version by somebody who may promote still lacks."""
    authority = workspace.authority
    required = case.needs_approval(authority.environment)
    found = case.assessment.reasons_against() if required else []
    if case.suspended is not None:
        found.insert(0, case.suspended.sentence)
    promoter = Principal("whoever promotes", Role.ML_ENGINEER, "waiting")
    decision = authority.engine.decide(
        principal=promoter,
        action=Action.MODEL_PROMOTE,
        resource=Resource("model", case.version.name),
        environment=authority.environment,
        context=case.facts(authority.context, promoter),
    )
    if not decision.allowed and set(decision.policies) != {"approval-required"}:
        found.append(decision.reason)
    return found


def known_models(workspace: Workspace) -> tuple[str, ...]:
    """Every model that MLflow has or the trail knows a champion of, by name."""
    start = "champion."
    on_record = {
        stream.name.removeprefix(start) for stream in workspace.authority.audit.ledgers(start)
    }
    return tuple(sorted(on_record | set(workspace.registry.models())))
