"""Which programs and which AWS provider are here: found, never installed, except for checkov.

Terraform, tflint and a provider come from their makers, not from the package index. checkov is a
Python program with requirements that contradict the platform's; it lives in an environment of its
own, made on demand from its own lock file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
TERRAFORM: Final = ROOT / "infrastructure" / "terraform"
CHECKOV_LOCK: Final = ROOT / "infrastructure" / "requirements-checkov.lock"
CHECKOV_ENVIRONMENT: Final = ROOT / "infrastructure" / ".venv-checkov"
PROVIDER: Final = Path("registry.terraform.io/hashicorp/aws")
MIRROR_VARIABLE: Final = "INTERLOCK_TF_PROVIDER_DIR"
REGISTRY: Final = "https://registry.terraform.io/.well-known/terraform.json"
REGISTRY_SECONDS: Final = 5
INSTALL_SECONDS: Final = 900

Which = Callable[[str], str | None]


@dataclass(frozen=True)
class Provider:
    """Where Terraform gets the AWS provider from.

    Attributes:
        mirror: A folder laid out as a filesystem mirror; None for the registry.
        said: How to name it in a report.
    """

    mirror: Path | None
    said: str

    def command_line_configuration(self, cache: Path) -> str:
        """The text of Terraform's own configuration file.

        Args:
            cache: Where providers from the registry are kept for the length of a run.
        """
        if self.mirror is None:
            return f'disable_checkpoint = true\nplugin_cache_dir = "{cache}"\n'
        return (
            "disable_checkpoint = true\n"
            "provider_installation {\n"
            f'  filesystem_mirror {{\n    path = "{self.mirror}"\n  }}\n'
            "}\n"
        )


def mirrored_versions(mirror: Path) -> tuple[str, ...]:
    """The versions of the AWS provider in a filesystem mirror, unpacked or as archives."""
    folder = mirror / PROVIDER
    unpacked = {each.name for each in folder.glob("*.*") if each.is_dir()}
    packed = {each.name.split("_")[1] for each in folder.glob("terraform-provider-aws_*_*.zip")}
    return tuple(sorted(unpacked | packed))


def registry_answers(url: str = REGISTRY) -> bool:
    """Whether providers can be downloaded from here."""
    try:
        with urllib.request.urlopen(url, timeout=REGISTRY_SECONDS) as answer:  # noqa: S310 - https
            return bool(answer.status == 200)  # noqa: PLR2004 - HTTP's OK
    except (urllib.error.URLError, OSError):
        return False


def find_provider(
    environment: Mapping[str, str], answers: Callable[[], bool] = registry_answers
) -> Provider | str:
    """The provider to use, or a sentence that says why there is none.

    Args:
        environment: The variables of this process.
        answers: Whether the registry can be reached.
    """
    named = environment.get(MIRROR_VARIABLE)
    if named:
        mirror = Path(named).resolve()
        versions = mirrored_versions(mirror)
        if not versions:
            return f"{MIRROR_VARIABLE} names {mirror}, which has no {PROVIDER}/<version>"
        return Provider(mirror, f"hashicorp/aws {', '.join(versions)} from {MIRROR_VARIABLE}")
    if answers():
        return Provider(None, "hashicorp/aws from the registry")
    return f"no AWS provider: the registry does not answer and {MIRROR_VARIABLE} is not set"


def terraform(which: Which = shutil.which) -> str | None:
    """Terraform's program."""
    return which("terraform")


def tflint(which: Which = shutil.which) -> str | None:
    """The program of tflint."""
    return which("tflint")


def checkov(which: Which = shutil.which) -> Path | str:
    """The program of checkov, installed when it is not there; or a sentence that says why not."""
    program = CHECKOV_ENVIRONMENT / "bin" / "checkov"
    installed = CHECKOV_ENVIRONMENT / "installed.lock"
    if program.exists() and installed.exists():
        if installed.read_bytes() == CHECKOV_LOCK.read_bytes():
            return program
    elif (found := which("checkov")) is not None and not CHECKOV_LOCK.exists():
        return Path(found)
    uv = Path(sys.executable).with_name("uv")
    python = CHECKOV_ENVIRONMENT / "bin" / "python"
    commands: tuple[tuple[str | Path, ...], ...] = (
        (uv, "venv", "--quiet", "--clear", "--python", sys.executable, CHECKOV_ENVIRONMENT),
        (uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, CHECKOV_LOCK),
    )
    for command in commands:
        done = subprocess.run(  # noqa: S603 - fixed words
            command, capture_output=True, text=True, check=False, timeout=INSTALL_SECONDS
        )
        if done.returncode:
            return f"checkov could not be installed: {done.stderr.strip().splitlines()[-1]}"
    installed.write_bytes(CHECKOV_LOCK.read_bytes())
    return program
