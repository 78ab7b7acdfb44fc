"""``interlock run``: materialize a model product and show what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from interlock.cli.entering import services, settings_or_refusal
from interlock.cli.next_steps import after_run
from interlock.cli.progress import PREPARE, progress_on
from interlock.cli.refusal import Refusal
from interlock.cli.run_document import PipelineRun, run_document
from interlock.cli.run_view import run_view
from interlock.cli.verb import Result, Terminal, verb
from interlock.governance.principal import IdentitySource
from interlock.local.home import Home
from interlock.local.liveness import status

if TYPE_CHECKING:
    from interlock.product import ModelProduct


@verb("run")
@click.argument("name")
def command(terminal: Terminal, name: str) -> Result:
    """Materialize the model product NAME, from raw data to a registered version."""
    return run_product(terminal, name)


def run_product(terminal: Terminal, name: str) -> Result:
    """Run a product, show how it proceeds, and gather what it came to.

    Args:
        terminal: Where progress is shown.
        name: The product's.
    """
    began = time.monotonic()
    settings = settings_or_refusal(terminal)
    if isinstance(settings, Refusal):
        refused = PipelineRun(name, None, {}, settings.denial, {}, settings.audit)
        return _result(refused, total=time.monotonic() - began, addresses={})
    product = named_product(name)
    with progress_on(terminal.err) as watcher:
        watcher.began(PREPARE)
        with services(terminal, settings) as found:
            from interlock.cli.pipeline import run_pipeline

            run = run_pipeline(found, product, watcher)
    running = status(Home(settings.home))
    addresses = running.addresses if running is not None else {}
    return _result(
        run,
        total=time.monotonic() - began,
        addresses=addresses,
        by_word=found.identity_source is IdentitySource.ENV,
    )


def named_product(name: str, folder: Path | None = None) -> ModelProduct:
    """A product by its name.

    Args:
        name: As it was typed.
        folder: Where the products are; by default where those of the code location are.

    Raises:
        click.BadParameter: There is none.
        ProductError: Its YAML is wrong.
    """
    from interlock.definitions import DEFS, load_products

    loaded = load_products(folder or DEFS)
    if name in loaded.errors:
        raise loaded.errors[name]
    known = {product.name: product for product in loaded.products}
    if name not in known:
        listed = ", ".join(sorted(known.keys() | loaded.errors.keys()))
        msg = f"there is no model product {name!r}; choose one of: {listed}"
        raise click.BadParameter(msg, param_hint="NAME")
    return known[name]


def _result(
    run: PipelineRun, *, total: float, addresses: Mapping[str, str], by_word: bool = True
) -> Result:
    document = run_document(replace(run, seconds={**run.seconds, "total": total}))
    steps = after_run(document, addresses, by_word=by_word)
    return Result(document, view=[*run_view(document), *steps], error=run.error)
