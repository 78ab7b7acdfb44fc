"""The home folder: ours alone, private, and removed only when that is safe."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from interlock.adapters.signer import LocalSigner, read_public_keys
from interlock.errors import ConfigurationError, LocalError
from interlock.local.home import MARKER, Home
from interlock.local.locks import FileLock


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def contents(path: Path) -> set[str]:
    return {str(found.relative_to(path)) for found in path.rglob("*")}


def test_home_is_readable_by_its_owner_alone(home: Home) -> None:
    home.credentials()
    assert mode(home.path) == 0o700
    assert mode(home.path / "credentials.json") == 0o600


@pytest.mark.parametrize("kind", ["approval", "identity"])
def test_keys_are_made_once_and_for_their_owner_alone(home: Home, kind: str) -> None:
    make = getattr(home, f"{kind}_public_keys")
    key, public = getattr(home, f"{kind}_key"), make()
    assert mode(key) == 0o600
    before = key.read_bytes()
    assert make() == public
    assert key.read_bytes() == before
    (found,) = read_public_keys(public)
    found.verify(b"decision", LocalSigner(key).sign(b"decision"))


def test_identities_and_approvals_are_signed_with_different_keys(home: Home) -> None:
    home.approval_public_keys()
    home.identity_public_keys()
    assert home.approval_key.read_bytes() != home.identity_key.read_bytes()


def test_preparing_twice_changes_nothing(home: Home) -> None:
    before = {path: path.stat().st_mtime_ns for path in home.path.rglob("*") if path.is_file()}
    home.prepare()
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_instance_file_that_was_edited_is_written_anew(home: Home) -> None:
    instance = home.dagster / "dagster.yaml"
    instance.write_text("telemetry: {enabled: true}")
    home.prepare()
    found = json.loads(instance.read_text())
    assert found["telemetry"] == {"enabled": False}
    assert found["nux"] == {"enabled": False}
    assert found["concurrency"]["runs"]["tag_concurrency_limits"] == [
        {"key": "interlock/product", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}
    ]


def test_folder_with_something_else_in_it_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("42")
    with pytest.raises(ConfigurationError, match="holds something else"):
        Home(tmp_path).prepare()
    assert contents(tmp_path) == {"thesis.tex"}


def test_place_that_cannot_be_a_folder_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Home(tmp_path / "file" / "home").prepare()


def test_credentials_are_made_once_and_hidden(home: Home) -> None:
    first = home.credentials(random_hex=lambda count: "ab" * count)
    assert (first.access_key, first.secret_key) == ("interlock-" + "ab" * 8, "ab" * 32)
    assert len(first.run_signing_key) == 64
    assert home.credentials() == first
    assert "abab" not in repr(first).replace(first.access_key, "")


def test_credentials_of_two_homes_differ(tmp_path: Path) -> None:
    one, other = Home(tmp_path / "one"), Home(tmp_path / "other")
    one.prepare()
    other.prepare()
    assert one.credentials().secret_key != other.credentials().secret_key


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"access_key": "a"}'])
def test_damaged_credentials_are_an_error_and_stay(home: Home, content: str) -> None:
    path = home.path / "credentials.json"
    path.write_text(content)
    with pytest.raises(LocalError, match=r"credentials\.json is not the file"):
        home.credentials()
    assert path.read_text() == content


def test_credentials_of_whoever_was_first_win(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    winner = home.credentials()
    monkeypatch.setattr(Path, "exists", lambda _path: False)
    assert home.credentials(random_hex=lambda count: "cd" * count) == winner
    assert not list(home.path.glob(".credentials*"))


def test_reset_removes_the_folder_and_nothing_else(home: Home) -> None:
    beside = home.path.parent / "beside"
    beside.write_text("kept")
    (home.path / "link").symlink_to(beside)
    assert home.reset()
    assert contents(home.path.parent) == {"beside"}
    assert not home.reset()


def test_reset_of_a_folder_without_the_marker_is_refused(home: Home) -> None:
    (home.path / MARKER).unlink()
    before = contents(home.path)
    with pytest.raises(ConfigurationError, match=MARKER):
        home.reset()
    assert contents(home.path) == before


def test_reset_through_a_link_is_refused(home: Home) -> None:
    link = home.path.parent / "link"
    link.symlink_to(home.path)
    before = contents(home.path)
    with pytest.raises(ConfigurationError, match="is a link"):
        Home(link).reset()
    assert contents(home.path) == before


@pytest.mark.parametrize("lock", ["state", "session", "s3_lock"])
def test_reset_while_in_use_is_refused(home: Home, lock: str) -> None:
    with FileLock(getattr(home, lock)).holding():
        before = contents(home.path)
        with pytest.raises(LocalError, match="is in use"):
            home.reset()
        assert contents(home.path) >= before
