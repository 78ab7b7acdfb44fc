"""Starts the code server, and ends the runs that its predecessor left behind.

Runs are processes of the code server: when its container dies, so do they, and Dagster's default
launcher has no way to see that. Whoever starts the only code server of this stack can say of every
run that was given to it before that nobody works on it. Dagster then starts such a run again, as
often as ``run_retries`` in ``dagster.yaml`` permits. It is told only after the lease of a killed
run has expired; a second attempt that came sooner would be refused for it.

The audit trail shows what was cut off as unfinished until ``interlock audit close`` records it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import gettempdir

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.storage.tags import GRPC_INFO_TAG

from interlock.actions.workspace import LEASE_TTL
from interlock.adapters.lease import SKEW

HOST = "code-server"  # as docker/dagster/workspace.yaml names it
PORT = "4000"
MODULE = "interlock.definitions"
GIVEN_TO_A_SERVER = [
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
REASON = "The code server that this run was a process of is gone; nobody works on it any more."
log = logging.getLogger("interlock.code_server")


def find_orphans(instance: DagsterInstance) -> list[str]:
    """The runs that an earlier code server had.

    Args:
        instance: Dagster's instance of this stack. No code server of it may serve yet.

    Returns:
        Their ids.
    """
    runs = instance.get_runs(RunsFilter(statuses=GIVEN_TO_A_SERVER))
    return [run.run_id for run in runs if _was_given_here(run)]


def end_orphans(instance: DagsterInstance, run_ids: Sequence[str]) -> None:
    """Reports runs as over, unless they ended otherwise.

    Args:
        instance: Dagster's instance of this stack.
        run_ids: What ``find_orphans`` found.
    """
    for run in instance.get_runs(RunsFilter(run_ids=run_ids, statuses=GIVEN_TO_A_SERVER)):
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message=REASON)
        else:
            instance.report_run_failed(run, message=REASON)


def empty(folder: Path) -> None:
    """Removes what killed runs left in the folder for temporary files.

    Args:
        folder: The folder; nothing but this container uses it.
    """
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def serve() -> None:
    """Tidies up, then becomes Dagster's code server."""
    empty(Path(gettempdir()))
    with DagsterInstance.get() as instance:
        orphans = find_orphans(instance)
    if orphans:
        # A process of its own: the code server is there at once for all other runs.
        subprocess.Popen([sys.executable, __file__, *orphans])  # noqa: S603 - this very file
    command = ["dagster", "api", "grpc", "--host", "0.0.0.0", "--port", PORT, "-m", MODULE]  # noqa: S104 - inside the stack's own network
    os.execvp(command[0], command)  # noqa: S606 - no shell


def wait_and_end(run_ids: Sequence[str]) -> None:
    """Reports runs as over when their leases have expired.

    Args:
        run_ids: The runs.
    """
    seconds = (LEASE_TTL + SKEW).total_seconds()
    log.info("in %.0f s these count as ended: %s", seconds, ", ".join(run_ids))
    time.sleep(seconds)
    with DagsterInstance.get() as instance:
        end_orphans(instance, run_ids)


def _was_given_here(run: DagsterRun) -> bool:
    return bool(json.loads(run.tags.get(GRPC_INFO_TAG, "{}")).get("host") == HOST)


if __name__ == "__main__":
    logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    if sys.argv[1:]:
        wait_and_end(sys.argv[1:])
    else:
        serve()
