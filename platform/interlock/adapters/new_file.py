"""Files that appear complete or not at all, and a full disk told as such."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interlock.errors import SourceError

CHUNK = 1 << 20  # bytes; large enough that the loop around it costs nothing
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` that takes its name when the block ends well.

    Its bytes are on the disk before it is renamed. After an error there is neither a new
    file nor a temporary one, and an older file of that name is as it was.

    Args:
        path: The file; replaced when it exists.

    Yields:
        The path to write to.

    Raises:
        SourceError: It cannot be written, e.g. because the disk is full.
    """
    temporary = path.with_name(f".{path.name}.part")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> SourceError:
    """The refusal of a file system, in words."""
    if error.errno in _FULL:
        return SourceError(
            f"no room on the disk for {path}", remedy="free space there, or choose another folder"
        )
    return SourceError(
        f"{path} cannot be written ({error.strerror or error})",
        remedy="check that the folder exists and may be written to",
    )


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal; memory does not grow with the file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
