"""What a request must be before anybody looks at who sent it: host, origin, size, headers.

Pure on the values of an ASGI scope. What becomes of a refused request is in ``gate.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from starlette.requests import cookie_parser

MAX_BODY: Final = 1_048_576  # bytes; the longest that Dagster's pages send is run configuration
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
IDENTITY_HEADERS: Final = (
    "remote-user",
    "x-auth-request-",
    "x-authenticated-",
    "x-forwarded-access-token",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-goog-",
    "x-remote-",
    "x-user",
    "x-webauth-",
    "x-amzn-oidc-",
    "cf-access-",
    "x-interlock-",
)
"""How headers begin that say who somebody is; a client may write any of them itself."""

SECURITY_HEADERS: Final = (
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
)

OVER_HTTPS: Final = ((b"strict-transport-security", b"max-age=31536000"),)
"""What else every answer says where browsers reach a server over https alone: a year of it."""

Headers = Sequence[tuple[bytes, bytes]]


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """Headers by lower-case name; of a repeated one all values, so that none is overlooked."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]},{text}" if key in found else text
    return found


def cookies_of(headers: Mapping[str, str]) -> dict[str, str]:
    """Cookies by name, each read by itself as browsers do: an odd one hides no other."""
    return cookie_parser(headers.get("cookie", ""))


def is_own_host(headers: Mapping[str, str], hosts: Iterable[str]) -> bool:
    """Whether a request is for this server by a name that is its own."""
    return headers.get("host", "").lower() in hosts


def is_own_origin(headers: Mapping[str, str], hosts: Iterable[str], *, https: bool) -> bool:
    """Whether the page that sent a request is this server's own, as the browser says.

    Args:
        headers: By lower-case name.
        hosts: Names of this server.
        https: Whether browsers reach it over https alone.
    """
    origin = urlsplit(headers.get("origin", ""))
    schemes = {"https"} if https else {"http", "https"}
    return origin.scheme in schemes and origin.netloc.lower() in hosts


def without_identity(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Headers without those that say who somebody is; what follows asks the gate alone."""
    prefixes = tuple(each.encode() for each in (*IDENTITY_HEADERS, "authorization"))
    # Some servers take an underscore for a hyphen.
    return [
        (name, value)
        for name, value in headers
        if not name.lower().replace(b"_", b"-").startswith(prefixes)
    ]


def with_security(
    headers: Iterable[tuple[bytes, bytes]], *, https: bool
) -> list[tuple[bytes, bytes]]:
    """Headers of an answer with those that every answer carries."""
    own = dict(SECURITY_HEADERS + OVER_HTTPS if https else SECURITY_HEADERS)
    kept = [(name, value) for name, value in headers if name.lower() not in own]
    return [*kept, *own.items()]
