"""Verified tokens from a proxy: AWS load balancers, any OpenID Connect issuer, Cloudflare Access.

A token is believed when its signature is that of the issuer's own key, with an algorithm that the
operator allowed, and issuer, audience and times are right; of a load balancer also that the signer
is ours. Nothing that the token says about where to look is followed. What groups mean here is in
``identity_mapping.py``; whose keys these are in ``identity_keys.py``. ADR-0012.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from interlock.adapters.identity_keys import KeySource
from interlock.errors import IdentityError
from interlock.governance.principal import account_of

LEEWAY: Final = timedelta(seconds=60)  # by which clocks may differ
MAX_TOKEN: Final = 16_384  # characters; a header of HTTP is not longer
MAX_GROUPS: Final = 500
ALB_HEADER: Final = "x-amzn-oidc-data"
CLOUDFLARE_HEADER: Final = "cf-access-jwt-assertion"
_TRUE: Final = (True, "true")
_AGAIN: Final = "sign in again; if that does not help, ask whoever operates the proxy"


@dataclass(frozen=True, kw_only=True)
class TokenRules:
    """What a token must be to be believed.

    Attributes:
        issuer: Who issued it.
        audience: For whom: the client id, or the application's tag.
        algorithms: Signature algorithms, asymmetric ones alone.
        subject: The claim that names a person, the same for one person always.
        groups: The claim that lists their groups.
        signer: ARN of the load balancer that must have signed it; None where none stands before.
    """

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    subject: str
    groups: str
    signer: str | None = None


@dataclass(frozen=True)
class VerifiedIdentity:
    """Whom a token that was believed is about.

    Attributes:
        subject: Their name.
        groups: Their groups, as the issuer calls them.
        expires: Until when the token says so.
    """

    subject: str
    groups: frozenset[str]
    expires: datetime


class TokenVerifier:
    """Checks tokens of one issuer.

    Args:
        rules: What they must be.
        keys: The issuer's keys.
        clock: The time, aware UTC.
    """

    def __init__(
        self, rules: TokenRules, keys: KeySource, *, clock: Callable[[], datetime]
    ) -> None:
        self.rules = rules
        self._keys = keys
        self._clock = clock

    def verify(self, token: str) -> VerifiedIdentity:
        """Whom a token is about.

        Args:
            token: As the proxy's header holds it.

        Returns:
            The identity.

        Raises:
            IdentityError: It is not believed; says why.
        """
        header = self._header(token)
        key_id, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(key_id, str):
            raise _refused("the token names no key")
        claims = self._claims(token, self._keys.key(key_id, str(algorithm)), str(algorithm))
        expires = self._check_times(claims)
        return VerifiedIdentity(
            subject=self._subject(claims), groups=self._groups(claims), expires=expires
        )

    def _header(self, token: str) -> Mapping[str, Any]:
        import jwt

        if len(token) > MAX_TOKEN:
            raise _refused(f"the token has {len(token)} characters, expected at most {MAX_TOKEN}")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError) as error:
            raise _refused(f"it is no token: {error}") from error
        if header.get("alg") not in self.rules.algorithms:
            raise _refused(
                f"the token's algorithm is {header.get('alg')!r}, expected one of "
                f"{', '.join(self.rules.algorithms)}"
            )
        if "crit" in header:  # RFC 7515, 4.1.11: what is not understood is refused
            raise _refused(f"the token demands {header['crit']!r}, which is not understood")
        if self.rules.signer is not None:
            # A load balancer's header is part of what is signed, and says what claims do not.
            if header.get("signer") != self.rules.signer:
                raise _refused(
                    f"the token was signed by {header.get('signer')!r}, expected "
                    f"{self.rules.signer}"
                )
            if header.get("client") != self.rules.audience:
                raise _refused(f"the token is for the client {header.get('client')!r}, not for us")
        return header

    def _claims(self, token: str, key: Any, algorithm: str) -> Mapping[str, Any]:
        import jwt

        of_load_balancer = self.rules.signer is not None
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=self.rules.issuer,
                audience=None if of_load_balancer else self.rules.audience,
                options={
                    "require": ["exp", "iss"] if of_load_balancer else ["exp", "iss", "aud", "iat"],
                    "verify_aud": not of_load_balancer,
                    # Times are compared with the clock that was passed in.
                    "verify_exp": False,
                    "verify_iat": False,
                    "verify_nbf": False,
                },
            )
        except (jwt.InvalidTokenError, jwt.InvalidKeyError, ValueError, TypeError) as error:
            raise _refused(f"the token is not believed: {error}") from error
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> datetime:
        now, leeway = self._clock().timestamp(), LEEWAY.total_seconds()
        expires = _seconds(claims, "exp")
        if expires + leeway <= now:
            raise _refused("the token has expired")
        for name in ("nbf", "iat"):
            if name in claims and _seconds(claims, name) - leeway > now:
                raise _refused(f"the token is from the future ({name})")
        try:
            return datetime.fromtimestamp(expires, tz=self._clock().tzinfo)
        except (OverflowError, ValueError, OSError) as error:
            raise _refused("the token never expires") from error

    def _subject(self, claims: Mapping[str, Any]) -> str:
        found = claims.get(self.rules.subject)
        if not isinstance(found, str) or not account_of(found) or not found.isprintable():
            raise _refused(f"the token names nobody: its claim {self.rules.subject} is {found!r}")
        # An address that nobody verified can be written by whoever opens an account there.
        verified = claims.get("email_verified", True)
        if self.rules.subject == "email" and verified not in _TRUE:
            raise _refused(f"the address {found} was not verified by the issuer")
        return found.strip()

    def _groups(self, claims: Mapping[str, Any]) -> frozenset[str]:
        found = claims.get(self.rules.groups, [])
        listed = found.split(",") if isinstance(found, str) else found
        if not isinstance(listed, list) or len(listed) > MAX_GROUPS:
            raise _refused(
                f"the claim {self.rules.groups} is no list of at most {MAX_GROUPS} groups"
            )
        return frozenset(each.strip() for each in listed if isinstance(each, str) and each.strip())


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    found = claims.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise _refused(f"the token's {name} is {found!r}, expected seconds since 1970")
    return float(found)


def _refused(message: str) -> IdentityError:
    return IdentityError(message, remedy=_AGAIN)
