"""Signing keys: who may hold one, and what counts as a signature."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aws_api import REGION, AwsApi
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from interlock.adapters.signer import (
    KmsSigner,
    LocalSigner,
    PublicKey,
    Signer,
    is_signed_by,
    new_private_key,
    open_signer,
    read_public_key,
    read_public_keys,
)
from interlock.errors import SignatureInvalid, SigningError

MESSAGE = b"what is signed\n"
PASSWORD = serialization.BestAvailableEncryption(b"a password")


def pem(key: Any, encryption: Any = None) -> bytes:
    written: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    )
    return written


@pytest.fixture
def key_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a private key; P-256 and for its owner alone unless told otherwise."""

    def write(content: bytes | None = None, mode: int = 0o600, name: str = "key.pem") -> Path:
        path = tmp_path / name
        path.write_bytes(
            pem(ec.generate_private_key(ec.SECP256R1())) if content is None else content
        )
        path.chmod(mode)
        return path

    return write


@pytest.fixture
def new_kms_key(aws: AwsApi) -> Callable[..., str]:
    """Makes a key in KMS with an alias; gives the alias."""

    def make(spec: str = "ECC_NIST_P256", usage: str = "SIGN_VERIFY") -> str:
        alias = f"alias/{aws.new_name('approval')}"
        with aws.client("kms") as kms:
            made = kms.create_key(KeySpec=spec, KeyUsage=usage)
            kms.create_alias(AliasName=alias, TargetKeyId=made["KeyMetadata"]["KeyId"])
        return alias

    return make


@pytest.fixture(params=["file", "kms"])
def signer(
    request: pytest.FixtureRequest,
    key_file: Callable[..., Path],
    new_kms_key: Callable[..., str],
    aws_environment: AwsApi,
) -> Iterator[Signer]:
    named = str(key_file()) if request.param == "file" else f"awskms:///{new_kms_key()}"
    with open_signer(named, region=REGION) as opened:
        yield opened


def test_signature_is_checked_with_the_public_key_alone(signer: Signer) -> None:
    signature = signer.sign(MESSAGE)
    signer.public_key.verify(MESSAGE, signature)
    assert signer.sign(MESSAGE) != signature  # ECDSA is randomised
    assert signer.key_id


@pytest.mark.parametrize("change", ["message", "signature", "truncated", "empty", "swapped"])
def test_forged_or_swapped_signature_is_refused(
    signer: Signer, key_file: Callable[..., Path], change: str
) -> None:
    message, signature = MESSAGE, signer.sign(MESSAGE)
    if change == "message":
        message += b" "
    elif change == "signature":
        signature = signature[:-1] + bytes([signature[-1] ^ 1])
    elif change == "truncated":
        signature = signature[:-1]
    elif change == "empty":
        signature = b""
    else:
        signature = LocalSigner(key_file(name="other.pem")).sign(MESSAGE)
    with pytest.raises(SignatureInvalid, match="is not that of the key"):
        signer.public_key.verify(message, signature)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not everywhere")
def test_signature_can_be_checked_with_no_software_of_ours(signer: Signer, tmp_path: Path) -> None:
    (tmp_path / "public").write_bytes(signer.public_key.pem)
    (tmp_path / "signature").write_bytes(signer.sign(MESSAGE))
    (tmp_path / "message").write_bytes(MESSAGE)
    check = "openssl dgst -sha256 -verify public -signature signature message"
    done = subprocess.run(check.split(), cwd=tmp_path, capture_output=True, check=True)
    assert b"Verified OK" in done.stdout


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o644])
def test_key_that_others_may_use_is_refused(key_file: Callable[..., Path], mode: int) -> None:
    with pytest.raises(SigningError, match=f"{mode:04o}.*expected 0600") as refused:
        LocalSigner(key_file(mode=mode))
    assert "chmod 600" in refused.value.remedy


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (pem(ec.generate_private_key(ec.SECP384R1())), "no key on the curve P-256"),
        (pem(ec.generate_private_key(ec.SECP256K1())), "no key on the curve P-256"),
        (pem(rsa.generate_private_key(65537, 2048)), "no key on the curve P-256"),
        (pem(ec.generate_private_key(ec.SECP256R1()), PASSWORD), "encrypted with a password"),
        (b"no PEM", "no private key in PEM"),
        (b"", "no private key in PEM"),
    ],
    ids=["p384", "secp256k1", "rsa", "encrypted", "text", "empty"],
)
def test_file_that_is_no_such_key_is_refused(
    key_file: Callable[..., Path], content: bytes, text: str
) -> None:
    with pytest.raises(SigningError, match=text):
        LocalSigner(key_file(content))


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SigningError, match="cannot be read") as refused:
        LocalSigner(tmp_path / "absent.pem")
    assert "awskms:///" in refused.value.remedy
    with pytest.raises(SigningError, match="cannot be read"):
        read_public_key(tmp_path / "absent.pem")


def test_public_key_is_read_back(signer: Signer, tmp_path: Path) -> None:
    path = tmp_path / "public.pem"
    path.write_bytes(signer.public_key.pem)
    assert read_public_key(path) == signer.public_key
    assert len(signer.public_key.fingerprint) == 64


