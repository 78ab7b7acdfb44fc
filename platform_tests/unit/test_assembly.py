"""What entry points connect: which keys the object store is reached with."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.assembly import open_store
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
