"""What a person does with the composed stack.

Run by ``make stack-test``, and by no ordinary run of the tests: it needs Docker. The tests of
``check_use.py``, ``check_faults.py`` and ``check_end.py`` build on each other, in this order.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from stack import composed
from stack.browser import (
    approve_in_console,
    materialize_by_clicking,
    may_materialize,
    open_browser,
    see_trail_in_console,
    see_version_in_mlflow,
    sign_in,
)
from stack.composed import (
    ANSWER_SECONDS,
    ENGINEER,
    PASSWORD,
    PEOPLE,
    PROJECT,
    ComposedStack,
    fetch,
    succeeded,
    wait_until,
)
from stack.host import Report, docker

from monitoring import check_dashboards
from monitoring.check_dashboards import Finding, Verdict

pytestmark = pytest.mark.timeout(900)

IMAGES = ("platform", "dagster", "mlflow")


def test_build_all_starts_everything_healthy_and_says_where(
    stack: ComposedStack, report: Report
) -> None:
    begun = time.monotonic()
    said = stack.build_all()
    report.note("seconds from nothing to healthy", round(time.monotonic() - begun))
    assert f"Dagster        {stack.url('DAGSTER_PORT').replace('127.0.0.1', 'localhost')}" in said
    assert "interlock user add NAME --role platform_admin" in said
    assert all(f"leaving out {name}" in said for name in stack.without)
    assert stack.is_healthy(), stack.states()
    assert len(stack.states()) == 18 - len(stack.without)
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


def test_people_are_added_and_nobody_else_gets_in(stack: ComposedStack) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        fetch(f"{stack.url('DAGSTER_PORT')}/graphql", b"{}")
    # The first one is an administrator, or nobody.
    first = ("exec", "-T", "dagster-webserver", "interlock", "user", "add", "eve", "--role")
    with pytest.raises(AssertionError, match="Denied: unverified"):
        stack.compose(*first, "approver", "--service")
    stack.add_people()
    listed = json.loads(stack.interlock("user", "list", "--json", role="platform_admin").stdout)
    accounts = {each["name"]: each["role"] for each in listed["accounts"]}
    assert accounts == {"exporter": "viewer", **{name: role for name, (role, _) in PEOPLE.items()}}
    with pytest.raises(urllib.error.HTTPError, match="403"):
        composed.sign_in(stack.url("DAGSTER_PORT"), ENGINEER, password=f"{PASSWORD} or not")
    for port in ("DAGSTER_PORT", "CONSOLE_PORT"):
        assert stack.session(ENGINEER, port).startswith("interlock_session=")


def test_no_process_in_which_runs_work_can_sign(stack: ComposedStack) -> None:
    found = stack.compose("exec", "-T", "code-server", "sh", "-c", "env; find /keys -type f")
    assert "IDENTITY_KEY=" not in found
    assert "APPROVAL_KEY=" not in found
    assert {line for line in found.splitlines() if line.startswith("/keys/")} == {
        "/keys/public/identity.pem",
        "/keys/public/approval.pem",
    }
    assert "PRIVATE" not in stack.compose(
        "exec", "-T", "code-server", "sh", "-c", "cat /keys/public/*; cat /proc/*/environ || true"
    )
    for service, keys in {
        "dagster-daemon": {"identity"},
        "dagster-webserver": {"identity", "approval"},
        "console": {"identity", "approval"},
    }.items():
        listed = stack.compose("exec", "-T", service, "find", "/keys", "-name", "key.pem")
        assert set(listed.split()) == {f"/keys/{key}/key.pem" for key in keys}


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
        "dagster-daemon": {"dagster-daemon", "dagster-webserver", "console"},
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
    assert {event["principal"]["name"] for event in events} == {ENGINEER}
    assert {event["principal"]["verified_by"] for event in events} == {"local"}
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
    assert (tags["environment"], tags["audit_owner"]) == ("dev", ENGINEER)
    assert stack.interlock("deploy-check", "CreditRiskModel", role="ml_engineer").returncode == 0


@pytest.mark.parametrize("name", sorted(set(PEOPLE) - {ENGINEER}))
def test_who_does_not_own_the_job_or_may_not_run_it_launches_nothing(
    stack: ComposedStack, name: str
) -> None:
    before = {run.id for run in stack.runs()}
    role, team = PEOPLE[name]
    if (role, team) == ("data_scientist", "credit-risk"):
        pytest.skip("may ingest, and owns the job")
    assert stack.try_to_launch(who=name)["__typename"] == "UnauthorizedError"
    assert {run.id for run in stack.runs()} == before
    events = [e for e in stack.audit_events().values() if e["action"] == "dagit:launchRun"]
    assert [e["outcome"] for e in events if e["principal"]["name"] == name][-1] == "denied"


def test_run_that_nobody_signed_is_denied(stack: ComposedStack) -> None:
    """Launched past the web server, by whoever can start a process where runs work."""
    before = {run.id for run in stack.runs()}
    stack.compose(
        *("exec", "-T", "code-server", "sh", "-c"),
        "dagster job execute -m interlock.definitions -j credit_risk_pipeline || true",
    )
    (run,) = (each for each in stack.runs() if each.id not in before)
    assert run.status == "FAILURE"
    assert stack.outcomes(run.id, "data:ingest") == ["denied"]


def test_two_approvers_make_four_eyes_in_the_console(stack: ComposedStack, tmp_path: Path) -> None:
    console, version = stack.url("CONSOLE_PORT"), "1"
    with open_browser(tmp_path) as browser:
        for name in ("grace@example.com", "alan@example.com"):
            sign_in(browser, console, name=name, password=PASSWORD)
            approve_in_console(browser, console, version=version, reason="the gates hold")
        events = [e for e in stack.audit_events().values() if e["action"] == "model:approve"]
        done = [e["principal"]["name"] for e in events if e["outcome"] == "succeeded"]
        assert sorted(done) == ["alan@example.com", "grace@example.com"]
        # Who trained it does not count as one of them.
        sign_in(browser, console, name=ENGINEER, password=PASSWORD)
        browser.open(f"{console}/models/CreditRiskModel/versions/{version}")
        button = browser.see(
            "//form[@id='decide']//button[starts-with(normalize-space(), 'Approve')]"
        )
        assert not button.is_enabled()


def test_person_materializes_by_clicking_and_sees_the_checks_green(
    stack: ComposedStack, report: Report, tmp_path: Path
) -> None:
    """In a browser: Dagit, then MLflow, then the trail in the object store's console."""
    dagit = stack.url("DAGSTER_PORT")
    with open_browser(tmp_path) as browser:
        sign_in(browser, dagit, name="vera@example.com", password=PASSWORD)
        assert not may_materialize(browser, dagit)
        sign_in(browser, dagit, name=ENGINEER, password=PASSWORD, picture="sign-in")
        run_id = materialize_by_clicking(browser, dagit)
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


