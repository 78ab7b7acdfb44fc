"""Record that a run will not finish: the end of actions that a killed process left open.

The record of a killed run stays as it is; what is added says who closed it and why. It is the
business of those who administer the platform, and refused while the run works.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from interlock.actions.authority import RunContext
from interlock.actions.workspace import Workspace
from interlock.errors import AuditError, EvidenceError, ProductBusy, RegistryError
from interlock.governance.audit import (
    AuditEvent,
    AuditRecord,
    Outcome,
    RecordedPrincipal,
    StoredEvent,
    Stream,
    as_reason,
    decode,
    verify_stream,
)
from interlock.governance.policy import Action, Resource

KILLED = "killed"


@dataclass(frozen=True)
class ClosedStream:
    """A stream without open ends.

    Attributes:
        events: The records of the end, as stored.
        mlflow_runs: MLflow runs that were open and are not any more.
        mlflow_left_open: Why MLflow could not be asked; empty when it could.
        dagster_runs: Dagster runs that the actions belonged to.
    """

    events: tuple[StoredEvent, ...]
    mlflow_runs: tuple[str, ...]
    mlflow_left_open: str
    dagster_runs: tuple[str, ...]


def close_stream(
    workspace: Workspace,
    stream: Stream,
    run: RunContext,
    *,
    reason: str,
    is_running: Callable[[str], bool],
) -> ClosedStream:
    """Record every open action of a stream as failed, killed.

    Args:
        workspace: The outside world.
        stream: The stream of the dead run.
        run: Where this happens; its own stream, not the one that is closed.
        reason: Why it is certain that nothing works on it any more.
        is_running: Whether a Dagster run still works, by its id.

    Returns:
        What was recorded and ended.

    Raises:
        AccessDenied: The principal may not administer the platform here.
        EvidenceError: The stream is not intact.
        AuditError: Nothing in it is open.
        ProductBusy: A run of it still works.
    """
    resource = Resource("platform", "interlock")
    with workspace.authority.govern(
        Action.PLATFORM_ADMINISTER,
        resource,
        run,
        evidence={"closes": str(stream), "why": as_reason(reason)},
    ) as governed:
        started = _open_events(workspace, stream)
        runs = tuple(
            dict.fromkeys(
                event.record.run.dagster_run
                for event in started
                if event.record.run is not None and event.record.run.dagster_run is not None
            )
        )
        for run_id in filter(is_running, runs):
            raise ProductBusy(
                f"run {run_id} of stream {stream} still works",
                remedy="wait for it, or end it in Dagit; only a dead run is closed",
            )
        # The last that began ends first, as they would have ended themselves.
        events = tuple(
            workspace.authority.audit.append(stream, _end(workspace, event, run, reason))
            for event in reversed(started)
        )
        ended, left_open = _end_mlflow_runs(workspace, started)
        governed.evidence |= {
            "events": [event.key for event in events],
            "mlflow_runs": list(ended),
            "mlflow_left_open": left_open,
        }
    return ClosedStream(
        events=events, mlflow_runs=ended, mlflow_left_open=left_open, dagster_runs=runs
    )


def _open_events(workspace: Workspace, stream: Stream) -> list[AuditEvent]:
    stored = workspace.authority.audit.read(stream)
    report = verify_stream(stream, stored)
    if report.findings:
        raise EvidenceError(
            f"the audit stream {stream} does not verify: {report.findings[0].text}",
            remedy="run `interlock audit verify` and have the finding examined; it is not closed",
        )
    if not report.unfinished:
        raise AuditError(
            f"no action of the audit stream {stream} is open",
            remedy="see `interlock audit verify` for those that are",
        )
    places = {each.sequence for each in report.unfinished}
    events = [decode(each.data, key=each.key) for each in stored]
    return [event for event in events if event.chain.sequence in places]


def _end(workspace: Workspace, event: AuditEvent, run: RunContext, reason: str) -> AuditRecord:
    record = event.record
    return AuditRecord(
        id=str(uuid.uuid4()),
        time=workspace.clock(),
        environment=record.environment,
        principal=RecordedPrincipal.of(workspace.authority.principal),
        action=record.action,
        resource=record.resource,
        outcome=Outcome.FAILED,
        reason=as_reason(f"{KILLED}: {reason}"),
        run=record.run,
        evidence={
            "started": event.chain.sequence,
            "closed_by": str(run.stream),
            "policy_hash": workspace.authority.engine.policy_hash,
        },
    )


def _end_mlflow_runs(
    workspace: Workspace, started: Sequence[AuditEvent]
) -> tuple[tuple[str, ...], str]:
    """The MLflow runs ended now; and why none could be, where MLflow does not answer.

    A trail is closed with or without MLflow: its runs are a view, the trail is the record.
    """
    ended: list[str] = []
    for event in started:
        record = event.record
        if record.action != Action.MODEL_TRAIN or record.run is None or not record.run.dagster_run:
            continue
        product = record.resource.partition("/")[2]
        try:
            ended += workspace.tracker.end_abandoned_runs(product, record.run.dagster_run)
        except RegistryError as error:
            return tuple(ended), str(error)
    return tuple(ended), ""
