"""Put back what was changed outside of Interlock: aliases and tags that the trail contradicts.

``survey`` only reads and finds; ``reconcile`` puts back and records. Nothing is written, neither
to MLflow nor to the trail, while there is nothing to find. What is found is either *outdated*, a
view that was not refreshed yet or whose approval ended, or *tampering*, which raises an alarm.

- A move of the champion holds the lease of that champion. What looks moved while somebody holds
  it is a move under way; it is looked at again with the lease held.
- A move that was cut off is undone: the champion by the trail gets its alias back.
- A version that the trail does not know, and that looks deployable, is blocked.
- What cannot be put back, such as a deleted version, is recorded once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from interlock.actions.approve import BLOCKED, STATE, tags_for, view_of
from interlock.actions.authority import RunContext
from interlock.actions.case import Case, case_of, demands_approval
from interlock.actions.champions import CHAMPION, History, history_of
from interlock.actions.evidence import verified_events
from interlock.actions.promote import champion_lease, kept_champion
from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import ModelVersion
from interlock.errors import InterlockError, ProductBusy, RegistryUnavailable, StoreError
from interlock.governance.approval import State, assess
from interlock.governance.audit import Outcome, champion_ledger
from interlock.governance.policy import Action, Resource

IN_FLIGHT: Final = timedelta(minutes=5)  # a view of a decision may be that much behind it
# Findings in one event, and bytes of a text in it: with digests and errors some 35,000 of the
# 65,536 bytes that an event may have. What is left over is for the next look.
MAX_RECORDED: Final = 50
MAX_TEXT: Final = 300  # bytes, as JSON
_TAGS: Final = ("model_digest", "model_fingerprint", "data_hash", "policy_hash")


class Kind(StrEnum):
    """What a finding is."""

    TAMPERING = "tampering"
    OUTDATED = "outdated"


@dataclass(frozen=True)
class Finding:
    """A difference between MLflow and the trail.

    Attributes:
        kind: See ``Kind``.
        what: The same text whenever the same thing is found: what was found and expected.
        put_back: Makes it right; None when nothing can.
    """

    kind: Kind
    what: str
    put_back: Callable[[], None] | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of ``what``: by it a finding is known again, however long its text is."""
        return _digest(self.what)


@dataclass(frozen=True)
class Reconciled:
    """What was found about one model, and what became of it.

    Attributes:
        model: Registered model.
        findings: What was found.
        put_back: Those that were made right, as text.
        failed: Those that could not be, with the error.
        event_key: The record; empty when there was nothing new to record.
        in_flight: Whether a move of the champion was under way, so that it was left alone.
    """

    model: str
    findings: tuple[Finding, ...] = ()
    put_back: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    event_key: str = ""
    in_flight: bool = False

    @property
    def tampering(self) -> tuple[str, ...]:
        """What raises an alarm."""
        return tuple(each.what for each in self.findings if each.kind is Kind.TAMPERING)


def reconcile(workspace: Workspace, run: RunContext, model: str) -> Reconciled:
    """Find what contradicts the trail about a model, put it back, and record it.

    Args:
        workspace: The outside world, acting as who may reconcile.
        run: Where this happens; a denial is recorded there.
        model: Registered model.

    Returns:
        What was found and done.

    Raises:
        AccessDenied: The principal may not; only asked when there is something to do.
        EvidenceError: A ledger does not verify, so nothing is known that could be put back.
        RegistryError: MLflow does not answer.
        StoreError: The trail cannot be read.
        AuditWriteFailed: It could not be recorded; what was put back stays so.
    """
    if not news_of(workspace, model, survey(workspace, model)):
        return Reconciled(model)
    try:
        with champion_lease(workspace, model, run.stream.name):
            found = survey(workspace, model)
            news = news_of(workspace, model, found)
            return (
                record_findings(workspace, run, model, found, news) if news else Reconciled(model)
            )
    except ProductBusy:
        return Reconciled(model, in_flight=True)


def survey(workspace: Workspace, model: str) -> tuple[Finding, ...]:
    """What contradicts the trail about a model.

    Args:
        workspace: The outside world.
        model: Registered model.

    Raises:
        EvidenceError: The ledger of its champions does not verify.
        RegistryError: MLflow does not answer.
        StoreError: The trail cannot be read.
    """
    history = history_of(workspace, model)
    versions = workspace.registry.versions(model)
    return (
        *_champion(workspace, model, history, versions),
        *_deleted(workspace, model, history, versions),
        *(each for version in versions for each in _version(workspace, version)),
    )


