"""Who signed in on a command line: what is kept, what counts, and to which server a name goes."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from accounts import PASSWORD
from desk import Desk
from simulators import FakeClock

from interlock.adapters.directory import Person
from interlock.adapters.signed_in import FILE, SignedIn, fetch_token
from interlock.errors import ConfigurationError, IdentityError


@pytest.fixture
def desk(clock: FakeClock, tmp_path: Path) -> Desk:
    return Desk(clock, tmp_path)


@pytest.fixture
def signed_in(tmp_path: Path) -> SignedIn:
    return SignedIn(tmp_path / "home")


def person(desk: Desk, signed_in: SignedIn, environment: str = "prod") -> Person:
    return signed_in.person(
        desk.verifier, desk.directory, environment=environment, now=desk.clock()
    )


def test_token_is_kept_for_its_owner_alone_and_forgotten(
    desk: Desk, signed_in: SignedIn, tmp_path: Path
) -> None:
    with pytest.raises(IdentityError, match="nothing says who acts"):
        person(desk, signed_in)
    signed_in.keep("another")
    signed_in.keep(desk.visitors.token("ada", PASSWORD)[1])
    file = tmp_path / "home" / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == [FILE]
    assert person(desk, signed_in).name == "Ada"
    assert signed_in.forget()
    assert not signed_in.forget()
    with pytest.raises(IdentityError, match="nothing says who acts"):
        person(desk, signed_in)


def test_token_counts_for_an_hour_in_its_environment(desk: Desk, signed_in: SignedIn) -> None:
    signed_in.keep(desk.visitors.token("ada", PASSWORD)[1])
    with pytest.raises(IdentityError, match="something else"):
        person(desk, signed_in, "staging")
    desk.clock.advance(minutes=59)
    assert person(desk, signed_in).name == "Ada"
    desk.clock.advance(minutes=1)
    with pytest.raises(IdentityError, match="has ended"):
        person(desk, signed_in)


def test_who_is_disabled_or_changed_meanwhile_is_nobody(desk: Desk, signed_in: SignedIn) -> None:
    signed_in.keep(desk.visitors.token("ada", PASSWORD)[1])
    desk.clock.advance(seconds=1)
    desk.directory.end_sessions("ada")
    with pytest.raises(IdentityError, match="was ended"):
        person(desk, signed_in)
    signed_in.keep(desk.visitors.token("ada", PASSWORD)[1])
    desk.disable("ada")
    with pytest.raises(IdentityError, match="is disabled"):
        person(desk, signed_in)


def test_session_of_a_page_and_forged_tokens_are_not_believed(
    desk: Desk, signed_in: SignedIn
) -> None:
    signed_in.keep(desk.visitors.sign_in("ada", PASSWORD))
    with pytest.raises(IdentityError, match="another purpose"):
        person(desk, signed_in)
    forger, _ = desk.key("forger")
    for token in (
        "",
        "a.b",
        forger.session(name="ada", environment="prod", lifetime=timedelta(hours=1)),
    ):
        signed_in.keep(token)
        with pytest.raises(IdentityError, match="not believed"):
            person(desk, signed_in)


@contextmanager
def answering(status: int, body: Any, **headers: str) -> Iterator[tuple[str, list[Any]]]:
    """A server with one answer, and what it was sent."""
    sent: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            sent.append((self.path, json.loads(self.rfile.read(length))))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_words: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", sent
        finally:
            server.shutdown()
            thread.join()


def test_name_and_password_are_exchanged_for_a_token() -> None:
    with answering(200, {"token": "signed"}) as (server, sent):
        assert fetch_token(f"{server}/", name="ada", password="secret") == "signed"
    assert sent == [("/sign-in/token", {"name": "ada", "password": "secret"})]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, {"error": "the sign-in did not succeed"}, "did not succeed"),
        (500, b"", "answered 500"),
        (303, b"", "answered 303"),
        (200, b"<html>", "no token"),
        (200, {"token": 7}, "no token"),
        (200, {"token": "two\nlines"}, "no token"),
    ],
)
def test_other_answers_are_told(status: int, body: Any, said: str) -> None:
    with (
        answering(status, body, Location="http://127.0.0.1:9/") as (server, sent),
        pytest.raises(IdentityError, match=said),
    ):
        fetch_token(server, name="ada", password="secret")
    assert len(sent) == 1


@pytest.mark.parametrize("server", ["http://example.com", "ftp://127.0.0.1", "127.0.0.1:3000", ""])
def test_password_is_sent_in_the_clear_to_nobody(server: str) -> None:
    with pytest.raises(ConfigurationError, match="expected https"):
        fetch_token(server, name="ada", password="secret")


def test_server_that_is_not_there_is_told() -> None:
    with pytest.raises(IdentityError, match="does not answer"):
        fetch_token("http://127.0.0.1:9", name="ada", password="secret")
