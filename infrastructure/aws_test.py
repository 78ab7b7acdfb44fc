"""Checks the AWS target: ``python -m infrastructure.aws_test``, or ``make aws-test``.

First what needs no AWS (``static_checks``), then one environment really applied to a local AWS API
(``applied``). What cannot be done here is skipped, and the summary says so by name.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from infrastructure import applied, local_aws, moto_limits, static_checks, tools
from infrastructure.report import Report, skipped

ENVIRONMENTS: Final = ("dev", "staging", "prod")
REGION: Final = "eu-central-1"
NO_TERRAFORM: Final = "terraform is not installed (developer.hashicorp.com/terraform/install)"


def words(arguments: Sequence[str] | None) -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(prog="aws_test", description=__doc__)
    parser.add_argument("--environment", choices=ENVIRONMENTS, default="dev", help="which to apply")
    parser.add_argument(
        "--only", choices=("static", "apply"), help="only what applies nothing, or only the rest"
    )
    return parser.parse_args(arguments)


def check(
    report: Report, asked: argparse.Namespace, temporary: Path, caller: Mapping[str, str]
) -> None:
    """Runs what is asked for.

    Args:
        report: Where the steps go.
        asked: What is asked for.
        temporary: A folder for everything that is written.
        caller: The variables of this process.
    """
    program = tools.terraform()
    provider = tools.find_provider(caller) if program else NO_TERRAFORM
    found = provider if isinstance(provider, tools.Provider) else None
    report.write(f"provider: {found.said if found else provider}")

    def tree(name: str) -> static_checks.Tree | str:
        folder = temporary / name
        folder.mkdir()
        if program is None:
            return NO_TERRAFORM
        return static_checks.Tree.copied(folder, program, found, caller)

    if asked.only != "apply":
        static_checks.run_all(report, tree("static"), provider)
    if asked.only == "static":
        return
    copy = tree("applied")
    if isinstance(provider, str) or isinstance(copy, str):
        why = str(provider)
        report.run(f"{asked.environment}: applied to a local AWS API", lambda: skipped(why))
        return
    with local_aws.running(temporary, REGION, caller) as aws:
        applied.run(report, applied.Trial(copy, aws, asked.environment, moto_limits.read()))


def main(arguments: Sequence[str] | None = None) -> int:
    """The entry point; 0 when nothing failed, whatever was skipped."""
    asked = words(arguments)
    report = Report(lambda line: print(line, flush=True))
    with tempfile.TemporaryDirectory(prefix="interlock-aws-") as temporary:
        check(report, asked, Path(temporary), dict(os.environ))
    for line in report.summary():
        report.write(line)
    return 1 if report.failures() else 0


if __name__ == "__main__":
    sys.exit(main())
