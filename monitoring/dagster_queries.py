"""What is asked of Dagster: GraphQL documents, small enough to be answered in a second.

How the answers are read is in ``dagster_reader.py``. Pinned to Dagster 1.13's schema; the
integration test asks a real web server.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

TICKS: Final = 20  # of a schedule that are asked for; one every few seconds is still not missed
RECENT_RUNS: Final = 10  # newest ended runs of a job
ACTIVE_RUNS: Final = 200  # per status, newest first, of which the oldest counts
ENDED_RUNS: Final = 500  # between two readings
EVENTS: Final = 1_000  # of a failed run, per page

ENDED: Final = ("SUCCESS", "FAILURE", "CANCELED")
ACTIVE: Final = ("QUEUED", "STARTING", "STARTED", "CANCELING")

WORKSPACE: Final = f"""query Workspace($now: Float!) {{
  workspaceOrError {{ __typename ... on Workspace {{ locationEntries {{ name loadStatus
    locationOrLoadError {{ __typename ... on RepositoryLocation {{ repositories {{
      jobs {{ name }}
      schedules {{ name
        scheduleState {{ status ticks(limit: {TICKS}) {{ tickId timestamp status }} }}
        potentialTickTimestamps(startTimestamp: $now, upperLimit: 1, lowerLimit: 1) }}
      sensors {{ name
        sensorState {{ ticks(limit: 1, statuses: [SUCCESS, SKIPPED]) {{ timestamp }} }} }} }} }} }}
  }} }} }}
  instance {{ daemonHealth {{ allDaemonStatuses {{
    daemonType required healthy lastHeartbeatTime }} }} }}
}}"""

ASSETS: Final = """query Assets {
  assetNodes { assetKey { path } assetMaterializations(limit: 1) { timestamp }
    assetChecksOrError { __typename ... on AssetChecks { checks {
      executionForLatestMaterialization { status evaluation { severity } } } } } }
}"""

FAILURE: Final = f"""query Failure($run: ID!, $after: String) {{
  logsForRun(runId: $run, afterCursor: $after, limit: {EVENTS}) {{ __typename
    ... on EventConnection {{ cursor hasMore events {{ __typename
      ... on ExecutionStepFailureEvent {{ failureMetadata {{ metadataEntries {{ label
        ... on TextMetadataEntry {{ text }} }} }} }} }} }} }}
}}"""

_RUN = "{ runId jobName status creationTime startTime endTime }"


def ended_since() -> str:
    """Runs that ended after ``$after``, the newest first."""
    statuses = ", ".join(ENDED)
    return f"""query Ended($after: Float!) {{
  runsOrError(filter: {{statuses: [{statuses}], updatedAfter: $after}}, limit: {ENDED_RUNS}) {{
    __typename ... on Runs {{ results {_RUN} }} }}
}}"""


def active() -> str:
    """Runs that have not ended, by status: how many, and the newest of them."""
    parts = [
        f"  {status}: runsOrError(filter: {{statuses: [{status}]}}, limit: {ACTIVE_RUNS}) "
        f"{{ __typename ... on Runs {{ count results {_RUN} }} }}"
        for status in ACTIVE
    ]
    return "\n".join(["query Active {", *parts, "}"])


def job_history(jobs: Sequence[str]) -> str:
    """Ended runs of jobs: how many by status, and the newest.

    Args:
        jobs: Names; answers carry the place in this sequence, as ``j<place>``.
    """
    lines = []
    for place, job in enumerate(jobs):
        name = json.dumps(job)  # a GraphQL string is written like a JSON one
        lines += [
            f"  j{place}_{status}: runsOrError(filter: {{pipelineName: {name}, "
            f"statuses: [{status}]}}, limit: 1) {{ __typename ... on Runs {{ count }} }}"
            for status in ENDED
        ]
        lines.append(
            f"  j{place}: runsOrError(filter: {{pipelineName: {name}, "
            f"statuses: [{', '.join(ENDED)}]}}, limit: {RECENT_RUNS}) "
            f"{{ __typename ... on Runs {{ results {_RUN} }} }}"
        )
    return "\n".join(["query History {", *lines, "}"])
