"""Put back what was changed outside of Interlock: aliases and tags that the trail contradicts.

``survey`` finds; here is put back and recorded. Nothing is written, neither to MLflow nor to the
trail, while there is nothing to find.

- A move of the champion holds the lease of that champion. What looks moved while somebody holds
  it is a move under way; it is looked at again with the lease held. One that stays under way for
  minutes is told: whoever holds the lease keeps the alias from being put back.
- A move that was cut off is undone: the champion by the trail gets its alias back.
- A version that the trail does not know, and that looks deployable, is blocked.
- What cannot be put back, such as a deleted version, is recorded once.
- What is wrong with one model, its name or its ledger, keeps no other from being looked at. The
  look as a whole then fails (``require_complete``), so that it is seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from interlock.actions.authority import RunContext
from interlock.actions.evidence import verified_events
from interlock.actions.promote import champion_lease
from interlock.actions.survey import Finding, Kind, digest_of, survey
from interlock.actions.waiting import known_models
from interlock.actions.workspace import Workspace
from interlock.errors import (
    AuditError,
    EvidenceError,
    InterlockError,
    ProductBusy,
    ReconciliationIncomplete,
    RegistryError,
    StoreError,
)
from interlock.governance.audit import Outcome, champion_ledger
from interlock.governance.policy import Action, Resource

LONGEST_MOVE: Final = timedelta(minutes=3)  # a move takes seconds; its lease, cut off, a minute
# Findings in one event, and bytes of a text in it: with digests and errors some 35,000 of the
# 65,536 bytes that an event may have. What is left over is for the next look.
MAX_RECORDED: Final = 50
MAX_TEXT: Final = 300  # bytes, as JSON


@dataclass(frozen=True)
class Reconciled:
    """What was found about one model, and what became of it.

    Attributes:
        model: Registered model.
        findings: What was found.
        put_back: Those that were made right, as text.
        failed: Those that could not be, with the error; or why the model was not looked at.
        event_key: The record; empty when there was nothing new to record.
        in_flight: Who was moving the champion, so that it was left alone; empty when nobody was.
    """

    model: str
    findings: tuple[Finding, ...] = ()
    put_back: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    event_key: str = ""
    in_flight: str = ""

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
    except ProductBusy as error:
        return Reconciled(model, in_flight=error.message)


def reconcile_all(
    workspace: Workspace,
    run: RunContext,
    models: Iterable[str] = (),
    *,
    in_flight: MutableMapping[str, datetime] | None = None,
) -> tuple[Reconciled, ...]:
    """Do so for one model after the other, whatever is wrong with one of them.

    Args:
        workspace: The outside world, acting as who may reconcile.
        run: Where this happens; a denial is recorded there.
        models: Which; every one that is known when none is given.
        in_flight: Model to since when its champion is being moved; kept between two looks by
            whoever looks again and again.

    Returns:
        What was found of each; one that could not be looked at says why in ``failed``.

    Raises:
        AccessDenied: The principal may not.
        RegistryError: It is not known which models there are.
        StoreError: The same.
    """
    since = {} if in_flight is None else in_flight
    found = []
    for model in tuple(models) or known_models(workspace):
        try:
            found.append(_told(reconcile(workspace, run, model), since, workspace.clock()))
        except (AuditError, EvidenceError, RegistryError, StoreError) as error:
            found.append(Reconciled(model, failed=(str(error),)))
    return tuple(found)


def require_complete(found: Iterable[Reconciled]) -> None:
    """Fail after a look at models that did not come to its end with each of them.

    Raises:
        ReconciliationIncomplete: Names each of them, and why.
    """
    failed = [f"{each.model}: {why}" for each in found for why in each.failed]
    if failed:
        raise ReconciliationIncomplete(
            f"not put back or not looked at: {'; '.join(failed)}",
            remedy="see runbook ReconcilerStale; every other model was looked at",
        )


def _told(found: Reconciled, since: MutableMapping[str, datetime], now: datetime) -> Reconciled:
    """What was found, failed where a move has been under way for too long."""
    if not found.in_flight:
        since.pop(found.model, None)
        return found
    lasted = now - since.setdefault(found.model, now)
    if lasted < LONGEST_MOVE:
        return found
    minutes = lasted // timedelta(minutes=1)
    why = f"a move of the champion has been under way for {minutes} minutes: {found.in_flight}"
    return replace(found, failed=(why,))


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
    return [digest_of(str(each)) for kind in Kind for each in _listed(evidence.get(kind.value))]


def _listed(found: object) -> Iterable[object]:
    return found if isinstance(found, list | tuple) else ()


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
