"""``python -m interlock.console``: the console, served until SIGTERM. ADR-0013."""

from __future__ import annotations

import logging
import threading

import click

from interlock.adapters.audit_pages import Sought
from interlock.console.server import console, opened_site
from interlock.console.site import Site
from interlock.errors import InterlockError
from interlock.settings import load_settings
from interlock.webserver.ending import run_until_sigterm
from interlock.webserver.serving import Serving, serving_options

log = logging.getLogger("interlock.console")


@click.command()
@serving_options(port=8080)
def command(*, serving: Serving) -> None:
    """Serve the console to people who sign in, or to who operates the platform."""
    settings = load_settings()
    with opened_site(settings) as site:
        app = console(settings, site, hosts=serving.hosts, secure=serving.https)
        threading.Thread(target=_warm, args=(site,), name="warming", daemon=True).start()
        keys = "decisions are signed here" if site.signer else "no key signs decisions here"
        serving.run(app, log, about=f"people are from {settings.identity_source}; {keys}")


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
