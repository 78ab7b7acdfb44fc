"""Which tokens of a proxy are believed. The issuer's keys come over HTTP from loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from issuer import CLIENT, ISSUER, SIGNER, Issuer, serving
from simulators import FakeClock

from interlock.adapters.identity_keys import (
    FRESH,
    MAX_BYTES,
    PAUSE,
    USABLE,
    AlbKeys,
    JwksKeys,
    alb_key_url,
    checked_url,
)
from interlock.adapters.identity_tokens import LEEWAY, MAX_TOKEN, TokenRules, TokenVerifier
from interlock.errors import ConfigurationError, IdentityError


@pytest.fixture
def issuer(clock: FakeClock) -> Iterator[Issuer]:
    with serving(clock) as made:
        yield made


def rules(**changes: Any) -> TokenRules:
    usual: dict[str, Any] = {
        "issuer": ISSUER,
        "audience": CLIENT,
        "algorithms": ("RS256", "ES256"),
        "subject": "email",
        "groups": "groups",
    }
    return TokenRules(**{**usual, **changes})


@pytest.fixture
def verifier(issuer: Issuer) -> TokenVerifier:
    keys = JwksKeys(f"{issuer.address}/jwks", clock=issuer.clock)
    return TokenVerifier(rules(), keys, clock=issuer.clock)


@pytest.fixture
def alb(issuer: Issuer) -> TokenVerifier:
    keys = AlbKeys(issuer.address, clock=issuer.clock)
    return TokenVerifier(rules(signer=SIGNER, algorithms=("ES256",)), keys, clock=issuer.clock)


def crafted(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """A token as no library would make it."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, claims)
    ]
    signed = b".".join(parts)
    signature = base64.urlsafe_b64encode(sign(signed)).rstrip(b"=")
    return b".".join([signed, signature]).decode()


def refused(verifier: TokenVerifier, token: str, why: str) -> None:
    with pytest.raises(IdentityError, match=why):
        verifier.verify(token)


def test_good_tokens_are_believed(issuer: Issuer, verifier: TokenVerifier) -> None:
    found = verifier.verify(issuer.token())
    assert (found.subject, found.groups) == (
        "ada@example.com",
        frozenset({"risk-engineers"}),
    )
    assert (found.expires - issuer.clock()).total_seconds() == 300
    assert verifier.verify(issuer.token("second", algorithm="ES256")).subject == "ada@example.com"
    # Cloudflare lists audiences; some issuers join groups with commas.
    listed = verifier.verify(issuer.token(aud=[CLIENT, "other"], groups="a, b,"))
    assert listed.groups == {"a", "b"}
    assert verifier.verify(issuer.token(groups=None)).groups == frozenset()


def test_token_signed_with_another_key_of_that_name_is_refused(
    issuer: Issuer, verifier: TokenVerifier
) -> None:
    foreign = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    refused(verifier, issuer.token(key=foreign), "Signature verification failed")


def test_token_without_a_signature_is_refused(issuer: Issuer, verifier: TokenVerifier) -> None:
    for spelling in ("none", "None", "NONE", ""):
        header = {"alg": spelling, "kid": "first"}
        refused(verifier, crafted(header, issuer.claims(), lambda _: b""), "algorithm is")


