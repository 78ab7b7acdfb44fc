"""Profiles as bytes: compact, of one spelling, and safe to read from anywhere.

The format, version 1: ``MAGIC``, then zlib over JSON with sorted keys. Edges and sketches are
base64, of little-endian float64 and of the library's own format. Reading executes nothing,
holds sizes to their bounds before anything is unpacked, and checks that all counts agree with
each other and with the plan.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from interlock.errors import ProfileError
from interlock.ml.column_profiles import (
    MAX_OTHERS,
    CategoryProfile,
    ColumnProfile,
    NumericProfile,
)
from interlock.ml.column_values import MAX_TEXT, Family
from interlock.ml.exact_sums import ExactSum
from interlock.ml.joint_profiles import MAX_ROWS, Comoments, Joint
from interlock.ml.profile_plan import (
    GRID_BINS,
    MAX_CATEGORIES,
    MAX_COLUMNS,
    MAX_MULTIVARIATE,
    ColumnKind,
    ColumnPlan,
    ColumnRole,
    ProfilePlan,
    canonical_json,
)
from interlock.ml.profiles import TableProfile
from interlock.ml.quantile_sketch import QuantileSketch

Counts = npt.NDArray[np.int64]

MAGIC: Final = b"interlock-profile/1\n"
MAX_PACKED: Final = 256 << 20  # bytes; 20,000 columns take 150 MB
MAX_UNPACKED: Final = 1 << 30
MAX_PAIRS: Final = 1_000
_LEVEL: Final = 6  # zlib's default

_Rows = Annotated[int, Field(ge=0, le=MAX_ROWS)]
_Sum = Annotated[int, Field(ge=-(1 << 62), le=1 << 62)]
_Text = Annotated[str, Field(max_length=MAX_TEXT)]
_Exact = Annotated[list[str | int], Field(min_length=2, max_length=2)] | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Column(_Strict):
    name: str
    family: str
    kind: str
    role: str
    edges: Annotated[str, Field(max_length=4 * 2 * GRID_BINS * 8 // 3)]
    center: FiniteFloat
    scale: Annotated[FiniteFloat, Field(gt=0)]
    categories: Annotated[list[_Text], Field(max_length=MAX_CATEGORIES)]


class _Plan(_Strict):
    columns: Annotated[list[_Column], Field(min_length=1, max_length=MAX_COLUMNS)]
    pairs: Annotated[
        list[Annotated[list[str], Field(min_length=2, max_length=2)]], Field(max_length=MAX_PAIRS)
    ]
    multivariate: Annotated[list[str], Field(max_length=MAX_MULTIVARIATE)]


class _Numeric(_Strict):
    rows: _Rows
    missing: _Rows
    infinite: _Rows
    counts: Annotated[list[_Rows], Field(max_length=2 * GRID_BINS)]
    least: FiniteFloat | None
    greatest: FiniteFloat | None
    total: _Exact
    squares: _Exact
    below: _Exact
    above: _Exact
    sketch: str


class _Category(_Strict):
    rows: _Rows
    missing: _Rows
    counts: Annotated[list[_Rows], Field(max_length=MAX_CATEGORIES)]
    others: Annotated[
        list[tuple[_Text, Annotated[int, Field(ge=1, le=MAX_ROWS)]]], Field(max_length=MAX_OTHERS)
    ]
    error: _Rows


class _Comoments(_Strict):
    rows: _Rows
    first: Annotated[list[_Sum], Field(max_length=3 * MAX_MULTIVARIATE)]
    products: Annotated[list[_Sum], Field(max_length=4 * MAX_MULTIVARIATE**2)]


class _Document(_Strict):
    plan: _Plan
    rows: _Rows
    columns: list[_Numeric | _Category]
    joints: list[list[_Rows]]
    comoments: _Comoments | None


def to_bytes(profile: TableProfile) -> bytes:
    """A profile to be stored: some 8 kB per numeric column."""
    return MAGIC + zlib.compress(canonical_json(_document(profile)), _LEVEL)


def from_bytes(stored: bytes) -> TableProfile:
    """A stored profile, from anywhere.

    Raises:
        ProfileError: These are no bytes of one, or its figures contradict each other.
    """
    try:
        return _profile(_Document.model_validate_json(_unpacked(stored)))
    except (ValidationError, ValueError, binascii.Error, zlib.error) as error:
        found = str(error).splitlines()[0] if isinstance(error, ValueError) else "no zlib stream"
        raise ProfileError(
            f"{len(stored)} bytes are no profile of version 1 ({found})",
            remedy="have the reference profile written again",
        ) from error


def _unpacked(stored: bytes) -> bytes:
    if not stored.startswith(MAGIC) or len(stored) > MAX_PACKED:
        raise ValueError("they do not start as one" if len(stored) <= MAX_PACKED else "too many")
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(stored[len(MAGIC) :], MAX_UNPACKED)
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("the stream is cut short, too long, or has a tail")
    return text


def _document(profile: TableProfile) -> dict[str, Any]:
    together = profile.comoments
    return {
        "plan": profile.plan.document(),
        "rows": profile.rows,
        "columns": [_column_document(profile.columns[each.name]) for each in profile.plan.columns],
        "joints": [profile.joints[pair].counts.ravel().tolist() for pair in profile.plan.pairs],
        "comoments": together
        and {
            "rows": together.rows,
            "first": together.first.ravel().tolist(),
            "products": together.products.ravel().tolist(),
        },
    }


def _column_document(profile: ColumnProfile) -> dict[str, Any]:
    document: dict[str, Any] = {
        "rows": profile.rows,
        "missing": profile.missing,
        "counts": profile.counts.tolist(),
    }
    if isinstance(profile, CategoryProfile):
        others = [[name, rows] for name, rows in profile.others.items()]
        return document | {"others": others, "error": profile.error}
    return document | {
        "infinite": profile.infinite,
        "least": profile.least,
        "greatest": profile.greatest,
        "total": profile.total.document(),
        "squares": profile.squares.document(),
        "below": profile.below.document(),
        "above": profile.above.document(),
        "sketch": base64.b64encode(profile.sketch.to_bytes()).decode(),
    }


def _profile(read: _Document) -> TableProfile:
    plan = _plan(read.plan)
    _demand(len(read.columns) == len(plan.columns), "columns and plan differ")
    _demand(len(read.joints) == len(plan.pairs), "pairs and plan differ")
    columns = {
        column.name: _column(column, found, read.rows)
        for column, found in zip(plan.columns, read.columns, strict=True)
    }
    joints = {}
    for pair, counts in zip(plan.pairs, read.joints, strict=True):
        shape = plan.column(pair[0]).cells, plan.column(pair[1]).cells
        _demand(len(counts) == shape[0] * shape[1], "a pair's cells and plan differ")
        _demand(sum(counts) == read.rows, "a pair's counts and rows differ")
        joints[pair] = Joint(np.array(counts, dtype=np.int64).reshape(shape))
    return TableProfile(plan, read.rows, columns, joints, _comoments(read, len(plan.multivariate)))


def _plan(read: _Plan) -> ProfilePlan:
    columns = tuple(
        ColumnPlan(
            name=each.name,
            family=Family(each.family),
            kind=ColumnKind(each.kind),
            role=ColumnRole(each.role),
            edges=_edges(each.edges),
            center=each.center,
            scale=each.scale,
            categories=tuple(each.categories),
        )
        for each in read.columns
    )
    names = {column.name for column in columns}
    _demand(len(names) == len(columns), "a column stands in it twice")
    for column in columns:
        _demand(len(set(column.categories)) == len(column.categories), "a category repeats")
        numeric = column.kind is ColumnKind.NUMERIC
        _demand(not (column.categories if numeric else column.edges), "kind and grid differ")
    pairs = tuple((left, right) for left, right in read.pairs)
    followed = tuple(read.multivariate)
    kinds = {column.name: column.kind for column in columns}
    _demand({*followed, *sum(pairs, ())} <= names, "it names unknown columns")
    _demand(len(set(pairs)) == len(pairs), "a pair repeats")
    _demand(len(set(followed)) == len(followed), "a followed column repeats")
    _demand(all(kinds[name] is ColumnKind.NUMERIC for name in followed), "a category is followed")
    return ProfilePlan(columns, pairs, followed)


def _edges(text: str) -> tuple[float, ...]:
    edges = np.frombuffer(base64.b64decode(text, validate=True), "<f8")
    _demand(len(edges) < 2 * GRID_BINS, "a grid is too fine")
    _demand(bool(np.isfinite(edges).all() and (np.diff(edges) > 0).all()), "edges do not ascend")
    return tuple(edges.tolist())


def _column(plan: ColumnPlan, read: _Numeric | _Category, rows: int) -> ColumnProfile:
    _demand(read.rows == rows and read.missing <= rows, "rows of a column and a table differ")
    counts: Counts = np.array(read.counts, dtype=np.int64)
    counted = sum(read.counts)
    if isinstance(read, _Category):
        _demand(plan.kind is ColumnKind.CATEGORY, "kinds of plan and profile differ")
        _demand(len(counts) == len(plan.categories), "categories and counts differ")
        others = dict(read.others)
        _demand(len(others) == len(read.others), "another value repeats")
        _demand(not set(others) & set(plan.categories), "another value is a category")
        left = rows - read.missing - counted - sum(others.values())
        _demand(left == 0 if not read.error else left >= 0, "counts and rows differ")
        return CategoryProfile(rows, read.missing, counts, others, read.error)
    _demand(plan.kind is ColumnKind.NUMERIC, "kinds of plan and profile differ")
    _demand(len(counts) == len(plan.edges) + 1, "grid and counts differ")
    _demand(counted == rows - read.missing, "counts and rows differ")
    finite = counted - read.infinite
    sketch = QuantileSketch.from_bytes(base64.b64decode(read.sketch, validate=True))
    _demand(sketch.rows == finite, "sketch and rows differ")
    least, greatest = read.least, read.greatest
    if least is None or greatest is None:
        _demand(least is greatest and finite == 0, "numbers without a least or greatest one")
    else:
        _demand(least <= greatest and finite > 0, "least and greatest do not fit")
    return NumericProfile(
        rows=rows,
        missing=read.missing,
        infinite=read.infinite,
        counts=counts,
        least=least,
        greatest=greatest,
        total=ExactSum.from_document(read.total),
        squares=ExactSum.from_document(read.squares),
        below=ExactSum.from_document(read.below),
        above=ExactSum.from_document(read.above),
        sketch=sketch,
    )


def _comoments(read: _Document, columns: int) -> Comoments | None:
    found = read.comoments
    _demand((found is None) == (columns == 0), "followed columns and sums differ")
    if found is None:
        return None
    _demand(found.rows <= read.rows, "more rows were multiplied than there are")
    _demand(len(found.first) == 3 * columns, "followed columns and sums differ")
    _demand(len(found.products) == 4 * columns**2, "followed columns and sums differ")
    return Comoments(
        found.rows,
        np.array(found.first, dtype=np.int64).reshape(3, columns),
        np.array(found.products, dtype=np.int64).reshape(4, columns, columns),
    )


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ValueError(otherwise)
