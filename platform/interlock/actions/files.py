"""Are a model's stored files those that were recorded?"""

from __future__ import annotations

from pathlib import Path

from interlock.actions.workspace import Workspace
from interlock.adapters.model_registry import digest_of
from interlock.errors import EvidenceError


def require_digest(workspace: Workspace, uri: str, digest: str) -> None:
    """Refuse a model whose stored files are not those that were recorded.

    Raises:
        EvidenceError: The files' digest is another.
        RegistryError: The files cannot be read.
    """
    with workspace.scratch_folder() as scratch:
        require_digest_in(workspace, uri, digest, scratch)


def require_digest_in(workspace: Workspace, uri: str, digest: str, folder: Path) -> Path:
    """Fetch a model's files, and refuse them unless they are those that were recorded.

    Args:
        workspace: Where they are.
        uri: ``models:/m-...``.
        digest: As recorded.
        folder: An empty folder to put them into.

    Returns:
        The folder with the files.

    Raises:
        EvidenceError: The files' digest is another.
        RegistryError: The files cannot be read.
    """
    files = workspace.registry.download(uri, folder)
    found = digest_of(files)
    if found != digest:
        raise EvidenceError(
            f"the files of {uri} have digest {found[:12]}…, the audit trail recorded "
            f"{digest[:12]}…",
            remedy="do not use this model; materialize trained_model again and have the "
            "artifact store examined",
        )
    return files
