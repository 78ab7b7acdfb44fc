"""How every web server of the platform is started: its options, its logging, uvicorn.

Settings come from the environment, as everywhere; what a browser may call the server and which
proxy is believed about where a request comes from are options. Nothing here knows of Dagster.
How a server ends: ``ending.py``.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import click
import uvicorn

from interlock.webserver.door import App
from interlock.webserver.opening import own_hosts
from interlock.webserver.requests import MAX_BODY

GRACE_SECONDS: Final = 3  # for requests under way; who waits longer is killed by `interlock up`
LOG_FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"

Command = Callable[..., None]


@dataclass(frozen=True)
class Serving:
    """Where a server listens, and what it is called.

    Attributes:
        host: Address to listen on.
        port: Port to listen on.
        allowed: Further names by which browsers call it.
        proxies: Addresses of proxies whose X-Forwarded headers are believed.
        https: Whether browsers reach it over https alone.
    """

    host: str
    port: int
    allowed: tuple[str, ...]
    proxies: tuple[str, ...]
    https: bool

    @property
    def hosts(self) -> frozenset[str]:
        """The names by which browsers may call it, with port."""
        return own_hosts(self.host, self.port, self.allowed)

    def run(self, app: App, log: logging.Logger, *, about: str, websockets: bool = False) -> None:
        """Serve until SIGTERM.

        Args:
            app: The application.
            log: Where the start is told.
            about: What to tell of it.
            websockets: Whether it speaks WebSocket.
        """
        log.info("serving http://%s:%d in process %d; %s", self.host, self.port, os.getpid(), about)
        uvicorn.run(
            app,
            host=self.host,
            port=self.port,
            log_level="warning",
            proxy_headers=bool(self.proxies),
            # Never uvicorn's own variable, which a forgotten line in an image could set.
            forwarded_allow_ips=list(self.proxies),
            server_header=False,
            ws="auto" if websockets else "none",
            ws_max_size=MAX_BODY,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )


def serving_options(*, port: int) -> Callable[[Command], Command]:
    """The options of every server; the command gets them as one ``Serving``, named ``serving``.

    Args:
        port: The port when none is given.
    """
    options = (
        click.option(
            "--host", default="127.0.0.1", show_default=True, help="Address to listen on."
        ),
        click.option("--port", type=click.IntRange(1, 65_535), default=port, show_default=True),
        click.option(
            "--allowed-host",
            "allowed",
            multiple=True,
            help="A name, or name and port, by which browsers call this server; repeat for more.",
        ),
        click.option(
            "--trusted-proxy",
            "proxies",
            multiple=True,
            help="Address of a proxy whose X-Forwarded headers are believed; repeat for more.",
        ),
        click.option("--https", is_flag=True, help="Browsers reach this server over https alone."),
    )

    def decorate(command: Command) -> Command:
        @functools.wraps(command)  # with the options of the decorators below this one
        def started(
            *,
            host: str,
            port: int,
            allowed: tuple[str, ...],
            proxies: tuple[str, ...],
            https: bool,
            **others: Any,
        ) -> None:
            logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
            command(serving=Serving(host, port, allowed, proxies, https), **others)

        for option in reversed(options):
            started = option(started)
        return started

    return decorate
