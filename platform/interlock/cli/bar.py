"""A bar for work whose end is known, and a count for work whose end is not.

On a terminal it is redrawn in place on standard error and disappears; elsewhere nothing is
written, so that a log of a pipeline holds results alone. A pipeline's steps are ``progress.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn


@contextlib.contextmanager
def bar_on(console: Console, what: str) -> Iterator[Callable[[float], None]]:
    """A bar while the block runs.

    Args:
        console: Standard error.
        what: What is being done, a few words.

    Yields:
        Takes the share that is done, in [0, 1].
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=_quiet(console)) as shown:
        task = shown.add_task(what, total=1.0)
        yield lambda share: shown.update(task, completed=share)


@contextlib.contextmanager
def count_on(console: Console, what: str) -> Iterator[Callable[[str], None]]:
    """A sign of life while the block runs.

    Args:
        console: Standard error.
        what: What is being done, a few words.

    Yields:
        Takes how far it has come, e.g. a number of rows.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=_quiet(console)) as shown:
        task = shown.add_task(what, total=None)
        yield lambda far: shown.update(task, description=f"{what}: {far}")


def _quiet(console: Console) -> bool:
    return not console.is_terminal
