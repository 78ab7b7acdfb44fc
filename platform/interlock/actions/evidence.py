"""What a step builds on: found by hash, proven by the audit trail, never by "latest".

Dagster's own blocking checks bind one run, and anybody may report a materialization. So
each step asks here: is there an intact record that this very upstream was made, here, for
this product, and did every blocking check of it pass?
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.actions.workspace import Workspace
from interlock.errors import AuditError, EvidenceError, ObjectMissing
from interlock.governance.audit import (
    AuditEvent,
    AuditRecord,
    Outcome,
    Stream,
    decode,
    parse_key,
)
from interlock.governance.policy import Action

_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Upstream:
    """How an earlier step is referred to.

    Attributes:
        hash: What the step made: a snapshot's SHA-256, or a model's fingerprint.
        event_key: Where the audit event of its success is stored.
    """

    hash: str
    event_key: str


def require_upstream(
    workspace: Workspace,
    *,
    product: str,
    action: Action,
    upstream: Upstream | None,
    hash_field: str,
    asset: str,
) -> AuditEvent:
    """The audit event that proves an upstream, or a refusal.

    Args:
        workspace: Where the audit trail is.
        product: The product that asks.
        action: The action that must have made the upstream.
        upstream: What is asked about; None when the asset was never materialized.
        hash_field: The evidence field that must carry the hash.
        asset: The upstream asset, for the message.

    Returns:
        The event; its stream was verified from the first event on.

    Raises:
        EvidenceError: No event, another event, or a stream that does not verify.
    """
    remedy = f"materialize {asset} again"
    if upstream is None:
        raise EvidenceError(f"{asset} was never materialized", remedy=f"materialize {asset} first")
    stream = stream_of(workspace, upstream.event_key)
    try:
        events = _verified(workspace, stream)
    except AuditError as error:
        raise EvidenceError(
            f"{asset} {upstream.hash[:12]} is not on record: {error.message}", remedy=remedy
        ) from error
    if upstream.event_key not in events:
        raise EvidenceError(
            f"{asset} {upstream.hash[:12]} has no audit event {upstream.event_key}",
            remedy=remedy,
        )
    event = events[upstream.event_key]
    record = event.record
    expected = {
        "action": (record.action, action.value),
        "outcome": (record.outcome, Outcome.SUCCEEDED),
        "resource": (record.resource, f"product/{product}"),
        "environment": (record.environment, workspace.authority.environment.value),
        hash_field: (record.evidence.get(hash_field), upstream.hash),
    }
    for name, (found, wanted) in expected.items():
        if found != wanted:
            raise EvidenceError(
                f"the audit event of {asset} has {name} {found!r}, expected {wanted!r}",
                remedy=remedy,
            )
    return event


def verified_events(workspace: Workspace, stream: Stream) -> list[tuple[str, AuditEvent]]:
    """The events of an intact stream with their keys, in order; none of one that is not there.

    Args:
        workspace: Where the audit trail is.
        stream: The stream.

    Raises:
        EvidenceError: The stream does not verify.
        StoreError: It cannot be read.
    """
    try:
        return list(_verified(workspace, stream).items())
    except AuditError:  # nothing was ever stored there
        return []


def _verified(workspace: Workspace, stream: Stream) -> dict[str, AuditEvent]:
    """The events of a stream by key.

    Raises:
        EvidenceError: The stream does not verify.
        AuditError: There is no such stream.
    """
    # Sees more than the chain: also versions and delete markers that came later.
    findings = workspace.authority.audit.verify(stream).all_findings
    if findings:
        raise EvidenceError(
            f"the audit stream {stream.name} does not verify: {findings[0].text}",
            remedy="run `interlock audit verify` and have the finding examined",
        )
    return {each.key: decode(each.data) for each in workspace.authority.audit.read(stream)}


def recorded_event(workspace: Workspace, key: str) -> AuditRecord:
    """The record that an event's key names, of a stream that verifies.

    Args:
        workspace: Where the audit trail is.
        key: The event's key.

    Raises:
        EvidenceError: There is no such event, or its stream does not verify.
        AuditError: There is no such stream.
        StoreError: It cannot be read.
    """
    events = _verified(workspace, stream_of(workspace, key))
    if key not in events:
        raise EvidenceError(
            f"the audit trail holds no event {key}",
            remedy="register the version again; its recorded audit event is not usable",
        )
    return events[key].record


def stream_of(workspace: Workspace, key: str) -> Stream:
    """The audit stream that an event's key belongs to.

    Raises:
        EvidenceError: The key is none of this audit trail.
    """
    place = parse_key(workspace.authority.audit.prefix, key)
    if place is None:
        raise EvidenceError(
            f"{key!r} is no key of this audit trail",
            remedy="materialize the asset again; its recorded audit event is not usable",
        )
    return place[0]


def require_checks(evidence: Mapping[str, Any], expected: Iterable[str], asset: str) -> None:
    """Refuse unless every expected blocking check of a snapshot is recorded as passed.

    Args:
        evidence: Of the event that made the snapshot; ``blocking_checks`` maps a check's name
            to whether it passed.
        expected: The blocking checks that the product's contract has today.
        asset: The upstream asset, for the message.

    Raises:
        EvidenceError: A blocking check failed or is missing.
    """
    recorded = evidence.get("blocking_checks")
    checks = recorded if isinstance(recorded, Mapping) else {}
    failed = sorted(name for name, passed in checks.items() if passed is not True)
    missing = sorted(set(expected) - set(checks))
    if failed:
        raise EvidenceError(
            f"blocking checks of {asset} failed: {', '.join(failed)}",
            remedy=f"correct the data or the contract and materialize {asset} again",
        )
    if missing:
        raise EvidenceError(
            f"blocking checks of {asset} were never made: {', '.join(missing)}",
            remedy=f"the contract has changed since; materialize {asset} again",
        )


def require_text(evidence: Mapping[str, Any], name: str, asset: str) -> str:
    """A text that an event's evidence must hold.

    Raises:
        EvidenceError: It is missing or no text.
    """
    value = evidence.get(name)
    if not isinstance(value, str) or not value:
        raise EvidenceError(
            f"the audit event of {asset} has no {name}", remedy=f"materialize {asset} again"
        )
    return value


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal; memory does not grow with the file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def fetch_verified(workspace: Workspace, *, key: str, sha256: str, path: Path, asset: str) -> None:
    """Fetch a snapshot's file and refuse it unless its bytes have the recorded hash.

    Args:
        workspace: Where the object is.
        key: Its key in the data bucket.
        sha256: The hash that the audit trail recorded.
        path: Where to put it.
        asset: The upstream asset, for the message.

    Raises:
        EvidenceError: It is gone, or the bytes are others.
    """
    try:
        workspace.store.download(workspace.data_bucket, key, path)
    except ObjectMissing as error:
        raise EvidenceError(
            f"{key} is gone from the data bucket, the audit trail recorded it",
            remedy=f"restore the object, or materialize {asset} again",
        ) from error
    found = file_sha256(path)
    if found != sha256:
        raise EvidenceError(
            f"{key} has SHA-256 {found[:12]}…, the audit trail recorded {sha256[:12]}…",
            remedy=f"restore the object's first version, or delete it and materialize {asset} "
            "again",
        )


def require_validated(
    workspace: Workspace, product: str, upstream: Upstream | None
) -> Mapping[str, Any]:
    """What is on record of the validation that accepted a snapshot.

    Args:
        workspace: Where the audit trail is.
        product: The product that asks.
        upstream: The snapshot, by hash and audit event; None when nothing was ever validated.

    Raises:
        EvidenceError: It is not proven.
    """
    return require_upstream(
        workspace,
        product=product,
        action=Action.DATA_VALIDATE,
        upstream=upstream,
        hash_field="data_hash",
        asset="validated_data",
    ).record.evidence


def fetch_accepted(workspace: Workspace, validated: Mapping[str, Any], path: Path) -> None:
    """Fetch the rows that a validation accepted.

    Args:
        workspace: Where the object is.
        validated: What is on record of the validation.
        path: Where to put the file.

    Raises:
        EvidenceError: It is gone, or the bytes are others.
    """
    fetch_verified(
        workspace,
        key=require_text(validated, "accepted_key", "validated_data"),
        sha256=require_text(validated, "data_hash", "validated_data"),
        path=path,
        asset="validated_data",
    )
