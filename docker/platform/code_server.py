"""Starts the code server, after it has ended what its predecessor left behind.

Runs are processes of the code server: when its container dies, so do they, and Dagster's default
launcher has no way to see that. So whoever starts the only code server of this stack may say of
every run that was given to it that nobody works on it. Dagster then starts such a run again, as
often as ``run_retries`` in ``dagster.yaml`` permits. The audit trail shows the action that was cut
off as unfinished until ``interlock audit close`` records it.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from pathlib import Path
from tempfile import gettempdir

from dagster import DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter
from dagster._core.storage.tags import GRPC_INFO_TAG

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


def end_orphans(instance: DagsterInstance) -> list[str]:
    """Reports the runs of an earlier code server as over.

    Args:
        instance: Dagster's instance of this stack.

    Returns:
        Their ids.
    """
    ended = []
    for run in instance.get_runs(RunsFilter(statuses=GIVEN_TO_A_SERVER)):
        if not _was_given_here(run):
            continue
        if run.status is DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message=REASON)
        else:
            instance.report_run_failed(run, message=REASON)
        ended.append(run.run_id)
    return ended


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


def main() -> None:
    """Tidies up, then becomes Dagster's code server."""
    logging.basicConfig(format="%(name)s: %(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    empty(Path(gettempdir()))
    with DagsterInstance.get() as instance:
        ended = end_orphans(instance)
    if ended:
        log.info("reported as over, because their code server is gone: %s", ", ".join(ended))
    command = ["dagster", "api", "grpc", "--host", "0.0.0.0", "--port", PORT, "-m", MODULE]  # noqa: S104 - inside the container's own network
    os.execvp(command[0], command)  # noqa: S606 - no shell


def _was_given_here(run: DagsterRun) -> bool:
    return bool(json.loads(run.tags.get(GRPC_INFO_TAG, "{}")).get("host") == HOST)


if __name__ == "__main__":
    main()
