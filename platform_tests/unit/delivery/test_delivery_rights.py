"""Each role of the workflows may ask AWS for what its commands ask, and for nothing more.

What is asked is read from ``scripts/ci`` itself: every call of a client is an action of IAM of the
same name. What is permitted is what Terraform renders.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

import hcl2
import pytest
from botocore import xform_name
from botocore.session import get_session
from delivery_target import REQUIRED
from iam_evaluator import Request
from iam_promises import POLICIES, ROLE
from iam_templates import ACCOUNT, CLUSTER, NAME, REGION

from infrastructure.readme import TERRAFORM
from interlock.settings import REPOSITORY

SERVICES: Final = ("batch", "cloudwatch", "ecr", "ecs", "logs")
# Role to the modules whose calls are made with it (deploy.py, run_job.py, image_findings.py).
MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    "deploy": ("one_shot", "revisions", "rollout"),
    "watch": ("one_shot",),
    "images": ("release_images",),
}
# What a command asks of a module beyond the calls that its role makes in all of it.
FIND_IMAGES: Final = "ecr:BatchGetImage"
# Sent by Docker and the AWS command line, to push.
PUSHES: Final = {
    "ecr:BatchCheckLayerAvailability",
    "ecr:CompleteLayerUpload",
    "ecr:DescribeImages",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
    "ecr:InitiateLayerUpload",
    "ecr:PutImage",
    "ecr:UploadLayerPart",
}
# IAM asks for these besides the action itself: revisions carry tags and hand roles on.
WITH_REVISIONS: Final = {"ecs:TagResource", "batch:TagResource", "iam:PassRole"}

ECS: Final = f"arn:aws:ecs:{REGION}:{ACCOUNT}"
BATCH: Final = f"arn:aws:batch:{REGION}:{ACCOUNT}:job-definition"
LOGS: Final = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/interlock/staging"
IN_CLUSTER: Final = {"ecs:cluster": CLUSTER}
PASSED: Final = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
FAMILIES: Final = ("mlflow", "code-server", "dagster-webserver", "run", "jobs", "databases")


@cache
def operations(service: str) -> Mapping[str, str]:
    """Method of boto3's client to the operation that it sends."""
    model = get_session().get_service_model(service)
    return {xform_name(each): each for each in model.operation_names}


def called(source: str) -> Iterator[str]:
    """IAM's actions for the calls of clients in a module.

    Raises:
        AssertionError: A method has the name of an operation, and its client is not known.
    """
    known = {name for service in SERVICES for name in operations(service)}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        method = node.func.attr
        if method == "get_paginator":
            method = ast.literal_eval(node.args[0])
        if method not in known:
            continue
        client = ast.unparse(node.func.value).rpartition(".")[2].lstrip("_")
        assert client in SERVICES, f"line {node.lineno}: whose client is {client}?"
        yield f"{client}:{operations(client)[method]}"


def asked_by(role: str) -> set[str]:
    folder = REPOSITORY / "scripts" / "ci"
    found = {
        action
        for module in MODULES[role]
        for action in called((folder / f"{module}.py").read_text(encoding="utf-8"))
    }
    return found | {FIND_IMAGES} if role == "deploy" else found


def permitted_to(role: str) -> set[str]:
    document = POLICIES.documents[f"delivery-{role}"]
    return {
        action
        for statement in document["Statement"]
        for action in statement["Action"]
        if statement["Effect"] == "Allow"
    }


