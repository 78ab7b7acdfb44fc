"""What proves who somebody is: passwords as argon2 hashes, tokens of service accounts, lock-out.

Kept apart from the directory, under a prefix that no run may read. A sign-in that fails tells the
one who asks nothing but that it failed; the cause is for the record. An attempt is counted before
the password is looked at, so that guessing from many places at once is counted too. ADR-0012.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from interlock.adapters.directory import ATTEMPTS, Directory, Person, key_of
from interlock.adapters.object_store import ObjectStore
from interlock.errors import (
    ConfigurationError,
    IdentityError,
    ObjectExists,
    ObjectMissing,
    PreconditionFailed,
    SignInRefused,
)
from interlock.governance.principal import account_of

if TYPE_CHECKING:
    from argon2 import PasswordHasher

CREDENTIALS_PREFIX: Final = "credentials/"
MIN_PASSWORD: Final = 15  # characters; NIST SP 800-63B-4, 3.1.1.2, for a password alone
MAX_PASSWORD: Final = 256  # characters: a hash must not become a way to keep the server busy
MAX_FAILURES: Final = 5  # in a row, before an account is locked
LOCKED_FOR: Final = timedelta(minutes=15)
AT_ONCE: Final = 2  # passwords that a server hashes at a time: each takes 64 MiB
TOKEN_PREFIX: Final = "interlock"  # noqa: S105 - what a token begins with
_TOKEN_BYTES: Final = 32
_SCHEMA: Final = "interlock.credentials/v1"


@dataclass(frozen=True)
class _Secret:
    """What is stored of an account's secret."""

    password: str = ""
    token_sha256: str = ""
    failures: int = 0
    last_failure: float = 0.0  # seconds since 1970

    def is_locked(self, now: datetime) -> bool:
        until = self.last_failure + LOCKED_FOR.total_seconds()
        return self.failures >= MAX_FAILURES and now.timestamp() < until