def _champion(
    workspace: Workspace, model: str, history: History, versions: Iterable[ModelVersion]
) -> Iterator[Finding]:
    """The alias, where the trail says that it is."""
    at = next((each for each in versions if CHAMPION in each.aliases), None)
    expected = kept_champion(workspace, model, history)
    found = f"version {at.version}" if at else "no version"
    if expected is None and at is not None:
        yield Finding(
            Kind.TAMPERING,
            f"alias {CHAMPION} points at {found}, the audit trail knows no champion",
            lambda: workspace.registry.delete_alias(model, CHAMPION),
        )
    elif expected is not None and (at is None or at.version != expected.version):
        yield Finding(
            Kind.TAMPERING,
            f"alias {CHAMPION} points at {found}, the audit trail at version {expected.version}",
            lambda: workspace.registry.set_alias(expected, CHAMPION),
        )


def _deleted(
    workspace: Workspace, model: str, history: History, versions: Iterable[ModelVersion]
) -> Iterator[Finding]:
    """Versions that were there: MLflow counts without gaps, and the ledgers name others."""
    there = {each.version for each in versions}
    start = f"decisions.{model}."
    decided = {
        stream.name.removeprefix(start) for stream in workspace.authority.audit.ledgers(start)
    }
    newest = max((int(each) for each in there), default=0)
    counted = {str(number) for number in range(1, newest + 1)}
    for version in sorted((counted | decided | history.versions) - there):
        yield Finding(Kind.TAMPERING, f"version {version} was deleted from MLflow")


def _version(workspace: Workspace, version: ModelVersion) -> Iterator[Finding]:
    """The tags of a version, and events that pass for decisions about it."""
    label = f"version {version.version}"
    try:
        case = case_of(workspace, version)
    except (StoreError, RegistryUnavailable):
        raise
    except InterlockError as error:
        # One that was never registered to its end is blocked and no news.
        if version.tags.get(BLOCKED) != "true":
            yield Finding(
                Kind.TAMPERING,
                f"{label} is not blocked and not proven: {error.message}",
                lambda: workspace.registry.set_tags(version, {BLOCKED: "true"}),
            )
        return
    for name, wanted in _recorded_tags(case).items():
        if (found := version.tags.get(name)) != wanted:
            yield Finding(
                Kind.TAMPERING,
                f"{label}: tag {name} is {found!r}, recorded was {wanted!r}",
                _setting(workspace, version, {name: wanted}),
            )
    view = view_of(workspace, case)
    shown = {name: version.tags.get(name) for name in view}
    if shown != view:
        kind = Kind.OUTDATED if _is_outdated(workspace, case, shown, view) else Kind.TAMPERING
        yield Finding(
            kind,
            f"{label}: {STATE} is {shown[STATE]!r} and {BLOCKED} {shown[BLOCKED]!r}, by the audit "
            f"trail they are {view[STATE]!r} and {view[BLOCKED]!r}",
            _setting(workspace, version, view),
        )
    for each in case.forged:
        yield Finding(Kind.TAMPERING, f"{label}: event {each.place} {each.why}")


def _setting(
    workspace: Workspace, version: ModelVersion, tags: dict[str, str]
) -> Callable[[], None]:
    return lambda: workspace.registry.set_tags(version, tags)


def _recorded_tags(case: Case) -> dict[str, str]:
    """Tags that never change, as the record of the registration gives them."""
    evidence, environment = case.registration.evidence, case.registration.environment
    owner = {"audit_owner": case.registered_by, "audit_env": environment}
    return {
        **{name: str(evidence.get(name)) for name in _TAGS},
        **owner,
        "environment": environment,
    }


