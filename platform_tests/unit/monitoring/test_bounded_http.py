from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from interlock.errors import MonitoringError, MonitoringRefused
from interlock.local.ports import free_port
from monitoring import bounded_http
from monitoring.bounded_http import accepts_connections, fetch, fetch_json, seconds_to_answer

Answer = Callable[[socket.socket], None]


@contextmanager
def server(answer: Answer) -> Iterator[str]:
    """A server that takes each connection's first bytes and then does what a test wants."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.recv(65_536)
                    answer(connection)
                except OSError:
                    continue  # the client left, which is what some tests are about

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=10)


def says(text: bytes) -> Answer:
    return lambda connection: connection.sendall(text)


def body(data: bytes, status: str = "200 OK") -> Answer:
    return says(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status.encode(), len(data)) + data)


def drips(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(1_000):
        connection.sendall(b".")
        time.sleep(0.05)


def hangs(connection: socket.socket) -> None:
    connection.settimeout(20)
    connection.recv(1)  # returns when the client gives up


def test_an_answer_is_read_whole() -> None:
    with server(body(b'{"a": 1}')) as url:
        assert fetch(url, timeout=5) == b'{"a": 1}'
        assert fetch_json(f"{url}/x?y=1", timeout=5, json_body={"query": "{ a }"}) == {"a": 1}
        assert seconds_to_answer(url, timeout=5) is not None


@pytest.mark.parametrize("answer", [drips, hangs], ids=["drips", "hangs"])
def test_an_answer_that_takes_too_long_is_given_up(answer: Answer) -> None:
    with server(answer) as url:
        started = time.monotonic()
        with pytest.raises(MonitoringError, match=r"no .*answer within"):
            fetch(url, timeout=0.3)
        assert time.monotonic() - started < 3
        assert seconds_to_answer(url, timeout=0.3) is None


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (body(b"", "500 Broken"), "status 500"),
        (body(b"", "302 Found"), "status 302"),
        (says(b"\x00\xff garbage\r\n\r\n"), "BadStatusLine"),
        (says(b""), "RemoteDisconnected"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"), "4 bytes too few"),
    ],
)
def test_an_unusable_answer_is_an_error(answer: Answer, found: str) -> None:
    with server(answer) as url, pytest.raises(MonitoringError, match=found):
        fetch(url, timeout=5)


@pytest.mark.parametrize(
    "text", [b"<html>", b"\xff", b"[" * 200_000], ids=["html", "bytes", "deep"]
)
def test_what_is_no_json_is_an_error(text: bytes) -> None:
    with server(body(text)) as url, pytest.raises(MonitoringError, match="no JSON"):
        fetch_json(url, timeout=5)


def test_an_answer_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "MAX_BYTES", 1_000)
    with server(body(b"." * 5_000)) as url, pytest.raises(MonitoringError, match="more than 1000"):
        fetch(url, timeout=5)


def test_nobody_listening_is_an_error_without_the_secret_in_the_address() -> None:
    port = free_port()
    with pytest.raises(MonitoringError, match="ConnectionRefused") as refused:
        fetch(f"http://user:secret@127.0.0.1:{port}/x", timeout=1)
    assert "secret" not in str(refused.value)
    assert not accepts_connections("127.0.0.1", port, timeout=1)


def test_an_address_without_host_is_an_error() -> None:
    with pytest.raises(MonitoringError, match="no address"):
        fetch("dagster", timeout=1)


def test_a_listening_port_accepts_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert accepts_connections("127.0.0.1", listener.getsockname()[1], timeout=1)


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_who_is_not_let_in_is_told_so(status: str) -> None:
    with (
        server(body(b"{}", status)) as url,
        pytest.raises(MonitoringRefused, match=f"status {status[:3]}") as refused,
    ):
        fetch(url, timeout=5, bearer="interlock.61.secret")
    assert "secret" not in str(refused.value)
