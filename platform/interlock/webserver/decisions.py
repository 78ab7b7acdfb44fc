"""Decisions that are launched in Dagit: signed here, where the person is known; a run delivers.

The run coordinator calls it for runs of the job ``model_decision``. What is checked and signed is
in ``interlock.actions.launched``; which key signs is APPROVAL_KEY. ADR-0011.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

import dagster as dg

from interlock.actions.launched import LAUNCH_TAG, read_launch, sign_launch
from interlock.actions.workspace import Workspace
from interlock.adapters.signer import Signer, open_signer
from interlock.assembly import open_workspace, process_context
from interlock.components.decisions.job import DECISION_JOB, configured_with
from interlock.errors import ConfigurationError, IdentityError
from interlock.governance.access import Action
from interlock.governance.facts import RequestContext
from interlock.governance.principal import IdentitySource
from interlock.settings import Settings, process_environment

SOMEBODY = "somebody else"


class Launches:
    """Signs decisions for who launches them.

    Args:
        workspace: The outside world, opened when the first decision is launched.
        signer: The key, likewise.
    """

    def __init__(self, workspace: Callable[[], Workspace], signer: Callable[[], Signer]) -> None:
        self._workspace = workspace
        self._signer = signer

    def tags(self, run: dg.DagsterRun, account: str) -> dict[str, str]:
        """The tags by which a run can deliver a decision.

        Args:
            run: As it was launched.
            account: Who launched it, signed in.

        Raises:
            InterlockError: They cannot decide so; it is recorded. See ``sign_launch``.
        """
        workspace = self._acting(account)
        context = process_context("launch", lambda _: None)
        launch = read_launch(configured_with(run.run_config))
        return {LAUNCH_TAG: sign_launch(workspace, context, launch, self._signer())}

    def _acting(self, account: str) -> Workspace:
        """The world for somebody, as the directory knows them now."""
        workspace = self._workspace()
        if workspace.authority.context.identity_source is IdentitySource.ENV:
            return workspace  # the operator's word, for this server as for all else here
        if workspace.directory is None:
            raise IdentityError(
                f"{account} cannot be looked up", remedy="decide with `interlock approve`"
            )
        return workspace.acting_as(workspace.directory.require_active(account).principal)


def open_launches(settings: Settings) -> Launches:
    """What signs decisions in this process; opened when the first one is launched.

    Args:
        settings: Of this process.
    """
    opened: list[tuple[Workspace, Signer]] = []

    def both() -> tuple[Workspace, Signer]:
        if not opened:
            if settings.approval_key is None:
                raise ConfigurationError(
                    "this web server has no APPROVAL_KEY, so nobody can decide here",
                    remedy="decide with `interlock approve`, or give the web server a key",
                )
            workspace = open_workspace(settings, secrets=process_environment(), believe_token=False)
            # Stays open as long as the process lives.
            key = ExitStack().enter_context(
                open_signer(settings.approval_key, region=settings.aws_region)
            )
            opened.append((workspace, key))
        return opened[0]

    return Launches(lambda: both()[0], lambda: both()[1])


def is_decision(run: dg.DagsterRun) -> bool:
    """Whether a run is to deliver a decision."""
    return run.job_name == DECISION_JOB


def of_others(action: Action, context: RequestContext) -> RequestContext:
    """What a button is to know: whether somebody may decide on versions of other people.

    Args:
        action: What is asked about.
        context: What every request tells the policies.
    """
    if action is not Action.MODEL_APPROVE:
        return context
    return replace(context, author=SOMEBODY, requester=SOMEBODY, in_owning_team=False)