@pytest.mark.parametrize("kind", ["private", "text", "p384"])
def test_file_that_is_no_such_public_key_is_refused(
    key_file: Callable[..., Path], tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "public.pem"
    if kind == "private":
        path = key_file()
    elif kind == "text":
        path.write_bytes(b"text")
    else:
        other = ec.generate_private_key(ec.SECP384R1()).public_key()
        path.write_bytes(
            other.public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
    with pytest.raises(SigningError, match=r"no (public key|key on the curve)"):
        read_public_key(path)


@pytest.mark.parametrize(
    ("spec", "usage", "text"),
    [
        ("ECC_NIST_P384", "SIGN_VERIFY", "no key on the curve P-256"),
        ("ECC_SECG_P256K1", "SIGN_VERIFY", "no key on the curve P-256"),
        ("RSA_2048", "SIGN_VERIFY", "no key on the curve P-256"),
        ("RSA_2048", "ENCRYPT_DECRYPT", "is for ENCRYPT_DECRYPT, expected SIGN_VERIFY"),
    ],
)
def test_other_key_of_the_key_service_is_refused(
    aws_environment: AwsApi, new_kms_key: Callable[..., str], spec: str, usage: str, text: str
) -> None:
    alias = new_kms_key(spec, usage)
    with (
        pytest.raises(SigningError, match=text),
        open_signer(f"awskms:///{alias}", region=REGION),
    ):
        pass


def test_key_that_is_not_there_is_named(aws_environment: AwsApi) -> None:
    with (
        pytest.raises(SigningError, match="alias/absent: NotFoundException") as refused,
        open_signer("awskms:///alias/absent", region=REGION),
    ):
        pass
    assert "alias, region and account" in refused.value.remedy


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("AccessDeniedException", "approver's role"),
        ("DisabledException", "enabled"),
        ("KMSInvalidStateException", "about to be deleted"),
        ("ThrottlingException", "try again later"),
        ("KMSInternalException", "rights of these credentials"),
    ],
)
def test_refusal_of_the_key_service_is_told_with_its_remedy(
    aws_environment: AwsApi, new_kms_key: Callable[..., str], code: str, remedy: str
) -> None:
    """Moto knows neither rights nor disabled keys, so the answer is put in its mouth."""
    import boto3
    from botocore.stub import Stubber

    with closing(boto3.session.Session(region_name=REGION).client("kms")) as kms:
        signer = KmsSigner(new_kms_key(), kms)
        with Stubber(kms) as stub:
            stub.add_client_error("sign", code, "No.", 400)
            with pytest.raises(SigningError, match=f"refused to sign with .*: {code} No;") as told:
                signer.sign(MESSAGE)
    assert remedy in told.value.remedy


def test_key_service_that_is_away_is_told(
    aws_environment: AwsApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with (
        pytest.raises(SigningError, match="gave no answer"),
        open_signer("awskms:///alias/a", region=REGION),
    ):
        pass


def test_alias_that_is_moved_while_it_is_used_changes_nothing(
    aws: AwsApi, new_kms_key: Callable[..., str]
) -> None:
    alias, other = new_kms_key(), new_kms_key()
    with aws.client("kms") as kms:
        signer = KmsSigner(alias, kms)
        target = kms.describe_key(KeyId=other)["KeyMetadata"]["KeyId"]
        kms.update_alias(AliasName=alias, TargetKeyId=target)
        signer.public_key.verify(MESSAGE, signer.sign(MESSAGE))


def test_signature_of_another_key_is_not_handed_out(
    aws: AwsApi, new_kms_key: Callable[..., str]
) -> None:
    """A key service, or something in between, that signs with what it likes."""
    with aws.client("kms") as kms:
        first, second = KmsSigner(new_kms_key(), kms), KmsSigner(new_kms_key(), kms)
        first.key_id = second.key_id
        with pytest.raises(SignatureInvalid):
            first.sign(MESSAGE)


def test_key_service_sees_the_digest_alone(
    aws_environment: AwsApi, new_kms_key: Callable[..., str]
) -> None:
    import boto3

    sent: list[dict[str, Any]] = []
    alias = new_kms_key()
    with closing(boto3.session.Session(region_name=REGION).client("kms")) as kms:
        kms.meta.events.register(
            "before-parameter-build.kms.Sign", lambda params, **_: sent.append(dict(params))
        )
        KmsSigner(alias, kms).sign(MESSAGE)
    assert sent[0]["Message"] == hashlib.sha256(MESSAGE).digest()
    assert (sent[0]["MessageType"], sent[0]["SigningAlgorithm"]) == ("DIGEST", "ECDSA_SHA_256")


def test_signature_over_another_hash_is_refused(key_file: Callable[..., Path]) -> None:
    path = key_file()
    signer = LocalSigner(path)
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    with pytest.raises(SignatureInvalid):
        signer.public_key.verify(MESSAGE, key.sign(MESSAGE, ec.ECDSA(hashes.SHA384())))
    assert isinstance(signer.public_key, PublicKey)


def test_any_of_the_believed_keys_is_enough_and_no_other(key_file: Callable[..., Path]) -> None:
    made = [LocalSigner(key_file(new_private_key(), name=f"{each}.pem")) for each in range(3)]
    believed = key_file(
        b"# two approvers\n" + b"\n".join(each.public_key.pem for each in made[:2]), name="public"
    )
    verify = is_signed_by(read_public_keys(believed))
    assert [verify(MESSAGE, each.sign(MESSAGE), each.key_id) for each in made] == [
        True,
        True,
        False,
    ]
    assert not verify(MESSAGE + b".", made[0].sign(MESSAGE), made[0].key_id)
    assert not verify(MESSAGE, b"", made[0].key_id)
    assert not is_signed_by(())(MESSAGE, made[0].sign(MESSAGE), made[0].key_id)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no public key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "is no public key"),
        (
            rsa.generate_private_key(65537, 2048)
            .public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            "no key on the curve P-256",
        ),
    ],
    ids=["nothing", "something else", "another curve"],
)
def test_file_without_usable_public_keys_is_refused(
    key_file: Callable[..., Path], content: bytes, says: str
) -> None:
    with pytest.raises(SigningError, match=says):
        read_public_keys(key_file(content, name="public"))
