"""Jobs audit what they decide: they append to the trail as runs do, and change nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iam_evaluator import Policy, Request, is_allowed
from iam_promises import (
    DELETES,
    OF_BUCKETS,
    POLICIES,
    RIGHT,
    ROLE,
    WRITES,
    context_with,
    objects,
    segments,
)
from iam_promises import deviations as said_otherwise
from iam_templates import APPROVAL_KEY, ARTIFACTS, AUDIT, DATA, PREFIX, STORAGE_KEY

JOBS = f"{ROLE}task-jobs"
# The role by itself, as if nobody had written a policy for the bucket.
BY_ITSELF = POLICIES.read["task-jobs"]


def may_without_bucket_policy(policy: Policy, action: str, resource: str) -> bool:
    return is_allowed(Request(JOBS, action, resource, RIGHT), policy)


@given(segments)
@settings(deadline=None, database=None)
def test_jobs_append_to_the_trail_and_to_nothing_else(key: str) -> None:
    target = f"{AUDIT}/{PREFIX}2026/11/21/{key}/00000001.json"
    for action in ("s3:PutObject", "s3:PutObjectRetention", "s3:GetObject"):
        assert POLICIES.may(Request(JOBS, action, target, RIGHT))
    for elsewhere in (f"{AUDIT}/elsewhere/{key}", f"{DATA}/{key}", f"{ARTIFACTS}/{key}"):
        assert not POLICIES.may(Request(JOBS, "s3:PutObject", elsewhere, RIGHT))


def test_jobs_try_the_lock_before_they_trust_it() -> None:
    short = {**RIGHT, "s3:object-lock-remaining-retention-days": "0"}
    probe = f"{AUDIT}/_interlock/probe/x"
    assert POLICIES.may(Request(JOBS, "s3:PutObject", probe, short))
    assert not POLICIES.may(Request(JOBS, "s3:DeleteObject", probe, short))


@pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKey"])
def test_jobs_use_the_storage_key_through_s3(action: str) -> None:
    assert POLICIES.may(Request(JOBS, action, STORAGE_KEY, RIGHT))
    without: Mapping[str, str] = {k: v for k, v in RIGHT.items() if k != "kms:ViaService"}
    assert not POLICIES.may(Request(JOBS, action, STORAGE_KEY, without))


@settings(max_examples=200, deadline=None, database=None)
@given(st.sampled_from([*DELETES, *OF_BUCKETS, "s3:PutObjectLegalHold"]), objects(AUDIT))
def test_jobs_take_nothing_from_the_trail_even_without_a_bucket_policy(
    action: str, target: str
) -> None:
    assert not may_without_bucket_policy(BY_ITSELF, action, target)
    assert not may_without_bucket_policy(BY_ITSELF, action, AUDIT)
    # Denied, not only not permitted: another permission would not help.
    widened = POLICIES.allowing("task-jobs", action, f"{AUDIT}/*").read["task-jobs"]
    denied = action.startswith(("s3:Delete", "s3:Bypass", "s3:PutBucket"))
    assert not (denied and may_without_bucket_policy(widened, action, target))


@settings(max_examples=200, deadline=None, database=None)
@given(objects(AUDIT), said_otherwise)
def test_jobs_overwrite_nothing_even_without_a_bucket_policy(
    target: str, changed: list[tuple[str, str | None]]
) -> None:
    asked = Request(JOBS, "s3:PutObject", target, context_with(changed))
    assert asked.value("s3:if-none-match") is not None or not is_allowed(asked, BY_ITSELF)


@settings(max_examples=100, deadline=None, database=None)
@given(st.sampled_from([*DELETES, *WRITES]), st.one_of(objects(DATA), objects(ARTIFACTS)))
def test_jobs_change_neither_data_nor_models(action: str, target: str) -> None:
    assert not POLICIES.may(Request(JOBS, action, target, RIGHT))


@pytest.mark.parametrize("action", ["kms:Sign", "kms:CreateGrant"])
def test_jobs_never_sign(action: str) -> None:
    widened = POLICIES.allowing("task-jobs", action, APPROVAL_KEY)
    assert not widened.may(Request(JOBS, action, APPROVAL_KEY, RIGHT))
    denied = Request(JOBS, action, APPROVAL_KEY, RIGHT)
    assert not is_allowed(denied, widened.read["task-jobs"])
