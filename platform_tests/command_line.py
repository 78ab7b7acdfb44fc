"""The command line in this process, as tests call it. Fixtures are in ``conftest.py``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from interlock.cli.app import run


@dataclass(frozen=True)
class Called:
    """What one command line came to.

    Attributes:
        code: Its exit code.
        out: What it wrote to standard output.
        err: What it wrote to standard error.
    """

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output, which must be exactly one JSON document."""
        return json.loads(self.out)


def call(capsys: pytest.CaptureFixture[str], *words: str) -> Called:
    """Run one command line in this process.

    Args:
        capsys: Pytest's capture of both streams.
        words: Those after ``interlock``.
    """
    capsys.readouterr()
    code = run(words)
    captured = capsys.readouterr()
    return Called(code, captured.out, captured.err)


def one_line(text: str) -> str:
    """A text without its line breaks, which depend on the terminal's width."""
    return " ".join(text.split())


def widest(text: str) -> int:
    """Characters of the longest line."""
    return max((len(line.rstrip()) for line in text.splitlines()), default=0)


def values(documents: Sequence[dict[str, Any]], key: str) -> list[Any]:
    """One key of each document."""
    return [document[key] for document in documents]
