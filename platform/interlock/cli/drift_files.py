"""Files held against files on this machine: no platform, no record, no consequence.

What ``drift check`` does when its reference is a file. A version's reference, which is proven and
whose check is recorded, is ``actions.drift_check``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interlock.adapters import table_files
from interlock.adapters.new_file import file_sha256
from interlock.adapters.profile_planning import profile_reference_files
from interlock.adapters.profiling import RefusedFile, profile_files
from interlock.adapters.table_files import PARQUET_ENDINGS, TableFile
from interlock.errors import DataError, ProfileError
from interlock.ml.drift_limits import DriftLimits
from interlock.ml.model_reference import fitting_limits
from interlock.ml.monitoring import SCORE
from interlock.ml.profile_bytes import MAGIC, MAX_PACKED, from_bytes
from interlock.ml.profile_parts import without
from interlock.ml.profiles import TableProfile
from interlock.ml.verdict import DriftVerdict, judge

Progress = Callable[[float], None]

TABLES: Final = frozenset({".csv", ".tsv", ".txt", *PARQUET_ENDINGS})


@dataclass(frozen=True)
class Compared:
    """What came of it.

    Attributes:
        verdict: What was found.
        reference: The profile before.
        current: The profile of all readable files.
        reference_hash: SHA-256 of the reference's file.
        files: Name, rows and SHA-256 of each file that was read.
        refused: The others.
        notes: What a reader should know besides, one sentence each.
    """

    verdict: DriftVerdict
    reference: TableProfile
    current: TableProfile
    reference_hash: str
    files: tuple[tuple[str, int, str], ...]
    refused: tuple[RefusedFile, ...]
    notes: tuple[str, ...]


def compare_files(
    reference: TableFile,
    current: Sequence[TableFile],
    *,
    limits: DriftLimits,
    jobs: int,
    progress: Progress,
) -> Compared:
    """Hold files against a reference.

    Args:
        reference: A stored profile, or rows to make one of.
        current: The rows now, at least one file.
        limits: From where on a distance is drift.
        jobs: Processes, ≥ 1.
        progress: Told the share that is done, in [0, 1].

    Raises:
        DataError: The reference cannot be read, no file of current data can, or there are no
            rows.
        ProfileError: Columns are not those of the reference.
    """
    digest = _hash(reference.path)
    before = _reference(reference, jobs, progress)
    before, notes = _without_scores(before, current)
    found = profile_files(current, before.plan, jobs=jobs, progress=progress)
    if not found.profile.rows:
        besides = "".join(f"; {each.name}: {each.reason}" for each in found.refused)
        raise DataError(
            f"{', '.join(name for name, _ in found.files)}: no rows{besides}",
            remedy="see whether the source delivered; then check again",
        )
    fitting, left_out = fitting_limits(limits, before.plan)
    paths = {file.label: file.path for file in current}
    return Compared(
        verdict=judge(before, found.profile, fitting),
        reference=before,
        current=found.profile,
        reference_hash=digest,
        files=tuple((name, rows, _hash(paths[name])) for name, rows in found.files),
        refused=found.refused,
        notes=(*notes, *left_out, *_added(before, current)),
    )


def _reference(file: TableFile, jobs: int, progress: Progress) -> TableProfile:
    with file.path.open("rb") as opened:
        start = opened.read(len(MAGIC))
    if start != MAGIC and file.path.suffix in TABLES:
        # One bad file of several can be left out of today's data, never of the reference.
        return profile_reference_files([file], jobs=jobs, progress=progress).profile
    size = file.path.stat().st_size
    if size > MAX_PACKED:
        raise ProfileError(
            f"{file.label} has {size:,} bytes, a profile {MAX_PACKED:,} at most",
            remedy="name a version's reference/profile.bin, or a CSV or Parquet file",
        )
    try:
        return from_bytes(file.path.read_bytes())
    except ProfileError as error:
        raise ProfileError(
            f"{file.label}: {error.message}",
            remedy="name a version's reference/profile.bin, or a CSV or Parquet file by its ending",
        ) from error


def _without_scores(
    before: TableProfile, current: Sequence[TableFile]
) -> tuple[TableProfile, tuple[str, ...]]:
    """The reference without the model's scores, where the rows have none."""
    scored = any(SCORE in columns for columns in _columns(current))
    if scored or all(column.name != SCORE for column in before.plan.columns):
        return before, ()
    return without(before, {SCORE}), (
        "the rows have no scores, so these are not compared; name the version to have them scored",
    )


def _added(before: TableProfile, current: Sequence[TableFile]) -> tuple[str, ...]:
    known = {column.name for column in before.plan.columns}
    added = sorted({name for columns in _columns(current) for name in columns} - known)
    if not added:
        return ()
    return (f"not in the reference, so not compared: {', '.join(added[:20])}",)


def _columns(files: Sequence[TableFile]) -> list[list[str]]:
    """The columns of each file that can be read; the others are named when rows are counted."""
    found = []
    for file in files:
        try:
            found.append(list(table_files.schema(file)))
        except DataError:
            continue
    return found


def _hash(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror or error})",
            remedy="check that it exists and may be read",
        ) from error
