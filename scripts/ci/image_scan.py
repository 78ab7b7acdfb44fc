"""Known vulnerabilities: of the locked Python packages, and of images where a scanner is here.

usage: image_scan.py [--images TAG]

Packages are looked up by pip-audit; trivy or grype on PATH looks into the images as well, and
without either this says that nobody did: the registry's own scan then stands between image and
deployment (``image_findings.py``). What may stay is in ``vulnerabilities.toml``, each with a
reason and a day on which it is to be looked at again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
LOCKS: Final = ("requirements.lock", "requirements-dev.lock")
EXCEPTIONS: Final = Path(__file__).with_name("vulnerabilities.toml")
IMAGES: Final = ("platform", "dagster", "mlflow")
AUDIT_SECONDS: Final = 600
# Only what somebody has mended stops a build; what nobody can mend is the registry's to report.
SCANNERS: Final[Mapping[str, Sequence[str]]] = {
    "trivy": ("image", "--quiet", "--ignore-unfixed", "--severity=CRITICAL", "--exit-code=1"),
    "grype": ("--quiet", "--only-fixed", "--fail-on=critical"),
}


@dataclass(frozen=True)
class Accepted:
    """A vulnerability that may stay for a while."""

    id: str
    reason: str
    until: date


@dataclass(frozen=True)
class Audit:
    """What pip-audit found.

    Attributes:
        audited: Packages that were looked up.
        unknown: Packages of which nobody could say anything.
        findings: Id to the package that has it, with its aliases.
    """

    audited: int
    unknown: tuple[str, ...]
    findings: Mapping[str, tuple[str, frozenset[str]]]


def read_exceptions(text: str) -> tuple[Accepted, ...]:
    """The list of what may stay; every entry says why and until when."""
    found = tomllib.loads(text).get("accepted", [])
    return tuple(Accepted(each["id"], each["reason"], each["until"]) for each in found)


def read_audit(document: Mapping[str, Any]) -> Audit:
    """Reads the JSON of pip-audit."""
    known = [each for each in document["dependencies"] if "skip_reason" not in each]
    return Audit(
        audited=len(known),
        unknown=tuple(each["name"] for each in document["dependencies"] if "skip_reason" in each),
        findings={
            found["id"]: (f"{each['name']} {each['version']}", frozenset(found.get("aliases", [])))
            for each in known
            for found in each["vulns"]
        },
    )


def verdict(audit: Audit, exceptions: Sequence[Accepted], today: date) -> list[str]:
    """Reasons against the packages of a lock file; empty when there are none.

    Args:
        audit: What was found.
        exceptions: What may stay.
        today: Exceptions end.
    """
    accepted = {each.id for each in exceptions if each.until >= today}
    reasons = [
        f"{package} has {vulnerability}"
        for vulnerability, (package, aliases) in audit.findings.items()
        if vulnerability not in accepted and not aliases & accepted
    ]
    if audit.unknown:
        shown = ", ".join(audit.unknown[:5]) + (", ..." if len(audit.unknown) > 5 else "")  # noqa: PLR2004
        reasons.append(
            f"{len(audit.unknown)} of {audit.audited + len(audit.unknown)} packages could not be "
            f"looked up ({shown}): the vulnerability service does not answer from here"
        )
    reasons += [
        f"the exception for {each.id} ended on {each.until}: {each.reason}"
        for each in exceptions
        if each.until < today
    ]
    return reasons


def audit_lock(lock: str) -> Audit:
    """Looks up every package of a lock file."""
    done = subprocess.run(
        [
            Path(sys.executable).with_name("pip-audit"),
            *("--requirement", lock, "--disable-pip", "--require-hashes"),
            *("--format", "json", "--progress-spinner", "off"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=AUDIT_SECONDS,
    )
    try:
        return read_audit(json.loads(done.stdout))
    except ValueError:
        sys.exit(f"error: pip-audit gave no document for {lock}: {done.stderr.strip()[-500:]}")


def scan_images(tag: str) -> list[str]:
    """Looks into built images; the names of those that must not pass."""
    scanner = next((name for name in SCANNERS if shutil.which(name)), None)
    if scanner is None:
        print("left out: no trivy or grype on PATH to look into the images themselves")
        return []
    refused = []
    for image in IMAGES:
        reference = f"interlock/{image}:{tag}"
        print(f"== {scanner} {reference}", flush=True)
        done = subprocess.run([scanner, *SCANNERS[scanner], reference], check=False)
        if done.returncode:
            refused.append(f"{scanner} refuses {reference}")
    return refused


def main(arguments: Sequence[str] | None = None) -> int:
    """Looks everything up.

    Returns:
        0 when nothing stands against packages and images, else 1.
    """
    made = argparse.ArgumentParser(prog="image_scan.py", description="Look for vulnerabilities.")
    made.add_argument("--images", metavar="TAG", help="also look into the images with this tag")
    options = made.parse_args(arguments)
    exceptions = read_exceptions(EXCEPTIONS.read_text())
    today = datetime.now(UTC).date()
    reasons = []
    for lock in LOCKS:
        found = audit_lock(lock)
        print(f"== {lock}: {found.audited} packages looked up, {len(found.findings)} findings")
        reasons += [f"{lock}: {each}" for each in verdict(found, exceptions, today)]
    if options.images:
        reasons += scan_images(options.images)
    for reason in reasons:
        print(f"error: {reason}", file=sys.stderr)
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
