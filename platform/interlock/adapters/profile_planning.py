"""Plans made from files: the first, light pass over a reference.

Rows are taken evenly from up to ``MAX_GROUPS`` row groups, of wide tables fewer, themselves
spread evenly over all files, so that data in the order of time is seen from end to end. Columns
are read some at a time, so that memory does not grow with them. What is decided from the rows is
``ml.profile_plan``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from interlock.adapters import table_files
from interlock.adapters.profiling import (
    ALONE_VALUES,
    COLUMNS_AT_ONCE,
    ProfiledFiles,
    Progress,
    profile_files,
    spread,
)
from interlock.adapters.table_files import TableFile
from interlock.errors import DataError, ProfileError
from interlock.ml.column_values import missing_rows, type_name
from interlock.ml.profile_plan import (
    SAMPLE_ROWS,
    ColumnKind,
    ColumnPlan,
    ColumnRole,
    ProfilePlan,
    complete_plan,
    plan_column,
    refuse_unknown,
)
from interlock.ml.workers import limited_threads

MAX_GROUPS: Final = 64  # row groups that rows are taken from; of 131,072 rows, 8 million
MIN_GROUPS: Final = 8  # of tables so wide that they hold more than ``MAX_VALUES``
MAX_VALUES: Final = 500_000_000  # that are read for a plan, in some five seconds


@dataclass(frozen=True)
class Wanted:
    """What is to be profiled; see ``ml.profile_plan.plan_profile``.

    Attributes:
        columns: Which columns; all when None.
        kinds: For columns that are to be counted otherwise than their type says.
        roles: For columns that are no features.
        pairs: Columns whose joint distribution is counted.
        multivariate: Numeric columns whose correlations are followed; chosen when None.
    """

    columns: tuple[str, ...] | None = None
    kinds: Mapping[str, ColumnKind] = field(default_factory=dict)
    roles: Mapping[str, ColumnRole] = field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...] = ()
    multivariate: tuple[str, ...] | None = None


def profile_reference_files(
    files: Sequence[TableFile],
    wanted: Wanted | None = None,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
) -> ProfiledFiles:
    """Plan, and count: the reference profile of some files.

    Args:
        files: At least one, all of the same columns.
        wanted: What to profile; everything when not given.
        jobs: Processes, ≥ 1.
        progress: Called with the share that is done, in [0, 1].

    Raises:
        ProfileError: See ``plan_files`` and ``profile_files``.
    """
    plan = plan_files(files, wanted, jobs=jobs)
    return profile_files(files, plan, jobs=jobs, progress=progress)


def plan_files(
    files: Sequence[TableFile], wanted: Wanted | None = None, *, jobs: int = 1
) -> ProfilePlan:
    """Decide what is counted, from rows of a reference in files.

    Args:
        files: At least one; damaged ones are passed over here, and named when rows are counted.
        wanted: What to profile; everything when not given.
        jobs: Processes, ≥ 1.

    Raises:
        ProfileError: No file can be read or has rows; columns are wanted that do not exist or
            cannot be counted.
    """
    wanted = wanted or Wanted()
    good = [found for file in files if (found := _opened(file)) is not None]
    if not any(each.rows for each in good):
        raise ProfileError(
            f"of {len(files)} files none can be read and has rows",
            remedy="name files that hold the reference's rows",
        )
    first = next(each for each in good if each.rows)
    names = tuple(first.columns) if wanted.columns is None else wanted.columns
    refuse_unknown(list(first.columns), [*names, *wanted.kinds, *wanted.roles])
    good = [each for each in good if each.resembles(first, names)]
    group = max((rows for each in good for rows in each.groups), default=1)
    most = min(MAX_GROUPS, max(MIN_GROUPS, MAX_VALUES // (max(1, group) * len(names))))
    work = _Planning(tuple(good), wanted, most)
    parts = [
        names[start : start + COLUMNS_AT_ONCE] for start in range(0, len(names), COLUMNS_AT_ONCE)
    ]
    helpers = jobs if most * group * len(names) > ALONE_VALUES else 1
    planned: list[tuple[ColumnPlan, float]] = []
    for part in spread(work, parts, jobs=helpers, on_done=lambda _: None):
        if isinstance(part, DataError):
            raise part
        planned += part
    return complete_plan(
        [column for column, _ in planned],
        missing={column.name: missing for column, missing in planned},
        pairs=wanted.pairs,
        multivariate=wanted.multivariate,
    )


@dataclass(frozen=True)
class _Planning:
    """The work on some columns; a refusal is a result too."""

    files: tuple[_Opened, ...]
    wanted: Wanted
    groups: int

    @contextmanager
    def session(
        self,
    ) -> Iterator[Callable[[tuple[str, ...]], list[tuple[ColumnPlan, float]] | DataError]]:
        def plan(names: tuple[str, ...]) -> list[tuple[ColumnPlan, float]] | DataError:
            try:
                sample = _sample(self.files, names, groups=self.groups)
                return [self._planned(sample[name]) for name in names]
            except DataError as error:
                return ProfileError(error.args[0], remedy=error.remedy)

        with limited_threads():
            yield plan

    def _planned(self, column: pl.Series) -> tuple[ColumnPlan, float]:
        planned = plan_column(
            column,
            kind=self.wanted.kinds.get(column.name),
            role=self.wanted.roles.get(column.name, ColumnRole.FEATURE),
        )
        return planned, missing_rows(column) / len(column)


@dataclass(frozen=True)
class _Opened:
    """A file that can be read.

    Attributes:
        file: The file.
        columns: Its columns and their types.
        groups: Rows of its row groups; none of a CSV file.
        texts: Rows of a CSV file, spread evenly.
    """

    file: TableFile
    columns: Mapping[str, pl.DataType]
    groups: tuple[int, ...]
    texts: pl.DataFrame | None = None

    @property
    def rows(self) -> int:
        """How many rows there are to take from."""
        return sum(self.groups) if self.texts is None else self.texts.height

    def resembles(self, other: _Opened, names: Sequence[str]) -> bool:
        """Whether some columns are here too, of the same types; if not, it is named later."""
        return all(
            name in self.columns and type_name(self.columns[name]) == type_name(other.columns[name])
            for name in names
        )


def _opened(file: TableFile) -> _Opened | None:
    """The file; None when it cannot be read."""
    try:
        columns = table_files.schema(file)
        if file.is_parquet:
            return _Opened(file, columns, table_files.group_rows(file))
        texts = _thinned(file, list(columns))
        typed = table_files.typed_by(file, texts)
        return _Opened(typed, table_files.schema(typed), (), texts)
    except DataError:
        return None


def _thinned(file: TableFile, columns: Sequence[str]) -> pl.DataFrame:
    """Every so many-th row of a CSV file, between half of ``SAMPLE_ROWS`` and all of them.

    How many rows there are is not known beforehand, so every second row that was kept goes
    whenever there are too many.
    """
    raw = replace(file, types={})
    step, rows, kept = 1, 0, pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    for batch in table_files.batches(raw, columns):
        kept = kept.vstack(batch.gather_every(step, offset=-rows % step))
        rows += batch.height
        while kept.height > SAMPLE_ROWS:
            kept, step = kept.gather_every(2), step * 2
    return kept


def _sample(files: Sequence[_Opened], columns: Sequence[str], *, groups: int) -> pl.DataFrame:
    """Up to ``SAMPLE_ROWS`` rows of some columns, spread evenly over all files."""
    places = [(each, group) for each in files for group in range(len(each.groups))]
    taken = places
    if len(places) > groups:
        taken = [places[place * len(places) // groups] for place in range(groups)]
    of_texts = [each for each in files if each.texts is not None]
    rows = sum(each.groups[group] for each, group in taken) + sum(each.rows for each in of_texts)
    step = max(1, -(-rows // SAMPLE_ROWS))
    parts: list[pl.DataFrame] = []
    for each, group in taken:
        try:
            parts += [
                batch.gather_every(step)
                for batch in table_files.batches(each.file, columns, groups=[group])
            ]
        except DataError:
            continue  # it is named when its rows are counted
    for each in of_texts:
        assert each.texts is not None  # noqa: S101 - for the type checker
        typed = [table_files.typed(each.file, each.texts[name]) for name in columns]
        parts.append(pl.DataFrame(typed).gather_every(step))
    return pl.concat(parts, how="vertical_relaxed")
