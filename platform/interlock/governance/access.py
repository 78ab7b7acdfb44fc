"""What is asked of the policies, and what they answer.

Here are the values: actions, resources, the decision. Who asks is in ``principal.py``, the
facts of a request in ``facts.py``, what the policies say in ``policies/*.cedar``, and how
they are evaluated in ``policy.py``. ADR-0002.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from interlock.errors import AccessDenied
from interlock.governance.principal import Environment, Principal


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
    MODEL_RECONCILE = "model:reconcile"
    MODEL_SERVE = "model:serve"
    MODEL_MONITOR = "model:monitor"
    MODEL_SUSPEND = "model:suspend"
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
    Action.MODEL_RECONCILE: "model",
    Action.MODEL_SERVE: "model",
    Action.MODEL_MONITOR: "model",
    Action.MODEL_SUSPEND: "model",
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
