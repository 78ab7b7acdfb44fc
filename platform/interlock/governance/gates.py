"""Is it good enough: measured values against the limits of a model product.

A gate limits one metric on one side. The rules:

* a metric that is missing, not a number, a truth value, a text, NaN or infinite fails;
* no gates at all is no pass: nothing was shown to be good;
* a value equal to its limit passes;
* platform floors tighten a product's gates and never loosen them;
* a result is believed by its value and limit, not by the ``passed`` it carries.

Measuring is in ``interlock.ml``, what follows from a failed gate in ``policies/`` and
``interlock.actions``.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from interlock.errors import ConfigurationError

Direction = Literal["min", "max"]
Limit = Annotated[float, Field(strict=True, allow_inf_nan=False)]

_ABSENT = object()
_MAX_SHOWN = 40  # characters of an unusable value that a reason quotes


class Gate(BaseModel):
    """A limit on one side of one metric, in the unit of the metric.

    Attributes:
        metric: Name of the metric, e.g. ``roc_auc``.
        min: The least value that passes.
        max: The greatest value that passes. Exactly one of the two is given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Annotated[str, Field(min_length=1)]
    min: Limit | None = None
    max: Limit | None = None

    @model_validator(mode="after")
    def _has_one_limit(self) -> Self:
        if (self.min is None) == (self.max is None):
            found = "neither" if self.min is None else "both"
            msg = (
                f"gate on {self.metric} has {found} of min and max, expected one; "
                "write a gate for each side"
            )
            raise ValueError(msg)
        return self

    @property
    def direction(self) -> Direction:
        """The side that is limited."""
        return "max" if self.min is None else "min"

    @property
    def limit(self) -> float:
        """The limit on that side."""
        # The validator left exactly one of them; None cannot reach the end.
        return next(value for value in (self.min, self.max) if value is not None)


@dataclass(frozen=True)
class GateResult:
    """What one gate found.

    Attributes:
        metric: Name of the metric.
        value: The measured value; none when there was no finite number.
        limit: The limit it was held against.
        direction: ``min`` when the value must reach the limit, ``max`` when it must not
            exceed it.
        passed: Whether it does.
        reason: Value, limit and, after a failure, the remedy; one sentence.
    """

    metric: str
    value: float | None
    limit: float
    direction: Direction
    passed: bool
    reason: str


def evaluate_gates(gates: Sequence[Gate], values: Mapping[str, object]) -> tuple[GateResult, ...]:
    """Hold measured values against every gate.

    Args:
        gates: The gates, in the order in which results are wanted.
        values: Metric to measured value, of any type: what is not a finite number fails.

    Returns:
        One result per gate, in the same order.
    """
    return tuple(_evaluate(gate, values.get(gate.metric, _ABSENT)) for gate in gates)


def holds(result: GateResult) -> bool:
    """Whether a result passes by its own value and limit as well as by its verdict.

    A verdict can be typed by anybody who can build the value; a text that looks like a
    number, or a verdict that contradicts its value, does not hold.
    """
    value, limit = _finite(result.value), _finite(result.limit)
    return (
        result.passed is True
        and value is not None
        and limit is not None
        and result.direction in ("min", "max")
        and _reaches(value, limit, result.direction)
    )


def all_hold(results: Collection[GateResult]) -> bool:
    """Whether there is at least one result and every one of them holds."""
    return bool(results) and all(holds(result) for result in results)


def tighten(gates: Iterable[Gate], floors: Mapping[str, float]) -> tuple[Gate, ...]:
    """The gates of a product, never looser than the platform's floors.

    Args:
        gates: The product's gates.
        floors: Metric to the least value that the platform accepts, e.g.
            ``{"accuracy": 0.6}``.

    Returns:
        One gate per metric and direction, the tightest of them: the product's in the order
        of their first mention, then those floors that the product does not gate.

    Raises:
        ConfigurationError: A floor is not a finite number.
    """
    tightest: dict[tuple[str, Direction], Gate] = {}
    for gate in (*gates, *(_floor(metric, least) for metric, least in floors.items())):
        side = (gate.metric, gate.direction)
        known = tightest.get(side)
        if known is None or _is_tighter(gate, known):
            tightest[side] = gate
    return tuple(tightest.values())


def unknown_metrics(gates: Iterable[Gate], known: Collection[str]) -> tuple[str, ...]:
    """Metrics that gates limit and nobody measures, each once, in order of mention."""
    return tuple(dict.fromkeys(gate.metric for gate in gates if gate.metric not in known))


def _evaluate(gate: Gate, found: object) -> GateResult:
    value = _finite(found)
    side = "minimum" if gate.direction == "min" else "maximum"
    remedy = "retrain, or review the gate in defs.yaml"
    if value is None:
        passed = False
        text = f"{gate.metric} {_describe(found)}, expected {_bound(gate)}"
        reason = f"{text}; see why the step did not measure it"
    else:
        passed = _reaches(value, gate.limit, gate.direction)
        shown, limit = _tell_apart(value, gate.limit)
        if passed:
            verb = "reaches" if gate.direction == "min" else "stays within"
            reason = f"{gate.metric} {shown} {verb} the {limit} {side}"
        else:
            verb = "is below" if gate.direction == "min" else "is above"
            reason = f"{gate.metric} {shown} {verb} the {limit} {side}; {remedy}"
    return GateResult(gate.metric, value, gate.limit, gate.direction, passed, reason)


def _finite(found: object) -> float | None:
    """The value as a float, or none when it is no finite number."""
    # A truth value is an integer to Python and evidence of nothing here.
    if isinstance(found, bool) or not isinstance(found, Real):
        return None
    try:
        value = float(found)
    except OverflowError:  # an integer beyond the range of a double
        return None
    return value if math.isfinite(value) else None


def _reaches(value: float, limit: float, direction: Direction) -> bool:
    return value >= limit if direction == "min" else value <= limit


def _is_tighter(gate: Gate, known: Gate) -> bool:
    """Whether the first of two gates on the same side lets less through."""
    return gate.limit > known.limit if gate.direction == "min" else gate.limit < known.limit


def _floor(metric: str, least: object) -> Gate:
    value = _finite(least)
    if value is None:
        raise ConfigurationError(
            f"platform floor of {metric} is {least!r}, expected a finite number",
            remedy="correct the setting that holds it",
        )
    return Gate(metric=metric, min=value)


def _describe(found: object) -> str:
    """What was found in place of a finite number."""
    if found is _ABSENT or found is None:
        return "was not measured"
    text = repr(found)
    shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
    return f"is {shown} ({type(found).__name__}) and no finite number"


def _bound(gate: Gate) -> str:
    return f"at {'least' if gate.direction == 'min' else 'most'} {gate.limit:g}"


def _tell_apart(value: float, limit: float) -> tuple[str, str]:
    """Both numbers in four digits, or in full where four would make them look equal."""
    shown, text = f"{value:.4g}", f"{limit:.4g}"
    if shown == text and value != limit:
        return repr(value), repr(limit)
    return shown, text
