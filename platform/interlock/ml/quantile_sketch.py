"""Quantiles of a column of any length in a few kilobytes: Apache DataSketches' KLL sketch.

Karnin, Lang and Liberty 2016, "Optimal Quantile Approximation in Streams"; the guarantee is on
ranks, whatever the distribution. KLL draws lots: two sketches of the same rows answer alike
within ``RANK_ERROR`` and seldom have the same bytes. No verdict rests on them, the counts on
the plan's grid do; a sketch answers for quantiles beyond that grid.

Stored sketches are checked here before the library, which is C++, reads them: sizes, order and
weights must agree.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

K: Final = 200  # the library's own default
RANK_ERROR: Final = 0.0133  # of a quantile, with 99 % confidence; get_normalized_rank_error(False)
MAX_BYTES: Final = 16_384  # of one sketch; 2**60 rows take less
_FAMILY: Final = 15  # KLL in the library's table of families
_M: Final = 8  # least width of a level, the library's default
_EMPTY, _LEVEL_ZERO_SORTED, _SINGLE = 1, 2, 4  # flags
_MAX_LEVELS: Final = 60


class QuantileSketch:
    """A KLL sketch of finite numbers."""

    def __init__(self) -> None:
        from datasketches import kll_doubles_sketch

        self._sketch = kll_doubles_sketch(K)

    def __reduce__(self) -> tuple[object, ...]:
        """How a sketch goes from one process to another."""
        return QuantileSketch.from_bytes, (self.to_bytes(),)

    def add(self, values: Floats) -> None:
        """Take in finite numbers; sorted ones take half the time."""
        if len(values):
            self._sketch.update(values)

    def merge(self, other: QuantileSketch) -> None:
        """Take in another sketch."""
        self._sketch.merge(other._sketch)

    @property
    def rows(self) -> int:
        """How many numbers it took in."""
        return int(self._sketch.n)

    def quantiles(self, levels: Sequence[float]) -> list[float]:
        """Values that these shares of the numbers do not exceed.

        Args:
            levels: In [0, 1].

        Returns:
            One value per level, none when there are no numbers; ranks within ``RANK_ERROR``.
        """
        if self._sketch.is_empty():
            return []
        return [float(value) for value in self._sketch.get_quantiles(list(levels), True)]

    def to_bytes(self) -> bytes:
        """The sketch in the library's own format."""
        return bytes(self._sketch.serialize())

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """A stored sketch.

        Raises:
            ValueError: These are no bytes of one.
        """
        from datasketches import kll_doubles_sketch

        _check(stored)
        sketch = cls()
        try:
            sketch._sketch = kll_doubles_sketch.deserialize(stored)
        except (RuntimeError, ValueError, IndexError) as error:
            raise ValueError("no quantile sketch") from error
        return sketch


def _check(stored: bytes) -> None:
    """Hold the bytes against the library's format before it reads them.

    The format: kll_sketch_impl.hpp, "serial image": preamble, version, family, flags, k, m; then,
    unless empty or of one item, n, least k, levels, offsets, minimum, maximum, items.
    """
    _demand(8 <= len(stored) <= MAX_BYTES)  # noqa: PLR2004
    preamble, version, family, flags, k, m = struct.unpack_from("<BBBBHB", stored)
    _demand(family == _FAMILY and k == K and m == _M)
    _demand(flags & ~(_EMPTY | _LEVEL_ZERO_SORTED | _SINGLE) == 0)
    if flags & _EMPTY:
        _demand(len(stored) == 8 and preamble == 2 and version == 1)  # noqa: PLR2004
        return
    if flags & _SINGLE:
        _demand(len(stored) == 16 and preamble == 2 and version == 2)  # noqa: PLR2004
        _demand(bool(np.isfinite(np.frombuffer(stored, "<f8", 1, 8)[0])))
        return
    _demand(preamble == 5 and version == 1 and len(stored) >= 20)  # noqa: PLR2004
    n, least_k, levels = struct.unpack_from("<QHB", stored, 8)
    _demand(least_k == K and 1 <= levels <= _MAX_LEVELS)
    start = 20 + 4 * levels
    _demand(len(stored) >= start + 16)
    offsets = np.frombuffer(stored, "<u4", levels, 20).astype(np.int64)
    capacity = _capacity(levels)
    items = np.frombuffer(stored[start:], "<f8") if (len(stored) - start) % 8 == 0 else None
    if items is None:
        raise ValueError("no quantile sketch")
    bounds = np.append(offsets, capacity)
    _demand(bool(np.all(np.diff(bounds) >= 0)) and len(items) - 2 == capacity - int(offsets[0]))
    _demand(sum(int(size) << level for level, size in enumerate(np.diff(bounds))) == n)
    _demand(bool(np.isfinite(items).all()))
    least, greatest, kept = items[0], items[1], items[2:]
    _demand(bool(np.all((kept >= least) & (kept <= greatest))) and bool(least <= greatest))
    for level in range(levels):
        part = kept[bounds[level] - bounds[0] : bounds[level + 1] - bounds[0]]
        if level or flags & _LEVEL_ZERO_SORTED:
            _demand(bool(np.all(np.diff(part) >= 0)))


def _capacity(levels: int) -> int:
    """Items that a sketch of so many levels has room for; kll_helper.hpp, compute_total_capacity.

    Level ``h`` counted from the top holds max(m, k * (2/3)**h) items, rounded as the library does.
    """
    total = 0
    for level in range(levels):
        depth = levels - level - 1
        total += max(_M, _level_size(depth))
    return total


def _level_size(depth: int) -> int:
    if depth > 30:  # noqa: PLR2004 - the library splits there, to keep 3**depth within 64 bits
        half = depth // 2
        return _rounded(_rounded(K, half), depth - half)
    return _rounded(K, depth)


def _rounded(k: int, depth: int) -> int:
    return (((k << 1) << depth) // int(3**depth) + 1) >> 1


def _demand(holds: bool) -> None:
    if not holds:
        raise ValueError("no quantile sketch")
