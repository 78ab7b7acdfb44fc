"""What contradicts the trail about a model: aliases and tags that say something else.

Reading alone; ``reconcile`` puts back and records. What is found is either *outdated*, a view that
was not refreshed yet or whose approval ended, or *tampering*, which raises an alarm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from interlock.actions.approve import BLOCKED, STATE, tags_for, view_of
from interlock.actions.case import Case, case_of, demands_approval
from interlock.actions.champions import CHAMPION, History, history_of
from interlock.actions.promote import kept_champion
from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import ModelVersion
from interlock.errors import InterlockError, RegistryUnavailable, StoreError
from interlock.governance.approval import State, assess

IN_FLIGHT: Final = timedelta(minutes=5)  # a view of a decision may be that much behind it
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
        return digest_of(self.what)


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


def digest_of(text: str) -> str:
    """SHA-256 of a finding's text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
