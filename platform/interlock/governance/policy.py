"""May they: Cedar policies and the facts of a request in, a decision out.

The rules of evaluation:

* what no policy permits is denied; what one policy forbids is denied whatever permits it;
* any error of evaluation denies: a value of the wrong type, an unknown role, environment,
  action or kind of resource, a fact that cannot be written down;
* a missing fact never helps: every condition asks whether its fact is there first;
* the lists of allowed roles narrow what the policies permit and never widen it.

The policies are in ``policies/*.cedar``, their checks in ``policy_files.py``, the values
asked and answered in ``access.py``. ADR-0002.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cedarpy

from interlock.governance.access import Action, Decision, Resource
from interlock.governance.facts import (
    FACT_NAMES,
    Fairness,
    RequestContext,
    cedar_facts,
    entity,
    favourable_context,
    worded_facts,
    wrong_fact,
)
from interlock.governance.policy_files import SHIPPED, PolicyFiles, Rule, read_policy_files
from interlock.governance.principal import Environment, Principal, Role

__all__ = [
    "Action",
    "Decision",
    "Explanation",
    "Fairness",
    "PolicyEngine",
    "PolicyFiles",
    "RequestContext",
    "Resource",
    "Rule",
    "favourable_context",
]

_ENTITY_TYPES = {"product": "Product", "model": "Model", "audit": "Audit", "platform": "Platform"}
_MAX_ERROR = 400  # characters of an evaluation error that a reason quotes


@dataclass(frozen=True)
class Explanation:
    """Which policies decide about a role, an action and an environment.

    Attributes:
        role: Who.
        action: What.
        environment: Where.
        allowed: Whether they may, given the context that was asked about.
        reason: Why, one sentence.
        remedy: After a denial what to do about it, otherwise empty.
        policies: The policies that decided.
        conditions: The policies that forbid the action there while their facts are missing:
            what must hold in addition to the permit.
    """

    role: Role
    action: Action
    environment: Environment
    allowed: bool
    reason: str
    remedy: str
    policies: tuple[Rule, ...]
    conditions: tuple[Rule, ...]


class PolicyEngine:
    """Decides who may do what, where.

    Args:
        files: Policies and schema that passed every check; see ``load``.
    """

    def __init__(self, files: PolicyFiles) -> None:
        self.files = files
        self._able: dict[tuple[Action, Environment], tuple[Role, ...]] = {}

    @classmethod
    def load(cls, directory: Path | None = None) -> PolicyEngine:
        """Read and validate the policies.

        Args:
            directory: A folder with ``*.cedar`` files and their schema; by default the one
                that ships with the package.

        Raises:
            PolicyError: A file does not load; with file, line where known, and remedy.
        """
        return cls(cls.check(directory))

    @staticmethod
    def check(directory: Path | None = None) -> PolicyFiles:
        """Everything that ``load`` validates, for those who want the findings alone.

        Args:
            directory: As for ``load``.

        Returns:
            The files, their policies with reasons, and their digest.

        Raises:
            PolicyError: As for ``load``.
        """
        return read_policy_files(directory or SHIPPED)

    @property
    def policy_hash(self) -> str:
        """SHA-256 over the bytes of all policies and the schema, hexadecimal."""
        return self.files.digest

    def decide(
        self,
        *,
        principal: Principal,
        action: Action,
        resource: Resource,
        environment: Environment,
        context: RequestContext,
    ) -> Decision:
        """Decide one request.

        Args:
            principal: Who asks, in which role.
            action: For what.
            resource: On what; of the kind that the action applies to.
            environment: Where this process runs.
            context: The facts, each as it was found.

        Returns:
            The decision. Errors of evaluation are denials whose reason tells the error.
        """
        allowed, policies, error = self._evaluate(principal, action, resource, environment, context)
        if error:
            reason = f"the request could not be evaluated: {error[:_MAX_ERROR]}"
            remedy = "correct the role, environment, resource or fact that it names"
        else:
            rules = self._worded(policies, worded_facts(principal.role, environment, context))
            reasons = [rule.reason for rule in rules]
            remedies = [rule.remedy for rule in rules if not allowed]
            if not allowed:
                missing, how = self._missing_permit(principal.role, action, environment, policies)
                reasons, remedies = [*missing, *reasons], [*how, *remedies]
            reason, remedy = " and ".join(reasons), " and ".join(remedies)
        return Decision(
            allowed=allowed,
            policies=policies,
            reason=reason,
            policy_hash=self.policy_hash,
            remedy=remedy,
            principal=principal,
            action=action,
            resource=resource,
            environment=environment,
        )

    def roles_that_may(self, action: Action, environment: Environment) -> tuple[Role, ...]:
        """Roles that may do this there when every condition holds, in the order of ``Role``."""
        asked = (action, environment)
        if asked not in self._able:
            self._able[asked] = tuple(role for role in Role if self._is_permitted(role, *asked))
        return self._able[asked]

    def matrix(self) -> dict[Role, dict[Action, dict[Environment, bool]]]:
        """Who may do what where, when every condition of the policies holds.

        Returns:
            Role to action to environment to whether it is permitted; all of them.
        """
        return {
            role: {
                action: {
                    environment: role in self.roles_that_may(action, environment)
                    for environment in Environment
                }
                for action in Action
            }
            for role in Role
        }

    def explain(
        self,
        *,
        role: Role,
        action: Action,
        environment: Environment,
        context: RequestContext | None = None,
    ) -> Explanation:
        """What decides about a role, an action and an environment.

        Args:
            role: Who.
            action: What.
            environment: Where.
            context: Facts to decide with; by default those in which every condition holds.

        Returns:
            The decision, its policies, and the conditions that apply.
        """
        asked = _question(role, action, environment)
        given = context or favourable_context(environment)
        decision = self.decide(**asked, context=given)
        open_facts = dict.fromkeys(FACT_NAMES, "…") | {"role": role, "environment": environment}
        _, forbidding, _ = self._evaluate(**asked, context=RequestContext())
        return Explanation(
            role=role,
            action=action,
            environment=environment,
            allowed=decision.allowed,
            reason=decision.reason,
            remedy=decision.remedy,
            policies=self._worded(decision.policies, worded_facts(role, environment, given)),
            conditions=self._worded(forbidding, open_facts),
        )

    def _missing_permit(
        self, role: Role, action: Action, environment: Environment, forbidding: tuple[str, ...]
    ) -> tuple[list[str], list[str]]:
        """What to say and what to do after a denial for want of a permit, if it was for that."""
        able = self.roles_that_may(action, environment)
        if role in able:
            if forbidding:
                return [], []
            return ["no policy permits it with these facts"], ["see `interlock policy explain`"]
        ask = f"ask somebody who is {' or '.join(able)}" if able else "change the policies"
        return [f"no policy permits it to the role {role}"], [ask]

    def _worded(self, names: Iterable[str], facts: Mapping[str, str]) -> tuple[Rule, ...]:
        """Policies with the facts in place of their placeholders."""
        return tuple(
            replace(
                rule, reason=rule.reason.format_map(facts), remedy=rule.remedy.format_map(facts)
            )
            for rule in (self.files.rules[name] for name in names)
        )

    def _is_permitted(self, role: Role, action: Action, environment: Environment) -> bool:
        asked = _question(role, action, environment)
        return self._evaluate(**asked, context=favourable_context(environment))[0]

    def _evaluate(
        self,
        principal: Principal,
        action: Action,
        resource: Resource,
        environment: Environment,
        context: RequestContext,
    ) -> tuple[bool, tuple[str, ...], str]:
        """Whether it is allowed, the policies that decided in file order, and any error."""
        if resource.kind not in _ENTITY_TYPES:
            return False, (), f"unknown kind of resource {resource.kind!r}"
        if wrong := wrong_fact(context):
            return False, (), wrong
        try:
            user = entity("User", principal.account)
            result = cedarpy.is_authorized(
                {
                    "principal": user,
                    "action": entity("Action", action),
                    "resource": entity(_ENTITY_TYPES[resource.kind], resource.name),
                    "context": json.dumps(cedar_facts(environment, context)),
                },
                self.files.policies,
                [{"uid": user, "attrs": {}, "parents": [entity("Role", principal.role)]}],
                self.files.schema,
            )
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the answer is no
            return False, (), f"{type(error).__name__}: {error}"
        if result.diagnostics.errors:
            return False, (), result.diagnostics.errors[0]
        fired = set(result.diagnostics.reasons)
        policies = tuple(name for name in self.files.rules if name in fired)
        return result.allowed, policies, ""


def _question(role: Role, action: Action, environment: Environment) -> dict[str, Any]:
    return {
        "principal": Principal(f"anybody who is {role}", role, "explain"),
        "action": action,
        "resource": Resource(action.resource_kind, "any"),
        "environment": environment,
    }
