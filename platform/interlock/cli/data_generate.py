"""``interlock data generate``: a synthetic credit portfolio for tests of scale."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from interlock.cli import view
from interlock.cli.verb import Result, Terminal, verb

DEFAULT_SEED = 20260101
MAX_ROWS = 1_000_000_000  # application_id has nine digits


@verb("generate")
@click.option("--rows", type=click.IntRange(1, MAX_ROWS), required=True, help="How many.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="File that ends in .csv or .parquet; replaced when it exists.",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=DEFAULT_SEED,
    show_default=True,
    help="Equal seeds give equal rows.",
)
def command(terminal: Terminal, rows: int, out: Path, seed: int) -> Result:
    """Write a synthetic credit portfolio: 14 columns that depend on each other, and a default.

    Nobody in it exists. `interlock product new NAME --data FILE --target default` makes a
    model product of it.
    """
    from interlock.adapters.tables import write_table
    from interlock.ml.synthetic import generate_batches

    with _bar(terminal.err, rows) as advance:
        written = write_table(generate_batches(rows, seed=seed), out, progress=advance)
    size = out.stat().st_size
    document = {"file": out.resolve(), "rows": written, "bytes": size, "seed": seed}
    shown = view.pairs(
        [
            ("file", out.resolve()),
            ("rows", f"{written:,}"),
            ("bytes", f"{size:,}"),
            ("seed", seed),
        ]
    )
    return Result(document, view=[shown])


@contextlib.contextmanager
def _bar(console: Console, rows: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not console.is_terminal:
        yield lambda _rows: None
        return
    columns = (TextColumn("rows"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("rows", total=rows)
        yield lambda done: progress.update(task, completed=done)
