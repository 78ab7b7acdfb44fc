"""Copies of the audit trail, verified without the store."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from trails import BUCKET, OTHER, PREFIX, MemoryTrail, Trail

from interlock.adapters.audit_log import verify_export
from interlock.errors import (
    AuditError,
)
from interlock.governance.audit import TrailReport


def findings(report: TrailReport) -> list[tuple[str, str]]:
    return [(finding.key, finding.text) for finding in report.all_findings]


def test_export_holds_every_event_byte_for_byte(trail: Trail, tmp_path: Path) -> None:
    events = trail.append(3) + trail.append(2, OTHER)
    copy = tmp_path / "copy"
    report = trail.log.export(copy)
    assert (report.intact, report.events) == (True, 5)
    for event in events:
        path = copy / "events" / event.key.removeprefix(PREFIX)
        assert path.read_bytes() == event.data
    about = json.loads((copy / "trail.json").read_text())
    assert about["location"] == f"s3://{trail.bucket}/{PREFIX}"
    assert about["exported"] == "2040-01-02T09:00:00+00:00"
    assert verify_export(copy) == report


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is of GNU coreutils")
def test_export_can_be_checked_with_no_software_of_ours(
    memory_trail: MemoryTrail, tmp_path: Path
) -> None:
    memory_trail.append(3)
    memory_trail.log.export(tmp_path / "copy")
    check = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(check, cwd=tmp_path / "copy", capture_output=True, check=True)
    assert done.stdout.count(b": OK") == 4


@pytest.fixture
def copy(memory_trail: MemoryTrail, tmp_path: Path) -> Path:
    memory_trail.append(3)
    memory_trail.append(2, OTHER)
    memory_trail.log.export(tmp_path / "copy")
    return tmp_path / "copy"


EVENT = "events/2040/01/02/credit_risk-0d1f/000002.json"


def forge_sum(copy: Path, name: str) -> None:
    """Writes the digest that a file has now into SHA256SUMS."""
    lines = (copy / "SHA256SUMS").read_text().splitlines()
    digest = hashlib.sha256((copy / name).read_bytes()).hexdigest()
    changed = [f"{digest}  {name}" if line.endswith(f"  {name}") else line for line in lines]
    (copy / "SHA256SUMS").write_text("\n".join(changed) + "\n")


def test_changed_file_in_an_export_is_found(copy: Path) -> None:
    path = copy / EVENT
    path.write_bytes(path.read_bytes().replace(b"ada", b"eve"))
    assert "was noted with them" in findings(verify_export(copy))[0][1]
    forge_sum(copy, EVENT)
    found = findings(verify_export(copy))
    assert len(found) == 1
    assert "follows one whose bytes" in found[0][1]


def test_missing_and_additional_files_in_an_export_are_found(copy: Path) -> None:
    (copy / EVENT).rename(copy / "events/2040/01/02/credit_risk-0d1f/000009.json")
    (copy / "trail.json").unlink()
    (copy / "notes.txt").write_text("hello")
    found = findings(verify_export(copy))
    assert ("notes.txt", "the file is not in SHA256SUMS") in found
    assert (EVENT, "the file is missing") in found
    assert ("trail.json", "the file is missing") in found
    assert any("1 missing before event 3" in text for _, text in found)


def test_listed_file_that_is_no_event_is_found(copy: Path) -> None:
    (copy / "events" / "notes.txt").write_text("hello")
    with (copy / "SHA256SUMS").open("a") as file:
        file.write(f"{'0' * 64}  events/notes.txt\n")
    assert findings(verify_export(copy)) == [("events/notes.txt", "the file is no audit event")]


def test_export_carries_what_only_the_store_could_show(
    memory_trail: MemoryTrail, tmp_path: Path
) -> None:
    event = memory_trail.append(2)[1]
    memory_trail.store.overwrite(BUCKET, event.key, b"forged")
    memory_trail.store.put_new(BUCKET, f"{PREFIX}notes.txt", b"hello")
    report = memory_trail.log.export(tmp_path / "copy")
    assert sorted(findings(report)) == [
        (event.key, "in the store: 1 version(s) stored over the event, expected none"),
        (f"{PREFIX}notes.txt", "in the store: the object is no audit event"),
    ]
    path = tmp_path / "copy" / "trail.json"
    path.write_text(path.read_text().replace("forged", "gone").replace("1 version(s)", "no"))
    assert ("trail.json", "the bytes do not have the digest in SHA256SUMS") in findings(
        verify_export(tmp_path / "copy")
    )


@pytest.mark.parametrize("data", [b"no JSON", b'{"schema": 1}', b"[]", b'{"findings": []}'])
def test_description_that_cannot_be_read_is_found(copy: Path, data: bytes) -> None:
    (copy / "trail.json").write_bytes(data)
    forge_sum(copy, "trail.json")
    assert {key for key, _ in findings(verify_export(copy))} == {"trail.json"}


@pytest.mark.parametrize(
    "line",
    [
        "no digest",
        f"{'0' * 64}  ../outside",
        f"{'0' * 64}  /etc/passwd",
        f"{'0' * 64}  trail.json",
    ],
)
def test_list_of_digests_that_names_anything_odd_is_refused(copy: Path, line: str) -> None:
    with (copy / "SHA256SUMS").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(AuditError, match="SHA256SUMS has the line"):
        verify_export(copy)


def test_folder_that_is_no_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="SHA256SUMS cannot be read"):
        verify_export(tmp_path)
    (tmp_path / "SHA256SUMS").write_text("")
    with pytest.raises(AuditError, match=r"does not list trail\.json"):
        verify_export(tmp_path)


def test_export_goes_into_a_folder_of_its_own(memory_trail: MemoryTrail, tmp_path: Path) -> None:
    memory_trail.append(1)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(AuditError, match="is not empty"):
        memory_trail.log.export(tmp_path)
    with pytest.raises(AuditError, match="cannot be exported"):
        memory_trail.log.export(tmp_path / "notes.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_nothing_to_export_is_an_error(memory_trail: MemoryTrail, tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="no audit events"):
        memory_trail.log.export(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
