"""The keys whose decisions are believed, and whose decisions each of them may sign.

A key belongs to one account, and then signs decisions of that account alone; or to a server, which
verified who decides before it signed. Making and checking a signature is in ``signer.py``; when a
decision counts is in ``governance.approval``. ADR-0011.

The form is PEM. In front of a person's key stands whose it is; a server's key has no such line::

    Account: grace@example.com
    -----BEGIN PUBLIC KEY-----

Lines that begin with ``#`` are comments. Anything else is refused: a line that nobody understands
must not make a person's key pass for a server's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interlock.adapters.signer import PUBLIC_PEM, PublicKey, public_key_of, read_pem
from interlock.errors import SignatureInvalid, SigningError
from interlock.governance.approval import SERVER
from interlock.governance.principal import account_of

_ACCOUNT: Final = re.compile(r"Account:[ \t]*(\S.*)")
_REMEDY: Final = "write keys as docs/operations.md shows it under Approvals"


@dataclass(frozen=True)
class BelievedKey:
    """A key whose decisions are believed.

    Attributes:
        key: Checks its signatures.
        account: Whose decisions it signs, canonical; ``SERVER`` for a server's.
    """

    key: PublicKey
    account: str


@dataclass(frozen=True)
class Signatories:
    """Who may have signed, of those whose keys are believed; nobody where there is no key.

    Attributes:
        keys: Those that are believed.
    """

    keys: tuple[BelievedKey, ...] = ()

    @property
    def people(self) -> tuple[str, ...]:
        """Accounts with a key of their own, by name."""
        return tuple(sorted({each.account for each in self.keys} - {SERVER}))

    @property
    def servers(self) -> int:
        """How many keys are servers'."""
        return sum(each.account == SERVER for each in self.keys)

    def of(self, message: bytes, signature: bytes) -> frozenset[str]:
        """The accounts whose keys made a signature, with ``SERVER`` for the key of a server.

        Args:
            message: What was signed.
            signature: DER.
        """
        return frozenset(each.account for each in self.keys if _made(each.key, message, signature))


NOBODY: Final = Signatories()


def read_believed_keys(source: Path | str) -> tuple[BelievedKey, ...]:
    """Reads the keys whose decisions are believed.

    Args:
        source: A file, or the text itself; the form is that of this module.

    Raises:
        SigningError: It holds no key, something else, or one key for two.
    """
    pem, where = read_pem(source)
    found: list[BelievedKey] = []
    end = 0
    for block in PUBLIC_PEM.finditer(pem):
        account = _account_in(pem[end : block.start()], where)
        found.append(BelievedKey(public_key_of(block.group(), where), account))
        end = block.end()
    if _account_in(pem[end:], where) or not found:
        raise SigningError(f"{where} ends without a public key in PEM", remedy=_REMEDY)
    _require_one_owner(found, where)
    return tuple(found)


def _made(key: PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(message, signature)
    except SignatureInvalid:
        return False
    return True


def _account_in(text: bytes, where: str) -> str:
    """The account that the lines in front of a key name; ``SERVER`` when they name none."""
    found: list[str] = []
    for line in text.decode("utf-8", "replace").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        named = _ACCOUNT.fullmatch(line.rstrip())
        if named is None or not account_of(named.group(1)) or not line.isprintable():
            raise SigningError(
                f"{where} holds the line {line[:80]!r}, expected a key in PEM, `Account: NAME` or "
                "a comment",
                remedy=_REMEDY,
            )
        found.append(account_of(named.group(1)))
    if len(found) > 1:
        raise SigningError(f"{where} names {' and '.join(found)} for one key", remedy=_REMEDY)
    return found[0] if found else SERVER


def _require_one_owner(keys: Sequence[BelievedKey], where: str) -> None:
    """One key in two hands would let one person be two.

    Raises:
        SigningError: A key stands there for two.
    """
    owners: dict[str, str] = {}
    for each in keys:
        other = owners.setdefault(each.key.fingerprint, each.account)
        if other != each.account:
            names = " and ".join(name or "a server" for name in (other, each.account))
            raise SigningError(
                f"{where} gives one key to {names}", remedy="give everybody a key of their own"
            )
