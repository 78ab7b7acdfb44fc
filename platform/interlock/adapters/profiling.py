"""Profiles of files: many files, any size, over the processor's cores.

Here files become pieces of work - some columns of some row groups of one file - which
``ml.workers`` spreads over processes; their profiles are merged. Memory is one batch of some
columns per process. What is counted is ``ml.profile_plan``; rows are read by
``adapters.table_files``; objects in a store are ``adapters.profiling_objects``. Reasons: ADR-0015.

A damaged file among good ones is named and left out, with all of its rows; the others count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeVar

import polars as pl

from interlock.adapters import table_files
from interlock.adapters.table_files import TableFile
from interlock.errors import DataError, ProfileError, TrainingError
from interlock.ml.profile_parts import divide, join
from interlock.ml.profile_plan import ProfilePlan
from interlock.ml.profiles import TableProfile, merge, profile_table
from interlock.ml.profiling import check_schema
from interlock.ml.workers import Work, compute_all, limited_threads

COLUMNS_AT_ONCE: Final = 50  # 131,072 rows of them are 50 MB
PIECE_VALUES: Final = 50_000_000  # counted in some two seconds
PIECES_PER_JOB: Final = 4  # so that the last piece keeps nobody waiting for long
PIECES_AT_ONCE: Final = 64  # whose profiles are in memory; of 50 columns each, 50 MB
# A helper process takes a second to start; one core counts this many values meanwhile.
ALONE_VALUES: Final = 10_000_000

_CSV_VALUE_BYTES: Final = 8  # of a number as text, with its comma; for progress alone

Progress = Callable[[float], None]
Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True)
class RefusedFile:
    """A file that was left out.

    Attributes:
        name: Which.
        reason: What is wrong with it, and what to do.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class ProfiledFiles:
    """What came of files.

    Attributes:
        profile: Of the rows of all good ones.
        files: Names of these, and their rows.
        refused: The others.
    """

    profile: TableProfile
    files: tuple[tuple[str, int], ...]
    refused: tuple[RefusedFile, ...]


