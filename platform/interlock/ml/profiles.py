"""Profiles of tables: what drift is measured from, in place of the rows.

Here: the value, its making from batches, and merging. What is counted is ``ml.profile_plan``,
one column ``ml.column_profiles``, bytes ``ml.profile_bytes``, files ``adapters.profiling``.
Reasons: ADR-0015.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import polars as pl

from interlock.errors import ProfileError
from interlock.ml.column_profiles import CategoryProfile, ColumnProfile, NumericProfile
from interlock.ml.joint_profiles import Comoments, Joint
from interlock.ml.profile_plan import ColumnKind, ColumnRole, ProfilePlan, plan_profile
from interlock.ml.profiling import Profiler

__all__ = [
    "CategoryProfile",
    "ColumnProfile",
    "NumericProfile",
    "ProfilePlan",
    "TableProfile",
    "merge",
    "profile_reference",
    "profile_table",
]


@dataclass(frozen=True)
class TableProfile:
    """A table after all its rows went by.

    Attributes:
        plan: What was counted.
        rows: How many there were.
        columns: One profile per column of the plan.
        joints: One per pair of the plan.
        comoments: Of the plan's multivariate columns; None when it names none.
    """

    plan: ProfilePlan
    rows: int
    columns: Mapping[str, ColumnProfile]
    joints: Mapping[tuple[str, str], Joint]
    comoments: Comoments | None

    def merged(self, other: TableProfile) -> TableProfile:
        """The profile of the rows of both.

        Raises:
            ProfileError: They are of different plans.
        """
        refuse_other_plan(self, other)
        return TableProfile(
            plan=self.plan,
            rows=self.rows + other.rows,
            columns={
                name: profile.merged(other.columns[name])  # type: ignore[arg-type]
                for name, profile in self.columns.items()
            },
            joints={pair: joint + other.joints[pair] for pair, joint in self.joints.items()},
            comoments=(
                self.comoments + other.comoments
                if self.comoments is not None and other.comoments is not None
                else None
            ),
        )


def profile_table(
    table: pl.DataFrame | Iterable[pl.DataFrame],
    plan: ProfilePlan,
    *,
    progress: Callable[[int], None] | None = None,
) -> TableProfile:
    """Count what a plan names.

    Args:
        table: A table, or its batches; memory is one of them. It may have no row.
        plan: What to count.
        progress: Called with the rows counted so far.

    Returns:
        The profile.

    Raises:
        ProfileError: A column is missing, or of another type than the plan's.
    """
    profiler = Profiler(plan)
    for batch in [table] if isinstance(table, pl.DataFrame) else table:
        profiler.add(batch)
        if progress is not None:
            progress(profiler.rows)
    return TableProfile(plan, profiler.rows, *profiler.parts())


def profile_reference(
    table: pl.DataFrame,
    *,
    columns: Iterable[str] | None = None,
    kinds: Mapping[str, ColumnKind] | None = None,
    roles: Mapping[str, ColumnRole] | None = None,
    pairs: Iterable[tuple[str, str]] = (),
) -> TableProfile:
    """Make a plan from a table in memory, and count what it names; see ``plan_profile``.

    Raises:
        ProfileError: See ``plan_profile``.
    """
    plan = plan_profile(
        evenly_spread(table),
        columns=None if columns is None else tuple(columns),
        kinds=kinds,
        roles=roles,
        pairs=tuple(pairs),
    )
    return profile_table(table, plan)


def evenly_spread(table: pl.DataFrame) -> pl.DataFrame:
    """At most ``SAMPLE_ROWS`` rows, spread evenly, the same for the same table."""
    from interlock.ml.profile_plan import SAMPLE_ROWS

    step = -(-table.height // SAMPLE_ROWS)
    return table if step <= 1 else table.gather_every(step)


def merge(profiles: Iterable[TableProfile]) -> TableProfile:
    """The profile of all rows of some profiles.

    Args:
        profiles: At least one, all of one plan.

    Returns:
        The profile. Whatever their order, all counts and sums are the same.

    Raises:
        ProfileError: There is none, or they are of different plans.
    """
    every = list(profiles)
    if not every:
        raise ProfileError(
            "there is no profile to merge", remedy="name at least one partition or file"
        )
    return reduce(TableProfile.merged, every)


def refuse_other_plan(reference: TableProfile, current: TableProfile) -> None:
    """Refuse profiles that did not count the same.

    Raises:
        ProfileError: They are of different plans; says what differs.
    """
    if reference.plan.digest == current.plan.digest:
        return
    before = {column.name: column for column in reference.plan.columns}
    after = {column.name: column for column in current.plan.columns}
    gone, new = sorted(set(before) - set(after)), sorted(set(after) - set(before))
    other = [name for name in before if name in after and before[name] != after[name]]
    found = "; ".join(
        f"{word}: {', '.join(names[:10])}"
        for word, names in (("missing", gone), ("added", new), ("counted otherwise", other))
        if names
    )
    raise ProfileError(
        f"profile {current.plan.digest[:12]} is of another schema than "
        f"{reference.plan.digest[:12]} ({found or 'pairs or correlations differ'})",
        remedy="profile the data anew with the plan of the reference",
    )
