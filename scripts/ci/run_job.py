"""Runs a command as a one-shot task in an environment, and ends as it ended.

usage: run_job.py --environment staging --target JSON [--seconds N] -- COMMAND ...

The way into a network that nobody outside reaches: the command runs in the platform's image, with
the role of jobs, which reads, and appends to the audit trail. Behind ``make deploy-check``,
``make audit-verify``, ``make drift`` and ``make smoke-test`` with ``ENVIRONMENT=``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from delivery_target import ENVIRONMENTS, JOBS, target_of
from one_shot import OneShotTasks

from interlock.errors import InterlockError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="run_job.py", description="Run a command over there.")
    made.add_argument("--environment", required=True, choices=ENVIRONMENTS)
    made.add_argument("--target", required=True, help="delivery of Terraform's output, JSON")
    made.add_argument("--seconds", type=float, default=1800.0, help="how long it may take")
    made.add_argument("--poll-seconds", type=float, default=10.0)
    made.add_argument("command", nargs="+", help="command, after --")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs it.

    Returns:
        Its exit code; 2 when it could not be run.
    """
    options = parser().parse_args(arguments)
    try:
        target = target_of(options.environment, options.target)
        session = boto3.session.Session()
        with closing(session.client("ecs")) as ecs, closing(session.client("logs")) as logs:
            tasks = OneShotTasks(
                ecs, logs, target=target, say=_say, poll_seconds=options.poll_seconds
            )
            return tasks.run(target.family(JOBS), options.command, seconds=options.seconds)
    except (InterlockError, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
