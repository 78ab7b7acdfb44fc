"""Who sends a request: a session's cookie, a service account's token, or a proxy's token.

Whatever vouches for somebody, the directory is asked whether they may still act, at every request;
what it said counts for two seconds. ADR-0012.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from interlock.adapters.credentials import Credentials, refusal
from interlock.adapters.directory import Directory, Person
from interlock.adapters.identity_mapping import IdentityMapping
from interlock.adapters.identity_tokens import TokenVerifier
from interlock.adapters.run_identity import COMMANDS, IdentitySigner, IdentityVerifier
from interlock.errors import IdentityError
from interlock.governance.principal import account_of

COOKIE: Final = "interlock_session"
SESSION: Final = timedelta(hours=10)  # a working day; then people sign in again
TOKEN: Final = timedelta(hours=1)  # a command line keeps it in a file
COUNTS: Final = timedelta(seconds=2)  # what the directory said of somebody
MAX_KNOWN: Final = 1_000  # people whose state is kept
BEARER: Final = "bearer "
OF_BROWSERS: Final = ("sec-fetch-site", "sec-fetch-mode", "cookie", "referer")
"""Headers that browsers send by themselves."""


@dataclass(frozen=True)
class Proxy:
    """A proxy whose tokens are believed.

    Attributes:
        mapping: What groups mean here, and which header holds the token.
        verifier: Checks tokens.
    """

    mapping: IdentityMapping
    verifier: TokenVerifier


@dataclass(frozen=True)
class Visitor:
    """Who sends a request, and how that is known.

    Attributes:
        person: Who.
        by_cookie: Whether a browser says so by itself, so that other pages could make it.
        since: When they were let in: a session when it began, all else just now.
    """

    person: Person
    by_cookie: bool
    since: datetime


class Visitors:
    """Finds who sends a request.

    Args:
        directory: Who there is.
        credentials: Checks passwords and tokens.
        signer: Signs sessions.
        verifier: Checks them.
        environment: Where this server runs.
        clock: The time, aware UTC.
        proxy: The proxy in front of this server, where there is one.
    """

    def __init__(
        self,
        *,
        directory: Directory,
        credentials: Credentials,
        signer: IdentitySigner,
        verifier: IdentityVerifier,
        environment: str,
        clock: Callable[[], datetime],
        proxy: Proxy | None = None,
    ) -> None:
        self._directory = directory
        self._credentials = credentials
        self._signer = signer
        self._verifier = verifier
        self._environment = environment
        self._clock = clock
        self._proxy = proxy
        self._known: dict[str, tuple[datetime, Person]] = {}
        self._sessions: dict[str, Visitor] = {}
        self._lock = threading.Lock()

    @property
    def sign_in_here(self) -> bool:
        """Whether people sign in with a password of this platform."""
        return self._proxy is None

    def sign_in(self, name: str, password: str) -> str:
        """A session for somebody with the right password.

        Returns:
            What the cookie holds.

        Raises:
            SignInRefused: Unknown, disabled, locked, or the password is wrong.
            SigningError: The key cannot be used now.
        """
        person = self._credentials.sign_in(name, password)
        return self._signer.session(
            name=person.name, environment=self._environment, lifetime=SESSION
        )

    def token(self, name: str, password: str) -> tuple[Person, str]:
        """What a command line of somebody with the right password shows for an hour.

        Returns:
            Who, and the token; no page takes it for a session.

        Raises:
            SignInRefused: As for ``sign_in``.
            SigningError: The key cannot be used now.
        """
        person = self._credentials.sign_in(name, password)
        return person, self._signer.session(
            name=person.name, environment=self._environment, lifetime=TOKEN, kind=COMMANDS
        )

    def sign_out(self, person: Person) -> None:
        """End all sessions of somebody, on every machine."""
        self._directory.end_sessions(person.name)
        with self._lock:
            self._known.pop(person.account, None)

    def find(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Visitor | None:
        """Who sends a request; None when nothing in it says so.

        Args:
            headers: By lower-case name.
            cookies: By name.

        Raises:
            IdentityError: Something says so and is not believed, or they may not act any more.
            StoreUnavailable: The directory cannot be asked.
        """
        authorization = headers.get("authorization", "")
        if authorization.lower().startswith(f"{BEARER}interlock."):
            person = self._credentials.check_token(authorization[len(BEARER) :])
            return Visitor(person, by_cookie=False, since=self._clock())
        if self._proxy is not None:
            return self._by_proxy(self._proxy, headers)
        if COOKIE in cookies:
            found = self._by_session(cookies[COOKIE])
            with self._lock:
                if len(self._sessions) >= MAX_KNOWN:
                    self._sessions.clear()
                self._sessions[cookies[COOKIE]] = found
            return found
        return None

    def remembered(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Visitor | None:
        """Who sends a request, where that was just found out; None where ``find`` has to.

        It counts as long as what the directory said of them, and asks neither it nor a key.

        Args:
            headers: By lower-case name.
            cookies: By name.
        """
        if self._proxy is not None or "authorization" in headers:
            return None
        found = self._sessions.get(cookies.get(COOKIE, ""))
        if found is None or self._recent(found.person.account) is not found.person:
            return None
        return found

    def check_still(self, visitor: Visitor) -> None:
        """Make sure that somebody may stay connected, whatever it was that let them in.

        Raises:
            IdentityError: They may not act any more, their sessions were ended, or it is long ago.
            StoreUnavailable: The directory cannot be asked.
        """
        if self._clock() - visitor.since >= SESSION:
            raise IdentityError(
                f"{visitor.person.name} was let in too long ago", remedy="sign in again"
            )
        self._let_in_at(visitor.person.name, visitor.since)

    def _by_proxy(self, proxy: Proxy, headers: Mapping[str, str]) -> Visitor | None:
        token = headers.get(proxy.mapping.header, "")
        if token.lower().startswith(BEARER):
            token = token[len(BEARER) :]
        if not token:
            return None
        identity = proxy.verifier.verify(token)
        said = proxy.mapping.person(identity, now=self._clock())
        known = self._recent(said.account)
        if known is None or (known.role, known.teams) != (said.role, said.teams):
            known = self._keep(self._directory.note_verified(said))
        # The proxy's own cookie is behind it: another page could make the browser send that too.
        return Visitor(_active(known), by_cookie=True, since=self._clock())

    def _by_session(self, text: str) -> Visitor:
        now = self._clock()
        name, began = self._verifier.of_session(text, environment=self._environment, now=now)
        return Visitor(self._let_in_at(name, began), by_cookie=True, since=began)

    def _let_in_at(self, name: str, since: datetime) -> Person:
        """Somebody who was let in at a time, unless that was ended meanwhile."""
        person = self._recent(name)
        if person is None:
            person = self._keep(self._directory.require_active(name))
        if since < person.sessions_from:
            raise IdentityError(f"the session of {person.name} was ended", remedy="sign in again")
        return _active(person)

    def _recent(self, name: str) -> Person | None:
        with self._lock:
            found = self._known.get(account_of(name))
        if found is None or self._clock() - found[0] >= COUNTS:
            return None
        return found[1]

    def _keep(self, person: Person) -> Person:
        with self._lock:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[person.account] = (self._clock(), person)
        return person


def _active(person: Person) -> Person:
    if person.disabled:
        raise IdentityError(f"{person.name} is disabled", remedy="ask an administrator")
    return person


class OperatorAlone(Visitors):
    """The one visitor of a server where nobody signs in: who operates it, on their own word.

    A browser can be made to send a request by any page, so its requests count as by cookie. A
    program that is no browser says nothing of where a request comes from.

    Args:
        operator: Who that is.
    """

    def __init__(self, operator: Person) -> None:
        self._operator = operator

    @property
    def sign_in_here(self) -> bool:
        """Never."""
        return False

    def sign_in(self, name: str, password: str) -> str:
        """Nobody's.

        Raises:
            SignInRefused: Always.
        """
        del password
        raise refusal(f"{name!r} signs in where nobody does")

    def sign_out(self, person: Person) -> None:
        """Nothing: there is no session."""

    def remembered(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Visitor:
        """Who operates the server.

        Args:
            headers: By lower-case name.
            cookies: By name.
        """
        return self.find(headers, cookies)

    def find(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Visitor:
        """Who operates the server.

        Args:
            headers: By lower-case name.
            cookies: By name.
        """
        del cookies
        by_cookie = any(name in headers for name in OF_BROWSERS)
        return Visitor(self._operator, by_cookie, self._operator.sessions_from)

    def check_still(self, visitor: Visitor) -> None:
        """Nothing: who operates the server may always stay.

        Args:
            visitor: Who that is.
        """
