"""Who may do what in Dagster's UI: each role and action in each environment, through GraphQL.

Everything is real but the object store. What Dagster did is held against what the policies say,
and the table that comes out against docs/roles.md.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from asgi_client import AsgiClient
from code_servers import with_its_servers
from dagster._core.workspace.load_target import ModuleTarget
from simulators import MemoryObjectStore

from interlock.adapters.directory import Person
from interlock.adapters.environment_mark import write_mark
from interlock.adapters.signer import LocalSigner, new_private_key
from interlock.assembly import open_directory, open_signing, utc_now
from interlock.governance.access import Action, Resource
from interlock.governance.audit import decode
from interlock.governance.policy import PolicyEngine
from interlock.governance.principal import Environment, IdentitySource, Principal, Role
from interlock.settings import Settings, load_settings
from interlock.webserver.context import GovernedProcessContext
from interlock.webserver.dagster_names import (
    ENOUGH_IN_DEV,
    MUTATIONS,
    NEEDED,
    OF_OWNERS,
    REFUSED,
)
from interlock.webserver.decisions import of_others
from interlock.webserver.rights import Rights
from interlock.webserver.server import GovernedWebserver
from interlock.webserver.visitors import COOKIE

PAGE = Path(__file__).parents[2] / "docs" / "roles.md"
LOCATION = "interlock.definitions"
REPOSITORY = {"repositoryLocationName": LOCATION, "repositoryName": "__repository__"}
HOST = "localhost:3000"
TEAM = "credit-risk"
ASSET = {"path": ["credit_risk", "raw_data"]}

PEOPLE: Mapping[str, tuple[Role, str]] = {
    "viewer": (Role.VIEWER, TEAM),
    "data_scientist": (Role.DATA_SCIENTIST, TEAM),
    "ml_engineer": (Role.ML_ENGINEER, TEAM),
    "ml_engineer of another team": (Role.ML_ENGINEER, "fraud"),
    "approver": (Role.APPROVER, "model-risk"),
    "auditor": (Role.AUDITOR, "audit"),
    "platform_admin": (Role.PLATFORM_ADMIN, "platform"),
}
DENIED = "UnauthorizedError"
NO_PERMISSION = "You do not have permission"  # what Dagster says of terminating


@dataclass(frozen=True)
class Deed:
    """Something that can be done in the UI.

    Attributes:
        text: For the page.
        mutation: Its name.
        arguments: With their types and values; ``RUN`` stands for a run of the product, ``STATE``
            for the state of its schedule.
        answers: What Dagster answers to who may.
        owned: Whether the product's team owns what it is about.
        action: What it needs, where that is not what its permission needs.
        parts: Of the answer, asked for besides its type.
    """

    text: str
    mutation: str
    arguments: Mapping[str, tuple[str, Any]]
    answers: frozenset[str]
    owned: bool = False
    action: Action | None = None
    parts: str = ""

    @property
    def query(self) -> str:
        names = ", ".join(f"${name}: {kind}" for name, (kind, _) in self.arguments.items())
        given = ", ".join(f"{name}: ${name}" for name in self.arguments)
        return f"mutation M({names}) {{ {self.mutation}({given}) {{ __typename {self.parts} }} }}"


RUN = "the run"
STATE = "the state of the schedule"


def launch(job: str, **more: Any) -> dict[str, tuple[str, Any]]:
    said = {"mode": "default", "selector": {**REPOSITORY, "pipelineName": job}, **more}
    return {"executionParams": ("ExecutionParams!", said)}


SCHEDULE = {**REPOSITORY, "scheduleName": "ml_training_schedule"}
DECISION = {"model": "CreditRiskModel", "version": "1", "decision": "reject", "reason": "a test"}
SCHEDULE_ID = """query Q($s: ScheduleSelector!) { scheduleOrError(scheduleSelector: $s) {
  ... on Schedule { scheduleState { id } } } }"""
STARTED = frozenset({"LaunchRunSuccess"})
DEEDS = (
    Deed(
        "launch the pipeline of a product",
        "launchRun",
        launch("credit_risk_pipeline"),
        STARTED,
        owned=True,
    ),
    Deed(
        "launch the pipeline of all products", "launchRun", launch("ml_training_pipeline"), STARTED
    ),
    Deed(
        "launch a decision about a version",
        "launchRun",
        launch("model_decision", runConfigData={"ops": {"decide": {"config": DECISION}}}),
        STARTED,
        action=Action.MODEL_APPROVE,
    ),
    Deed(
        "run again what ran",
        "launchRunReexecution",
        {"reexecutionParams": ("ReexecutionParams", {"parentRunId": RUN, "strategy": "ALL_STEPS"})},
        STARTED,
        owned=True,
    ),
    Deed(
        "backfill a product's assets",
        "launchPartitionBackfill",
        {
            "backfillParams": (
                "LaunchBackfillParams!",
                {"assetSelection": [ASSET], "allPartitions": True},
            )
        },
        frozenset({"LaunchBackfillSuccess", "PythonError"}),
        owned=True,
    ),
    Deed(
        "terminate a product's run",
        "terminateRun",
        {"runId": ("String!", RUN)},
        frozenset({"TerminateRunSuccess"}),
        owned=True,
        parts="... on TerminateRunFailure { message }",
    ),
    Deed(
        "start a schedule",
        "startSchedule",
        {"scheduleSelector": ("ScheduleSelector!", SCHEDULE)},
        frozenset({"ScheduleStateResult"}),
    ),
    Deed(
        "stop a schedule",
        "stopRunningSchedule",
        {"id": ("String", STATE)},
        frozenset({"ScheduleStateResult"}),
    ),
    Deed(
        "reset a schedule",
        "resetSchedule",
        {"scheduleSelector": ("ScheduleSelector!", SCHEDULE)},
        frozenset({"ScheduleStateResult"}),
    ),
    Deed(
        "delete a run",
        "deleteRun",
        {"runId": ("String!", RUN)},
        frozenset({"DeletePipelineRunSuccess"}),
    ),
    Deed(
        "wipe an asset",
        "wipeAssets",
        {"assetPartitionRanges": ("[PartitionsByAssetSelector!]!", [{"assetKey": ASSET}])},
        frozenset({"AssetWipeSuccess"}),
    ),
    Deed(
        "reload code",
        "reloadRepositoryLocation",
        {"repositoryLocationName": ("String!", "gone")},
        frozenset({"RepositoryLocationNotFound", "ReloadNotSupported"}),
    ),
    Deed(
        "report a materialization that no step made",
        "reportRunlessAssetEvents",
        {
            "eventParams": (
                "ReportRunlessAssetEventsParams!",
                {"eventType": "ASSET_MATERIALIZATION", "assetKey": ASSET},
            )
        },
        frozenset({"ReportRunlessAssetEventsSuccess"}),
    ),
)


@dataclass
class Served:
    """The web server of one environment."""

    environment: Environment
    settings: Settings
    store: MemoryObjectStore
    server: GovernedWebserver
    client: AsgiClient
    cookies: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def ask(self, who: str, query: str, variables: Mapping[str, Any]) -> Any:
        headers = {"cookie": f"{COOKIE}={self.cookies[who]}", "origin": f"http://{HOST}"}
        said = {"query": query, "variables": variables}
        answer = self.client.post("/graphql", json=said, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, who: str, path: str, **said: str) -> int:
        headers = {"cookie": f"{COOKIE}={self.cookies[who]}", "origin": f"http://{HOST}"}
        return self.client.post(path, json=said, headers=headers).status_code

    def told(self) -> list[tuple[str, str, str]]:
        """What was recorded since the last question, in order."""
        bucket = self.settings.audit_bucket
        new = {
            each.key for each in self.store.list(bucket, self.settings.audit_log_prefix)
        } - self.seen
        self.seen |= new
        found = [decode(self.store.get(bucket, key)).record for key in sorted(new)]
        return [(r.action, r.outcome.value, r.principal.name) for r in found]


@dataclass
class House:
    """One instance of Dagster behind the servers of three environments."""

    instance: dg.DagsterInstance
    served: dict[Environment, Served]
    pattern: dg.DagsterRun
    schedule: str

    def new_run(self) -> str:
        """A run of the product, queued."""
        run = self.pattern._replace(run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.QUEUED)
        self.instance.add_run(run)
        return run.run_id


def served_in(environment: Environment, instance: dg.DagsterInstance, context: Any) -> Served:
    settings = load_settings()
    store = MemoryObjectStore()
    for bucket in (settings.data_bucket, settings.artifact_bucket, settings.audit_bucket):
        store.create_bucket(bucket, object_lock=bucket == settings.audit_bucket)
        write_mark(store, bucket, environment, clock=utc_now)
    server = GovernedWebserver(settings, instance, store)
    client = AsgiClient(server.app(context, hosts={HOST}, secure=False))
    made = Served(environment, settings, store, server, client)
    signer = open_signing(settings).signer
    assert signer is not None
    for name, (role, team) in PEOPLE.items():
        account = name.replace(" ", "-")
        person = Person(
            name=account,
            role=role,
            teams=frozenset({team}),
            source=IdentitySource.LOCAL,
            sessions_from=utc_now(),
        )
        open_directory(settings, store).add(person)
        made.cookies[name] = signer.session(
            name=account, environment=environment.value, lifetime=timedelta(hours=1)
        )
    return made


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("roles")
    key, public = folder / "identity.pem", folder / "public.pem"
    key.write_bytes(new_private_key())
    key.chmod(0o600)
    public.write_bytes(LocalSigner(key).public_key.pem)
    served: dict[Environment, Served] = {}

    def rights_of(source: Any) -> Rights:
        """Of whichever server the request came through."""
        found = Environment.DEV if source is None else source.scope["app_environment"]
        return served[found].server._rights_of(source)

    target = ModuleTarget(
        module_name=LOCATION, attribute=None, working_directory=None, location_name=LOCATION
    )
    with (
        pytest.MonkeyPatch.context() as patch,
        dg.DagsterInstance.local_temp(
            str(folder),
            overrides={
                "run_coordinator": {
                    "module": "dagster.core.run_coordinator",
                    "class": "QueuedRunCoordinator",
                }
            },
        ) as instance,
    ):
        for name, value in {
            "ENVIRONMENT": "dev",
            "IDENTITY_SOURCE": "local",
            "IDENTITY_KEY": str(key),
            "IDENTITY_PUBLIC_KEYS": str(public),
            "AUDIT_RETENTION_DAYS": "1",
            "RUN_SIGNING_KEY": "k" * 32,
            "INTERLOCK_HOME": str(folder / "home"),
        }.items():
            patch.setenv(name, value)
        opened = GovernedProcessContext(
            instance, target, version="test", rights_of=rights_of, backfill_tag=None
        )
        with with_its_servers(opened) as context:
            for environment in (Environment.DEV, Environment.STAGING, Environment.PROD):
                patch.setenv("ENVIRONMENT", environment.value)
                made = served_in(environment, instance, context)
                made.client = AsgiClient(marked(made.client._app, environment))
                served[environment] = made
            first = DEEDS[0]
            answer = served[Environment.DEV].ask(
                "ml_engineer",
                first.query.replace(
                    "__typename",
                    "__typename ... on LaunchRunSuccess "
                    "{ run { runId } } ... on PythonError { message }",
                ),
                {name: value for name, (_, value) in first.arguments.items()},
            )
            run = instance.get_run_by_id(answer["data"]["launchRun"]["run"]["runId"])
            assert run is not None
            found = served[Environment.DEV].ask("viewer", SCHEDULE_ID, {"s": SCHEDULE})
            state = found["data"]["scheduleOrError"]["scheduleState"]
            yield House(instance, served, run, state["id"])


def marked(app: Any, environment: Environment) -> Callable[..., Any]:
    """An application that knows in its scope which environment's it is."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "app_environment": environment}, receive, send)

    return call


