"""The composed stack as a person meets it: scripts, addresses, GraphQL, buckets, alerts.

Works on a copy of the repository with a ``.env``, a compose project, ports and image tags of its
own, so that neither the checkout nor a stack that runs already is touched.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import boto3
from botocore.exceptions import ClientError

from interlock.adapters.lease import SKEW
from interlock.settings import REPOSITORY

PROJECT = "interlock-stack-test"
PORTS: Mapping[str, int] = {
    "POSTGRES_PORT": 25432,
    "MINIO_PORT": 29000,
    "MINIO_CONSOLE_PORT": 29001,
    "MLFLOW_PORT": 25000,
    "DAGSTER_PORT": 23000,
    "CONSOLE_PORT": 28080,
    "DRIFT_MONITOR_PORT": 29100,
    "DAGSTER_EXPORTER_PORT": 29200,
    "PROMETHEUS_PORT": 29090,
    "ALERTMANAGER_PORT": 29093,
    "GRAFANA_PORT": 23030,
}
JOB = "credit_risk_pipeline"  # launched by who owns it
LEASE = "leases/credit_risk.json"
ENDED = {"SUCCESS", "FAILURE", "CANCELED"}
ANSWER_SECONDS = 30.0
PASSWORD = "four unrelated words together"
ENGINEER, ADMINISTRATOR = "ada@example.com", "root@example.com"
PEOPLE: Mapping[str, tuple[str, str]] = {  # name to role and team
    ADMINISTRATOR: ("platform_admin", "platform"),
    ENGINEER: ("ml_engineer", "credit-risk"),
    "noor@example.com": ("ml_engineer", "fraud"),
    "vera@example.com": ("viewer", "credit-risk"),
    "sam@example.com": ("data_scientist", "credit-risk"),
    "grace@example.com": ("approver", "risk"),
    "alan@example.com": ("approver", "risk"),
    "otto@example.com": ("auditor", "audit"),
}
RUN_SECONDS = 300.0  # a run takes about 30 on two free cores

LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUN = """query($id: ID!) { runOrError(runId: $id) { ... on Run {
  runId status tags { key value } stepStats { stepKey status } } } }"""
RUNS = """{ runsOrError(limit: 50) { ... on Runs { results {
  runId status tags { key value } } } } }"""
MESSAGES = """query($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  ... on MessageEvent { message }
  ... on ExecutionStepFailureEvent { error { message } } } } } }"""


@dataclass(frozen=True)
class Run:
    """A Dagster run.

    Attributes:
        id: Its id.
        status: Its status.
        tags: Its tags.
        steps: Status of each step that has begun.
    """

    id: str
    status: str
    tags: Mapping[str, str] = field(default_factory=dict)
    steps: Mapping[str, str] = field(default_factory=dict)


class ComposedStack:
    """A stack in a folder of its own.

    Args:
        folder: Holds the copy; must not exist.
        without: Services whose images cannot be had here.
    """

    def __init__(self, folder: Path, *, without: Sequence[str]) -> None:
        self.folder = folder
        self.without = tuple(without)
        self._sessions: dict[tuple[str, str], str] = {}
        copy_repository(folder)
        shutil.copy(folder / ".env.example", folder / ".env")
        own = {
            "COMPOSE_PROJECT_NAME": PROJECT,
            "INTERLOCK_TAG": "stack-test",
            # The dataset is swapped under the drift monitor's eyes.
            "COMPOSE_FILE": "docker-compose.yml:docker-compose.dev.yml",
            **{name: str(port) for name, port in PORTS.items()},
        }
        with (folder / ".env").open("a") as file:
            file.writelines(f"{name}={value}\n" for name, value in own.items())

    # --- scripts and containers

    def script(self, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs one of ``scripts/`` without a terminal; its output is kept and not judged."""
        return self._call(f"scripts/{name}", *arguments)

    def build_all(self) -> str:
        """Builds and starts everything.

        Returns:
            What the script printed.
        """
        leaving_out = [word for name in self.without for word in ("--without", name)]
        return succeeded(self.script("build-all.sh", *leaving_out))

    def shell(self, commands: str) -> str:
        """Runs commands of the documentation as they stand there, but for what is left out here.

        Returns:
            What they printed.
        """
        leaving_out = "".join(f" --without {name}" for name in self.without)
        commands = re.sub(r"(build-all\.sh)$", rf"\1{leaving_out}", commands, flags=re.MULTILINE)
        return succeeded(self._call("bash", "-euo", "pipefail", "-c", commands))

    def compose(self, *arguments: str) -> str:
        """Runs ``docker compose``.

        Returns:
            Its standard output.
        """
        return succeeded(self._call("docker", "compose", *arguments), errors=False)

    def interlock(
        self, *arguments: str, role: str = "auditor", said: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the command line where people are known, on the word of who operates the stack.

        Args:
            arguments: Of ``interlock``.
            role: In which to act.
            said: What is typed.
        """
        word = {"IDENTITY_SOURCE": "env", "RUN_ROLE": role, "RUN_OWNER": "stack-test"}
        given = [part for name, value in word.items() for part in ("--env", f"{name}={value}")]
        command = ("docker", "compose", "exec", "-T", *given, "dagster-webserver")
        return self._call(*command, "interlock", *arguments, said=said)

    def add_people(self) -> None:
        """Adds the administrator as the documentation says, and everybody else."""
        for name, (role, team) in PEOPLE.items():
            add = ("user", "add", name, "--role", role, "--team", team, "--password-stdin")
            if name == ADMINISTRATOR:
                first = ("docker", "compose", "exec", "-T", "dagster-webserver", "interlock")
                succeeded(self._call(*first, *add, said=PASSWORD))
            else:
                succeeded(self.interlock(*add, role="platform_admin", said=PASSWORD))

    def trail(self) -> dict[str, Any]:
        """What ``interlock audit verify`` says."""
        found: dict[str, Any] = json.loads(self.interlock("audit", "verify", "--json").stdout)
        return found

    def states(self) -> dict[str, str]:
        """Service to its health, or to its state where it has no healthcheck."""
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        found = [json.loads(line) for line in lines]
        return {each["Service"]: each["Health"] or each["State"] for each in found}

    def is_healthy(self) -> bool:
        """Whether every service is."""
        return all(state in {"healthy", "exited"} for state in self.states().values())

    def start_again(self, *services: str) -> None:
        """Starts services and waits until they, and all others, are healthy."""
        self.compose("start", *services)
        wait_until(self.is_healthy, "every service is healthy again", seconds=180)

    # --- people

    def session(self, name: str, port: str = "DAGSTER_PORT") -> str:
        """The session of somebody, for which they signed in on the page once.

        Args:
            name: Who.
            port: Of which page.

        Returns:
            The cookie.
        """
        if (name, port) not in self._sessions:
            self._sessions[name, port] = sign_in(self.url(port), name)
        return self._sessions[name, port]

    # --- Dagster

    def graphql(self, query: str, *, who: str = ENGINEER, **variables: Any) -> Any:
        """Asks Dagster's web server as its pages do, signed in."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        url = self.url("DAGSTER_PORT")
        answer = json.loads(fetch(f"{url}/graphql", body, cookie=self.session(who), origin=url))
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def launch(self, job: str = JOB) -> str:
        """Launches a job.

        Returns:
            The run's id.
        """
        answer = self.try_to_launch(job)
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def try_to_launch(self, job: str = JOB, *, who: str = ENGINEER) -> Any:
        """What Dagster answers when somebody launches a job."""
        selector = {
            "repositoryLocationName": "interlock",
            "repositoryName": "__repository__",
            "jobName": job,
        }
        params = {"selector": selector, "runConfigData": "{}", "executionMetadata": {"tags": []}}
        return self.graphql(LAUNCH, who=who, params=params)["launchRun"]

    def run(self, run_id: str) -> Run:
        """A run as it is now."""
        return as_run(self.graphql(RUN, id=run_id)["runOrError"])

    def runs(self) -> list[Run]:
        """The newest runs."""
        return [as_run(each) for each in self.graphql(RUNS)["runsOrError"]["results"]]

    def messages(self, run_id: str) -> str:
        """Everything that Dagster logged of a run."""
        events = self.graphql(MESSAGES, id=run_id)["logsForRun"]["events"]
        lines = [
            f"{each.get('message', '')} {(each.get('error') or {}).get('message', '')}"
            for each in events
        ]
        return "\n".join(line for line in lines if "intends to" not in line)

    def launch_until_training(self) -> str:
        """Launches the job and waits until it is on record that its training began.

        Returns:
            The run's id.
        """
        run_id = self.launch()
        wait_until(
            lambda: self.outcomes(run_id, "model:train") == ["started"],
            "training begins",
            seconds=RUN_SECONDS,
            every=0.5,
        )
        return run_id

    def wait_for_end(self, run_id: str) -> Run:
        """Waits until a run has ended."""
        wait_until(
            lambda: self.run(run_id).status in ENDED, f"run {run_id} ends", seconds=RUN_SECONDS
        )
        return self.run(run_id)

    def wait_for_status(self, run_id: str, status: str) -> None:
        """Waits for a run's status as the database has it, where the web server lets nobody in."""
        query = f"SELECT status FROM runs WHERE run_id = '{run_id}'"  # noqa: S608 - an id of Dagster's
        ask = ("exec", "-T", "postgres", "psql", "-U", "postgres", "-d", "dagster", "-Atc", query)
        wait_until(
            lambda: self.compose(*ask).strip() == status, f"{run_id}: {status}", seconds=RUN_SECONDS
        )

    def succeed(self) -> Run:
        """Launches the job, once the product is free, and sees it succeed."""
        wait_until(
            self._is_free, "the lease of a run that could not give it back expires", seconds=70
        )
        run = self.wait_for_end(self.launch())
        assert run.status == "SUCCESS", self.messages(run.id)
        return run

    # --- MLflow, object store, Prometheus

    def mlflow(self, path: str, **body: Any) -> Any:
        """Posts to MLflow's REST API, or gets where there is nothing to post."""
        url = f"{self.url('MLFLOW_PORT')}/api/2.0/mlflow/{path}"
        return json.loads(fetch(url, json.dumps(body).encode() if body else None))

    def s3(self, user: str) -> Any:
        """A client of the object store.

        Args:
            user: ``monitoring``, ``runs``, ``web`` or ``root``.
        """
        if user == "root":
            access_key, secret = "interlock-admin", self.setting("MINIO_ROOT_PASSWORD")
        else:
            access_key = f"interlock-{user}"
            secret = self.setting(f"{user.upper()}_S3_SECRET_KEY")
        return boto3.client(
            "s3",
            endpoint_url=self.url("MINIO_PORT"),
            aws_access_key_id=access_key,
            aws_secret_access_key=secret,
            region_name="us-east-1",
        )

    def audit_events(self, run_id: str = "") -> dict[str, dict[str, Any]]:
        """Key to event, read from the bucket as an auditor reads it in the console.

        Args:
            run_id: Of this Dagster run alone.
        """
        client = self.s3("monitoring")
        pages = client.get_paginator("list_objects_v2").paginate(
            Bucket="interlock-audit", Prefix="governance/audit/"
        )
        keys = [each["Key"] for page in pages for each in page.get("Contents", [])]
        keys = [key for key in keys if run_id in key]
        return {
            key: json.loads(client.get_object(Bucket="interlock-audit", Key=key)["Body"].read())
            for key in keys
        }

    def outcomes(self, run_id: str, action: str) -> list[str]:
        """The outcomes on record of an action of a run, in order."""
        return [
            event["outcome"]
            for _, event in sorted(self.audit_events(run_id).items())
            if event["action"] == action
        ]

    def prometheus(self, path: str) -> Any:
        """Asks Prometheus."""
        return json.loads(fetch(f"{self.url('PROMETHEUS_PORT')}/api/v1/{path}"))["data"]

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        alerts = self.prometheus("alerts")["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    # --- what it stands on

    def _is_free(self) -> bool:
        try:
            found = self.s3("monitoring").get_object(Bucket="interlock-data", Key=LEASE)
        except ClientError:
            return True
        expires = datetime.fromisoformat(json.loads(found["Body"].read())["expires"])
        return datetime.now(UTC) > expires + SKEW

    def url(self, port: str) -> str:
        """Address of a service, by the variable of its port."""
        return f"http://127.0.0.1:{PORTS[port]}"

    def setting(self, name: str) -> str:
        """A variable of ``.env``."""
        lines = (self.folder / ".env").read_text().splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith(f"{name}="))

    def _call(self, *command: str, said: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.folder,
            text=True,
            capture_output=True,
            check=False,
            input=said or "",
        )


def copy_repository(folder: Path) -> None:
    """Copies what git knows or would know of the checkout.

    Args:
        folder: Where to; must not exist.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        source, target = REPOSITORY / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def succeeded(done: subprocess.CompletedProcess[str], *, errors: bool = True) -> str:
    """What a command printed, once it is certain that it went well."""
    assert done.returncode == 0, f"{done.args}\n{done.stdout}\n{done.stderr}"
    return done.stdout + (done.stderr if errors else "")


def fetch(url: str, body: bytes | None = None, *, cookie: str = "", origin: str = "") -> bytes:
    """The body of a 200."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    headers |= {"Cookie": cookie} if cookie else {}
    headers |= {"Origin": origin} if origin else {}
    request = urllib.request.Request(url, body, headers)  # noqa: S310 - addresses of this test
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
        found: bytes = answer.read()
        return found


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves a redirection as the answer that it is here."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        """No other page is asked."""


def sign_in(url: str, name: str, password: str = PASSWORD) -> str:
    """Signs in with the form of a page.

    Args:
        url: Of the server.
        name: Who.
        password: Theirs.

    Returns:
        The cookie of the session.
    """
    form = urlencode({"name": name, "password": password}).encode()
    request = urllib.request.Request(f"{url}/sign-in", form, {"Origin": url})  # noqa: S310
    try:
        urllib.request.build_opener(_NoRedirects).open(request, timeout=ANSWER_SECONDS)
    except urllib.error.HTTPError as answer:
        if answer.code == HTTPStatus.SEE_OTHER:
            return str(answer.headers["Set-Cookie"]).partition(";")[0]
        raise
    raise AssertionError(f"{name} was neither let in nor refused")


def as_run(found: Mapping[str, Any]) -> Run:
    """A run as GraphQL describes it."""
    return Run(
        id=found["runId"],
        status=found["status"],
        tags={each["key"]: each["value"] for each in found["tags"]},
        steps={each["stepKey"]: each["status"] for each in found.get("stepStats", [])},
    )


def wait_until(
    is_true: Callable[[], bool], what: str, *, seconds: float, every: float = 2.0
) -> None:
    """Waits for something; a service that does not answer meanwhile is no failure yet."""
    deadline = time.monotonic() + seconds
    while True:
        last = ""
        try:
            if is_true():
                return
        except (OSError, urllib.error.URLError) as error:
            last = f" (last: {error})"
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}{last}"
        time.sleep(every)


def left_of(project: str) -> Iterator[str]:
    """Everything that Docker still has of a project: containers, volumes, networks, images."""
    label = f"label=com.docker.compose.project={project}"
    for kind in (["ps", "--all"], ["volume", "ls"], ["network", "ls"]):
        command = ["docker", *kind, "--quiet", "--filter", label]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        yield from (f"{kind[0]} {name}" for name in done.stdout.split())
    images = ["docker", "images", "--quiet", "interlock/*:stack-test"]
    done = subprocess.run(images, capture_output=True, text=True, check=True)
    yield from (f"image {name}" for name in done.stdout.split())
