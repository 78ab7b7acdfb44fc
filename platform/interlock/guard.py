"""The guard: the Dagster resource through which assets reach governed actions.

Thin on purpose. It opens the workspace when the first step needs it, says who a run acts
as, finds the upstream of a step, and turns refusals into Dagster failures that say who,
what, where and which policy. It takes no launch-time configuration: nothing typed into the
Launchpad, no run config and no tag changes what it does.

Decisions are made behind it, in ``interlock.actions`` and ``interlock.governance``.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorType

from interlock.actions.authority import RunContext
from interlock.actions.evidence import Upstream
from interlock.actions.reconcile import Reconciled, reconcile_all
from interlock.actions.workspace import Workspace
from interlock.adapters.run_identity import RUN_TAG, RunFacts, RunPrincipals, digest_of
from interlock.adapters.tokens import RunTokens
from interlock.assembly import process_context
from interlock.errors import (
    AccessDenied,
    AuditWriteFailed,
    EvidenceError,
    IdentityError,
    InterlockError,
    RegistryUnavailable,
    StoreUnavailable,
)
from interlock.governance.audit import RunRef, Stream
from interlock.governance.principal import Principal
from interlock.product import ModelProduct
from interlock.settings import reconciler_principal, scheduler_principal

SCHEDULE_TOKEN_TAG = "interlock/schedule_token"  # noqa: S105 - the name of a tag
EVENT_METADATA = "audit_event"
"""Metadata of every materialization: the key of the audit event that proves it."""

PASSING = (StoreUnavailable, RegistryUnavailable, AuditWriteFailed)
"""What is over when a store answers again, so that a step with a policy for it is tried again."""
_SECONDS_BETWEEN_LOGS = 10.0
_TICK_SECONDS = 10.0  # the daemon writes a tick's run within milliseconds of submitting it
_TICK_POLL_SECONDS = 0.5
_TICKS = 50  # of a schedule, the newest; a queued run may be older than the last tick
_HISTORY = 1_000  # materializations of an asset that are searched for a chosen hash

_Context = dg.AssetExecutionContext | dg.OpExecutionContext


class Guard:
    """What assets know of governance.

    Args:
        open_workspace: Opens the workspace; called once, when the first step needs it.
        tokens: Issues and checks what proves that a schedule started a run; None without a
            signing key.
        principals: Finds whom a run's signed tag names; None where principals are the
            operator's word.
        report: Told what each step does, besides Dagster's own log; for progress displays.
    """

    def __init__(
        self,
        open_workspace: Callable[[], Workspace],
        *,
        tokens: RunTokens | None = None,
        principals: Callable[[Workspace], RunPrincipals] | None = None,
        report: Callable[[str, str, str], None] | None = None,
    ) -> None:
        self._open = open_workspace
        self._tokens = tokens
        self._principals = principals
        self._report = report
        self._workspace: Workspace | None = None
        self._opening = threading.Lock()
        self._in_flight: dict[str, datetime] = {}
        self.results: dict[tuple[str, str], Any] = {}

    @property
    def workspace(self) -> Workspace:
        """The workspace of this process."""
        with self._opening:
            if self._workspace is None:
                self._workspace = self._open()
            return self._workspace

    @contextlib.contextmanager
    def step(
        self, context: dg.AssetExecutionContext, product: ModelProduct
    ) -> Iterator[tuple[Workspace, RunContext]]:
        """What a step works with; refusals become Dagster failures.

        Args:
            context: Dagster's context of the step.
            product: Whose asset it is.

        Yields:
            The workspace, acting as the run's principal, and the run's context.

        Raises:
            dagster.Failure: An action was refused or failed; says what to do.
        """
        asset = context.asset_key
        with self._failing_clearly():
            run = self._run_context(
                context, product.name, asset.path[-1], step=asset.to_user_string()
            )
            yield self._acting(context, product.name, run), run

    @contextlib.contextmanager
    def operation(
        self, context: dg.OpExecutionContext, name: str, *, service: Principal | None = None
    ) -> Iterator[tuple[Workspace, RunContext]]:
        """What an operation that makes no asset works with; refusals become Dagster failures.

        Args:
            context: Dagster's context of the operation.
            name: What is done, as records name its stream.
            service: Whom it acts for where nobody signs in; where people do, the run's signed tag
                says so.

        Yields:
            The workspace, acting as the run's principal, and the run's context.

        Raises:
            dagster.Failure: An action was refused or failed; says what to do.
        """
        with self._failing_clearly():
            run = self._run_context(context, name, context.op.name, step=context.op.name)
            workspace = self._acting(context, name, run)
            if service is not None and self._principals is None:
                workspace = workspace.acting_as(service)
            yield workspace, run

    @staticmethod
    @contextlib.contextmanager
    def _failing_clearly() -> Iterator[None]:
        """Refusals become failures of Dagster that say who, what, where and what to do."""
        try:
            yield
        except AccessDenied as error:
            raise dg.Failure(
                description=str(error),
                metadata={
                    "principal": error.principal,
                    "role": error.role,
                    "action": error.action,
                    "resource": error.resource,
                    "environment": error.environment,
                    "policy": ", ".join(error.policies) or "default deny",
                    "remedy": error.remedy,
                },
                allow_retries=False,
            ) from error
        except InterlockError as error:
            raise dg.Failure(
                description=str(error),
                metadata={"error": type(error).__name__, "remedy": error.remedy},
                allow_retries=isinstance(error, PASSING),
            ) from error

    def upstream(
        self, context: dg.AssetExecutionContext, key: dg.AssetKey, wanted: str | None
    ) -> Upstream | None:
        """How the upstream of a step is referred to; whether it is true is checked later.

        Args:
            context: Dagster's context of the step.
            key: The upstream asset.
            wanted: The data version to build on; None takes this run's own materialization,
                or else the one that Dagster recorded last.

        Returns:
            Hash and audit event; None when the asset was never materialized.

        Raises:
            EvidenceError: The wanted data version was never materialized.
        """
        if wanted is None:
            records = self._own_materializations(context, key) or (
                context.instance.fetch_materializations(key, limit=1).records
            )
        else:
            records = context.instance.fetch_materializations(key, limit=_HISTORY).records
        found = [_as_upstream(record) for record in records]
        if wanted is not None:
            found = [each for each in found if each.hash == wanted]
            if not found:
                raise EvidenceError(
                    f"{key.to_user_string()} has no materialization with data version {wanted}",
                    remedy="choose one that Dagit lists under the asset, or leave it empty",
                )
        return found[0] if found else None

    def keep(self, product: ModelProduct, asset: str, result: Any) -> None:
        """Remember what a step made, for the command that runs in the same process."""
        self.results[product.name, asset] = result

    def schedule_token(self, *, schedule: str, products: Sequence[str], run_key: str) -> str | None:
        """A token that proves that a schedule started a run; None without a signing key."""
        if self._tokens is None:
            return None
        return self._tokens.issue(schedule=schedule, products=products, run_key=run_key)

    def reconcile(self, report: Callable[[str], None]) -> tuple[Reconciled, ...]:
        """Put back what was changed outside of Interlock, as the reconciler's service account.

        Args:
            report: Told what is found.

        Returns:
            What was found of each model.

        Raises:
            InterlockError: It is not known which models there are, or the account may not
                reconcile here.
        """
        workspace = self.workspace.acting_as(reconciler_principal())
        run = process_context("reconcile", report)
        return reconcile_all(workspace, run, in_flight=self._in_flight)

    def _own_materializations(
        self, context: dg.AssetExecutionContext, key: dg.AssetKey
    ) -> Sequence[Any]:
        """What this run itself made of an asset, the newest first.

        Another run that works at the same time must not slip its snapshot in between.
        """
        made = context.instance.get_records_for_run(
            context.run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, ascending=False
        ).records
        return [record for record in made if record.asset_key == key]

    def _run_context(self, context: _Context, name: str, shown: str, *, step: str) -> RunContext:
        """Where the actions of a step happen; ``shown`` is what displays call it."""
        record = context.instance.get_run_record_by_id(context.run.run_id)
        if record is None:
            raise EvidenceError(
                f"Dagster does not know run {context.run.run_id}",
                remedy="launch it with `interlock run`, Dagit or `dagster asset materialize`",
            )
        logged = time.monotonic()

        def progress(message: str) -> None:
            nonlocal logged
            if self._report is not None:
                self._report(name, shown, message)
            # Dagit shows the log of long work too, but each line is a row in its database.
            if time.monotonic() - logged > _SECONDS_BETWEEN_LOGS:
                logged = time.monotonic()
                context.log.info(message)

        def report(message: str) -> None:
            context.log.info(message)
            if self._report is not None:
                self._report(name, shown, message)

        return RunContext(
            stream=Stream(
                name=f"{name}-{context.run.run_id}",
                opened=record.create_timestamp.astimezone(UTC).date(),
            ),
            ref=RunRef(dagster_run=context.run.run_id, step=step),
            report=report,
            progress=progress,
        )

    def _acting(self, context: _Context, name: str, run: RunContext) -> Workspace:
        """The workspace for the run's principal.

        Whom its signed tag names, where people sign in; the scheduler for a proven tick; else
        whom this process acts for, which is nobody where people sign in.
        """
        workspace = self.workspace
        signed = context.run.tags.get(RUN_TAG)
        if signed is not None and self._principals is not None:
            facts = facts_of(context.run, workspace.authority.environment.value)
            try:
                principal, identity = self._principals(workspace).of_run(signed, facts)
            except IdentityError as error:
                run.report(error.message)
                return workspace.unverified(error.message)
            behalf = identity.on_behalf_of
            return workspace.acting_as(
                principal, standing={"on_behalf_of": behalf} if behalf else None
            )
        token = context.run.tags.get(SCHEDULE_TOKEN_TAG)
        if token is None or self._tokens is None:
            return workspace
        if workspace.authority.context.mark != workspace.authority.environment.value:
            return workspace  # every action will be denied; no claim is written to these buckets
        schedule = self._tokens.schedule_of(token)
        if (
            schedule is not None
            and _was_started_by(context.instance, schedule, context.run.run_id)
            and self._tokens.proves(
                token,
                product=name,
                run_id=context.run.run_id,
                store=workspace.store,
                bucket=workspace.data_bucket,
            )
        ):
            return workspace.acting_as(scheduler_principal())
        run.report("the schedule token of this run is not its own; it proves nothing")
        return workspace


def facts_of(run: dg.DagsterRun, environment: str) -> RunFacts:
    """What a run is, as far as its signed tag is bound to it."""
    return RunFacts(
        run_id=run.run_id,
        job=run.job_name,
        plan=run.execution_plan_snapshot_id or "",
        config=digest_of(run.run_config),
        environment=environment,
    )


def _was_started_by(instance: dg.DagsterInstance, schedule: str, run_id: str) -> bool:
    """Whether Dagster's record of ticks says that this schedule or sensor submitted this run.

    Tags are typed by whoever launches, ticks are written by the daemon alone: a moment after it
    has submitted the run, hence the patience.
    """
    if instance.schedule_storage is None:  # an instance in memory has no schedules
        return False
    deadline = time.monotonic() + _TICK_SECONDS
    while True:
        for state in (
            *instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE),
            *instance.all_instigator_state(instigator_type=InstigatorType.SENSOR),
        ):
            if state.instigator_name != schedule:
                continue
            ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=_TICKS)
            if any(run_id in tick.run_ids for tick in ticks):
                return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_TICK_POLL_SECONDS)


def _as_upstream(record: Any) -> Upstream:
    materialization = record.asset_materialization
    tags = materialization.tags or {}
    metadata = materialization.metadata.get(EVENT_METADATA)
    return Upstream(
        hash=tags.get("dagster/data_version", ""),
        event_key=str(metadata.value) if metadata is not None else "",
    )
