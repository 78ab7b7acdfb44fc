"""Hold data against what a version learned from, and let a champion's approval follow from it.

Authorise, record, measure, record; then, where the product says that drift suspends, the version is
the champion and the data its own, ``actions.suspend``. What is measured is ``ml.verdict``; which
data, ``actions.current_data``; how the report looks, ``ml.drift_report``. ADR-0014.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interlock.actions.authority import RunContext
from interlock.actions.current_data import Current, Declared, Fetched, GivenFile, fetch, scored
from interlock.actions.reference import Reference, champion_or, require_reference
from interlock.actions.snapshots import monitoring_key, store_once
from interlock.actions.suspend import Grounds, suspend
from interlock.actions.suspensions import Suspension
from interlock.actions.workspace import Workspace
from interlock.errors import DataError
from interlock.governance.policy import Action, Resource
from interlock.ml.drift_document import drift_document, drift_sentence
from interlock.ml.drift_report import render_drift_report
from interlock.ml.model_reference import limits_of_scores
from interlock.ml.profile_bytes import to_bytes
from interlock.ml.profiles import TableProfile, profile_table
from interlock.ml.verdict import DriftVerdict, Outcome, judge
from interlock.product import ModelProduct

CAUSE: Final = "drift"
REPORT: Final = "drift_report.html"
FIGURES: Final = "drift.json"
MAX_NAMED: Final = 100  # columns in an audit event


@dataclass(frozen=True)
class DriftChecked:
    """What was found, as it was recorded.

    Attributes:
        verdict: The verdict.
        reference: The version and its reference.
        current: The profile of the data now.
        data_hash: SHA-256 of that data.
        partition: The day or batch; None where there is none.
        report: The report as HTML.
        mlflow_run: The run that holds report and figures.
        figures_key: Where the figures are in the data bucket (``ml.drift_document``).
        suspension: What stands against the version's approval now; None where nothing does.
        event_key: The audit event of the check.
    """

    verdict: DriftVerdict
    reference: Reference
    current: TableProfile
    data_hash: str
    partition: str | None
    report: str
    mlflow_run: str
    figures_key: str
    suspension: Suspension | None
    event_key: str

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
    # A file that somebody names says nothing about what the champion decides on.
    is_in_use = not isinstance(current, GivenFile)
    asked = {
        "check": CAUSE,
        "product": product.name,
        "partition": partition,
        "in_use": is_in_use,
    }
    with workspace.authority.govern(
        Action.MODEL_MONITOR, resource, run, evidence=asked
    ) as governed:
        number = champion_or(workspace, product.model, version)
        governed.evidence |= {"model": product.model, "version": number}
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
            limits = limits_of_scores(product.watched.drift)
            verdict = judge(reference.profile, profile, limits)
            run.report(drift_sentence(verdict))
            report = _report(
                workspace, product, reference, fetched=fetched, profile=profile, verdict=verdict
            )
            mlflow_run, stored = _keep(
                workspace,
                product,
                run,
                reference=reference,
                verdict=verdict,
                report=report,
                scratch=scratch,
            )
        governed.run = run.with_mlflow_run(mlflow_run).ref
        governed.evidence |= stored | {
            "current_profile": hashlib.sha256(to_bytes(profile)).hexdigest(),
            "rows": profile.rows,
            "outcome": verdict.outcome.value,
            "drifted": list(verdict.drifted[:MAX_NAMED]),
            "drifted_count": len(verdict.drifted),
            "tests": verdict.tests,
            "limits_digest": hashlib.sha256(limits.model_dump_json().encode()).hexdigest(),
        }
    suspension = None
    if is_in_use and verdict.outcome is Outcome.DRIFT and CAUSE in product.watched.suspend_on:
        suspension = suspend(
            workspace,
            run,
            Grounds(
                model=product.model,
                version=number,
                cause=CAUSE,
                why=f"{drift_sentence(verdict)} in {fetched.label}",
                check=governed.event_key,
                data_hash=fetched.data_hash,
            ),
        )
    return DriftChecked(
        verdict=verdict,
        reference=reference,
        current=profile,
        data_hash=fetched.data_hash,
        partition=partition,
        report=report,
        mlflow_run=mlflow_run,
        figures_key=stored["figures_key"],
        suspension=suspension,
        event_key=governed.event_key,
    )


def evidence_of(reference: Reference) -> dict[str, Any]:
    """What records say of a reference."""
    return {
        "registration_event": reference.registration,
        "reference_profile": reference.profile_hash,
        "reference_performance": reference.performance_hash,
        "plan": reference.profile.plan.digest,
    }


def require_rows(rows: int, label: str) -> None:
    """Refuse data without rows: of nothing there is nothing to say.

    Raises:
        DataError: There are none.
    """
    if not rows:
        raise DataError(
            f"{label} has no rows", remedy="see whether its source delivered; then check again"
        )


def _report(
    workspace: Workspace,
    product: ModelProduct,
    reference: Reference,
    *,
    fetched: Fetched,
    profile: TableProfile,
    verdict: DriftVerdict,
) -> str:
    return render_drift_report(
        verdict,
        title=f"{product.name}: {fetched.label} against {reference.label}",
        facts={
            "checked": f"{workspace.clock():%Y-%m-%d %H:%M} UTC",
            "environment": workspace.authority.environment.value,
            "data": fetched.data_hash,
            "reference profile": reference.profile_hash,
            "registration": reference.registration,
        },
        reference=reference.profile,
        current=profile,
        withheld=product.protected,
    )


def _keep(
    workspace: Workspace,
    product: ModelProduct,
    run: RunContext,
    *,
    reference: Reference,
    verdict: DriftVerdict,
    report: str,
    scratch: Path,
) -> tuple[str, dict[str, Any]]:
    """Put report and figures into an MLflow run of their own, figures into the data bucket too."""
    document = drift_document(verdict) | {
        "product": product.name,
        "model": reference.version.name,
        "version": reference.version.version,
        "time": workspace.clock().isoformat(timespec="seconds"),
    }
    worst = max((each.severity for each in verdict.everything), default=0.0)
    return keep_report(
        workspace,
        product,
        run,
        kind=CAUSE,
        version=reference.version.version,
        files={
            REPORT: report.encode(),
            FIGURES: (json.dumps(document, indent=2, allow_nan=False) + "\n").encode(),
        },
        figures=FIGURES,
        metrics={
            "drifted": float(len(verdict.drifted)),
            "rows": float(verdict.rows[1]),
            "worst_severity": worst,
        },
        scratch=scratch,
    )


def keep_report(
    workspace: Workspace,
    product: ModelProduct,
    run: RunContext,
    *,
    kind: str,
    version: str,
    files: dict[str, bytes],
    figures: str,
    metrics: dict[str, float],
    scratch: Path,
) -> tuple[str, dict[str, Any]]:
    """Store what a check made.

    Args:
        workspace: Where to.
        product: Names MLflow's experiment.
        run: Names the MLflow run.
        kind: ``drift`` or ``performance``.
        version: What was checked.
        files: Content by name; MLflow gets all.
        figures: Name of the file that the data bucket gets too, for gauges.
        metrics: For MLflow.
        scratch: For files on their way.

    Returns:
        The MLflow run, and the evidence: hashes and where the figures are.

    Raises:
        RegistryError: MLflow does not answer.
        StoreUnavailable: The data bucket does not answer.
    """
    tags = {
        "dagster_run_id": run.ref.dagster_run or "",
        "interlock.kind": kind,
        "interlock.product": product.name,
        "interlock.version": version,
        "interlock.audit_stream": run.stream.name,
    }
    name = f"{kind}-{run.stream.name}"
    with workspace.tracker.run(product=product.name, name=name, tags=tags) as tracked:
        tracked.log_metrics(metrics)
        for path in _written(files, scratch):
            tracked.log_file(path, kind)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    key = monitoring_key(product.name, kind, hashes[figures])
    store_once(workspace, key=key, path=scratch / figures, sha256=hashes[figures])
    return tracked.run_id, {
        "mlflow_run": tracked.run_id,
        "report": hashes,
        "figures_key": key,
        "figures_hash": hashes[figures],
    }


def _written(files: dict[str, bytes], scratch: Path) -> Iterator[Path]:
    for name, content in files.items():
        path = scratch / name
        path.write_bytes(content)
        yield path
