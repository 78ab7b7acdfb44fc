"""What the audit trail says about products, models and acts: events in, values out.

Pure. Events are read in ``interlock.adapters.audit_tail``; they were not verified there, and
what is made of them here are figures to look at, never a ground to act on. Evidence of another
shape than expected is passed over: the trail outlives the vocabulary of the day.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final, TypeVar

from interlock.adapters.audit_tail import AuditRecord, Outcome, TailEvent
from interlock.ml.monitoring import day_of

INGEST, VALIDATE, TRAIN, REGISTER = "data:ingest", "data:validate", "model:train", "model:register"
RECONCILE: Final = "model:reconcile"
MONITOR: Final = "model:monitor"
CHECKS: Final = ("drift", "performance")
OTHER: Final = "other"
# What is counted by name; anything else that was written into a record counts as ``other``.
ACTIONS: Final = (
    *(INGEST, VALIDATE, TRAIN, REGISTER, "model:approve", "model:reject", "model:promote"),
    *(
        "model:rollback",
        RECONCILE,
        "model:serve",
        "model:monitor",
        "model:suspend",
        "audit:read",
        "audit:export",
        "platform:administer",
    ),
    "platform:enter",
)
ROLES: Final = (
    *("viewer", "data_scientist", "ml_engineer", "approver", "auditor", "platform_admin"),
    *("scheduler", "monitor"),
)
OUTCOMES: Final = tuple(outcome.value for outcome in Outcome)
_PRODUCT: Final = "product/"
_MODEL: Final = "model/"


@dataclass(frozen=True)
class RawSnapshot:
    """A snapshot of a source; ``time`` is Unix time, unknown numbers are None."""

    hash: str
    rows: float | None
    columns: float | None
    time: float


@dataclass(frozen=True)
class ValidatedSnapshot:
    """Rows that kept the contract.

    Attributes:
        hash: SHA-256 of the accepted rows' Parquet file.
        raw_hash: SHA-256 of the source that they are from.
        key: Where the accepted rows are, in the data bucket.
        rows: How many.
        quarantined: How many did not keep it.
        quality: Data quality score, 0 to 1.
        blocking_failed: Blocking rules that did not hold.
    """

    hash: str
    raw_hash: str
    key: str
    rows: float | None
    quarantined: float | None
    quality: float | None
    blocking_failed: int | None


@dataclass(frozen=True)
class GateLimit:
    """A gate's limit at a registration, and whether the version stayed within it."""

    metric: str
    direction: str
    limit: float
    passed: bool


@dataclass(frozen=True)
class RegisteredVersion:
    """A registration.

    Attributes:
        model: Registered model.
        version: Its number, text.
        data_hash: The validated snapshot that it learned from.
        metrics: Of the holdout.
        gates: As they were then.
        time: Unix time.
    """

    model: str
    version: str
    data_hash: str
    metrics: Mapping[str, float]
    gates: tuple[GateLimit, ...]
    time: float


@dataclass(frozen=True)
class RecordedCheck:
    """A check of drift or performance that came to a verdict.

    Attributes:
        version: What was checked.
        partition: The day or batch; None where there is none.
        of_snapshot: Whether it is of a validated snapshot, not of a source of its own.
        figures_key: Where its figures are, in the data bucket.
        figures_hash: SHA-256 of them.
        time: Unix time.
    """

    version: str
    partition: str | None
    of_snapshot: bool
    figures_key: str
    figures_hash: str
    time: float

    @property
    def day(self) -> date | None:
        """Its partition, where that is a day."""
        return day_of(self.partition)


@dataclass(frozen=True)
class Attempt:
    """A check that was tried: when, Unix time, and whether it came to a verdict."""

    time: float
    succeeded: bool


_Told = TypeVar("_Told", RecordedCheck, Attempt)


