"""Are a model's stored files those that were recorded?"""

from __future__ import annotations

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
        found = digest_of(workspace.registry.download(uri, scratch))
    if found != digest:
        raise EvidenceError(
            f"the files of {uri} have digest {found[:12]}…, the audit trail recorded "
            f"{digest[:12]}…",
            remedy="do not use this model; materialize trained_model again and have the "
            "artifact store examined",
        )
