"""What is signed, and how a signature travels: a DSSE envelope around exact bytes.

Here live the bytes that a signature is over (PAE) and the envelope as JSON values. What the
payload says is in ``approval.py``; making and checking signatures is ``adapters/signer.py``.

The format is DSSE v1 (https://github.com/secure-systems-lab/dsse, ``protocol.md`` and
``envelope.md``): the signature is over ``PAE(type, payload)``, so that neither can be exchanged
alone, and a verifier reads the payload's bytes as they were signed, never written again.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from interlock.errors import ApprovalError

IN_TOTO: Final = "application/vnd.in-toto+json"  # in-toto attestation v1, "Envelope"
MAX_PAYLOAD_BYTES: Final = 32_768  # bytes; an audit event of 65,536 holds it in base64
MAX_SIGNATURES: Final = 4  # of which each is checked with every believed key


@dataclass(frozen=True)
class Signature:
    """A signature and a hint at its key, which proves nothing."""

    key_id: str
    value: bytes


@dataclass(frozen=True)
class Envelope:
    """A payload with its signatures, none of which was checked yet.

    Attributes:
        payload: The exact bytes.
        signatures: At least one.
        payload_type: Media type of the payload, part of what is signed.
    """

    payload: bytes
    signatures: tuple[Signature, ...]
    payload_type: str = IN_TOTO

    @property
    def signed_bytes(self) -> bytes:
        """What each signature is over."""
        return pae(self.payload_type, self.payload)

    def document(self) -> dict[str, object]:
        """The envelope as JSON values."""
        return {
            "payload": base64.b64encode(self.payload).decode(),
            "payloadType": self.payload_type,
            "signatures": [
                {"keyid": each.key_id, "sig": base64.b64encode(each.value).decode()}
                for each in self.signatures
            ],
        }


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding (DSSE v1, "Signature Definition")."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def read_envelope(document: object) -> Envelope:
    """Read an envelope from JSON values.

    Args:
        document: As ``Envelope.document`` makes it.

    Returns:
        The envelope; its signatures are still to be checked.

    Raises:
        ApprovalError: It is no envelope of a statement.
    """
    if not isinstance(document, Mapping):
        raise _unreadable(f"is {type(document).__name__}, expected a mapping")
    if set(document) != {"payload", "payloadType", "signatures"}:
        raise _unreadable(f"has the fields {sorted(map(str, document))}")
    if document["payloadType"] != IN_TOTO:
        raise _unreadable(f"has payload type {document['payloadType']!r}, expected {IN_TOTO}")
    payload = _from_base64(document["payload"], "payload")
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise _unreadable(f"has {len(payload)} bytes, expected at most {MAX_PAYLOAD_BYTES}")
    found = document["signatures"]
    if not isinstance(found, Sequence) or not 1 <= len(found) <= MAX_SIGNATURES:
        raise _unreadable(f"has no list of 1 to {MAX_SIGNATURES} signatures")
    return Envelope(payload, tuple(map(_signature, found)))


def _signature(found: object) -> Signature:
    if not isinstance(found, Mapping) or set(found) != {"keyid", "sig"}:
        raise _unreadable("has a signature without exactly keyid and sig")
    key_id = found["keyid"]
    if not isinstance(key_id, str):
        raise _unreadable("has a signature whose keyid is no text")
    return Signature(key_id, _from_base64(found["sig"], "sig"))


def _from_base64(found: object, name: str) -> bytes:
    if not isinstance(found, str):
        raise _unreadable(f"has a {name} that is no text")
    try:
        return base64.b64decode(found, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable(f"has a {name} that is no base64") from error


def _unreadable(what: str) -> ApprovalError:
    return ApprovalError(
        f"the envelope {what}", remedy="have the decision made and signed by Interlock again"
    )
