"""Whose decisions a key may sign: read closed, so that no line is misread as a server's key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.adapters.believed_keys import NOBODY, Signatories, read_believed_keys
from interlock.adapters.signer import LocalSigner, new_private_key
from interlock.errors import SigningError
from interlock.governance.approval import SERVER

MESSAGE = b"a decision"


@pytest.fixture
def new_key(tmp_path: Path) -> Callable[[], LocalSigner]:
    """Makes a key."""

    def make() -> LocalSigner:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.pem"
        path.touch(mode=0o600)
        path.write_bytes(new_private_key())
        return LocalSigner(path)

    return make


def pem(key: LocalSigner) -> str:
    return key.public_key.pem.decode()


def test_key_signs_for_its_account_and_a_server_for_all(
    new_key: Callable[[], LocalSigner], tmp_path: Path
) -> None:
    server, grace, renewed, stranger = (new_key() for _ in range(4))
    text = f"""# since May
{pem(server)}
# hers
Account: Grace@Example.com
{pem(grace)}Account: grace@example.com
{pem(renewed)}
# the end
"""
    file = tmp_path / "believed"
    file.write_text(text)
    for source in (text, file):
        found = Signatories(read_believed_keys(source))
        who = [found.of(MESSAGE, key.sign(MESSAGE)) for key in (server, grace, renewed, stranger)]
        assert who == [{SERVER}, {"grace@example.com"}, {"grace@example.com"}, set()]
        assert (found.people, found.servers) == (("grace@example.com",), 1)
        assert found.of(b"another", grace.sign(MESSAGE)) == set()
    assert NOBODY.of(MESSAGE, server.sign(MESSAGE)) == set()


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("Acount: grace\n", "", "holds the line 'Acount: grace'"),
        ("account: grace\n", "", "holds the line"),
        ("Account:\n", "", "holds the line"),
        ("Account: \u2003\n", "", "holds the line"),
        ("grace\n", "", "holds the line 'grace'"),
        ("Account: grace\nAccount: henry\n", "", "names grace and henry for one key"),
        ("", "Account: grace\n", "ends without a public key"),
        ("", "Account: grace\n-----BEGIN PUBLIC KEY-----\n", "holds the line"),
    ],
)
def test_line_that_is_not_understood_is_refused(
    new_key: Callable[[], LocalSigner], before: str, after: str, says: str
) -> None:
    with pytest.raises(SigningError, match=says):
        read_believed_keys(before + pem(new_key()) + after)


@pytest.mark.parametrize("names", [("grace", "henry"), ("", "grace"), ("grace", "")], ids=str)
def test_one_key_for_two_is_refused(
    new_key: Callable[[], LocalSigner], names: tuple[str, str]
) -> None:
    key = new_key()
    text = "".join(f"{f'Account: {name}' if name else ''}\n{pem(key)}" for name in names)
    with pytest.raises(SigningError, match="gives one key to"):
        read_believed_keys(text)


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_text_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(SigningError, match="ends without a public key"):
        read_believed_keys(text)


def test_something_else_than_a_key_is_refused(tmp_path: Path) -> None:
    block = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
    with pytest.raises(SigningError, match="the text of the variable holds something"):
        read_believed_keys(block)
    with pytest.raises(SigningError, match="cannot be read"):
        read_believed_keys(tmp_path / "none")
