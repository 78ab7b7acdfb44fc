"""A version's page: everything that the trail proves about it, and what may be done with it now.

Read as the person who looks, and recorded nowhere; whoever acts is asked anew (``changes.py``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from interlock.actions.approve import STATE, obstacles, view_of
from interlock.actions.case import Case, case_of, demands_approval
from interlock.actions.champions import CHAMPION, History, Reign, Rollback, history_of
from interlock.actions.deciders import known_deciders, who_may_decide
from interlock.actions.evidence import verified_events
from interlock.actions.waiting import lacks
from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import ModelVersion
from interlock.console.lineage import Lineage, lineage_of
from interlock.console.site import Here
from interlock.errors import EvidenceError, RegistryError
from interlock.governance.approval import SERVER, Signed, Verdict
from interlock.governance.audit import AuditRecord, champion_ledger, decision_ledger
from interlock.governance.policy import Action
from interlock.governance.principal import Environment, IdentitySource

NO_KEY: Final = "this console holds no key that signs decisions"
NO_KEY_REMEDY: Final = "decide with `interlock approve` or `reject`, or have APPROVAL_KEY set"


class Verb(StrEnum):
    """What can be done from the pages."""

    APPROVE = "approve"
    REJECT = "reject"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Choice:
    """Something that could be done.

    Attributes:
        verb: What.
        against: Why not, each reason with its remedy; empty when it can be done.
    """

    verb: Verb
    against: tuple[tuple[str, str], ...]

    @property
    def open(self) -> bool:
        """Whether it can be done."""
        return not self.against


@dataclass(frozen=True)
class Decision:
    """A signed decision, and whether it counts.

    Attributes:
        signed: The statement and where it is.
        standing: ``counts``, ``stands`` (a rejection), or ``does not count``.
        why: Why it does not count.
    """

    signed: Signed
    standing: str
    why: str


@dataclass(frozen=True)
class Happened:
    """Something in the history of a version."""

    key: str
    record: AuditRecord


@dataclass(frozen=True)
class VersionView:
    """What the page of a version shows.

    Attributes:
        version: As MLflow has it.
        case: What the trail proves; None where it proves nothing.
        problem: Why it proves nothing, and what to do.
        champion: The champion by the trail.
        champion_metrics: Its metrics.
        state: In a word, as MLflow's tag has to say it.
        needs_approval: Whether it may be used here only once it is approved.
        rolled_back: How it lost the champion's place; None where it never had it, or has it.
        lineage: From the source to here.
        decisions: Signed decisions.
        may_approve: Who could still add an approval; None where none is lacking.
        lacks: What a promotion lacks.
        choices: What the person may do, by verb.
        history: What happened, the newest first.
        contradictions: Where MLflow says something else than the trail.
        plots: Names of the run's plots.
    """

    version: ModelVersion
    case: Case | None
    problem: tuple[str, str] | None
    champion: Reign | None
    champion_metrics: Mapping[str, float | None]
    state: str = ""
    needs_approval: bool = True
    rolled_back: Rollback | None = None
    lineage: Lineage | None = None
    decisions: tuple[Decision, ...] = ()
    may_approve: tuple[str, ...] | None = None
    lacks: tuple[str, ...] = ()
    choices: Mapping[str, Choice] | None = None
    history: tuple[Happened, ...] = ()
    contradictions: tuple[str, ...] = ()
    plots: tuple[str, ...] = ()

    @property
    def is_champion(self) -> bool:
        """Whether the trail says that it is the champion."""
        return self.champion is not None and self.champion.version == self.version.version


def version_view(here: Here, model: str, version: str) -> VersionView:
    """Everything about a version.

    Args:
        here: Who looks.
        model: Registered model.
        version: Its number.

    Raises:
        RegistryError: There is none, or MLflow does not answer.
        StoreError: The trail cannot be read.
    """
    workspace = here.workspace
    found = workspace.registry.version(model, version)
    plots = here.site.files.names(workspace, found.run_id) if found.run_id else ()
    try:
        history = history_of(workspace, model)
        case = case_of(workspace, found)
    except EvidenceError as error:
        problem = (error.message, error.remedy)
        return VersionView(found, None, problem, None, {}, plots=plots)
    return VersionView(
        version=found,
        case=case,
        problem=None,
        champion=history.champion,
        champion_metrics=_champion_metrics(workspace, model, history, case),
        state=view_of(workspace, case)[STATE],
        needs_approval=case.needs_approval(workspace.authority.environment),
        rolled_back=history.rolled_back(version),
        lineage=lineage_of(workspace, case),
        decisions=tuple(_decisions(case)),
        may_approve=_may_approve(workspace, case),
        lacks=tuple(lacks(workspace, case)),
        choices={each.verb.value: each for each in _choices(here, case, history)},
        history=tuple(_history(workspace, case)),
        contradictions=tuple(_contradictions(workspace, case, history)),
        plots=plots,
    )


def rollback_choice(here: Here, model: str, history: History) -> Choice:
    """Whether somebody may go back to the champion before; nothing is recorded."""
    # What was rejected is passed over by the rollback itself.
    context = replace(here.workspace.authority.context, rejected=False)
    decision = here.decide(Action.MODEL_ROLLBACK, model, context)
    if not decision.allowed:
        return Choice(Verb.ROLLBACK, ((decision.reason, decision.remedy),))
    if not history.earlier:
        return Choice(Verb.ROLLBACK, (("there is no earlier champion", "promote a version"),))
    return Choice(Verb.ROLLBACK, ())


def decision_choices(here: Here, case: Case) -> Iterator[Choice]:
    """What somebody may say about a version."""
    for verb, verdict in ((Verb.APPROVE, Verdict.APPROVE), (Verb.REJECT, Verdict.REJECT)):
        yield Choice(verb, obstacles(here.workspace, case, verdict) or tuple(_unsigned(here)))


def _unsigned(here: Here) -> Iterator[tuple[str, str]]:
    """Why nothing that this console signs for somebody would count."""
    signer = here.site.signer
    if signer is None:
        yield NO_KEY, NO_KEY_REMEDY
        return
    known = here.workspace.signatories.keys
    own = {each.account for each in known if each.key.fingerprint == signer.key_id}
    if not own:
        yield (
            "the key of this console is not believed",
            "name its public half in APPROVAL_PUBLIC_KEYS",
        )
    elif here.account in own or here.site.environment == Environment.DEV.value:
        return
    elif SERVER not in own:
        yield f"this console signs for {', '.join(sorted(own))} alone", NO_KEY_REMEDY
    elif here.site.source is IdentitySource.ENV:
        yield (
            f"nobody signs in here, so nothing would show that {here.person.name} decided",
            "have people sign in, or decide with `interlock approve` and a key of your own",
        )


def _choices(here: Here, case: Case, history: History) -> Iterator[Choice]:
    yield from decision_choices(here, case)
    champion = history.champion
    if champion is not None and champion.version == case.version.version:
        yield Choice(Verb.PROMOTE, (("it is the champion already", ""),))
        return
    authority = here.workspace.authority
    decision = here.decide(
        Action.MODEL_PROMOTE, case.version.name, case.facts(authority.context, authority.principal)
    )
    against = () if decision.allowed else ((decision.reason, decision.remedy),)
    yield Choice(Verb.PROMOTE, against)


def _champion_metrics(
    workspace: Workspace, model: str, history: History, case: Case
) -> Mapping[str, float | None]:
    champion = history.champion
    if champion is None or champion.version == case.version.version:
        return {}
    try:
        version = workspace.registry.version(model, champion.version)
        return case_of(workspace, version).seen.metrics
    except (EvidenceError, RegistryError):
        return {}  # deleted or unproven: for the reconciler to say


def _may_approve(workspace: Workspace, case: Case) -> tuple[str, ...] | None:
    """Who is left to ask, by name; None where nobody has to be asked, or anybody may say so."""
    environment, context = workspace.authority.environment, workspace.authority.context
    if not demands_approval(environment) and context.identity_source is IdentitySource.ENV:
        return None  # the operator's word counts
    required = case.needs_approval(environment)
    if not required or case.assessment.approved or case.assessment.rejections:
        return None
    return who_may_decide(workspace, case, known_deciders(workspace))


def _decisions(case: Case) -> Iterator[Decision]:
    assessment = case.assessment
    why = {each.place: each.why for each in assessment.ignored}
    for signed in case.signed:
        if signed in assessment.rejections:
            yield Decision(signed, "stands", "")
        elif signed in assessment.counted:
            yield Decision(signed, "counts", "")
        else:
            yield Decision(signed, "does not count", why.get(signed.place, ""))


def _history(workspace: Workspace, case: Case) -> Iterator[Happened]:
    """The registration, what was decided, and every move of the champion that concerns it."""
    version = case.version
    found = [Happened(case.seen.registration, case.registration)]
    for key, event in verified_events(workspace, decision_ledger(version.name, version.version)):
        found.append(Happened(key, event.record))
    for key, event in verified_events(workspace, champion_ledger(version.name)):
        evidence = event.record.evidence
        if version.version in {evidence.get("version"), evidence.get("previous_version")}:
            found.append(Happened(key, event.record))
    ended = {
        (each.record.action, each.key.rpartition("/")[0], str(each.record.evidence.get("version")))
        for each in found
        if each.record.outcome.value != "started"
    }
    for each in sorted(found, key=lambda one: (one.record.time, one.key), reverse=True):
        record = each.record
        place = (record.action, each.key.rpartition("/")[0], str(record.evidence.get("version")))
        # A start is of interest only while nothing says how it ended.
        if record.outcome.value != "started" or place not in ended:
            yield each


def _contradictions(workspace: Workspace, case: Case, history: History) -> Iterator[str]:
    tags, champion = case.version.tags, history.champion
    for name, wanted in view_of(workspace, case).items():
        if tags.get(name) != wanted:
            yield f"MLflow's tag {name} is {tags.get(name)!r}, by the audit trail it is {wanted!r}"
    is_champion = champion is not None and champion.version == case.version.version
    if (CHAMPION in case.version.aliases) != is_champion:
        known = "none" if champion is None else f"version {champion.version}"
        yield f"MLflow's alias {CHAMPION} disagrees; by the audit trail the champion is {known}"
    for forged in case.forged:
        yield f"event {forged.place} {forged.why}"
