"""What entry points connect: keys of the object store, tokens, streams, the workspace."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.assembly import (
    code_version,
    open_store,
    open_tokens,
    open_workspace,
    process_context,
)
from interlock.errors import ConfigurationError
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
