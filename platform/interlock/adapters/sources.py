"""Sources: the bytes of a product's data, copied exactly and named by their SHA-256.

Here a source (``ml.source``) becomes a *spooled* file: local files and ``s3://`` objects
here, Postgres queries in ``adapters.postgres``. What is in the bytes is read by
``adapters.tables``. Memory does not grow with the source, and after an error no file is
left behind.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from interlock.adapters.new_file import CHUNK, file_sha256, new_file
from interlock.adapters.object_store import ObjectStore
from interlock.adapters.postgres import copy_query
from interlock.errors import ObjectMissing, SourceChanged, SourceError
from interlock.ml.source import S3_SCHEME, PostgresSource, Source

Progress = Callable[[int], None]


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
    progress: Progress | None = None,
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
        SourceError: Missing, a folder, unreadable, no room on the disk, or the
            database refuses.
        SourceChanged: It changed while it was read.
        StoreError: The object store fails.
    """
    out = directory / f"source-{uuid.uuid4().hex}"
    with new_file(out) as temporary:
        if not isinstance(source, PostgresSource) and source.path.startswith(S3_SCHEME):
            size = _fetch_object(source.path, store, temporary)
            sha256 = file_sha256(temporary)
        else:
            with temporary.open("xb") as file:
                sink = HashingFile(file, progress)
                if isinstance(source, PostgresSource):
                    copy_query(source, dsn=secret(source.dsn_variable), sink=sink)
                else:
                    _copy_file(root / source.path, sink)
            size, sha256 = sink.bytes, sink.sha256
    return Spooled(out, sha256, size)


class HashingFile:
    """Hands on to a file what is written to it, counting and hashing it.

    Args:
        file: Takes the bytes.
        progress: Called with the bytes so far.
    """

    def __init__(self, file: BinaryIO, progress: Progress | None) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self._progress = progress
        self.bytes = 0

    def write(self, chunk: bytes) -> int:
        """Append a chunk; returns its length, as files do."""
        self._file.write(chunk)
        self._digest.update(chunk)
        self.bytes += len(chunk)
        if self._progress is not None:
            self._progress(self.bytes)
        return len(chunk)

    @property
    def sha256(self) -> str:
        """Of all bytes so far, hexadecimal."""
        return self._digest.hexdigest()


def _copy_file(path: Path, sink: HashingFile) -> None:
    """Copy a local file that holds still meanwhile."""
    with _opened(path) as file:
        before = os.fstat(file.fileno())
        while chunk := _read(file, path):
            sink.write(chunk)
    try:
        after = path.stat()
    except FileNotFoundError as error:
        raise _changed(path, "is gone") from error
    if (before.st_dev, before.st_ino) != (after.st_dev, after.st_ino):
        raise _changed(path, "was replaced by another file")
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _changed(path, f"had {before.st_size} bytes before and {after.st_size} after")
    if sink.bytes != before.st_size:
        raise _changed(path, f"has {before.st_size} bytes, but {sink.bytes} were read")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A local regular file, open for reading."""
    try:
        # Opening a named pipe would wait for its writer.
        if path.exists() and not path.is_file():
            raise SourceError(
                f"source {path} is {'a folder' if path.is_dir() else 'no regular file'}",
                remedy="name a file in the product's source.path",
            )
        file = path.open("rb")
    except FileNotFoundError as error:
        raise _missing(str(path)) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    with file:
        yield file


def _read(file: BinaryIO, path: Path) -> bytes:
    try:
        return file.read(CHUNK)
    except OSError as error:
        raise _unreadable(path, error) from error


def _fetch_object(path: str, store: ObjectStore, out: Path) -> int:
    """Download an object that holds still meanwhile; returns its size in bytes."""
    bucket, _, key = path.removeprefix(S3_SCHEME).partition("/")
    try:
        before = store.head(bucket, key)
        store.download(bucket, key, out)
        after = store.head(bucket, key)
    except ObjectMissing as error:
        raise _missing(path) from error
    size = out.stat().st_size
    if before.etag != after.etag or size != before.size:
        raise _changed(path, f"had {before.size} bytes before and {after.size} after")
    return size


def _missing(path: str) -> SourceError:
    return SourceError(
        f"source {path} does not exist",
        remedy="correct source.path of the product, or put it there",
    )


def _unreadable(path: Path, error: OSError) -> SourceError:
    return SourceError(
        f"source {path} cannot be read ({error.strerror or error})",
        remedy="check its permissions and the disk it is on",
    )


def _changed(path: Path | str, what: str) -> SourceChanged:
    return SourceChanged(
        f"source {path} changed while it was read: it {what}",
        remedy="run again when nobody writes to it",
    )
