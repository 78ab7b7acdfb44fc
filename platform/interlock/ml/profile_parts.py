"""A profile in parts: plans of some of the columns, and profiles of these put side by side.

Rows in parts are ``ml.profiles.merge``. Columns that are counted together, in pairs or for their
correlations, stay together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from interlock.errors import ProfileError
from interlock.ml.column_profiles import ColumnProfile
from interlock.ml.profile_plan import ProfilePlan
from interlock.ml.profiles import TableProfile


def divide(plan: ProfilePlan, *, columns: int) -> tuple[ProfilePlan, ...]:
    """Plans of some columns each, of which every column is in one.

    Args:
        plan: The whole plan.
        columns: How many in a part, ≥ 1; a part of columns that belong together may have more.
    """
    together = {*plan.multivariate, *(name for pair in plan.pairs for name in pair)}
    first = [column for column in plan.columns if column.name in together]
    others = [column for column in plan.columns if column.name not in together]
    if first:
        room = max(0, columns - len(first))
        first, others = [*first, *others[:room]], others[room:]
    parts = [ProfilePlan(tuple(first), plan.pairs, plan.multivariate)] if first else []
    parts += [
        ProfilePlan(tuple(others[start : start + columns]))
        for start in range(0, len(others), columns)
    ]
    return tuple(parts)


def join(plan: ProfilePlan, parts: Sequence[TableProfile]) -> TableProfile:
    """The profile of all columns, from profiles of some of them over the same rows.

    Args:
        plan: The whole plan.
        parts: Of each plan that ``divide`` gave.

    Raises:
        ProfileError: They have different numbers of rows, or do not make up the plan.
    """
    columns: Mapping[str, ColumnProfile] = {
        name: profile for part in parts for name, profile in part.columns.items()
    }
    rows = {part.rows for part in parts}
    if len(rows) != 1 or set(columns) != {column.name for column in plan.columns}:
        raise ProfileError(
            f"parts of a profile disagree: rows {sorted(rows)}, {len(columns)} columns of "
            f"{len(plan.columns)}",
            remedy="profile again when nobody writes to the data",
        )
    return TableProfile(
        plan=plan,
        rows=rows.pop(),
        columns={column.name: columns[column.name] for column in plan.columns},
        joints={pair: part.joints[pair] for part in parts for pair in part.joints},
        comoments=next((part.comoments for part in parts if part.comoments is not None), None),
    )


def without(profile: TableProfile, names: Collection[str]) -> TableProfile:
    """A profile that has never heard of some columns.

    Args:
        profile: Of any table.
        names: Columns to leave out; pairs and correlations that need one of them go too.
    """
    plan = profile.plan
    followed = () if set(plan.multivariate) & set(names) else plan.multivariate
    pairs = tuple(pair for pair in plan.pairs if not set(pair) & set(names))
    kept = tuple(column for column in plan.columns if column.name not in names)
    return TableProfile(
        plan=ProfilePlan(kept, pairs, followed),
        rows=profile.rows,
        columns={column.name: profile.columns[column.name] for column in kept},
        joints={pair: profile.joints[pair] for pair in pairs},
        comoments=profile.comoments if followed else None,
    )
