"""What a profile counts: the plan that a reference and all later data share.

Here: which columns, as what, and over which grid. Counting is ``ml.profiles``; reading files
is ``adapters.profiling``. Reasons: ADR-0015.

Rules:

- The plan is made once, from rows of the reference spread evenly over it, and travels inside
  each profile. Profiles of two plans are never merged and never compared.
- The grid of a numeric column are up to ``GRID_BINS`` bins of about equal shares of that sample.
  A value that takes a bin's share or more has a bin to itself, so that the distance of two
  distributions at such a value is exact. Where the edges lie decides how fine a distance is
  resolved, never whether counts are right: these are exact on both sides.
- Numbers, dates and times are numeric; flags and text are categories, as is a column that is
  asked for as one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from interlock.errors import ProfileError
from interlock.ml.column_values import Family, family_of, missing_rows, numbers_of, tally

__all__ = [
    "ColumnKind",
    "ColumnPlan",
    "ColumnRole",
    "Family",
    "ProfilePlan",
    "complete_plan",
    "plan_column",
    "plan_profile",
]

Floats = npt.NDArray[np.float64]

GRID_BINS: Final = 256  # of a numeric column; KS is resolved to about 1/256
MAX_ISOLATED: Final = GRID_BINS // 2  # distinct values up to which each has a bin to itself
COARSE_BINS: Final = 10  # per column of a pair; Siddiqi 2006, "Credit Risk Scorecards", ch. 8
MAX_CATEGORIES: Final = 200  # that are counted exactly whatever else the column holds
MIN_CATEGORY_ROWS: Final = 5  # in the sample; Cochran 1954, the chi-square rule
MAX_MULTIVARIATE: Final = 64  # columns whose correlations are followed; 2,016 pairs
MAX_MISSING: Final = 0.05  # share in the sample, of a column whose correlations are followed
MAX_COLUMNS: Final = 20_000
SAMPLE_ROWS: Final = 131_072  # from which a plan is made
_NORMAL_IQR: Final = 1.3489795  # interquartile range of the standard normal distribution


class ColumnKind(StrEnum):
    """How a column is counted."""

    NUMERIC = "numeric"
    CATEGORY = "category"


class ColumnRole(StrEnum):
    """What a column is to the model."""

    FEATURE = "feature"
    PREDICTION = "prediction"
    TARGET = "target"


@dataclass(frozen=True)
class ColumnPlan:
    """How one column is counted.

    Attributes:
        name: As the table has it.
        family: The types it may have.
        kind: Numeric or category.
        role: What it is to the model.
        edges: Upper ends of all bins but the last, included, strictly ascending; none for a
            category, and where the sample held no finite number.
        center: Median of the sample; 0 for a category.
        scale: Standard deviation that a normal column of its interquartile range would have,
            > 0; in the unit of the column.
        categories: Values that are counted exactly in any case, by falling rows in the sample.
    """

    name: str
    family: Family
    kind: ColumnKind
    role: ColumnRole = ColumnRole.FEATURE
    edges: tuple[float, ...] = ()
    center: float = 0.0
    scale: float = 1.0
    categories: tuple[str, ...] = ()

    @cached_property
    def grid(self) -> Floats:
        """``edges`` as an array."""
        return np.array(self.edges, dtype=np.float64)

    @cached_property
    def coarse(self) -> Floats:
        """Edges of ``COARSE_BINS`` bins, a part of ``edges``."""
        if len(self.edges) < COARSE_BINS:
            return self.grid
        places = np.linspace(0, len(self.edges), COARSE_BINS + 1)[1:-1]
        return self.grid[np.unique(places.astype(np.int64))]

    @property
    def cells(self) -> int:
        """Cells along this column in the joint counts of a pair; the last is missing values."""
        if self.kind is ColumnKind.NUMERIC:
            return len(self.coarse) + 2
        return min(len(self.categories), COARSE_BINS) + 2


@dataclass(frozen=True)
class ProfilePlan:
    """What is counted.

    Attributes:
        columns: In the order of the table that the plan was made from.
        pairs: Columns whose joint distribution is counted.
        multivariate: Numeric columns whose correlations are followed.
    """

    columns: tuple[ColumnPlan, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    multivariate: tuple[str, ...] = ()
    _places: Mapping[str, ColumnPlan] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        places = {column.name: column for column in self.columns}
        object.__setattr__(self, "_places", places)

    def column(self, name: str) -> ColumnPlan:
        """A column by its name.

        Raises:
            ProfileError: There is none of that name.
        """
        if name not in self._places:
            raise ProfileError(
                f"the profile has no column {name!r}",
                remedy=f"name one of {', '.join(list(self._places)[:20])}",
            )
        return self._places[name]

    @cached_property
    def digest(self) -> str:
        """SHA-256, hexadecimal; equal plans have equal digests."""
        return hashlib.sha256(canonical_json(self.document())).hexdigest()

    def document(self) -> dict[str, object]:
        """The plan as JSON's types; edges as base64 of little-endian float64."""
        return {
            "columns": [
                {
                    "name": column.name,
                    "family": column.family.value,
                    "kind": column.kind.value,
                    "role": column.role.value,
                    "edges": base64.b64encode(column.grid.astype("<f8").tobytes()).decode(),
                    "center": column.center,
                    "scale": column.scale,
                    "categories": list(column.categories),
                }
                for column in self.columns
            ],
            "pairs": [list(pair) for pair in self.pairs],
            "multivariate": list(self.multivariate),
        }


