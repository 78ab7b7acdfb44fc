"""What checks of drift and of performance have in common: what they found and what they keep.

The checks themselves: ``drift_check`` and ``performance_check``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.actions.authority import RunContext
from interlock.actions.reference import Reference
from interlock.actions.snapshots import monitoring_key, store_once
from interlock.actions.suspensions import Suspension
from interlock.actions.workspace import Workspace
from interlock.errors import DataError
from interlock.product import ModelProduct


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a check found, as it was recorded.

    Attributes:
        reference: The version and its reference.
        partition: The day or batch; None where there is none.
        page: The report as HTML.
        mlflow_run: The run that holds report and figures.
        figures_key: Where the figures are in the data bucket.
        counts: Whether the version is the champion and the data such as it decides on; only then
            does anything follow.
        suspension: What stands against the version's approval now; None where nothing does.
        event_key: The audit event of the check.
    """

    reference: Reference
    partition: str | None
    page: str
    mlflow_run: str
    figures_key: str
    counts: bool
    suspension: Suspension | None
    event_key: str


@dataclass(frozen=True)
class KeptReport:
    """Where a report and its figures are.

    Attributes:
        mlflow_run: The run that holds both.
        figures_key: The figures in the data bucket.
        evidence: Hashes and places, for the record.
    """

    mlflow_run: str
    figures_key: str
    evidence: Mapping[str, Any]


def page_name(kind: str) -> str:
    """The file of a report in MLflow; the figures are ``KIND.json`` beside it."""
    return f"{kind}_report.html"


def evidence_of(reference: Reference) -> dict[str, Any]:
    """What records say of a reference."""
    return {
        "registration_event": reference.registration,
        "reference_profile": reference.profile_hash,
        "reference_performance": reference.performance_hash,
        "plan": reference.profile.plan.digest,
    }


def report_facts(
    workspace: Workspace, reference: Reference, *, data_hash: str, held: str
) -> dict[str, str]:
    """What the head of a report says of its making.

    Args:
        workspace: Where and when.
        reference: The version.
        data_hash: SHA-256 of the data.
        held: SHA-256 of what the data is held against.
    """
    return {
        "checked": f"{workspace.clock():%Y-%m-%d %H:%M} UTC",
        "environment": workspace.authority.environment.value,
        "data": data_hash,
        "reference": held,
        "registration": reference.registration,
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


def keep_report(
    workspace: Workspace,
    product: ModelProduct,
    run: RunContext,
    *,
    kind: str,
    reference: Reference,
    page: str,
    figures: Mapping[str, Any],
    metrics: Mapping[str, float],
    scratch: Path,
) -> KeptReport:
    """Put report and figures into an MLflow run of their own, figures into the data bucket too.

    Args:
        workspace: Where to.
        product: Names MLflow's experiment.
        run: Names the MLflow run.
        kind: ``drift`` or ``performance``.
        reference: What was checked.
        page: The report as HTML.
        figures: The document for gauges; product, version and time are added.
        metrics: For MLflow.
        scratch: For files on their way.

    Raises:
        RegistryError: MLflow does not answer.
        StoreUnavailable: The data bucket does not answer.
    """
    version = reference.version
    document = {
        **figures,
        "product": product.name,
        "model": version.name,
        "version": version.version,
        "time": workspace.clock().isoformat(timespec="seconds"),
    }
    figures_file = scratch / f"{kind}.json"
    files = {
        scratch / page_name(kind): page,
        figures_file: json.dumps(document, indent=2, allow_nan=False) + "\n",
    }
    hashes = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in files.items()}
    tags = {
        "dagster_run_id": run.ref.dagster_run or "",
        "interlock.kind": kind,
        "interlock.product": product.name,
        "interlock.version": version.version,
        "interlock.audit_stream": run.stream.name,
    }
    name = f"{kind}-{run.stream.name}"
    with workspace.tracker.run(product=product.name, name=name, tags=tags) as tracked:
        tracked.log_metrics(dict(metrics))
        for path, text in files.items():
            path.write_text(text, encoding="utf-8", newline="")
            tracked.log_file(path, kind)
    digest = hashes[figures_file]
    key = monitoring_key(product.name, kind, digest)
    store_once(workspace, key=key, path=figures_file, sha256=digest)
    return KeptReport(
        mlflow_run=tracked.run_id,
        figures_key=key,
        evidence={
            "mlflow_run": tracked.run_id,
            "report": {path.name: sha256 for path, sha256 in hashes.items()},
            "figures_key": key,
            "figures_hash": digest,
        },
    )
