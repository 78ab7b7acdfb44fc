"""What Dagster says of itself, as values: reads GraphQL over HTTP, and knows no metrics.

What is asked is in ``dagster_queries.py``, what becomes of it in ``dagster_exporter.py``. An
answer of another shape than expected is an error that says so, never a zero.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from interlock.errors import InterlockError, MonitoringError, MonitoringRefused
from monitoring import dagster_queries as queries
from monitoring.bounded_http import fetch_json
from monitoring.dagster_values import (
    ActiveRuns,
    Asset,
    Daemon,
    JobHistory,
    Run,
    Schedule,
    Sensor,
    Tick,
    Workspace,
)

JOBS_PER_REQUEST: Final = 20
CAUSES_PER_READING: Final = 10  # failed runs whose log is read; the others wait for the next one
EVENT_PAGES: Final = 10  # of a failed run's log that are searched for its cause
OVERLAP: Final = 120.0  # seconds asked for again, so that no run ends between two readings
UNKNOWN_CAUSE: Final = "other"


class DagsterReader:
    """Dagster's web server, asked.

    Args:
        url: Its address, ``http://host:port``.
        timeout: For one answer, seconds.
        clock: Unix time.
        token: Gives the token of the account that asks, anew each time, so that another one
            takes effect at once; empty where nobody signs in.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        clock: Callable[[], float],
        token: Callable[[], str] = str,
    ) -> None:
        self.url = url.rstrip("/")
        self._timeout = timeout
        self._clock = clock
        self._token = token
        self._causes: dict[str, str] = {}
        self.admitted: bool | None = None
        """Whether the last question was let in; None while none was answered."""

    def workspace(self) -> Workspace:
        """Code locations, jobs, schedules, sensors and daemons.

        Raises:
            MonitoringError: No usable answer.
        """
        data = self._ask(queries.WORKSPACE, now=self._clock())
        with _shaped("workspace"):
            entries = _of_type(data["workspaceOrError"], "Workspace")["locationEntries"]
            loaded = [entry for entry in entries if _is_loaded(entry)]
            repositories = [
                repository
                for entry in loaded
                for repository in entry["locationOrLoadError"]["repositories"]
            ]
            daemons = data["instance"]["daemonHealth"]["allDaemonStatuses"]
            return Workspace(
                locations={str(entry["name"]): entry in loaded for entry in entries},
                jobs=tuple(
                    sorted({str(job["name"]) for each in repositories for job in each["jobs"]})
                ),
                schedules=tuple(
                    _schedule(each, now=self._clock())
                    for repository in repositories
                    for each in repository["schedules"]
                ),
                sensors=tuple(
                    _sensor(each) for repository in repositories for each in repository["sensors"]
                ),
                daemons=tuple(_daemon(each) for each in daemons if each["required"]),
            )

    def history(self, jobs: Sequence[str]) -> dict[str, JobHistory]:
        """What became of the runs of jobs.

        Args:
            jobs: Their names.

        Raises:
            MonitoringError: No usable answer.
        """
        found: dict[str, JobHistory] = {}
        for start in range(0, len(jobs), JOBS_PER_REQUEST):
            part = jobs[start : start + JOBS_PER_REQUEST]
            data = self._ask(queries.job_history(part))
            with _shaped("runs"):
                for place, job in enumerate(part):
                    counts = {
                        status.lower(): int(_of_type(data[f"j{place}_{status}"], "Runs")["count"])
                        for status in queries.ENDED
                    }
                    found[job] = JobHistory(counts, _runs(data[f"j{place}"]))
        return found

    def active(self) -> dict[str, ActiveRuns]:
        """Status to runs that have not ended.

        Raises:
            MonitoringError: No usable answer.
        """
        data = self._ask(queries.active())
        found = {}
        with _shaped("active runs"):
            for status in queries.ACTIVE:
                since = [run.started or run.created for run in _runs(data[status])]
                found[status.lower()] = ActiveRuns(
                    int(data[status]["count"]), min(since, default=None)
                )
        return found

    def ended_since(self, time: float) -> tuple[Run, ...]:
        """Runs that ended after a time, and some that ended shortly before.

        Args:
            time: Unix time.

        Raises:
            MonitoringError: No usable answer.
        """
        data = self._ask(queries.ended_since(), after=time - OVERLAP)
        with _shaped("ended runs"):
            return _runs(data["runsOrError"])

    def causes(self, failed: Sequence[Run]) -> dict[str, str]:
        """Run to the name of the error that it failed with; read once per run.

        Args:
            failed: Runs that failed. Only some are looked up at a time.

        Returns:
            Causes known by now; ``other`` for errors that are not Interlock's.

        Raises:
            MonitoringError: No usable answer.
        """
        wanted = [run.id for run in failed]
        self._causes = {run: self._causes[run] for run in wanted if run in self._causes}
        for run in [run for run in wanted if run not in self._causes][:CAUSES_PER_READING]:
            self._causes[run] = self._cause(run)
        return dict(self._causes)

    def assets(self) -> tuple[Asset, ...]:
        """All assets with their newest materialization and its checks.

        Raises:
            MonitoringError: No usable answer.
        """
        data = self._ask(queries.ASSETS)
        with _shaped("assets"):
            return tuple(_asset(node) for node in data["assetNodes"])

    def _cause(self, run: str) -> str:
        after = None
        for _ in range(EVENT_PAGES):
            data = self._ask(queries.FAILURE, run=run, after=after)
            with _shaped("log of a run"):
                page = _of_type(data["logsForRun"], "EventConnection")
                for event in page["events"]:
                    if event["__typename"] == "ExecutionStepFailureEvent":
                        return _cause(event["failureMetadata"])
                if not page["hasMore"]:
                    return UNKNOWN_CAUSE
                after = page["cursor"]
        return UNKNOWN_CAUSE

    def _ask(self, query: str, **variables: object) -> dict[str, Any]:
        try:
            answer = fetch_json(
                f"{self.url}/graphql",
                timeout=self._timeout,
                json_body={"query": query, "variables": variables},
                bearer=self._token(),
            )
        except MonitoringRefused:
            self.admitted = False
            raise
        self.admitted = True
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), dict):
            raise _other_shape("answer", str(answer))
        if answer.get("errors"):
            raise _other_shape("answer", str(answer["errors"]))
        data: dict[str, Any] = answer["data"]
        return data


