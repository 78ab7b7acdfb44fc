"""May they: Cedar policies and the facts of a request in, a decision out. ADR-0002."""

from __future__ import annotations

from pathlib import Path

from interlock.governance.access import (
    Action,
    Decision,
    Fairness,
    RequestContext,
    Resource,
)
from interlock.governance.principal import Environment, Principal

__all__ = ["Action", "Decision", "Fairness", "PolicyEngine", "RequestContext", "Resource"]


class PolicyEngine:
    """Decides who may do what, where."""

    policy_hash: str

    @classmethod
    def load(cls, directory: Path | None = None) -> PolicyEngine:
        """Read and validate the policies; raises PolicyError."""
        raise NotImplementedError(directory)

    def decide(
        self,
        *,
        principal: Principal,
        action: Action,
        resource: Resource,
        environment: Environment,
        context: RequestContext,
    ) -> Decision:
        """Decide one request; evaluation errors deny."""
        raise NotImplementedError(principal, action, resource, environment, context)
