"""Run a product's pipeline in this process and gather what happened.

The definitions are those of the code location, with a guard that also tells a display what
each step does. Nothing is shown here: ``run_document.py`` and ``run_view.py`` do that.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC
from typing import Any

import dagster as dg

from interlock.actions.authority import RunContext
from interlock.actions.workspace import Workspace
from interlock.assembly import open_tokens, open_workspace
from interlock.cli.progress import PREPARE, Watcher
from interlock.cli.run_document import PipelineRun
from interlock.cli.run_state import dagster_instance, known_to_live
from interlock.cli.trail import RunAudit, read_audit, read_moves
from interlock.cli.verb import unexpected
from interlock.definitions import build_defs
from interlock.errors import AccessDenied, EvidenceError, GatesFailed, InterlockError
from interlock.governance.access import Action, Resource
from interlock.governance.approval import SIGNED_IN
from interlock.governance.audit import Stream
from interlock.guard import Guard
from interlock.local.home import Home
from interlock.product import ModelProduct
from interlock.settings import Settings, process_environment

# Dagster repeats on standard error what the display and the audit trail say already; its own
# event log keeps everything for Dagit.
QUIET: Mapping[str, Any] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class ObservedGuard(Guard):
    """The guard, which also tells a display when steps begin and end, and keeps their errors.

    Args:
        open_workspace: As the guard's.
        watcher: Who is told.
        settings: Of this process.
    """

    def __init__(
        self, open_workspace: Callable[[], Workspace], *, watcher: Watcher, settings: Settings
    ) -> None:
        super().__init__(
            open_workspace,
            tokens=open_tokens(settings),
            report=lambda _product, step, message: watcher.said(step, message),
        )
        self._watcher = watcher
        self.seconds: dict[str, float] = {}
        self.error: InterlockError | None = None

    @contextlib.contextmanager
    def step(
        self, context: dg.AssetExecutionContext, product: ModelProduct
    ) -> Iterator[tuple[Workspace, RunContext]]:
        """As the guard's."""
        name = context.asset_key.path[-1]
        began, well = time.monotonic(), False
        self._watcher.began(name)
        try:
            with super().step(context, product) as inside:
                _require_owner(*inside, product)
                yield inside
            well = True
        except dg.Failure as failure:
            if isinstance(failure.__cause__, InterlockError):
                self.error = failure.__cause__
            raise
        except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
            self.error = InterlockError(
                f"the run was interrupted in {name}", remedy="run it again; it begins anew"
            )
            raise
        except Exception as error:
            self.error = unexpected(error)
            raise
        finally:
            self.seconds[name] = time.monotonic() - began
            self._watcher.ended(name, well=well)


def _require_owner(workspace: Workspace, run: RunContext, product: ModelProduct) -> None:
    """Refuse, as Dagit does, who signed in and owns no part of the product.

    Raises:
        AccessDenied: They do not; it is recorded.
    """
    authority = workspace.authority
    principal, action = authority.principal, Action.DATA_INGEST
    if principal.verified_by not in SIGNED_IN or any(map(principal.is_owner, product.owners)):
        return
    denial = AccessDenied(
        principal=principal.name,
        role=principal.role.value,
        action=action.value,
        resource=product.name,
        environment=authority.environment.value,
        policies=(),
        reason="where people sign in, only a product's owners launch it: "
        + ", ".join(product.owners),
        remedy="ask one of them, or an administrator to put you into the team",
    )
    authority.refuse(action, Resource("product", product.name), run, denial)
    raise denial


