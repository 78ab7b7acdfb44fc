"""A copy of the Terraform tree in a temporary folder, where Terraform may write what it likes.

The copy stands at the same place of a repository-like folder, so that a configuration that reads
the alert rules or a dashboard from the repository reads them there too.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from infrastructure.tools import ROOT

LEFT_OUT: Final = frozenset({".git", ".venv", "infrastructure"})
WRITTEN_BY_TERRAFORM: Final = (".terraform", "*.tfstate*", "*.tfplan", ".terraform.lock.hcl")


def copy_tree(target: Path, root: Path = ROOT) -> Path:
    """Copies the tree; the copy's ``infrastructure/terraform``.

    Everything else of the repository is linked, not copied.

    Args:
        target: An empty folder.
        root: The repository.
    """
    for entry in sorted(root.iterdir()):
        if entry.name not in LEFT_OUT:
            (target / entry.name).symlink_to(entry)
    terraform = target / "infrastructure" / "terraform"
    shutil.copytree(
        root / "infrastructure" / "terraform",
        terraform,
        ignore=shutil.ignore_patterns(*WRITTEN_BY_TERRAFORM),
    )
    return terraform


def roots(terraform: Path) -> tuple[Path, ...]:
    """Every folder that can be initialised: modules, environments, bootstrap; relative."""
    found = {each.parent for each in terraform.glob("*/*/*.tf")}
    found |= {each.parent for each in terraform.glob("*/*.tf")}
    return tuple(sorted(each.relative_to(terraform) for each in found if each.name != "tests"))
