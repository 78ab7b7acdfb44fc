"""Hold data against what a version learned from, and let a champion's approval follow from it.

Authorise, record, measure, record; then, where the product says that drift suspends, the version is
the champion and the data its own, ``actions.suspend``. What is measured is ``ml.verdict``; which
data, ``actions.current_data``; how the report looks, ``ml.drift_report``. ADR-0014.

Scores of a snapshot are not judged: it is the one that the version was fitted on, or may hold its
rows, and of those a model is surer than of any others. Features of it are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from interlock.actions.authority import RunContext
from interlock.actions.check_report import (
    Checked,
    evidence_of,
    keep_report,
    report_facts,
    require_rows,
)
from interlock.actions.current_data import (
    Current,
    Declared,
    Fetched,
    GivenFile,
    NewestSnapshot,
    decides_on,
    fetch,
    scored,
)
from interlock.actions.reference import Reference, champion_or, require_reference
from interlock.actions.suspend import Grounds, suspend
from interlock.actions.workspace import Workspace
from interlock.governance.policy import Action, Resource
from interlock.ml.drift_document import drift_document, drift_sentence
from interlock.ml.drift_report import render_drift_report
from interlock.ml.model_reference import fitting_limits
from interlock.ml.monitoring import SCORE
from interlock.ml.profile_bytes import to_bytes
from interlock.ml.profile_parts import without
from interlock.ml.profiles import TableProfile, profile_table
from interlock.ml.verdict import DriftVerdict, Outcome, judge
from interlock.product import ModelProduct

CAUSE: Final = "drift"
MAX_NAMED: Final = 100  # columns in an audit event
_SURER: Final = (
    "scores are not judged: the version may have been fitted on these rows, and of those it is "
    "surer than of any others"
)


@dataclass(frozen=True, kw_only=True)
class DriftChecked(Checked):
    """What was found, as it was recorded.

    Attributes:
        verdict: The verdict.
        current: The profile of the data now.
        data_hash: SHA-256 of that data.
        notes: What was not judged, and why; one sentence each, without full stop.
    """

    verdict: DriftVerdict
    current: TableProfile
    data_hash: str
    notes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What was found, one sentence without full stop."""
        return drift_sentence(self.verdict)


def check_drift(
    workspace: Workspace,
    product: ModelProduct,
    run: RunContext,
    current: Current,
    *,
    version: str | None = None,
) -> DriftChecked:
    """Hold data against a version's reference.

    Args:
        workspace: The outside world.
        product: Whose data and version it is.
        run: Where this happens.
        current: Which data.
        version: Number of the version; the champion by default.

    Returns:
        What was found.

    Raises:
        AccessDenied: The principal may not check here.
        EvidenceError: There is no champion, the version has no reference, or something is not as
            recorded.
        DataError: The data cannot be read, has no rows, or other columns than the reference.
        AuditWriteFailed: It could not be recorded.
    """
    resource = Resource("model", product.model)
    partition = current.partition if isinstance(current, Declared) else None
    asked = {
        "check": CAUSE,
        "product": product.name,
        "partition": partition,
        "in_use": not isinstance(current, GivenFile),
    }
    with workspace.authority.govern(
        Action.MODEL_MONITOR, resource, run, evidence=asked
    ) as governed:
        number = champion_or(workspace, product.model, version)
        governed.evidence |= {"model": product.model, "version": number}
        counts = decides_on(workspace, product, number, current)
        governed.evidence |= {"counts": counts}
        reference = require_reference(workspace, product.model, number)
        governed.evidence |= evidence_of(reference)
        with workspace.scratch_folder() as scratch:
            fetched = fetch(workspace, product, current, scratch)
            governed.evidence |= fetched.evidence
            run.report(f"counting {fetched.label} against {reference.label}")
            profile = profile_table(
                scored(workspace, product, reference, fetched, scratch=scratch),
                reference.profile.plan,
                progress=lambda rows: run.progress(f"{rows:,} rows counted"),
            )
            require_rows(profile.rows, fetched.label)
            before, notes = reference.profile, list[str]()
            if _may_be_fitted_on(reference, current, fetched):
                before, profile = (without(each, {SCORE}) for each in (before, profile))
                notes.append(_SURER)
            limits, left_out = fitting_limits(product.watched.drift, before.plan)
            notes += left_out
            governed.evidence |= {"notes": notes}
            verdict = judge(before, profile, limits)
            for sentence in (*notes, drift_sentence(verdict)):
                run.report(sentence)
            facts = report_facts(
                workspace, reference, data_hash=fetched.data_hash, held=reference.profile_hash
            )
            page = render_drift_report(
                verdict,
                title=f"{product.name}: {fetched.label} against {reference.label}",
                facts=facts | {"not judged": "; ".join(notes) or "nothing was left out"},
                reference=before,
                current=profile,
                withheld=product.protected,
            )
            kept = keep_report(
                workspace,
                product,
                run,
                kind=CAUSE,
                reference=reference,
                page=page,
                figures=drift_document(verdict) | {"notes": notes},
                metrics={
                    "drifted": float(len(verdict.drifted)),
                    "rows": float(verdict.rows[1]),
                    "worst_severity": max(
                        (each.severity for each in verdict.everything), default=0.0
                    ),
                },
                scratch=scratch,
            )
        governed.run = run.with_mlflow_run(kept.mlflow_run).ref
        governed.evidence |= {
            **kept.evidence,
            "current_profile": hashlib.sha256(to_bytes(profile)).hexdigest(),
            "rows": profile.rows,
            "outcome": verdict.outcome.value,
            "drifted": list(verdict.drifted[:MAX_NAMED]),
            "drifted_count": len(verdict.drifted),
            "tests": verdict.tests,
            "limits_digest": hashlib.sha256(limits.model_dump_json().encode()).hexdigest(),
        }
        # Before the check is on record as done: what it found is never known and without effect.
        suspension = None
        if counts and verdict.outcome is Outcome.DRIFT and CAUSE in product.watched.suspend_on:
            suspension = suspend(
                workspace,
                run,
                Grounds(
                    model=product.model,
                    version=number,
                    cause=CAUSE,
                    why=f"{drift_sentence(verdict)} in {fetched.label}",
                    check=governed.begun_key,
                    data_hash=fetched.data_hash,
                ),
            )
        governed.evidence |= {"suspension": suspension and suspension.event_key}
    return DriftChecked(
        verdict=verdict,
        reference=reference,
        current=profile,
        data_hash=fetched.data_hash,
        notes=tuple(notes),
        partition=partition,
        page=page,
        mlflow_run=kept.mlflow_run,
        figures_key=kept.figures_key,
        counts=counts,
        suspension=suspension,
        event_key=governed.event_key,
    )


def _may_be_fitted_on(reference: Reference, current: Current, fetched: Fetched) -> bool:
    """Whether a version may have been fitted on rows of this data."""
    learned_from = reference.record.evidence.get("data_hash")
    return isinstance(current, NewestSnapshot) or fetched.data_hash == learned_from
