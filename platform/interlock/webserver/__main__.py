"""``python -m interlock.webserver``: Dagster's pages behind the door, served until SIGTERM.

Settings come from the environment, as everywhere; what a browser may call the server and which
proxy is believed about where a request comes from are options. ADR-0012.
"""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

import click
import uvicorn
from dagster import DagsterInstance, __version__

from interlock.settings import load_settings
from interlock.webserver.dagster_names import (
    CompositeTarget,
    ModuleTarget,
    WorkspaceFileTarget,
    WorkspaceLoadTarget,
)
from interlock.webserver.ending import run_until_sigterm
from interlock.webserver.opening import own_hosts
from interlock.webserver.requests import MAX_BODY
from interlock.webserver.server import GovernedWebserver
from interlock.webserver.status import StatusFile

STATEMENT_TIMEOUT_MS = 15_000  # these three as Dagster's own command has them
POOL_RECYCLE_SECONDS = 3_600
POOL_MAX_OVERFLOW = 20
GRACE_SECONDS = 3  # for requests under way; who waits longer is killed by `interlock up`
log = logging.getLogger("interlock.webserver")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65_535), default=3000, show_default=True)
@click.option("-w", "--workspace", "files", multiple=True, type=click.Path(exists=True))
@click.option("-m", "--module", "modules", multiple=True, help="Python module of a code location.")
@click.option(
    "--allowed-host",
    "allowed",
    multiple=True,
    help="A name, or name and port, by which browsers call this server; repeat for more.",
)
@click.option(
    "--trusted-proxy",
    "proxies",
    multiple=True,
    help="Address of a proxy whose X-Forwarded headers are believed; repeat for more.",
)
@click.option("--https", is_flag=True, help="Browsers reach this server over https alone.")
@click.option("--status-file", type=click.Path(), help="Where to tell how far Dagster has come.")
def command(
    *,
    host: str,
    port: int,
    files: tuple[str, ...],
    modules: tuple[str, ...],
    allowed: tuple[str, ...],
    proxies: tuple[str, ...],
    https: bool,
    status_file: str | None,
) -> None:
    """Serve Dagster to people who sign in, or to who operates the platform."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
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
        app = server.app(context, hosts=own_hosts(host, port, allowed), secure=https)
        log.info(
            "serving http://%s:%d in process %d; people are from %s",
            host,
            port,
            os.getpid(),
            settings.identity_source,
        )
        uvicorn.run(
            app,
            host=host,
            port=port,
            log_level="warning",
            proxy_headers=bool(proxies),
            # Never uvicorn's own variable, which a forgotten line in an image could set.
            forwarded_allow_ips=list(proxies),
            server_header=False,
            ws_max_size=MAX_BODY,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )


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
