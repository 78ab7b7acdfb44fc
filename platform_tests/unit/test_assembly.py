"""What entry points connect: keys of the object store, tokens, streams, the workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from simulators import MemoryObjectStore

from interlock.actions.authority import Authority
from interlock.adapters.directory import Person
from interlock.adapters.signer import LocalSigner, new_private_key
from interlock.assembly import (
    code_version,
    open_credentials,
    open_directory,
    open_own_authority,
    open_signing,
    open_store,
    open_tokens,
    open_workspace,
    process_context,
    run_principals,
    utc_now,
)
from interlock.errors import AccessDenied, ConfigurationError, SigningError
from interlock.governance.access import Action, Resource
from interlock.governance.principal import UNVERIFIED, IdentitySource, Role
from interlock.settings import Settings

KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "session",
}


@pytest.mark.parametrize("token", ["session", ""], ids=["temporary", "lasting"])
def test_store_is_reached_with_every_part_of_the_keys(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    environ = KEYS | {"AWS_SESSION_TOKEN": token}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    store: Any = open_store(Settings.from_environment(environ))
    found = store._s3.client()._request_signer._credentials.get_frozen_credentials()
    assert (found.access_key, found.secret_key) == ("AKIA", "secret")
    assert (found.token or "") == token


def settings(**variables: str) -> Settings:
    return Settings.from_environment(variables)


def test_no_tokens_without_a_key() -> None:
    assert open_tokens(settings()) is None


def test_tokens_need_a_key_of_full_length() -> None:
    assert open_tokens(settings(RUN_SIGNING_KEY="k" * 32)) is not None
    with pytest.raises(ConfigurationError, match="RUN_SIGNING_KEY has 8 bytes"):
        open_tokens(settings(RUN_SIGNING_KEY="too-short"[:8]))


def test_processes_outside_runs_have_streams_of_their_own() -> None:
    told: list[str] = []
    first, second = (process_context("deploy-check", told.append) for _ in range(2))
    assert first.stream.name.startswith(f"deploy-check-{first.stream.opened:%Y%m%d}-")
    assert first.stream != second.stream
    assert first.ref.dagster_run is None
    first.report("looking")
    assert told == ["looking"]


def test_code_version_names_the_sources() -> None:
    version, _, digest = code_version().partition("+")
    assert version.count(".") == 2
    assert len(digest) == 16
    assert code_version() == code_version()


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({}, "ENVIRONMENT is unset"),
        ({"ENVIRONMENT": "dev"}, "MLFLOW_TRACKING_URI is unset"),
    ],
)
def test_workspace_needs_an_environment_and_mlflow(variables: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        open_workspace(settings(**variables), secrets={})


class Signs:
    """Where people sign in: a directory with one service account."""

    def __init__(self) -> None:
        self.store = MemoryObjectStore()
        self.store.create_bucket("interlock-artifacts")
        known = settings()
        open_directory(known, self.store).add(
            Person(
                name="ci",
                role=Role.ML_ENGINEER,
                teams=frozenset(),
                source=IdentitySource.LOCAL,
                sessions_from=utc_now(),
                service=True,
            )
        )
        self.token = open_credentials(known, self.store).new_token("ci")

    def authority(self, *, believe_token: bool = True, **variables: Any) -> Authority:
        found = settings(ENVIRONMENT="dev", IDENTITY_SOURCE="local", **variables)
        return open_own_authority(found, self.store, believe_token=believe_token)


def test_process_acts_as_whose_token_it_holds() -> None:
    signs = Signs()
    authority = signs.authority(IDENTITY_TOKEN=signs.token)
    assert (authority.principal.name, authority.principal.verified_by) == ("ci", "local")
    assert authority.context.identity_source is IdentitySource.LOCAL


def test_process_without_a_token_is_nobody_whatever_the_operator_says() -> None:
    signs = Signs()
    claimed: dict[str, Any] = {"RUN_OWNER": "root", "RUN_ROLE": "platform_admin"}
    for authority in (
        signs.authority(**claimed),
        signs.authority(IDENTITY_TOKEN=f"{signs.token}0", **claimed),
        signs.authority(IDENTITY_TOKEN=signs.token, believe_token=False, **claimed),
    ):
        assert authority.principal is UNVERIFIED
        assert authority.context.identity_source is None
        decision = authority.engine.decide(
            principal=authority.principal,
            action=Action.MODEL_TRAIN,
            resource=Resource("product", "credit_risk"),
            environment=authority.environment,
            context=authority.context,
        )
        with pytest.raises(AccessDenied, match="it must be verified"):
            decision.require()


def test_only_who_is_given_a_key_signs(tmp_path: Path) -> None:
    assert open_signing(settings()).signer is None
    assert run_principals(settings()) is None
    path = tmp_path / "key.pem"
    path.write_bytes(new_private_key())
    path.chmod(0o600)
    public = tmp_path / "public.pem"
    public.write_bytes(LocalSigner(path).public_key.pem)
    known = settings(
        ENVIRONMENT="prod",
        AUDIT_RETENTION_DAYS="9",
        IDENTITY_SOURCE="local",
        IDENTITY_KEY=str(path),
        IDENTITY_PUBLIC_KEYS=str(public),
    )
    signing = open_signing(known)
    assert signing.signer is not None
    tag = signing.signer.backfill_tag(name="ada", nonce="1", environment="prod")
    assert signing.verifier.of_backfill(tag, environment=signing.environment) == "ada"
    assert run_principals(known) is not None
    with pytest.raises(SigningError):
        run_principals(settings(IDENTITY_SOURCE="local", IDENTITY_PUBLIC_KEYS=str(path)))
    persons = f"Account: ada\n{public.read_text()}"
    with pytest.raises(SigningError, match="a key of ada, expected keys of servers"):
        run_principals(settings(IDENTITY_SOURCE="local", IDENTITY_PUBLIC_KEYS=persons))
    as_text = settings(IDENTITY_SOURCE="local", IDENTITY_PUBLIC_KEYS=public.read_text())
    assert open_signing(as_text).verifier.of_backfill(tag, environment="prod") == "ada"