def test_only_the_keys_of_web_servers_reach_accounts_and_what_proves_them(
    stack: ComposedStack,
) -> None:
    account = {"Bucket": "interlock-artifacts", "Key": f"_interlock/people/{ENGINEER}.json"}
    secret = {"Bucket": "interlock-artifacts", "Key": f"credentials/{ENGINEER}.json"}
    runs, web = stack.s3("runs"), stack.s3("web")
    assert runs.get_object(**account)["Body"].read(), "steps look up who they act for"
    mark = {"Bucket": "interlock-artifacts", "Key": "_interlock/environment.json"}
    event = {"Bucket": "interlock-audit", "Key": next(iter(stack.audit_events()))}
    refused: list[Callable[[], object]] = [
        lambda: runs.put_object(**account, Body=b"{}"),
        lambda: runs.delete_object(**account),
        lambda: runs.get_object(**secret),
        lambda: runs.put_object(**secret, Body=b"{}"),
        lambda: web.put_object(**mark, Body=b"prod"),
        lambda: web.delete_object(**account),
        lambda: web.delete_object(**event),
        lambda: web.put_object(Bucket="interlock-data", Key="credit_risk/x", Body=b""),
    ]
    for attempt in refused:
        with pytest.raises(ClientError, match="AccessDenied"):
            attempt()
    for user in ("monitoring", "mlflow"):
        with pytest.raises(ClientError, match="AccessDenied"):
            stack.s3(user).get_object(**secret)


def test_prometheus_sees_every_target_and_no_alert_that_nobody_caused(stack: ComposedStack) -> None:
    def all_up() -> bool:
        targets = stack.prometheus("targets")["activeTargets"]
        return len(targets) == 7 and all(each["health"] == "up" for each in targets)

    wait_until(all_up, "every target is up", seconds=90)
    # Earlier tests were denied on purpose, and more than five denials of a role are an alert.
    expected = {"Watchdog", "DeniedAttemptsBurst"}
    with contextlib.suppress(AssertionError):  # the names of those that fire say more
        wait_until(lambda: not stack.firing() - expected, "no alert fires", seconds=120)
    assert stack.firing() - expected == set()
    assert "Watchdog" in stack.firing()


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


def test_exporter_whose_account_is_disabled_says_so_and_the_web_server_is_not_down(
    stack: ComposedStack,
) -> None:
    """After all that must not alarm: each refusal is on record, and many are an alert."""

    def now(name: str) -> str:
        found = stack.prometheus(f"query?query={name}")["result"]
        return found[0]["value"][1] if found else ""

    admits = "dagster_webserver_admits_exporter"
    wait_until(lambda: now(admits) == "1", "the exporter is let in", seconds=60)
    succeeded(stack.interlock("user", "disable", "exporter", role="platform_admin"))
    wait_until(lambda: now(admits) == "0", "the exporter says that it is not", seconds=60)
    assert now("dagster_webserver_up") == "1"
    succeeded(stack.interlock("user", "enable", "exporter", role="platform_admin"))
    wait_until(lambda: now(admits) == "1", "the exporter is let in again", seconds=60)
