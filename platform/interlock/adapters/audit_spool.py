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

    def holds(self, stream: Stream) -> bool:
        """Whether records of a stream wait.

        Args:
            stream: The stream.
        """
        return any(self._folder(stream).glob("*.json"))

    def pending(self, stream: Stream | None = None) -> tuple[list[Spooled], list[AuditTampered]]:
        """The records that wait, by time, and the errors of those that cannot be read.

        Args:
            stream: Only those of this stream.
        """
        pattern = "*.json" if stream is not None else "*/*/*.json"
        folder = self._folder(stream) if stream is not None else self._directory
        found: list[Spooled] = []
        broken: list[AuditTampered] = []
        for path in sorted(folder.glob(pattern)):
            try:
                found.append(Spooled(path, *decode_record(path.read_bytes(), key=str(path))))
            except AuditTampered as error:
                broken.append(error)
            except FileNotFoundError:
                continue  # another process has written it to the store meanwhile
        found.sort(key=lambda item: (item.record.time, item.path.name))
        return found, broken

    @staticmethod
    def remove(item: Spooled) -> None:
        """Removes a record that is in the store by now.

        Args:
            item: The record.
        """
        item.path.unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Held by the one process that moves records to the store."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / _LOCK).open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _folder(self, stream: Stream) -> Path:
        return self._directory / stream.opened.isoformat() / stream.name


def _sync_folder(folder: Path) -> None:
    """Makes the name of a new file as durable as its bytes."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