@dataclass
class ProductState:
    """What the trail says about one product.

    Attributes:
        raw: The newest raw snapshot.
        validated: The newest validated one.
        snapshots: All validated ones by hash.
        raw_hashes: All raw ones' hashes.
        model: Its registered model.
        versions: Registrations by version.
        newest_version: The newest of them.
        gates_failed: Metric to how many registrations its gate failed.
        checks: Kind and version to the check that came to a verdict: of days that of the newest
            one, however late an older day was checked; otherwise the last.
        attempts: Kind and version to the last attempt; without a version where the champion was
            meant and there was none.
    """

    raw: RawSnapshot | None = None
    validated: ValidatedSnapshot | None = None
    snapshots: dict[str, ValidatedSnapshot] = field(default_factory=dict)
    raw_hashes: set[str] = field(default_factory=set)
    model: str | None = None
    versions: dict[str, RegisteredVersion] = field(default_factory=dict)
    newest_version: RegisteredVersion | None = None
    gates_failed: Counter[str] = field(default_factory=Counter)
    checks: dict[tuple[str, str], RecordedCheck] = field(default_factory=dict)
    attempts: dict[tuple[str, str], Attempt] = field(default_factory=dict)

    def check_of(self, kind: str, champion: str | None) -> RecordedCheck | None:
        """The check of the champion; without one, the last of any version."""
        return _told(self.checks, kind, champion)

    def attempt_of(self, kind: str, champion: str | None) -> Attempt | None:
        """The last attempt at the champion; without one, at any version."""
        return _told(self.attempts, kind, champion)


class TrailState:
    """The trail so far. For one thread."""

    def __init__(self) -> None:
        self.products: dict[str, ProductState] = {}
        self.events: Counter[tuple[str, str]] = Counter()
        """By action and outcome."""
        self.events_by_role: Counter[tuple[str, str]] = Counter()
        """By role and outcome."""
        self.newest: float | None = None
        """Time of the newest event, Unix time."""
        self.tampering: Counter[str] = Counter()
        """Model to how much the reconciler found that was changed outside of Interlock."""
        self._trained_for: dict[str, str] = {}
        """Event of a training to its product."""

    def add(self, events: Iterable[TailEvent]) -> None:
        """Takes further events, in any order; time decides what is newest."""
        ordered = sorted(events, key=lambda found: found.event.record.time)
        for each in ordered:
            self._count(each.event.record)
        done = [each for each in ordered if each.event.record.outcome is Outcome.SUCCEEDED]
        for each in done:
            if each.event.record.action == TRAIN:
                self._trained_for[each.key] = each.event.record.resource.removeprefix(_PRODUCT)
        for each in done:
            self._take(each.event.record)
        for each in ordered:
            if each.event.record.action == MONITOR:
                self._take_check(each.event.record)

    def _count(self, record: AuditRecord) -> None:
        action = record.action if record.action in ACTIONS else OTHER
        role = record.principal.role if record.principal.role in ROLES else OTHER
        self.events[action, record.outcome.value] += 1
        self.events_by_role[role, record.outcome.value] += 1
        self.newest = max(self.newest or 0.0, record.time.timestamp())

    def _take(self, record: AuditRecord) -> None:
        if record.action == RECONCILE:
            found = record.evidence.get("tampering")
            self.tampering[record.resource.removeprefix(_MODEL)] += (
                len(found) if isinstance(found, list | tuple) else 0
            )
        elif record.action == REGISTER:
            owner = self._trained_for.get(_text(record.evidence, "upstream_event"))
            if owner is not None:
                _take_version(self._product(owner), record)
        elif record.resource.startswith(_PRODUCT):
            product = self._product(record.resource.removeprefix(_PRODUCT))
            if record.action == INGEST:
                _take_raw(product, record)
            elif record.action == VALIDATE:
                _take_validated(product, record)

    def _take_check(self, record: AuditRecord) -> None:
        """A check of what the champion decides on; others say nothing of how it is."""
        evidence = record.evidence
        kind, name = _text(evidence, "check"), _text(evidence, "product")
        tried = record.outcome in (Outcome.SUCCEEDED, Outcome.FAILED)
        aside = False in (evidence.get("in_use"), evidence.get("counts"))
        if not tried or kind not in CHECKS or not name or aside:
            return
        product, version = self._product(name), _text(evidence, "version")
        time, succeeded = record.time.timestamp(), record.outcome is Outcome.SUCCEEDED
        product.attempts[kind, version] = Attempt(time, succeeded)
        if not succeeded:
            return
        found = RecordedCheck(
            version=version,
            partition=_text(evidence, "partition") or None,
            of_snapshot=bool(_text(evidence, "upstream_event")),
            figures_key=_text(evidence, "figures_key"),
            figures_hash=_text(evidence, "figures_hash"),
            time=time,
        )
        known = product.checks.get((kind, version))
        if known is None or not known.day or not found.day or found.day >= known.day:
            product.checks[kind, version] = found

    def _product(self, name: str) -> ProductState:
        return self.products.setdefault(name, ProductState())


