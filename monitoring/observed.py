"""What the drift monitor knows, as values: one per part that is read on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from monitoring.check_figures import DriftFigures, PerformanceFigures
from monitoring.drift_check import Comparison
from monitoring.trail_state import ProductState, RecordedCheck, RegisteredVersion


@dataclass(frozen=True)
class TrailView:
    """The audit trail.

    Attributes:
        products: What it says of each product.
        events: Events by action and outcome.
        events_by_role: Events by role and outcome.
        newest: Time of the newest event, Unix time; None when there is none.
        streams: How many there are.
        missing: Places whose event is gone.
        baseline_found: Whether a product has the chosen baseline; None when none is chosen.
        tampering: Model to how many changes from outside of Interlock were found.
    """

    products: Mapping[str, ProductState]
    events: Mapping[tuple[str, str], int]
    events_by_role: Mapping[tuple[str, str], int]
    newest: float | None
    streams: int
    missing: int
    baseline_found: bool | None
    tampering: Mapping[str, int]


@dataclass(frozen=True)
class AliasedVersion:
    """The version that an alias points at.

    Attributes:
        version: Its number, text.
        source: Where its files are, ``models:/m-...``.
        registration: As the trail recorded it; None when it did not.
        suspended: Whether its tags, which the reconciler keeps, say that its approval is.
    """

    version: str
    source: str
    registration: RegisteredVersion | None
    suspended: bool = False


@dataclass(frozen=True)
class DriftView:
    """A product's data against its baseline.

    Attributes:
        hash_changed: Whether the newest source is another than the baseline's; None when
            there is nothing to compare.
        measured: Whether the distances could be measured; None when there is nothing to
            measure.
        comparison: The distances; None when they could not be measured now.
        checked: When they last could, Unix time; None when never.
    """

    hash_changed: bool | None
    measured: bool | None
    comparison: Comparison | None
    checked: float | None


@dataclass(frozen=True)
class CheckView:
    """A product's recorded check of drift or performance.

    Attributes:
        tried: Whether the last attempt came to a verdict.
        recorded: The one of the newest data that did; None when none did.
        figures: What it measured, where it is of the champion; None where it cannot be read.
        is_newest: Whether it speaks for the product's data as it is now: always where it is of
            a source of its own, and of a snapshot until the next is ingested.
    """

    tried: bool
    recorded: RecordedCheck | None
    figures: DriftFigures | PerformanceFigures | None
    is_newest: bool


@dataclass(frozen=True)
class Integrity:
    """What verifying the whole trail found; ``time`` is Unix time."""

    intact: bool
    findings: int
    unfinished: int
    time: float


@dataclass(frozen=True)
class LocalView:
    """What is on this machine's disks.

    Attributes:
        spooled: Audit records that wait; None when nothing keeps a spool here.
        disks: Folder's name to free and total bytes of the disk under it.
    """

    spooled: int | None
    disks: Mapping[str, tuple[int, int]]
