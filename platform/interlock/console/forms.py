"""Forms: what proves that one is of this console, and what was filled in.

A proof is bound to the account that got the page and to the process that made it, and ends with
the working day. It stands beside the door's checks of Host and Origin. ADR-0013.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Final
from urllib.parse import parse_qs

from fastapi import Depends, Request

from interlock.errors import RequestRefused

LIFETIME: Final = timedelta(hours=10)  # as long as a session
MAX_FORM: Final = 16_384  # bytes; a reason has 2,000 characters
MAX_FIELDS: Final = 20
FORM_TYPE: Final = "application/x-www-form-urlencoded"


class Forms:
    """Makes and checks proofs.

    Args:
        secret: Of this process alone, 32 random bytes.
        clock: The time, aware UTC.
    """

    def __init__(self, secret: bytes, *, clock: Callable[[], datetime]) -> None:
        self._secret = secret
        self._clock = clock

    def proof(self, account: str) -> str:
        """What a form for somebody carries."""
        begun = str(int(self._clock().timestamp()))
        return f"{begun}.{self._mac(account, begun)}"

    def require(self, account: str, proof: str) -> None:
        """Refuse a form that was not made for somebody by this process, lately.

        Raises:
            RequestRefused: Says which.
        """
        begun, _, mac = proof.partition(".")
        known = begun.isascii() and begun.isdigit()
        if not known or not hmac.compare_digest(mac.encode(), self._mac(account, begun).encode()):
            raise RequestRefused(403, "the form does not carry the proof that it is of this page")
        age = self._clock().timestamp() - int(begun)
        if not 0 <= age <= LIFETIME.total_seconds():
            raise RequestRefused(403, "the page that the form is on was opened too long ago")

    def _mac(self, account: str, begun: str) -> str:
        said = f"{begun}.{account}".encode()
        return hmac.new(self._secret, said, hashlib.sha256).hexdigest()


async def _form(request: Request) -> Mapping[str, str]:
    """What was filled in; of a field that is there twice, nothing is believed."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM_TYPE:
        raise RequestRefused(415, f"a form is sent as {FORM_TYPE}")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM:
            raise RequestRefused(413, f"the form has more than {MAX_FORM} bytes")
    try:
        found = parse_qs(
            body.decode(), keep_blank_values=True, strict_parsing=bool(body), errors="strict",
            max_num_fields=MAX_FIELDS,
        )  # fmt: skip
    except ValueError as error:
        raise RequestRefused(400, "the form cannot be read") from error
    if any(len(values) > 1 for values in found.values()):
        raise RequestRefused(400, "the form has a field twice")
    return {name: values[0].replace("\r\n", "\n").strip() for name, values in found.items()}


Form = Annotated[Mapping[str, str], Depends(_form)]
"""The parameter of a page that takes what was filled in."""
