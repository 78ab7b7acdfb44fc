"""Builds the three images, pushes them with provenance, or copies a release between registries.

usage: images.py build --tag TAG --release COMMIT
       images.py push --to HOST/NAME --release COMMIT
       images.py copy --release COMMIT --from HOST/NAME --to HOST/NAME

A pushed image carries BuildKit's SLSA provenance and an SBOM beside it, and its release as a tag
that the registry never lets move; a push or a copy that was cut off is simply started again.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
IMAGES: Final = ("platform", "dagster", "mlflow")
BUILDER: Final = "interlock"  # Docker's own builder cannot write attestations
ATTESTED: Final = ("--provenance=mode=max", "--sbom=true")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_RELEASE: Final = re.compile(r"[0-9a-f]{40}")
_PLACE: Final = re.compile(r"[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9][a-z0-9-]*)*")


class ImagesFailed(Exception):
    """What went wrong, as one sentence."""


def build_command(image: str, reference: str, *, commit: str, push: bool) -> list[str]:
    """How an image is built.

    Args:
        image: Which one.
        reference: What it is called afterwards.
        commit: Written into its labels.
        push: To the registry, with attestations; otherwise into Docker, without.
    """
    command = ["docker", "buildx", "build", f"--file=docker/{image}/Dockerfile"]
    command += [f"--tag={reference}", f"--label=org.opencontainers.image.revision={commit}"]
    if push:
        command += [f"--builder={BUILDER}", "--platform=linux/amd64", "--push", *ATTESTED]
    else:
        command.append("--load")
    return [*command, "."]


def build(tag: str, commit: str) -> None:
    """Builds all into Docker's own store."""
    for image in IMAGES:
        _run(build_command(image, f"interlock/{image}:{tag}", commit=commit, push=False))


def push(place: str, release: str) -> None:
    """Builds and pushes what the registry does not have yet.

    Args:
        place: Registry and name, e.g. ``HOST/interlock-staging``.
        release: The commit.
    """
    if subprocess.run(
        ["docker", "buildx", "inspect", BUILDER], capture_output=True, check=False
    ).returncode:
        _run(["docker", "buildx", "create", f"--name={BUILDER}", "--driver=docker-container"])
    for image in IMAGES:
        reference = f"{place}/{image}:{release}"
        if digest_of(reference) is None:
            _run(build_command(image, reference, commit=release, push=True))
        print(f"{reference} {_required(reference)}", flush=True)


def copy(source: str, destination: str, release: str) -> None:
    """Copies a release as it is, attestations included, and holds the digests against each other.

    Args:
        source: Registry and name that has it.
        destination: Registry and name that gets it.
        release: The commit.
    """
    for image in IMAGES:
        origin, reference = (f"{each}/{image}:{release}" for each in (source, destination))
        digest = _required(origin)
        if digest_of(reference) is None:
            exact = f"{source}/{image}@{digest}"
            _run(["docker", "buildx", "imagetools", "create", f"--tag={reference}", exact])
        found = _required(reference)
        if found != digest:
            raise ImagesFailed(f"{reference} is {found}, expected {digest} as in {origin}")
        print(f"{reference} {found}", flush=True)


def digest_of(reference: str) -> str | None:
    """Digest of an image in a registry; None when it has none of that name."""
    done = subprocess.run(
        [
            *("docker", "buildx", "imagetools", "inspect", reference),
            *("--format", "{{json .Manifest.Digest}}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        if "not found" in done.stderr.lower():
            return None
        raise ImagesFailed(f"{reference} cannot be asked for: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    if not isinstance(found, str) or not _DIGEST.fullmatch(found):
        raise ImagesFailed(f"the registry gave {done.stdout.strip()!r} for {reference}")
    return found


def _required(reference: str) -> str:
    digest = digest_of(reference)
    if digest is None:
        raise ImagesFailed(f"the registry has no {reference}")
    return digest


def _run(command: Sequence[str]) -> None:
    print(" ".join(command), flush=True)
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise ImagesFailed(f"failed: {' '.join(command)}")


def _release(text: str) -> str:
    if not _RELEASE.fullmatch(text):
        raise argparse.ArgumentTypeError("a release is a commit of 40 hexadecimal digits")
    return text


def _place(text: str) -> str:
    if not _PLACE.fullmatch(text):
        raise argparse.ArgumentTypeError("expected HOST or HOST/NAME of a registry")
    return text


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="images.py", description="Build, push and copy images.")
    verbs = made.add_subparsers(dest="verb", required=True)
    building = verbs.add_parser("build", help="into Docker's own store")
    building.add_argument("--tag", required=True)
    building.add_argument("--release", type=_release, required=True)
    pushing = verbs.add_parser("push", help="to a registry, with provenance")
    pushing.add_argument("--to", type=_place, required=True)
    pushing.add_argument("--release", type=_release, required=True)
    copying = verbs.add_parser("copy", help="from one registry to another")
    copying.add_argument("--from", dest="source", type=_place, required=True)
    copying.add_argument("--to", type=_place, required=True)
    copying.add_argument("--release", type=_release, required=True)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Does it.

    Returns:
        0, or 1 after saying what went wrong.
    """
    options = parser().parse_args(arguments)
    try:
        if options.verb == "build":
            build(options.tag, options.release)
        elif options.verb == "push":
            push(options.to, options.release)
        else:
            copy(options.source, options.to, options.release)
    except ImagesFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
