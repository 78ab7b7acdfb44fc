"""Copies of the audit trail for an auditor who trusts neither the platform nor the store.

Here lives the folder that ``interlock audit export`` writes, and its verification, which
reads files alone. The trail itself: ``audit_log.py``; the chain: ``governance/audit.py``.

The folder holds

- ``events/<YYYY>/<MM>/<DD>/<stream>/<sequence>.json``: every event byte for byte as stored;
- ``trail.json``: where and when it was exported, and what only the store could show;
- ``SHA256SUMS``: the digest of each of these files, so that ``sha256sum -c SHA256SUMS``
  checks the copy with no other software.

Whoever can change the folder can also recompute ``SHA256SUMS``: it shows an accident, the
chain shows a forgery of everything but the newest events. Keep its own digest elsewhere, or have
it signed: ``SHA256SUMS.sig`` is then beside it, and

    openssl dgst -sha256 -verify PUBLIC.pem -signature SHA256SUMS.sig SHA256SUMS

checks that with no other software. The public key is not in the folder: it has to come from
somebody who is trusted.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from interlock.adapters.signer import PublicKey, Signer
from interlock.errors import AuditError, SignatureInvalid
from interlock.governance.audit import (
    Finding,
    StoredEvent,
    Stream,
    StreamReport,
    TrailReport,
    parse_key,
    stream_prefix,
    verify_stream,
)

SCHEMA: Final = "interlock.audit-export/v1"
SUMS: Final = "SHA256SUMS"
SIGNATURE: Final = "SHA256SUMS.sig"
TRAIL: Final = "trail.json"
EVENTS: Final = "events"
_LINE = re.compile(r"([0-9a-f]{64})  ([^/\n][^\n]*)")


@dataclass(frozen=True)
class TrailOrigin:
    """Where a copy comes from.

    Attributes:
        location: The trail.
        exported: When; aware UTC.
        findings: What only the store could show.
    """

    location: str
    exported: datetime
    findings: tuple[Finding, ...]


def write_export(
    directory: Path,
    origin: TrailOrigin,
    streams: Iterable[tuple[Stream, list[StoredEvent]]],
) -> None:
    """Writes a copy of a trail.

    Args:
        directory: A folder that is empty or does not exist.
        origin: Where the copy comes from.
        streams: Every stream with its events.

    Raises:
        AuditError: The folder is not empty or cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise AuditError(f"{directory} is not empty", remedy="export into a folder of its own")
        sums = [line for stream, events in streams for line in _copy(directory, stream, events)]
        about = _about(origin)
        (directory / TRAIL).write_bytes(about)
        sums.append(_sum(about, TRAIL))
        (directory / SUMS).write_text("".join(sums), encoding="utf-8")
    except OSError as error:
        raise AuditError(
            f"the audit trail cannot be exported to {directory}: {error.strerror}",
            remedy="choose a folder that can be written, with room for the trail",
        ) from error


def sign_export(directory: Path, signer: Signer) -> str:
    """Signs an export: the list of its files, and so each of them.

    Args:
        directory: The folder, complete.
        signer: Whose key.

    Returns:
        SHA-256 of the list, hexadecimal.

    Raises:
        AuditError: The folder is no export, or cannot be written.
        SigningError: The key cannot be used.
    """
    listed = _read_listed(directory)
    signature = signer.sign(listed)
    try:
        (directory / SIGNATURE).write_bytes(signature)
    except OSError as error:
        raise AuditError(
            f"the signature cannot be written to {directory}: {error.strerror}",
            remedy="choose a folder that can be written",
        ) from error
    return hashlib.sha256(listed).hexdigest()


