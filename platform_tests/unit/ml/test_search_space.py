"""Search spaces: draws stay in range, are distinct, and follow from the seed alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from interlock.ml.search_space import (
    Distribution,
    Integer,
    LogInteger,
    LogUniform,
    Uniform,
    draw_configurations,
)

SEEDS = st.integers(0, 2**32 - 1)
READ: TypeAdapter[Any] = TypeAdapter(Distribution)


@given(seed=SEEDS, low=st.floats(1e-6, 1e3), factor=st.floats(1.01, 1e4))
def test_draws_stay_between_the_ends(seed: int, low: float, factor: float) -> None:
    rng = np.random.default_rng(seed)
    high = low * factor
    for distribution in (Uniform(uniform=(low, high)), LogUniform(log_uniform=(low, high))):
        assert low <= distribution.draw(rng) <= high


@given(seed=SEEDS, low=st.integers(1, 1_000), width=st.integers(1, 1_000))
def test_whole_draws_stay_between_the_ends(seed: int, low: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    ends = (low, low + width)
    for distribution in (Integer(integer=ends), LogInteger(log_integer=ends)):
        value = distribution.draw(rng)
        assert isinstance(value, int)
        assert low <= value <= low + width


def test_logarithmic_draws_prefer_no_order_of_magnitude() -> None:
    rng = np.random.default_rng(0)
    distribution = LogUniform(log_uniform=(1e-3, 1e3))
    drawn = np.array([distribution.draw(rng) for _ in range(2_000)])
    assert abs((drawn < 1).mean() - 0.5) < 0.05


@given(seed=SEEDS, count=st.integers(1, 12))
def test_configurations_are_distinct_and_reproducible(seed: int, count: int) -> None:
    space: dict[str, Distribution] = {"a": (1, 2, None), "b": (True, False), "c": "fixed"}
    first = draw_configurations(space, count=count, rng=np.random.default_rng(seed))
    again = draw_configurations(space, count=count, rng=np.random.default_rng(seed))
    assert first == again
    assert len({tuple(each.items()) for each in first}) == len(first) == min(count, 6)


def test_order_of_the_yaml_does_not_matter() -> None:
    one: dict[str, Distribution] = {
        "a": Uniform(uniform=(0, 1)),
        "b": Integer(integer=(0, 9)),
    }
    other = dict(reversed(one.items()))
    drawn = [
        draw_configurations(each, count=3, rng=np.random.default_rng(5)) for each in (one, other)
    ]
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ({"uniform": [0, 1]}, Uniform(uniform=(0, 1))),
        ({"log_integer": [1, 8]}, LogInteger(log_integer=(1, 8))),
        ([1, "a", None], (1, "a", None)),
        (0.5, 0.5),
        (None, None),
        (Integer(integer=(1, 2)), Integer(integer=(1, 2))),
    ],
)
def test_forms_of_a_distribution(written: object, read: object) -> None:
    assert READ.validate_python(written) == read
