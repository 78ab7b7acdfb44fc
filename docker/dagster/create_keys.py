"""Makes the two pairs of keys of the stack; then ends.

``identity`` signs who acts and ``approval`` signs decisions. Each private key has a volume of its
own, so that a container is given one, both or none; the public halves lie together, for everybody.
Runs once each time the stack starts, without a network, and leaves what is there as it is.

``create_keys.py --renew identity`` makes a new pair. The public half of the old one stays believed,
below the new one, so that what was signed with it still counts; ``--forget identity`` ends that.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from interlock.adapters.signer import LocalSigner, new_private_key
from interlock.errors import InterlockError

PAIRS: Final = ("identity", "approval")
KEYS: Final = Path("/keys")
PRIVATE: Final = 0o600
READABLE: Final = 0o644
# A line that says whose key it is, and the key; `interlock.adapters.believed_keys` has the form.
_OF_A_PERSON: Final = re.compile(
    rb"^Account:[^\n]*\n-----BEGIN PUBLIC KEY-----\n.*?-----END PUBLIC KEY-----\n",
    re.DOTALL | re.MULTILINE,
)


def make(folder: Path, pair: str) -> str:
    """Makes what is missing of a pair.

    Args:
        folder: Holds ``identity``, ``approval`` and ``public``.
        pair: Which one.

    Returns:
        A line for the log.

    Raises:
        SigningError: What is there is no such key, or others may read it.
    """
    private, public = _paths(folder, pair)
    made = not private.exists()
    if made:
        _write(private, new_private_key(), PRIVATE)
    signer = LocalSigner(private)
    # Cut off between the two files, or with the public one lost: it follows from the private one.
    believed = public.read_bytes() if public.exists() else b""
    if signer.public_key.pem not in believed:
        _write(public, signer.public_key.pem + believed, READABLE)
    return f"{pair}: {signer.key_id[:16]}{' made' if made else ''}"


def renew(folder: Path, pair: str) -> str:
    """Replaces the private key; the old public half stays believed.

    Args:
        folder: As for ``make``.
        pair: Which one.

    Returns:
        A line for the log.

    Raises:
        SigningError: As for ``make``.
    """
    make(folder, pair)  # so that the public half of the old one is surely kept
    _write(_paths(folder, pair)[0], new_private_key(), PRIVATE)
    return make(folder, pair)


def forget(folder: Path, pair: str) -> str:
    """Believes the present key alone from now on, and what people sign with their own.

    Args:
        folder: As for ``make``.
        pair: Which one.

    Returns:
        A line for the log.

    Raises:
        SigningError: As for ``make``.
    """
    said = make(folder, pair)
    private, public = _paths(folder, pair)
    people = b"".join(match.group() for match in _OF_A_PERSON.finditer(public.read_bytes()))
    _write(public, LocalSigner(private).public_key.pem + people, READABLE)
    return f"{said}, and no earlier one"


def main(arguments: Sequence[str] | None = None, folder: Path = KEYS) -> int:
    """Makes, renews or forgets.

    Args:
        arguments: Of the command line.
        folder: Where the volumes are mounted.

    Returns:
        0, or 1 after saying what is wrong.
    """
    parser = argparse.ArgumentParser(description="Makes the keys of the stack.")
    parser.add_argument("--renew", choices=PAIRS, action="append", default=[])
    parser.add_argument("--forget", choices=PAIRS, action="append", default=[])
    options = parser.parse_args(arguments)
    try:
        for pair in PAIRS:
            if pair in options.renew:
                print(renew(folder, pair))
            if pair in options.forget:
                print(forget(folder, pair))
            if pair not in {*options.renew, *options.forget}:
                print(make(folder, pair))
    except InterlockError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _paths(folder: Path, pair: str) -> tuple[Path, Path]:
    return folder / pair / "key.pem", folder / "public" / f"{pair}.pem"


def _write(path: Path, content: bytes, mode: int) -> None:
    """Writes a file whole or not at all; nobody reads it before it has its mode."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)


if __name__ == "__main__":
    sys.exit(main())
