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
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from interlock.actions.recordable import place_of, require_recordable
from interlock.actions.run_context import Governed, RunContext
from interlock.adapters.audit_log import AuditLog
from interlock.errors import (
    AccessDenied,
    AuditTampered,
    AuditWriteFailed,
    InterlockError,
    StoreUnfit,
)
from interlock.governance.audit import (
    AuditRecord,
    Outcome,
    RecordedPrincipal,
    RunRef,
    StoredEvent,
    Stream,
    as_reason,
)
from interlock.governance.policy import Action, Decision, PolicyEngine, RequestContext, Resource
from interlock.governance.principal import UNVERIFIED, Environment, IdentitySource, Principal

__all__ = ["Authority", "Governed", "RunContext"]

log = logging.getLogger(__name__)


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
        standing: What every record says besides, e.g. on whose behalf a service acts.
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
        standing: Mapping[str, Any] | None = None,
    ) -> None:
        self.principal = principal
        self.environment = environment
        self.engine = engine
        self.audit = audit
        self.context = context
        self._code_version = code_version
        self._probe = probe
        self._clock = clock
        self._standing = dict(standing or {})
        self._readiness = _Readiness()

    def acting_as(
        self, principal: Principal, *, standing: Mapping[str, Any] | None = None
    ) -> Authority:
        """The same authority for another principal.

        Args:
            principal: Whom the platform vouches for: a verified person, a service account.
            standing: What every record of theirs says besides.

        Returns:
            The authority; what was probed stays probed.
        """
        return self._of(principal, IdentitySource(principal.verified_by), standing or {})

    def unverified(self, why: str) -> Authority:
        """The same authority for somebody who did not prove who they are: it permits nothing.

        Args:
            why: What was found instead of a proof; part of every record.
        """
        return self._of(UNVERIFIED, None, {"identity": as_reason(why)})

    def _of(
        self, principal: Principal, source: IdentitySource | None, standing: Mapping[str, Any]
    ) -> Authority:
        other = Authority(
            principal=principal,
            environment=self.environment,
            engine=self.engine,
            audit=self.audit,
            context=replace(self.context, identity_source=source),
            code_version=self._code_version,
            probe=self._probe,
            clock=self._clock,
            standing=standing,
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
        ledger: Stream | None = None,
        is_done: bool = False,
    ) -> Iterator[Governed]:
        """Authorise, record the start, let it happen, record the end.

        Args:
            action: What is to be done.
            resource: On what.
            run: Where.
            context: What the policies must know beyond the standing context.
            evidence: What is known at the start; part of both records.
            ledger: Where start and end are recorded, if not in the run's own stream. A denial
                never goes there: nobody fills a ledger who may not act.
            is_done: Whether what is recorded has happened already, so that its start waits on
                disk like its end when it cannot be written.

        Yields:
            The action under way, to be completed with evidence.

        Raises:
            AccessDenied: The policies do not permit it; nothing but this was recorded.
            AuditWriteFailed: A record could not be written.
            StoreUnfit: The store does not keep its promises (staging and prod).
        """
        base = self._base(evidence)
        governed = Governed(run=run.ref, evidence=dict(base))
        self._authorise(action, resource, run, context or self.context, base)
        run = run if ledger is None else replace(run, stream=ledger)
        self._make_ready()
        governed.begun = self._record_start(
            self._record(action, resource, governed.run, Outcome.STARTED, evidence=base),
            run,
            may_wait=is_done or self.environment is Environment.DEV,
        )
        try:
            yield governed
            done = self._record(
                action, resource, governed.run, Outcome.SUCCEEDED, evidence=governed.evidence
            )
            require_recordable(done)
        except BaseException as error:
            self._record_failure(action, resource, run, governed, error=error, base=base)
            raise
        governed.event = self._append_or_spool(run.stream, done)

    def authorise(
        self,
        action: Action,
        resource: Resource,
        run: RunContext,
        *,
        context: RequestContext | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        """Refuse, on record, who may not; what may follow is governed on its own.

        Args:
            action: What is to be done.
            resource: On what.
            run: Where.
            context: What the policies must know beyond the standing context.
            evidence: Part of the record of a denial.

        Raises:
            AccessDenied: The policies do not permit it.
        """
        self._authorise(action, resource, run, context or self.context, self._base(evidence))

    def refuse(
        self,
        action: Action,
        resource: Resource,
        run: RunContext,
        error: InterlockError,
        *,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        """Record that something was refused before it began, for another reason than a policy.

        Args:
            action: What was to be done.
            resource: On what.
            run: Where.
            error: Why not; told where it is recorded when that is not the trail.
            evidence: What is known.
        """
        found = self._base(evidence)
        record = self._record(
            action, resource, run.ref, Outcome.DENIED, reason=as_reason(str(error)), evidence=found
        )
        self._keep_refusal(run, record, self.context, error)

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
        self._keep_refusal(run, record, context, denial)

    def _keep_refusal(
        self, run: RunContext, record: AuditRecord, context: RequestContext, why: InterlockError
    ) -> None:
        try:
            if context.mark == self.environment.value:
                self._append_or_spool(run.stream, record)
            else:
                # Not our store: nothing is written there. The record waits on disk for a
                # process that belongs to the store.
                why.add_note(f"recorded in {self.audit.spool(run.stream, record)}")
        except AuditWriteFailed as error:
            why.add_note(str(error))

    def _base(self, evidence: Mapping[str, Any] | None) -> dict[str, Any]:
        """What every record of an action carries."""
        return {
            "policy_hash": self.engine.policy_hash,
            "code_version": self._code_version,
            **self._standing,
            **(evidence or {}),
        }

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

    def _record_start(
        self, record: AuditRecord, run: RunContext, *, may_wait: bool
    ) -> StoredEvent | None:
        try:
            return self.audit.append(run.stream, record)
        except AuditWriteFailed as error:
            if not may_wait:
                raise
            spooled = self.audit.spool(run.stream, record)
            log.warning("%s; spooled to %s, which dev alone permits before an act", error, spooled)
            return None

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
        why = as_reason(str(error) if isinstance(error, InterlockError) else place_of(error))

        def record_with(evidence: Mapping[str, Any]) -> AuditRecord:
            record = self._record(
                action, resource, governed.run, Outcome.FAILED, reason=why, evidence=evidence
            )
            require_recordable(record)
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
                record_id=record.id,
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
