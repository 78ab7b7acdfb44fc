"""Sums of floating-point numbers that do not depend on their order.

A binary fraction is a whole number of units of 2**-1074, the smallest positive one (IEEE 754).
Whole numbers add up exactly, so that parts may be merged in any order to the same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Self

_BITS: Final = 1074
_LARGEST: Final = 1 << (_BITS + 1024 + 64)  # 2**64 times the greatest number


@dataclass(frozen=True)
class ExactSum:
    """A sum, in units of 2**-1074; ``units`` is None once it is no number any more."""

    units: int | None = 0

    @classmethod
    def of(cls, value: float) -> Self:
        """One number; an infinity or NaN is no number."""
        if not math.isfinite(value):
            return cls(None)
        numerator, denominator = value.as_integer_ratio()
        return cls(numerator * ((1 << _BITS) // denominator))

    def __add__(self, other: ExactSum) -> ExactSum:
        if self.units is None or other.units is None:
            return ExactSum(None)
        return ExactSum(self.units + other.units)

    @property
    def value(self) -> float | None:
        """The nearest number; None where there is none."""
        if self.units is None:
            return None
        try:
            return self.units / (1 << _BITS)
        except OverflowError:
            return None

    def document(self) -> list[int | str] | None:
        """As JSON's types: hexadecimal units without their last zero bits, and how many."""
        if self.units is None:
            return None
        zeros = (self.units & -self.units).bit_length() - 1 if self.units else 0
        return [format(self.units >> zeros, "x"), zeros]

    @classmethod
    def from_document(cls, document: object) -> Self:
        """The sum that ``document`` gave.

        Raises:
            ValueError: It is none.
        """
        match document:
            case None:
                return cls(None)
            case [str(digits), int(zeros)] if len(digits) < 600 and 0 <= zeros < 2200:  # noqa: PLR2004
                units = int(digits, 16) << zeros
                if abs(units) < _LARGEST:
                    return cls(units)
        raise ValueError("no exact sum")