def test_public_key_is_no_secret_of_a_hash(issuer: Issuer, verifier: TokenVerifier) -> None:
    public = issuer.keys["first"].public_key()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    forged = crafted(
        {"alg": "HS256", "kid": "first"},
        issuer.claims(),
        lambda signed: hmac.new(pem, signed, hashlib.sha256).digest(),
    )
    refused(verifier, forged, "algorithm is 'HS256'")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"iss": "https://issuer.example.evil"}, "Invalid issuer"),
        ({"iss": None}, 'missing the "iss"'),
        ({"aud": "another"}, "Audience"),
        ({"aud": []}, "(?i)aud"),
        ({"aud": None}, 'missing the "aud"'),
        ({"exp": None}, 'missing the "exp"'),
        ({"iat": None}, 'missing the "iat"'),
        ({"exp": "tomorrow"}, "exp is 'tomorrow'"),
        ({"exp": True}, "exp is True"),
        ({"exp": 1e300}, "never expires"),
        ({"email": None}, "names nobody"),
        ({"email": "  "}, "names nobody"),
        ({"email": ["ada@example.com"]}, "names nobody"),
        ({"email": "ada\n@example.com"}, "names nobody"),
        ({"email_verified": False}, "was not verified"),
        ({"email_verified": "false"}, "was not verified"),
        ({"groups": {"risk": 1}}, "no list"),
        ({"groups": ["g"] * 501}, "no list"),
    ],
)
def test_token_that_says_something_else_is_refused(
    issuer: Issuer, verifier: TokenVerifier, changes: dict[str, Any], why: str
) -> None:
    refused(verifier, issuer.token(**changes), why)


def test_infinite_expiry_is_refused(issuer: Issuer, verifier: TokenVerifier) -> None:
    refused(verifier, issuer.token(exp=float("inf")), "exp is inf")


def test_clocks_may_differ_by_a_minute_and_not_more(
    issuer: Issuer, verifier: TokenVerifier, clock: FakeClock
) -> None:
    now, leeway = clock().timestamp(), LEEWAY.total_seconds()
    assert verifier.verify(issuer.token(exp=now - leeway + 1))
    assert verifier.verify(issuer.token(iat=now + leeway, nbf=now + leeway))
    refused(verifier, issuer.token(exp=now - leeway), "has expired")
    refused(verifier, issuer.token(iat=now + leeway + 1), r"from the future \(iat\)")
    refused(verifier, issuer.token(nbf=now + leeway + 1), r"from the future \(nbf\)")


def test_token_that_was_good_is_refused_once_it_has_expired(
    issuer: Issuer, verifier: TokenVerifier, clock: FakeClock
) -> None:
    token = issuer.token()
    assert verifier.verify(token)
    clock.advance(seconds=300 + LEEWAY.total_seconds())
    refused(verifier, token, "has expired")


def test_key_is_looked_for_where_the_operator_said_and_nowhere_else(
    issuer: Issuer, verifier: TokenVerifier
) -> None:
    foreign = ec.generate_private_key(ec.SECP256R1())
    own = jwt.algorithms.ECAlgorithm.to_jwk(foreign.public_key(), as_dict=True)
    header = {"jwk": own, "jku": f"{issuer.address}/evil", "x5u": f"{issuer.address}/evil"}
    forged = issuer.token("second", key=foreign, algorithm="ES256", header=header)
    refused(verifier, forged, "Signature verification failed")
    assert issuer.asked == ["/jwks"]


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("", "no token"),
        ("a.b.c", "no token"),
        ("x" * (MAX_TOKEN + 1), "characters"),
        (".".join(["e30"] * 3), "algorithm is None"),
    ],
)
def test_what_is_no_token_is_refused(verifier: TokenVerifier, token: str, why: str) -> None:
    refused(verifier, token, why)


def test_token_without_key_or_with_demands_is_refused(
    issuer: Issuer, verifier: TokenVerifier
) -> None:
    key = issuer.keys["first"]
    refused(verifier, jwt.encode(issuer.claims(), key, algorithm="RS256"), "names no key")
    unknown = issuer.token(header={"crit": ["of-our-own"], "of-our-own": 1})
    refused(verifier, unknown, "no token")
    known = {"alg": "RS256", "kid": "first", "crit": ["b64"], "b64": True}
    rs256 = jwt.get_algorithm_by_name("RS256")
    refused(
        verifier, crafted(known, issuer.claims(), lambda part: rs256.sign(part, key)), "demands"
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), letter=st.sampled_from("AZaz09-_"))
def test_token_with_any_letter_changed_is_refused(
    issuer: Issuer, verifier: TokenVerifier, position: float, letter: str
) -> None:
    token = issuer.token()
    at = int(position * len(token))
    forged = token[:at] + letter + token[at + 1 :]
    last = forged.rpartition(".")[2]
    # The last letter of base64 carries bits that mean nothing.
    same = (
        base64.urlsafe_b64decode(last + "==")
        == base64.urlsafe_b64decode(token.rpartition(".")[2] + "==")
        if at > token.rindex(".")
        else forged == token
    )
    if not same:
        with pytest.raises(IdentityError):
            verifier.verify(forged)


