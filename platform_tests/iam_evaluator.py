"""What IAM decides: policies as AWS reads them, as far as this repository writes them.

After "Policy evaluation logic" and "IAM JSON policy elements" of the IAM user guide: an explicit
denial wins, then an explicit permission, and the rest is denied. For S3 a permission of the role's
policy or of the bucket's is enough; a KMS key's policy must permit by itself, to the principal or
to the account, and in the second case the role's policy must permit as well.

What is not known here (an operator, an element, a kind of principal) is an error, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import Any, Final

ELEMENTS: Final = frozenset(
    {
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Principal",
        "Condition",
    }
)


class PolicyUnreadable(Exception):
    """A policy says something that this evaluator does not know."""


class Effect(StrEnum):
    """What a statement does."""

    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True)
class Request:
    """What somebody asks of AWS.

    Attributes:
        principal: ARN of the role that asks.
        action: Such as ``s3:PutObject``.
        resource: ARN of what it is asked of.
        context: Condition keys that AWS knows of the request. ``aws:PrincipalArn`` is added.
    """

    principal: str
    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)

    def value(self, key: str) -> str | None:
        """What the request says about a condition key, in whatever case it is written."""
        return self._known.get(key.lower())

    @cached_property
    def _known(self) -> Mapping[str, str]:
        return {
            **{name.lower(): value for name, value in self.context.items()},
            "aws:principalarn": self.principal,
            "aws:principalaccount": account_of(self.principal),
        }


@dataclass(frozen=True)
class Statement:
    """One statement of a policy."""

    sid: str
    effect: Effect
    actions: tuple[str, ...]
    actions_inverted: bool
    resources: tuple[str, ...] | None
    resources_inverted: bool
    principals: Mapping[str, tuple[str, ...]] | None
    condition: Mapping[str, Mapping[str, tuple[str, ...]]]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Statement:
        """Reads a statement.

        Raises:
            PolicyUnreadable: It has an element that is not known here, or lacks one.
        """
        unknown = document.keys() - ELEMENTS
        if unknown or "Effect" not in document:
            raise PolicyUnreadable(f"elements {sorted(unknown)} of {document}")
        action, actions_inverted = _one_of(document, "Action", "NotAction")
        if action is None:
            raise PolicyUnreadable(f"neither Action nor NotAction in {document}")
        resource, resources_inverted = _one_of(document, "Resource", "NotResource")
        return cls(
            sid=document.get("Sid", ""),
            effect=Effect(document["Effect"]),
            actions=action,
            actions_inverted=actions_inverted,
            resources=resource,
            resources_inverted=resources_inverted,
            principals=_principals(document.get("Principal")),
            condition={
                operator: {key: _listed(values) for key, values in keys.items()}
                for operator, keys in document.get("Condition", {}).items()
            },
        )

    def matches(self, request: Request) -> bool:
        """Whether the statement is about the request, whoever asks."""
        action = any(_matches(each, request.action, fold=True) for each in self.actions)
        resource = self.resources is None or (
            any(_matches(each, request.resource) for each in self.resources)
            is not self.resources_inverted
        )
        return (
            action is not self.actions_inverted
            and resource
            and all(
                _holds(operator, request.value(key), values)
                for operator, keys in self.condition.items()
                for key, values in keys.items()
            )
        )

    def names(self, principal: str) -> bool:
        """Whether the statement is about that role by name or about everybody."""
        return any(each in {"*", principal} for each in self._aws())

    def delegates_to(self, account: str) -> bool:
        """Whether the statement leaves an account to decide by its roles' own policies."""
        return any(re.fullmatch(rf"arn:[a-z-]+:iam::{account}:root", each) for each in self._aws())

    def _aws(self) -> tuple[str, ...]:
        return () if self.principals is None else self.principals.get("AWS", ())


@dataclass(frozen=True)
class Policy:
    """A policy: of a role, a bucket, a key, or of who may take a role."""

    statements: tuple[Statement, ...]

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Policy:
        """Reads a policy document.

        Raises:
            PolicyUnreadable: It says something that is not known here.
        """
        if document.keys() != {"Version", "Statement"} or document["Version"] != "2012-10-17":
            raise PolicyUnreadable(f"elements {sorted(document)}")
        policy = cls(tuple(Statement.read(each) for each in document["Statement"]))
        for statement in policy.statements:
            for operator in statement.condition:
                _operator(operator)  # also of a statement that is never reached
        return policy

    @property
    def of_a_resource(self) -> bool:
        """Whether it hangs on a resource and says whom it is about."""
        return any(each.principals is not None for each in self.statements)

    def applying(self, effect: Effect, request: Request) -> tuple[Statement, ...]:
        """Statements of one effect about a request, whoever asks."""
        return tuple(
            each for each in self.statements if each.effect is effect and each.matches(request)
        )