def canonical_json(document: object) -> bytes:
    """JSON of one spelling: keys sorted, no spaces, UTF-8; NaN and infinity are refused."""
    text = json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def plan_profile(
    sample: pl.DataFrame,
    *,
    columns: Sequence[str] | None = None,
    kinds: Mapping[str, ColumnKind] | None = None,
    roles: Mapping[str, ColumnRole] | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    multivariate: Sequence[str] | None = None,
) -> ProfilePlan:
    """Decide what is counted, from rows of the reference.

    Args:
        sample: At least one row, spread evenly over the reference; see ``SAMPLE_ROWS``.
        columns: Which columns; all when not given.
        kinds: For columns that are to be counted otherwise than their type says, e.g. codes
            written as integers.
        roles: For columns that are no features.
        pairs: Columns whose joint distribution is counted.
        multivariate: Numeric columns whose correlations are followed; when not given, the first
            ``MAX_MULTIVARIATE`` numeric features that vary and are seldom missing.

    Returns:
        The plan.

    Raises:
        ProfileError: No rows, a column that does not exist or cannot be counted.
    """
    names = tuple(columns) if columns is not None else tuple(sample.columns)
    if not sample.height or not names:
        raise ProfileError(
            f"a reference of {sample.height} rows and {len(names)} columns has no distribution",
            remedy="name data that has rows and columns",
        )
    refuse_unknown(sample.columns, [*names, *(kinds or {}), *(roles or {})])
    planned = [
        plan_column(
            sample[name],
            kind=(kinds or {}).get(name),
            role=(roles or {}).get(name, ColumnRole.FEATURE),
        )
        for name in names
    ]
    missing = {name: missing_rows(sample[name]) / sample.height for name in names}
    return complete_plan(planned, missing=missing, pairs=pairs, multivariate=multivariate)


def complete_plan(
    columns: Sequence[ColumnPlan],
    *,
    missing: Mapping[str, float],
    pairs: Sequence[tuple[str, str]] = (),
    multivariate: Sequence[str] | None = None,
) -> ProfilePlan:
    """A plan of planned columns; see ``plan_profile``.

    Args:
        columns: As ``plan_column`` gave them.
        missing: Share of missing values per column, in the sample.
        pairs: Columns whose joint distribution is counted.
        multivariate: Numeric columns whose correlations are followed.

    Raises:
        ProfileError: A pair or followed column that does not exist or cannot be counted.
    """
    names = [column.name for column in columns]
    refuse_unknown(names, [*(multivariate or ()), *(name for pair in pairs for name in pair)])
    followed = (
        tuple(
            column.name
            for column in columns
            if _can_be_followed(column) and missing[column.name] <= MAX_MISSING
        )[:MAX_MULTIVARIATE]
        if multivariate is None
        else tuple(dict.fromkeys(multivariate))
    )
    categories = {column.name for column in columns if column.kind is ColumnKind.CATEGORY}
    for name in followed:
        if name in categories:
            raise ProfileError(
                f"column {name!r} is a category and has no correlations",
                remedy="name numeric columns for the multivariate test",
            )
    if len(followed) > MAX_MULTIVARIATE or len(names) > MAX_COLUMNS:
        raise ProfileError(
            f"{len(names)} columns and {len(followed)} with correlations are too many",
            remedy=f"name at most {MAX_COLUMNS} columns, {MAX_MULTIVARIATE} with correlations",
        )
    chosen = dict.fromkeys((left, right) for left, right in pairs)
    return ProfilePlan(tuple(columns), tuple(chosen), followed if len(followed) > 1 else ())


