"""Who starts and stops tasks, and which roles and secrets come with that."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from iam_evaluator import Request
from iam_promises import DAEMON, POLICIES, ROLE, RUN, WEBSERVER
from iam_templates import ADMINISTRATOR, ANYBODY, APPROVER, CLUSTER, NAME, Policies

RUN_ID_TAG = "dagster/run_id"  # docker/dagster/launcher.py: every task has it from its start


def test_the_daemon_alone_starts_tasks_and_hands_out_two_roles() -> None:
    family = f"arn:aws:ecs:eu-central-1:123456789012:task-definition/{NAME}"
    cluster = {"ecs:cluster": f"arn:aws:ecs:eu-central-1:123456789012:cluster/{NAME}"}
    passed = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    starting = {
        role
        for role in POLICIES.tasks
        if POLICIES.may(Request(role, "ecs:RunTask", f"{family}-run:7", cluster))
    }
    assert starting == {DAEMON}
    assert not POLICIES.may(Request(DAEMON, "ecs:RunTask", f"{family}-mlflow:7", cluster))
    assert not POLICIES.may(Request(DAEMON, "ecs:RunTask", f"{family}-run:7", {}))
    handed_out = {
        (role, given_away)
        for role in POLICIES.tasks
        for given_away in POLICIES.roles
        if POLICIES.may(Request(role, "iam:PassRole", given_away, passed))
    }
    assert handed_out == {(DAEMON, RUN), (DAEMON, f"{ROLE}execution-run")}


# What the containers of each family are handed; containers.tf, which Terraform's own test compares.
SECRETS: Mapping[str, frozenset[str]] = {
    "run": frozenset({"dagster_secret", "signing_key_secret"}),
    "jobs": frozenset({"jobs_token_secret"}),
    "databases": frozenset({"master_secret", "dagster_secret", "mlflow_secret"}),
}
ALL_SECRETS = (
    *("dagster_secret", "master_secret", "mlflow_secret", "signing_key_secret"),
    *("exporter_token_secret", "jobs_token_secret"),
)
SERVICES = ("code-server", "console", "dagster-daemon", "dagster-webserver", "mlflow")
FAMILIES = (*SECRETS, *SERVICES)
# Registers every family's definition, with its roles, and could have any of them do anything: who
# may sign in as it is GitHub's environment to decide.
REGISTERS_EVERYTHING = f"{ROLE}delivery-deploy"
TO_TASKS: Mapping[str, str] = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}


def started_by(policies: Policies, role: str) -> set[str]:
    cluster = {"ecs:cluster": CLUSTER}
    family = f"arn:aws:ecs:eu-central-1:123456789012:task-definition/{NAME}"
    return {
        each
        for each in FAMILIES
        if policies.may(Request(role, "ecs:RunTask", f"{family}-{each}:7", cluster))
    }


def secrets_within_reach(policies: Policies, role: str) -> set[str]:
    """Secrets that a command can read in a task with any role that this one may pass."""
    through = {"kms:ViaService": "secretsmanager.eu-central-1.amazonaws.com"}
    return {
        secret
        for passed in policies.roles.keys() - {ADMINISTRATOR, ANYBODY}
        if policies.may(Request(role, "iam:PassRole", passed, TO_TASKS))
        for secret in ALL_SECRETS
        if policies.may(
            Request(
                passed,
                "secretsmanager:GetSecretValue",
                f"arn:aws:other:eu-central-1:123456789012:{secret}",
                through,
            )
        )
    }


def reach_too_far(policies: Policies) -> set[str]:
    found = set()
    for role in policies.roles.keys() - {ADMINISTRATOR, ANYBODY, REGISTERS_EVERYTHING}:
        needed = {
            secret
            for family in started_by(policies, role)
            for secret in SECRETS.get(family, frozenset())
        }
        if not secrets_within_reach(policies, role) <= needed:
            found.add(role)
    return found


def test_who_starts_tasks_passes_no_role_that_reads_more_than_these_need() -> None:
    assert reach_too_far(POLICIES) == set()
    assert started_by(POLICIES, f"{ROLE}delivery-watch") == {"jobs"}
    assert secrets_within_reach(POLICIES, f"{ROLE}delivery-watch") == SECRETS["jobs"]
    assert secrets_within_reach(POLICIES, DAEMON) == SECRETS["run"]


@pytest.mark.parametrize("name", ["task-daemon", "delivery-watch"])
@pytest.mark.parametrize("passed", ["execution", "execution-databases"])
def test_a_role_that_reads_more_is_found(name: str, passed: str) -> None:
    wider = POLICIES.allowing(name, "iam:PassRole", f"{ROLE}{passed}")
    assert reach_too_far(wider) == {f"{ROLE}{name}"}


@pytest.mark.parametrize("family", SECRETS)
def test_execution_roles_read_what_their_family_is_handed(family: str) -> None:
    reader = f"{ROLE}execution-{family}"
    read = {
        secret
        for secret in ALL_SECRETS
        if POLICIES.may(
            Request(
                reader,
                "secretsmanager:GetSecretValue",
                f"arn:aws:other:eu-central-1:123456789012:{secret}",
            )
        )
    }
    assert read == SECRETS[family]


@pytest.mark.parametrize("role", [DAEMON, WEBSERVER])
def test_what_dagster_started_it_may_stop_and_no_service(role: str) -> None:
    task = f"arn:aws:ecs:eu-central-1:123456789012:task/{NAME}/0123456789abcdef"
    of_a_service = {"ecs:cluster": CLUSTER}
    of_a_run = {**of_a_service, f"aws:ResourceTag/{RUN_ID_TAG}": "a-run"}
    assert POLICIES.may(Request(role, "ecs:StopTask", task, of_a_run))
    assert not POLICIES.may(Request(role, "ecs:StopTask", task, of_a_service))
    # And no task becomes a run's afterwards.
    assert not POLICIES.may(Request(role, "ecs:TagResource", task, of_a_service))


def test_nobody_hands_out_the_approvers_role() -> None:
    for role in POLICIES.roles.keys() - {ADMINISTRATOR, ANYBODY}:
        for service in ("ecs-tasks.amazonaws.com", "lambda.amazonaws.com"):
            asked = Request(role, "iam:PassRole", APPROVER, {"iam:PassedToService": service})
            assert not POLICIES.may(asked), role