@contextlib.contextmanager
def _shaped(what: str) -> Iterator[None]:
    """Turns surprises in the shape of an answer into an error that names it."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _other_shape(what, f"{type(error).__name__}: {error}") from error


def _other_shape(what: str, found: str) -> MonitoringError:
    return MonitoringError(
        f"Dagster's {what} has another shape than expected: {found[:200]}",
        remedy="compare Dagster's version with the one in the lock file",
    )


def _of_type(value: Any, name: str) -> Any:
    if value["__typename"] != name:
        raise ValueError(f"{value['__typename']} in place of {name}")
    return value


def _is_loaded(entry: Any) -> bool:
    found = entry["locationOrLoadError"]
    return found is not None and found["__typename"] == "RepositoryLocation"


def _daemon(found: Any) -> Daemon:
    heartbeat = found["lastHeartbeatTime"]
    return Daemon(
        name=str(found["daemonType"]).lower(),
        healthy=found["healthy"] is True,
        heartbeat=None if heartbeat is None else float(heartbeat),
    )


def _schedule(found: Any, *, now: float) -> Schedule:
    past = [float(each) for each in found["potentialTickTimestamps"] if float(each) <= now]
    state = found["scheduleState"]
    return Schedule(
        name=str(found["name"]),
        running=state["status"] == "RUNNING",
        due=max(past, default=None),
        ticks=tuple(
            Tick(str(tick["tickId"]), float(tick["timestamp"]), str(tick["status"]).lower())
            for tick in state["ticks"]
        ),
    )


def _sensor(found: Any) -> Sensor:
    ticks = [float(tick["timestamp"]) for tick in found["sensorState"]["ticks"]]
    return Sensor(str(found["name"]), max(ticks, default=None))


def _runs(found: Any) -> tuple[Run, ...]:
    return tuple(
        Run(
            id=str(run["runId"]),
            job=str(run["jobName"]),
            status=str(run["status"]).lower(),
            created=float(run["creationTime"]),
            started=None if run["startTime"] is None else float(run["startTime"]),
            ended=None if run["endTime"] is None else float(run["endTime"]),
        )
        for run in _of_type(found, "Runs")["results"]
    )


def _asset(node: Any) -> Asset:
    newest = node["assetMaterializations"]
    checks = node["assetChecksOrError"]
    failed: dict[str, int] = {}
    for check in checks["checks"] if checks["__typename"] == "AssetChecks" else ():
        made = check["executionForLatestMaterialization"]
        if made is None:
            continue
        for severity in ("error", "warn"):
            failed.setdefault(severity, 0)
        if made["status"] == "EXECUTION_FAILED":
            failed["error"] += 1
        elif made["status"] == "FAILED":
            failed["warn" if made["evaluation"]["severity"] == "WARN" else "error"] += 1
    return Asset(
        path=tuple(str(part) for part in node["assetKey"]["path"]),
        materialized=float(newest[0]["timestamp"]) / 1_000 if newest else None,
        failed_checks=failed,
    )


def _cause(metadata: Any) -> str:
    entries = metadata["metadataEntries"] if metadata is not None else ()
    texts = {str(entry["label"]): entry.get("text") for entry in entries}
    if "policy" in texts:
        return "AccessDenied"
    named = str(texts.get("error"))
    return named if named in _known_errors() else UNKNOWN_CAUSE


def _known_errors() -> set[str]:
    found: set[str] = set()
    waiting: list[type[InterlockError]] = [InterlockError]
    while waiting:
        kind = waiting.pop()
        found.add(kind.__name__)
        waiting += kind.__subclasses__()
    return found
