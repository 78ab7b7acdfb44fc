"""Dagster's contexts with somebody in them: per request, who is signed in and what they may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from interlock.webserver.coordinator import BACKFILL_TAG, SignedIn
from interlock.webserver.dagster_names import (
    PermissionResult,
    WorkspaceProcessContext,
    WorkspaceRequestContext,
)
from interlock.webserver.rights import Rights


class LimitedRequestContext(WorkspaceRequestContext):
    """A context that permits what its rights say; nobody's permit nothing.

    Args:
        rights: What may be done.
        options: Of Dagster.
    """

    def __init__(self, *, rights: Rights, **options: Any) -> None:
        super().__init__(**options)
        self._rights = rights

    @property
    def permissions(self) -> Mapping[str, PermissionResult]:
        """What may be done to everything."""
        return self._rights.everywhere

    def permissions_for_location(self, *, location_name: str) -> Mapping[str, PermissionResult]:
        """What may be done in a code location: the same in each.

        Args:
            location_name: Which.
        """
        del location_name
        return self._rights.of_a_location


class GovernedRequestContext(LimitedRequestContext, SignedIn):
    """A request of somebody who is signed in.

    Args:
        rights: What they may do.
        backfill_tag: Signs who starts a backfill, by account; None where nothing is signed.
        options: Of Dagster.
    """

    def __init__(
        self, *, rights: Rights, backfill_tag: Callable[[str], str] | None, **options: Any
    ) -> None:
        super().__init__(rights=rights, **options)
        assert rights.principal is not None  # noqa: S101 - chosen by the process context
        self.account = rights.principal.name
        self._backfill_tag = backfill_tag

    def permissions_for_owner(self, *, owner: str) -> Mapping[str, PermissionResult]:
        """What they may do to what belongs to an owner.

        Args:
            owner: As assets and jobs name it.
        """
        return self._rights.for_owner(owner)

    def viewer_has_any_owner_definition_permissions(self) -> bool:
        """Whether owners have to be asked for."""
        return self._rights.depend_on_owners

    def get_viewer_tags(self) -> dict[str, str]:
        """Tags of a backfill: who starts it, signed."""
        return (
            {} if self._backfill_tag is None else {BACKFILL_TAG: self._backfill_tag(self.account)}
        )


class GovernedProcessContext(WorkspaceProcessContext):
    """Makes the context of each request.

    Args:
        rights_of: What whoever sent a request may do; the source of a request is Starlette's.
        backfill_tag: As for ``GovernedRequestContext``.
        arguments: Of Dagster.
        options: Of Dagster.
    """

    def __init__(
        self,
        *arguments: Any,
        rights_of: Callable[[object | None], Rights],
        backfill_tag: Callable[[str], str] | None,
        **options: Any,
    ) -> None:
        self._rights_of = rights_of
        self._backfill_tag = backfill_tag
        super().__init__(*arguments, **options)

    def create_request_context(self, source: object | None = None) -> WorkspaceRequestContext:
        """The context of a request.

        Args:
            source: The request; Dagster itself asks without one after a reload.
        """
        rights = self._rights_of(source)
        options: dict[str, Any] = {
            "instance": self.instance,
            "current_workspace": self.get_current_workspace(),
            "process_context": self,
            "version": self.version,
            "source": source,
            "read_only": True,
        }
        if rights.principal is None:
            return LimitedRequestContext(rights=rights, **options)
        return GovernedRequestContext(rights=rights, backfill_tag=self._backfill_tag, **options)
