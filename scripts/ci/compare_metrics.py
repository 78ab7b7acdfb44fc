"""The metrics of a change against the champion's, as Markdown for a pull request.

usage: compare_metrics.py --candidate FILE [--champion FILE] [--out FILE]

Needs Python alone: the job that may write to a pull request installs nothing and runs nothing
else. Both files come from builds of untrusted code, so they are data: every name is of a fixed
form, every number finite, and nothing else of them reaches the text.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = "interlock.metrics/v1"
MARK = "<!-- interlock-metrics -->"  # finds the comment again
MAX_BYTES = 65_536
MAX_METRICS = 40
LOWER_IS_BETTER = frozenset({"brier", "log_loss", "expected_cost", "rmse", "mae", "pinball_loss"})
NEITHER_IS_BETTER = frozenset({"threshold", "positive_rate"})
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_HASH = re.compile(r"[0-9a-f]{64}")


class UnusableMetrics(Exception):
    """A file that is not what ``sample_metrics.py`` writes."""


@dataclass(frozen=True)
class Gate:
    """One gate: its metric, the value, the limit, and whether it was passed."""

    metric: str
    value: float
    limit: float
    passed: bool


@dataclass(frozen=True)
class Metrics:
    """What is believed of a file.

    Attributes:
        commit: What was built.
        product: What was trained.
        values: Metric to value.
        intervals: Metric to its 95 % interval.
        gates: All that were asked.
        data_hash: SHA-256 of the accepted rows; empty when unknown.
        seconds: Of the whole run.
    """

    commit: str
    product: str
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    gates: tuple[Gate, ...]
    data_hash: str
    seconds: float


def read_metrics(text: str) -> Metrics:
    """Reads a file's text, believing nothing of it.

    Raises:
        UnusableMetrics: It is of another form.
    """
    if len(text.encode()) > MAX_BYTES:
        raise UnusableMetrics(f"it has more than {MAX_BYTES} bytes")
    try:
        found = json.loads(text)
        if found["schema"] != SCHEMA:
            raise UnusableMetrics("it is of another schema")
        intervals = found["intervals"].items()
        gates = found["gates"]
        if len(found["metrics"]) > MAX_METRICS or len(gates) > MAX_METRICS:
            raise UnusableMetrics(f"it has more than {MAX_METRICS} metrics or gates")
        return Metrics(
            commit=_text(found["commit"], _COMMIT),
            product=_text(found["product"], _NAME),
            values={_text(name, _NAME): _number(each) for name, each in found["metrics"].items()},
            intervals={
                _text(name, _NAME): (_number(each["low"]), _number(each["high"]))
                for name, each in intervals
            },
            gates=tuple(_gate(each) for each in gates),
            data_hash=_text(found["data_hash"], _HASH) if found["data_hash"] else "",
            seconds=_number(found["seconds"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnusableMetrics(f"it cannot be read ({type(error).__name__})") from error


def comparison(candidate: Metrics, champion: Metrics | None) -> str:
    """The text of the comment."""
    return "\n".join(_lines(candidate, champion)) + "\n"


def _lines(candidate: Metrics, champion: Metrics | None) -> Iterator[str]:
    yield MARK
    failed = sum(not gate.passed for gate in candidate.gates)
    verdict = f"{failed} of {len(candidate.gates)} gates failed" if failed else "all gates passed"
    yield f"### `{candidate.product}` on the sample: {verdict}"
    yield ""
    if champion is None:
        yield "There are no metrics of main to compare with yet."
    else:
        yield (
            f"Commit `{candidate.commit[:12]}` against main's champion, `{champion.commit[:12]}`."
        )
    yield ""
    yield "| metric | this change | 95 % interval | champion | difference | |"
    yield "|---|---:|:---:|---:|---:|---|"
    for name in candidate.values:
        yield _row(name, candidate, champion)
    yield ""
    yield "| gate | value | limit | |"
    yield "|---|---:|---:|---|"
    for gate in candidate.gates:
        verdict = "passed" if gate.passed else "**failed**"
        yield f"| {gate.metric} | {gate.value:.4g} | {gate.limit:.4g} | {verdict} |"
    yield ""
    if champion is not None and champion.data_hash != candidate.data_hash:
        yield "The accepted data differs from the champion's, so the metrics are of other rows."
        yield ""
    yield f"Trained, gated and audited in {candidate.seconds:.0f} s."


def _row(name: str, candidate: Metrics, champion: Metrics | None) -> str:
    value = candidate.values[name]
    low_high = candidate.intervals.get(name)
    interval = f"{low_high[0]:.4f} to {low_high[1]:.4f}" if low_high else ""
    other = champion.values.get(name) if champion is not None else None
    if other is None:
        return f"| {name} | {value:.4f} | {interval} | | | |"
    difference = value - other
    verdict = _verdict(name, difference, other, low_high)
    return f"| {name} | {value:.4f} | {interval} | {other:.4f} | {difference:+.4f} | {verdict} |"


def _verdict(
    name: str, difference: float, champion: float, interval: tuple[float, float] | None
) -> str:
    """A difference counts only where the champion lies outside the interval."""
    if difference == 0:
        return "same"
    if interval is not None and interval[0] <= champion <= interval[1]:
        return "within the interval"
    if name in NEITHER_IS_BETTER or interval is None:
        return ""
    return "better" if (difference < 0) == (name in LOWER_IS_BETTER) else "**worse**"


def _text(value: Any, form: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not form.fullmatch(value):
        raise UnusableMetrics("a name or a hash in it is of another form")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UnusableMetrics("a value in it is no finite number")
    return float(value)


def _gate(value: Mapping[str, Any]) -> Gate:
    if not isinstance(value["passed"], bool):
        raise UnusableMetrics("a gate in it is neither passed nor failed")
    return Gate(
        metric=_text(value["metric"], _NAME),
        value=_number(value["value"]),
        limit=_number(value["limit"]),
        passed=value["passed"],
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares.

    Returns:
        0; 1 when the candidate's file is unusable. A champion's is then as good as none.
    """
    made = argparse.ArgumentParser(prog="compare_metrics.py", description="Compare two runs.")
    made.add_argument("--candidate", type=Path, required=True)
    made.add_argument("--champion", type=Path, help="may be missing")
    made.add_argument("--out", type=Path, help="instead of standard output")
    options = made.parse_args(arguments)
    try:
        candidate = read_metrics(options.candidate.read_text())
    except (OSError, UnicodeError, UnusableMetrics) as error:
        print(f"error: {options.candidate}: {error}", file=sys.stderr)
        return 1
    champion = None
    if options.champion is not None and options.champion.exists():
        try:
            champion = read_metrics(options.champion.read_text())
        except (OSError, UnicodeError, UnusableMetrics) as error:
            print(f"note: {options.champion} is left out: {error}", file=sys.stderr)
    text = comparison(candidate, champion)
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
