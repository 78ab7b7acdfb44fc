"""Signatures with a P-256 key: from a file, or from AWS KMS, which never gives the key away.

Here live making and checking a signature (ECDSA over SHA-256, DER, as ``openssl dgst -sha256``
makes and checks them). What is signed is decided by the caller: the list of an export
(``audit_export.py``), an approver's decision. No run holds a key.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from interlock.errors import SignatureInvalid, SigningError

KMS_SCHEME: Final = "awskms:///"
KEY_USAGE: Final = "SIGN_VERIFY"
ALGORITHM: Final = "ECDSA_SHA_256"
MAX_KEY_BYTES: Final = 65_536  # a P-256 key in PEM has some 200
PUBLIC_PEM: Final = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_NEW_KEY: Final = (
    "make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out KEY` "
    "and `chmod 600 KEY`"
)
_REMEDIES: Final = {
    "AccessDeniedException": "sign as the approver's role; no other may use this key",
    "DisabledException": "have the key enabled, or name another one",
    "KMSInvalidStateException": "check that the key is enabled and not about to be deleted",
    "NotFoundException": "check alias, region and account of the key",
    "ThrottlingException": "try again later",
}


class Signer(Protocol):
    """Whoever holds a private key."""

    @property
    def key_id(self) -> str:
        """A name of the key, for those who verify; proves nothing."""
        ...

    @property
    def public_key(self) -> PublicKey:
        """What checks its signatures."""
        ...

    def sign(self, message: bytes) -> bytes:
        """A signature over a message.

        Args:
            message: What is signed.

        Returns:
            ECDSA over SHA-256, DER.

        Raises:
            SigningError: The key cannot be used now.
        """
        ...


@dataclass(frozen=True)
class PublicKey:
    """A P-256 key that checks signatures; needs no network.

    Attributes:
        pem: SubjectPublicKeyInfo as PEM.
    """

    pem: bytes

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key's DER, hexadecimal."""
        der = self._key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return hashlib.sha256(der).hexdigest()

    def verify(self, message: bytes, signature: bytes) -> None:
        """Checks a signature.

        Args:
            message: What was signed.
            signature: DER.

        Raises:
            SignatureInvalid: It is not this key's signature over these bytes.
        """
        try:
            self._key().verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise SignatureInvalid(
                f"the signature is not that of the key {self.fingerprint[:16]}… over these bytes",
                remedy="get bytes, signature and public key anew, each from whom you trust",
            ) from error

    def _key(self) -> ec.EllipticCurvePublicKey:
        found = serialization.load_pem_public_key(self.pem)
        assert isinstance(found, ec.EllipticCurvePublicKey)  # noqa: S101 - checked when it was made
        return found


class LocalSigner:
    """Signs with a key in a file that nobody else can read.

    Args:
        path: PEM, P-256, not encrypted, mode 0600 or stricter.

    Raises:
        SigningError: The file is something else, or others may read it.
    """

    def __init__(self, path: Path) -> None:
        self._key = _private_key(_read_private(path), path)
        self.public_key = _public_of(self._key.public_key())
        self.key_id = self.public_key.fingerprint

    def sign(self, message: bytes) -> bytes:
        """As the interface says.

        Args:
            message: What is signed.
        """
        return self._key.sign(message, ec.ECDSA(hashes.SHA256()))


class KmsSigner:
    """Signs with a key of AWS KMS.

    Args:
        key: Alias (``alias/NAME``), id or ARN.
        client: boto3's client of KMS.

    Raises:
        SigningError: No such key, no right to it, or it is no P-256 key for signing.
    """

    def __init__(self, key: str, client: Any) -> None:
        self._client = client
        with _translated("get public key", key):
            answer = client.get_public_key(KeyId=key)
        if answer["KeyUsage"] != KEY_USAGE:
            raise SigningError(
                f"the key {key} is for {answer['KeyUsage']}, expected {KEY_USAGE}",
                remedy="name the approval key that Terraform made",
            )
        self.public_key = _read_der(answer["PublicKey"], f"the key {key}")
        # An alias can be moved to another key between two calls.
        self.key_id: str = answer["KeyId"]

    def sign(self, message: bytes) -> bytes:
        """As the interface says; the key service sees the digest alone.

        Args:
            message: What is signed.

        Raises:
            SigningError: The key service refuses.
            SignatureInvalid: What it gave is not the signature that was asked for.
        """
        with _translated("sign with", self.key_id):
            answer = self._client.sign(
                KeyId=self.key_id,
                Message=hashlib.sha256(message).digest(),
                MessageType="DIGEST",
                SigningAlgorithm=ALGORITHM,
            )
        signature: bytes = answer["Signature"]
        self.public_key.verify(message, signature)
        return signature


