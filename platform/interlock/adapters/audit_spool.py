"""Audit records that could not be written yet, kept on disk until they can.

Here lives the folder: one file per record, written so that a crash leaves a whole file or
none. When a record may be spooled is decided in ``actions``; joining the chain is in
``audit_log.py``.

Layout: ``<directory>/<YYYY-MM-DD of the stream>/<stream>/<time>-<event id>.json``, so that
sorting by name is sorting by time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interlock.errors import AuditTampered, AuditWriteFailed
from interlock.governance.audit import AuditRecord, Stream, decode_record, encode_record

_LOCK: Final = ".lock"


@dataclass(frozen=True)
class Spooled:
    """A record on disk.

    Attributes:
        path: Its file.
        stream: The stream that it is to join.
        record: The record.
    """

    path: Path
    stream: Stream
    record: AuditRecord


class AuditSpool:
    """The folder of records that wait. Safe to use from many threads and processes.

    Args:
        directory: The folder; made when the first record is put there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, stream: Stream, record: AuditRecord) -> Path:
        """Writes a record to disk and waits until it is there.

        Args:
            stream: The stream that it is to join.
            record: The record.

        Returns:
            The file.

        Raises:
            AuditWriteFailed: The record cannot be recorded at all, or the disk refuses.
        """
        data = encode_record(stream, record)
        path = self._folder(stream) / f"{record.time:%Y%m%dT%H%M%S.%fZ}-{record.id}.json"
        partial = path.with_suffix(".part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
            _sync_folder(path.parent)
        except OSError as error:
            raise AuditWriteFailed(
                f"audit event {record.id} could not be spooled to {path}: {error.strerror}",
                remedy="make room on that disk; nothing may happen that is not recorded",
            ) from error
        return path

    def holds(self, stream: Stream | None = None) -> bool:
        """Whether records wait.

        Args:
            stream: Only those of this stream.
        """
        return any(self._files(stream))

    def pending(self, stream: Stream | None = None) -> tuple[list[Spooled], list[AuditTampered]]:
        """The records that wait, by time, and the errors of those that cannot be read.

        Args:
            stream: Only those of this stream.
        """
        found: list[Spooled] = []
        broken: list[AuditTampered] = []
        for path in sorted(self._files(stream)):
            try:
                found.append(Spooled(path, *decode_record(path.read_bytes(), key=str(path))))
            except FileNotFoundError:
                continue  # another process has written it to the store meanwhile
            except AuditTampered as error:
                broken.append(error)
            except OSError as error:
                broken.append(_unreadable(path, error))
        found.sort(key=lambda item: (item.record.time, item.path.name))
        return found, broken

    def remove(self, item: Spooled) -> None:
        """Removes a record that is in the store by now.

        Args:
            item: The record.

        Raises:
            AuditWriteFailed: The disk refuses.
        """
        try:
            item.path.unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Held by the one process that moves records to the store.

        Raises:
            AuditWriteFailed: The folder cannot be used.
        """
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            file = (self._directory / _LOCK).open("ab")
        except OSError as error:
            raise self._unusable(error) from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _unusable(self, error: OSError) -> AuditWriteFailed:
        return AuditWriteFailed(
            f"the folder {self._directory} of waiting audit records cannot be used: "
            f"{error.strerror}",
            remedy="make it writable for the account that runs Interlock",
        )

    def _files(self, stream: Stream | None) -> Iterator[Path]:
        if stream is None:
            return self._directory.glob("*/*/*.json")
        return self._folder(stream).glob("*.json")

    def _folder(self, stream: Stream) -> Path:
        return self._directory / stream.opened.isoformat() / stream.name


def _unreadable(path: Path, error: OSError) -> AuditTampered:
    return AuditTampered(
        f"{path}: the waiting record cannot be read: {error.strerror}",
        remedy="make the file readable for the account that runs Interlock",
    )


def _sync_folder(folder: Path) -> None:
    """Makes the name of a new file as durable as its bytes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
