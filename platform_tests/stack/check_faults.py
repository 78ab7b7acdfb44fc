"""What the composed stack survives; what a fault must show stands in its test.

Run by ``make stack-test``, and by no ordinary run of the tests: it needs Docker. The tests of
``check_use.py``, ``check_faults.py`` and ``check_end.py`` build on each other, in this order.
"""

from __future__ import annotations

import csv
import time
import urllib.error

import pytest
from stack.composed import PROJECT, ComposedStack, Run, succeeded, wait_until
from stack.host import Report, docker

from interlock.webserver.visitors import COUNTS

pytestmark = pytest.mark.timeout(900)

ALERT_SECONDS = 300.0  # scrape, evaluation, `for: 2m`, and MinIO's own cache of its metrics
FILL = """
import os
free = os.statvfs('/data'); size = free.f_bavail * free.f_frsize
with open('/data/filler', 'wb') as file:
    while size > 4096:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
            break
        except OSError:
            size -= 65536
"""


def spooled(stack: ComposedStack) -> list[str]:
    listed = stack.compose(
        "exec", "-T", "code-server", "find", "/var/lib/interlock/spool", "-name", "*.json"
    )
    return listed.split()


def final(stack: ComposedStack, run_id: str) -> Run:
    """The end of a run, or of the run that Dagster started in its place."""
    run = stack.wait_for_end(run_id)
    if run.tags.get("dagster/will_retry") == "true":
        wait_until(
            lambda: "dagster/auto_retry_run_id" in stack.run(run_id).tags,
            "Dagster starts the run again",
            seconds=60,
        )
        return final(stack, stack.run(run_id).tags["dagster/auto_retry_run_id"])
    return run


def test_code_server_killed_in_the_middle_of_a_run(stack: ComposedStack, report: Report) -> None:
    """The run is reported as failed, run again, and the cut-off action is on record."""
    run_id = stack.launch_until_training()
    begun = time.monotonic()
    stack.compose("exec", "-T", "code-server", "sh", "-c", "kill -9 -1")
    wait_until(stack.is_healthy, "the code server is back", seconds=120)
    back = time.monotonic() - begun
    killed = stack.wait_for_end(run_id)
    assert killed.status == "FAILURE"
    assert "code server that this run was a process of is gone" in stack.messages(run_id)
    second = final(stack, run_id)
    assert second.id != run_id
    assert second.status == "SUCCESS", stack.messages(second.id)
    trail = stack.trail()
    assert trail["intact"]
    assert not trail["verified"]
    assert [each["action"] for each in trail["unfinished"]] == ["model:train"]
    stream = trail["unfinished"][0]["stream"]
    closed = stack.interlock(
        "audit", "close", stream, "--reason", "its server was killed", role="platform_admin"
    )
    succeeded(closed)
    assert stack.trail()["verified"]
    report.note(
        "fault: code server killed",
        f"healthy again after {back:.0f} s; run failed, run again and succeeded "
        f"{time.monotonic() - begun:.0f} s after the kill; trail intact, open end recorded",
    )


def test_object_store_stopped_in_the_middle_of_a_run(stack: ComposedStack, report: Report) -> None:
    """The run fails, its last record waits on disk, and the next run writes it."""
    run_id = stack.launch_until_training()
    stack.compose("stop", "minio")
    # Without it nobody knows who may still act, so nobody is let in.
    time.sleep(COUNTS.total_seconds())
    with pytest.raises(urllib.error.HTTPError, match="503"):
        stack.run(run_id)
    stack.wait_for_status(run_id, "FAILURE")
    waiting = spooled(stack)
    assert waiting
    stack.start_again("minio")
    stack.succeed()
    assert spooled(stack) == []
    assert stack.trail()["verified"]
    assert stack.outcomes(run_id, "model:train") == ["started", "failed"]
    report.note(
        "fault: object store stopped",
        f"run failed; {len(waiting)} record(s) waited on disk and were written by the next run",
    )


def test_database_restarted_in_the_middle_of_a_run(stack: ComposedStack, report: Report) -> None:
    """No run is lost: it goes on, or Dagster says that it failed."""
    run_id = stack.launch_until_training()
    stack.compose("restart", "postgres")
    wait_until(stack.is_healthy, "every service is healthy again", seconds=120)
    run = final(stack, run_id)
    if run.status != "SUCCESS":
        stack.succeed()
    assert stack.trail()["verified"]
    report.note("fault: database restarted", f"the run ended with {run.status}; trail verified")


def test_web_server_stopped_is_an_alert_that_clears(stack: ComposedStack, report: Report) -> None:
    begun = time.monotonic()
    stack.compose("stop", "dagster-webserver")
    wait_until(
        lambda: "DagsterWebserverDown" in stack.firing(), "the alert fires", seconds=ALERT_SECONDS
    )
    fired = time.monotonic() - begun
    stack.start_again("dagster-webserver")
    begun = time.monotonic()
    wait_until(
        lambda: "DagsterWebserverDown" not in stack.firing(), "it clears", seconds=ALERT_SECONDS
    )
    report.note(
        "fault: web server stopped",
        f"alert fired after {fired:.0f} s, cleared {time.monotonic() - begun:.0f} s after healthy",
    )


def test_full_disk_under_the_audit_bucket(stack: ComposedStack, report: Report) -> None:
    """Nothing happens without its record, an alert says why, and nothing on record is lost."""
    if not report["object store on a small disk"]:
        pytest.skip("the object store is not on a disk of its own: no loop devices here")
    known = stack.audit_events()
    volume, image = f"{PROJECT}_minio:/data", "interlock/platform:stack-test"
    run_id = stack.launch()  # its process takes longer to begin than the disk to be full
    docker("run", "--rm", "--volume", volume, image, "python", "-c", FILL)
    with pytest.raises(urllib.error.HTTPError, match="503"):
        stack.launch()  # what cannot be recorded does not happen
    assert stack.wait_for_end(run_id).status == "FAILURE"
    why = stack.messages(run_id)
    assert "StorageFull" in why
    waiting = spooled(stack)
    assert waiting
    wait_until(
        lambda: {"ObjectStoreNearFull", "AuditWriteFailing"} <= stack.firing(),
        "the alerts fire",
        seconds=ALERT_SECONDS,
    )
    docker("run", "--rm", "--volume", volume, image, "rm", "/data/filler")
    stack.succeed()
    assert spooled(stack) == []
    assert stack.trail()["verified"]
    assert known.items() <= stack.audit_events().items()
    said = next((line for line in why.splitlines() if "Failure: " in line), why)
    report.note(
        "fault: disk full",
        f"run failed ({said.rpartition('Failure: ')[2].strip()[:200]}); {len(waiting)} record(s) "
        "waited and were written afterwards; both alerts fired",
    )


def test_swapped_dataset_is_a_drift_alert(stack: ComposedStack, report: Report) -> None:
    """Other data of the same shape: applicants with large credits alone, each twice."""
    path = stack.folder / "data/sample_data.csv"
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    amount = header.index("credit_amount")
    large = sorted(rows, key=lambda row: int(row[amount]))[len(rows) // 2 :]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *large, *large])
    begun = time.monotonic()
    stack.wait_for_end(stack.launch())
    wait_until(
        lambda: "DataDriftDetected" in stack.firing(), "the alert fires", seconds=ALERT_SECONDS
    )
    report.note(
        "fault: dataset swapped",
        f"drift alert fired {time.monotonic() - begun:.0f} s after the swap, run included",
    )
