"""Where a deployment goes: the names that Terraform gave, and what only an operator can know.

Names follow from that of the cluster (infrastructure/terraform/modules/platform). Network and
alarms do not; they come as one JSON document, ``delivery`` of Terraform's output ``stack``, which
a job receives in the variable DELIVERY_TARGET. Nothing in it is a secret. What else Terraform says
there is not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from interlock.errors import ConfigurationError

ENVIRONMENTS: Final = ("dev", "staging", "prod")
IMAGES: Final = ("platform", "dagster", "mlflow")
# In the order in which they are updated: what others ask comes first.
SERVICES: Final = (
    "mlflow",
    "code-server",
    "dagster-webserver",
    "console",
    "dagster-daemon",
    "dagster-exporter",
    "drift-monitor",
)
RUN: Final = "run"
JOBS: Final = "jobs"
DATABASES: Final = "databases"
BURSTS: Final = ("run", "run-spot")  # job definitions of AWS Batch
REQUIRED: Final = {"cluster", "subnets", "security_group", "alarms"}
_ID: Final = re.compile(r"(subnet|sg)-[0-9a-f]{8,}")
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{2,30}")
_REMEDY: Final = "set DELIVERY_TARGET to what `terraform output -json stack | jq -c .delivery` says"


@dataclass(frozen=True)
class DeliveryTarget:
    """One environment, as a deployment sees it.

    Attributes:
        environment: dev, staging or prod.
        name: Prefix of all names, and the name of the ECS cluster.
        subnets: Ids; where one-shot tasks run.
        security_group: Id; that of one-shot tasks.
        alarms: CloudWatch alarms that stop a deployment.
    """

    environment: str
    name: str
    subnets: tuple[str, ...]
    security_group: str
    alarms: tuple[str, ...]

    @property
    def cluster(self) -> str:
        """Name of the ECS cluster."""
        return self.name

    def family(self, of: str) -> str:
        """Family of a task definition, by what it is called in docker-compose.yml."""
        return f"{self.name}-{of}"

    @property
    def newest_counts(self) -> tuple[str, ...]:
        """Families of which whoever starts a task takes the newest revision."""
        return tuple(self.family(each) for each in (DATABASES, JOBS, RUN))

    @property
    def job_definitions(self) -> tuple[str, ...]:
        """Batch's, of which the newest revision counts; an environment need not have them."""
        return tuple(self.family(each) for each in BURSTS)

    def repository(self, image: str) -> str:
        """Name of an image's repository in the registry."""
        return f"{self.name}/{image}"


def target_of(environment: str, document: str) -> DeliveryTarget:
    """Reads what a job was given.

    Args:
        environment: The one that it is for.
        document: JSON.

    Raises:
        ConfigurationError: It is not usable.
    """
    if environment not in ENVIRONMENTS:
        raise ConfigurationError(
            f"environment is {environment!r}, expected one of {', '.join(ENVIRONMENTS)}",
            remedy="name one of them",
        )
    found = _parsed(document)
    if missing := sorted(REQUIRED - found.keys()):
        raise ConfigurationError(f"the delivery target lacks {missing}", remedy=_REMEDY)
    alarms = _texts(found, "alarms")
    if environment == "prod" and not alarms:
        raise ConfigurationError(
            "the delivery target of prod names no alarm, so nothing would stop a bad deployment",
            remedy="name the alarms of the platform's services",
        )
    name, group = found["cluster"], found["security_group"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigurationError(f"the delivery target's cluster is {name!r}", remedy=_REMEDY)
    if not isinstance(group, str) or not _ID.fullmatch(group):
        raise ConfigurationError(f"the delivery target's group is {group!r}", remedy=_REMEDY)
    if not name.endswith(f"-{environment}"):
        raise ConfigurationError(
            f"the delivery target is that of {name}, not one of {environment}", remedy=_REMEDY
        )
    return DeliveryTarget(
        environment=environment,
        name=name,
        subnets=_ids(found, "subnets"),
        security_group=group,
        alarms=alarms,
    )


def _parsed(document: str) -> Mapping[str, Any]:
    try:
        found = json.loads(document)
    except ValueError as error:
        raise ConfigurationError(
            f"the delivery target is no JSON ({error})", remedy=_REMEDY
        ) from error
    if not isinstance(found, dict):
        raise ConfigurationError("the delivery target is no JSON object", remedy=_REMEDY)
    return found


def _texts(found: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = found[key]
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise ConfigurationError(f"{key} is no list", remedy=_REMEDY)
    if not all(isinstance(each, str) and each for each in values):
        raise ConfigurationError(f"{key} holds something else than names", remedy=_REMEDY)
    return tuple(values)


def _ids(found: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = _texts(found, key)
    if not values or not all(_ID.fullmatch(each) for each in values):
        raise ConfigurationError(f"{key} is {list(values)}, expected ids of AWS", remedy=_REMEDY)
    return values
