"""Who signed in on a command line: a token of the web server, kept in a file of its owner's alone.

The web server alone checks passwords and signs; the command line shows what it was given, and
whether that counts is looked up in the directory each time. ADR-0012.
"""

from __future__ import annotations

import contextlib
import json
import os
import urllib.error
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from interlock.adapters.directory import Directory, Person
from interlock.adapters.run_identity import COMMANDS, IdentityVerifier
from interlock.errors import ConfigurationError, IdentityError

FILE: Final = "signed-in"
PATH: Final = "/sign-in/token"
SECONDS: Final = 30.0  # for an answer; checking a password takes a fraction of one
MAX_ANSWER: Final = 16_384  # bytes
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class SignedIn:
    """The token of who signed in, on one machine.

    Args:
        home: The folder that keeps it.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / FILE

    def keep(self, token: str) -> None:
        """Keep a token, for the owner of the folder alone."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._path.with_name(f".{FILE}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(f"{token}\n")
        draft.replace(self._path)

    def forget(self) -> bool:
        """Forget it; says whether there was one."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
            return True
        return False

    def person(
        self, verifier: IdentityVerifier, directory: Directory, *, environment: str, now: datetime
    ) -> Person:
        """Who signed in.

        Args:
            verifier: Checks what the web server signed.
            directory: Who there is.
            environment: Where this process runs.
            now: The time, aware UTC.

        Raises:
            IdentityError: Nobody did, or it does not count any more.
            StoreUnavailable: The directory cannot be asked.
        """
        try:
            token = self._path.read_text().strip()
        except FileNotFoundError:
            raise IdentityError(
                "nothing says who acts", remedy="sign in with `interlock sign-in`"
            ) from None
        name, began = verifier.of_session(token, environment=environment, now=now, kind=COMMANDS)
        person = directory.require_active(name)
        if began < person.sessions_from:
            raise IdentityError(f"the sign-in of {person.name} was ended", remedy="sign in again")
        return person


def fetch_token(server: str, *, name: str, password: str) -> str:
    """A token of the web server for a name and a password.

    Args:
        server: Its address; a password goes over https, or stays on this machine.
        name: Who.
        password: Theirs.

    Raises:
        ConfigurationError: The address is none, or would send the password in the clear.
        IdentityError: The server does not let them in, or does not answer.
    """
    parts = urlsplit(server)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ConfigurationError(
            f"the web server is {server}, expected https, or http on this machine",
            remedy="give the address by which browsers reach it",
        )
    request = urllib.request.Request(  # noqa: S310 - the scheme was checked
        f"{server.rstrip('/')}{PATH}",
        json.dumps({"name": name, "password": password}).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.build_opener(_NoRedirection).open(request, timeout=SECONDS) as answer:
            return _token_of(answer.read(MAX_ANSWER))
    except urllib.error.HTTPError as error:
        with error:
            raise IdentityError(
                _said(error.read(MAX_ANSWER)) or f"the server answered {error.code}",
                remedy="sign in again, or ask an administrator",
            ) from error
    except OSError as error:
        raise IdentityError(
            f"{server} does not answer: {error}", remedy="start it, or give the right --server"
        ) from error


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """Follows nothing: a password is for the server that was named."""

    def redirect_request(self, *_words: Any, **_more: Any) -> None:
        """No."""


def _token_of(body: bytes) -> str:
    try:
        token = json.loads(body)["token"]
    except (ValueError, KeyError, TypeError) as error:
        raise IdentityError(
            "the server's answer is no token", remedy="give the address of Interlock's web server"
        ) from error
    if not isinstance(token, str) or not token.isprintable():
        raise IdentityError(
            "the server's answer is no token", remedy="give the address of Interlock's web server"
        )
    return token


def _said(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return ""
