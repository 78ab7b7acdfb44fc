"""``interlock product new``: draft a model product from its data."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import click
from rich.text import Text

from interlock.cli import view
from interlock.cli.next_steps import call
from interlock.cli.verb import Result, Terminal, verb
from interlock.errors import ConfigurationError
from interlock.settings import REPOSITORY

REVIEW_MARKS = ("confirm", "replace", "Ask who knows")
"""Words of the draft's comments that ask a person for something."""


@verb("new")
@click.argument("name")
@click.option(
    "--data",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="CSV or Parquet file with a header.",
)
@click.option("--target", required=True, help="Column to predict; it holds two values.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of products; by default the one that is loaded.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
def command(
    terminal: Terminal, *, name: str, data: Path, target: str, out: Path | None, force: bool
) -> Result:
    """Draft NAME/defs.yaml from the data: a complete model product, for a person to confirm.

    Types, ranges and categories, the target's positive class, the delimiter and what looks
    like an identifier are read from the data.
    """
    from interlock.components.model_product.draft import draft_product
    from interlock.definitions import DEFS, load_products

    folder = DEFS if out is None else out
    path = folder / name / "defs.yaml"
    if path.exists() and not force:
        raise ConfigurationError(
            f"{path} is there already", remedy="choose another name, or replace it with --force"
        )
    with terminal.err.status(f"reading {data}"):
        text = draft_product(name, data.resolve(), target, root=REPOSITORY)
    _write(path, text)
    loaded = load_products(folder)
    if name in loaded.errors:
        raise loaded.errors[name]
    product = next(each for each in loaded.products if each.name == name)
    review = list(_to_review(text))
    document = {
        "product": product.name,
        "model": product.model,
        "path": path.resolve(),
        "target": product.target.model_dump(mode="json"),
        "features": product.features,
        "protected": product.protected,
        "review": [{"line": number, "text": line.plain} for number, line in review],
    }
    shown = [
        view.pairs(
            [
                ("product", f"{product.name}, model {product.model}"),
                ("file", path.resolve()),
                ("target", f"{product.target.column}, positive is {product.target.positive!r}"),
                ("features", f"{len(product.features)} of {len(product.contract.columns)} columns"),
                ("protected", ", ".join(product.protected) or "none by name"),
                ("schedule", "every six hours with the others, until you name another"),
            ]
        ),
        view.heading("To be confirmed by a person", "line by line"),
        view.table((">line", "says"), review),
    ]
    if out is not None:
        moved = f"only products in {DEFS} are loaded; move the folder there to run it"
        return Result(document, view=shown, notes=[moved])
    return Result(document, view=[*shown, view.heading("Next"), view.commands(_next(name))])


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror})",
            remedy="choose another folder with --out",
        ) from error


def _to_review(text: str) -> Iterator[tuple[int, Text]]:
    """Line by line, what the draft asks a person for."""
    lines = list(enumerate(text.splitlines(), start=1))
    declared = itertools.dropwhile(lambda each: each[1].startswith("#"), lines)
    for number, line in declared:
        if any(mark in line.partition("#")[2] for mark in REVIEW_MARKS):
            yield number, Text(line.strip())


def _next(name: str) -> list[tuple[str, str]]:
    return [
        (call("product", "check", name), "after each change: is it still well declared?"),
        (call("run", name), "from raw data to a registered version"),
    ]
