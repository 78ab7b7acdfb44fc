"""The evaluator decides as IAM's user guide says; what it does not know it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from iam_evaluator import EVERYTHING, Policy, PolicyUnreadable, Request, is_allowed, may_use_key

ROLE = "arn:aws:iam::123456789012:role/someone"
OBJECT = "arn:aws:s3:::bucket/folder/object"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/k"
NOTHING = Policy(())


def policy(**statement: Any) -> Policy:
    defaults = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    if "NotAction" in statement:
        del defaults["Action"]
    if "NotResource" in statement:
        del defaults["Resource"]
    return Policy.read({"Version": "2012-10-17", "Statement": [{**defaults, **statement}]})


def asked(action: str = "s3:GetObject", resource: str = OBJECT, **context: str) -> Request:
    named = {key.replace("__", ":").replace("_", "-"): value for key, value in context.items()}
    return Request(ROLE, action, resource, named)


@pytest.mark.parametrize(
    ("statement", "allowed"),
    [
        ({}, True),
        ({"Action": "S3:getobject"}, True),
        ({"Action": "s3:Get*"}, True),
        ({"Action": "s3:GetObjec?"}, True),
        ({"Action": "s3:GetObjectVersion"}, False),
        ({"Action": ["s3:PutObject", "s3:GetObject"]}, True),
        ({"NotAction": "s3:GetObject"}, False),
        ({"NotAction": "s3:PutObject"}, True),
        ({"Resource": "arn:aws:s3:::bucket"}, False),
        ({"Resource": "arn:aws:s3:::bucket/*"}, True),
        ({"Resource": "arn:aws:s3:::BUCKET/*"}, False),
        ({"NotResource": "arn:aws:s3:::bucket/folder/*"}, False),
        ({"NotResource": "arn:aws:s3:::bucket/other/*"}, True),
        ({"Effect": "Deny"}, False),
    ],
)
def test_actions_and_resources(statement: dict[str, Any], allowed: bool) -> None:
    assert is_allowed(asked(), policy(**statement)) is allowed


@pytest.mark.parametrize(
    ("condition", "context", "met"),
    [
        ({"StringEquals": {"s3:x": "a"}}, {"s3__x": "a"}, True),
        ({"StringEquals": {"S3:X": ["b", "a"]}}, {"s3__x": "a"}, True),
        ({"StringEquals": {"s3:x": "a"}}, {"s3__x": "A"}, False),
        ({"StringEquals": {"s3:x": "a"}}, {}, False),
        ({"StringEqualsIfExists": {"s3:x": "a"}}, {}, True),
        ({"StringEqualsIfExists": {"s3:x": "a"}}, {"s3__x": "b"}, False),
        ({"StringNotEquals": {"s3:x": "a"}}, {"s3__x": "b"}, True),
        ({"StringNotEquals": {"s3:x": ["a", "b"]}}, {"s3__x": "b"}, False),
        ({"StringNotEquals": {"s3:x": "a"}}, {}, True),
        ({"StringLike": {"s3:x": "a*"}}, {"s3__x": "abc"}, True),
        ({"StringNotLike": {"s3:x": "a*"}}, {"s3__x": "abc"}, False),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/some*"}}, {}, True),
        ({"ArnEquals": {"aws:PrincipalArn": "arn:aws:*:role/someone"}}, {}, False),
        ({"ArnNotLike": {"aws:PrincipalArn": ROLE}}, {}, False),
        ({"ArnNotEquals": {"aws:PrincipalArn": f"{ROLE}-else"}}, {}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, {"aws__SecureTransport": "false"}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, {}, False),
        ({"Null": {"s3:x": "true"}}, {}, True),
        ({"Null": {"s3:x": "true"}}, {"s3__x": ""}, False),
        ({"Null": {"s3:x": "false"}}, {"s3__x": ""}, True),
        ({"NumericLessThan": {"s3:x": "10"}}, {"s3__x": "9"}, True),
        ({"NumericLessThan": {"s3:x": "10"}}, {"s3__x": "10"}, False),
        ({"NumericLessThan": {"s3:x": "10"}}, {}, False),
        ({"NumericGreaterThanEquals": {"s3:x": "10"}}, {"s3__x": "10.0"}, True),
        ({"StringEquals": {"s3:x": "a", "s3:y": "b"}}, {"s3__x": "a"}, False),
        ({"StringEquals": {"s3:x": "a"}, "Null": {"s3:y": "true"}}, {"s3__x": "a"}, True),
    ],
)
def test_conditions(condition: dict[str, Any], context: dict[str, str], met: bool) -> None:
    assert is_allowed(asked(**context), policy(Condition=condition)) is met


def test_a_denial_wins_wherever_it_stands() -> None:
    denial = policy(Effect="Deny", Principal={"AWS": "*"}, Action="s3:GetObject")
    assert not is_allowed(asked(), EVERYTHING, denial)
    assert is_allowed(asked("s3:PutObject"), EVERYTHING, denial)


def test_a_bucket_may_permit_a_role_by_name_and_not_through_its_account() -> None:
    assert is_allowed(asked(), NOTHING, policy(Principal={"AWS": ROLE}))
    root = {"AWS": "arn:aws:iam::123456789012:root"}
    assert not is_allowed(asked(), NOTHING, policy(Principal=root))
    assert not is_allowed(asked(), NOTHING, policy(Principal={"Service": "logs.amazonaws.com"}))


def test_a_key_needs_its_own_policys_permission() -> None:
    sign = asked("kms:Sign", KEY)
    by_name = policy(Action="kms:Sign", Principal={"AWS": ROLE})
    by_account = policy(Action="kms:Sign", Principal={"AWS": "arn:aws:iam::123456789012:root"})
    other_account = policy(Action="kms:Sign", Principal={"AWS": "arn:aws:iam::210987654321:root"})
    assert not may_use_key(sign, EVERYTHING, NOTHING)
    assert may_use_key(sign, NOTHING, by_name)
    assert not may_use_key(sign, NOTHING, by_account)
    assert may_use_key(sign, EVERYTHING, by_account)
    assert not may_use_key(sign, EVERYTHING, other_account)


@pytest.mark.parametrize(
    "statement",
    [
        {"Condition": {"DateLessThan": {"aws:CurrentTime": "2026-01-01"}}},
        {"Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": "a"}}},
        {"Condition": {"NullIfExists": {"s3:x": "true"}}},
        {"NotPrincipal": {"AWS": "*"}},
        {"Principal": {"CanonicalUser": "x"}},
        {"NotAction": "s3:GetObject", "Action": "s3:PutObject"},
        {"Effect": "Maybe"},
    ],
)
def test_what_is_not_known_is_refused(statement: dict[str, Any]) -> None:
    with pytest.raises((PolicyUnreadable, ValueError)):
        policy(**statement)


@pytest.mark.parametrize("document", [{"Statement": []}, {"Version": "2008-10-17"}])
def test_another_version_of_the_language_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(PolicyUnreadable):
        Policy.read(document)
