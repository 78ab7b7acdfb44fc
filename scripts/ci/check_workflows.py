"""Checks the workflows: GitHub's schema, zizmor, and actionlint where it is on PATH.

actionlint is a Go program that no wheel carries; ``make actionlint`` builds it with Go. Without
it this says so and goes on: the other two and ``platform_tests/unit/delivery`` still hold.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
WORKFLOWS: Final = ".github/workflows"
Which = Callable[[str], str | None]


def commands(files: Sequence[str], which: Which) -> tuple[list[list[str]], list[str]]:
    """What is run, and what is left out.

    Args:
        files: The workflows, from the repository's root.
        which: Finds a program.
    """
    run = [
        [_here("check-jsonschema"), "--builtin-schema=vendor.github-workflows", *files],
        [_here("zizmor"), "--offline", "--no-progress", "--pedantic", WORKFLOWS],
    ]
    left_out = []
    actionlint = which("actionlint")
    if actionlint is None:
        left_out.append("actionlint is not on PATH; `make actionlint` builds it with Go")
    else:
        shellcheck = which("shellcheck") or ""
        run.append([actionlint, "-no-color", f"-shellcheck={shellcheck}", *files])
    return run, left_out


def _here(program: str) -> str:
    return str(Path(sys.executable).with_name(program))


def _which(program: str) -> str | None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return shutil.which(program, path=path)


def main() -> int:
    """Runs everything.

    Returns:
        0 when nothing was found, else 1.
    """
    files = sorted(str(each.relative_to(ROOT)) for each in (ROOT / WORKFLOWS).glob("*.yml"))
    run, left_out = commands(files, _which)
    failed = False
    for command in run:
        print(f"== {Path(command[0]).name}", flush=True)
        failed = subprocess.run(command, cwd=ROOT, check=False).returncode != 0 or failed
    for each in left_out:
        print(f"left out: {each}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
