"""Is today's data still like the data that the model learned from?

Here: which snapshot is compared with which, and fetching them. Profiles are
``interlock.ml.profiles``, the verdict ``interlock.ml.verdict``. Two questions, kept apart:
whether the source's bytes are others than the baseline's (news), and whether a feature's
distribution has moved (drift).

The baseline of a product is the snapshot with ``BASELINE_DATA_HASH`` where the product has it,
otherwise the one that its champion learned from. Compared are rows that kept the contract; of
the columns, those that the model reads.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interlock.adapters import table_files
from interlock.adapters.new_file import file_sha256
from interlock.adapters.object_store import ObjectStore
from interlock.adapters.profile_planning import Wanted, profile_reference_files
from interlock.adapters.profiling import profile_files
from interlock.adapters.table_files import TableFile
from interlock.errors import MonitoringError, ProfileError
from interlock.ml.profiles import TableProfile
from interlock.ml.verdict import DriftVerdict, Statistic, judge
from monitoring.trail_state import ProductState, RegisteredVersion, ValidatedSnapshot

MAX_FEATURES: Final = 200  # of a product that are compared, in the order of the model's signature


@dataclass(frozen=True)
class Baseline:
    """What a product's data is compared with.

    Attributes:
        raw_hash: SHA-256 of the source's bytes.
        snapshot: The rows; None when the source was ingested and never validated.
    """

    raw_hash: str
    snapshot: ValidatedSnapshot | None


@dataclass(frozen=True)
class Comparison:
    """What came of comparing two snapshots.

    Attributes:
        baseline: Hash of the snapshot before.
        current: Hash of the snapshot now.
        features: Columns that were compared.
        verdict: What was found, by the default limits.
    """

    baseline: str
    current: str
    features: tuple[str, ...]
    verdict: DriftVerdict

    @property
    def distances(self) -> Mapping[str, Mapping[Statistic, float]]:
        """Feature to all that was measured of it."""
        return {column.name: column.statistics for column in self.verdict.columns}

    def has_drift(self, threshold: float) -> bool:
        """Whether a feature's PSI is above the threshold, and more than chance explains."""
        return any(
            shift.value > threshold and shift.corrected <= self.verdict.limits.significance
            for column in self.verdict.columns
            for shift in column.shifts
            if shift.statistic is Statistic.PSI
        )


def baseline_of(
    product: ProductState, *, chosen: str | None, champion: RegisteredVersion | None
) -> Baseline | None:
    """What a product's data is compared with.

    Args:
        product: What the trail says about it.
        chosen: ``BASELINE_DATA_HASH``: of a source's bytes, or of a validated snapshot.
        champion: Its champion, as registered; None when there is none.

    Returns:
        The baseline; None when there is nothing to compare with yet.
    """
    if chosen is not None and has_snapshot(product, chosen):
        from_chosen = [each for each in product.snapshots.values() if each.raw_hash == chosen]
        snapshot = product.snapshots.get(chosen) or next(iter(reversed(from_chosen)), None)
        return Baseline(chosen if snapshot is None else snapshot.raw_hash, snapshot)
    snapshot = product.snapshots.get(champion.data_hash) if champion is not None else None
    return None if snapshot is None else Baseline(snapshot.raw_hash, snapshot)


def has_snapshot(product: ProductState, data_hash: str) -> bool:
    """Whether a hash is that of a snapshot of the product, raw or validated."""
    return data_hash in product.raw_hashes or data_hash in product.snapshots


class DriftCheck:
    """Compares snapshots of one product; what was computed is kept until it changes.

    Args:
        store: The object store.
        bucket: The data bucket.
        scratch: Folder on a disk with room for a snapshot.
    """

    def __init__(self, store: ObjectStore, *, bucket: str, scratch: Path) -> None:
        self._store = store
        self._bucket = bucket
        self._scratch = scratch
        self._reference: tuple[str, tuple[str, ...], TableProfile] | None = None
        self._last: Comparison | None = None

    def compare(
        self, baseline: ValidatedSnapshot, current: ValidatedSnapshot, features: Sequence[str]
    ) -> Comparison:
        """How far each feature has moved.

        Args:
            baseline: What it is compared with.
            current: The newest rows.
            features: Columns that the model reads.

        Returns:
            The distances of the first ``MAX_FEATURES`` features.

        Raises:
            MonitoringError: A snapshot is not the one on record, or lacks a feature.
            StoreError: A snapshot cannot be fetched.
            DataError: A snapshot cannot be read.
        """
        kept = tuple(features)[:MAX_FEATURES]
        last = self._last
        if last is not None and (last.baseline, last.current, last.features) == (
            baseline.hash,
            current.hash,
            kept,
        ):
            return last
        reference = self._reference_of(baseline, kept)
        with self._fetched(current) as path:
            _refuse_unusable(path, kept)
            try:
                found = profile_files([TableFile(path)], reference.plan).profile
            except ProfileError as error:
                raise MonitoringError(
                    error.message, remedy="train and promote a version that fits today's contract"
                ) from error
        self._last = Comparison(baseline.hash, current.hash, kept, judge(reference, found))
        return self._last

    def _reference_of(self, baseline: ValidatedSnapshot, features: tuple[str, ...]) -> TableProfile:
        if self._reference is None or self._reference[:2] != (baseline.hash, features):
            with self._fetched(baseline) as path:
                _refuse_unusable(path, features)
                found = profile_reference_files([TableFile(path)], Wanted(columns=features))
            self._reference = (baseline.hash, features, found.profile)
        return self._reference[2]

    @contextlib.contextmanager
    def _fetched(self, snapshot: ValidatedSnapshot) -> Iterator[Path]:
        """The rows of a snapshot as a file, the very one that the trail recorded."""
        with tempfile.TemporaryDirectory(dir=self._scratch) as folder:
            path = Path(folder) / "accepted.parquet"
            self._store.download(self._bucket, snapshot.key, path)
            found = file_sha256(path)
            if found != snapshot.hash:
                raise MonitoringError(
                    f"{snapshot.key} has SHA-256 {found[:12]}, the audit trail recorded "
                    f"{snapshot.hash[:12]}",
                    remedy="have the data bucket examined; a snapshot is never overwritten",
                )
            yield path


def _refuse_unusable(path: Path, features: Sequence[str]) -> None:
    """Refuse a snapshot that lacks a feature, or has no rows."""
    file = TableFile(path)
    found = table_files.schema(file)
    gone = [name for name in features if name not in found]
    if gone:
        raise MonitoringError(
            f"the snapshot has no column {', '.join(gone)}, which the champion reads",
            remedy="train and promote a version that fits the contract of today",
        )
    if not sum(table_files.group_rows(file)):
        raise MonitoringError(
            "the snapshot has no rows, so nothing can be compared",
            remedy="see the quarantine of that snapshot for why no row was accepted",
        )
