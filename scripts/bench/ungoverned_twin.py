"""The demo's work without governance: the same data, candidates, services and orchestrator.

No policies, no audit trail, no leases, no verification of what a step builds on. It exists to
be compared with; nothing of the product can be switched into it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from interlock.adapters.mlflow_connection import MlflowConnection
from interlock.adapters.model_registry import ModelRegistry
from interlock.adapters.object_store import S3ObjectStore
from interlock.adapters.sources import Spooled, spool
from interlock.adapters.tables import apply_contract, to_table
from interlock.adapters.tracking import ExperimentTracker
from interlock.definitions import DEFS
from interlock.governance.principal import Environment
from interlock.local.platform import connected
from interlock.ml.evaluation import permutation_importance
from interlock.ml.plots import evaluation_figures, figure_png
from interlock.ml.training import train
from interlock.product import read_product
from interlock.settings import REPOSITORY, Settings, load_settings

PRODUCT = read_product(DEFS / "credit_risk" / "defs.yaml")


def build(settings: Settings, scratch: Path) -> dg.Definitions:
    """Four plain assets that do what the product's four do."""
    store = S3ObjectStore(
        endpoint_url=settings.s3_endpoint_url,
        access_key=settings.aws_access_key_id,
        secret_key=settings.aws_secret_access_key,
        region=settings.aws_region,
    )
    connection = MlflowConnection(
        tracking_uri=str(settings.mlflow_tracking_uri),
        artifact_root=f"s3://{settings.artifact_bucket}/mlflow",
        environment=Environment.DEV,
    )
    model: dict[str, str] = {}

    @dg.asset
    def raw_data() -> None:
        spooled: Spooled = spool(
            PRODUCT.source, directory=scratch, root=REPOSITORY, store=store, secret=str
        )
        table = to_table(spooled, PRODUCT.source, scratch / "table.parquet")
        store.upload_new(settings.data_bucket, "twin/source", spooled.path)
        store.upload_new(settings.data_bucket, "twin/table.parquet", table.path)

    @dg.asset(deps=[raw_data])
    def validated_data() -> None:
        apply_contract(
            scratch / "table.parquet",
            contract=PRODUCT.contract,
            target=PRODUCT.target,
            protected=PRODUCT.protected,
            accepted=scratch / "accepted.parquet",
            quarantine=scratch / "quarantine.parquet",
            scratch=scratch,
        )
        store.upload_new(settings.data_bucket, "twin/accepted", scratch / "accepted.parquet")

    @dg.asset(deps=[validated_data])
    def trained_model() -> None:
        result = train(
            pd.read_parquet(scratch / "accepted.parquet"),
            features=PRODUCT.features,
            target=PRODUCT.target,
            candidates=PRODUCT.candidates,
            search=PRODUCT.search,
            jobs=2,
            on_progress=lambda _: None,
        )
        importance = permutation_importance(
            result.pipeline,
            result.holdout.table,
            result.holdout.outcome,
            rng=np.random.default_rng(PRODUCT.search.seed),
        )
        with ExperimentTracker(connection).run(product="twin", name="twin", tags={}) as run:
            for each in result.candidates:
                run.log_child(
                    name=each.name,
                    tags={},
                    params=each.parameters,
                    metrics={"mean": each.mean or 0.0},
                    failed=False,
                )
            run.log_metrics(result.evaluation.metrics)
            figures: dict[str, Any] = evaluation_figures(
                result.evaluation, importance, title="twin"
            )
            for name, figure in figures.items():
                path = scratch / f"{name}.png"
                path.write_bytes(figure_png(figure))
                run.log_file(path, "plots")
            example = result.probe.head()
            model["uri"] = run.log_model(
                result.pipeline, example=example, scores=result.pipeline.predict_proba(example)
            )
            model["run"] = run.run_id

    @dg.asset(deps=[trained_model])
    def registered_version() -> None:
        registry = ModelRegistry(connection)
        version = registry.register(model="Twin", source=model["uri"], run_id=model["run"], tags={})
        registry.set_alias(version, "champion")

    return dg.Definitions(
        assets=[raw_data, validated_data, trained_model, registered_version],
        jobs=[dg.define_asset_job("twin_pipeline")],
        executor=dg.in_process_executor,
    )


def main() -> None:
    """Run the twin in an embedded platform of its own."""
    with connected(load_settings()) as settings, tempfile.TemporaryDirectory() as folder:
        job = build(settings, Path(folder)).resolve_job_def("twin_pipeline")
        with dg.DagsterInstance.get() as instance:
            job.execute_in_process(
                instance=instance,
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )


if __name__ == "__main__":
    main()
