"""Moto's server, with one correction: KMS signs a digest as the digest that it is.

Moto 5.2 takes ``MessageType=DIGEST`` for a message and hashes it again, so that no signature of
it can be checked ("not yet implemented", ``moto/kms/models.py``). Started by ``aws_api.py``.
"""

from __future__ import annotations

import threading

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from moto.kms.responses import KmsResponse
from moto.kms.utils import ECDSAPrivateKey
from moto.server import main

_request = threading.local()
_answer_sign = KmsResponse.sign
_sign = ECDSAPrivateKey.sign


def answer_sign(self: KmsResponse) -> str:
    """Remembers, while a request is answered, whether it brings a digest."""
    _request.digest = self._get_param("MessageType") == "DIGEST"
    try:
        return _answer_sign(self)
    finally:
        _request.digest = False


def sign(self: ECDSAPrivateKey, message: bytes, signing_algorithm: str) -> bytes:
    """Signs a digest as it is, and a message as before."""
    if getattr(_request, "digest", False) and signing_algorithm == "ECDSA_SHA_256":
        return self.private_key.sign(message, ec.ECDSA(Prehashed(hashes.SHA256())))
    return _sign(self, message, signing_algorithm)


if __name__ == "__main__":
    KmsResponse.sign = answer_sign  # type: ignore[method-assign]
    ECDSAPrivateKey.sign = sign  # type: ignore[method-assign]
    main()