def run_pipeline(settings: Settings, product: ModelProduct, watcher: Watcher) -> PipelineRun:
    """Materialize all assets of a product.

    Args:
        settings: With the services' addresses.
        product: What to run.
        watcher: Told how it proceeds.

    Returns:
        What it came to; a run that was denied or failed is returned, not raised.

    Raises:
        ConfigurationError: There is no place for Dagster's records.
    """
    guard = ObservedGuard(
        lambda: open_workspace(settings, secrets=process_environment()),
        watcher=watcher,
        settings=settings,
    )
    job = build_defs(guard=guard).resolve_job_def(f"{product.name}_pipeline")
    run_id = str(uuid.uuid4())
    watcher.ended(PREPARE, well=True)
    if not gc.isenabled():  # see `app.main`
        gc.freeze()
        gc.enable()
    with (
        dagster_instance() as instance,
        known_to_live(Home(settings.home), run_id),
        _dagster_quiet(),
    ):
        result = job.execute_in_process(
            instance=instance, run_id=run_id, run_config=dict(QUIET), raise_on_error=False
        )
        record = instance.get_run_record_by_id(run_id)
    assert record is not None  # noqa: S101 - it has just run
    opened = record.create_timestamp.astimezone(UTC).date()
    results = {
        asset: result for (name, asset), result in guard.results.items() if name == product.name
    }
    return PipelineRun(
        product=product.name,
        run_id=run_id,
        results=results,
        error=_blocked(results) if result.success else _error(guard, product, results, result),
        seconds=guard.seconds,
        audit=_audit_of(guard, Stream(f"{product.name}-{run_id}", opened)),
        promotion=_promotion_of(guard, results, run_id),
    )


def _blocked(results: Mapping[str, Any]) -> GatesFailed | None:
    """Why a run that ended well gave no version that may be used."""
    registration = results.get("registered_version")
    if registration is None or registration.passed:
        return None
    version = registration.version
    failed = "; ".join(gate.reason for gate in registration.gates if not gate.passed)
    return GatesFailed(
        f"{version.name} version {version.version} is registered, blocked and without alias: "
        f"{failed}",
        remedy="what was deployed before stays as it was",
    )


def _error(
    guard: ObservedGuard, product: ModelProduct, results: Mapping[str, Any], result: Any
) -> InterlockError:
    """What stopped a run: a refusal of ours, a blocking check, or something unforeseen."""
    if guard.error is not None:
        return guard.error
    validated = results.get("validated_data")
    if validated is not None and not validated.report.passed:
        failed = [rule for rule in validated.report.rules if rule.blocking and not rule.passed]
        return EvidenceError(
            "blocking checks of validated_data failed: "
            + "; ".join(f"{rule.name} ({rule.detail})" for rule in failed),
            remedy="correct the data, or the contract in "
            f"platform/interlock/defs/{product.name}/defs.yaml, and run again",
        )
    for event in result.all_events:
        if event.is_step_failure and event.step_failure_data.error is not None:
            found = event.step_failure_data.error
            if "Interrupt" in (found.cls_name or ""):
                return InterlockError(
                    "the run was interrupted between two steps",
                    remedy="run it again; it begins anew",
                )
            first_line = (found.cause or found).message.strip().splitlines()[0]
            error = unexpected(RuntimeError(f"{first_line} (in {event.step_key})"))
            error.__cause__ = RuntimeError(found.to_string())  # for --debug
            return error
    return InterlockError(
        "the run failed before its first step",
        remedy="run it again with --debug and report what it prints",
    )


def _audit_of(guard: ObservedGuard, stream: Stream) -> RunAudit:
    try:
        return read_audit(guard.workspace.authority.audit, stream)
    except InterlockError as error:  # the workspace itself could not be opened
        return RunAudit(stream, error=error)


def _promotion_of(guard: ObservedGuard, results: Mapping[str, Any], run_id: str) -> RunAudit | None:
    registration = results.get("registered_version")
    if registration is None:
        return None
    return read_moves(guard.workspace.authority.audit, registration.version.name, run_id)


@contextlib.contextmanager
def _dagster_quiet() -> Iterator[None]:
    """Keeps Dagster's own logger off standard error while a run is shown otherwise."""
    logger = logging.getLogger("dagster")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
