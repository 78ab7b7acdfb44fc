"""How the composed stack ends: decommissioned, backed up, restored.

Run by ``make stack-test``, and by no ordinary run of the tests: it needs Docker. The tests of
``check_use.py``, ``check_faults.py`` and ``check_end.py`` build on each other, in this order.
"""

from __future__ import annotations

import json
import re
import subprocess
import textwrap
import time

import pytest
from stack.composed import PROJECT, ComposedStack, left_of, succeeded, wait_until
from stack.host import Report

from interlock.settings import REPOSITORY

pytestmark = pytest.mark.timeout(900)


def documented(section: str) -> list[str]:
    """The commands in a section of docs/operations.md, a text for each block."""
    text = (REPOSITORY / "docs/operations.md").read_text()
    body = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n)+", body, re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


def test_decommission_asks_and_a_no_changes_nothing(stack: ComposedStack) -> None:
    before = set(left_of(PROJECT))
    refused = stack.script("decommission.sh", "--export", "declined")
    assert refused.returncode == 1
    assert "nobody to ask" in refused.stderr
    assert "is exported to declined" in refused.stdout
    assert before <= set(left_of(PROJECT))
    wait_until(stack.is_healthy, "everything was started again", seconds=180)


def test_decommission_keeps_the_store_and_the_next_stack_finds_the_trail(
    stack: ComposedStack, report: Report
) -> None:
    trail, events = stack.trail(), stack.audit_events()
    begun = time.monotonic()
    succeeded(stack.script("decommission.sh", "--yes", "--export", "kept"))
    report.note("seconds of a decommission", round(time.monotonic() - begun))
    kept = ("approval-key", "identity-key", "minio", "public-keys")
    assert set(left_of(PROJECT)) == {f"volume {PROJECT}_{name}" for name in kept}
    assert len(list((stack.folder / "kept").rglob("*.json"))) >= trail["events"]
    begun = time.monotonic()
    stack.build_all()
    report.note("seconds to healthy with cached layers", round(time.monotonic() - begun))
    assert events.items() <= stack.audit_events().items()
    assert stack.trail()["verified"]
    stack.succeed()


def test_backup_and_restore_work_as_documented(stack: ComposedStack, report: Report) -> None:
    backup, restore = documented("Back up and restore")
    events = stack.audit_events()
    begun = time.monotonic()
    stack.shell(backup)
    report.note("seconds of a backup", round(time.monotonic() - begun))
    succeeded(stack.script("decommission.sh", "--yes", "--destroy-audit", "--export", "before"))
    (folder,) = stack.folder.glob("backup-*")
    begun = time.monotonic()
    stack.shell(f"backup={folder}\n{restore}")
    report.note("seconds of a restore", round(time.monotonic() - begun))
    assert stack.trail()["verified"]
    after = stack.audit_events()
    assert {key: after.get(key) for key in events} == events
    # The exporter's token is in no backup: its account was given a new one, on record.
    assert all("/accounts-" in key for key in after.keys() - events.keys())
    version = stack.mlflow("registered-models/get?name=CreditRiskModel")["registered_model"]
    assert version["latest_versions"]
    assert any(run.status == "SUCCESS" for run in stack.runs())
    stack.succeed()


def test_decommission_with_the_audit_trail_leaves_the_export_alone(stack: ComposedStack) -> None:
    events = stack.trail()["events"]
    succeeded(stack.script("decommission.sh", "--yes", "--destroy-audit", "--export", "last"))
    assert list(left_of(PROJECT)) == []
    settings = (stack.folder / ".env").read_text().splitlines()
    assert [line for line in settings if re.match(r"\w+_(PASSWORD|KEY)=", line)] == []
    exported = stack.folder / "last"
    verify = [str(REPOSITORY / ".venv/bin/interlock"), "audit", "verify", "--json"]
    done = subprocess.run(
        [*verify, "--export", str(exported)], capture_output=True, text=True, check=False
    )
    found = json.loads(succeeded(done, errors=False))
    assert found["intact"]
    assert found["events"] >= events
    again = stack.script("decommission.sh", "--yes", "--destroy-audit")
    assert again.returncode == 0, "twice is as good as once"
