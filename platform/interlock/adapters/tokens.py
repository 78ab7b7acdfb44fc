"""Signed tokens: what proves who started a run.

Everything else in a run's tags can be typed by anybody. A schedule's token is a JWT signed
with a key that the code location holds; it names the products that the run may touch, it
ends, and it is good for one run: the first run that shows it claims it in the object store.
What a proven token permits is decided by the policies.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from interlock.adapters.object_store import ObjectStore
from interlock.errors import ConfigurationError, ObjectExists

MIN_KEY_BYTES = 32  # RFC 7518, 3.2: HS256 keys are at least as long as the hash
LIFETIME = timedelta(days=1)  # a queued run may wait; a copied token may not live on
_ALGORITHM = "HS256"
_ISSUER = "interlock/schedule"
_AUDIENCE = "interlock/run"


class RunTokens:
    """Issues and checks the tokens of scheduled runs.

    Args:
        key: Secret of the code location, at least 32 bytes.
        clock: The time, aware UTC.

    Raises:
        ConfigurationError: The key is too short.
    """

    def __init__(self, key: bytes, *, clock: Callable[[], datetime]) -> None:
        if len(key) < MIN_KEY_BYTES:
            raise ConfigurationError(
                f"RUN_SIGNING_KEY has {len(key)} bytes, expected at least {MIN_KEY_BYTES}",
                remedy="set it to the output of `openssl rand -hex 32`",
            )
        self._key = key
        self._clock = clock

    def issue(self, *, schedule: str, products: Sequence[str], run_key: str) -> str:
        """A token for one run of a schedule.

        Args:
            schedule: The schedule's name.
            products: Products that the run may touch.
            run_key: The tick.

        Returns:
            A JWT.
        """
        import jwt

        now = self._clock()
        claims = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "sub": schedule,
            "jti": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{schedule}/{run_key}")),
            "products": list(products),
            "iat": now,
            "exp": now + LIFETIME,
        }
        return jwt.encode(claims, self._key, algorithm=_ALGORITHM)

    def proves(
        self, token: str, *, product: str, run_id: str, store: ObjectStore, bucket: str
    ) -> bool:
        """Whether a token proves that a schedule started this very run.

        Args:
            token: What the run's tag holds.
            product: The product that a step of the run touches.
            run_id: The run.
            store: Where claims are kept.
            bucket: The data bucket.

        Returns:
            True for the first run that shows an intact token in time, and for that run again;
            False for a forged, expired, copied or inherited one.

        Raises:
            StoreUnavailable: The claim could not be made.
        """
        claims = self._claims(token)
        if claims is None or product not in claims["products"]:
            return False
        claim = f"claims/{claims['jti']}"
        try:
            store.put_new(bucket, claim, run_id.encode(), content_type="text/plain")
        except ObjectExists:
            return store.get_oldest(bucket, claim) == run_id.encode()
        return True

    def schedule_of(self, token: str) -> str | None:
        """The schedule that an intact token in time names; None for any other text."""
        claims = self._claims(token)
        return None if claims is None else str(claims["sub"])

    def _claims(self, token: str) -> dict[str, Any] | None:
        import jwt

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                issuer=_ISSUER,
                options={
                    "require": ["exp", "iat", "iss", "aud", "sub", "jti", "products"],
                    # Times are compared with the clock that was passed in, below.
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            expires = float(claims["exp"])
        except (jwt.InvalidTokenError, ValueError, TypeError):
            return None
        if expires <= self._clock().timestamp() or not isinstance(claims["products"], list):
            return None
        return claims
