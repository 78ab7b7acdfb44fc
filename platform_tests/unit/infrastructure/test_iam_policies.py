"""What the policies of the AWS target promise, asked of the very text that Terraform renders.

Hypothesis looks for a request that breaks a promise (``iam_promises.py``) under all policies
together; afterwards the policies are weakened, one layer and one statement at a time, and the same
search has to find the request that then gets through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from iam_evaluator import Request
from iam_promises import (
    CONSOLE,
    POLICIES,
    PROMISES,
    RIGHT,
    RUN,
    SIGNING,
    WEBSERVER,
    Promise,
    accounts_are_the_web_servers,
    buckets_are_the_administrators,
    marks_are_the_administrators,
    no_lock_is_short,
    no_lock_is_too_long,
    nothing_goes_in_the_clear,
    nothing_is_encrypted_with_another_key,
    nothing_is_overwritten,
    nothing_is_written_without_the_lock,
    nothing_of_the_trail_is_deleted,
    only_who_knows_who_acts_signs,
    other_tasks_do_not_touch_keys_that_sign,
    runs_delete_leases_alone,
    runs_keep_away_from_models,
    segments,
    services_without_data_read_none,
    storage_key_is_used_through_aws_services,
    tasks_come_by_no_other_rights,
    the_key_outlives_the_trail,
    web_servers_read_no_snapshots,
)
from iam_templates import (
    ADMINISTRATOR,
    ANYBODY,
    APPROVAL_KEY,
    APPROVER,
    ARTIFACTS,
    AUDIT,
    DATA,
    IDENTITY_KEY,
    PREFIX,
    STORAGE_KEY,
    Policies,
)


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_no_request_breaks_the_promise(promise: Promise) -> None:
    @settings(max_examples=200, deadline=None, database=None)
    @given(PROMISES[promise])
    def holds(asked: Request) -> None:
        assert promise(POLICIES, asked)

    holds()


# --- What must be possible ---


@given(segments)
@settings(deadline=None, database=None)
def test_runs_append_to_the_trail(key: str) -> None:
    target = f"{AUDIT}/{PREFIX}2026/11/21/{key}/00000001.json"
    for action in ("s3:PutObject", "s3:PutObjectRetention"):
        assert POLICIES.may(Request(RUN, action, target, RIGHT))
    assert POLICIES.may(Request(RUN, "s3:GetObject", target, RIGHT))
    assert not POLICIES.may(Request(RUN, "s3:PutObject", f"{AUDIT}/elsewhere/{key}", RIGHT))


def test_runs_write_the_probe_with_its_short_lock() -> None:
    short = {**RIGHT, "s3:object-lock-remaining-retention-days": "0"}
    assert POLICIES.may(Request(RUN, "s3:PutObject", f"{AUDIT}/_interlock/probe/x", short))


@pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKey"])
def test_runs_use_the_storage_key_through_s3(action: str) -> None:
    assert POLICIES.may(Request(RUN, action, STORAGE_KEY, RIGHT))


def test_approver_signs_and_everybody_may_verify() -> None:
    assert POLICIES.may(Request(APPROVER, "kms:Sign", APPROVAL_KEY, RIGHT))
    for role in (APPROVER, ANYBODY):
        assert POLICIES.may(Request(role, "kms:Verify", APPROVAL_KEY, RIGHT))


@pytest.mark.parametrize("key", sorted(SIGNING))
def test_who_knows_who_acts_signs_for_them_and_no_run_does(key: str) -> None:
    signing = {
        role for role in POLICIES.roles if POLICIES.may(Request(role, "kms:Sign", key, RIGHT))
    }
    assert signing == SIGNING[key]
    for role in signing - {APPROVER}:
        assert POLICIES.may(Request(role, "kms:GetPublicKey", key, RIGHT))


@pytest.mark.parametrize("role", [WEBSERVER, CONSOLE])
def test_web_servers_keep_accounts_and_add_to_the_trail(role: str) -> None:
    for action in ("s3:GetObject", "s3:PutObject"):
        for prefix in ("_interlock/people", "credentials"):
            assert POLICIES.may(Request(role, action, f"{ARTIFACTS}/{prefix}/ada.json", RIGHT))
    event = f"{AUDIT}/{PREFIX}2026/11/21/x/00000001.json"
    assert POLICIES.may(Request(role, "s3:PutObject", event, RIGHT))
    assert POLICIES.may(Request(RUN, "s3:GetObject", f"{ARTIFACTS}/_interlock/people/a", RIGHT))


def test_administrator_changes_the_lock_and_cannot_sign() -> None:
    change = Request(ADMINISTRATOR, "s3:PutBucketObjectLockConfiguration", AUDIT, RIGHT)
    assert POLICIES.may(change)
    assert POLICIES.may(Request(ADMINISTRATOR, "kms:PutKeyPolicy", APPROVAL_KEY))
    assert not POLICIES.may(Request(ADMINISTRATOR, "kms:Sign", APPROVAL_KEY, RIGHT))


# --- Each layer holds by itself ---

NO_POLICY: Any = {"Version": "2012-10-17", "Statement": []}
OPEN_KEY: Any = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "LeftToIam",
            "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
            "Action": ["kms:*"],
            "Resource": ["*"],
        }
    ],
}
# As if nobody had written a policy for bucket or key.
ROLES_ALONE = POLICIES.but(
    bucket_audit=NO_POLICY,
    bucket_private=NO_POLICY,
    bucket_artifacts=NO_POLICY,
    key_approval=OPEN_KEY,
    key_identity=OPEN_KEY,
)
KEPT_BY_ROLES: tuple[Promise, ...] = (
    nothing_of_the_trail_is_deleted,
    buckets_are_the_administrators,
    marks_are_the_administrators,
    only_who_knows_who_acts_signs,
    other_tasks_do_not_touch_keys_that_sign,
    accounts_are_the_web_servers,
    tasks_come_by_no_other_rights,
    runs_delete_leases_alone,
    runs_keep_away_from_models,
)


def by_tasks(promise: Promise) -> st.SearchStrategy[Request]:
    return PROMISES[promise].flatmap(
        lambda asked: st.sampled_from(POLICIES.tasks).map(
            lambda role: Request(role, asked.action, asked.resource, asked.context)
        )
    )


@pytest.mark.parametrize("promise", KEPT_BY_ROLES, ids=lambda promise: promise.__name__)
def test_roles_of_tasks_keep_the_promise_without_bucket_and_key_policies(promise: Promise) -> None:
    excepted: Mapping[Promise, str] = {runs_delete_leases_alone: RUN}

    @settings(max_examples=100, deadline=None, database=None)
    @given(by_tasks(promise))
    def holds(asked: Request) -> None:
        role = excepted.get(promise, asked.principal)
        if promise is runs_keep_away_from_models and role.endswith("-mlflow"):
            return
        assert promise(ROLES_ALONE, Request(role, asked.action, asked.resource, asked.context))

    holds()


# --- The search finds what it has to ---

AUDIT_OBJECTS = f"{AUDIT}/*"
MUTANTS: Mapping[str, tuple[Promise, Policies]] = {
    "bucket policy lets delete": (
        nothing_of_the_trail_is_deleted,
        POLICIES.without("bucket-audit", "NobodyDeletes"),
    ),
    "run may delete, and no bucket policy forbids it": (
        nothing_of_the_trail_is_deleted,
        ROLES_ALONE.without("task-run", "NeverTakeFromTheTrail").allowing(
            "task-run", "s3:DeleteObjectVersion", AUDIT_OBJECTS
        ),
    ),
    "monitoring may delete, and no bucket policy forbids it": (
        nothing_of_the_trail_is_deleted,
        ROLES_ALONE.allowing("task-monitoring", "s3:Delete*", AUDIT_OBJECTS),
    ),
    "unlocked puts": (
        nothing_is_written_without_the_lock,
        POLICIES.without("bucket-audit", "NothingUnlocked"),
    ),
    "overwrites": (
        nothing_is_overwritten,
        POLICIES.without("bucket-audit", "NothingOverwritten"),
    ),
    "locks for a century": (
        no_lock_is_too_long,
        POLICIES.without("bucket-audit", "LockedNoLonger"),
    ),
    "short locks": (no_lock_is_short, POLICIES.without("bucket-audit", "LockedLongEnough")),
    "audit bucket's lock is anybody's": (
        buckets_are_the_administrators,
        POLICIES.without("bucket-audit", "BucketByTheAdministratorAlone"),
    ),
    "data bucket's policy is anybody's": (
        buckets_are_the_administrators,
        POLICIES.without("bucket-private", "BucketByTheAdministratorAlone"),
    ),
    "run may change the lock, and no bucket policy forbids it": (
        buckets_are_the_administrators,
        ROLES_ALONE.without("task-run", "NeverTakeFromTheTrail").allowing(
            "task-run", "s3:PutBucketObjectLockConfiguration", AUDIT
        ),
    ),
    "in the clear": (
        nothing_goes_in_the_clear,
        POLICIES.without("bucket-audit", "NothingInTheClear"),
    ),
    "outdated TLS": (
        nothing_goes_in_the_clear,
        POLICIES.without("bucket-private", "NoOutdatedTls"),
    ),
    "keys of others": (
        nothing_is_encrypted_with_another_key,
        POLICIES.without("bucket-audit", "NoOtherKey"),
    ),
    "the writer's own key": (
        nothing_is_encrypted_with_another_key,
        POLICIES.without("bucket-private", "NoKeyOfTheWriters"),
    ),
    "mark is anybody's": (
        marks_are_the_administrators,
        POLICIES.without("bucket-private", "MarkByTheAdministratorAlone"),
    ),
    "everybody signs": (
        only_who_knows_who_acts_signs,
        POLICIES.without("key-approval", "SignedByNobodyElse")
        .allowing("key-approval", "kms:Nothing", "*")
        .but(key_approval=OPEN_KEY),
    ),
    "administrator's key policy lets the account sign": (
        only_who_knows_who_acts_signs,
        POLICIES.without("key-approval", "SignedByNobodyElse").but(
            key_approval={
                **POLICIES.documents["key-approval"],
                "Statement": [
                    {**each, "Condition": {}}
                    for each in POLICIES.documents["key-approval"]["Statement"]
                    if each["Sid"] == "SignedByWhoKnowsTheApprover"
                ],
            }
        ),
    ),
    "run may sign, and the key's policy leaves it to IAM": (
        other_tasks_do_not_touch_keys_that_sign,
        ROLES_ALONE.without("task-run", "NeverTouchKeysThatSign").allowing(
            "task-run", "kms:Sign", APPROVAL_KEY
        ),
    ),
    "run may say who acts, and the key's policy leaves it to IAM": (
        other_tasks_do_not_touch_keys_that_sign,
        ROLES_ALONE.without("task-run", "NeverTouchKeysThatSign").allowing(
            "task-run", "kms:Sign", IDENTITY_KEY
        ),
    ),
    "identity key's policy lets everybody sign": (
        only_who_knows_who_acts_signs,
        POLICIES.but(key_identity=OPEN_KEY),
    ),
    "passwords are read by whoever may read the bucket": (
        accounts_are_the_web_servers,
        POLICIES.without("bucket-artifacts", "WhatProvesThemIsReadByWebServersAlone"),
    ),
    "accounts are changed by whoever may write to the bucket": (
        accounts_are_the_web_servers,
        POLICIES.without("bucket-artifacts", "AccountsByWebServersAlone"),
    ),
    "console reads data": (
        web_servers_read_no_snapshots,
        POLICIES.allowing("task-console", "s3:GetObject", f"{DATA}/*"),
    ),
    "run takes another role": (
        tasks_come_by_no_other_rights,
        POLICIES.allowing("task-run", "sts:AssumeRole", APPROVER),
    ),
    "storage key without S3": (
        storage_key_is_used_through_aws_services,
        POLICIES.allowing("task-run", "kms:Decrypt", STORAGE_KEY),
    ),
    "key deleted before its time": (
        the_key_outlives_the_trail,
        POLICIES.without("key-storage", "KeyOutlivesTheTrail"),
    ),
    "daemon reads data": (
        services_without_data_read_none,
        POLICIES.allowing("task-daemon", "s3:GetObject", f"{DATA}/*"),
    ),
    "run deletes snapshots": (
        runs_delete_leases_alone,
        POLICIES.allowing("task-run", "s3:DeleteObject", f"{DATA}/*"),
    ),
    "run reads models": (
        runs_keep_away_from_models,
        POLICIES.allowing("task-run", "s3:GetObject", f"{ARTIFACTS}/*"),
    ),
}


@pytest.mark.parametrize("weakness", MUTANTS)
def test_the_search_finds_the_request_that_a_weaker_policy_lets_through(weakness: str) -> None:
    promise, mutant = MUTANTS[weakness]
    found = find(
        PROMISES[promise],
        lambda asked: not promise(mutant, asked),
        settings=settings(
            max_examples=5_000, phases=(Phase.generate,), database=None, deadline=None
        ),
    )
    assert promise(POLICIES, found)


def test_every_promise_has_a_mutant() -> None:
    assert {promise for promise, _ in MUTANTS.values()} == set(PROMISES)


def test_the_search_gives_up_where_there_is_nothing_to_find() -> None:
    with pytest.raises(NoSuchExample):
        find(
            PROMISES[nothing_of_the_trail_is_deleted],
            lambda asked: not nothing_of_the_trail_is_deleted(POLICIES, asked),
            settings=settings(max_examples=200, database=None, deadline=None),
        )
