"""Exports of the audit trail that carry a signature."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from aws_api import REGION, AwsApi
from command_line import call, one_line
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from stores import ACCESS_KEY, SECRET_KEY, Buckets
from trails import MemoryTrail

from interlock.adapters.audit_export import sign_export, verify_export
from interlock.adapters.environment_mark import write_mark
from interlock.adapters.object_store import S3ObjectStore
from interlock.adapters.signer import LocalSigner, open_signer
from interlock.assembly import utc_now
from interlock.cli.app import FAILURE, OK, USAGE
from interlock.errors import AuditError, SignatureInvalid
from interlock.governance.principal import Environment
from interlock.local.seaweed import SeaweedServer


def new_key(path: Path) -> Path:
    path.write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    return path


@pytest.fixture
def signer(tmp_path: Path) -> LocalSigner:
    return LocalSigner(new_key(tmp_path / "key.pem"))


@pytest.fixture
def copy(memory_trail: MemoryTrail, tmp_path: Path, signer: LocalSigner) -> Path:
    """A signed export."""
    memory_trail.append(3)
    folder = tmp_path / "copy"
    memory_trail.log.export(folder)
    sign_export(folder, signer)
    return folder


def test_signed_export_verifies_with_and_without_the_key(copy: Path, signer: LocalSigner) -> None:
    assert verify_export(copy, signed_by=signer.public_key).intact
    assert verify_export(copy).intact


@pytest.mark.parametrize("file", ["trail.json", "SHA256SUMS"])
def test_forgery_that_recomputes_the_list_is_refused(
    copy: Path, signer: LocalSigner, file: str
) -> None:
    if file == "SHA256SUMS":
        (copy / file).write_text((copy / file).read_text() + f"{'0' * 64}  events/more\n")
    else:
        (copy / file).write_bytes((copy / file).read_bytes() + b" ")
        digest = hashlib.sha256((copy / file).read_bytes()).hexdigest()
        lines = (copy / "SHA256SUMS").read_text().splitlines()
        forged = [f"{digest}  {file}" if line.endswith(f"  {file}") else line for line in lines]
        (copy / "SHA256SUMS").write_text("\n".join(forged) + "\n")
        assert verify_export(copy).intact  # nothing but the signature shows it
    with pytest.raises(SignatureInvalid, match="is not that of the key"):
        verify_export(copy, signed_by=signer.public_key)


def test_missing_signature_is_refused(copy: Path, signer: LocalSigner) -> None:
    (copy / "SHA256SUMS.sig").unlink()
    with pytest.raises(SignatureInvalid, match="is not signed"):
        verify_export(copy, signed_by=signer.public_key)


def test_signature_of_somebody_else_or_of_another_export_is_refused(
    copy: Path, signer: LocalSigner, tmp_path: Path, memory_trail: MemoryTrail
) -> None:
    memory_trail.append(1)
    other = tmp_path / "other"
    memory_trail.log.export(other)
    shutil.copy(copy / "SHA256SUMS.sig", other)
    with pytest.raises(SignatureInvalid):
        verify_export(other, signed_by=signer.public_key)
    sign_export(other, LocalSigner(new_key(tmp_path / "theirs.pem")))
    with pytest.raises(SignatureInvalid):
        verify_export(other, signed_by=signer.public_key)


def test_folder_that_is_no_export_is_not_signed(tmp_path: Path, signer: LocalSigner) -> None:
    with pytest.raises(AuditError, match="SHA256SUMS cannot be read"):
        sign_export(tmp_path, signer)
    assert not (tmp_path / "SHA256SUMS.sig").exists()


def test_key_of_the_key_service_signs_an_export(copy: Path, aws_environment: AwsApi) -> None:
    with aws_environment.client("kms") as kms:
        key = kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    named = f"awskms:///{key['KeyMetadata']['KeyId']}"
    with open_signer(named, region=REGION) as signer:
        sign_export(copy, signer)
        assert verify_export(copy, signed_by=signer.public_key).intact


def test_command_line_demands_the_signature(
    copy: Path, signer: LocalSigner, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    public = tmp_path / "public.pem"
    public.write_bytes(signer.public_key.pem)
    verify = ("audit", "verify", "--export", str(copy), "--json")
    good = call(capsys, *verify, "--public-key", str(public))
    assert good.document["intact"] is True
    assert good.document["signed_by"] == signer.public_key.fingerprint
    assert "signed_by" not in call(capsys, *verify).document
    (copy / "SHA256SUMS.sig").write_bytes(b"")
    assert call(capsys, *verify, "--public-key", str(public)).code == FAILURE
    alone = call(capsys, "audit", "verify", "--public-key", str(public))
    assert alone.code == USAGE


@pytest.fixture
def store_of_an_auditor(
    weed: SeaweedServer,
    s3: S3ObjectStore,
    buckets: Buckets,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Buckets:
    """Buckets of dev in a real store, which this process is set to as an auditor."""
    for bucket in (buckets.data, buckets.artifacts, buckets.audit):
        write_mark(s3, bucket, Environment.DEV, clock=utc_now)
    variables = {
        "ENVIRONMENT": "dev",
        "RUN_OWNER": "ada",
        "RUN_ROLE": "auditor",
        "DATA_BUCKET": buckets.data,
        "ARTIFACT_BUCKET": buckets.artifacts,
        "AUDIT_BUCKET": buckets.audit,
        "AWS_ENDPOINT_URL_S3": weed.endpoint_url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "INTERLOCK_HOME": str(tmp_path / "home"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return buckets


def test_command_line_signs_an_export_and_records_what_it_signed(
    store_of_an_auditor: Buckets,
    s3: S3ObjectStore,
    signer: LocalSigner,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, key = tmp_path / "export", tmp_path / "key.pem"
    done = call(capsys, "audit", "export", str(folder), "--sign-key", str(key), "--json")
    assert done.code == OK, done.err
    assert done.document["signed_by"] == signer.public_key.fingerprint
    assert verify_export(folder, signed_by=signer.public_key).intact
    bodies = [
        s3.get(store_of_an_auditor.audit, each.key)
        for each in s3.list(store_of_an_auditor.audit, "governance/audit/")
    ]
    manifest = hashlib.sha256((folder / "SHA256SUMS").read_bytes()).hexdigest()
    assert any(manifest.encode() in body for body in bodies)


def test_key_that_others_may_read_exports_nothing(
    store_of_an_auditor: Buckets,
    signer: LocalSigner,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, key = tmp_path / "export", tmp_path / "key.pem"
    key.chmod(0o644)
    refused = call(capsys, "audit", "export", str(folder), "--sign-key", str(key))
    assert refused.code == FAILURE
    assert "may be used by others" in one_line(refused.err)
    assert not folder.exists()
