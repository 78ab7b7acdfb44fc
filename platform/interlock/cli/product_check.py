"""``interlock product check``: the YAML of the products, by file and line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from interlock.cli.app import FAILURE, OK
from interlock.cli.run import named_product
from interlock.cli.verb import Result, Terminal, verb

if TYPE_CHECKING:
    from interlock.product import ModelProduct


@verb("check")
@click.argument("name", required=False)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Another folder of products.",
)
def command(
    terminal: Terminal,  # noqa: ARG001 - a verb's form
    name: str | None,
    folder: Path | None,
) -> Result:
    """Check the YAML of all products, or of product NAME; exits with 1 when one is wrong."""
    from interlock.definitions import DEFS, load_products

    if name is not None:
        found: list[dict[str, Any]] = [_valid(named_product(name, folder))]
    else:
        loaded = load_products(folder or DEFS)
        found = [
            *map(_valid, loaded.products),
            *(
                {
                    "name": folder,
                    "valid": False,
                    "error": error.message,
                    "path": error.path,
                    "line": error.line,
                    "remedy": error.remedy,
                }
                for folder, error in loaded.errors.items()
            ),
        ]
    lines = []
    for each in found:
        if each["valid"]:
            lines.append(Text("ok    ", style="green") + Text(f"{each['name']}"))
            lines += [
                Text(f"      Beware: {warning}", style="yellow") for warning in each["warnings"]
            ]
        else:
            lines.append(Text("wrong ", style="bold red") + Text(f"{each['error']}"))
            lines.append(Text(f"      What to do: {each['remedy']}", style="dim"))
    valid = all(each["valid"] for each in found)
    return Result({"valid": valid, "products": found}, view=lines, code=OK if valid else FAILURE)


def _valid(product: ModelProduct) -> dict[str, Any]:
    from interlock.components.model_product.draft import OWNER

    warnings = []
    if OWNER in product.owners:
        warnings.append(f"its owner is still {OWNER}: replace it by whose product it is")
    return {"name": product.name, "valid": True, "error": None, "warnings": warnings}
