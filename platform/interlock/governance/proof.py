"""What shows who decided: a key of their own, a server where they signed in, or a word alone.

Pure. That a signature is that of a key is found out before, in ``adapters``; what a decision
without proof is worth is decided in ``approval.py``. ADR-0011.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from interlock.governance.principal import Environment, IdentitySource, account_of
from interlock.governance.statement import Statement

SERVER: Final = ""  # in place of an account: the key is a server's, for whoever signed in there
SIGNED_IN: Final = frozenset({IdentitySource.LOCAL.value, IdentitySource.OIDC_PROXY.value})


class Proof(StrEnum):
    """What shows who decided."""

    OWN_KEY = "a key of their own"
    SIGN_IN = "a server where they signed in"
    WORD = "the operator's word alone"


def proof_of(statement: Statement, signed_for: str) -> Proof:
    """What shows who decided.

    Args:
        statement: Its signature was verified.
        signed_for: As in ``Signed``.
    """
    if signed_for and signed_for == account_of(statement.subject):
        return Proof.OWN_KEY
    is_server = signed_for == SERVER and statement.verified_by in SIGNED_IN
    return Proof.SIGN_IN if is_server else Proof.WORD


def unproven(statement: Statement, signed_for: str) -> str:
    """Why it is not shown who decided; empty where it is, and in dev, where nobody has to.

    Args:
        statement: Its signature was verified.
        signed_for: As in ``Signed``.
    """
    if statement.seen.environment == Environment.DEV.value:
        return ""
    if proof_of(statement, signed_for) is not Proof.WORD:
        return ""
    return (
        f"rests on {Proof.WORD} ({statement.verified_by}): nobody verified that "
        f"{statement.subject} decided, and no key of theirs signed it"
    )