@contextmanager
def open_signer(key: str, *, region: str) -> Iterator[Signer]:
    """The signer that a person names.

    Args:
        key: Path of a PEM file, or ``awskms:///`` with alias, id or ARN.
        region: AWS region of the key service.

    Yields:
        The signer.

    Raises:
        SigningError: The key cannot be used.
    """
    if not key.startswith(KMS_SCHEME):
        yield LocalSigner(Path(key))
        return
    import boto3  # 0.3 s that an import of this module should not cost

    session = boto3.session.Session(region_name=region)
    with _translated("reach", key):
        client = session.client("kms")
    with closing(client):
        yield KmsSigner(key.removeprefix(KMS_SCHEME), client)


def new_private_key() -> bytes:
    """A new P-256 key, PEM, not encrypted: for a file that its owner alone can read."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def read_public_key(path: Path) -> PublicKey:
    """Reads a public key.

    Args:
        path: PEM, P-256, as ``openssl ec -pubout`` or ``aws kms get-public-key`` give it.

    Raises:
        SigningError: The file is something else.
    """
    try:
        found = serialization.load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningError(
            f"{path} is no public key in PEM",
            remedy="get it with `openssl ec -in KEY -pubout`, or from the key service",
        ) from error
    return _public_of(found, str(path))


def read_public_keys(source: Path | str) -> tuple[PublicKey, ...]:
    """Reads the public keys that are believed, one below the other.

    Args:
        source: A file, or the text itself: one or more P-256 keys in PEM; text around them is
            ignored.

    Raises:
        SigningError: It holds none, or something else than such keys.
    """
    text, where = read_pem(source)
    return tuple(public_key_of(block, where) for block in _blocks(text, where))


def read_pem(source: Path | str) -> tuple[bytes, str]:
    """PEM from a file or as text, and where it is from, in words.

    Raises:
        SigningError: The file cannot be read.
    """
    if isinstance(source, Path):
        return _read(source), str(source)
    return source.encode(), "the text of the variable"


def public_key_of(block: bytes, where: str) -> PublicKey:
    """The key of one PEM block.

    Raises:
        SigningError: It is no public key, or none on P-256.
    """
    try:
        found = serialization.load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningError(
            f"{where} holds something that is no public key",
            remedy="get each with `openssl ec -in KEY -pubout`, or from the key service",
        ) from error
    return _public_of(found, where)


def _blocks(text: bytes, where: str) -> list[bytes]:
    found = PUBLIC_PEM.findall(text)
    if not found:
        raise SigningError(
            f"{where} holds no public key in PEM", remedy="put the public half of the key there"
        )
    return list(found)


def is_signed_by(keys: Sequence[PublicKey]) -> Callable[[bytes, bytes, str], bool]:
    """Whether one of several keys made a signature.

    Args:
        keys: Those that are believed.

    Returns:
        Takes message, signature and a hint at the key, which decides nothing.
    """

    def verify(message: bytes, signature: bytes, _key_id: str) -> bool:
        for key in keys:
            try:
                key.verify(message, signature)
            except SignatureInvalid:
                continue
            return True
        return False

    return verify


def _public_of(found: object, where: str = "the key") -> PublicKey:
    if not (isinstance(found, ec.EllipticCurvePublicKey) and isinstance(found.curve, ec.SECP256R1)):
        raise SigningError(f"{where} is no key on the curve P-256", remedy=_NEW_KEY)
    return PublicKey(
        found.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )


def _read_der(der: bytes, where: str) -> PublicKey:
    try:
        return _public_of(serialization.load_der_public_key(der), where)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningError(f"{where} gave no public key", remedy="name another key") from error


def _private_key(pem: bytes, path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        found = serialization.load_pem_private_key(pem, password=None)
    except TypeError as error:  # encrypted
        raise SigningError(
            f"{path} is encrypted with a password, which cannot be asked for here",
            remedy="keep the key in AWS KMS, or decrypt it into a file of mode 600",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningError(f"{path} is no private key in PEM", remedy=_NEW_KEY) from error
    if not (
        isinstance(found, ec.EllipticCurvePrivateKey) and isinstance(found.curve, ec.SECP256R1)
    ):
        raise SigningError(f"{path} is no key on the curve P-256", remedy=_NEW_KEY)
    return found


def _read_private(path: Path) -> bytes:
    """Reads the file whose mode was looked at, whatever takes its name meanwhile."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if mode & _OTHERS:
                raise SigningError(
                    f"{path} may be used by others (mode {stat.S_IMODE(mode):04o}), expected 0600",
                    remedy=f"run `chmod 600 {path}`, and think of who may have read it",
                )
            return file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_KEY_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> SigningError:
    return SigningError(
        f"{path} cannot be read: {error.strerror}",
        remedy=f"name a PEM file, or a key of AWS KMS as {KMS_SCHEME}alias/NAME",
    )


@contextmanager
def _translated(operation: str, key: str) -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        message = error.response.get("Error", {}).get("Message", "").rstrip(".")
        raise SigningError(
            f"AWS KMS refused to {operation} {key}: {code} {message}",
            remedy=_REMEDIES.get(code, "check the key, and the rights of these credentials"),
        ) from error
    except BotoCoreError as error:
        raise SigningError(
            f"AWS KMS gave no answer to {operation} {key}: {error}",
            remedy="check credentials, region and network",
        ) from error
