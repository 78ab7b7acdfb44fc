"""What a person sees while a pipeline works: steps, seconds, candidates.

On a terminal a display that is redrawn in place and disappears at the end; elsewhere one line
per step. Both go to standard error. What a step says of itself comes from ``actions``; the
results are shown by ``run_view.py``.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

PREPARE = "prepare"
STEPS = ("raw_data", "validated_data", "trained_model", "registered_version")
REDRAWS_PER_SECOND = 8
BAR_CELLS = 24
STEP_CELLS, SECONDS_CELLS = 18, 8

_FITS = re.compile(r"(?P<candidate>\w+): search (?P<done>\d+)/(?P<total>\d+)")


class Watcher(Protocol):
    """Is told how a pipeline proceeds; from any thread."""

    def began(self, step: str) -> None:
        """A step begins."""
        ...

    def said(self, step: str, message: str) -> None:
        """A step says what it does."""
        ...

    def ended(self, step: str, *, well: bool) -> None:
        """A step is over."""
        ...


@dataclass
class Step:
    """What is known of a step.

    Attributes:
        name: Its name.
        began: When, by the clock of the display; None before.
        seconds: How long it took; None before it ended.
        well: Whether it ended well.
        message: What it said last.
        fits: Candidate to fits done and to do.
    """

    name: str
    began: float | None = None
    seconds: float | None = None
    well: bool = False
    message: str = ""
    fits: dict[str, tuple[int, int]] = field(default_factory=dict)


class PlainProgress:
    """A line when a step begins and one when it ends.

    Args:
        console: Where to write.
        clock: Seconds, monotonic.
    """

    def __init__(self, console: Console, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._began: dict[str, float] = {}

    def began(self, step: str) -> None:
        """Write that a step begins."""
        self._began[step] = self._clock()
        self._write(f"{step}: started")

    def said(self, step: str, message: str) -> None:
        """Write when a candidate is through; what changes many times a second is left out."""
        found = _FITS.fullmatch(message)
        if found is not None and found["done"] == found["total"]:
            self._write(f"{step}: {found['candidate']} searched, {found['total']} fits")

    def ended(self, step: str, *, well: bool) -> None:
        """Write that a step is over."""
        seconds = self._clock() - self._began[step]
        self._write(f"{step}: {'done' if well else 'failed'} after {seconds:.1f} s")

    def _write(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)


class LiveProgress:
    """A display redrawn in place.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps = {name: Step(name) for name in (PREPARE, *STEPS)}
        self._spinner = Spinner("dots", style="cyan")

    def began(self, step: str) -> None:
        """Remember when a step began."""
        self._steps[step].began = self._clock()

    def said(self, step: str, message: str) -> None:
        """Remember what a step says, or how far a candidate is."""
        known = self._steps[step]
        found = _FITS.fullmatch(message)
        if found is None:
            known.message = message
        else:
            known.message = "searching"
            known.fits[found["candidate"]] = int(found["done"]), int(found["total"])

    def ended(self, step: str, *, well: bool) -> None:
        """Remember how a step ended."""
        known = self._steps[step]
        known.seconds = self._clock() - (known.began or self._clock())
        known.well = well

    def __rich__(self) -> RenderableType:
        """The display as it is now."""
        lines: list[RenderableType] = []
        for step in list(self._steps.values()):
            line = Table.grid(padding=(0, 2, 0, 0), expand=True)
            line.add_column(width=1)
            line.add_column(width=STEP_CELLS)
            line.add_column(width=SECONDS_CELLS, justify="right")
            line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
            line.add_row(*self._row(step))
            lines.append(line)
            if step.seconds is None and step.fits:
                lines.append(_bars(step))
        return Group(*lines)

    def _row(self, step: Step) -> tuple[RenderableType, ...]:
        if step.began is None:
            return Text("·", style="dim"), Text(step.name, style="dim"), "", ""
        seconds = step.seconds
        elapsed = self._clock() - step.began if seconds is None else seconds
        if seconds is None:
            sign: RenderableType = self._spinner
        else:
            sign = Text("✓", style="green") if step.well else Text("✗", style="red")
        message = step.message if seconds is None else ""
        return sign, step.name, Text(f"{elapsed:.1f} s", style="dim"), Text(message, style="dim")


def _bars(step: Step) -> RenderableType:
    """A bar for each candidate."""
    bars = Table.grid(padding=(0, 2, 0, 0))
    for candidate, (done, total) in list(step.fits.items()):
        bar = ProgressBar(total=total, completed=done, width=BAR_CELLS)
        bars.add_row("   ", candidate, bar, Text(f"{done}/{total} fits", style="dim"))
    return bars


@contextlib.contextmanager
def progress_on(console: Console) -> Iterator[Watcher]:
    """The display that fits a console, while the block runs.

    Args:
        console: Standard error.

    Yields:
        Who is to be told.
    """
    if not console.is_terminal:
        yield PlainProgress(console)
        return
    display = LiveProgress()
    with Live(
        get_renderable=display.__rich__,
        console=console,
        refresh_per_second=REDRAWS_PER_SECOND,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield display
