"""The policies of ``infrastructure/terraform/policies``, rendered as Terraform renders them.

Names of buckets, keys and roles are those of one imagined environment. Who may be believed to say
what about them is in the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from string import Template
from typing import Any, Final

from iam_evaluator import EVERYTHING, Policy, Request, is_allowed, may_use_key

from infrastructure.readme import TERRAFORM

FOLDER: Final = TERRAFORM / "policies"
SUFFIX: Final = ".json.tftpl"
ACCOUNT: Final = "123456789012"
REGION: Final = "eu-central-1"
NAME: Final = "interlock-test"
RETENTION_DAYS: Final = 90
PREFIX: Final = "governance/audit/"
DATA: Final = f"arn:aws:s3:::{NAME}-data-{ACCOUNT}"
ARTIFACTS: Final = f"arn:aws:s3:::{NAME}-artifacts-{ACCOUNT}"
AUDIT: Final = f"arn:aws:s3:::{NAME}-audit-{ACCOUNT}"
STORAGE_KEY: Final = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/storage"
APPROVAL_KEY: Final = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/approval"
IDENTITY_KEY: Final = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/identity"
CLUSTER: Final = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/{NAME}"
ADMINISTRATOR: Final = f"arn:aws:iam::{ACCOUNT}:role/administrator"
APPROVER: Final = f"arn:aws:iam::{ACCOUNT}:role/{NAME}-approver"
ANYBODY: Final = f"arn:aws:iam::{ACCOUNT}:role/somebody-with-all-rights"
PLACEHOLDER: Final = re.compile(r"\$\{([^}]*)\}")

_VALUES: Final[Mapping[str, str]] = {
    "account_id": ACCOUNT,
    "administrator_role_arn": ADMINISTRATOR,
    "approval_key_arn": APPROVAL_KEY,
    "approver_role_arn": APPROVER,
    "artifact_bucket_arn": ARTIFACTS,
    "audit_bucket_arn": AUDIT,
    "audit_prefix": PREFIX,
    "bucket_arn": AUDIT,
    "cluster_arn": CLUSTER,
    "console_role_arn": f"arn:aws:iam::{ACCOUNT}:role/{NAME}-task-console",
    "daemon_role_arn": f"arn:aws:iam::{ACCOUNT}:role/{NAME}-task-daemon",
    "cluster_name": NAME,
    "data_bucket_arn": DATA,
    "environment": "staging",
    "identity_key_arn": IDENTITY_KEY,
    "maximum_retention_days": str(RETENTION_DAYS + 1),
    "minimum_retention_days": str(RETENTION_DAYS - 1),
    "name": NAME,
    "partition": "aws",
    "region": REGION,
    "retention_days": str(RETENTION_DAYS),
    "run_execution_role_arn": f"arn:aws:iam::{ACCOUNT}:role/{NAME}-execution-run",
    "run_task_definition_family": f"{NAME}-run",
    "run_task_role_arn": f"arn:aws:iam::{ACCOUNT}:role/{NAME}-task-run",
    "storage_key_arn": STORAGE_KEY,
    "webserver_role_arn": f"arn:aws:iam::{ACCOUNT}:role/{NAME}-task-webserver",
}


class _Values(dict[str, str]):
    """The values above; a made-up one for a name that decides nothing that is tested."""

    def __missing__(self, name: str) -> str:
        if name.endswith("_arn"):
            return f"arn:aws:other:{REGION}:{ACCOUNT}:{name.removesuffix('_arn')}"
        return name.replace("_", "-")


def text_of(name: str) -> str:
    """A template as it is stored."""
    return (FOLDER / f"{name}{SUFFIX}").read_text(encoding="utf-8")


def names() -> tuple[str, ...]:
    """Every template that is there."""
    return tuple(sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}")))


def document_of(name: str, **values: str) -> Any:
    """A rendered template.

    Args:
        name: Its name without the suffix.
        **values: What stands in it instead of the values above.
    """
    return json.loads(Template(text_of(name)).substitute(_Values({**_VALUES, **values})))


@dataclass(frozen=True)
class Policies:
    """All policies of the imagined environment.

    Attributes:
        documents: By name of the template, ``bucket-private`` for the data bucket, and the same
            template as ``bucket-artifacts`` for the artifact bucket.
    """

    documents: Mapping[str, Any]

    @classmethod
    def load(cls) -> Policies:
        """Reads every template that is there."""
        documents = {name: document_of(name) for name in names()}
        documents["bucket-private"] = document_of("bucket-private", bucket_arn=DATA)
        documents["bucket-artifacts"] = document_of("bucket-private", bucket_arn=ARTIFACTS)
        return cls(documents)

    def but(self, **changed: Any) -> Policies:
        """The same with other documents; names with ``_`` for ``-``."""
        return Policies(
            {**self.documents, **{name.replace("_", "-"): each for name, each in changed.items()}}
        )

    def without(self, name: str, *sids: str) -> Policies:
        """The same without some statements of one policy.

        Raises:
            KeyError: It has no such statement.
        """
        document = self.documents[name]
        missing = set(sids) - {each.get("Sid") for each in document["Statement"]}
        if missing:
            raise KeyError(f"{name} has no {sorted(missing)}")
        left = [each for each in document["Statement"] if each.get("Sid") not in sids]
        return self.but(**{name: {**document, "Statement": left}})

    def allowing(self, name: str, action: str, resource: str) -> Policies:
        """The same with one more permission in one policy."""
        document = self.documents[name]
        more = {"Sid": "Mutant", "Effect": "Allow", "Action": [action], "Resource": [resource]}
        return self.but(**{name: {**document, "Statement": [*document["Statement"], more]}})

    @cached_property
    def read(self) -> Mapping[str, Policy]:
        """Each policy as IAM reads it."""
        return {name: Policy.read(document) for name, document in self.documents.items()}

    @cached_property
    def roles(self) -> Mapping[str, Policy]:
        """Policies of roles, by the role's ARN; two imagined roles have every right there is."""
        found = {
            f"arn:aws:iam::{ACCOUNT}:role/{NAME}-{name}": policy
            for name, policy in self.read.items()
            if not policy.of_a_resource
        }
        return {**found, ADMINISTRATOR: EVERYTHING, ANYBODY: EVERYTHING}

    @property
    def tasks(self) -> tuple[str, ...]:
        """ARNs of the roles of tasks."""
        return tuple(sorted(role for role in self.roles if f"/{NAME}-task-" in role))

    def may(self, request: Request) -> bool:
        """Whether IAM and the policy of bucket or key together let a request through."""
        role = self.roles[request.principal]
        keys = {
            STORAGE_KEY: "key-storage",
            APPROVAL_KEY: "key-approval",
            IDENTITY_KEY: "key-identity",
        }
        if request.resource in keys:
            return may_use_key(request, role, self.read[keys[request.resource]])
        buckets = {AUDIT: "bucket-audit", DATA: "bucket-private", ARTIFACTS: "bucket-artifacts"}
        bucket = buckets.get(request.resource.split("/")[0])
        return is_allowed(request, role, None if bucket is None else self.read[bucket])
