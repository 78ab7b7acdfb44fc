"""Measured values against limits: what passes, what fails, what is never loosened."""

import math
from decimal import Decimal
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from interlock.errors import ConfigurationError
from interlock.governance.gates import (
    Direction,
    Gate,
    GateResult,
    all_hold,
    evaluate_gates,
    holds,
    tighten,
    unknown_metrics,
)

METRICS = ("roc_auc", "accuracy", "f1", "brier")
numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def any_gates(draw: st.DrawFn) -> tuple[Gate, ...]:
    sides = st.tuples(st.sampled_from(METRICS), st.sampled_from(get_args(Direction)), numbers)
    return tuple(
        Gate.model_validate({"metric": metric, side: limit})
        for metric, side, limit in draw(st.lists(sides, max_size=6))
    )


def result_of(gate: Gate, value: object) -> GateResult:
    (result,) = evaluate_gates([gate], {gate.metric: value})
    return result


def test_value_below_a_minimum_fails_with_value_limit_and_remedy() -> None:
    result = result_of(Gate(metric="roc_auc", min=0.75), 0.71)
    assert not result.passed
    assert result.reason == (
        "roc_auc 0.71 is below the 0.75 minimum; retrain, or review the gate in defs.yaml"
    )


def test_value_above_a_maximum_fails() -> None:
    result = result_of(Gate(metric="brier", max=0.2), 0.25)
    assert not result.passed
    assert "brier 0.25 is above the 0.2 maximum" in result.reason


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        (Gate(metric="f1", min=0.5), "f1 0.5 reaches the 0.5 minimum"),
        (Gate(metric="f1", max=0.5), "f1 0.5 stays within the 0.5 maximum"),
    ],
)
def test_value_at_its_limit_passes(gate: Gate, reason: str) -> None:
    result = result_of(gate, 0.5)
    assert result.passed
    assert result.reason == reason


def test_value_a_hair_below_its_limit_is_shown_in_full() -> None:
    result = result_of(Gate(metric="f1", min=0.75), 0.7499999999)
    assert result.reason.startswith("f1 0.7499999999 is below the 0.75 minimum")


@pytest.mark.parametrize("value", [1, np.float32(1), np.float64(1), np.int64(1), Fraction(1)])
def test_every_kind_of_number_is_a_number(value: object) -> None:
    assert result_of(Gate(metric="f1", min=1), value).value == 1.0


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        math.inf,
        -math.inf,
        np.nan,
        10**400,
        None,
        True,
        np.True_,
        "0.99",
        b"1",
        [1.0],
        {},
        Decimal("0.99"),
        1 + 0j,
        np.array([0.99]),
    ],
)
@pytest.mark.parametrize("gate", [Gate(metric="f1", min=-1e9), Gate(metric="f1", max=1e9)])
def test_what_is_no_finite_number_fails_every_gate(gate: Gate, value: object) -> None:
    result = result_of(gate, value)
    assert not result.passed
    assert result.value is None
    assert not holds(result)


def test_missing_metric_fails_and_says_so() -> None:
    (result,) = evaluate_gates([Gate(metric="f1", min=0.4)], {"roc_auc": 0.9})
    assert not result.passed
    assert "f1 was not measured, expected at least 0.4" in result.reason


def test_metric_given_as_text_is_quoted_and_cut() -> None:
    result = result_of(Gate(metric="f1", max=0.4), "9" * 100)
    assert "…" in result.reason
    assert "(str) and no finite number, expected at most 0.4" in result.reason
    assert len(result.reason) < 160


@given(st.floats(), st.sampled_from(["min", "max"]), numbers)
@settings(deadline=None)
def test_nan_and_infinity_never_pass(value: float, side: str, limit: float) -> None:
    result = result_of(Gate.model_validate({"metric": "f1", side: limit}), value)
    assert math.isfinite(value) or not result.passed
    assert holds(result) is result.passed


def test_results_keep_the_order_of_the_gates() -> None:
    gates = [Gate(metric=metric, min=0) for metric in METRICS]
    results = evaluate_gates(gates, dict.fromkeys(reversed(METRICS), 1.0))
    assert [result.metric for result in results] == list(METRICS)


@pytest.mark.parametrize(("limits", "found"), [({}, "neither"), ({"min": 0.1, "max": 0.2}, "both")])
def test_gate_has_exactly_one_limit(limits: dict[str, float], found: str) -> None:
    with pytest.raises(ValidationError, match=f"has {found} of min and max"):
        Gate.model_validate({"metric": "f1", **limits})