def permitted(engine: PolicyEngine, deed: Deed, who: str, served: Served) -> bool:
    """What the policies say, and whose it is."""
    role, team = PEOPLE[who]
    permission = (MUTATIONS[deed.mutation] or ("",))[0]
    action = deed.action or NEEDED[permission]
    if action is None:
        return False
    if permission in OF_OWNERS and deed.action is None and not (deed.owned and team == TEAM):
        return False
    enough = [action]
    if served.environment is Environment.DEV and permission in ENOUGH_IN_DEV:
        enough.append(ENOUGH_IN_DEV[permission])
    return any(
        engine.decide(
            principal=Principal(who, role, "local", frozenset({team})),
            action=each,
            resource=Resource(each.resource_kind, "any"),
            environment=served.environment,
            context=of_others(each, served.server._authority.context),
        ).allowed
        for each in enough
    )


def filled(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: filled(each, known) for name, each in value.items()}
    return known.get(value, value) if isinstance(value, str) else value


def done(house: House, served: Served, deed: Deed, who: str) -> bool:
    """Whether Dagster did it; who may not changed nothing, and both are on record."""
    run = house.new_run() if RUN in str(deed.arguments) else ""
    known = {RUN: run, STATE: house.schedule}
    variables = {name: filled(value, known) for name, (_, value) in deed.arguments.items()}
    served.told()
    runs = house.instance.get_runs_count()
    states = [(each.name, each.status) for each in house.instance.all_instigator_state()]
    answer = served.ask(who, deed.query, variables)
    payload = answer["data"][deed.mutation]
    kind = payload["__typename"]
    told = served.told()
    action, account = f"dagit:{deed.mutation}", who.replace(" ", "-")
    assert told[0] == (action, "started", account)
    if kind == DENIED or NO_PERMISSION in payload.get("message", ""):
        assert told[1:] == [(action, "denied", account)]
        assert house.instance.get_runs_count() == runs
        there = house.instance.get_run_by_id(run) if run else None
        assert there is None or there.status is dg.DagsterRunStatus.QUEUED
        assert (there is None) is (not run)
        after = [(each.name, each.status) for each in house.instance.all_instigator_state()]
        assert after == states
        return False
    assert kind in deed.answers, (deed.text, who, answer)
    assert told[1][1] in {"succeeded", "failed"}
    return True


