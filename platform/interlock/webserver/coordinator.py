"""The run coordinator: queues runs as Dagster's own does, and signs who each of them acts for.

It works in two processes. In the web server whoever sent the request is known. In the daemon nobody
sent one: a run is a backfill's, a retry, or a tick's, and each is signed anew for whom that is.
Anywhere else (a command line, a script) there is no key, and no run gets a signature. ADR-0012.

``dagster.yaml`` names it as ``run_coordinator``; its configuration is that of Dagster's.
"""

from __future__ import annotations

import functools
from typing import Any

from dagster import DagsterInstance, DagsterRun

from interlock.adapters.run_identity import RUN_TAG, IdentitySigner, RunIdentity
from interlock.assembly import Signing, open_signing
from interlock.errors import IdentityError
from interlock.governance.principal import IdentitySource
from interlock.guard import facts_of
from interlock.settings import load_settings, scheduler_principal
from interlock.webserver.dagster_names import (
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    PARENT_RUN_ID_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
    BulkActionsFilter,
    QueuedRunCoordinator,
    SubmitRunContext,
)
from interlock.webserver.decisions import Launches, is_decision, open_launches

BACKFILL_TAG = "interlock/backfill_principal"
ENABLED_KEY = "interlock/enabled-by/"
"""Where it is noted who enabled a schedule or sensor, in the daemon's key-value store."""


class SignedIn:
    """What a request's context offers when somebody is signed in; see ``context.py``."""

    account: str


class GovernedRunCoordinator(QueuedRunCoordinator[DagsterInstance]):
    """Signs who a run acts for, and queues it.

    Args:
        signing: How this process signs; from its environment by default.
        launches: Signs decisions that are launched; from its environment by default.
        options: Of Dagster's own coordinator.
    """

    def __init__(
        self,
        *,
        signing: Signing | None = None,
        launches: Launches | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._given = signing
        self._given_launches = launches

    @functools.cached_property
    def _signing(self) -> Signing:
        return self._given or open_signing(load_settings())

    @functools.cached_property
    def _launches(self) -> Launches:
        return self._given_launches or open_launches(load_settings())

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Sign and queue a run.

        Args:
            context: Of Dagster.

        Raises:
            IdentityError: Nobody can be said to have started it; Dagster ends the run with that.
            InterlockError: It is a decision that whoever launches it cannot make; likewise.
        """
        if self._signing.source is not IdentitySource.ENV:
            run = context.dagster_run
            tag = self._tag(run, context)
            self._instance.add_run_tags(run.run_id, {RUN_TAG: tag})
        if is_decision(context.dagster_run) and isinstance(context.workspace, SignedIn):
            tags = self._launches.tags(context.dagster_run, context.workspace.account)
            self._instance.add_run_tags(context.dagster_run.run_id, tags)
        return super().submit_run(context)

    def _tag(self, run: DagsterRun, context: SubmitRunContext) -> str:
        signer = self._signing.signer
        if signer is None:
            raise IdentityError(
                "this process cannot say who starts the run",
                remedy="launch it from Dagit, signed in",
            )
        facts = facts_of(run, self._signing.environment)
        return signer.run_tag(facts, self._identity(run, context))

    def _identity(self, run: DagsterRun, context: SubmitRunContext) -> RunIdentity:
        workspace = context.workspace
        if isinstance(workspace, SignedIn):
            return RunIdentity(workspace.account)
        if getattr(workspace, "source", None) is not None:
            raise IdentityError(
                "the request that starts the run is nobody's", remedy="sign in, and launch it again"
            )
        return self._of_the_daemon(run)

    def _of_the_daemon(self, run: DagsterRun) -> RunIdentity:
        """Whom a run acts for that the daemon itself submits.

        Anybody can type a run's tags, and retries inherit them. So a retry is told first, by what
        the daemon alone wrote into the run that failed; a tick cannot name a backfill besides.
        """
        failed = self._retried(run)
        if failed is not None:
            facts = facts_of(failed, self._signing.environment)
            return self._signing.verifier.of_run(failed.tags.get(RUN_TAG, ""), facts)
        instigator = run.tags.get(SCHEDULE_NAME_TAG) or run.tags.get(SENSOR_NAME_TAG)
        backfill_id = run.tags.get(BACKFILL_ID_TAG)
        if bool(instigator) is bool(backfill_id):
            raise IdentityError(
                f"nothing says who started run {run.run_id}, or more than one thing does",
                remedy="launch it from Dagit, signed in",
            )
        if backfill_id:
            return RunIdentity(self._who_started_backfill(backfill_id))
        return RunIdentity(
            scheduler_principal().name,
            service=True,
            on_behalf_of=self._who_enabled(str(instigator)),
        )

    def _retried(self, run: DagsterRun) -> DagsterRun | None:
        """The run that the daemon repeats by this one; None where it is no retry of the daemon."""
        parent_id = run.tags.get(PARENT_RUN_ID_TAG)
        parent = self._instance.get_run_by_id(parent_id) if parent_id else None
        if parent is None or parent.tags.get(AUTO_RETRY_RUN_ID_TAG) != run.run_id:
            return None
        return parent

    def _who_started_backfill(self, backfill_id: str) -> str:
        backfill = self._instance.get_backfill(backfill_id)
        tag = (backfill.tags or {}).get(BACKFILL_TAG, "") if backfill is not None else ""
        name = self._signing.verifier.of_backfill(tag, environment=self._signing.environment)
        # Whoever can write to Dagster's database can copy the tag; the first one is its own.
        alike = self._instance.get_backfills(filters=BulkActionsFilter(tags={BACKFILL_TAG: tag}))
        first = min(alike, key=lambda each: each.backfill_timestamp)
        if first.backfill_id != backfill_id:
            raise IdentityError(
                f"backfill {backfill_id} carries the tag of backfill {first.backfill_id}",
                remedy="start it from Dagit, signed in",
            )
        return name

    def _who_enabled(self, instigator: str) -> str:
        """Who enabled a schedule or sensor; empty where nobody did, and it runs by itself."""
        storage = self._instance.daemon_cursor_storage
        key = f"{ENABLED_KEY}{instigator}"
        note = storage.get_cursor_values({key}).get(key)
        if not note:
            return ""
        try:
            return self._signing.verifier.of_enabled(
                note, instigator=instigator, environment=self._signing.environment
            )
        except IdentityError:
            return ""  # a note that nobody signed says nothing


def note_enabled(
    instance: DagsterInstance, signer: IdentitySigner, *, name: str, instigator: str, where: str
) -> None:
    """Note who enabled a schedule or sensor.

    Args:
        instance: Dagster's.
        signer: Signs it.
        name: Who.
        instigator: What they enabled.
        where: The environment.
    """
    note = signer.enabled_note(name=name, instigator=instigator, environment=where)
    instance.daemon_cursor_storage.set_cursor_values({f"{ENABLED_KEY}{instigator}": note})
