"""Tags that say who a run acts for: believed for their own run, and for nothing else."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.adapters.run_identity import (
    MAX_TAG,
    IdentitySigner,
    IdentityVerifier,
    RunFacts,
    RunIdentity,
    digest_of,
)
from interlock.adapters.signer import LocalSigner, is_signed_by, new_private_key
from interlock.errors import IdentityError

FACTS = RunFacts(
    run_id="0d1f", job="credit_risk_pipeline", plan="ab12", config="cd34", environment="prod"
)
ADA = RunIdentity("ada")


def key(folder: Path, name: str = "key") -> LocalSigner:
    path = folder / f"{name}.pem"
    path.write_bytes(new_private_key())
    path.chmod(0o600)
    return LocalSigner(path)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> LocalSigner:
    return key(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def sign(signer: LocalSigner) -> IdentitySigner:
    return IdentitySigner(signer, clock=lambda: datetime(2040, 1, 2, tzinfo=UTC))


@pytest.fixture
def verifier(signer: LocalSigner) -> IdentityVerifier:
    return IdentityVerifier(is_signed_by((signer.public_key,)))


def test_tag_says_who_its_run_acts_for(sign: IdentitySigner, verifier: IdentityVerifier) -> None:
    assert verifier.of_run(sign.run_tag(FACTS, ADA), FACTS) == ADA
    tick = RunIdentity("scheduler", service=True, on_behalf_of="ada")
    assert verifier.of_run(sign.run_tag(FACTS, tick), FACTS) == tick


@pytest.mark.parametrize("name", list(asdict(FACTS)))
def test_tag_of_another_run_is_not_believed(
    sign: IdentitySigner, verifier: IdentityVerifier, name: str
) -> None:
    copied = sign.run_tag(replace(FACTS, **{name: "other"}), ADA)
    with pytest.raises(IdentityError, match=f"signed for another {name}"):
        verifier.of_run(copied, FACTS)


def test_tag_of_another_key_is_not_believed(tmp_path: Path, verifier: IdentityVerifier) -> None:
    forger = IdentitySigner(key(tmp_path), clock=lambda: datetime(2040, 1, 2, tzinfo=UTC))
    with pytest.raises(IdentityError, match="not that of a server"):
        verifier.of_run(forger.run_tag(FACTS, ADA), FACTS)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), letter=st.sampled_from("Aa0-_.="))
def test_tag_with_any_letter_changed_is_not_believed(
    sign: IdentitySigner, verifier: IdentityVerifier, position: float, letter: str
) -> None:
    tag = sign.run_tag(FACTS, ADA)
    at = int(position * len(tag))
    forged = tag[:at] + letter + tag[at + 1 :]

    def parts(text: str) -> list[bytes]:
        return [base64.urlsafe_b64decode(part + "==") for part in text.split(".")]

    try:
        same = parts(forged) == parts(tag)  # the last letter of base64 has bits that say nothing
    except ValueError:
        same = False
    if not same:
        with pytest.raises(IdentityError):
            verifier.of_run(forged, FACTS)


def test_what_was_signed_for_another_purpose_is_not_believed(
    sign: IdentitySigner, verifier: IdentityVerifier
) -> None:
    backfill = sign.backfill_tag(name="ada", nonce="1", environment="prod")
    enabled = sign.enabled_note(name="ada", instigator="daily", environment="prod")
    run = sign.run_tag(FACTS, ADA)
    for text in (backfill, enabled):
        with pytest.raises(IdentityError, match="another purpose"):
            verifier.of_run(text, FACTS)
    for text in (run, enabled):
        with pytest.raises(IdentityError, match="another purpose"):
            verifier.of_backfill(text, environment="prod")
    assert verifier.of_backfill(backfill, environment="prod") == "ada"
    assert verifier.of_enabled(enabled, instigator="daily", environment="prod") == "ada"
    for instigator, environment in (("hourly", "prod"), ("daily", "dev")):
        with pytest.raises(IdentityError, match="something else"):
            verifier.of_enabled(enabled, instigator=instigator, environment=environment)
    with pytest.raises(IdentityError, match="something else"):
        verifier.of_backfill(backfill, environment="dev")


@pytest.mark.parametrize("text", ["", "a", "a.b.c", "e30=", "x" * (MAX_TAG + 1), "\u00e4.e30="])
def test_what_is_no_tag_is_not_believed(verifier: IdentityVerifier, text: str) -> None:
    with pytest.raises(IdentityError, match="not believed"):
        verifier.of_run(text, FACTS)


@pytest.mark.parametrize(
    "said",
    [
        [],
        {"kind": "interlock.run-principal/v1", "run": asdict(FACTS)},
        {"kind": "interlock.run-principal/v1", "run": asdict(FACTS), "identity": {"name": ""}},
        {"kind": "interlock.run-principal/v1", "run": asdict(FACTS), "identity": {"name": 7}},
        {"kind": "interlock.run-principal/v1", "run": asdict(FACTS), "identity": {"role": "x"}},
    ],
)
def test_signed_text_that_names_nobody_is_not_believed(
    signer: LocalSigner, verifier: IdentityVerifier, said: object
) -> None:
    payload = json.dumps(said).encode()
    text = ".".join(
        base64.urlsafe_b64encode(part).decode() for part in (payload, signer.sign(payload))
    )
    with pytest.raises(IdentityError):
        verifier.of_run(text, FACTS)


def test_digest_of_a_configuration_ignores_the_order_of_its_keys() -> None:
    assert digest_of({"a": 1, "b": {"c": 2}}) == digest_of({"b": {"c": 2}, "a": 1})
    assert digest_of({"a": 1}) != digest_of({"a": 2})
