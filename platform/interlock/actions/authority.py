"""The frame around everything that people and runs do.

``Authority.govern`` authorises an action, records that it started, lets it happen and
records how it ended. No action is taken outside of it. If the first record cannot be
written, the action does not happen (dev alone spools it and goes on); if the last one
cannot, it is spooled to disk and the run fails.

Who may do what is decided in ``governance.policy``; how records are chained and stored in
``governance.audit`` and ``adapters.audit_log`` (ADR-0002, ADR-0003).
"""

from __future__ import annotations

import contextlib
import logging
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from interlock.adapters.audit_log import AuditLog
from interlock.errors import (
    AccessDenied,
    AuditTampered,
    AuditWriteFailed,
    InterlockError,
    StoreUnfit,
)
from interlock.governance.audit import (
    LAST_SEQUENCE,
    AuditEvent,
    AuditRecord,
    Chain,
    Outcome,
    RecordedPrincipal,
    RunRef,
    StoredEvent,
    Stream,
    as_reason,
    encode,
)
from interlock.governance.policy import Action, Decision, PolicyEngine, RequestContext, Resource
from interlock.governance.principal import Environment, IdentitySource, Principal

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunContext:
    """Where an action happens: what its records and progress refer to.

    Attributes:
        stream: The audit stream of the run, or of the process outside runs.
        ref: The run as records name it.
        report: Told in a few words what is being done.
        progress: Told how far it has come, many times; for displays.
    """

    stream: Stream
    ref: RunRef
    report: Callable[[str], None] = log.info
    progress: Callable[[str], None] = log.debug

    def with_mlflow_run(self, run_id: str) -> RunContext:
        """The same context with the MLflow run known."""
        return replace(self, ref=replace(self.ref, mlflow_run=run_id))


@dataclass
class Governed:
    """An action under way.

    Attributes:
        evidence: What the last record will carry; JSON values, finite numbers.
        run: How the last record names the run; may be completed while the action goes on.
        event: The last record as stored, once the action has ended well.
    """

    run: RunRef
    evidence: dict[str, Any] = field(default_factory=dict)
    event: StoredEvent | None = None

    @property
    def event_key(self) -> str:
        """Where the record of success is stored."""
        if self.event is None:
            msg = "the action has not ended"
            raise RuntimeError(msg)
        return self.event.key


