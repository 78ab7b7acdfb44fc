from __future__ import annotations

import json
import zlib
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.errors import ProfileError
from interlock.ml.profile_bytes import MAGIC, from_bytes, to_bytes
from interlock.ml.profile_plan import canonical_json
from interlock.ml.profiles import profile_reference, profile_table
from interlock.ml.quantile_sketch import QuantileSketch


def table(rows: int, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "a": rng.normal(size=rows),
            "b": np.where(rng.random(rows) < 0.02, np.nan, rng.random(rows)),
            "c": rng.choice(["x", "y", "ü"], rows),
            "huge": np.full(rows, 1e308),
            "none": pl.Series([None] * rows, dtype=pl.Float64),
        }
    )


PROFILE = profile_reference(table(3_000), pairs=[("a", "c")])
STORED = to_bytes(PROFILE)


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(zlib.decompress(STORED.removeprefix(MAGIC)))
    return found


def written(changed: object) -> bytes:
    return MAGIC + zlib.compress(canonical_json(changed))


@given(st.integers(0, 500), st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_a_profile_comes_back_as_it_was(rows: int, seed: int) -> None:
    profile = profile_table(table(rows, seed), PROFILE.plan)
    read = from_bytes(to_bytes(profile))
    assert read == profile
    assert to_bytes(read) == to_bytes(profile)
    assert read.plan.digest == PROFILE.plan.digest


def test_a_profile_is_small() -> None:
    wide = profile_reference(pl.DataFrame({f"x{i}": table(20_000, i)["a"] for i in range(20)}))
    assert len(to_bytes(wide)) < 20 * 8_000


def test_unfamiliar_bytes_are_refused() -> None:
    for bad in (
        b"",
        MAGIC,
        b"interlock-profile/2\n" + STORED[len(MAGIC) :],
        STORED[:-3],
        STORED + b"x",
        MAGIC + zlib.compress(b"[]"),
        MAGIC + zlib.compress(b"{" * 100_000),
        MAGIC + zlib.compress(b'{"rows": 1}'),
    ):
        with pytest.raises(ProfileError, match="are no profile of version 1"):
            from_bytes(bad)


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.ml.profile_bytes.MAX_UNPACKED", 1_000_000)
    with pytest.raises(ProfileError, match="too long"):
        from_bytes(MAGIC + zlib.compress(b" " * 50_000_000))
    monkeypatch.setattr("interlock.ml.profile_bytes.MAX_PACKED", 100)
    with pytest.raises(ProfileError, match="too many"):
        from_bytes(STORED)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_changed_bytes_are_refused_or_read(data: st.DataObject) -> None:
    """Nothing but a refusal comes of them, whatever was changed in the text."""
    text = bytearray(zlib.decompress(STORED.removeprefix(MAGIC)))
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = from_bytes(MAGIC + zlib.compress(bytes(text), 1))
    except ProfileError:
        return
    read.merged(read)


def _set(found: dict[str, Any], path: tuple[str | int, ...], value: object) -> None:
    place: Any = found
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value


CONTRADICTIONS: list[tuple[tuple[str | int, ...], object]] = [
    (("rows",), 2_999),
    (("rows",), -1),
    (("extra",), 1),
    (("columns", 0, "counts", 3), 4_000),
    (("columns", 0, "counts"), [3_000]),
    (("columns", 0, "missing"), 9_000),
    (("columns", 0, "infinite"), 1),
    (("columns", 0, "least"), None),
    (("columns", 0, "least"), 100.0),
    (("columns", 0, "total"), ["zz", 1]),
    (("columns", 0, "total"), [1, "zz"]),
    (("columns", 0, "sketch"), ""),
    (("columns", 0, "sketch"), "AAAA"),
    (("columns", 2, "counts", 0), 0),
    (("columns", 2, "others"), [["x", 1]]),
    (("columns", 2, "others"), [["w", 1], ["w", 1]]),
    (("columns", 4, "least"), 1.0),
    (("columns",), []),
    (("joints",), []),
    (("joints", 0), [1]),
    (("joints", 0, 0), 99_999),
    (("comoments",), None),
    (("comoments", "rows"), 3_001),
    (("comoments", "first"), []),
    (("comoments", "products"), []),
    (("plan", "columns", 0, "edges"), "AAAA"),
    (("plan", "columns", 0, "edges"), "A" * 9_000),
    (("plan", "columns", 0, "family"), "bytes"),
    (("plan", "columns", 0, "scale"), 0.0),
    (("plan", "columns", 0, "name"), "b"),
    (("plan", "columns", 0, "kind"), "category"),
    (("plan", "columns", 2, "kind"), "numeric"),
    (("plan", "columns", 2, "categories"), ["x", "x", "y"]),
    (("plan", "columns"), []),
    (("plan", "pairs"), [["a", "z"]]),
    (("plan", "pairs"), [["a", "c"], ["a", "c"]]),
    (("plan", "multivariate"), ["a", "c"]),
    (("plan", "multivariate"), ["a", "a"]),
]


@pytest.mark.parametrize(("path", "value"), CONTRADICTIONS)
def test_figures_that_contradict_each_other_are_refused(
    path: tuple[str | int, ...], value: object
) -> None:
    changed = document()
    _set(changed, path, value)
    with pytest.raises(ProfileError, match="are no profile of version 1"):
        from_bytes(written(changed))


def test_a_rewritten_document_is_the_same_bytes() -> None:
    assert written(document()) == STORED


@pytest.mark.parametrize("rows", [0, 1, 2, 150, 5_000])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_changed_sketches_are_refused_or_answer(rows: int, data: st.DataObject) -> None:
    sketch = QuantileSketch()
    sketch.add(np.linspace(0, 1, rows))
    stored = bytearray(sketch.to_bytes())
    assert QuantileSketch.from_bytes(bytes(stored)).to_bytes() == bytes(stored)
    for _ in range(data.draw(st.integers(1, 3))):
        stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(stored)))
    try:
        read = QuantileSketch.from_bytes(bytes(stored[:cut] if cut % 2 else stored))
    except ValueError:
        return
    assert len(read.quantiles([0.0, 0.5, 1.0])) in {0, 3}
    read.merge(sketch)
