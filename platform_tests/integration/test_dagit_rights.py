"""Dagster's own web server with a person in each request: what it answers, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from asgi_client import AsgiClient
from code_servers import with_its_servers
from dagster._core.workspace.load_target import ModuleTarget
from dagster_webserver.webserver import DagsterWebserver

from interlock.governance.access import Action, Decision, Resource
from interlock.governance.policy import PolicyEngine, favourable_context
from interlock.governance.principal import Environment, Principal, Role
from interlock.webserver.context import GovernedProcessContext
from interlock.webserver.coordinator import BACKFILL_TAG
from interlock.webserver.rights import NOBODY, Rights

PEOPLE = {
    "owner": Principal("owner", Role.ML_ENGINEER, "local", frozenset({"credit-risk"})),
    "stranger": Principal("stranger", Role.ML_ENGINEER, "local", frozenset({"fraud"})),
    "viewer": Principal("viewer", Role.VIEWER, "local", frozenset({"credit-risk"})),
    "root": Principal("root", Role.PLATFORM_ADMIN, "local"),
}
REPOSITORY = {"repositoryLocationName": "interlock.definitions", "repositoryName": "__repository__"}
ASSETS = "{ assetNodes { assetKey { path } hasMaterializePermission hasWipePermission owners { "
ASSETS += "... on TeamAssetOwner { team } } } }"
LAUNCH = """mutation L($p: ExecutionParams!) { launchRun(executionParams: $p) {
  __typename ... on PythonError { message } ... on LaunchRunSuccess { run { runId } } } }"""

Ask = Callable[..., Any]
Served = tuple[AsgiClient, GovernedProcessContext]


def rights_of(source: Any) -> Rights:
    principal = None if source is None else PEOPLE.get(source.headers.get("x-test-person", ""))
    engine = PolicyEngine.load()

    def decide(action: Action) -> Decision:
        assert principal is not None
        return engine.decide(
            principal=principal,
            action=action,
            resource=Resource(action.resource_kind, "any"),
            environment=Environment.DEV,
            context=favourable_context(Environment.DEV),
        )

    return Rights(principal, decide, by_owner=True)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("dagit")
    with (
        dg.DagsterInstance.local_temp(str(folder)) as instance,
        with_its_servers(
            GovernedProcessContext(
                instance,
                ModuleTarget(
                    module_name="interlock.definitions",
                    attribute=None,
                    working_directory=None,
                    location_name="interlock.definitions",
                ),
                version="test",
                rights_of=rights_of,
                backfill_tag=lambda name: f"signed for {name}",
            )
        ) as context,
    ):
        yield AsgiClient(DagsterWebserver(context).create_asgi_app()), context


@pytest.fixture
def dagit(served: Served) -> AsgiClient:
    return served[0]


@pytest.fixture
def ask(dagit: AsgiClient) -> Ask:
    def call(person: str, query: str, **variables: Any) -> Any:
        answer = dagit.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"x-test-person": person},
        )
        return answer.json()["data"]

    return call


@pytest.mark.slow
def test_materialize_and_wipe_differ_by_person_and_owner(ask: Ask) -> None:
    def seen(person: str) -> set[tuple[bool, bool]]:
        nodes = ask(person, ASSETS)["assetNodes"]
        assert nodes
        return {(each["hasMaterializePermission"], each["hasWipePermission"]) for each in nodes}

    teams = {o["team"] for each in ask("root", ASSETS)["assetNodes"] for o in each["owners"]}
    assert teams == {"credit-risk"}
    assert seen("owner") == {(True, False)}
    assert seen("stranger") == {(False, False)}
    assert seen("viewer") == {(False, False)}
    assert seen("root") == {(False, True)}
    assert seen("nobody") == {(False, False)}


@pytest.mark.slow
def test_reasons_reach_the_page(ask: Ask) -> None:
    query = "{ permissions { permission value disabledReason } }"
    found = {each["permission"]: each for each in ask("viewer", query)["permissions"]}
    assert "no policy permits it" in found["start_schedule"]["disabledReason"]
    nobody = {each["permission"]: each for each in ask("nobody", query)["permissions"]}
    assert nobody["start_schedule"]["disabledReason"] == NOBODY


@pytest.mark.slow
def test_launch_is_refused_to_who_may_not(ask: Ask, dagit: AsgiClient) -> None:
    parameters = {
        "mode": "default",
        "selector": {
            **REPOSITORY,
            "pipelineName": "credit_risk_pipeline",
        },
    }
    for person in ("stranger", "viewer", "root", "nobody"):
        answer = ask(person, LAUNCH, p=parameters)["launchRun"]
        assert answer["__typename"] == "UnauthorizedError", person
    assert ask("root", "{ runsOrError { ... on Runs { count } } }")["runsOrError"]["count"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["materialization", "check", "observation"])
def test_what_no_step_made_is_reported_by_nobody(dagit: AsgiClient, kind: str) -> None:
    for person in (*PEOPLE, "nobody"):
        answer = dagit.post(
            f"/report_asset_{kind}/credit_risk/raw_data",
            json={"check_name": "any", "passed": True},
            headers={"x-test-person": person},
        )
        assert answer.status_code == 401, person


@pytest.mark.slow
def test_owner_may_launch_the_job_of_their_product(ask: Ask) -> None:
    query = """query Q($s: PipelineSelector!) { pipelineOrError(params: $s) {
      ... on Pipeline { hasLaunchExecutionPermission } } }"""
    selector = {**REPOSITORY, "pipelineName": "credit_risk_pipeline"}
    allowed = {
        person: ask(person, query, s=selector)["pipelineOrError"]["hasLaunchExecutionPermission"]
        for person in PEOPLE
    }
    assert allowed == {"owner": True, "stranger": False, "viewer": False, "root": False}


@pytest.mark.slow
def test_backfill_carries_who_started_it(served: Served) -> None:
    def tags(person: str | None) -> dict[str, str]:
        request = None if person is None else Request(person)
        with served[1].create_request_context(request) as context:
            return context.get_viewer_tags()

    assert tags("owner") == {BACKFILL_TAG: "signed for owner"}
    assert tags("nobody") == tags(None) == {}


class Request:
    """As much of a request as is looked at."""

    def __init__(self, person: str) -> None:
        self.headers = {"x-test-person": person}
