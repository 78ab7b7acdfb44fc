"""Revisions of task and job definitions: the next one for a release, and the way back.

A new revision of a task definition is Terraform's newest one with other image digests, so what
Terraform changed since the last deployment arrives with this one. It carries in its tags which
release it belongs to, which revision it replaces, and, once a deployment has ended well, that it
was proven; a copy that the way back made carries of which it is one. So a deployment that was
interrupted finds its way from AWS alone: on another machine, and without a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from interlock.errors import ConfigurationError

RELEASE_TAG: Final = "interlock:release"
REPLACES_TAG: Final = "interlock:replaces"
PROVEN_TAG: Final = "interlock:proven"
RESTORES_TAG: Final = "interlock:restores"
OWN_TAGS: Final = (RELEASE_TAG, REPLACES_TAG, PROVEN_TAG, RESTORES_TAG)
# What RegisterTaskDefinition takes of what DescribeTaskDefinition gives.
TASK_KEYS: Final = (
    "family",
    "taskRoleArn",
    "executionRoleArn",
    "networkMode",
    "containerDefinitions",
    "volumes",
    "placementConstraints",
    "requiresCompatibilities",
    "cpu",
    "memory",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "inferenceAccelerators",
    "ephemeralStorage",
    "runtimePlatform",
    "enableFaultInjection",
)
JOB_KEYS: Final = (
    "jobDefinitionName",
    "type",
    "parameters",
    "schedulingPriority",
    "containerProperties",
    "retryStrategy",
    "propagateTags",
    "timeout",
    "platformCapabilities",
)


@dataclass(frozen=True)
class Revision:
    """One revision of a task or job definition.

    Attributes:
        arn: Its ARN.
        body: What it would be registered with, without tags.
        tags: Its tags.
        is_active: Whether it can still be started.
    """

    arn: str
    body: Mapping[str, Any]
    tags: Mapping[str, str]
    is_active: bool = True

    @property
    def is_terraforms(self) -> bool:
        """Whether no deployment registered it."""
        return RELEASE_TAG not in self.tags and RESTORES_TAG not in self.tags

    @property
    def unproven_successor_of(self) -> str | None:
        """The revision that an unfinished deployment put this one in the place of."""
        if RELEASE_TAG not in self.tags or PROVEN_TAG in self.tags:
            return None
        return self.tags.get(REPLACES_TAG)


def reimaged(image: str, digests: Mapping[str, str]) -> str:
    """An image at its new digest, in the registry in which it is.

    Args:
        image: ``REPOSITORY[:TAG][@DIGEST]``.
        digests: Last part of a repository's name to digest; others stay as they are.
    """
    repository = image.partition("@")[0]
    head, slash, last = repository.rpartition("/")
    name = last.partition(":")[0]
    return f"{head}{slash}{name}@{digests[name]}" if name in digests else image


class TaskRevisions:
    """Task definitions of ECS.

    Args:
        ecs: Client.
        release: The release that is deployed.
        digests: Image to digest.
    """

    def __init__(self, ecs: Any, *, release: str, digests: Mapping[str, str]) -> None:
        self._ecs = ecs
        self._release = release
        self._digests = digests

    def find(self, family_or_arn: str) -> Revision:
        """A revision by its ARN, or the newest of a family."""
        found = self._ecs.describe_task_definition(taskDefinition=family_or_arn, include=["TAGS"])
        definition = found["taskDefinition"]
        return Revision(
            arn=definition["taskDefinitionArn"],
            body={key: definition[key] for key in TASK_KEYS if key in definition},
            tags={each["key"]: each["value"] for each in found.get("tags", [])},
            is_active=definition["status"] == "ACTIVE",
        )

    def former(self, family_or_arn: str) -> Revision:
        """What ran there before any deployment that has not ended well."""
        return _proven(self.find(family_or_arn), self.find)

    def next(self, former: Revision) -> Revision:
        """The revision of this release; registered unless it is there.

        Args:
            former: What it replaces, and the place to go back to.
        """
        newest = self.find(str(former.body["family"]))
        base = self._terraforms(newest) or former
        body = self._body(base)
        if body == former.body:
            return former
        if newest.body == body and newest.tags.get(REPLACES_TAG) == former.arn:
            return newest
        return self._register(body, _tags(base, former, self._release))

    def restore(self, former: Revision) -> Revision:
        """Makes what a former revision says the newest of its family again."""
        newest = self.find(str(former.body["family"]))
        if newest.body == former.body and newest.unproven_successor_of is None:
            return newest
        return self._register(former.body, {**former.tags, RESTORES_TAG: former.arn})

    def prove(self, revision: Revision) -> None:
        """Notes that a deployment with this revision ended well."""
        if self._release == revision.tags.get(RELEASE_TAG):
            tags = [{"key": PROVEN_TAG, "value": "true"}]
            self._ecs.tag_resource(resourceArn=revision.arn, tags=tags)

    def _terraforms(self, newest: Revision) -> Revision | None:
        """The newest revision that Terraform registered and has not taken back."""
        family, _, last = newest.arn.rpartition(":")
        for number in range(int(last), 0, -1):
            try:
                found = self.find(f"{family}:{number}")
            except self._ecs.exceptions.ClientException:
                continue  # that one was deleted
            if found.is_active and found.is_terraforms:
                return found
        return None

    def _body(self, base: Revision) -> Mapping[str, Any]:
        containers = [
            {**each, "image": reimaged(each["image"], self._digests)}
            for each in base.body["containerDefinitions"]
        ]
        return {**base.body, "containerDefinitions": containers}

    def _register(self, body: Mapping[str, Any], tags: Mapping[str, str]) -> Revision:
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        answer = self._ecs.register_task_definition(**body, **({"tags": listed} if listed else {}))
        return self.find(answer["taskDefinition"]["taskDefinitionArn"])


class JobRevisions:
    """Job definitions of AWS Batch, of which the newest active revision counts.

    Args:
        batch: Client.
        release: The release that is deployed.
        digests: Image to digest.
    """

    def __init__(self, batch: Any, *, release: str, digests: Mapping[str, str]) -> None:
        self._batch = batch
        self._release = release
        self._digests = digests

    def former(self, name: str) -> Revision | None:
        """What was there before any deployment that has not ended well; None without any."""
        listed = self._all(name)
        by_arn = {each.arn: each for each in listed}
        # Terraform deregisters the revision that it replaces; then there is no way further back.
        return _proven(listed[-1], by_arn.get) if listed else None

    def next(self, former: Revision) -> Revision:
        """The revision of this release; registered unless it is there."""
        properties = former.body["containerProperties"]
        image = reimaged(properties["image"], self._digests)
        if image == properties["image"]:
            return former
        body = {**former.body, "containerProperties": {**properties, "image": image}}
        newest = self._all(str(former.body["jobDefinitionName"]))[-1]
        if newest.body == body and newest.tags.get(REPLACES_TAG) == former.arn:
            return newest
        return self._register(body, _tags(former, former, self._release))

    def restore(self, former: Revision) -> Revision:
        """Makes what a former revision says the newest again."""
        newest = self._all(str(former.body["jobDefinitionName"]))[-1]
        if newest.body == former.body and newest.unproven_successor_of is None:
            return newest
        return self._register(former.body, former.tags)

    def prove(self, revision: Revision) -> None:
        """Notes that a deployment with this revision ended well."""
        if self._release == revision.tags.get(RELEASE_TAG):
            self._batch.tag_resource(resourceArn=revision.arn, tags={PROVEN_TAG: "true"})

    def _all(self, name: str) -> Sequence[Revision]:
        pages = self._batch.get_paginator("describe_job_definitions").paginate(
            jobDefinitionName=name, status="ACTIVE"
        )
        found = [each for page in pages for each in page["jobDefinitions"]]
        if not all("containerProperties" in each for each in found):
            raise ConfigurationError(
                f"the job definition {name} is none of a single container",
                remedy="write it with containerProperties",
            )
        return [
            Revision(
                arn=each["jobDefinitionArn"],
                body={key: each[key] for key in JOB_KEYS if key in each},
                tags=each.get("tags", {}),
            )
            for each in sorted(found, key=lambda each: each["revision"])
        ]

    def _register(self, body: Mapping[str, Any], tags: Mapping[str, str]) -> Revision:
        self._batch.register_job_definition(**body, **({"tags": dict(tags)} if tags else {}))
        return self._all(str(body["jobDefinitionName"]))[-1]


def _proven(revision: Revision, find: Callable[[str], Revision | None]) -> Revision:
    """Walks back over the revisions of deployments that have not ended well."""
    seen = {revision.arn}
    while (replaced := revision.unproven_successor_of) is not None and replaced not in seen:
        seen.add(replaced)
        found = find(replaced)
        if found is None:
            break
        revision = found
    return revision


def _tags(base: Revision, former: Revision, release: str) -> dict[str, str]:
    kept = {key: value for key, value in base.tags.items() if key not in OWN_TAGS}
    return {**kept, RELEASE_TAG: release, REPLACES_TAG: former.arn}
