"""Where snapshots live in the data bucket: keys alone.

Every key names the content by hash, is written once by a conditional put, and never
overwritten.

    snapshots/<product>/raw/<sha256>/source                           the source's bytes
    snapshots/<product>/raw/<sha256>/table/<sha256>.parquet           the same as rows
    snapshots/<product>/validated/<sha256>/accepted.parquet           rows that keep the contract
    snapshots/<product>/validated/<sha256>/quarantine/<sha256>.parquet
    snapshots/<product>/validated/<sha256>/report/<sha256>.json
    monitoring/<product>/<kind>/<sha256>.json                         figures of a check

What is derived from a snapshot has a hash of its own in its key: another contract, or another
version of the library that writes it, makes another file from the same rows.
"""

from __future__ import annotations

from pathlib import Path

from interlock.actions.workspace import Workspace
from interlock.errors import EvidenceError, ObjectExists


def source_key(product: str, data_hash: str) -> str:
    """The source's bytes."""
    return f"snapshots/{product}/raw/{data_hash}/source"


def table_key(product: str, data_hash: str, table_hash: str) -> str:
    """The source's rows as Parquet."""
    return f"snapshots/{product}/raw/{data_hash}/table/{table_hash}.parquet"


def accepted_key(product: str, data_hash: str) -> str:
    """Rows that keep the contract."""
    return f"snapshots/{product}/validated/{data_hash}/accepted.parquet"


def quarantine_key(product: str, data_hash: str, quarantine_hash: str) -> str:
    """The other rows, with their reasons."""
    return f"snapshots/{product}/validated/{data_hash}/quarantine/{quarantine_hash}.parquet"


def report_key(product: str, data_hash: str, report_hash: str) -> str:
    """What holding the table against its contract found."""
    return f"snapshots/{product}/validated/{data_hash}/report/{report_hash}.json"


def monitoring_key(product: str, kind: str, figures_hash: str) -> str:
    """The figures of a check of drift or performance."""
    return f"monitoring/{product}/{kind}/{figures_hash}.json"


def store_once(workspace: Workspace, *, key: str, path: Path, sha256: str) -> bool:
    """Store a file under a key that names its content; what is there already stays.

    Args:
        workspace: Where to store.
        key: In the data bucket.
        path: The file.
        sha256: Of the file's bytes, kept as metadata.

    Returns:
        Whether it was stored now; False when the same bytes were there already.

    Raises:
        EvidenceError: Other bytes are there.
        StoreUnavailable: The store does not answer.
    """
    try:
        workspace.store.upload_new(workspace.data_bucket, key, path, metadata={"sha256": sha256})
    except ObjectExists as error:
        found = workspace.store.head(workspace.data_bucket, key)
        size = path.stat().st_size
        if (found.metadata.get("sha256"), found.size) != (sha256, size):
            raise EvidenceError(
                f"{key} holds {found.size} bytes with SHA-256 {found.metadata.get('sha256')}, "
                f"expected {size} bytes with {sha256}",
                remedy="have the data bucket examined: a snapshot is never overwritten; then "
                "delete that object and materialize again",
            ) from error
        return False
    return True
