"""Where snapshots live in the data bucket: keys alone.

Every key names the content by hash, is written once by a conditional put, and never
overwritten.

    snapshots/<product>/raw/<sha256>/source                        the source's bytes
    snapshots/<product>/raw/<sha256>/<declaration>/table.parquet   the same, read as declared
    snapshots/<product>/validated/<sha256>/accepted.parquet        rows that keep the contract
    snapshots/<product>/validated/<sha256>/<made from>/quarantine.parquet, report.json
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from interlock.actions.workspace import Workspace
from interlock.errors import EvidenceError, ObjectExists
from interlock.product import ModelProduct


def source_key(product: str, data_hash: str) -> str:
    """The source's bytes."""
    return f"snapshots/{product}/raw/{data_hash}/source"


def table_key(product: ModelProduct, data_hash: str) -> str:
    """The source read as declared; another delimiter makes another table."""
    declaration = json.dumps(product.source.model_dump(mode="json"), sort_keys=True)
    digest = hashlib.sha256(declaration.encode()).hexdigest()[:16]
    return f"snapshots/{product.name}/raw/{data_hash}/{digest}/table.parquet"


def validated_keys(product: ModelProduct, data_hash: str, table_hash: str) -> tuple[str, str, str]:
    """Accepted rows, quarantined rows and the report."""
    made_from = hashlib.sha256(f"{table_hash}/{product.contract.digest}".encode()).hexdigest()[:16]
    folder = f"snapshots/{product.name}/validated/{data_hash}"
    return (
        f"{folder}/accepted.parquet",
        f"{folder}/{made_from}/quarantine.parquet",
        f"{folder}/{made_from}/report.json",
    )


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
        found = workspace.store.head(workspace.data_bucket, key).metadata.get("sha256")
        if found != sha256:
            raise EvidenceError(
                f"{key} holds SHA-256 {found}, expected {sha256}",
                remedy="have the data bucket examined; a snapshot is never overwritten",
            ) from error
        return False
    return True
