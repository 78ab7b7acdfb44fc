"""Search spaces: what a product may draw a candidate's parameters from.

Here live the distributions as they stand in the YAML, their limits, and drawing from them
with a generator that is passed in. Which parameters a candidate has, and its default
space, stand in ``ml.candidates``. Nothing here imports an estimator.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

Scalar = bool | int | float | str | None
"""A value of a parameter, as YAML writes it."""

_DRAWS_PER_ITERATION = 100
"""Draws tried for each configuration wanted before a space counts as exhausted."""


class _Range(BaseModel):
    """Two ends of an interval, the first below the second."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def ends(self) -> tuple[float, float]:
        """The lower and the upper end."""
        (ends,) = self.__dict__.values()
        return float(ends[0]), float(ends[1])

    @model_validator(mode="after")
    def _ends_in_order(self) -> Self:
        low, high = self.ends()
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            msg = f"range [{low:g}, {high:g}] is empty; write the smaller end first"
            raise ValueError(msg)
        if isinstance(self, LogUniform | LogInteger) and low <= 0:
            msg = f"range [{low:g}, {high:g}] has no logarithm; start above 0"
            raise ValueError(msg)
        return self


class Uniform(_Range):
    """``{uniform: [low, high]}``: a real number, each equally likely."""

    uniform: tuple[float, float]

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        return float(rng.uniform(*self.uniform))


class LogUniform(_Range):
    """``{log_uniform: [low, high]}``: a positive real number, its logarithm uniform."""

    log_uniform: tuple[float, float]

    def draw(self, rng: np.random.Generator) -> float:
        """One value."""
        low, high = self.log_uniform
        value = math.exp(rng.uniform(math.log(low), math.log(high)))
        return min(max(value, low), high)


class Integer(_Range):
    """``{integer: [low, high]}``: a whole number, both ends included."""

    integer: tuple[int, int]

    def draw(self, rng: np.random.Generator) -> int:
        """One value."""
        low, high = self.integer
        return int(rng.integers(low, high, endpoint=True))


class LogInteger(_Range):
    """``{log_integer: [low, high]}``: a positive whole number, its logarithm uniform."""

    log_integer: tuple[int, int]

    def draw(self, rng: np.random.Generator) -> int:
        """One value."""
        low, high = self.log_integer
        value = round(math.exp(rng.uniform(math.log(low), math.log(high))))
        return min(max(value, low), high)


def _form_of(value: Any) -> str | None:
    """Which form of a distribution is meant, so that only its own mistakes are reported."""
    if isinstance(value, _Range):
        value = value.__dict__
    if isinstance(value, Mapping):
        return next((str(form) for form in value if form in _FORMS), None)
    return "choices" if isinstance(value, list | tuple) else "fixed"


_FORMS = ("uniform", "log_uniform", "integer", "log_integer")

Choices = Annotated[tuple[Scalar, ...], Field(min_length=1)]
Distribution = Annotated[
    Annotated[Uniform, Tag("uniform")]
    | Annotated[LogUniform, Tag("log_uniform")]
    | Annotated[Integer, Tag("integer")]
    | Annotated[LogInteger, Tag("log_integer")]
    | Annotated[Choices, Tag("choices")]
    | Annotated[Scalar, Tag("fixed")],
    Discriminator(
        _form_of,
        custom_error_type="distribution",
        custom_error_message=(
            "is no distribution; write one value, a list of values, or a range as "
            "{uniform: [low, high]}, log_uniform, integer or log_integer"
        ),
    ),
]
"""What YAML may say for a parameter: a range, a list to choose from, or one fixed value."""


@dataclass(frozen=True)
class Limits:
    """What a parameter accepts.

    Attributes:
        low: Least value, inclusive.
        high: Greatest value, inclusive.
        whole: Only whole numbers.
        words: Accepted values that are no numbers, e.g. ``None`` or ``"sqrt"``.
    """

    low: float
    high: float
    whole: bool = False
    words: tuple[str | None, ...] = ()

    def refusal(self, distribution: Distribution) -> str | None:
        """Why a distribution can leave the limits; none when it cannot."""
        if isinstance(distribution, _Range):
            if self.whole and isinstance(distribution, Uniform | LogUniform):
                return "takes whole numbers; write integer or log_integer"
            values: tuple[Any, ...] = distribution.ends()
        else:
            values = distribution if isinstance(distribution, tuple) else (distribution,)
        for value in values:
            if reason := self._refusal_of(value):
                return reason
        return None

    def _refusal_of(self, value: Scalar) -> str | None:
        if value is None or isinstance(value, str):
            return None if value in self.words else f"cannot be {value!r}; {self._expected()}"
        if isinstance(value, bool) or not self.low <= value <= self.high:
            return f"cannot be {value!r}; {self._expected()}"
        if self.whole and value != int(value):
            return f"cannot be {value!r}; {self._expected()}"
        return None

    def _expected(self) -> str:
        kind = "whole number" if self.whole else "number"
        words = "".join(f" or {'null' if word is None else word}" for word in self.words)
        return f"write a {kind} from {self.low:g} to {self.high:g}{words}"


def draw_configurations(
    space: Mapping[str, Distribution], *, count: int, rng: np.random.Generator
) -> tuple[dict[str, Scalar], ...]:
    """Draw distinct configurations (random search, Bergstra & Bengio 2012).

    Args:
        space: Parameter name to its distribution; drawn in the order of names.
        count: Configurations wanted, > 0.
        rng: Source of randomness.

    Returns:
        At most ``count`` configurations; fewer when the space holds fewer.
    """
    drawn: dict[tuple[Scalar, ...], dict[str, Scalar]] = {}
    for _ in range(count * _DRAWS_PER_ITERATION):
        configuration = {name: _draw(space[name], rng) for name in sorted(space)}
        drawn.setdefault(tuple(configuration.values()), configuration)
        if len(drawn) == count:
            break
    return tuple(drawn.values())


def _draw(distribution: Distribution, rng: np.random.Generator) -> Scalar:
    if isinstance(distribution, Uniform | LogUniform | Integer | LogInteger):
        return distribution.draw(rng)
    if isinstance(distribution, tuple):
        return distribution[int(rng.integers(len(distribution)))]
    return distribution
