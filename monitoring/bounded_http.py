"""Requests that end: in time, and within a number of bytes, whatever the other side does.

A socket's own timeout counts anew with every byte; a server that sends one byte a second is
never late by it. So a watchdog closes the connection when the time for the whole answer is over.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import urlsplit

from interlock.errors import MonitoringError, MonitoringRefused

REFUSED: Final = frozenset({http.client.UNAUTHORIZED, http.client.FORBIDDEN})
MAX_BYTES: Final = 16 << 20  # of one answer; that of 100 products to the asset query takes 2 MB


def fetch(url: str, *, timeout: float, json_body: object = None, bearer: str = "") -> bytes:
    """The body of an answer with status 200; redirects are not followed.

    Args:
        url: ``http://`` or ``https://``.
        timeout: For the whole answer, seconds.
        json_body: What to post; None asks with GET.
        bearer: Token of who asks; empty where nobody has to say.

    Returns:
        The body.

    Raises:
        MonitoringRefused: Whoever asks is not let in.
        MonitoringError: No answer in time, another status, or more than ``MAX_BYTES``.
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    if parts.hostname is None:
        raise _unusable(url, "no address")
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with _closed_after(connection, timeout) as is_late:
            try:
                headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
                if json_body is None:
                    connection.request("GET", target, headers=headers)
                else:
                    headers["Content-Type"] = "application/json"
                    connection.request("POST", target, json.dumps(json_body).encode(), headers)
                response = connection.getresponse()
                body = response.read(MAX_BYTES + 1)
            except (OSError, http.client.HTTPException) as error:
                # The socket's own timeout ends at the same time, and either may come first.
                late = is_late() or isinstance(error, TimeoutError)
                found = f"no answer within {timeout:g} s" if late else _text(error)
                raise _unusable(url, found) from error
        if is_late():
            raise _unusable(url, f"no whole answer within {timeout:g} s")
        if response.status in REFUSED:
            raise _refused(url, response.status)
        if response.status != http.client.OK:
            raise _unusable(url, f"status {response.status}")
        if len(body) > MAX_BYTES:
            raise _unusable(url, f"more than {MAX_BYTES} bytes")
        if response.length:  # still to come, by its own word
            raise _unusable(url, f"{response.length} bytes too few")
        return body
    finally:
        connection.close()


def fetch_json(url: str, *, timeout: float, json_body: object = None, bearer: str = "") -> object:
    """The value of a JSON answer; as ``fetch``.

    Raises:
        MonitoringError: Also when the answer is no JSON.
    """
    body = fetch(url, timeout=timeout, json_body=json_body, bearer=bearer)
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _unusable(url, f"no JSON but {body[:60]!r}") from error


def seconds_to_answer(url: str, *, timeout: float) -> float | None:
    """How long an address takes to answer with status 200; None when it does not in time."""
    started = time.monotonic()
    try:
        fetch(url, timeout=timeout)
    except MonitoringError:
        return None
    return time.monotonic() - started


def accepts_connections(host: str, port: int, *, timeout: float) -> bool:
    """Whether somebody listens on a TCP port."""
    try:
        with socket.create_connection((host, port), timeout=timeout):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _closed_after(
    connection: http.client.HTTPConnection, seconds: float
) -> Iterator[Callable[[], bool]]:
    """Closes a connection under its reader after a time; yields whether that has happened."""
    late = threading.Event()

    def close() -> None:
        late.set()
        if connection.sock is not None:
            with contextlib.suppress(OSError):  # the other side was faster
                connection.sock.shutdown(socket.SHUT_RDWR)

    watchdog = threading.Timer(seconds, close)
    watchdog.daemon = True
    watchdog.start()
    try:
        yield late.is_set
    finally:
        watchdog.cancel()


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _refused(url: str, status: int) -> MonitoringRefused:
    return MonitoringRefused(
        f"{_where(url)} answered with status {status}, expected to be let in",
        remedy="give the exporter the token of a service account that is enabled",
    )


def _where(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}:{parts.port}{parts.path}"


def _unusable(url: str, found: str) -> MonitoringError:
    return MonitoringError(
        f"{_where(url)} gave {found}, expected an answer with status 200",
        remedy="see whether that service runs, and its log",
    )
