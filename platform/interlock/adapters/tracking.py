"""MLflow's runs of training: open, write to, end.

It decides nothing: which run may open is decided in ``actions``. A run is opened inside a
governed action and ends with it in every case, also when the step runs in Dagster's ad-hoc
asset job, which carries no hooks (ADR-0007 says why this is not
``dagster_mlflow.mlflow_tracking``).
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from interlock.adapters.mlflow_connection import MlflowConnection, quiet, translated
from interlock.errors import RegistryError

_REQUIREMENTS = ("cloudpickle", "mlflow", "numpy", "pandas", "scikit-learn", "scipy")
_XGBOOST = ("xgboost-cpu", "xgboost")  # by platform, see pyproject.toml


def pinned_requirements() -> list[str]:
    """What is needed to load a model, at the versions that trained it."""
    return [
        f"{name}=={version}"
        for name in (*_REQUIREMENTS, *_XGBOOST)
        if (version := _installed_version(name)) is not None
    ]


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


class TrackedRun:
    """An open MLflow run: what a training step may write to it."""

    def __init__(self, client: Any, experiment_id: str, run_id: str) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self.run_id = run_id

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record parameters as text."""
        from mlflow.entities import Param

        with translated("record parameters"):
            self._client.log_batch(
                self.run_id, params=[Param(key, str(value)) for key, value in params.items()]
            )

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Record metrics; the unit is the metric's own."""
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        with translated("record metrics"):
            self._client.log_batch(
                self.run_id,
                metrics=[Metric(key, value, now, 0) for key, value in metrics.items()],
            )

    def log_file(self, path: Path, folder: str) -> None:
        """Store a local file among the run's artifacts."""
        with translated(f"store {path.name}"):
            self._client.log_artifact(self.run_id, str(path), folder)

    def log_child(
        self,
        *,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, object],
        metrics: Mapping[str, float],
        failed: bool,
    ) -> str:
        """Record one candidate as a finished child run.

        Returns:
            The child's run id.
        """
        with translated(f"record candidate {name}"):
            child = self._client.create_run(
                self._experiment_id,
                run_name=name,
                tags={**tags, "mlflow.parentRunId": self.run_id},
            )
        run = TrackedRun(self._client, self._experiment_id, child.info.run_id)
        run.log_params(params)
        run.log_metrics(metrics)
        with translated(f"end candidate {name}"):
            self._client.set_terminated(run.run_id, "FAILED" if failed else "FINISHED")
        return run.run_id

    def log_model(self, model: Any, *, example: Any, scores: Any) -> str:
        """Store a fitted scikit-learn pipeline with signature, example and requirements.

        cloudpickle, because MLflow's default format refuses XGBoost and differs in bytes
        from save to save anyway; the digest protects what is loaded.

        Args:
            model: The fitted pipeline.
            example: A few rows of features, a DataFrame.
            scores: The pipeline's scores for these rows, shape (n,), probabilities.

        Returns:
            Its address, ``models:/m-...``.
        """
        import mlflow.sklearn
        from mlflow.models import infer_signature

        with translated("store the model"), quiet("mlflow.sklearn", "mlflow.utils.environment"):
            info = mlflow.sklearn.log_model(
                model,
                name="model",
                signature=infer_signature(example, scores),
                input_example=example,
                pip_requirements=pinned_requirements(),
                serialization_format=mlflow.sklearn.SERIALIZATION_FORMAT_CLOUDPICKLE,
                pyfunc_predict_fn="predict_proba",
            )
        return str(info.model_uri)


class ExperimentTracker:
    """Opens runs, one experiment per model product."""

    def __init__(self, connection: MlflowConnection) -> None:
        self._connection = connection

    def _experiment(self, product: str) -> str:
        with translated(f"open experiment {product}"):
            experiment = self._connection.client.get_experiment_by_name(product)
            if experiment is not None:
                return str(experiment.experiment_id)
            return str(
                self._connection.client.create_experiment(
                    product, artifact_location=self._connection.artifact_root
                )
            )

    @contextlib.contextmanager
    def run(self, *, product: str, name: str, tags: Mapping[str, str]) -> Iterator[TrackedRun]:
        """Open a run; it ends as FINISHED, FAILED or KILLED, whatever happens inside.

        Args:
            product: Names the experiment.
            name: The run's name.
            tags: The run's tags.

        Yields:
            The open run.
        """
        import mlflow

        experiment = self._experiment(product)
        with translated("open a run"):
            # By its id: without one MLflow resumes the run that MLFLOW_RUN_ID names.
            created = self._connection.client.create_run(experiment, run_name=name, tags=dict(tags))
            active = mlflow.start_run(run_id=created.info.run_id, log_system_metrics=False)
        try:
            yield TrackedRun(self._connection.client, experiment, active.info.run_id)
        except BaseException as error:
            try:
                with translated("end the run"):
                    mlflow.end_run("FAILED" if isinstance(error, Exception) else "KILLED")
            except RegistryError as second:
                error.add_note(f"the MLflow run {active.info.run_id} stays open: {second}")
            raise
        with translated("end the run"):
            mlflow.end_run("FINISHED")

    def end_abandoned_runs(self, product: str, dagster_run: str) -> tuple[str, ...]:
        """End runs that a killed process left open, as KILLED.

        Args:
            product: Names the experiment.
            dagster_run: Runs with this ``dagster_run_id`` tag.

        Returns:
            The ids of the runs that were ended.
        """
        experiment = self._experiment(product)
        with translated("find abandoned runs"):
            found = self._connection.client.search_runs(
                [experiment],
                f"tags.dagster_run_id = '{dagster_run}' and attributes.status = 'RUNNING'",
            )
            for run in found:
                self._connection.client.set_terminated(run.info.run_id, "KILLED")
        return tuple(run.info.run_id for run in found)
