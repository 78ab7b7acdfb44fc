"""Envelopes: what is signed is the payload with its type, byte for byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.errors import ApprovalError
from interlock.governance.dsse import (
    IN_TOTO,
    MAX_PAYLOAD_BYTES,
    Envelope,
    Signature,
    pae,
    read_envelope,
)

GOOD = Envelope(b'{"a":1}', (Signature("key", b"\x00\xff"),))


def test_pae_is_that_of_the_specification() -> None:
    """The example of DSSE's protocol.md."""
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(st.text(), st.binary(), st.text(), st.binary())
def test_two_payloads_are_never_signed_by_the_same_bytes(
    one: str, first: bytes, two: str, second: bytes
) -> None:
    assert (pae(one, first) == pae(two, second)) is ((one, first) == (two, second))


@given(st.binary(max_size=200), st.lists(st.binary(max_size=80), min_size=1, max_size=4))
def test_envelope_comes_back_as_it_was(payload: bytes, signatures: list[bytes]) -> None:
    envelope = Envelope(payload, tuple(Signature("hint", each) for each in signatures))
    assert read_envelope(envelope.document()) == envelope
    assert envelope.signed_bytes == pae(IN_TOTO, payload)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (None, "is NoneType, expected a mapping"),
        ([], "is list"),
        ({}, "has the fields []"),
        (GOOD.document() | {"more": 1}, "has the fields"),
        (GOOD.document() | {"payloadType": "text/plain"}, "payload type 'text/plain'"),
        (GOOD.document() | {"payload": 3}, "has a payload that is no text"),
        (GOOD.document() | {"payload": "!"}, "has a payload that is no base64"),
        (GOOD.document() | {"payload": "é"}, "has a payload that is no base64"),
        (GOOD.document() | {"signatures": []}, "has no list of 1 to 4 signatures"),
        (GOOD.document() | {"signatures": {"keyid": "a"}}, "has no list|without exactly"),
        (GOOD.document() | {"signatures": 7}, "has no list"),
        (GOOD.document() | {"signatures": [{"keyid": "a", "sig": ""}] * 5}, "has no list"),
        (GOOD.document() | {"signatures": ["x"]}, "without exactly keyid and sig"),
        (GOOD.document() | {"signatures": [{"sig": ""}]}, "without exactly keyid and sig"),
        (GOOD.document() | {"signatures": [{"sig": "", "keyid": 1}]}, "keyid is no text"),
        (
            Envelope(b"x" * (MAX_PAYLOAD_BYTES + 1), GOOD.signatures).document(),
            "has 32769 bytes, expected at most 32768",
        ),
    ],
)
def test_what_is_no_envelope_is_refused(document: Any, says: str) -> None:
    with pytest.raises(
        ApprovalError, match=says.replace("[", r"\[").replace("]", r"\]")
    ) as refusal:
        read_envelope(document)
    assert refusal.value.remedy
