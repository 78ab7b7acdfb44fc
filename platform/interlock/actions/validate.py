"""Hold a raw snapshot against the product's data contract.

Rows that break it go to quarantine with their reasons. The outcome of every blocking rule
is part of the audit event, because it stands for every later run that builds on the
snapshot. Rules are in ``ml.contract``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from interlock.actions.authority import RunContext
from interlock.actions.evidence import (
    Upstream,
    fetch_verified,
    require_text,
    require_upstream,
)
from interlock.actions.snapshots import accepted_key, quarantine_key, report_key, store_once
from interlock.actions.workspace import Workspace
from interlock.adapters.tables import AppliedContract, apply_contract
from interlock.governance.policy import Action, Resource
from interlock.ml.contract import ContractReport, contract_rules
from interlock.product import ModelProduct


@dataclass(frozen=True)
class ValidatedSnapshot:
    """Rows that satisfy the contract.

    Attributes:
        data_hash: SHA-256 of the accepted rows' Parquet file, hexadecimal.
        report: What was found, rule by rule.
        accepted_key: Where the accepted rows are, in the data bucket.
        quarantine_key: Where the other rows are.
        report_key: Where the report is.
        event_key: The audit event of the validation.
    """

    data_hash: str
    report: ContractReport
    accepted_key: str
    quarantine_key: str
    report_key: str
    event_key: str


def blocking_rules(product: ModelProduct) -> tuple[str, ...]:
    """Names of the rules that must hold before anything builds on a snapshot."""
    rules = contract_rules(product.contract, product.target)
    return tuple(rule.name for rule in rules if rule.blocking)


def contract_digest(product: ModelProduct) -> str:
    """SHA-256 of what decides about rows, hexadecimal: the contract and the target's labels."""
    parts = product.contract.digest + product.target.model_dump_json()
    return hashlib.sha256(parts.encode()).hexdigest()


def validate(
    workspace: Workspace, product: ModelProduct, run: RunContext, upstream: Upstream | None
) -> ValidatedSnapshot:
    """Divide a raw snapshot into accepted and quarantined rows.

    A snapshot whose blocking rules fail is still written, so that people can see why; nothing
    may build on it.

    Args:
        workspace: The outside world.
        product: Whose contract it is.
        run: Where this happens.
        upstream: The raw snapshot, by hash and audit event.

    Returns:
        Both parts with the report.

    Raises:
        AccessDenied: The principal may not validate here.
        EvidenceError: The raw snapshot is not proven.
        ContractError: The contract cannot be applied at all.
    """
    resource = Resource("product", product.name)
    with workspace.authority.govern(Action.DATA_VALIDATE, resource, run) as governed:
        raw = require_upstream(
            workspace,
            product=product.name,
            action=Action.DATA_INGEST,
            upstream=upstream,
            hash_field="data_hash",
            asset="raw_data",
        ).record.evidence
        table_hash = require_text(raw, "table_hash", "raw_data")
        with (
            workspace.lease(product.name, run.stream.name),
            workspace.scratch_folder() as scratch,
        ):
            run.report("fetching the raw snapshot")
            fetch_verified(
                workspace,
                key=require_text(raw, "table_key", "raw_data"),
                sha256=table_hash,
                path=scratch / "table.parquet",
                asset="raw_data",
            )
            applied = apply_contract(
                scratch / "table.parquet",
                contract=product.contract,
                target=product.target,
                protected=product.protected,
                accepted=scratch / "accepted.parquet",
                quarantine=scratch / "quarantine.parquet",
                scratch=scratch,
                progress=lambda rows: run.progress(f"{rows:,} rows checked"),
            )
            run.report("storing the validated snapshot")
            keys = _store(workspace, product, applied, scratch)
        report = applied.report
        governed.evidence |= {
            "raw_hash": upstream.hash if upstream else None,
            "data_hash": applied.accepted_sha256,
            "accepted_key": keys.accepted,
            "quarantine_hash": applied.quarantine_sha256,
            "quarantine_key": keys.quarantine,
            "report_key": keys.report,
            "report_hash": keys.report_hash,
            "rows": report.accepted,
            "quarantined": report.quarantined,
            "data_quality_score": report.data_quality_score,
            "blocking_checks": {r.name: r.passed for r in report.rules if r.blocking},
            "contract_digest": contract_digest(product),
            "product_digest": product.digest,
            "upstream_event": upstream.event_key if upstream else None,
        }
    return ValidatedSnapshot(
        data_hash=applied.accepted_sha256,
        report=report,
        accepted_key=keys.accepted,
        quarantine_key=keys.quarantine,
        report_key=keys.report,
        event_key=governed.event_key,
    )


@dataclass(frozen=True)
class _Keys:
    accepted: str
    quarantine: str
    report: str
    report_hash: str


def _store(
    workspace: Workspace,
    product: ModelProduct,
    applied: AppliedContract,
    scratch: Path,
) -> _Keys:
    path = scratch / "report.json"
    path.write_text(json.dumps(applied.report.as_dict(), indent=2, allow_nan=False) + "\n")
    report_hash = hashlib.sha256(path.read_bytes()).hexdigest()
    data_hash = applied.accepted_sha256
    accepted = accepted_key(product.name, data_hash)
    quarantine = quarantine_key(product.name, data_hash, applied.quarantine_sha256)
    report = report_key(product.name, data_hash, report_hash)
    for key, file, digest in (
        (accepted, applied.accepted, applied.accepted_sha256),
        (quarantine, applied.quarantine, applied.quarantine_sha256),
        (report, path, report_hash),
    ):
        store_once(workspace, key=key, path=file, sha256=digest)
    return _Keys(accepted, quarantine, report, report_hash)
