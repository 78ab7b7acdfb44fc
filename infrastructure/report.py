"""What a check run reports: each step with its outcome, and a summary that hides no omission.

The steps themselves are in ``static_checks`` and ``applied``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

Write = Callable[[str], None]


class Status(Enum):
    """How a step ended."""

    OK = "ok"
    FAILED = "FAILED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True)
class Result:
    """What a step says about itself.

    Attributes:
        status: How it ended.
        detail: Figures, or the reason; one line.
        notes: Lines to show below it.
    """

    status: Status
    detail: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One step as it went.

    Attributes:
        name: What it is called.
        result: What it said.
        seconds: How long it took.
    """

    name: str
    result: Result
    seconds: float


def ok(detail: str, *notes: str) -> Result:
    """A step that did what it should."""
    return Result(Status.OK, detail, notes)


def failed(detail: str, *notes: str) -> Result:
    """A step that found something wrong."""
    return Result(Status.FAILED, detail, notes)


def skipped(detail: str, *notes: str) -> Result:
    """A step that could not be done here, and why."""
    return Result(Status.SKIPPED, detail, notes)


@dataclass
class Report:
    """All steps of one run, shown as they end.

    Attributes:
        write: Takes each line.
        clock: Seconds, monotonic.
        steps: The steps so far.
    """

    write: Write
    clock: Callable[[], float] = time.monotonic
    steps: list[Step] = field(default_factory=list)

    def run(self, name: str, step: Callable[[], Result]) -> bool:
        """Does one step and shows its outcome; whether what depends on it can go on."""
        started = self.clock()
        result = step()
        done = Step(name, result, self.clock() - started)
        self.steps.append(done)
        self.write(line(done))
        for note in result.notes:
            self.write(f"    {note}")
        return result.status is Status.OK

    def skip(self, name: str, why: str) -> None:
        """Notes a step that is not even tried."""
        self.run(name, lambda: skipped(why))

    def failures(self) -> tuple[str, ...]:
        """The names of the steps that failed."""
        return tuple(each.name for each in self.steps if each.result.status is Status.FAILED)

    def summary(self) -> tuple[str, ...]:
        """The last lines: what was skipped, and whether anything failed."""
        skips = [each for each in self.steps if each.result.status is Status.SKIPPED]
        lines = [f"SKIPPED: {each.name}: {each.result.detail}" for each in skips]
        good = sum(each.result.status is Status.OK for each in self.steps)
        seconds = sum(each.seconds for each in self.steps)
        counted = f"{good} ok, {len(self.failures())} failed, {len(skips)} skipped"
        lines.append(f"{counted}, {seconds:.0f} s")
        if self.failures():
            lines.append("FAILED: " + ", ".join(self.failures()))
        return tuple(lines)


def line(step: Step) -> str:
    """A step on one line: name, outcome, seconds, figures."""
    status = step.result.status.value
    return f"{step.name:<34} {status:<8} {step.seconds:6.1f} s  {step.result.detail}"
