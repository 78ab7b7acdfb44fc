"""The Dagster component behind ``type: interlock.components.model_product...``.

It turns a ``ModelProduct`` into definitions and decides nothing about data or models. The
YAML is read and checked in ``interlock.product``; all products are put together in
``interlock.definitions``.
"""

from __future__ import annotations

from typing import Any, Self

import dagster as dg
from pydantic import BaseModel

from interlock.components.model_product.assets import product_assets
from interlock.components.model_product.reports import (
    report_assets,
    report_job,
    report_schedule,
)
from interlock.components.model_product.retraining import retraining_sensor
from interlock.components.model_product.schedules import pipeline_schedule
from interlock.guard import Guard
from interlock.product import ModelProduct

PRODUCT_TAG = "interlock/product"


class ModelProductComponent(dg.Component):
    """The assets of a product and of its reports, with checks, jobs, schedules and sensors."""

    def __init__(self, product: ModelProduct) -> None:
        self.product = product

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The schema of the YAML's attributes."""
        return ModelProduct

    @classmethod
    def load(
        cls,
        attributes: BaseModel | None,
        context: dg.ComponentLoadContext,  # noqa: ARG003 - Dagster's signature
    ) -> Self:
        """Build the component from checked attributes."""
        if not isinstance(attributes, ModelProduct):
            msg = f"attributes are {type(attributes).__name__}, expected a ModelProduct"
            raise TypeError(msg)
        return cls(attributes)

    def build_defs(
        self,
        context: dg.ComponentLoadContext | None = None,  # noqa: ARG002 - Dagster's signature
    ) -> dg.Definitions:
        """The definitions of this product, without resources and executor."""
        product = self.product
        job = dg.define_asset_job(
            name=f"{product.name}_pipeline",
            selection=dg.AssetSelection.groups(product.name),
            description=f"Raw data to registered version of {product.model}.",
            tags={PRODUCT_TAG: product.name},
            owners=list(product.owners),
        )
        schedules: list[Any] = []
        if product.schedule is not None:
            schedules.append(
                pipeline_schedule(
                    name=f"{product.name}_schedule",
                    job=job,
                    cron=product.schedule,
                    products=(product.name,),
                )
            )
        reports = report_job(product)
        if product.watched.partitions == "daily":
            schedules.append(report_schedule(product, reports))
        retraining = product.watched.retraining
        return dg.Definitions(
            assets=[*product_assets(product), *report_assets(product)],
            jobs=[job, reports],
            schedules=schedules,
            sensors=[retraining_sensor(product, retraining, job)] if retraining else [],
        )


def guard_resource(guard: Guard) -> dg.ResourceDefinition:
    """The guard as a resource: launch-time configuration of it is refused, not ignored."""
    return dg.ResourceDefinition(
        resource_fn=lambda _context: guard,
        config_schema={},
        description="Authorises and records every action; takes no configuration.",
    )