def test_unknown_key_is_looked_for_once_in_a_while(
    issuer: Issuer, verifier: TokenVerifier, clock: FakeClock
) -> None:
    assert verifier.verify(issuer.token())
    issuer.new_key("third")
    for _ in range(3):
        refused(verifier, issuer.token("third"), "unknown key 'third'")
    assert issuer.asked == ["/jwks"]
    clock.advance(seconds=PAUSE.total_seconds())
    assert verifier.verify(issuer.token("third"))
    assert issuer.asked == ["/jwks"] * 2


def test_key_that_was_withdrawn_is_soon_believed_no_more(
    issuer: Issuer, verifier: TokenVerifier, clock: FakeClock
) -> None:
    old = issuer.keys["first"]
    assert verifier.verify(issuer.token())
    del issuer.keys["first"]
    issuer.publish()
    clock.advance(seconds=FRESH.total_seconds() + 1)
    refused(verifier, issuer.token("first", key=old), "unknown key")


def test_known_keys_serve_while_the_issuer_is_away_but_not_for_ever(
    issuer: Issuer, verifier: TokenVerifier, clock: FakeClock
) -> None:
    assert verifier.verify(issuer.token())
    issuer.answers["/jwks"] = (503, b"")
    clock.advance(seconds=FRESH.total_seconds() + 1)
    assert verifier.verify(issuer.token())
    clock.advance(seconds=USABLE.total_seconds())
    refused(verifier, issuer.token(), "cannot be read")
    refused(verifier, issuer.token(), "unknown key")


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, b"", "cannot be read"),
        (302, b"/elsewhere", "cannot be read"),
        (200, b"not json", "no set of keys"),
        (200, b"[]", "no set of keys"),
        (200, b'{"keys": 7}', "no set of keys"),
        (200, b" " * (MAX_BYTES + 1), "more than"),
    ],
)
def test_address_that_gives_no_keys_is_told(
    issuer: Issuer, verifier: TokenVerifier, status: int, body: bytes, why: str
) -> None:
    issuer.answers["/jwks"] = (status, body)
    refused(verifier, issuer.token(), why)
    assert issuer.asked == ["/jwks"]


def test_keys_of_other_kinds_are_left_out(issuer: Issuer, verifier: TokenVerifier) -> None:
    secret = base64.urlsafe_b64encode(b"k" * 32).decode()
    issuer.publish(
        {"kty": "oct", "kid": "shared", "k": secret},
        {**issuer.public("first"), "kid": "encrypts", "use": "enc"},
        {"kty": "EC", "kid": "odd", "crv": "P-1"},
        {"kty": "RSA", "kid": "broken"},
    )
    assert verifier.verify(issuer.token())
    for key_id in ("shared", "encrypts", "odd", "broken"):
        issuer.clock.advance(seconds=1)
        refused(verifier, issuer.token("first", header={"kid": key_id}), "unknown key")


def test_key_serves_its_own_algorithm_alone(issuer: Issuer, verifier: TokenVerifier) -> None:
    refused(verifier, issuer.token("first", header={"kid": "second"}), "its key is for ES256")


def test_padded_token_of_a_load_balancer_is_believed(issuer: Issuer, alb: TokenVerifier) -> None:
    token = issuer.alb_token()
    assert "=" in token
    assert alb.verify(token).subject == "ada@example.com"
    assert alb.verify(issuer.alb_token()).subject == "ada@example.com"
    assert issuer.asked == ["/second"]


