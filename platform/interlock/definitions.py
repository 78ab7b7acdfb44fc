"""The code location: every model product, put together.

``build_defs`` reads ``defs/<product>/defs.yaml`` one by one. A product whose YAML is wrong
becomes a visible placeholder that fails with file and line; the others work. A test passes
another folder or guard.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from interlock.assembly import open_tokens, open_workspace, run_principals
from interlock.components.decisions.job import decision_job
from interlock.components.decisions.resumption import resumption_job, resumption_sensor
from interlock.components.model_product import ModelProductComponent
from interlock.components.model_product.component import guard_resource
from interlock.components.model_product.reconciler import reconciler_job, reconciler_sensor
from interlock.components.model_product.schedules import pipeline_schedule
from interlock.errors import ProductError
from interlock.guard import Guard
from interlock.product import ModelProduct, read_product
from interlock.settings import load_settings, process_environment

DEFS = Path(__file__).parent / "defs"
PIPELINE = "ml_training_pipeline"
SCHEDULE = "ml_training_schedule"
EVERY_SIX_HOURS = "0 */6 * * *"
PLACEHOLDER = "failed_to_load"


@dataclass(frozen=True)
class LoadedProducts:
    """What the folder of products holds.

    Attributes:
        products: Those that are well declared, by name.
        errors: Folder name to what is wrong with it.
    """

    products: tuple[ModelProduct, ...]
    errors: dict[str, ProductError]


def load_products(folder: Path = DEFS) -> LoadedProducts:
    """Read every product; a wrong one does not keep the others from being read.

    Args:
        folder: Holds one folder per product, each with a ``defs.yaml``.

    Returns:
        The products and the errors.
    """
    products: list[ModelProduct] = []
    errors: dict[str, ProductError] = {}
    models: dict[str, str] = {}
    for path in sorted(folder.glob("*/defs.yaml")):
        try:
            product = read_product(path)
        except ProductError as error:
            errors[path.parent.name] = error
            continue
        if product.model in models:
            errors[product.name] = ProductError(
                f"model {product.model} is also the model of {models[product.model]}",
                path=path,
                line=None,
                remedy="give each product a model of its own",
            )
            continue
        models[product.model] = product.name
        products.append(product)
    return LoadedProducts(products=tuple(products), errors=errors)


def default_guard() -> Guard:
    """The guard of this process, from its environment; opened when a step needs it."""
    settings = load_settings()
    return Guard(
        lambda: open_workspace(load_settings(), secrets=process_environment(), believe_token=False),
        tokens=open_tokens(settings),
        principals=run_principals(settings),
    )


def build_defs(
    *, folder: Path = DEFS, guard: Guard | None = None, overrides: dict[str, Any] | None = None
) -> dg.Definitions:
    """All definitions of the code location.

    Args:
        folder: Where the products are.
        guard: Another guard, e.g. one that reports progress.
        overrides: Other resources, by name.

    Returns:
        Assets, checks, jobs and schedules of all products, with the in-process executor.
    """
    loaded = load_products(folder)
    parts = [ModelProductComponent(product).build_defs() for product in loaded.products]
    parts += [_placeholder(name, error) for name, error in loaded.errors.items()]
    common = [product.name for product in loaded.products if product.schedule is None]
    if common:
        parts.append(_common_pipeline(common))
    decision, resumption, reconciler = decision_job(), resumption_job(), reconciler_job()
    return dg.Definitions.merge(
        *parts,
        dg.Definitions(
            jobs=[decision, resumption, reconciler],
            sensors=[reconciler_sensor(reconciler), resumption_sensor(decision, resumption)],
            resources={"guard": guard_resource(guard or default_guard()), **(overrides or {})},
            executor=dg.in_process_executor,
        ),
    )


def _common_pipeline(products: Sequence[str]) -> dg.Definitions:
    """The job and six-hourly schedule of all products without a schedule of their own."""
    job = dg.define_asset_job(
        name=PIPELINE,
        selection=dg.AssetSelection.groups(*products),
        description="All model products, raw data to registered version.",
    )
    schedule = pipeline_schedule(name=SCHEDULE, job=job, cron=EVERY_SIX_HOURS, products=products)
    return dg.Definitions(jobs=[job], schedules=[schedule])


def _placeholder(folder: str, error: ProductError) -> dg.Definitions:
    """What stands in Dagit for a product that could not be loaded."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", folder)
    if name != folder:  # two folders must not become one name
        name = f"{name}_{hashlib.sha256(folder.encode()).hexdigest()[:8]}"

    @dg.asset(
        key=dg.AssetKey([name, PLACEHOLDER]),
        group_name=name,
        description=f"**This product could not be loaded.** {error}",
        kinds={"yaml"},
    )
    def failed_to_load() -> None:
        raise dg.Failure(
            description=str(error), metadata={"remedy": error.remedy}, allow_retries=False
        )

    return dg.Definitions(assets=[failed_to_load])


@dg.definitions
def defs() -> dg.Definitions:
    """The entry point for Dagster: ``-m interlock.definitions``."""
    return build_defs()
