"""From the sign-in form to the step of a run, with the processes of ``interlock up`` for real.

Store, code server, web server and daemon are those that ``local`` starts; MLflow is its database.
The environment is staging, where a run that nobody signed must not do anything.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import Called, call
from product_fixtures import table_text, write_defs

from interlock.assembly import open_audit_log, open_store
from interlock.cli.app import DENIED, FAILURE, OK
from interlock.governance.audit import AuditRecord, decode
from interlock.governance.principal import Role
from interlock.local.accounts import provide_scheduler
from interlock.local.home import Home
from interlock.local.platform import EmbeddedPlatform
from interlock.local.ports import free_ports
from interlock.local.services import Ports, Service, build_services, daemons_are_healthy
from interlock.settings import Settings, child_environment, load_settings, process_environment
from interlock.webserver.visitors import COUNTS

PASSWORD = "correct horse battery staple"
SECONDS = 120.0  # for anything, on a busy machine; all of it takes half a minute on an idle one
LOCATION = """
import json, os
from pathlib import Path
from interlock.definitions import build_defs

folder = Path(__file__).parent
(folder / f"environment-{os.getpid()}.json").write_text(json.dumps(sorted(os.environ)))
defs = build_defs(folder=folder / "defs")
"""
SELECTOR = {
    "repositoryLocationName": "interlock",
    "repositoryName": "__repository__",
    "pipelineName": "tiny_pipeline",
    "assetSelection": [{"path": ["tiny", "raw_data"]}],
}
LAUNCH = """mutation L($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on PythonError { message } ... on LaunchRunSuccess { run { runId } } } }"""
STATUS = "query S($r: ID!) { runOrError(runId: $r) { __typename ... on Run { status } } }"


def eventually(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@dataclass
class Platform:
    """What runs, and how a person uses it."""

    home: Home
    folder: Path
    url: str
    services: dict[str, Service]
    settings: Settings
    pages: ExitStack

    def start(self, *names: str) -> None:
        for name in names:
            service = self.services[name]
            service.child.start()
            service.child.wait_until(service.is_ready, seconds=SECONDS)

    def opened(self, **headers: str) -> httpx.Client:
        client = httpx.Client(base_url=self.url, headers=headers, timeout=60)
        return self.pages.enter_context(client)

    def page(self, name: str) -> httpx.Client:
        """The browser of somebody who signs in."""
        page = self.opened(origin=self.url)
        done = page.post("/sign-in", data={"name": name, "password": PASSWORD})
        assert done.status_code == 303, done.text
        return page

    def ask(self, page: httpx.Client, query: str, **variables: Any) -> Any:
        answer = page.post("/graphql", json={"query": query, "variables": variables})
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def launch(self, page: httpx.Client) -> Any:
        return self.ask(page, LAUNCH, p={"mode": "default", "selector": SELECTOR})["launchRun"]

    def ended(self, page: httpx.Client, run_id: str) -> str:
        found = ""

        def is_over() -> bool:
            nonlocal found
            found = self.status(page, run_id)
            return found in {"SUCCESS", "FAILURE", "CANCELED"}

        eventually(is_over, f"run {run_id} ends")
        return found

    @property
    def server(self) -> tuple[str, ...]:
        """Options of a sign-in on the command line."""
        return ("--server", self.url, "--password-stdin")

    def snapshots(self) -> list[str]:
        store = open_store(self.settings)
        return [each.key for each in store.list(self.settings.data_bucket, "snapshots/")]

    def status(self, page: httpx.Client, run_id: str) -> str:
        return str(self.ask(page, STATUS, r=run_id)["runOrError"]["status"])

    def records(self, of: str) -> list[AuditRecord]:
        """What the trail says of a run or a page."""
        log = open_audit_log(self.settings, open_store(self.settings))
        streams = [each for each in log.streams() if of in each.name]
        return [decode(event.data).record for each in streams for event in log.read(each)]


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    folder = tmp_path / "location"
    folder.mkdir()
    (folder / "tiny.csv").write_text(table_text())
    source = {"kind": "csv", "path": str(folder / "tiny.csv")}
    # Six-hourly, it would tick in a test that runs at the wrong minute.
    write_defs(folder / "defs", source=source, schedule="0 3 29 2 *")
    (folder / "tiny_location.py").write_text(LOCATION)
    for name, value in {
        "ENVIRONMENT": "staging",
        "AUDIT_RETENTION_DAYS": "1",
        "IDENTITY_SOURCE": "local",
        "INTERLOCK_HOME": str(tmp_path / "home"),
        "PYTHONPATH": os.pathsep.join([str(folder), *sys.path]),
        # Named where the platform is started, and nevertheless not known to any run.
        "APPROVAL_KEY": str(tmp_path / "home" / "approval-key.pem"),
        "IDENTITY_KEY": str(tmp_path / "home" / "identity-key.pem"),
    }.items():
        monkeypatch.setenv(name, value)
    embedded = EmbeddedPlatform(load_settings())
    dagster, mlflow, s3, console = free_ports(4)
    ports = Ports(dagster=dagster, mlflow=mlflow, s3=s3, console=console)
    with embedded.session() as settings, ExitStack() as pages:
        assert provide_scheduler(settings, echo=lambda _line: None)
        services = build_services(
            embedded.home,
            ports,
            module="tiny_location",
            environment=child_environment({}),
            signing=embedded.signing,
            artifact_root=f"s3://{settings.artifact_bucket}/mlflow",
        )
        made = Platform(
            home=embedded.home,
            folder=folder,
            url=ports.dagster_url,
            services={each.name: each for each in services},
            settings=settings,
            pages=pages,
        )
        try:
            yield made
        finally:
            for service in services:
                service.child.ask_to_stop()
            for service in services:
                service.child.stop()


@pytest.fixture
def typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Called]:
    """A command whose password is piped in."""

    def command(*words: str) -> Called:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
        return call(capsys, *words, "--json")

    return command


@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute on an idle machine
def test_run_acts_for_who_signed_in_until_they_are_disabled(
    platform: Platform, typed: Callable[..., Called]
) -> None:
    platform.start("Code location", "Dagster")
    accounts_are_added_by_who_signed_in_on_the_command_line(platform, typed)
    nobody = platform.opened()
    assert nobody.get("/healthz").text == "ok"
    assert nobody.get("/server_info").status_code == 401
    assert platform.launch(platform.page("vera"))["__typename"] == "UnauthorizedError"
    ada = platform.page("ada")
    queued_run_is_taken_by_the_daemon_and_acts_for_who_launched_it(platform, ada)
    run_that_waits_in_the_queue_is_denied_once_its_person_is_disabled(platform, ada, typed)
    run_that_no_server_signed_is_denied(platform)
    no_process_with_a_products_code_knew_where_the_keys_are(platform)


def accounts_are_added_by_who_signed_in_on_the_command_line(
    platform: Platform, typed: Callable[..., Called]
) -> None:
    def add(name: str, role: Role, *team: str) -> int:
        return typed("user", "add", name, "--role", role.value, *team, "--password-stdin").code

    assert add("ada", Role.ML_ENGINEER) == DENIED
    assert add("root", Role.PLATFORM_ADMIN) == OK  # the first, on the operator's word
    assert add("ada", Role.ML_ENGINEER) == DENIED
    assert typed("sign-in", "nobody", *platform.server).code == FAILURE
    assert typed("sign-in", "root", *platform.server).code == OK
    assert add("ada", Role.ML_ENGINEER, "--team", "tests") == OK
    assert add("vera", Role.VIEWER, "--team", "tests") == OK
    names = {each["name"] for each in typed("user", "list").document["accounts"]}
    assert names == {"ada", "root", "scheduler", "vera"}
    assert typed("sign-out").document == {"signed_out": True}
    assert typed("user", "list").code == DENIED


def queued_run_is_taken_by_the_daemon_and_acts_for_who_launched_it(
    platform: Platform, ada: httpx.Client
) -> None:
    launched = platform.launch(ada)
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]
    assert platform.status(ada, run_id) == "QUEUED"
    platform.services["Daemon"].child.start()
    assert platform.ended(ada, run_id) == "SUCCESS"
    assert daemons_are_healthy(platform.home)
    told = [
        (each.outcome.value, each.principal.name, each.principal.verified_by)
        for each in platform.records(run_id)
    ]
    assert told == [("started", "ada", "local"), ("succeeded", "ada", "local")]


def run_that_waits_in_the_queue_is_denied_once_its_person_is_disabled(
    platform: Platform, ada: httpx.Client, typed: Callable[..., Called]
) -> None:
    daemon = platform.services["Daemon"].child.pid
    assert daemon is not None
    os.kill(daemon, signal.SIGSTOP)
    try:
        run_id = platform.launch(ada)["run"]["runId"]
        assert typed("sign-in", "root", *platform.server).code == OK
        assert typed("user", "disable", "ada").code == OK
    finally:
        os.kill(daemon, signal.SIGCONT)
    assert platform.ended(platform.page("root"), run_id) == "FAILURE"
    (denied,) = platform.records(run_id)
    assert (denied.outcome.value, denied.principal.name) == ("denied", "unverified")
    assert "ada is disabled" in str(denied.evidence)
    time.sleep(COUNTS.total_seconds())
    assert ada.post("/graphql", json={"query": "{ version }"}).status_code == 401


def run_that_no_server_signed_is_denied(platform: Platform) -> None:
    before = platform.snapshots()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "dagster", "asset", "materialize"),
            *("--select", "tiny/raw_data", "-m", "tiny_location"),
        ],
        env=child_environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "may not data:ingest" in done.stdout + done.stderr
    assert platform.snapshots() == before


def no_process_with_a_products_code_knew_where_the_keys_are(platform: Platform) -> None:
    assert {"IDENTITY_KEY", "APPROVAL_KEY"} <= process_environment().keys()
    seen = [set(json.loads(p.read_text())) for p in platform.folder.glob("environment-*.json")]
    assert len(seen) >= 4  # the code server, two runs, the command
    assert all("IDENTITY_PUBLIC_KEYS" in each for each in seen)
    assert not set().union(*seen) & {"IDENTITY_KEY", "APPROVAL_KEY", "IDENTITY_TOKEN"}
