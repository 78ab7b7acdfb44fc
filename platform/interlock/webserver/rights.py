"""What Dagster lets somebody do: its permission map, computed from the same policies as all else.

A button is grey for the reason that the policies give. Where people sign in, launching is a right
on the assets and jobs that they or their team own; the steps of a run ask the policies again.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from interlock.components.decisions.job import DECIDERS
from interlock.governance.access import Action, Decision
from interlock.governance.principal import Principal
from interlock.webserver.dagster_names import (
    ENOUGH_IN_DEV,
    LOCATION_SCOPED_PERMISSIONS,
    NEEDED,
    OF_OWNERS,
    PermissionResult,
    Permissions,
)

NOBODY = "nobody is signed in"
NEVER = "Interlock gives this to nobody"
UNKNOWN = "this permission is new, and Interlock has no rule for it"
OWNERS_ALONE = "only owners of the asset or job may do this"

Decide = Callable[[Action], Decision]


class Rights:
    """What one person may do in Dagster's UI.

    Args:
        principal: Who.
        decide: Asks the policies about an action of theirs.
        by_owner: Whether launching is a right on what they own.
        in_dev: Whether this is dev, where it takes less to load a product again.
    """

    def __init__(
        self, principal: Principal | None, decide: Decide, *, by_owner: bool, in_dev: bool = False
    ) -> None:
        self.principal = principal
        self._decide = decide
        self._by_owner = by_owner
        self._in_dev = in_dev
        self._owners: dict[str, Mapping[str, PermissionResult]] = {}

    @functools.cached_property
    def everywhere(self) -> Mapping[str, PermissionResult]:
        """Permission to whether they have it on everything, and why not."""
        return {name: self._on_everything(name) for name in Permissions}

    @functools.cached_property
    def of_a_location(self) -> Mapping[str, PermissionResult]:
        """The same in each code location, of what Dagster asks about locations."""
        return {name: self.everywhere[name] for name in LOCATION_SCOPED_PERMISSIONS}

    def for_owner(self, owner: str) -> Mapping[str, PermissionResult]:
        """Permission to whether they have it on what belongs to an owner.

        Args:
            owner: A person's address, ``team:`` and a team, or ``DECIDERS``: whoever may approve,
                who may launch decisions and nothing else.
        """
        if owner not in self._owners:
            self._owners[owner] = self._of_owner(owner)
        return self._owners[owner]

    def _of_owner(self, owner: str) -> Mapping[str, PermissionResult]:
        if owner == DECIDERS and self.principal is not None:
            return {Permissions.LAUNCH_PIPELINE_EXECUTION: self._answers[Action.MODEL_APPROVE]}
        if not self._is(owner):
            return {}
        return {name: self._of_policies(name) for name in OF_OWNERS}

    @functools.cached_property
    def depend_on_owners(self) -> bool:
        """Whether owners have to be asked for at all."""
        if self.principal is not None and self._answers[Action.MODEL_APPROVE].enabled:
            return True
        return self._by_owner and any(self._of_policies(name).enabled for name in OF_OWNERS)

    def _on_everything(self, permission: str) -> PermissionResult:
        found = self._of_policies(permission)
        if found.enabled and self._by_owner and permission in OF_OWNERS:
            return PermissionResult(enabled=False, disabled_reason=OWNERS_ALONE)
        return found

    def _of_policies(self, permission: str) -> PermissionResult:
        if permission not in NEEDED:
            return PermissionResult(enabled=False, disabled_reason=UNKNOWN)
        action = NEEDED[permission]
        if action is None:
            return PermissionResult(enabled=False, disabled_reason=NEVER)
        if self.principal is None:
            return PermissionResult(enabled=False, disabled_reason=NOBODY)
        found = self._answers[action]
        if not found.enabled and self._in_dev and permission in ENOUGH_IN_DEV:
            return self._answers[ENOUGH_IN_DEV[permission]]
        return found

    @functools.cached_property
    def _answers(self) -> Mapping[Action, PermissionResult]:
        """Each action asked about once for a request."""
        answers = {}
        asked = (*filter(None, NEEDED.values()), *ENOUGH_IN_DEV.values(), Action.MODEL_APPROVE)
        for action in dict.fromkeys(asked):
            decision = self._decide(action)
            reason = None if decision.allowed else decision.reason
            answers[action] = PermissionResult(enabled=decision.allowed, disabled_reason=reason)
        return answers

    def _is(self, owner: str) -> bool:
        return self.principal is not None and self.principal.is_owner(owner)
