"""Shell scripts and Dockerfiles, held against their linters."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.settings import REPOSITORY

SHELL_FOLDERS = ("scripts", "docker", ".ci")
BESIDE_PYTHON = str(Path(sys.executable).parent)


def linter(name: str) -> str:
    found = shutil.which(name, path=BESIDE_PYTHON) or shutil.which(name)
    if found is None:
        pytest.skip(f"{name} has no wheel for this machine")
    return found


def is_shell(path: Path) -> bool:
    if path.suffix == ".sh":
        return True
    return (
        path.is_file()
        and path.suffix == ""
        and path.read_bytes()[:40].split(b"\n")[0].endswith(b"bash")
    )


def checked(*command: str) -> None:
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_shell_scripts_are_clean() -> None:
    scripts = [
        str(path.relative_to(REPOSITORY))
        for folder in SHELL_FOLDERS
        for path in sorted((REPOSITORY / folder).rglob("*"))
        if is_shell(path)
    ]
    assert "scripts/build-all.sh" in scripts
    checked(linter("shellcheck"), "--external-sources", *scripts)


@pytest.mark.parametrize("image", ["platform", "dagster", "mlflow"])
def test_dockerfile_is_clean(image: str) -> None:
    checked(linter("hadolint"), f"docker/{image}/Dockerfile")


@pytest.mark.parametrize("name", ["build-all.sh", "rebuild.sh", "decommission.sh"])
def test_script_explains_itself_and_refuses_what_it_does_not_know(name: str) -> None:
    script = str(REPOSITORY / "scripts" / name)
    told = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    assert f"usage: scripts/{name}" in told.stdout
    assert "#!" not in told.stdout
    assert "set -euo" not in told.stdout
    refused = subprocess.run([script, "--what"], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "unknown option --what" in refused.stderr
