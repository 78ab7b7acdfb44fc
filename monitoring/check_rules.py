"""Runs promtool over configuration, rules and their tests: ``python -m monitoring.check_rules``.

promtool comes with Prometheus and with no package from PyPI. It is taken from ``PATH``, or from
the image that docker-compose.yml names; without either this ends with what to install.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[1]
TESTS: Final = Path("monitoring/tests")
COMMANDS: Final = (
    ("check", "config", "prometheus.yml"),
    ("test", "rules", *sorted(str(TESTS / each.name) for each in (ROOT / TESTS).glob("*.yml"))),
)
MISSING: Final = (
    "promtool was not found; install it (Debian: apt-get install prometheus; macOS: brew install "
    "prometheus), or Docker with the image {image}"
)

Which = Callable[[str], str | None]


def image() -> str:
    """The image of Prometheus that the stack runs."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return str(compose["services"]["prometheus"]["image"])


def promtool(which: Which = shutil.which) -> tuple[str, ...] | None:
    """How promtool is called in the repository's root; None when there is none.

    Args:
        which: Finds a program on ``PATH``.
    """
    if (found := which("promtool")) is not None:
        return (found,)
    docker = which("docker")
    if docker is None:
        return None
    inspected = subprocess.run(  # noqa: S603 - fixed words
        [docker, "image", "inspect", image()], capture_output=True, check=False, timeout=60
    )
    if inspected.returncode:
        return None
    mount = ("--volume", f"{ROOT}:/work:ro", "--workdir", "/work")
    return (docker, "run", "--rm", "--network=none", *mount, "--entrypoint=promtool", image())


def run(tool: Sequence[str]) -> int:
    """Runs everything; the number of commands that failed."""
    return sum(
        subprocess.run([*tool, *words], cwd=ROOT, check=False, timeout=300).returncode != 0  # noqa: S603
        for words in COMMANDS
    )


def main() -> None:
    """The entry point."""
    tool = promtool()
    if tool is None:
        sys.exit(MISSING.format(image=image()))
    sys.exit(1 if run(tool) else 0)


if __name__ == "__main__":
    main()
