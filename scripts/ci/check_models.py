"""May the environment deploy the models that it serves? ``interlock deploy-check`` for each.

usage: check_models.py --models "CreditRiskModel ChurnModel@champion"
                       [--environment NAME --target JSON]

With an environment it is asked over there, otherwise here. An environment that serves no model yet
has nothing to check, which is said and is no failure.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_REFERENCE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}(@[a-z][a-z0-9_-]{0,49})?")


def references(text: str) -> list[str]:
    """The models of a list separated by blanks.

    Raises:
        ValueError: One is no ``MODEL[@ALIAS]``.
    """
    found = text.split()
    for each in found:
        if not _REFERENCE.fullmatch(each):
            raise ValueError(f"{each!r} is no MODEL[@ALIAS]")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Asks for each.

    Returns:
        0 when all may be deployed, else 1 or the largest exit code of those that may not.
    """
    made = argparse.ArgumentParser(prog="check_models.py", description="deploy-check for each.")
    made.add_argument("--models", required=True, type=references)
    made.add_argument("--environment", default="", help="ask over there")
    made.add_argument("--target", default="", help="delivery of Terraform's output, JSON")
    options = made.parse_args(arguments)
    here = Path(sys.executable)
    before: list[str | Path]
    if options.environment:
        place = [f"--environment={options.environment}", f"--target={options.target}"]
        before = [here, Path(__file__).with_name("run_job.py"), *place, "--", "interlock"]
    else:
        before = [here.with_name("interlock")]
    worst = 0
    for reference in options.models:
        print(f"== deploy-check {reference}", flush=True)
        done = subprocess.run([*before, "deploy-check", reference], check=False)
        if done.returncode:  # negative when a signal ended it, which permits nothing
            worst = max(worst, 1, done.returncode)
    if not options.models:
        print("no model is named in DEPLOY_MODELS, so none is checked")
    return worst


if __name__ == "__main__":
    sys.exit(main())