def verify_export(directory: Path, *, signed_by: PublicKey | None = None) -> TrailReport:
    """Whether an exported trail is complete and intact, from its files alone.

    Args:
        directory: The folder.
        signed_by: Whose signature the folder must carry; None where none is asked for.

    Returns:
        The report; it includes what the store had shown when the copy was made.

    Raises:
        AuditError: The folder is no export.
        SignatureInvalid: It is not signed by that key.
    """
    listed = _read_listed(directory)
    if signed_by is not None:
        signed_by.verify(listed, _read_signature(directory))
    sums = _read_sums(directory, listed)
    present = {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    } - {SUMS, SIGNATURE}
    findings = [
        *(Finding(None, name, "the file is not in SHA256SUMS") for name in present - set(sums)),
        *(Finding(None, name, "the file is missing") for name in set(sums) - present),
    ]
    streams: dict[Stream, list[str]] = {}
    for name in sorted(present & set(sums)):
        place = parse_key(EVENTS, name)
        if place is not None:
            streams.setdefault(place[0], []).append(name)
        elif name != TRAIL:
            findings.append(Finding(None, name, "the file is no audit event"))
    findings.extend(_store_findings(directory, sums))
    reports = tuple(_report(directory, stream, names, sums) for stream, names in streams.items())
    ordered = sorted(reports, key=lambda report: (report.stream.opened, report.stream.name))
    return TrailReport(tuple(ordered), tuple(sorted(findings, key=lambda f: f.key)))


def _copy(directory: Path, stream: Stream, events: Iterable[StoredEvent]) -> Iterator[str]:
    for event in events:
        name = stream_prefix(EVENTS, stream) + event.key.rpartition("/")[2]
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(event.data)
        yield _sum(event.data, name)


def _sum(data: bytes, name: str) -> str:
    return f"{hashlib.sha256(data).hexdigest()}  {name}\n"


def _about(origin: TrailOrigin) -> bytes:
    document = {
        "schema": SCHEMA,
        "location": origin.location,
        "exported": origin.exported.isoformat(),
        "findings": [
            {"sequence": finding.sequence, "key": finding.key, "text": finding.text}
            for finding in origin.findings
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _read_listed(directory: Path) -> bytes:
    try:
        return (directory / SUMS).read_bytes()
    except OSError as error:
        raise _no_export(directory, f"{SUMS} cannot be read") from error


def _read_signature(directory: Path) -> bytes:
    try:
        return (directory / SIGNATURE).read_bytes()
    except OSError as error:
        raise SignatureInvalid(
            f"{directory} is not signed: {SIGNATURE} cannot be read ({error.strerror})",
            remedy="ask for an export made with --sign-key",
        ) from error


def _read_sums(directory: Path, listed: bytes) -> dict[str, str]:
    """File to its digest, as listed."""
    try:
        lines = listed.decode().splitlines()
    except UnicodeDecodeError as error:
        raise _no_export(directory, f"{SUMS} cannot be read") from error
    sums: dict[str, str] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or ".." in match[2].split("/") or match[2] in sums:
            raise _no_export(directory, f"{SUMS} has the line {line[:120]!r}")
        sums[match[2]] = match[1]
    if TRAIL not in sums:
        raise _no_export(directory, f"{SUMS} does not list {TRAIL}")
    return sums


def _report(
    directory: Path, stream: Stream, names: Iterable[str], sums: dict[str, str]
) -> StreamReport:
    stored = [StoredEvent(name, (directory / name).read_bytes(), sums[name]) for name in names]
    return verify_stream(stream, stored)


def _store_findings(directory: Path, sums: dict[str, str]) -> Iterator[Finding]:
    """What the store had shown, as noted in the copy."""
    try:
        data = (directory / TRAIL).read_bytes()
    except FileNotFoundError:
        return  # found missing already
    if hashlib.sha256(data).hexdigest() != sums[TRAIL]:
        yield Finding(None, TRAIL, "the bytes do not have the digest in SHA256SUMS")
    try:
        document: Any = json.loads(data)
        if document["schema"] != SCHEMA:
            yield Finding(None, TRAIL, f"schema is {document['schema']!r}, expected {SCHEMA!r}")
        for noted in document["findings"]:
            yield Finding(noted["sequence"], noted["key"], f"in the store: {noted['text']}")
    except (ValueError, KeyError, TypeError) as error:
        yield Finding(None, TRAIL, f"the file cannot be read: {error!r}")


def _no_export(directory: Path, found: str) -> AuditError:
    return AuditError(
        f"{directory} is no export of an audit trail: {found}",
        remedy="name the folder that `interlock audit export` wrote",
    )
