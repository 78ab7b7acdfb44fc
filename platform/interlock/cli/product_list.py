"""``interlock product list``: the model products of this code location."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from interlock.cli import view
from interlock.cli.verb import Result, Terminal, verb


@verb("list")
def command(terminal: Terminal) -> Result:  # noqa: ARG001 - a verb's form
    """List the model products; those that cannot be loaded are listed with what is wrong."""
    from interlock.definitions import EVERY_SIX_HOURS, load_products

    loaded = load_products()
    products: list[dict[str, Any]] = [
        {
            "name": product.name,
            "model": product.model,
            "owners": product.owners,
            "tier": product.tier,
            "source": product.source.kind,
            "schedule": product.schedule or EVERY_SIX_HOURS,
            "error": None,
        }
        for product in loaded.products
    ]
    broken = [{"name": name, "error": str(error)} for name, error in loaded.errors.items()]
    columns = ("name", "model", "tier", "source", "schedule")
    rows = [
        (*(product[column] for column in columns), ", ".join(product["owners"]))
        for product in products
    ]
    shown = view.table(("product", "model", "tier", "source", "schedule (UTC)", "owners"), rows)
    errors = [Text(f"{each['name']}: {each['error']}", style="red") for each in broken]
    return Result({"products": [*products, *broken]}, view=[shown, *errors])
