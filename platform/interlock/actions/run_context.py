"""Where an action happens, and the action under way: what ``authority`` hands back and forth."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from interlock.governance.audit import RunRef, StoredEvent, Stream

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
        begun: The first record as stored; None where dev went on without.
        event: The last record as stored, once the action has ended well.
    """

    run: RunRef
    evidence: dict[str, Any] = field(default_factory=dict)
    begun: StoredEvent | None = None
    event: StoredEvent | None = None

    @property
    def begun_key(self) -> str:
        """Where the record of its start is stored; empty where that waits on disk."""
        return "" if self.begun is None else self.begun.key

    @property
    def event_key(self) -> str:
        """Where the record of success is stored."""
        if self.event is None:
            msg = "the action has not ended"
            raise RuntimeError(msg)
        return self.event.key
