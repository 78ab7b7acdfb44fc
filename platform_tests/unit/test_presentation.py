"""What a person sees in Dagit of a step."""

from __future__ import annotations

from typing import Any

from product_fixtures import World, tiny_product

from interlock.actions.ingest import ingest
from interlock.components.model_product.presentation import WITHHELD, raw_data


def cells(metadata: Any) -> list[list[str]]:
    """A Markdown table as rows of cells, without the rule below the header."""
    rows = [
        [c.strip() for c in line.strip("| ").split(" | ")] for line in metadata.value.split("\n")
    ]
    return [rows[0], *rows[2:]]


def test_values_of_protected_columns_are_in_no_preview_and_no_summary(world: World) -> None:
    product = tiny_product(protected=["age"])
    snapshot = ingest(world.workspace(), product, world.run())
    metadata = raw_data(snapshot, protected=product.protected).metadata or {}
    header, *rows = cells(metadata["preview"])
    place = header.index("age")
    assert {row[place] for row in rows} == {WITHHELD}
    assert WITHHELD not in {row[header.index("income")] for row in rows}
    summary = {row[0]: row for row in cells(metadata["summary"])}
    assert summary["age"][3:] == [WITHHELD, WITHHELD]
    assert WITHHELD not in summary["income"]
