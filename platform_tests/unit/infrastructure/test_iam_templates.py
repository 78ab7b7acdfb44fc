"""The policies of the AWS target as texts: which there are, what they trust, and every wildcard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from iam_promises import POLICIES
from iam_templates import DATA, PLACEHOLDER, Policies, names, text_of

EXPECTED = {
    "approver",
    "batch-instance",
    "bucket-access-logs",
    "bucket-audit",
    "bucket-logs",
    "bucket-private",
    "bucket-state",
    "delivery-deploy",
    "delivery-images",
    "delivery-plan",
    "execution",
    "execution-databases",
    "execution-jobs",
    "execution-run",
    "flow-logs",
    "key-approval",
    "key-state",
    "key-storage",
    "rds-monitoring",
    "replication",
    "task-code-server",
    "task-daemon",
    "task-jobs",
    "task-mlflow",
    "task-monitoring",
    "task-run",
    "task-webserver",
    "trust-approver",
    "trust-ecs-tasks",
}

# --- Wildcards ---

# Actions that know no resource: IAM takes nothing but * for them (Service Authorization Reference).
WITHOUT_RESOURCE = {
    "batch:DescribeJobDefinitions",
    "batch:DescribeJobs",
    "cloudwatch:DescribeAlarmsForMetric",
    "cloudwatch:GetMetricData",
    "cloudwatch:ListMetrics",
    "ecr:GetAuthorizationToken",
    "ecs:DescribeTaskDefinition",
    "ecs:DiscoverPollEndpoint",
    "ecs:RegisterTaskDefinition",
    "secretsmanager:GetRandomPassword",
}
# Everything else with a wildcard as resource or within an action, by policy and statement.
EXPLAINED = {
    ("delivery-plan", "SeeWhatExists"): "a plan reads the settings of whatever is there",
    ("key-alerts", "AdministeredByTheAccount"): "encrypts notices alone; IAM says who has it",
}


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def wildcards(name: str, document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Policy and statement of each permission that says * and is explained by no rule."""
    for statement in document["Statement"]:
        if statement["Effect"] != "Allow":
            continue
        actions = listed(statement.get("Action", "*"))
        # In a key's own policy * is that key.
        everything = "*" in listed(statement.get("Resource", [])) and not name.startswith("key-")
        if (
            "NotResource" in statement
            or any("*" in action for action in actions)
            or (everything and not set(actions) <= WITHOUT_RESOURCE)
        ):
            yield name, statement.get("Sid", "")


def all_wildcards(policies: Policies) -> set[tuple[str, str]]:
    return {
        each for name, document in policies.documents.items() for each in wildcards(name, document)
    }


def test_every_wildcard_is_explained_and_every_explanation_needed() -> None:
    assert all_wildcards(POLICIES) == EXPLAINED.keys()


@pytest.mark.parametrize(
    ("action", "resource"),
    [("*", DATA), ("s3:*", DATA), ("s3:Get*", DATA), ("s3:GetObject", "*")],
)
def test_a_new_wildcard_is_found(action: str, resource: str) -> None:
    mutant = POLICIES.allowing("task-run", action, resource)
    assert all_wildcards(mutant) - EXPLAINED.keys() == {("task-run", "Mutant")}


# --- The templates themselves ---


def test_the_expected_policies_are_there() -> None:
    assert set(names()) >= EXPECTED


@pytest.mark.parametrize("name", names())
def test_templates_hold_plain_names_alone(name: str) -> None:
    text = text_of(name)
    assert "%{" not in text
    assert "$$" not in text
    assert [each for each in PLACEHOLDER.findall(text) if not each.isidentifier()] == []


@pytest.mark.parametrize("name", names())
def test_every_policy_can_be_read(name: str) -> None:
    policy = POLICIES.read[name]
    assert policy.statements
    of_a_resource = name.split("-", maxsplit=1)[0] in {"bucket", "file", "key", "topic", "trust"}
    assert policy.of_a_resource is of_a_resource


@pytest.mark.parametrize("name", [each for each in names() if each.startswith("trust-")])
def test_no_role_trusts_everybody(name: str) -> None:
    for statement in POLICIES.read[name].statements:
        assert statement.principals
        assert not any("*" in each for found in statement.principals.values() for each in found)
        services = statement.principals.get("Service", ())
        if services and services != ("ec2.amazonaws.com",):  # EC2 names no account
            assert "aws:SourceAccount" in statement.condition["StringEquals"]
