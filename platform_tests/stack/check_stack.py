"""What a person does with the composed stack, and what it survives. Run by ``make stack-test``.

Not collected by an ordinary run of the tests: it needs Docker and some fifteen minutes. The tests
build on each other and run in the order of the file; what a fault must show stands in its test.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
import shutil
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stack.browser import (
    materialize_by_clicking,
    open_browser,
    see_trail_in_console,
    see_version_in_mlflow,
)
from stack.composed import (
    ANSWER_SECONDS,
    PROJECT,
    ComposedStack,
    Run,
    left_of,
    succeeded,
    wait_until,
)

from interlock.settings import REPOSITORY
from monitoring import check_dashboards
from monitoring.check_dashboards import Finding, Verdict

pytestmark = pytest.mark.timeout(900)

REPORT = REPOSITORY / "stack-report.json"
IMAGES = ("platform", "dagster", "mlflow")
# Grafana's image can be had from its registry alone; where there is none, the rest is tested.
GRAFANA = "grafana/grafana"
ALERT_SECONDS = 300.0  # scrape, evaluation, `for: 2m`, and MinIO's own cache of its metrics
DISK_BYTES = 2 * 1024**3  # of the object store's own disk, sparse
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


class Report(dict[str, object]):
    """What was measured; written after each test, so that a failure leaves what there is."""

    def note(self, name: str, value: object) -> None:
        self[name] = value
        REPORT.write_text(json.dumps(self, indent=2) + "\n")


@pytest.fixture(scope="module")
def report() -> Report:
    return Report()


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    return succeeded(done, errors=False)


def pullable(image: str) -> bool:
    if docker("images", "--quiet", image):
        return True
    pull = ["docker", "pull", "--quiet", image]
    return subprocess.run(pull, capture_output=True, check=False).returncode == 0


def small_disk(folder: Path) -> str | None:
    """Puts the object store's volume on a disk that can be filled.

    Returns:
        The loop device; None where there are none.
    """
    if not Path("/dev/loop-control").exists() or shutil.which("mkfs.ext4") is None:
        return None
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    attach = ["losetup", "--find", "--show", str(image)]
    done = subprocess.run(attach, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return None
    device = done.stdout.strip()
    labels = (f"com.docker.compose.project={PROJECT}", "com.docker.compose.volume=minio")
    docker(
        *("volume", "create", "--opt", "type=ext4", "--opt", f"device={device}"),
        *(word for label in labels for word in ("--label", label)),
        f"{PROJECT}_minio",
    )
    return device


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, report: Report) -> Iterator[ComposedStack]:
    assert list(left_of(PROJECT)) == [], f"remove what is left of {PROJECT} first"
    compose = (REPOSITORY / "docker-compose.yml").read_text()
    grafana = next(word for word in compose.split() if word.startswith(GRAFANA))
    folder = tmp_path_factory.mktemp("stack")
    found = ComposedStack(folder / "repository", without=[] if pullable(grafana) else ["grafana"])
    report.note("left out", list(found.without))
    device = small_disk(folder)
    report.note("object store on a small disk", device is not None)
    yield found
    # Whatever a failed test left behind.
    found.script("decommission.sh", "--yes", "--destroy-audit", "--accept-broken-trail")
    for each in left_of(PROJECT):
        kind, _, name = each.partition(" ")
        remove = {"ps": ["rm", "--force"], "image": ["image", "rm", "--force"]}
        docker(*remove.get(kind, [kind, "rm"]), name)
    if device is not None:
        subprocess.run(["losetup", "--detach", device], check=True)


def spooled(stack: ComposedStack) -> list[str]:
    listed = stack.compose(
        "exec", "-T", "code-server", "find", "/var/lib/interlock/spool", "-name", "*.json"
    )
    return listed.split()


def documented(section: str) -> list[str]:
    """The commands in a section of docs/operations.md, a text for each block."""
    text = (REPOSITORY / "docs/operations.md").read_text()
    body = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n)+", body, re.MULTILINE)
    return [textwrap.dedent(block) for block in blocks]


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


# --- what a person does


def test_build_all_starts_everything_healthy_and_says_where(
    stack: ComposedStack, report: Report
) -> None:
    begun = time.monotonic()
    said = stack.build_all()
    report.note("seconds from nothing to healthy", round(time.monotonic() - begun))
    assert f"Dagster        {stack.url('DAGSTER_PORT').replace('127.0.0.1', 'localhost')}" in said
    assert all(f"leaving out {name}" in said for name in stack.without)
    assert stack.is_healthy(), stack.states()
    assert len(stack.states()) == 15 - len(stack.without)
    sizes = {
        name: int(docker("image", "inspect", "-f", "{{.Size}}", f"interlock/{name}:stack-test"))
        for name in IMAGES
    }
    report.note("image megabytes", {name: round(size / 1e6) for name, size in sizes.items()})
    label = '{{index .Config.Labels "local.standin.minio"}}'
    store = docker("inspect", "-f", label, f"{PROJECT}-minio-1").strip()
    report.note("object store", store or "the image's own")


def test_secrets_are_strong_private_and_in_no_image(stack: ComposedStack) -> None:
    environment = stack.folder / ".env"
    assert environment.stat().st_mode & 0o077 == 0
    secret = stack.setting("MINIO_ROOT_PASSWORD")
    assert len(secret) == 64
    for image in IMAGES:
        name = f"interlock/{image}:stack-test"
        assert secret not in docker("image", "inspect", name)
        assert secret not in docker("image", "history", "--no-trunc", name)
        assert (
            docker("run", "--rm", "--entrypoint", "sh", name, "-c", "ls -a / /app").count(".env\n")
            == 0
        )


def test_second_build_all_leaves_everything_as_it_is(stack: ComposedStack, report: Report) -> None:
    services = [name for name, state in stack.states().items() if state == "healthy"]
    before = stack.compose("ps", "--quiet", *services)
    secrets = (stack.folder / ".env").read_text()
    begun = time.monotonic()
    stack.build_all()
    report.note("seconds of a build-all that changes nothing", round(time.monotonic() - begun))
    assert stack.compose("ps", "--quiet", *services) == before
    assert (stack.folder / ".env").read_text() == secrets


def test_build_all_refuses_an_environment_file_that_lost_its_secrets(stack: ComposedStack) -> None:
    path = stack.folder / ".env"
    kept = path.read_text()
    lost = [line for line in kept.splitlines() if not re.match(r"\w+_(PASSWORD|KEY)=", line)]
    path.write_text("\n".join(lost) + "\n")
    try:
        refused = stack.script("build-all.sh")
        assert refused.returncode == 1
        assert "restore the .env of that stack" in refused.stderr
        assert path.read_text() == "\n".join(lost) + "\n", "no other secrets were made"
    finally:
        path.write_text(kept)
    assert stack.is_healthy()


def test_rebuild_replaces_a_service_and_those_of_its_image_alone(stack: ComposedStack) -> None:
    def containers() -> dict[str, str]:
        lines = stack.compose("ps", "--format", "{{.Service}} {{.ID}}").splitlines()
        return dict(line.split() for line in lines)

    for service, replaced in {
        "alertmanager": {"alertmanager"},
        "dagster-daemon": {"dagster-daemon", "dagster-webserver"},
    }.items():
        before = containers()
        succeeded(stack.script("rebuild.sh", service))
        after = containers()
        assert {name for name in after if after[name] != before[name]} == replaced
    assert stack.is_healthy()


def test_memory_at_rest(stack: ComposedStack, report: Report) -> None:
    ids = stack.compose("ps", "--quiet").split()
    lines = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *ids).splitlines()
    memory = dict(line.split(" ", 1) for line in lines)
    report.note(
        "memory at rest",
        {name.removeprefix(f"{PROJECT}-"): used for name, used in sorted(memory.items())},
    )


def test_job_launched_as_the_ui_does_succeeds_and_is_audited_and_registered(
    stack: ComposedStack, report: Report
) -> None:
    begun = time.monotonic()
    run = stack.succeed()
    report.note("seconds of a run", round(time.monotonic() - begun))
    events = list(stack.audit_events(run.id).values())
    outcomes = {(event["action"], event["outcome"]) for event in events}
    for action in ("data:ingest", "data:validate", "model:train", "model:register"):
        assert {(action, "started"), (action, "succeeded")} <= outcomes
    assert {event["principal"]["name"] for event in events} == {"interlock"}
    assert stack.trail()["verified"]
    version = stack.mlflow("registered-models/get?name=CreditRiskModel")["registered_model"]
    assert {each["alias"] for each in version["aliases"]} == {"champion", "challenger"}
    found = stack.mlflow("model-versions/get?name=CreditRiskModel&version=1")["model_version"]
    tags = {each["key"]: each["value"] for each in found["tags"]}
    assert set(tags) >= {
        *("owner", "environment", "approval_state", "data_hash", "audit_owner", "audit_env"),
        *("audit_timestamp", "deployment_blocked", "model_digest", "model_fingerprint"),
        "policy_hash",
    }
    assert (tags["environment"], tags["audit_owner"]) == ("dev", "interlock")
    assert stack.interlock("deploy-check", "CreditRiskModel", role="ml_engineer").returncode == 0


def test_person_materializes_by_clicking_and_sees_the_checks_green(
    stack: ComposedStack, report: Report, tmp_path: Path
) -> None:
    """In a browser: Dagit, then MLflow, then the trail in the object store's console."""
    with open_browser(tmp_path) as browser:
        run_id = materialize_by_clicking(browser, stack.url("DAGSTER_PORT"))
        assert stack.run(run_id).status == "SUCCESS"
        see_version_in_mlflow(browser, stack.url("MLFLOW_PORT"), run_id)
        if report["object store"] != "shim":  # which has no console
            see_trail_in_console(
                browser,
                stack.url("MINIO_CONSOLE_PORT"),
                user="interlock-admin",
                secret=stack.setting("MINIO_ROOT_PASSWORD"),
                bucket="interlock-audit",
                keys=sorted(stack.audit_events(run_id)),
            )


