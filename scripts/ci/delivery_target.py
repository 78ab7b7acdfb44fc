"""Where a deployment goes: the names that Terraform gave, and what only an operator can know.

Names follow from the environment (infrastructure/terraform/modules/platform). Network and alarms
do not; they come as one JSON document, the value of Terraform's output ``delivery_target``, which
a job receives in the variable DELIVERY_TARGET. Nothing in it is a secret.
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
    "dagster-daemon",
    "dagster-exporter",
    "drift-monitor",
)
RUN: Final = "run"
JOBS: Final = "jobs"
DATABASES: Final = "databases"
_KEYS: Final = {"subnets", "jobs_security_groups", "alarms", "batch_job_definition", "name"}
_REQUIRED: Final = {"subnets", "jobs_security_groups", "alarms"}
_ID: Final = re.compile(r"^(subnet|sg)-[0-9a-f]{8,}$")
_NAME: Final = re.compile(r"^[a-z][a-z0-9-]{2,30}$")
_REMEDY: Final = "set DELIVERY_TARGET to the value of `terraform output -json delivery_target`"


@dataclass(frozen=True)
class DeliveryTarget:
    """One environment, as a deployment sees it.

    Attributes:
        environment: dev, staging or prod.
        name: Prefix of all names, and the name of the ECS cluster.
        subnets: Ids; where one-shot tasks run.
        jobs_security_groups: Ids; those of one-shot tasks.
        alarms: CloudWatch alarms that stop a deployment.
        batch_job_definition: For bursts; None where there is no queue.
    """

    environment: str
    name: str
    subnets: tuple[str, ...]
    jobs_security_groups: tuple[str, ...]
    alarms: tuple[str, ...]
    batch_job_definition: str | None

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
    unknown, missing = sorted(found.keys() - _KEYS), sorted(_REQUIRED - found.keys())
    if unknown or missing:
        raise ConfigurationError(
            f"the delivery target has unknown keys {unknown} and lacks {missing}", remedy=_REMEDY
        )
    alarms = _texts(found, "alarms")
    if environment == "prod" and not alarms:
        raise ConfigurationError(
            "the delivery target of prod names no alarm, so nothing would stop a bad deployment",
            remedy="name the alarms of the platform's services",
        )
    name = found.get("name", f"interlock-{environment}")
    if not isinstance(name, str) or not _NAME.match(name):
        raise ConfigurationError(f"the delivery target's name is {name!r}", remedy=_REMEDY)
    definition = found.get("batch_job_definition")
    if definition is not None and not isinstance(definition, str):
        raise ConfigurationError(f"batch_job_definition is {definition!r}", remedy=_REMEDY)
    return DeliveryTarget(
        environment=environment,
        name=name,
        subnets=_ids(found, "subnets"),
        jobs_security_groups=_ids(found, "jobs_security_groups"),
        alarms=alarms,
        batch_job_definition=definition or None,
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
    if not values or not all(_ID.match(each) for each in values):
        raise ConfigurationError(f"{key} is {list(values)}, expected ids of AWS", remedy=_REMEDY)
    return values