@dataclass
class _Readiness:
    """Whether the store was probed; shared by all who act in this process."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    reached: bool = False


class Authority:
    """Who acts here, under which policies, and where it is recorded.

    Args:
        principal: Who acts.
        environment: Where.
        engine: The policies.
        audit: The audit trail.
        context: What every request tells the policies: the environment mark, the role
            lists, where the identity comes from.
        code_version: What code acts, part of every record's evidence.
        probe: Tests the store's promises; called once, before the first action.
        clock: The time, aware UTC.
    """

    def __init__(
        self,
        *,
        principal: Principal,
        environment: Environment,
        engine: PolicyEngine,
        audit: AuditLog,
        context: RequestContext,
        code_version: str,
        probe: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        self.principal = principal
        self.environment = environment
        self.engine = engine
        self.audit = audit
        self.context = context
        self._code_version = code_version
        self._probe = probe
        self._clock = clock
        self._readiness = _Readiness()

    def acting_as(self, principal: Principal) -> Authority:
        """The same authority for another principal.

        Args:
            principal: Whom the platform itself vouches for: the scheduler's service account.

        Returns:
            The authority; what was probed stays probed.
        """
        other = Authority(
            principal=principal,
            environment=self.environment,
            engine=self.engine,
            audit=self.audit,
            context=replace(self.context, identity_source=IdentitySource(principal.verified_by)),
            code_version=self._code_version,
            probe=self._probe,
            clock=self._clock,
        )
        other._readiness = self._readiness
        return other

    @contextlib.contextmanager
    def govern(
        self,
        action: Action,
        resource: Resource,
        run: RunContext,
        *,
        context: RequestContext | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> Iterator[Governed]:
        """Authorise, record the start, let it happen, record the end.

        Args:
            action: What is to be done.
            resource: On what.
            run: Where.
            context: What the policies must know beyond the standing context.
            evidence: What is known at the start; part of both records.

        Yields:
            The action under way, to be completed with evidence.

        Raises:
            AccessDenied: The policies do not permit it; nothing but this was recorded.
            AuditWriteFailed: A record could not be written.
            StoreUnfit: The store does not keep its promises (staging and prod).
        """
        base = {
            "policy_hash": self.engine.policy_hash,
            "code_version": self._code_version,
            **(evidence or {}),
        }
        governed = Governed(run=run.ref, evidence=dict(base))
        self._authorise(action, resource, run, context or self.context, base)
        self._make_ready()
        self._record_start(
            self._record(action, resource, governed.run, Outcome.STARTED, evidence=base), run
        )
        try:
            yield governed
            done = self._record(
                action, resource, governed.run, Outcome.SUCCEEDED, evidence=governed.evidence
            )
            _require_recordable(done)
        except BaseException as error:
            self._record_failure(action, resource, run, governed, error=error, base=base)
            raise
        governed.event = self._append_or_spool(run.stream, done)

    def _authorise(
        self,
        action: Action,
        resource: Resource,
        run: RunContext,
        context: RequestContext,
        evidence: Mapping[str, Any],
    ) -> None:
        decision = self.engine.decide(
            principal=self.principal,
            action=action,
            resource=resource,
            environment=self.environment,
            context=context,
        )
        try:
            decision.require()
        except AccessDenied as denial:
            self._record_denial(decision, run, context, evidence, denial)
            raise

    def _record_denial(
        self,
        decision: Decision,
        run: RunContext,
        context: RequestContext,
        evidence: Mapping[str, Any],
        denial: AccessDenied,
    ) -> None:
        record = self._record(
            decision.action,
            decision.resource,
            run.ref,
            Outcome.DENIED,
            reason=decision.reason,
            evidence={**evidence, "policies": list(decision.policies)},
        )
        try:
            if context.mark == self.environment.value:
                self._append_or_spool(run.stream, record)
            else:
                # Not our store: nothing is written there. The record waits on disk for a
                # process that belongs to the store.
                denial.add_note(f"recorded in {self.audit.spool(run.stream, record)}")
        except AuditWriteFailed as error:
            denial.add_note(str(error))

    def _make_ready(self) -> None:
        """Probe the store and write what was spooled, once per process."""
        with self._readiness.lock:
            if self._readiness.reached:
                return
            try:
                self._probe()
            except StoreUnfit as error:
                if self.environment is not Environment.DEV:
                    raise
                log.warning("the audit store is unfit, tolerated in dev alone: %s", error)
            except InterlockError as error:
                if self.environment is not Environment.DEV:
                    raise
                log.warning("the audit store could not be probed: %s", error)
                return
            try:
                self.audit.flush_spool()
            except AuditTampered as error:
                # Another stream's record; the streams that can be written go on.
                log.warning("a spooled record cannot be read: %s", error)
            self._readiness.reached = True

    def _record_start(self, record: AuditRecord, run: RunContext) -> None:
        try:
            self.audit.append(run.stream, record)
        except AuditWriteFailed as error:
            if self.environment is not Environment.DEV:
                raise
            spooled = self.audit.spool(run.stream, record)
            log.warning("%s; spooled to %s, which dev alone permits", error, spooled)

    def _record_failure(
        self,
        action: Action,
        resource: Resource,
        run: RunContext,
        governed: Governed,
        *,
        error: BaseException,
        base: Mapping[str, Any],
    ) -> None:
        text = str(error) if isinstance(error, InterlockError) else _place_of(error)

        def record_with(evidence: Mapping[str, Any]) -> AuditRecord:
            record = self._record(
                action,
                resource,
                governed.run,
                Outcome.FAILED,
                reason=as_reason(text),
                evidence=evidence,
            )
            _require_recordable(record)
            return record

        try:
            record = record_with(governed.evidence)
        except AuditWriteFailed:
            # An action must not stay open because of evidence that no record can hold.
            record = record_with(base)
        try:
            self._append_or_spool(run.stream, record)
        except AuditWriteFailed as second:
            error.add_note(str(second))

    def _append_or_spool(self, stream: Stream, record: AuditRecord) -> StoredEvent:
        try:
            return self.audit.append(stream, record)
        except AuditWriteFailed as error:
            spooled = self.audit.spool(stream, record)
            raise AuditWriteFailed(
                f"the record of {record.action} ({record.outcome.value}) could not be written: "
                f"{error.message}",
                remedy=f"it waits in {spooled} and is written by the next action once the audit "
                "bucket answers; then materialize again",
                spooled=spooled,
            ) from error

    def _record(
        self,
        action: Action,
        resource: Resource,
        ref: RunRef,
        outcome: Outcome,
        *,
        reason: str = "",
        evidence: Mapping[str, Any],
    ) -> AuditRecord:
        return AuditRecord(
            id=str(uuid.uuid4()),
            time=self._clock(),
            environment=self.environment.value,
            principal=RecordedPrincipal.of(self.principal),
            action=action.value,
            resource=f"{resource.kind}/{resource.name}",
            outcome=outcome,
            reason=reason,
            run=ref,
            evidence=dict(evidence),
        )


def _place_of(error: BaseException) -> str:
    """What to record of an error that is not ours: what and where, never its text.

    Libraries quote the values that they stumble over, and a record can never be removed.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "interlock" in Path(frame.filename).parts]
    where = f" in {Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}{where}; the log of the run has its text"


def _require_recordable(record: AuditRecord) -> None:
    """Refuse a record that is larger than an event may be, wherever it stands in a stream.

    Raises:
        AuditWriteFailed: It is.
    """
    last = Stream("x" * 128, record.time.date())
    encode(AuditEvent(record, Chain(last, LAST_SEQUENCE, "0" * 64)))