def test_runs_key_adds_to_the_trail_and_takes_nothing_away(stack: ComposedStack) -> None:
    from botocore.exceptions import ClientError

    client = stack.s3("runs")
    key = next(iter(stack.audit_events()))
    version = client.list_object_versions(Bucket="interlock-audit", Prefix=key)["Versions"][0]
    refused: list[Callable[[], object]] = [
        lambda: client.delete_object(Bucket="interlock-audit", Key=key),
        lambda: client.delete_object(
            Bucket="interlock-audit", Key=key, VersionId=version["VersionId"]
        ),
        lambda: client.put_object(
            Bucket="interlock-audit", Key="_interlock/environment.json", Body=b"prod"
        ),
        lambda: client.put_object(
            Bucket="interlock-data", Key="_interlock/environment.json", Body=b"prod"
        ),
        lambda: client.put_object(Bucket="interlock-artifacts", Key="mlflow/x", Body=b""),
    ]
    for attempt in refused:
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()
    with pytest.raises(ClientError, match=r"WORM|AccessDenied"):
        # Not with the administrator's key either.
        stack.s3("root").delete_object(
            Bucket="interlock-audit", Key=key, VersionId=version["VersionId"]
        )


def test_prometheus_sees_every_target_and_no_alert_but_the_watchdog(stack: ComposedStack) -> None:
    def all_up() -> bool:
        targets = stack.prometheus("targets")["activeTargets"]
        return len(targets) == 7 and all(each["health"] == "up" for each in targets)

    wait_until(all_up, "every target is up", seconds=90)
    wait_until(lambda: stack.firing() == {"Watchdog"}, "no alert fires", seconds=120)


def test_every_panel_has_data_or_a_reason_for_none(stack: ComposedStack, report: Report) -> None:
    url = stack.url("PROMETHEUS_PORT")

    def findings() -> list[Finding]:
        return check_dashboards.check(url, timeout=ANSWER_SECONDS, after_a_run=True)

    def bad() -> list[Finding]:
        return [each for each in findings() if not each.is_good]

    with contextlib.suppress(AssertionError):  # the list of what is empty says more
        wait_until(lambda: not bad(), "every query gives data", seconds=180, every=10)
    assert bad() == []
    found = findings()
    report.note("queries of panels with data", sum(f.verdict is Verdict.DATA for f in found))
    report.note(
        "queries of panels that are empty, and why",
        {f"{f.dashboard}: {f.panel}": f.note for f in found if f.verdict is not Verdict.DATA},
    )


# --- faults


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
    assert stack.wait_for_end(run_id).status == "FAILURE"
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
    docker("run", "--rm", "--volume", volume, image, "python", "-c", FILL)
    run_id = stack.launch()
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


# --- the end


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
    assert list(left_of(PROJECT)) == [f"volume {PROJECT}_minio"]
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
    assert stack.audit_events() == events
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