def profile_files(
    files: Sequence[TableFile],
    plan: ProfilePlan,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> ProfiledFiles:
    """Count what a plan names in all rows of some files.

    Args:
        files: At least one.
        plan: What to count, e.g. that of the reference; ``adapters.profile_planning`` makes one.
        jobs: Processes, ≥ 1.
        progress: Called with the share that is done, in [0, 1].

    Returns:
        The profile, and which files it is of.

    Raises:
        ProfileError: Every file was refused; says why of each.
    """
    tell = progress or _ignore
    opened: list[tuple[int, TableFile, tuple[int, ...]]] = []
    refused: dict[str, str] = {}
    for place, file in enumerate(files):
        try:
            typed = table_files.typed_as(file, plan)
            check_schema(plan, table_files.schema(typed))
            opened.append((place, typed, table_files.group_rows(typed)))
        except DataError as error:
            refused[file.label] = str(error)
    values = sum(sum(groups) for _, _, groups in opened) * len(plan.columns)
    most = max(1, min(PIECE_VALUES, values // (PIECES_PER_JOB * jobs)))
    pieces = [piece for each in opened for piece in _pieces(*each, plan, most)]
    whole: TableProfile | None = None
    rows: list[tuple[str, int]] = []
    for place, parts in _counted(pieces, plan, jobs, tell):
        try:
            profile = _whole(plan, parts)
        except DataError as error:
            refused[files[place].label] = str(error)
        else:
            # At once, so that memory does not grow with the files.
            whole = profile if whole is None else whole.merged(profile)
            rows.append((files[place].label, profile.rows))
    left_out = tuple(
        RefusedFile(file.label, refused[file.label]) for file in files if file.label in refused
    )
    if whole is None:
        raise ProfileError(
            "no file can be profiled: "
            + "; ".join(f"{each.name}: {each.reason}" for each in left_out[:5]),
            remedy="correct the files, or name others",
        )
    return ProfiledFiles(whole, tuple(rows), left_out)


def spread(
    work: Work[Task, Result], tasks: Sequence[Task], *, jobs: int, on_done: Callable[[int], None]
) -> list[Result]:
    """Compute each task, over processes; see ``ml.workers.compute_all``.

    Raises:
        ProfileError: A process died.
    """
    try:
        return compute_all(work, tasks, jobs=jobs, on_done=on_done)
    except TrainingError as error:
        raise ProfileError(
            "a process that counted rows died",
            remedy="see its last words above; give the machine more memory, or fewer jobs",
        ) from error


@dataclass(frozen=True)
class _Piece:
    """Some columns of some rows of a file.

    Attributes:
        place: Of the file among all.
        file: The file.
        part: Which columns: the place of their plan among the parts; None for all columns.
        groups: Which row groups; None for all rows.
        values: How many there are, for progress alone.
    """

    place: int
    file: TableFile
    part: int | None
    groups: tuple[int, ...] | None
    values: int


@dataclass(frozen=True)
class _Counting:
    """The work on pieces; a refusal is a result too, so that others go on."""

    plan: ProfilePlan

    @contextmanager
    def session(self) -> Iterator[Callable[[_Piece], TableProfile | DataError]]:
        parts = divide(self.plan, columns=COLUMNS_AT_ONCE)

        def count(piece: _Piece) -> TableProfile | DataError:
            return _count(piece, self.plan if piece.part is None else parts[piece.part])

        with limited_threads():
            yield count


def _count(
    piece: _Piece, plan: ProfilePlan, on_bytes: Callable[[int], None] | None = None
) -> TableProfile | DataError:
    names = [column.name for column in plan.columns]
    try:
        rows = table_files.batches(piece.file, names, groups=piece.groups, on_bytes=on_bytes)
        return profile_table(rows, plan)
    except DataError as error:
        # A new one: what caused it may not go from one process to another.
        return ProfileError(error.args[0], remedy=error.remedy)
    except (pl.exceptions.PolarsError, OSError) as error:
        return ProfileError(f"it cannot be read ({error})", remedy="write the file again")


def _pieces(
    place: int, file: TableFile, groups: tuple[int, ...], plan: ProfilePlan, most: int
) -> Iterator[_Piece]:
    """The work that a file is, in pieces of at most so many values where it has row groups."""
    if not groups:
        # A CSV file is read from start to end anyway; of a Parquet file without rows there is
        # nothing to divide.
        yield _Piece(place, file, None, None, file.path.stat().st_size // _CSV_VALUE_BYTES)
        return
    for number, part in enumerate(divide(plan, columns=COLUMNS_AT_ONCE)):
        wide = len(part.columns)
        spans: list[list[int]] = [[]]
        filled = 0
        for group, rows in enumerate(groups):
            if spans[-1] and filled + rows * wide > most:
                spans.append([])
                filled = 0
            spans[-1].append(group)
            filled += rows * wide
        for span in spans:
            values = sum(groups[group] for group in span) * wide
            yield _Piece(place, file, number, tuple(span), values)


def _counted(
    pieces: Sequence[_Piece], plan: ProfilePlan, jobs: int, progress: Progress
) -> Iterator[tuple[int, list[tuple[_Piece, TableProfile | DataError]]]]:
    """Each file's place and the profiles of its pieces, in the order of the files."""
    if len(pieces) == 1 and pieces[0].part is None:
        yield pieces[0].place, [(pieces[0], _watched(pieces[0], plan, progress))]
        return
    whole = sum(piece.values for piece in pieces) or 1
    before = 0
    work = _Counting(plan)
    for wave in _waves(pieces):
        values = sum(piece.values for piece in wave)
        helpers = jobs if values > ALONE_VALUES else 1
        seen = [before]

        def tell(index: int, wave: Sequence[_Piece] = wave, seen: list[int] = seen) -> None:
            seen[0] += wave[index].values
            progress(min(1.0, seen[0] / whole))

        results = spread(work, wave, jobs=helpers, on_done=tell)
        before += values
        both = list(zip(wave, results, strict=True))
        for place, found in groupby(both, key=lambda each: each[0].place):
            yield place, list(found)


def _watched(piece: _Piece, plan: ProfilePlan, progress: Progress) -> TableProfile | DataError:
    """The profile of one CSV file, which nobody can divide, with progress by its bytes."""
    size, seen = max(1, piece.file.path.stat().st_size), [0]

    def tell(read: int) -> None:
        seen[0] += read
        progress(min(0.99, seen[0] / size))

    found = _count(piece, plan, tell)
    progress(1.0)
    return found


def _waves(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Pieces of whole files, about ``PIECES_AT_ONCE`` at a time."""
    wave: list[_Piece] = []
    for _, of_file in groupby(pieces, key=lambda piece: piece.place):
        more = list(of_file)
        if wave and len(wave) + len(more) > PIECES_AT_ONCE:
            yield wave
            wave = []
        wave = wave + more
    if wave:
        yield wave


def _whole(
    plan: ProfilePlan, parts: Sequence[tuple[_Piece, TableProfile | DataError]]
) -> TableProfile:
    """A file's profile.

    Raises:
        DataError: A piece of it could not be read.
    """
    by_columns: dict[int | None, list[TableProfile]] = {}
    for piece, profile in parts:
        if isinstance(profile, DataError):
            raise profile
        by_columns.setdefault(piece.part, []).append(profile)
    return join(plan, [merge(found) for found in by_columns.values()])


def _ignore(_share: float) -> None:
    """Nobody watches."""
