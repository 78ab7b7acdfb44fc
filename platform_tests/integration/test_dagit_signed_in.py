"""Dagster behind the gate, with everything real but the object store: from the form to the run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest
from asgi_client import AsgiClient
from code_servers import with_its_servers
from dagster._core.workspace.load_target import ModuleTarget
from simulators import MemoryObjectStore

from interlock.adapters.directory import Person
from interlock.adapters.environment_mark import write_mark
from interlock.adapters.run_identity import RUN_TAG, IdentityVerifier
from interlock.adapters.signer import LocalSigner, is_signed_by, new_private_key
from interlock.assembly import open_audit_log, open_credentials, open_directory, utc_now
from interlock.errors import ConfigurationError
from interlock.governance.audit import decode
from interlock.governance.principal import Environment, IdentitySource, Role
from interlock.guard import facts_of
from interlock.settings import load_settings
from interlock.webserver.coordinator import ENABLED_KEY
from interlock.webserver.server import GovernedWebserver

HOST = "localhost:3000"
PASSWORD = "correct horse battery staple"
LOCATION = "interlock.definitions"
REPOSITORY = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}
JOB = {**REPOSITORY, "pipelineName": "credit_risk_pipeline"}
LAUNCH = """mutation L($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on PythonError { message } ... on LaunchRunSuccess { run { runId } } } }"""
START = """mutation S($s: ScheduleSelector!) { startSchedule(scheduleSelector: $s) {
  __typename ... on PythonError { message } } }"""


@dataclass
class Dagit:
    """The web server and what stands behind it."""

    client: AsgiClient
    instance: dg.DagsterInstance
    store: MemoryObjectStore
    verifier: IdentityVerifier

    def sign_in(self, name: str) -> dict[str, str]:
        own = {"origin": f"http://{HOST}"}
        done = self.client.post("/sign-in", data={"name": name, "password": PASSWORD}, headers=own)
        assert done.status_code == 303, done.text
        return {"cookie": done.headers["set-cookie"].split(";")[0], **own}

    def ask(self, headers: dict[str, str], query: str, **variables: Any) -> Any:
        answer = self.client.post(
            "/graphql", json={"query": query, "variables": variables}, headers=headers
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def told(self, action: str) -> list[tuple[str, str]]:
        log = open_audit_log(load_settings(), self.store)
        found = [decode(e.data).record for each in log.streams() for e in log.read(each)]
        return [(r.outcome.value, r.principal.name) for r in found if r.action == action]


@pytest.fixture(scope="module")
def dagit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dagit]:
    folder = tmp_path_factory.mktemp("dagit")
    key, public = folder / "identity.pem", folder / "public.pem"
    key.write_bytes(new_private_key())
    key.chmod(0o600)
    signer = LocalSigner(key)
    public.write_bytes(signer.public_key.pem)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "ENVIRONMENT": "dev",
            "IDENTITY_SOURCE": "local",
            "IDENTITY_KEY": str(key),
            "IDENTITY_PUBLIC_KEYS": str(public),
            "RUN_SIGNING_KEY": "k" * 32,
            "INTERLOCK_HOME": str(folder / "home"),
        }.items():
            patch.setenv(name, value)
        settings = load_settings()
        store = MemoryObjectStore()
        for bucket in (settings.data_bucket, settings.artifact_bucket, settings.audit_bucket):
            store.create_bucket(bucket, object_lock=bucket == settings.audit_bucket)
            write_mark(store, bucket, Environment.DEV, clock=utc_now)
        for name, role, team in (
            ("owner", Role.ML_ENGINEER, "credit-risk"),
            ("stranger", Role.ML_ENGINEER, "fraud"),
            ("viewer", Role.VIEWER, "credit-risk"),
        ):
            open_credentials(settings, store).set_password(name, PASSWORD)
            open_directory(settings, store).add(
                Person(
                    name=name,
                    role=role,
                    teams=frozenset({team}),
                    source=IdentitySource.LOCAL,
                    sessions_from=utc_now(),
                )
            )
        coordinator = {
            "module": "interlock.webserver.coordinator",
            "class": "GovernedRunCoordinator",
        }
        target = ModuleTarget(
            module_name=LOCATION, attribute=None, working_directory=None, location_name=LOCATION
        )
        instance = dg.DagsterInstance.local_temp(
            str(folder), overrides={"run_coordinator": coordinator}
        )
        with instance:
            server = GovernedWebserver(settings, instance, store)
            with with_its_servers(server.process_context(target, version="test")) as context:
                gate = server.app(context, hosts={HOST}, secure=False)
                verifier = IdentityVerifier(is_signed_by((signer.public_key,)))
                yield Dagit(AsgiClient(gate), instance, store, verifier)


@pytest.mark.slow
def test_owner_launches_and_the_run_carries_their_signed_name(dagit: Dagit) -> None:
    headers = dagit.sign_in("owner")
    typed = {"executionMetadata": {"tags": [{"key": RUN_TAG, "value": "root"}]}}
    answer = dagit.ask(headers, LAUNCH, p={"mode": "default", "selector": JOB, **typed})
    assert answer["launchRun"]["__typename"] == "LaunchRunSuccess", json.dumps(answer)
    run = dagit.instance.get_run_by_id(answer["launchRun"]["run"]["runId"])
    assert run is not None
    assert run.status is dg.DagsterRunStatus.QUEUED
    assert dagit.verifier.of_run(run.tags[RUN_TAG], facts_of(run, "dev")).name == "owner"
    assert ("succeeded", "owner") in dagit.told("dagit:launchRun")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stranger", "viewer"])
def test_who_may_not_launch_is_refused_on_record(dagit: Dagit, name: str) -> None:
    before = dagit.instance.get_runs_count()
    answer = dagit.ask(dagit.sign_in(name), LAUNCH, p={"mode": "default", "selector": JOB})
    assert answer["launchRun"]["__typename"] == "UnauthorizedError"
    assert dagit.instance.get_runs_count() == before
    told = [each for each in dagit.told("dagit:launchRun") if each[1] == name]
    assert told == [("started", name), ("denied", name)]


@pytest.mark.slow
def test_who_enables_a_schedule_is_noted_for_the_daemon(dagit: Dagit) -> None:
    selector = {**REPOSITORY, "scheduleName": "ml_training_schedule"}
    denied = dagit.ask(dagit.sign_in("viewer"), START, s=selector)
    assert denied["startSchedule"]["__typename"] == "UnauthorizedError"
    key = f"{ENABLED_KEY}ml_training_schedule"
    assert not dagit.instance.daemon_cursor_storage.get_cursor_values({key})
    answer = dagit.ask(dagit.sign_in("owner"), START, s=selector)
    assert answer["startSchedule"]["__typename"] == "ScheduleStateResult"
    note = dagit.instance.daemon_cursor_storage.get_cursor_values({key})[key]
    found = dagit.verifier.of_enabled(note, instigator="ml_training_schedule", environment="dev")
    assert found == "owner"


@pytest.mark.slow
def test_pages_are_dagsters_own_once_signed_in(dagit: Dagit) -> None:
    headers = dagit.sign_in("viewer")
    page = dagit.client.get("/", headers={**headers, "accept": "text/html"})
    assert page.status_code == 200
    assert "content-security-policy" in page.headers
    assert page.headers["x-frame-options"] == "DENY"
    query = "{ assetNodes { hasMaterializePermission } }"
    assert not any(
        each["hasMaterializePermission"] for each in dagit.ask(headers, query)["assetNodes"]
    )


@pytest.mark.slow
def test_server_without_the_key_that_signs_does_not_start(
    dagit: Dagit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_KEY", "")
    with pytest.raises(ConfigurationError, match="IDENTITY_KEY is unset"):
        GovernedWebserver(load_settings(), dagit.instance, dagit.store)
