"""Deploys a release to an environment, or takes it back: the command behind ``make deploy``.

usage: deploy.py --environment staging --release COMMIT --target JSON [options] -- SMOKE TEST

Ends with 0 when the release runs, 1 when it failed and the former one runs again, 2 when it was
refused before anything was touched. How, is in ``rollout.py``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from delivery_target import ENVIRONMENTS, target_of
from deployment_record import DeploymentRecord
from one_shot import OneShotTasks
from release_images import checked_release, find_images
from revisions import JobRevisions, TaskRevisions
from rollout import Rollout, Timing

from interlock.errors import InterlockError, ProcessFailed

FAILED: Final = 1
REFUSED: Final = 2


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="deploy.py", description="Deploy a release.")
    made.add_argument("--environment", required=True, choices=ENVIRONMENTS)
    made.add_argument("--release", required=True, help="commit that the images were built from")
    made.add_argument("--target", required=True, help="delivery of Terraform's output, JSON")
    made.add_argument("--record", type=Path, default=Path("deployment.json"))
    made.add_argument("--poll-seconds", type=float, default=Timing.poll_seconds)
    made.add_argument("--job-seconds", type=float, default=Timing.job_seconds)
    made.add_argument("--stable-seconds", type=float, default=Timing.stable_seconds)
    made.add_argument("--watch-seconds", type=float, default=Timing.watch_seconds)
    made.add_argument("--ignore-alarm", action="append", default=[], help="may be repeated")
    made.add_argument("smoke_test", nargs="+", help="command, after --")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Deploys.

    Returns:
        The exit code.
    """
    options = parser().parse_args(arguments)
    try:
        with ExitStack() as stack:
            _rollout(options, stack).run()
    except ProcessFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except (InterlockError, ClientError, BotoCoreError, OSError) as error:
        print(f"refused: {error}", file=sys.stderr)
        return REFUSED
    print(f"{options.environment} runs {options.release}")
    return 0


def _rollout(options: argparse.Namespace, stack: ExitStack) -> Rollout:
    session = boto3.session.Session()

    def client(service: str) -> Any:
        return stack.enter_context(closing(session.client(service)))

    release = checked_release(options.release)
    target = target_of(options.environment, options.target)
    images = find_images(client("ecr"), target, release)
    digests = {name: image.digest for name, image in images.items()}
    ecs = client("ecs")
    timing = Timing(
        poll_seconds=options.poll_seconds,
        job_seconds=options.job_seconds,
        stable_seconds=options.stable_seconds,
        watch_seconds=options.watch_seconds,
    )
    head = {"environment": target.environment, "release": release, "images": digests}
    return Rollout(
        ecs=ecs,
        cloudwatch=client("cloudwatch"),
        tasks=TaskRevisions(ecs, release=release, digests=digests),
        jobs=JobRevisions(client("batch"), release=release, digests=digests),
        one_shot=OneShotTasks(
            ecs, client("logs"), target=target, say=_say, poll_seconds=timing.poll_seconds
        ),
        target=target,
        smoke_test=lambda: subprocess.run(options.smoke_test, check=False).returncode == 0,
        timing=timing,
        record=DeploymentRecord(options.record, head, clock=_now, say=_say),
        ignored_alarms=frozenset(options.ignore_alarm),
    )


def _say(line: str) -> None:
    print(line, flush=True)


def _now() -> datetime:
    return datetime.now(UTC)


if __name__ == "__main__":
    sys.exit(main())