def test_token_of_another_load_balancer_is_refused(issuer: Issuer, alb: TokenVerifier) -> None:
    other = SIGNER.replace("123456789012", "210987654321")
    refused(alb, issuer.alb_token(header={"signer": other}), "signed by")
    refused(alb, issuer.alb_token(header={"signer": None}), "signed by")
    refused(alb, issuer.alb_token(header={"client": "other"}), "for the client 'other'")
    refused(alb, issuer.alb_token(iss="https://other"), "Invalid issuer")
    refused(alb, issuer.alb_token(header={"alg": "RS256"}), "algorithm is 'RS256'")
    assert issuer.asked == ["/second"]  # by the one with the wrong issuer


def test_padded_token_that_was_altered_is_refused(issuer: Issuer, alb: TokenVerifier) -> None:
    head, body, signature = issuer.alb_token().split(".")
    altered = base64.urlsafe_b64encode(json.dumps(issuer.claims(email="eve@example.com")).encode())
    refused(alb, f"{head}.{altered.decode()}.{signature}", "Signature verification failed")
    # Without its padding it is other bytes than those that were signed.
    bare = head.rstrip("=")
    if bare != head:
        refused(alb, f"{bare}.{body}.{signature}", "Signature verification failed")


def test_expired_token_of_a_load_balancer_is_refused(
    issuer: Issuer, alb: TokenVerifier, clock: FakeClock
) -> None:
    token = issuer.alb_token()
    clock.advance(minutes=10)
    refused(alb, token, "has expired")


@pytest.mark.parametrize("key_id", ["../jwks", "a/b", "", "k" * 65, "a?b"])
def test_key_id_that_would_lead_elsewhere_is_refused(
    issuer: Issuer, alb: TokenVerifier, key_id: str
) -> None:
    refused(alb, issuer.alb_token(header={"kid": key_id}), "no id of a key")
    assert issuer.asked == []


def test_missing_key_of_a_load_balancer_is_asked_for_once_in_a_while(
    issuer: Issuer, alb: TokenVerifier, clock: FakeClock
) -> None:
    for _ in range(2):
        refused(alb, issuer.alb_token(header={"kid": "gone"}), "no key gone")
    assert issuer.asked == ["/gone"]
    clock.advance(seconds=PAUSE.total_seconds())
    refused(alb, issuer.alb_token(header={"kid": "gone"}), "no key gone")
    refused(alb, issuer.alb_token(header={"kid": "first"}), "none for ES256")


def test_flood_of_key_ids_does_not_fill_memory(issuer: Issuer, alb: TokenVerifier) -> None:
    pem = issuer.answers["/second"]
    for number in range(70):
        issuer.answers[f"/key-{number}"] = pem
        assert alb.verify(_renamed(issuer, f"key-{number}"))
        refused(alb, issuer.alb_token(header={"kid": f"none-{number}"}), "no key")


def _renamed(issuer: Issuer, key_id: str) -> str:
    issuer.keys[key_id] = issuer.keys["second"]
    return issuer.alb_token(key_id)


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-central-1", "https://public-keys.auth.elb.eu-central-1.amazonaws.com"),
        ("cn-north-1", "https://public-keys.auth.elb.cn-north-1.amazonaws.com.cn"),
        (
            "us-gov-west-1",
            "https://s3-us-gov-west-1.amazonaws.com/aws-elb-public-keys-prod-us-gov-west-1",
        ),
    ],
)
def test_address_of_load_balancers_keys_is_that_of_their_region(region: str, url: str) -> None:
    assert alb_key_url(region) == url


@pytest.mark.parametrize("url", ["http://issuer.example/jwks", "file:///etc/passwd", "jwks"])
def test_keys_come_over_https_alone(url: str) -> None:
    with pytest.raises(ConfigurationError, match="expected https"):
        checked_url(url)
