"""The images of a release, as the registry has them: digests, provenance, findings.

A release is the commit that it was built from; its images carry it as their tag, which the
registry never lets move. What is deployed is the digest behind it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError
from delivery_target import IMAGES, DeliveryTarget

from interlock.errors import ConfigurationError, ProcessFailed

RELEASE: Final = re.compile("[0-9a-f]{40}")
INDEX_TYPES: Final = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
REFERENCE: Final = "vnd.docker.reference.type"  # BuildKit's mark of an attestation
STOPPING: Final = ("CRITICAL",)
SHOWN: Final = ("CRITICAL", "HIGH", "MEDIUM")


@dataclass(frozen=True)
class ReleaseImage:
    """One image of a release.

    Attributes:
        name: platform, dagster or mlflow.
        digest: Of the index that names image and attestations.
        platforms: Digests of the images for each platform.
    """

    name: str
    digest: str
    platforms: tuple[str, ...]


def checked_release(release: str) -> str:
    """A release that is a whole commit.

    Raises:
        ConfigurationError: It is not.
    """
    if not RELEASE.fullmatch(release):
        raise ConfigurationError(
            f"release is {release!r}, expected a commit of 40 hexadecimal digits",
            remedy="give the commit that the images were built from",
        )
    return release


def find_images(ecr: Any, target: DeliveryTarget, release: str) -> Mapping[str, ReleaseImage]:
    """The images of a release, each with its provenance.

    Args:
        ecr: Client.
        target: Whose registry.
        release: The commit.

    Raises:
        ConfigurationError: One is missing, or carries no attestation of how it was built.
    """
    return {name: _find(ecr, target.repository(name), name, release) for name in IMAGES}


def wait_for_findings(
    ecr: Any, repository: str, digest: str, *, seconds: float, poll_seconds: float
) -> Mapping[str, int]:
    """Number of vulnerabilities by severity, once the registry has looked.

    Args:
        ecr: Client.
        repository: Its name.
        digest: Of an image for one platform.
        seconds: How long the scan may take.
        poll_seconds: Between two looks.

    Raises:
        ProcessFailed: There is no result.
    """
    until = time.monotonic() + seconds
    while True:
        status = "it has not begun"
        try:
            answer = ecr.describe_image_scan_findings(
                repositoryName=repository, imageId={"imageDigest": digest}
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ScanNotFoundException":
                raise
        else:
            status = answer["imageScanStatus"]["status"]
            if status in {"COMPLETE", "ACTIVE"}:
                counts = answer["imageScanFindings"].get("findingSeverityCounts", {})
                return {str(severity): int(count) for severity, count in counts.items()}
        if status == "FAILED" or time.monotonic() >= until:
            raise ProcessFailed(
                f"the registry's scan of {repository} {digest} gave no result: {status}",
                remedy="see the image in the registry; an unscanned image is not deployed",
            )
        time.sleep(poll_seconds)


def _find(ecr: Any, repository: str, name: str, release: str) -> ReleaseImage:
    answer = ecr.batch_get_image(
        repositoryName=repository,
        imageIds=[{"imageTag": release}],
        acceptedMediaTypes=list(INDEX_TYPES),
    )
    if not answer["images"]:
        raise ConfigurationError(
            f"the registry has no image {repository}:{release}",
            remedy="let the main branch's workflow build and push this commit first",
        )
    found = answer["images"][0]
    manifests = json.loads(found["imageManifest"]).get("manifests", [])
    attested = [
        each
        for each in manifests
        if each.get("annotations", {}).get(REFERENCE) == "attestation-manifest"
    ]
    if not attested:
        raise ConfigurationError(
            f"{repository}:{release} carries no attestation of how it was built",
            remedy="deploy images that the main branch's workflow pushed",
        )
    return ReleaseImage(
        name=name,
        digest=found["imageId"]["imageDigest"],
        platforms=tuple(each["digest"] for each in manifests if each not in attested),
    )
