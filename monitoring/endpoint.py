"""Where an exporter is asked: metrics and runbooks over HTTP, and the life of its process.

``/metrics`` answers from memory, ``/runbooks/<Alert>`` with the page that an alert links to, so
that a link works on a machine without network. Nothing else is served, nothing is written.
"""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from interlock.errors import PortTaken
from monitoring.catalogue import Families
from monitoring.sections import Loop, Section, run_until

RUNBOOKS: Final = Path(__file__).parent / "runbooks"
CLIENT_SECONDS: Final = 10  # a client that says nothing for so long is cut off
STOP_SECONDS: Final = 0.1  # between two looks at whether to stop

_RUNBOOK = re.compile(r"/runbooks/([A-Za-z]{1,64})(?:\.md)?")
_TEXT = [("Content-Type", "text/plain; charset=utf-8")]

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class SectionCollector(Collector):
    """Hands out what sections hold, without ever waiting for one.

    Args:
        sections: All of them.
        fill: Adds the samples of what they hold.
    """

    def __init__(self, sections: Sequence[Section[Any]], fill: Callable[[Families], None]) -> None:
        self._sections = sections
        self._fill = fill

    def collect(self) -> Iterable[Any]:
        """The metrics now."""
        families = Families()
        for section in self._sections:
            if section.up is not None:
                families.add("exporter_section_up", section.up, section.name)
            if section.age is not None:
                families.add("exporter_section_age_seconds", section.age, section.name)
        self._fill(families)
        return families.all()


@contextlib.contextmanager
def served(collector: Collector, *, host: str, port: int) -> Iterator[int]:
    """Serves a collector while the block runs.

    Args:
        collector: The metrics.
        host: Address to listen on.
        port: Port; 0 for a free one.

    Yields:
        The port.

    Raises:
        PortTaken: Somebody else listens there.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    ProcessCollector(registry=registry)  # memory and time of the exporter itself
    metrics = make_wsgi_app(registry)

    def app(environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        path = str(environ.get("PATH_INFO", ""))
        if path == "/metrics":
            answer: Iterable[bytes] = metrics(environ, start)
            return answer
        page = _runbook(path)
        start("404 Not Found" if page is None else "200 OK", list(_TEXT))
        return [b"/metrics\n" if page is None else page]

    try:
        server = make_server(host, port, app, _Server, _Handler)
    except OSError as error:
        raise PortTaken(
            port, service="metrics", remedy="stop what listens there, or give another --port"
        ) from error
    thread = threading.Thread(target=server.serve_forever, args=(STOP_SECONDS,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def run_exporter(collector: Collector, loops: Sequence[Loop], *, host: str, port: int) -> None:
    """Serves and reads until SIGTERM or SIGINT.

    Args:
        collector: The metrics.
        loops: What is read in the background.
        host: Address to listen on.
        port: Port.

    Raises:
        PortTaken: Somebody else listens there.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its retries; the sections tell the end
    with served(collector, host=host, port=port) as at:
        logging.getLogger(__name__).info("metrics at http://%s:%d/metrics", host, at)
        run_until(stop, loops)


class _Server(ThreadingWSGIServer):
    address_family = socket.AF_INET
    daemon_threads = True
    request_queue_size = 64


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """A scrape every few seconds is no news."""


def _runbook(path: str) -> bytes | None:
    found = _RUNBOOK.fullmatch(path)
    page = RUNBOOKS / f"{found[1]}.md" if found else None
    return page.read_bytes() if page is not None and page.is_file() else None
