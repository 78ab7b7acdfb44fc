"""Sources: the bytes of a product's data, copied exactly and named by their SHA-256.

Here a source (``ml.source``) becomes a *spooled* file: local files, ``s3://`` objects and
Postgres queries alike. What is in the bytes is read by ``adapters.tables``. Memory does not
grow with the source, and after an error no file is left behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from interlock.adapters.object_store import ObjectStore
from interlock.ml.source import Source


@dataclass(frozen=True)
class Spooled:
    """A source's bytes on this machine's disk, flushed.

    Attributes:
        path: The file.
        sha256: Of its bytes, hexadecimal.
        bytes: How many there are.
    """

    path: Path
    sha256: str
    bytes: int


def spool(
    source: Source,
    *,
    directory: Path,
    root: Path,
    store: ObjectStore,
    secret: Callable[[str], str],
    progress: Callable[[int], None] | None = None,
) -> Spooled:
    """Copy a source's bytes into a new file while hashing them.

    Args:
        source: Where they come from.
        directory: Existing folder for the new file.
        root: Where relative paths start.
        store: Where ``s3://`` paths are read.
        secret: Looks up the connection string by the name that the source gives; asked only
            for Postgres. Its own errors pass through.
        progress: Called with the bytes copied so far.

    Returns:
        The file; the caller removes it.

    Raises:
        SourceError: Missing, a folder, unreadable, empty, no room on the disk, or the
            database refuses.
        SourceChanged: It changed while it was read.
        StoreError: The object store fails.
    """
    raise NotImplementedError
