"""Which version is the champion, by the audit trail: the moves on record, in their order.

MLflow's alias is a view that anybody with MLflow's address can change; the ledger of a model's
moves is the authority. Moves are made in ``promote`` and ``rollback``; the ledger's place in the
trail is ``governance.audit.champion_ledger``.

- A move names the one that it replaces, so that a record that reaches the trail late, after
  others moved on, moves nothing.
- A promotion goes on top; a rollback takes away what is above the version that it returns to.
- A move that was taken back, because its record did not reach the trail in time, is undone; the
  undoing names that very record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from interlock.actions.evidence import verified_events
from interlock.actions.workspace import Workspace
from interlock.errors import AuditError, EvidenceError
from interlock.governance.audit import AuditRecord, Outcome, Stream, champion_ledger
from interlock.governance.policy import Action

CHAMPION: Final = "champion"
TAKEN_BACK: Final = "taken_back"
"""Evidence of a failed move: id of the record of success that the alias went back from."""
_MOVES: Final = (Action.MODEL_PROMOTE.value, Action.MODEL_ROLLBACK.value)


@dataclass(frozen=True)
class Reign:
    """A version that a move made the champion.

    Attributes:
        version: Its number.
        model_digest: Of its files, as recorded.
        registration: Key of the audit event of its registration.
        promotion: Key of the event that promoted it.
        since: When that was recorded.
        decides_since: When the newest move to it was: that one, or the rollback that came back.
        seen_digest: What its approvals were bound to then; empty where none were needed.
    """

    version: str
    model_digest: str
    registration: str
    promotion: str
    since: datetime
    decides_since: datetime
    seen_digest: str


@dataclass(frozen=True)
class Rollback:
    """A move that took a version from its place.

    Attributes:
        version: Who was the champion until then.
        came_back: Who is the champion since.
        at: When.
        by: Who rolled back.
        why: Their reason.
        event_key: Where it is recorded.
    """

    version: str
    came_back: str
    at: datetime
    by: str
    why: str
    event_key: str

    @property
    def sentence(self) -> str:
        """What happened, without the name of the version."""
        return (
            f"it was the champion, and {self.by} rolled back to version {self.came_back} on "
            f"{self.at:%Y-%m-%d %H:%M:%S} UTC: {self.why}"
        )


@dataclass(frozen=True)
class History:
    """The moves of a model's champion.

    Attributes:
        reigns: Promotions that were not rolled back, the first one first.
        rollbacks: In their order.
        last_move: Key of the newest move that counts; None before the first.
        last_record: Id of its record, by which it is undone.
        versions: Every version that was ever promoted.
    """

    reigns: tuple[Reign, ...] = ()
    rollbacks: tuple[Rollback, ...] = ()
    last_move: str | None = None
    last_record: str | None = None
    versions: frozenset[str] = frozenset()

    @property
    def champion(self) -> Reign | None:
        """Who is the champion by the trail."""
        return self.reigns[-1] if self.reigns else None

    def rolled_back(self, version: str) -> Rollback | None:
        """How a version last lost its place; None where it never did, or has it again."""
        if self.champion is not None and self.champion.version == version:
            return None
        found = [each for each in self.rollbacks if each.version == version]
        return found[-1] if found else None

    @property
    def earlier(self) -> tuple[Reign, ...]:
        """Champions to go back to, the newest first; each version once."""
        found: dict[str, Reign] = {}
        current = self.champion.version if self.champion else None
        for reign in reversed(self.reigns[:-1]):
            if reign.version != current:
                found.setdefault(reign.version, reign)
        return tuple(found.values())


def history_of(workspace: Workspace, model: str) -> History:
    """The moves of a model's champion in this environment.

    Args:
        workspace: Where the trail is.
        model: Registered model.

    Raises:
        EvidenceError: The ledger does not verify, or none can be of that name.
        StoreError: The trail cannot be read.
    """
    here = workspace.authority.environment.value
    past = [History()]
    taken_back: set[str] = set()
    for key, event in verified_events(workspace, _ledger(model)):
        record = event.record
        if record.action not in _MOVES or record.environment != here:
            continue
        if record.resource != f"model/{model}" or record.evidence.get("alias") != CHAMPION:
            continue
        now = past[-1]
        if record.outcome is Outcome.SUCCEEDED:
            is_next = record.evidence.get("replaces") == now.last_move
            if is_next and record.id not in taken_back:
                past.append(_moved(now, key, record))
        elif record.outcome is Outcome.FAILED and TAKEN_BACK in record.evidence:
            # By its id: somebody else may have made the same move successfully meanwhile.
            taken_back.add(str(record.evidence[TAKEN_BACK]))
            if now.last_record in taken_back:
                past.pop()
    return past[-1]


def _ledger(model: str) -> Stream:
    try:
        return champion_ledger(model)
    except AuditError as error:
        raise EvidenceError(
            f"no model of the platform can be named {model!r}: {error.message}",
            remedy="delete it from MLflow, or rename it there; what products register is named "
            "in their defs.yaml",
        ) from error


def _moved(now: History, key: str, record: AuditRecord) -> History:
    evidence = record.evidence
    version = _text(evidence, "version")
    if record.action == Action.MODEL_PROMOTE.value:
        reign = Reign(
            version=version,
            model_digest=_text(evidence, "model_digest"),
            registration=_text(evidence, "registration_event"),
            promotion=key,
            since=record.time,
            decides_since=record.time,
            seen_digest=_text(evidence, "seen_digest"),
        )
        return History(
            (*now.reigns, reign), now.rollbacks, key, record.id, now.versions | {version}
        )
    places = [i for i, reign in enumerate(now.reigns) if reign.version == version]
    if not places:
        return now  # nobody goes back to where nobody was
    below, reign = now.reigns[: places[-1]], now.reigns[places[-1]]
    back = replace(reign, decides_since=record.time)
    gone = Rollback(
        version=now.reigns[-1].version,
        came_back=version,
        at=record.time,
        by=record.principal.name,
        why=_text(evidence, "why") or "the record does not say why",
        event_key=key,
    )
    return History((*below, back), (*now.rollbacks, gone), key, record.id, now.versions)


def _text(evidence: Mapping[str, Any], name: str) -> str:
    value = evidence.get(name)
    return value if isinstance(value, str) else ""
