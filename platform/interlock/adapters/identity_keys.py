"""Public keys of those who vouch for people: JWKS of an issuer, keys of AWS load balancers.

Fetched from addresses that the operator gave, never from one that a token names. Checking a token
with them is in ``identity_tokens.py``. ADR-0012.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.request
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from interlock.errors import ConfigurationError, IdentityError

if TYPE_CHECKING:
    from jwt import PyJWK

MAX_BYTES: Final = 262_144  # bytes; a set of ten RSA keys has some 10,000
SECONDS: Final = 3.0  # for one answer: somebody waits for their page
FRESH: Final = timedelta(minutes=10)
USABLE: Final = timedelta(days=1)  # of keys that were fetched, while their address gives no answer
PAUSE: Final = timedelta(seconds=30)  # between fetches: unknown keys must not become a flood
MAX_KEYS: Final = 64  # of a load balancer, kept
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_ASYMMETRIC: Final = frozenset({"RSA", "EC"})

Fetch = Callable[[str], bytes]


class KeySource(Protocol):
    """Whoever knows the public keys of an issuer."""

    def key(self, key_id: str, algorithm: str) -> Any:
        """The key that a token names.

        Args:
            key_id: As its header says.
            algorithm: As its header says; one that is allowed.

        Returns:
            A public key as PyJWT takes it.

        Raises:
            IdentityError: There is no such key, or nobody can be asked.
        """
        ...


class JwksKeys:
    """The keys of an issuer, from its JWKS address (RFC 7517).

    Args:
        url: Where they are; https, or http on loopback.
        clock: The time, aware UTC.
        fetch: Gets an address.

    Raises:
        ConfigurationError: The address is neither.
    """

    def __init__(
        self, url: str, *, clock: Callable[[], datetime], fetch: Fetch | None = None
    ) -> None:
        self._url = checked_url(url)
        self._clock = clock
        self._fetch = fetch or fetch_bytes
        self._lock = threading.Lock()
        self._keys: Mapping[str, PyJWK] = {}
        self._fetched: datetime | None = None
        self._tried: datetime | None = None

    def key(self, key_id: str, algorithm: str) -> Any:
        """As the interface says; a key that is not known yet is looked for anew.

        Args:
            key_id: As the header says.
            algorithm: As the header says.
        """
        with self._lock:
            if key_id not in self._keys or self._age() > FRESH:
                self._refresh()
            found = self._keys.get(key_id)
        if found is None:
            raise IdentityError(
                f"the token is signed with an unknown key {key_id[:64]!r}",
                remedy="sign in again; if that does not help, check issuer and address of its keys",
            )
        if found.algorithm_name != algorithm:
            raise IdentityError(
                f"the token is signed with {algorithm}, its key is for {found.algorithm_name}",
                remedy="check who issued it",
            )
        return found.key

    def _age(self) -> timedelta:
        return timedelta.max if self._fetched is None else self._clock() - self._fetched

    def _refresh(self) -> None:
        now = self._clock()
        if self._tried is not None and now - self._tried < PAUSE:
            return
        self._tried = now
        try:
            self._keys = _key_set(self._fetch(self._url), self._url)
            self._fetched = now
        except IdentityError:
            if self._age() > USABLE:
                self._keys = {}
                raise


class AlbKeys:
    """The keys of AWS load balancers of a region, each at an address of its own.

    Args:
        base_url: What key ids are added to; see ``alb_key_url``.
        clock: The time, aware UTC.
        fetch: Gets an address.

    Raises:
        ConfigurationError: The address is neither https nor on loopback.
    """

    def __init__(
        self, base_url: str, *, clock: Callable[[], datetime], fetch: Fetch | None = None
    ) -> None:
        self._base = checked_url(base_url).rstrip("/")
        self._clock = clock
        self._fetch = fetch or fetch_bytes
        self._lock = threading.Lock()
        self._keys: dict[str, Any] = {}
        self._missing: dict[str, datetime] = {}

    def key(self, key_id: str, algorithm: str) -> Any:
        """As the interface says; a key never changes, so it is fetched once.

        Args:
            key_id: As the header says.
            algorithm: As the header says; ES256, as load balancers sign.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        if _KEY_ID.fullmatch(key_id) is None:  # it becomes part of an address
            raise IdentityError(f"{key_id[:64]!r} is no id of a key", remedy="sign in again")
        with self._lock:
            if key_id in self._keys:
                return self._keys[key_id]
            missed = self._missing.get(key_id)
            if missed is not None and self._clock() - missed < PAUSE:
                raise IdentityError(f"there is no key {key_id}", remedy="sign in again")
            try:
                found = load_pem_public_key(self._fetch(f"{self._base}/{key_id}"))
            except (IdentityError, ValueError, UnsupportedAlgorithm) as error:
                if len(self._missing) >= MAX_KEYS:
                    self._missing.clear()
                self._missing[key_id] = self._clock()
                raise IdentityError(
                    f"there is no key {key_id} at {self._base}", remedy="check the region"
                ) from error
            if algorithm != "ES256" or not isinstance(found, EllipticCurvePublicKey):
                raise IdentityError(
                    f"the key {key_id} is none for ES256", remedy="check the region"
                )
            if len(self._keys) >= MAX_KEYS:
                self._keys.clear()
            self._keys[key_id] = found
            return found


def alb_key_url(region: str) -> str:
    """Where load balancers of a region publish their keys (AWS, "Authenticate users using an ALB").

    Args:
        region: E.g. ``eu-central-1``.
    """
    if region.startswith("us-gov-"):
        return f"https://s3-{region}.amazonaws.com/aws-elb-public-keys-prod-{region}"
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://public-keys.auth.elb.{region}.{domain}"


def checked_url(url: str) -> str:
    """An address that keys may come from.

    Raises:
        ConfigurationError: It is neither https nor on this machine.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return url
    raise ConfigurationError(
        f"{url} is no address for keys, expected https", remedy="use the issuer's https address"
    )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Leaves a redirection as the error that it is here."""

    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        """No other address is asked."""


def fetch_bytes(url: str) -> bytes:
    """What an address answers.

    Raises:
        IdentityError: No answer in time, no success, a redirection, or too much of it.
    """
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        with opener.open(url, timeout=SECONDS) as answer:
            body: bytes = answer.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise IdentityError(
            f"the keys at {url} cannot be read: {error}", remedy="check address and network"
        ) from error
    if len(body) > MAX_BYTES:
        raise IdentityError(
            f"{url} answers more than {MAX_BYTES} bytes", remedy="check the address"
        )
    return body


def _key_set(body: bytes, url: str) -> Mapping[str, PyJWK]:
    """The usable keys of a set: for signatures, asymmetric, with an id."""
    from jwt import PyJWK
    from jwt.exceptions import PyJWKError, PyJWTError

    try:
        listed = json.loads(body)["keys"]
        candidates = [
            each
            for each in listed
            if each.get("kty") in _ASYMMETRIC
            and each.get("use", "sig") == "sig"
            and each.get("kid")
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IdentityError(f"{url} answers no set of keys", remedy="check the address") from error
    keys = {}
    for each in candidates:
        try:
            keys[str(each["kid"])] = PyJWK.from_dict(each)
        except (PyJWKError, PyJWTError, ValueError):  # of a kind that we do not know
            continue
    return keys
