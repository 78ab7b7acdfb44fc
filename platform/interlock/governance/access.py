"""What is asked of the policies, and what they answer.

Here are the values: actions, resources, the facts of a request, the decision. What the
policies say is in ``policies/*.cedar``, how they are evaluated in ``policy.py``, who asks
in ``principal.py``. ADR-0002.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from interlock.errors import AccessDenied
from interlock.governance.gates import GateResult
from interlock.governance.principal import (
    Environment,
    IdentitySource,
    Principal,
    Role,
)


class Action(StrEnum):
    """What people and runs do under governance; applies to one kind of resource each."""

    DATA_INGEST = "data:ingest"
    DATA_VALIDATE = "data:validate"
    MODEL_TRAIN = "model:train"
    MODEL_REGISTER = "model:register"
    MODEL_APPROVE = "model:approve"
    MODEL_REJECT = "model:reject"
    MODEL_PROMOTE = "model:promote"
    MODEL_ROLLBACK = "model:rollback"
    MODEL_SERVE = "model:serve"
    AUDIT_READ = "audit:read"
    AUDIT_EXPORT = "audit:export"
    PLATFORM_ADMINISTER = "platform:administer"

    @property
    def resource_kind(self) -> str:
        """The kind of resource it applies to: the schema refuses any other."""
        return _KINDS[self]


_KINDS = {
    Action.DATA_INGEST: "product",
    Action.DATA_VALIDATE: "product",
    Action.MODEL_TRAIN: "product",
    Action.MODEL_REGISTER: "model",
    Action.MODEL_APPROVE: "model",
    Action.MODEL_REJECT: "model",
    Action.MODEL_PROMOTE: "model",
    Action.MODEL_ROLLBACK: "model",
    Action.MODEL_SERVE: "model",
    Action.AUDIT_READ: "audit",
    Action.AUDIT_EXPORT: "audit",
    Action.PLATFORM_ADMINISTER: "platform",
}


@dataclass(frozen=True)
class Resource:
    """On what.

    Attributes:
        kind: ``product``, ``model``, ``audit`` or ``platform``.
        name: E.g. ``credit_risk``, ``CreditRiskModel``.
    """

    kind: str
    name: str


class Fairness(StrEnum):
    """What the fairness assessment of a version found."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_ASSESSED = "not_assessed"


@dataclass(frozen=True)
class RequestContext:
    """The facts of a request, each as it was found; what was not found stays ``None``.

    A missing fact never helps: every policy that asks for it then denies.

    Attributes:
        mark: Environment that the buckets and the registry were created for; empty when
            they carry no mark.
        identity_source: Where the principal's name and role come from.
        identity_chosen: Whether IDENTITY_SOURCE was set explicitly.
        roles_restricted: Whether a list of allowed roles is set for this environment.
        allowed_roles: That list; needed only when it is set.
        gates: Results of all gates of the version; for promotion.
        fairness: Result of its fairness assessment; for promotion outside dev.
        signed: Whether the signature of its artifact was verified; for promotion and
            serving outside dev.
        approved: Whether a valid approval by quorum exists; for promotion and serving
            outside dev.
        author: Name of who trained the version; for approval.
        requester: Name of who asked for the approval; for approval.
    """

    mark: str | None = None
    identity_source: IdentitySource | None = None
    identity_chosen: bool | None = None
    roles_restricted: bool | None = None
    allowed_roles: frozenset[Role] | None = None
    gates: tuple[GateResult, ...] | None = None
    fairness: Fairness | None = None
    signed: bool | None = None
    approved: bool | None = None
    author: str | None = None
    requester: str | None = None


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What the policies decided, and on which question.

    Attributes:
        allowed: Whether the principal may.
        policies: Identifiers of the policies that decided; empty when none applied or the
            request could not be evaluated.
        reason: Why, in one sentence with the values that were found.
        policy_hash: SHA-256 of the policies and schema that decided, hexadecimal.
        remedy: After a denial what to do about it, otherwise empty.
        principal: Who asked.
        action: For what.
        resource: On what.
        environment: Where.
    """

    allowed: bool
    policies: tuple[str, ...]
    reason: str
    policy_hash: str
    remedy: str
    principal: Principal
    action: Action
    resource: Resource
    environment: Environment

    def require(self) -> None:
        """Go on only when the principal may.

        Raises:
            AccessDenied: They may not; with everything the decision knows.
        """
        if not self.allowed:
            raise AccessDenied(
                principal=self.principal.name,
                role=str(self.principal.role),
                action=str(self.action),
                resource=self.resource.name,
                environment=str(self.environment),
                policies=self.policies,
                reason=self.reason,
                remedy=self.remedy,
            )
