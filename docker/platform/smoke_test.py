"""Does the platform work? Asked from inside its own network, after a deployment.

Web server, code location, daemon and MLflow are asked; with ``--launch`` a pipeline is started
and must end well. Nothing is started without it, so production is only looked at.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from interlock.errors import InterlockError, MonitoringError
from interlock.settings import load_settings
from monitoring.bounded_http import fetch_json

ANSWER_SECONDS: Final = 30.0
ENDED: Final = {"SUCCESS", "FAILURE", "CANCELED"}
STATE: Final = """{
  workspaceOrError { __typename ... on PythonError { message } ... on Workspace {
    locationEntries { name loadStatus locationOrLoadError { __typename
      ... on PythonError { message }
      ... on RepositoryLocation { repositories { name jobs { name } } } } } } }
  instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } }
}"""
LAUNCH: Final = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUN: Final = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
REMEDY: Final = "see the log of that service"


class Platform:
    """The addresses that are asked.

    Args:
        dagster: Of Dagster's web server.
        mlflow: Of MLflow.
        token: Of the service account that asks; empty where nobody signs in.
    """

    def __init__(self, dagster: str, mlflow: str, token: str = "") -> None:
        self._dagster = dagster.rstrip("/")
        self._mlflow = mlflow.rstrip("/")
        self._token = token

    def check_mlflow(self) -> str:
        """MLflow is healthy."""
        from monitoring.bounded_http import fetch

        fetch(f"{self._mlflow}/health", timeout=ANSWER_SECONDS)
        return "MLflow is healthy"

    def check_locations(self) -> str:
        """Every code location is loaded and has jobs.

        Raises:
            MonitoringError: One is not, or there is none.
        """
        entries = self._workspace()
        for entry in entries:
            found = entry["locationOrLoadError"] or {}
            if found.get("__typename") != "RepositoryLocation":
                what = found.get("message", entry["loadStatus"])
                raise MonitoringError(
                    f"code location {entry['name']} is not loaded: {what}", remedy=REMEDY
                )
            if not any(repository["jobs"] for repository in found["repositories"]):
                raise MonitoringError(f"code location {entry['name']} has no job", remedy=REMEDY)
        if not entries:
            raise MonitoringError("Dagster has no code location", remedy=REMEDY)
        return f"{len(entries)} code location(s) loaded"

    def check_daemon(self) -> str:
        """Every daemon that is required has a fresh heartbeat.

        Raises:
            MonitoringError: One has not.
        """
        statuses = self._ask(STATE)["instance"]["daemonHealth"]["allDaemonStatuses"]
        ill = [each["daemonType"] for each in statuses if each["required"] and not each["healthy"]]
        if ill:
            raise MonitoringError(f"Dagster's daemon is not healthy: {ill}", remedy=REMEDY)
        return "Dagster's daemon is healthy"

    def launch(self, job: str, *, seconds: float, poll_seconds: float) -> str:
        """Starts a job and sees it end well.

        Args:
            job: Its name.
            seconds: How long it may take.
            poll_seconds: Between two looks.

        Raises:
            MonitoringError: It was not started, failed, or did not end in time.
        """
        location, repository = self._home_of(job)
        selector = {
            "repositoryLocationName": location,
            "repositoryName": repository,
            "jobName": job,
        }
        params = {"selector": selector, "runConfigData": "{}", "executionMetadata": {"tags": []}}
        answer = self._ask(LAUNCH, params=params)["launchRun"]
        if answer["__typename"] != "LaunchRunSuccess":
            raise MonitoringError(f"{job} was not started: {answer}", remedy=REMEDY)
        run_id = answer["run"]["runId"]
        until = time.monotonic() + seconds
        while (status := self._ask(RUN, id=run_id)["runOrError"].get("status")) not in ENDED:
            if time.monotonic() >= until:
                raise MonitoringError(
                    f"run {run_id} of {job} is {status} after {seconds:g} s", remedy=REMEDY
                )
            time.sleep(poll_seconds)
        if status != "SUCCESS":
            raise MonitoringError(
                f"run {run_id} of {job} ended with {status}", remedy="see the run in Dagster"
            )
        return f"run {run_id} of {job} ended well"

    def _home_of(self, job: str) -> tuple[str, str]:
        for entry in self._workspace():
            for repository in (entry["locationOrLoadError"] or {}).get("repositories", []):
                if any(each["name"] == job for each in repository["jobs"]):
                    return entry["name"], repository["name"]
        raise MonitoringError(f"no code location has a job {job}", remedy="name one that exists")

    def _workspace(self) -> Sequence[Any]:
        found = self._ask(STATE)["workspaceOrError"]
        if found["__typename"] != "Workspace":
            raise MonitoringError(f"Dagster has no workspace: {found}", remedy=REMEDY)
        entries: Sequence[Any] = found["locationEntries"]
        return entries

    def _ask(self, query: str, **variables: Any) -> Any:
        answer = fetch_json(
            f"{self._dagster}/graphql",
            timeout=ANSWER_SECONDS,
            json_body={"query": query, "variables": variables},
            bearer=self._token,
        )
        if not isinstance(answer, dict) or answer.get("errors") or "data" not in answer:
            raise MonitoringError(f"Dagster answered {str(answer)[:500]}", remedy=REMEDY)
        return answer["data"]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="smoke_test.py", description="Does the platform work?")
    made.add_argument("--dagster", default="http://localhost:3000", help="web server's address")
    made.add_argument("--mlflow", default="http://localhost:5000", help="MLflow's address")
    made.add_argument("--launch", metavar="JOB", help="start this job and wait for its end")
    made.add_argument("--seconds", type=float, default=420.0, help="for the job's end")
    made.add_argument("--settle-seconds", type=float, default=120.0, help="for what just started")
    made.add_argument("--poll-seconds", type=float, default=5.0)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Asks everything, and starts the job when asked to.

    Returns:
        0 when everything works, else 1.
    """
    options = parser().parse_args(arguments)
    token = load_settings().identity_token or ""
    platform = Platform(options.dagster, options.mlflow, token)
    until = time.monotonic() + options.settle_seconds
    try:
        for check in (platform.check_mlflow, platform.check_locations, platform.check_daemon):
            while True:
                try:
                    print(f"ok: {check()}", flush=True)
                    break
                except MonitoringError as error:
                    if time.monotonic() >= until:
                        raise
                    print(f"not yet: {error.message}", flush=True)
                    time.sleep(options.poll_seconds)
        if options.launch:
            said = platform.launch(
                options.launch, seconds=options.seconds, poll_seconds=options.poll_seconds
            )
            print(f"ok: {said}")
    except InterlockError as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    print("the smoke test passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
