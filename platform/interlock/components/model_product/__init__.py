"""One model product's YAML as Dagster assets, checks, job and schedule."""

from interlock.components.model_product.component import ModelProductComponent

__all__ = ["ModelProductComponent"]