def is_allowed(request: Request, role: Policy, bucket: Policy | None = None) -> bool:
    """Whether a role may do something, asked of S3 or of a service without resource policies.

    Args:
        request: What is asked.
        role: Policy of the role.
        bucket: Policy of the bucket, where there is one.
    """
    if _denied(request, role, bucket):
        return False
    by_bucket = bucket is not None and any(
        each.names(request.principal) for each in bucket.applying(Effect.ALLOW, request)
    )
    return by_bucket or bool(role.applying(Effect.ALLOW, request))


def may_use_key(request: Request, role: Policy, key: Policy) -> bool:
    """Whether a role may do something with a KMS key.

    Args:
        request: What is asked.
        role: Policy of the role.
        key: Policy of the key.
    """
    if _denied(request, role, key):
        return False
    permitting = key.applying(Effect.ALLOW, request)
    if any(each.names(request.principal) for each in permitting):
        return True
    delegated = any(each.delegates_to(account_of(request.principal)) for each in permitting)
    return delegated and bool(role.applying(Effect.ALLOW, request))


def account_of(arn: str) -> str:
    """The account in an ARN."""
    return arn.split(":")[4]


def _denied(request: Request, role: Policy, resource: Policy | None) -> bool:
    if role.applying(Effect.DENY, request):
        return True
    if resource is None:
        return False
    return any(
        each.names(request.principal) or each.delegates_to(account_of(request.principal))
        for each in resource.applying(Effect.DENY, request)
    )


def _one_of(
    document: Mapping[str, Any], plain: str, inverted: str
) -> tuple[tuple[str, ...] | None, bool]:
    if plain in document and inverted in document:
        raise PolicyUnreadable(f"{plain} and {inverted} in one statement")
    if inverted in document:
        return _listed(document[inverted]), True
    return (_listed(document[plain]) if plain in document else None), False


def _principals(value: object) -> Mapping[str, tuple[str, ...]] | None:
    if value is None:
        return None
    if value == "*":
        return {"AWS": ("*",)}
    if not isinstance(value, Mapping) or value.keys() - {"AWS", "Service", "Federated"}:
        raise PolicyUnreadable(f"principal {value}")
    return {kind: _listed(names) for kind, names in value.items()}


def _listed(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


@lru_cache(maxsize=4096)
def _pattern(pattern: str) -> re.Pattern[str]:
    parts = ({"*": ".*", "?": "."}.get(each, re.escape(each)) for each in pattern)
    return re.compile("".join(parts), re.DOTALL)


def _matches(pattern: str, value: str, *, fold: bool = False) -> bool:
    if fold:
        pattern, value = pattern.lower(), value.lower()
    return _pattern(pattern).fullmatch(value) is not None


def _matches_arn(pattern: str, value: str) -> bool:
    """Part by part: a wildcard does not reach past a colon, but in the last part."""
    patterns, values = pattern.split(":", 5), value.split(":", 5)
    return len(patterns) == len(values) and all(map(_matches, patterns, values))


def _number(test: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda expected, found: test(float(found), float(expected))


# Each compares the value that a policy expects with the one that was found.
_OPERATORS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "StringEquals": lambda expected, found: found == expected,
    "StringLike": _matches,
    "ArnEquals": _matches_arn,
    "ArnLike": _matches_arn,
    "Bool": lambda expected, found: found.lower() == expected.lower(),
    "NumericLessThan": _number(lambda found, expected: found < expected),
    "NumericLessThanEquals": _number(lambda found, expected: found <= expected),
    "NumericGreaterThan": _number(lambda found, expected: found > expected),
    "NumericGreaterThanEquals": _number(lambda found, expected: found >= expected),
}
_NEGATIONS: Final[Mapping[str, str]] = {
    "StringNotEquals": "StringEquals",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def _operator(name: str) -> tuple[str, bool]:
    """The operator without ``IfExists``, and whether that was there."""
    plain = name.removesuffix("IfExists")
    if plain not in _OPERATORS.keys() | _NEGATIONS.keys() | {"Null"} or name == "NullIfExists":
        raise PolicyUnreadable(f"condition operator {name}")
    return plain, plain != name


def _holds(name: str, found: str | None, expected: Iterable[str]) -> bool:
    operator, if_exists = _operator(name)
    if operator == "Null":
        return any((found is None) is (each == "true") for each in expected)
    if found is None:
        return if_exists or operator in _NEGATIONS
    if operator in _NEGATIONS:
        test = _OPERATORS[_NEGATIONS[operator]]
        return not any(test(each, found) for each in expected)
    return any(_OPERATORS[operator](each, found) for each in expected)


EVERYTHING: Final = Policy.read(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)