def refuse_unknown(columns: Sequence[str], names: Sequence[str]) -> None:
    """Refuse names that are no columns.

    Raises:
        ProfileError: Names all of them.
    """
    unknown = sorted(set(names) - set(columns))
    if unknown:
        raise ProfileError(
            f"the reference has no column {', '.join(unknown)}",
            remedy=f"name some of its columns: {', '.join(list(columns)[:20])}",
        )


def plan_column(column: pl.Series, *, kind: ColumnKind | None, role: ColumnRole) -> ColumnPlan:
    """Decide how one column is counted; see ``plan_profile``.

    Raises:
        ProfileError: It cannot be counted, or not as this kind.
    """
    try:
        family = family_of(column.dtype)
    except ProfileError as error:
        raise ProfileError(f"{column.name}: {error.message}", remedy=error.remedy) from None
    natural = ColumnKind.CATEGORY if family in {Family.TEXT, Family.BOOLEAN} else ColumnKind.NUMERIC
    if kind is ColumnKind.NUMERIC and natural is ColumnKind.CATEGORY:
        raise ProfileError(
            f"column {column.name!r} is {family} and has no numbers",
            remedy="count it as a category",
        )
    if (kind or natural) is ColumnKind.CATEGORY:
        return ColumnPlan(
            column.name, family, ColumnKind.CATEGORY, role, categories=_categories(column)
        )
    values = numbers_of(column).drop_nulls().to_numpy().astype(np.float64)
    values = np.sort(values[np.isfinite(values)])
    if not len(values):
        return ColumnPlan(column.name, family, ColumnKind.NUMERIC, role)
    low, middle, high = _quantiles(values, np.array([0.25, 0.5, 0.75]))
    with np.errstate(over="ignore"):
        scale = float((high - low) / _NORMAL_IQR) or float(values.std()) or 1.0
    return ColumnPlan(
        column.name,
        family,
        ColumnKind.NUMERIC,
        role,
        edges=_edges(values),
        center=float(middle),
        scale=scale if np.isfinite(scale) else 1.0,
    )


def _edges(values: Floats) -> tuple[float, ...]:
    """Edges of the grid for sorted finite values."""
    distinct = values[np.append(values[1:] != values[:-1], True)]
    if len(distinct) <= MAX_ISOLATED:
        alone = edges = distinct
    else:
        levels = np.arange(1, GRID_BINS) / GRID_BINS
        edges, uses = np.unique(_quantiles(values, levels), return_counts=True)
        alone = edges[uses > 1]
    below = np.nextafter(alone, -np.inf)
    merged = np.unique(np.concatenate([edges, below[np.isfinite(below)]]))
    return tuple(float(edge) for edge in merged)


def _quantiles(ordered: Floats, levels: Floats) -> Floats:
    """Quantiles of sorted values: the inverse of their distribution function."""
    found: Floats = ordered[np.ceil(levels * len(ordered)).astype(np.int64) - 1]
    return found


def _categories(column: pl.Series) -> tuple[str, ...]:
    found = tally(column)
    kept = sorted((name for name in found if found[name] >= MIN_CATEGORY_ROWS), key=str)
    kept.sort(key=lambda name: -found[name])
    return tuple(kept[:MAX_CATEGORIES])


def _can_be_followed(column: ColumnPlan) -> bool:
    """Whether it is a numeric feature that varies; a constant has two edges."""
    return (
        column.kind is ColumnKind.NUMERIC
        and column.role is ColumnRole.FEATURE
        and len(column.edges) > 2  # noqa: PLR2004
    )
