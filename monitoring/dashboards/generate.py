"""Writes the dashboards: ``python -m monitoring.dashboards.generate [--check]``.

``grafana/dashboards`` holds what this writes and nothing else; a test compares the two.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from monitoring.dashboards.governance import GOVERNANCE
from monitoring.dashboards.models import MODELS
from monitoring.dashboards.observability import OBSERVABILITY
from monitoring.dashboards.panels import Dashboard, document
from monitoring.dashboards.pipeline import PIPELINE
from monitoring.dashboards.resources import RESOURCES

DASHBOARDS: Final[tuple[Dashboard, ...]] = (
    OBSERVABILITY,
    PIPELINE,
    MODELS,
    GOVERNANCE,
    RESOURCES,
)
FOLDER: Final = Path(__file__).resolve().parents[2] / "grafana" / "dashboards"


def files() -> dict[str, str]:
    """File name to content of every dashboard."""
    return {
        f"{each.uid}.json": json.dumps(document(each), indent=2, ensure_ascii=False) + "\n"
        for each in DASHBOARDS
    }


def differences(folder: Path = FOLDER) -> list[str]:
    """What stands in a folder of dashboards and should not, or the other way round.

    Args:
        folder: The folder.

    Returns:
        Names of files that are missing, surplus or different.
    """
    wanted = files()
    found = {path.name: path.read_text() for path in folder.glob("*.json")}
    return sorted(name for name in wanted | found if wanted.get(name) != found.get(name))


def write(folder: Path = FOLDER) -> None:
    """Writes every dashboard into a folder and removes others.

    Args:
        folder: The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = files()
    for path in folder.glob("*.json"):
        if path.name not in wanted:
            path.unlink()
    for name, content in wanted.items():
        (folder / name).write_text(content)


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(prog="python -m monitoring.dashboards.generate")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if stale")
    if not parser.parse_args(arguments).check:
        write()
    elif stale := differences():
        names = ", ".join(stale)
        sys.exit(f"{names}: not as generated; run `python -m monitoring.dashboards.generate`")


if __name__ == "__main__":
    main()