def _is_outdated(
    workspace: Workspace, case: Case, shown: dict[str, str | None], view: dict[str, str]
) -> bool:
    """Whether nobody needs to have touched tags that show another outcome.

    They may show an outcome before the newest decision or suspension, while that is fresh; be
    blocked where they need not be; or show an approval that has ended by itself.
    """
    required = case.needs_approval(workspace.authority.environment)
    before = case.seen.model_copy(update={"suspension": None})
    earlier = [
        tags_for(
            case,
            assess((), seen=before, now=workspace.clock(), excluded=case.excluded),
            required=demands_approval(workspace.authority.environment),
        ),
        tags_for(
            case,
            assess((), seen=case.seen, now=workspace.clock(), excluded=case.excluded),
            required=required,
        ),
    ]
    for count, each in enumerate(case.signed, start=1):
        statement = each.statement
        then = assess(
            case.signed[:count], seen=statement.seen, now=statement.issued, excluded=case.excluded
        )
        earlier.append(tags_for(case, then, required=required))
    if shown[BLOCKED] == "true" and shown[STATE] in {each[STATE] for each in [*earlier, view]}:
        return True
    if shown not in earlier:
        return False
    changes = [each.statement.issued for each in case.signed]
    changes += [case.suspension.since] if case.suspension is not None else []
    newest = max(changes, default=None)
    fresh = newest is not None and workspace.clock() - newest < IN_FLIGHT
    return fresh or case.assessment.state in {State.EXPIRED, State.VOID}


def news_of(workspace: Workspace, model: str, found: Iterable[Finding]) -> list[Finding]:
    """What can be put back, and what was not recorded yet.

    Args:
        workspace: Where the trail is.
        model: Registered model.
        found: What was found.
    """
    found = list(found)
    lasting = [each for each in found if each.put_back is None]
    known = _known(workspace, model) if lasting else frozenset()
    return [each for each in found if each.put_back is not None or each.digest not in known]


def _known(workspace: Workspace, model: str) -> frozenset[str]:
    """Digests of what was recorded before."""
    return frozenset(
        digest
        for _, event in verified_events(workspace, champion_ledger(model))
        if event.record.action == Action.MODEL_RECONCILE.value
        and event.record.outcome is Outcome.SUCCEEDED
        for digest in _digests_in(event.record.evidence)
    )


def _digests_in(evidence: Mapping[str, Any]) -> Iterable[str]:
    """Of a record's findings; records of earlier versions hold whole texts and no digests."""
    if "digests" in evidence:
        return [str(each) for each in _listed(evidence["digests"])]
    return [_digest(str(each)) for kind in Kind for each in _listed(evidence.get(kind.value))]


def _listed(found: object) -> Iterable[object]:
    return found if isinstance(found, list | tuple) else ()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _short(text: str) -> str:
    """A text that takes at most ``MAX_TEXT`` bytes of a record, however it has to be written."""
    kept = clean = text.encode("utf-8", "replace").decode()
    while len(json.dumps(kept, ensure_ascii=False).encode()) > MAX_TEXT:
        kept = f"{clean[: (len(kept) - 1) * 9 // 10]}…"
    return kept


def record_findings(
    workspace: Workspace,
    run: RunContext,
    model: str,
    found: tuple[Finding, ...],
    news: Sequence[Finding] | None = None,
) -> Reconciled:
    """Put back what can be, and record everything; the lease of the champion is held.

    Args:
        workspace: The outside world, acting as who may reconcile.
        run: Where this happens.
        model: Registered model.
        found: All that was found.
        news: What of it is to be recorded; all by default.

    Raises:
        AccessDenied: The principal may not.
        AuditWriteFailed: It could not be recorded; what was put back stays so.
    """
    news = found if news is None else news
    done: list[str] = []
    failed: list[str] = []
    # In the order of the record's lists, so that a number names one of them.
    news = [each for kind in Kind for each in news if each.kind is kind][:MAX_RECORDED]
    numbers: dict[str, list[Any]] = {"put_back": [], "failed": []}
    with workspace.authority.govern(
        Action.MODEL_RECONCILE,
        Resource("model", model),
        run,
        ledger=champion_ledger(model),
        evidence={
            **{kind.value: [_short(x.what) for x in news if x.kind is kind] for kind in Kind},
            "digests": [each.digest for each in news],
        },
    ) as governed:
        for number, each in enumerate(news):
            if each.put_back is None:
                continue
            run.report(f"{model}: {each.what}")
            try:
                each.put_back()
                done.append(each.what)
                numbers["put_back"].append(number)
            except InterlockError as error:
                failed.append(f"{each.what}: {error.message}")
                numbers["failed"].append({"number": number, "error": _short(error.message)})
        governed.evidence |= numbers
    return Reconciled(
        model=model,
        findings=found,
        put_back=tuple(done),
        failed=tuple(failed),
        event_key=governed.event_key,
    )
