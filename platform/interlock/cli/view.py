"""How tables, headings and verdicts look, on 80 columns and more.

Colours carry nothing that the words do not say: rich leaves them out where NO_COLOR is set or
nobody looks at a terminal. What is shown is up to each verb.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

HASH_CHARACTERS = 12  # of a SHA-256: enough to tell snapshots apart by eye
NUMBER = ">"
"""Mark of a heading whose column holds numbers and is aligned to the right."""


def heading(text: str, remark: str = "") -> RenderableType:
    """What a part is about, with an empty line above."""
    return Group("", Text(text, style="bold") + Text(f"  {remark}" if remark else "", "dim"))


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table without a frame.

    Args:
        headings: One per column; ``NUMBER`` in front of those that hold numbers. The last
            column may be wrapped, and so may one of text that is too long.
        rows: Cells; None is left empty, ``Text`` keeps its style.
    """
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    for each in headings:
        number = each.startswith(NUMBER)
        made.add_column(
            each.removeprefix(NUMBER),
            justify="right" if number else "left",
            no_wrap=number,
            overflow="fold",
        )
    for row in rows:
        made.add_row(*(_cell(cell) for cell in row))
    return made


def pairs(items: Iterable[tuple[str, object]]) -> Table:
    """Names with their values, which are never cut."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in items:
        made.add_row(name, _cell(value))
    return made


def verdict(good: bool, yes: str = "passed", no: str = "failed") -> Text:
    """A word for whether something is as it should be."""
    return Text(yes, style="green") if good else Text(no, style="bold red")


def short(digest: str | None) -> str:
    """The beginning of a hash."""
    return "" if not digest else digest[:HASH_CHARACTERS]


def number(value: float | None, places: int = 4) -> str:
    """A number to so many decimal places, empty for none."""
    return "" if value is None else f"{value:.{places}f}"


def figure(value: float | None) -> str:
    """A measured value or its limit: counts in full, shares to four places."""
    if value is None:
        return "not measured"
    return f"{value:,.0f}" if float(value).is_integer() and abs(value) > 1 else f"{value:.4f}"


def clock_time(text: str) -> str:
    """The time of day of an ISO 8601 time, in the zone that it is in."""
    return f"{datetime.fromisoformat(text):%H:%M:%S}"


def program() -> str:
    """How the person calls this program: by its name, or by the path that finds it."""
    own = Path(sys.executable).parent / "interlock"
    found = shutil.which("interlock")
    if found is not None and Path(found).resolve() == own.resolve():
        return "interlock"
    if not own.is_file():
        return f"{shlex.quote(sys.executable)} -m interlock.cli"
    here = Path.cwd()
    if not own.is_relative_to(here):
        return shlex.quote(str(own))
    path = str(own.relative_to(here))
    return shlex.quote(path if "/" in path else f"./{path}")


def commands(lines: Iterable[tuple[str, str]]) -> Text:
    """Commands that can be copied as they are, each below what it does; never wrapped."""
    text = Text(no_wrap=True)
    for command, meaning in lines:
        text.append(f"  {meaning}\n", style="dim").append(f"    {command}\n", style="cyan")
    text.rstrip()
    return text


def _cell(value: object) -> RenderableType:
    if value is None:
        return ""
    return value if isinstance(value, Text) else Text(str(value))
