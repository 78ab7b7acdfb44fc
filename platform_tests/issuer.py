"""An issuer of identity tokens for tests: its keys on a small HTTP server, and what it signs."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from simulators import FakeClock

ISSUER = "https://issuer.example"
CLIENT = "interlock"
SIGNER = (
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/interlock/0123456789"
)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass
class Issuer:
    """Signs tokens; ``answers`` is what its server gives, by path."""

    clock: FakeClock
    keys: dict[str, Key] = field(default_factory=dict)
    answers: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def new_key(self, key_id: str, *, elliptic: bool = False) -> Key:
        """A key that is published from now on."""
        key: Key = (
            ec.generate_private_key(ec.SECP256R1())
            if elliptic
            else rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        )
        self.keys[key_id] = key
        self.publish()
        return key

    def publish(self, *more: Mapping[str, Any]) -> None:
        """Give the public keys, and what else is to be in the set."""
        listed = [self.public(key_id) for key_id in self.keys] + list(more)
        self.answers["/jwks"] = (200, json.dumps({"keys": listed}).encode())
        for key_id, key in self.keys.items():
            pem = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            self.answers[f"/{key_id}"] = (200, pem)

    def public(self, key_id: str) -> dict[str, Any]:
        """One key as JWK."""
        key = self.keys[key_id]
        if isinstance(key, rsa.RSAPrivateKey):
            found: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(
                key.public_key(), as_dict=True
            )
        else:
            found = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
        return {**found, "kid": key_id, "use": "sig"}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """What a good token says, with changes; None leaves a claim out."""
        now = self.clock().timestamp()
        good = {
            "iss": ISSUER,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "sub": "0001",
            "email": "ada@example.com",
            "groups": ["risk-engineers"],
        }
        return {name: value for name, value in {**good, **changes}.items() if value is not None}

    def token(
        self,
        key_id: str = "first",
        *,
        key: Key | bytes | None = None,
        algorithm: str = "RS256",
        header: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """A token; everything about it can be changed."""
        return jwt.encode(
            self.claims(**changes),
            key or self.keys[key_id],
            algorithm=algorithm,
            headers={"kid": key_id, **(header or {})},
        )

    def alb_token(
        self, key_id: str = "second", *, header: Mapping[str, Any] | None = None, **changes: Any
    ) -> str:
        """A token as a load balancer makes it: all three parts padded."""
        said = {"alg": "ES256", "kid": key_id, "signer": SIGNER, "client": CLIENT, "iss": ISSUER}
        parts = [
            base64.urlsafe_b64encode(json.dumps(part).encode())
            for part in ({**said, **(header or {})}, self.claims(aud=None, iat=None, **changes))
        ]
        signed = b".".join(parts)
        algorithm = jwt.get_algorithm_by_name("ES256")
        signature = algorithm.sign(signed, self.keys[key_id])
        return b".".join([signed, base64.urlsafe_b64encode(signature)]).decode()


@contextmanager
def serving(clock: FakeClock) -> Iterator[Issuer]:
    """An issuer with its server on loopback; its keys are ``first`` and, elliptic, ``second``."""
    issuer = Issuer(clock)
    issuer.new_key("first")
    issuer.new_key("second", elliptic=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked.append(self.path)
            status, body = issuer.answers.get(self.path, (404, b"nothing here"))
            self.send_response(status)
            if status in {301, 302}:
                self.send_header("Location", body.decode())
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    issuer.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield issuer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