@pytest.mark.slow
def test_each_role_does_in_dagit_what_the_policies_say(house: House, tmp_path: Path) -> None:
    engine = PolicyEngine.load()
    found: dict[tuple[str, str], list[str]] = {}
    for environment, served in house.served.items():
        for deed in DEEDS:
            for who in PEOPLE:
                may = permitted(engine, deed, who, served)
                assert done(house, served, deed, who) is may, (deed.text, who, environment)
                if may:
                    found.setdefault((deed.text, who), []).append(environment.value)
    page = rendered(found)
    written = tmp_path / "roles.md"
    written.write_text(page, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page, f"the table changed: cp {written} {PAGE}"


@pytest.mark.slow
def test_no_role_reports_through_the_endpoints_for_programs(house: House) -> None:
    for served in house.served.values():
        for who in PEOPLE:
            for kind in ("materialization", "check", "observation"):
                served.told()
                path = f"/report_asset_{kind}/credit_risk/raw_data"
                assert served.post(who, path) == 403
                (told,) = served.told()
                account = who.replace(" ", "-")
                assert told == (f"dagit:report_asset_{kind}", "denied", account)


@pytest.mark.slow
def test_real_code_is_loaded_again_by_who_may_alone(house: House) -> None:
    query = next(each.query for each in DEEDS if each.text == "reload code")
    here = {"repositoryLocationName": LOCATION}

    def kind(environment: Environment, who: str) -> str:
        answer = house.served[environment].ask(who, query, here)
        return str(answer["data"]["reloadRepositoryLocation"]["__typename"])

    for who in PEOPLE:
        assert who == "platform_admin" or kind(Environment.PROD, who) == DENIED
    # Once is enough: it starts a code server.
    assert kind(Environment.DEV, "ml_engineer") == "WorkspaceLocationEntry"
    served = house.served[Environment.DEV]
    assert served.told()[-1] == ("dagit:reloadRepositoryLocation", "succeeded", "ml_engineer")


@pytest.mark.slow
@pytest.mark.parametrize("mutation", sorted(REFUSED))
def test_no_role_takes_up_a_backfill_again(house: House, mutation: str) -> None:
    served = house.served[Environment.PROD]
    for who in PEOPLE:
        served.told()
        query = f'mutation {{ {mutation}(backfillId: "b") {{ __typename }} }}'
        assert served.post(who, "/graphql", query=query) == 403
        account = who.replace(" ", "-")
        assert served.told() == [(f"dagit:{mutation}", "denied", account)]


def rendered(found: Mapping[tuple[str, str], list[str]]) -> str:
    """The page."""

    def cell(deed: Deed, who: str) -> str:
        where = found.get((deed.text, who), [])
        return "yes" if len(where) == len(Environment) else ", ".join(where) or "-"

    lines = [
        "# Who may do what in Dagster's UI",
        "",
        "As Dagster answered each role, signed in, in dev, staging and prod; written and compared",
        "by `platform_tests/integration/test_dagit_roles.py`. The policies decide",
        "([ADR-0002](adr/0002-cedar-policies.md)); launching is a right of the team that owns the",
        "product ([ADR-0012](adr/0012-identity.md)). `yes` is all three environments. The steps of",
        "a run ask the policies once more. Nobody reports through `/report_asset_*`, or resumes or",
        "re-executes a backfill.",
        "",
        "| | " + " | ".join(PEOPLE) + " |",
        "|---" * (len(PEOPLE) + 1) + "|",
    ]
    for deed in DEEDS:
        cells = " | ".join(cell(deed, who) for who in PEOPLE)
        lines.append(f"| {deed.text} | {cells} |")
    return "\n".join(lines) + "\n"