def _told(found: Mapping[tuple[str, str], _Told], kind: str, champion: str | None) -> _Told | None:
    """The last of a kind that is of the champion; without one, the last of the kind.

    What found no champion speaks for the champion beside what is its own, never alone: what was
    before its time may be long mended.
    """
    every = {version: each for (known, version), each in found.items() if known == kind}
    if champion in every:
        every = {version: each for version, each in every.items() if version in (champion, "")}
    return max(every.values(), key=lambda each: each.time, default=None)


def _take_raw(product: ProductState, record: AuditRecord) -> None:
    evidence = record.evidence
    product.raw = RawSnapshot(
        hash=_text(evidence, "data_hash"),
        rows=_number(evidence.get("rows")),
        columns=_number(evidence.get("columns")),
        time=record.time.timestamp(),
    )
    product.raw_hashes.add(product.raw.hash)


def _take_validated(product: ProductState, record: AuditRecord) -> None:
    evidence = record.evidence
    checks = evidence.get("blocking_checks")
    product.validated = ValidatedSnapshot(
        hash=_text(evidence, "data_hash"),
        raw_hash=_text(evidence, "raw_hash"),
        key=_text(evidence, "accepted_key"),
        rows=_number(evidence.get("rows")),
        quarantined=_number(evidence.get("quarantined")),
        quality=_number(evidence.get("data_quality_score")),
        blocking_failed=(
            sum(passed is not True for passed in checks.values())
            if isinstance(checks, Mapping)
            else None
        ),
    )
    product.snapshots[product.validated.hash] = product.validated


def _take_version(product: ProductState, record: AuditRecord) -> None:
    evidence = record.evidence
    metrics = evidence.get("metrics")
    found = metrics if isinstance(metrics, Mapping) else {}
    numbers = {str(name): _number(value) for name, value in found.items()}
    version = RegisteredVersion(
        model=_text(evidence, "model"),
        version=_text(evidence, "version"),
        data_hash=_text(evidence, "data_hash"),
        metrics={name: value for name, value in numbers.items() if value is not None},
        gates=tuple(_gates(evidence.get("gates"))),
        time=record.time.timestamp(),
    )
    product.model = version.model
    product.versions[version.version] = version
    product.newest_version = version
    product.gates_failed.update({gate.metric: int(not gate.passed) for gate in version.gates})


def _gates(found: object) -> Iterable[GateLimit]:
    for gate in found if isinstance(found, list | tuple) else ():
        limit = _number(gate.get("limit")) if isinstance(gate, Mapping) else None
        if limit is not None:
            yield GateLimit(
                metric=_text(gate, "metric"),
                direction=_text(gate, "direction"),
                limit=limit,
                passed=gate.get("passed") is True,
            )


def _text(evidence: Mapping[str, Any], name: str) -> str:
    value = evidence.get(name)
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)