@pytest.mark.parametrize("limit", ["0.7", True, math.nan, math.inf, None, [0.7]])
def test_limit_is_a_finite_number(limit: object) -> None:
    with pytest.raises(ValidationError):
        Gate.model_validate({"metric": "f1", "min": limit})


def test_gate_takes_no_other_keys() -> None:
    with pytest.raises(ValidationError, match="minimum"):
        Gate.model_validate({"metric": "f1", "min": 0.1, "minimum": 0.9})


def test_gate_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Gate(metric="f1", min=0.5).min = 0.1  # type: ignore[misc]


@pytest.mark.parametrize(
    "forged",
    [
        GateResult("f1", 0.9, 0.5, "min", False, ""),
        GateResult("f1", 0.1, 0.5, "min", True, ""),
        GateResult("f1", 0.9, 0.5, "max", True, ""),
        GateResult("f1", None, 0.5, "min", True, ""),
        GateResult("f1", math.nan, 0.5, "min", True, ""),
        GateResult("f1", 0.9, math.nan, "min", True, ""),
        GateResult("f1", "0.9", 0.5, "min", True, ""),  # type: ignore[arg-type]
        GateResult("f1", 0.9, 0.5, "min", "yes", ""),  # type: ignore[arg-type]
        GateResult("f1", 0.9, 0.5, "either", True, ""),  # type: ignore[arg-type]
    ],
)
def test_forged_verdict_does_not_hold(forged: GateResult) -> None:
    assert not holds(forged)
    assert not all_hold([GateResult("f1", 0.9, 0.5, "min", True, ""), forged])


def test_no_results_are_no_pass() -> None:
    assert not all_hold(())
    assert all_hold(evaluate_gates([Gate(metric="f1", min=0.5)], {"f1": 0.6}))


def test_floor_raises_a_looser_gate_and_leaves_a_tighter_one() -> None:
    gates = (Gate(metric="f1", min=0.3), Gate(metric="accuracy", min=0.9))
    assert tighten(gates, {"accuracy": 0.6, "f1": 0.4}) == (
        Gate(metric="f1", min=0.4),
        Gate(metric="accuracy", min=0.9),
    )


def test_floor_that_the_product_does_not_gate_is_added_at_the_end() -> None:
    gates = (Gate(metric="accuracy", max=0.99),)
    assert tighten(gates, {"accuracy": 0.6}) == (*gates, Gate(metric="accuracy", min=0.6))


def test_duplicates_become_the_tightest_in_the_place_of_the_first() -> None:
    gates = (
        Gate(metric="brier", max=0.3),
        Gate(metric="f1", min=0.5),
        Gate(metric="brier", max=0.2),
        Gate(metric="f1", min=0.4),
    )
    assert tighten(gates, {}) == (Gate(metric="brier", max=0.2), Gate(metric="f1", min=0.5))


@pytest.mark.parametrize("floor", [math.nan, math.inf, "0.6", None, True])
def test_floor_that_is_no_number_is_refused(floor: object) -> None:
    with pytest.raises(ConfigurationError, match="platform floor of f1"):
        tighten((), {"f1": floor})  # type: ignore[dict-item]


floors_strategy = st.dictionaries(st.sampled_from(METRICS), numbers)
values_strategy = st.dictionaries(
    st.sampled_from(METRICS), st.one_of(st.floats(), st.none(), st.text(), st.booleans())
)


@given(any_gates(), floors_strategy, values_strategy)
@settings(deadline=None)
def test_tightening_never_lets_anything_more_through(
    gates: tuple[Gate, ...], floors: dict[str, float], values: dict[str, object]
) -> None:
    tightened = evaluate_gates(tighten(gates, floors), values)
    floor_gates = [Gate(metric=metric, min=floor) for metric, floor in floors.items()]
    every = evaluate_gates([*gates, *floor_gates], values)
    assert all(r.passed for r in tightened) == all(r.passed for r in every)


@given(any_gates(), floors_strategy)
@settings(deadline=None)
def test_tightening_twice_changes_nothing(
    gates: tuple[Gate, ...], floors: dict[str, float]
) -> None:
    once = tighten(gates, floors)
    assert tighten(once, floors) == once
    assert len({(gate.metric, gate.direction) for gate in once}) == len(once)


def test_unknown_metrics_are_named_once_in_order() -> None:
    gates = [Gate(metric=metric, min=0) for metric in ("zeta", "f1", "alpha", "zeta")]
    assert unknown_metrics(gates, {"f1"}) == ("zeta", "alpha")
