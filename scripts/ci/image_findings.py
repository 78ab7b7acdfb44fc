"""What the registry's own scan found in the images of a release; CRITICAL stops it.

usage: image_findings.py --environment staging --release COMMIT --target JSON
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import closing

import boto3
from botocore.exceptions import BotoCoreError, ClientError
from delivery_target import ENVIRONMENTS, target_of
from release_images import SHOWN, STOPPING, checked_release, find_images, wait_for_findings

from interlock.errors import InterlockError


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="image_findings.py", description="Read the scan.")
    made.add_argument("--environment", required=True, choices=ENVIRONMENTS)
    made.add_argument("--release", required=True, help="commit that the images were built from")
    made.add_argument("--target", required=True, help="delivery of Terraform's output, JSON")
    made.add_argument("--seconds", type=float, default=600.0, help="how long a scan may take")
    made.add_argument("--poll-seconds", type=float, default=10.0)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Reads and judges.

    Returns:
        0 when nothing is CRITICAL, else 1.
    """
    options = parser().parse_args(arguments)
    stopped = False
    try:
        target = target_of(options.environment, options.target)
        with closing(boto3.session.Session().client("ecr")) as ecr:
            images = find_images(ecr, target, checked_release(options.release))
            for image in images.values():
                for digest in image.platforms:
                    counts = wait_for_findings(
                        ecr,
                        target.repository(image.name),
                        digest,
                        seconds=options.seconds,
                        poll_seconds=options.poll_seconds,
                    )
                    shown = ", ".join(f"{counts.get(each, 0)} {each}" for each in SHOWN)
                    print(f"{image.name} {digest}: {shown}")
                    stopped = stopped or any(counts.get(each, 0) for each in STOPPING)
    except (InterlockError, ClientError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if stopped:
        print(f"error: {' and '.join(STOPPING)} findings must be mended first", file=sys.stderr)
    return 1 if stopped else 0


if __name__ == "__main__":
    sys.exit(main())
