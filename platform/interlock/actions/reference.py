"""What a version is held against: kept beside it when it is trained, proven when it is used.

Two files of the MLflow run, each named by SHA-256 in the audit events of training and
registration: the profile of the data and scores, and the performance on the holdout. What is in
them is ``ml.model_reference``; nothing here believes MLflow. ADR-0014.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interlock.actions.case import reasons_against_registration, registration_of
from interlock.actions.champions import history_of
from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import ModelVersion
from interlock.adapters.tracking import TrackedRun
from interlock.errors import EvidenceError
from interlock.governance.audit import AuditRecord
from interlock.ml.model_reference import (
    ScoredReference,
    profile_of_training,
    read_scored_reference,
    score_reference,
)
from interlock.ml.profile_bytes import from_bytes, to_bytes
from interlock.ml.profiles import TableProfile
from interlock.ml.search import generator_for
from interlock.ml.training import TrainingResult
from interlock.product import ModelProduct

FOLDER: Final = "reference"
PROFILE: Final = "profile.bin"
PERFORMANCE: Final = "performance.json"
_AGAIN: Final = "train and register the model again; the new version has a reference of its own"


@dataclass(frozen=True)
class Reference:
    """A version, and what it is held against.

    Attributes:
        version: As MLflow holds it.
        registration: Key of the audit event of its registration.
        record: That event.
        profile: Of the data that it learned from, and of its scores.
        performance: On its holdout.
        profile_hash: SHA-256 of the profile's bytes, as recorded.
        performance_hash: The same of the performance's.
    """

    version: ModelVersion
    registration: str
    record: AuditRecord
    profile: TableProfile
    performance: ScoredReference
    profile_hash: str
    performance_hash: str

    @property
    def label(self) -> str:
        """The version in words."""
        return f"{self.version.name} version {self.version.version}"


def keep_reference(
    tracked: TrackedRun,
    product: ModelProduct,
    result: TrainingResult,
    snapshot: Path,
    scratch: Path,
) -> dict[str, Any]:
    """Store the reference of a model in its MLflow run.

    Args:
        tracked: The run.
        product: What was trained.
        result: What came of it.
        snapshot: The accepted rows.
        scratch: For files on their way.

    Returns:
        The evidence: hashes and sizes.

    Raises:
        DataError: A column cannot be counted, or a pair or segment names none.
        RegistryError: MLflow refused.
    """
    import polars as pl

    watched, holdout = product.watched, result.holdout
    profile = profile_of_training(
        pl.read_parquet(snapshot, columns=list(product.features)),
        features=product.features,
        held=holdout.places,
        score=holdout.score,
        pairs=watched.pairs,
    )
    parting = list(dict.fromkeys((*product.protected, *watched.segments)))
    held = pl.read_parquet(snapshot, columns=parting)[holdout.places] if parting else None
    performance = score_reference(
        holdout.outcome,
        holdout.score,
        pl.DataFrame({"row": holdout.places}) if held is None else held,
        threshold=result.threshold,
        cost=product.search.cost,
        segments=watched.segments,
        protected=product.protected,
        rng=generator_for("calibration", seed=product.search.seed),
    )
    contents = {PROFILE: to_bytes(profile), PERFORMANCE: performance.model_dump_json().encode()}
    for name, content in contents.items():
        path = scratch / name
        path.write_bytes(content)
        tracked.log_file(path, FOLDER)
    return {
        "profile": _sha256(contents[PROFILE]),
        "performance": _sha256(contents[PERFORMANCE]),
        "plan": profile.plan.digest,
        "rows": profile.rows,
        "scored_rows": len(holdout.score),
        "bytes": sum(map(len, contents.values())),
    }


def champion_or(workspace: Workspace, model: str, version: str | None) -> str:
    """The version that was named, or the champion by the trail.

    Raises:
        EvidenceError: None was named, and there is no champion; or the ledger does not verify.
    """
    if version is not None:
        return version
    champion = history_of(workspace, model).champion
    if champion is None:
        raise EvidenceError(
            f"{model} has no champion that data could be held against",
            remedy="promote a version, or name one",
        )
    return champion.version


def require_reference(workspace: Workspace, model: str, version: str) -> Reference:
    """Fetch a version's reference and prove it by the audit trail.

    Args:
        workspace: Where it is.
        model: Registered model.
        version: Its number.

    Raises:
        RegistryError: There is no such version, or MLflow does not answer.
        EvidenceError: Its registration is not proven, it has no reference, or its files are
            others.
        ProfileError: The stored profile cannot be read.
    """
    found = workspace.registry.version(model, version)
    key, record = registration_of(workspace, found)
    reasons = reasons_against_registration(workspace, found, key, record)
    if reasons:
        raise EvidenceError(f"{model} version {version}: {reasons[0]}", remedy=_AGAIN)
    kept = record.evidence.get("reference")
    if not isinstance(kept, Mapping):
        raise EvidenceError(
            f"{model} version {version} has no reference profile: it was trained before such "
            "profiles were kept",
            remedy=_AGAIN,
        )
    hashes = {name: str(kept.get(each)) for name, each in _HASHES.items()}
    with workspace.scratch_folder() as scratch:
        contents = {
            name: _fetched(workspace, found, name, sha256, scratch)
            for name, sha256 in hashes.items()
        }
    return Reference(
        version=found,
        registration=key,
        record=record,
        profile=from_bytes(contents[PROFILE]),
        performance=read_scored_reference(contents[PERFORMANCE]),
        profile_hash=hashes[PROFILE],
        performance_hash=hashes[PERFORMANCE],
    )


_HASHES: Final = {PROFILE: "profile", PERFORMANCE: "performance"}


def _fetched(
    workspace: Workspace, version: ModelVersion, name: str, sha256: str, scratch: Path
) -> bytes:
    path, registry = f"{FOLDER}/{name}", workspace.registry
    if path not in registry.run_files(version.run_id, FOLDER):
        raise EvidenceError(
            f"{path} of {version.name} version {version.version} is gone, the audit trail "
            "recorded it",
            remedy=f"restore the file in MLflow run {version.run_id}, or {_AGAIN}",
        )
    folder = scratch / name.partition(".")[0]
    folder.mkdir()
    content = registry.run_file(version.run_id, path, folder).read_bytes()
    if _sha256(content) != sha256:
        raise EvidenceError(
            f"{path} of {version.name} version {version.version} has SHA-256 "
            f"{_sha256(content)[:12]}…, the audit trail recorded {sha256[:12]}…",
            remedy="have the artifact store examined; restore the file, or " + _AGAIN,
        )
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