class Credentials:
    """Checks passwords and tokens against what is stored.

    Args:
        store: Where they are kept.
        bucket: The artifact bucket, which no product may read.
        directory: Who there is.
        clock: The time, aware UTC.
        random_hex: Gives that many random bytes as hexadecimal text.
        hasher: Argon2's, with its cost; argon2-cffi's own (RFC 9106, low memory) by default.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        bucket: str,
        directory: Directory,
        clock: Callable[[], datetime],
        random_hex: Callable[[int], str] = secrets.token_hex,
        hasher: PasswordHasher | None = None,
    ) -> None:
        from argon2 import PasswordHasher

        self._store = store
        self._bucket = bucket
        self._directory = directory
        self._clock = clock
        self._random_hex = random_hex
        self._hasher = hasher or PasswordHasher()
        self._nobody: str | None = None

    def set_password(self, name: str, password: str) -> None:
        """Give an account a password; an earlier one, and a lock, end with that.

        Raises:
            IdentityError: The password is too short, too long or the name itself.
        """
        if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise IdentityError(
                f"the password has {len(password)} characters, expected {MIN_PASSWORD} to "
                f"{MAX_PASSWORD}",
                remedy="take several words that do not belong together",
            )
        if account_of(name) in account_of(password):
            raise IdentityError(
                "the password contains the account's name", remedy="take one that does not"
            )
        self._replace(name, lambda _: _Secret(password=self._hash(password)))

    def new_token(self, name: str) -> str:
        """Give a service account a token; an earlier one ends with that.

        Returns:
            The token, which is stored nowhere.
        """
        secret = self._random_hex(_TOKEN_BYTES)
        # SHA-256 is enough for 256 bits of chance, which nobody guesses.
        digest = hashlib.sha256(secret.encode()).hexdigest()
        self._replace(name, lambda _: _Secret(token_sha256=digest))
        return f"{TOKEN_PREFIX}.{account_of(name).encode().hex()}.{secret}"

    def sign_in(self, name: str, password: str) -> Person:
        """Who signs in with a password.

        Returns:
            The account.

        Raises:
            SignInRefused: Unknown, disabled, locked, or the password is wrong.
            StoreUnavailable: The store does not answer.
        """
        person = self._directory.find(name) if account_of(name) else None
        secret = None if person is None else self._count_attempt(name)
        usable = secret is not None and bool(secret.password) and len(password) <= MAX_PASSWORD
        # Hashed in every case, for that takes the time; what an account costs besides are two
        # requests of the store, and names are no secret.
        right = self._matches(secret.password if secret and usable else None, password)
        if person is None:
            raise refusal(f"{name!r} is nobody in the directory")
        if secret is None:
            raise refusal(f"{person.name} is locked after {MAX_FAILURES} failures, or busy")
        if not right:
            raise refusal(f"the password of {person.name} is wrong, or they have none")
        if person.disabled:
            raise refusal(f"{person.name} is disabled")
        self._replace(name, lambda found: replace(found, failures=0, last_failure=0.0))
        return person

    def check_token(self, token: str) -> Person:
        """Whose token it is.

        Raises:
            SignInRefused: It is no token, nobody's, or of an account that is disabled.
            StoreUnavailable: The store does not answer.
        """
        try:
            prefix, account, secret = token.strip().split(".")
            name = bytes.fromhex(account).decode()
        except ValueError as error:
            raise refusal("it is no token of Interlock") from error
        person = self._directory.find(name) if account_of(name) else None
        found = None if person is None else self._read(name)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        stored = "" if found is None else found[0].token_sha256
        if prefix != TOKEN_PREFIX or person is None or not hmac.compare_digest(digest, stored):
            raise refusal(f"the token is not that of {name!r}")
        if person.disabled:
            raise refusal(f"{person.name} is disabled")
        return person

    def _count_attempt(self, name: str) -> _Secret | None:
        """The secret, with this attempt counted as failed; None while it is locked."""
        for _ in range(ATTEMPTS):
            found = self._read(name)
            if found is None:
                return _Secret()
            secret, etag = found
            now = self._clock()
            if secret.is_locked(now):
                return None
            before = 0 if secret.failures >= MAX_FAILURES else secret.failures
            counted = replace(secret, failures=before + 1, last_failure=now.timestamp())
            try:
                self._write(name, counted, etag)
            except PreconditionFailed:
                continue
            return counted
        return None

    def _replace(self, name: str, edit: Callable[[_Secret], _Secret]) -> None:
        for _ in range(ATTEMPTS):
            found = self._read(name)
            try:
                if found is None:
                    self._write(name, edit(_Secret()), None)
                else:
                    self._write(name, edit(found[0]), found[1])
            except (PreconditionFailed, ObjectExists):
                continue
            return
        raise IdentityError(f"{name} is being changed by others", remedy="try again")

    def _matches(self, stored: str | None, password: str) -> bool:
        from argon2.exceptions import Argon2Error, InvalidHashError

        if stored is None:
            if self._nobody is None:
                self._nobody = self._hash(self._random_hex(_TOKEN_BYTES))
            stored, possible = self._nobody, False
        else:
            possible = True
        try:
            self._hasher.verify(stored, password[:MAX_PASSWORD])
        except (Argon2Error, InvalidHashError):
            return False
        return possible

    def _hash(self, password: str) -> str:
        return self._hasher.hash(password)

    def _read(self, name: str) -> tuple[_Secret, str] | None:
        key = key_of(CREDENTIALS_PREFIX, name)
        try:
            found = self._store.read(self._bucket, key)
        except ObjectMissing:
            return None
        try:
            return _decode(found.data), found.info.etag
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"{key} is not what this version writes",
                remedy="give the account a new password or token",
            ) from error

    def _write(self, name: str, secret: _Secret, etag: str | None) -> None:
        key = key_of(CREDENTIALS_PREFIX, name)
        body = json.dumps({"schema": _SCHEMA, **asdict(secret)}, indent=2).encode()
        if etag is None:
            self._store.put_new(self._bucket, key, body)
        else:
            self._store.put_matching(self._bucket, key, body, etag=etag)


def _decode(data: bytes) -> _Secret:
    stored: dict[str, Any] = json.loads(data)
    if stored.pop("schema") != _SCHEMA:
        raise ValueError(_SCHEMA)
    return _Secret(**stored)


def refusal(why: str) -> SignInRefused:
    """The one answer to every sign-in that does not succeed.

    Args:
        why: The cause, for the record.
    """
    return SignInRefused(
        "the sign-in did not succeed",
        remedy=f"check name and password; after {MAX_FAILURES} failures an account is locked for "
        f"{LOCKED_FOR.total_seconds() / 60:.0f} minutes",
        why=why,
    )
