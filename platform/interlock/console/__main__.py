"""``python -m interlock.console``: the console, served until SIGTERM.

Settings come from the environment, as everywhere; what a browser may call the server and which
proxy is believed about where a request comes from are options. ADR-0013.
"""

from __future__ import annotations

import logging
import os
import threading

import click
import uvicorn

from interlock.adapters.audit_pages import Sought
from interlock.console.server import console, opened_site
from interlock.console.site import Site
from interlock.errors import InterlockError
from interlock.settings import load_settings
from interlock.webserver.ending import run_until_sigterm
from interlock.webserver.opening import own_hosts

GRACE_SECONDS = 3  # for requests under way; who waits longer is killed by `interlock up`
log = logging.getLogger("interlock.console")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65_535), default=8080, show_default=True)
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
def command(
    *, host: str, port: int, allowed: tuple[str, ...], proxies: tuple[str, ...], https: bool
) -> None:
    """Serve the console to people who sign in, or to who operates the platform."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = load_settings()
    with opened_site(settings) as site:
        app = console(settings, site, hosts=own_hosts(host, port, allowed), secure=https)
        threading.Thread(target=_warm, args=(site,), name="warming", daemon=True).start()
        log.info(
            "serving http://%s:%d in process %d; people are from %s; %s",
            host,
            port,
            os.getpid(),
            settings.identity_source,
            "decisions are signed here" if site.signer else "no key signs decisions here",
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
            ws="none",
            timeout_graceful_shutdown=GRACE_SECONDS,
        )


def _warm(site: Site) -> None:
    """Load what takes seconds while nobody waits for it yet."""
    for load in (site.workspace.registry.models, lambda: site.trail.page(Sought())):
        try:
            load()
        except InterlockError as error:
            log.warning("%s; pages say so until it answers", error)


def main() -> None:
    """Serve until SIGTERM."""
    run_until_sigterm(lambda: command(prog_name="python -m interlock.console"))


if __name__ == "__main__":
    main()
