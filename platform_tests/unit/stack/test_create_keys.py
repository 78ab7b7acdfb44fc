"""The keys of the stack: made once, renewed without voiding what was signed, private throughout."""

from __future__ import annotations

import stat
from pathlib import Path
from types import ModuleType

import pytest
from programs import load_program

from interlock.adapters.signer import LocalSigner, is_signed_by, read_public_keys

MESSAGE = b"who acts"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return load_program("docker/dagster/create_keys.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("identity", "approval", "public"):
        (tmp_path / name).mkdir()
    return tmp_path


def state(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*.*")}


def signed(folder: Path, pair: str) -> bytes:
    return LocalSigner(folder / pair / "key.pem").sign(MESSAGE)


def is_believed(folder: Path, pair: str, signature: bytes) -> bool:
    keys = read_public_keys(folder / "public" / f"{pair}.pem")
    return is_signed_by(keys)(MESSAGE, signature, "")


def test_two_pairs_are_made_once(program: ModuleType, folder: Path) -> None:
    assert program.main([], folder) == 0
    before = state(folder)
    assert len(before) == 4
    for pair in ("identity", "approval"):
        assert stat.S_IMODE((folder / pair / "key.pem").stat().st_mode) == 0o600
        assert is_believed(folder, pair, signed(folder, pair))
    assert not is_believed(folder, "identity", signed(folder, "approval"))
    assert program.main([], folder) == 0
    assert state(folder) == before


def test_renewed_key_voids_nothing_until_the_old_one_is_forgotten(
    program: ModuleType, folder: Path
) -> None:
    program.main([], folder)
    grace = f"Account: grace\n{LocalSigner(folder / 'approval/key.pem').public_key.pem.decode()}"
    with (folder / "public/identity.pem").open("a") as file:
        file.write(grace)
    old, approval = signed(folder, "identity"), (folder / "approval/key.pem").read_bytes()
    assert program.main(["--renew", "identity"], folder) == 0
    new = signed(folder, "identity")
    assert is_believed(folder, "identity", old)
    assert is_believed(folder, "identity", new)
    assert (folder / "approval/key.pem").read_bytes() == approval
    assert program.main(["--forget", "identity"], folder) == 0
    assert not is_believed(folder, "identity", old)
    assert is_believed(folder, "identity", new)
    assert (folder / "public/identity.pem").read_text().endswith(grace), "a person's key stays"
    assert (folder / "public/identity.pem").read_text().count("BEGIN") == 2


@pytest.mark.parametrize("lost", ["public/identity.pem", "public/approval.pem"])
def test_lost_public_half_follows_from_the_private_one(
    program: ModuleType, folder: Path, lost: str
) -> None:
    program.main([], folder)
    before = state(folder)
    (folder / lost).unlink()
    assert program.main([], folder) == 0
    assert state(folder) == before


def test_draft_of_a_cut_off_attempt_is_no_obstacle(program: ModuleType, folder: Path) -> None:
    (folder / "identity/key.draft").write_text("half of a k")
    assert program.main([], folder) == 0
    assert is_believed(folder, "identity", signed(folder, "identity"))


@pytest.mark.parametrize("spoiled", ["open", "broken"])
def test_key_that_others_may_read_or_that_is_none_stops_the_stack(
    program: ModuleType, folder: Path, spoiled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program.main([], folder)
    key = folder / "approval/key.pem"
    if spoiled == "open":
        key.chmod(0o644)
    else:
        key.write_text("no key")
    before = state(folder)
    assert program.main([], folder) == 1
    assert "SigningError" in capsys.readouterr().err
    assert state(folder) == before
