"""``python -m interlock.webserver``: Dagster's pages behind the door, served until SIGTERM.

ADR-0012.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import click
from dagster import DagsterInstance, __version__

from interlock.settings import load_settings
from interlock.webserver.dagster_names import (
    CompositeTarget,
    ModuleTarget,
    WorkspaceFileTarget,
    WorkspaceLoadTarget,
)
from interlock.webserver.ending import run_until_sigterm
from interlock.webserver.server import GovernedWebserver
from interlock.webserver.serving import Serving, serving_options
from interlock.webserver.status import StatusFile

STATEMENT_TIMEOUT_MS = 15_000  # these three as Dagster's own command has them
POOL_RECYCLE_SECONDS = 3_600
POOL_MAX_OVERFLOW = 20
log = logging.getLogger("interlock.webserver")


@click.command()
@serving_options(port=3000)
@click.option("-w", "--workspace", "files", multiple=True, type=click.Path(exists=True))
@click.option("-m", "--module", "modules", multiple=True, help="Python module of a code location.")
@click.option("--status-file", type=click.Path(), help="Where to tell how far Dagster has come.")
def command(
    *,
    serving: Serving,
    files: tuple[str, ...],
    modules: tuple[str, ...],
    status_file: str | None,
) -> None:
    """Serve Dagster to people who sign in, or to who operates the platform."""
    with contextlib.ExitStack() as stack:
        instance = stack.enter_context(DagsterInstance.get())
        instance.optimize_for_webserver(
            STATEMENT_TIMEOUT_MS, POOL_RECYCLE_SECONDS, POOL_MAX_OVERFLOW
        )
        settings = load_settings()
        server = GovernedWebserver(settings, instance)
        context = stack.enter_context(
            server.process_context(_load_target(files, modules), version=__version__)
        )
        if status_file is not None:
            stack.enter_context(StatusFile(context, Path(status_file)))
        app = server.app(context, hosts=serving.hosts, secure=serving.https)
        about = f"people are from {settings.identity_source}"
        serving.run(app, log, about=about, websockets=True)


def _load_target(files: tuple[str, ...], modules: tuple[str, ...]) -> WorkspaceLoadTarget:
    if not files and not modules:
        raise click.UsageError("give a workspace with -w, or a module with -m")
    targets: list[WorkspaceLoadTarget] = [
        ModuleTarget(module_name=name, attribute=None, working_directory=None, location_name=name)
        for name in modules
    ]
    if files:
        targets.insert(0, WorkspaceFileTarget(paths=list(files)))
    return CompositeTarget(targets)


def main() -> None:
    """Serve until SIGTERM."""
    run_until_sigterm(lambda: command(prog_name="python -m interlock.webserver"))


if __name__ == "__main__":
    main()