def may(role: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
    return POLICIES.may(Request(f"{ROLE}delivery-{role}", action, resource, context))


def test_nothing_else_speaks_to_aws() -> None:
    """A new module with calls has to be named above."""
    folder = REPOSITORY / "scripts" / "ci"
    speaking = {path.stem for path in folder.glob("*.py") if set(called(path.read_text()))}
    assert speaking == {module for modules in MODULES.values() for module in modules}


@pytest.mark.parametrize("role", MODULES)
def test_what_is_asked_is_permitted_and_nothing_else(role: str) -> None:
    besides = {"deploy": WITH_REVISIONS, "watch": {"iam:PassRole"}, "images": PUSHES}
    assert permitted_to(role) == asked_by(role) | besides[role]


def test_calls_are_found_whatever_the_client_hangs_on() -> None:
    source = "self._ecs.run_task()\nself.jobs.find()\nbatch.get_paginator('describe_jobs')"
    assert set(called(source)) == {"ecs:RunTask", "batch:DescribeJobs"}
    with pytest.raises(AssertionError, match="whose client is it"):
        set(called("it.run_task()"))


# --- On what, and under which conditions ---


@pytest.mark.parametrize("family", FAMILIES)
def test_deploying_registers_and_proves_every_task_definition(family: str) -> None:
    revision = f"{ECS}:task-definition/{NAME}-{family}:7"
    registering = {"ecs:CreateAction": "RegisterTaskDefinition"}
    proving = {"aws:RequestTag/interlock:proven": "true"}
    assert may("deploy", "ecs:RegisterTaskDefinition", "*", {})
    assert may("deploy", "ecs:TagResource", revision, registering)
    assert may("deploy", "ecs:TagResource", revision, proving)
    assert not may("deploy", "ecs:TagResource", revision, {})
    assert not may("deploy", "ecs:TagResource", f"{ECS}:task-definition/other-run:7", proving)


@pytest.mark.parametrize("name", ["run", "run-spot"])
def test_deploying_registers_and_proves_job_definitions(name: str) -> None:
    definition = f"{BATCH}/{NAME}-{name}"
    assert may("deploy", "batch:DescribeJobDefinitions", "*", {})
    assert may("deploy", "batch:RegisterJobDefinition", definition, {})
    assert may("deploy", "batch:TagResource", f"{definition}:3", {})
    assert not may("deploy", "batch:TagResource", f"{BATCH}/other:3", {})


def test_deploying_rolls_the_services_of_its_cluster() -> None:
    for action in ("ecs:DescribeServices", "ecs:UpdateService"):
        assert may("deploy", action, f"{ECS}:service/{NAME}/mlflow", IN_CLUSTER)
        assert not may("deploy", action, f"{ECS}:service/other/mlflow", IN_CLUSTER)


def test_deploying_asks_about_alarms() -> None:
    alarms = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{NAME}-tasks-mlflow"
    assert may("deploy", "cloudwatch:DescribeAlarms", alarms, {})


@pytest.mark.parametrize(
    ("role", "family", "expected"),
    [
        ("deploy", "jobs", True),
        ("deploy", "databases", True),
        ("deploy", "run", False),
        ("watch", "jobs", True),
        ("watch", "databases", False),
        ("watch", "run", False),
        ("images", "jobs", False),
        ("plan", "jobs", False),
    ],
)
def test_one_shot_tasks_are_started_and_read(role: str, family: str, expected: bool) -> None:
    definition = f"{ECS}:task-definition/{NAME}-{family}:7"
    stream = f"{LOGS}/{family}:log-stream:{family}/{family}/0123"
    assert may(role, "ecs:RunTask", definition, IN_CLUSTER) is expected
    assert may(role, "logs:GetLogEvents", stream, {}) is expected
    assert not may(role, "ecs:RunTask", definition, {"ecs:cluster": f"{ECS}:cluster/other"})
    if expected:
        assert may(role, "ecs:DescribeTasks", f"{ECS}:task/{NAME}/0123", IN_CLUSTER)
        assert may(role, "ecs:DescribeTaskDefinition", "*", {})
        assert may(role, "iam:PassRole", f"{ROLE}task-{family}", PASSED)


def test_watching_hands_on_the_two_roles_of_jobs() -> None:
    handed_on = {role for role in POLICIES.roles if may("watch", "iam:PassRole", role, PASSED)}
    assert handed_on == {f"{ROLE}task-jobs", f"{ROLE}execution-jobs"}
    assert not may("watch", "iam:PassRole", f"{ROLE}task-jobs", {})


# --- What Terraform hands to the commands ---


def test_the_stack_says_what_a_delivery_target_needs() -> None:
    outputs = hcl2.loads((TERRAFORM / "modules" / "stack" / "outputs.tf").read_text())["output"]
    (found,) = (each for output in outputs for name, each in output.items() if "delivery" in name)
    value: dict[str, Any] = found["value"]
    assert {name for name in value if not name.startswith("__")} >= REQUIRED
