"""Dagster's instance on AWS: complete, valid, different from the composed one on purpose alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.config import dagster_instance_config
from dagster._core.instance.ref import InstanceRef
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._grpc.types import ExecuteRunArgs
from dagster_aws.s3 import S3ComputeLogManager
from dagster_postgres.utils import pg_config, pg_url_from_config

from interlock.settings import REPOSITORY

COMPOSED = REPOSITORY / "docker" / "dagster"
AWS = COMPOSED / "aws"
PASSWORD = "pass@word"
# What the task definitions give to whoever loads this instance.
VARIABLES = {
    "DAGSTER_DB_HOST": "interlock-staging.cluster-abc.eu-central-1.rds.amazonaws.com",
    "DAGSTER_DB_PASSWORD": PASSWORD,
    "ARTIFACT_BUCKET": "interlock-staging-artifacts",
    "CODE_SERVER_HOST": "code-server.staging.interlock.internal",
    "RUN_TASK_DEFINITION": "interlock-staging-run",
    "RUN_CONTAINER_NAME": "run",
    "ECS_CLUSTER": "interlock-staging",
    "RUN_SUBNETS": "subnet-1,subnet-2,subnet-3",
    "RUN_SECURITY_GROUPS": "sg-1",
    "BATCH_JOB_QUEUE": "interlock-staging-burst",
    "BATCH_JOB_DEFINITION": "interlock-staging-run",
    "MAX_CONCURRENT_RUNS": "40",
}
# ECS, "RunTask": the limit of all overrides of a task.
ECS_OVERRIDE_CHARACTERS = 8192


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def variables_of(value: object) -> set[str]:
    """Every ``{env: NAME}`` in a document."""
    if isinstance(value, dict):
        if set(value) == {"env"}:
            return {value["env"]}
        return set().union(*(variables_of(each) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(variables_of(each) for each in value))
    return set()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(COMPOSED)
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    "section", ["run_retries", "retention", "telemetry", "nux", "local_artifact_storage"]
)
def test_section_is_that_of_the_composed_stack(section: str) -> None:
    assert read(AWS / "dagster.yaml")[section] == read(COMPOSED / "dagster.yaml")[section]


def test_monitoring_differs_in_the_patience_at_the_start_alone() -> None:
    here = read(AWS / "dagster.yaml")["run_monitoring"]
    there = read(COMPOSED / "dagster.yaml")["run_monitoring"]
    assert {**here, "start_timeout_seconds": None} == {**there, "start_timeout_seconds": None}
    assert here["start_timeout_seconds"] > there["start_timeout_seconds"]
    assert here["max_resume_run_attempts"] == 0


def test_limits_of_runs_are_those_of_the_composed_stack_and_their_number_is_a_variable() -> None:
    here = read(AWS / "dagster.yaml")["run_coordinator"]["config"]
    there = read(COMPOSED / "dagster.yaml")["concurrency"]["runs"]
    assert here["tag_concurrency_limits"] == there["tag_concurrency_limits"]
    assert here["max_concurrent_runs"] == {"env": "MAX_CONCURRENT_RUNS"}
    # Dagster takes the limits from one of the two sections.
    assert "concurrency" not in read(AWS / "dagster.yaml")


def test_same_stores_differ_in_their_addresses_alone() -> None:
    here, there = read(AWS / "dagster.yaml"), read(COMPOSED / "dagster.yaml")
    database = {**here["storage"]["postgres"]["postgres_db"]}
    assert database.pop("params") == {"sslmode": "require"}
    assert database.pop("hostname") == {"env": "DAGSTER_DB_HOST"}
    assert database.items() <= there["storage"]["postgres"]["postgres_db"].items()
    logs = {**there["compute_logs"]["config"]}
    del logs["endpoint_url"]
    assert here["compute_logs"]["config"] == logs


def test_every_variable_is_one_that_the_task_definitions_set() -> None:
    named = variables_of(read(AWS / "dagster.yaml")) | variables_of(read(AWS / "workspace.yaml"))
    assert named == set(VARIABLES)


def test_dagster_accepts_the_instance() -> None:
    document, _ = dagster_instance_config(str(AWS))
    assert set(document) == set(read(AWS / "dagster.yaml"))
    written = document["storage"]["postgres"]
    database = process_config(resolve_to_config_type(pg_config()), written)
    assert database.success, database.errors
    assert database.value is not None
    assert pg_url_from_config(database.value) == (
        "postgresql+psycopg2://dagster:pass%40word@"
        f"{VARIABLES['DAGSTER_DB_HOST']}:5432/dagster?sslmode=require"
    )
    ref = InstanceRef.from_dir(str(AWS))
    logs = ref.compute_log_manager
    assert isinstance(logs, S3ComputeLogManager)
    logs._s3_session.close()
    queue = ref.run_coordinator
    assert queue.get_run_queue_config().max_concurrent_runs == 40  # type: ignore[union-attr]
    assert ref.run_launcher_data is not None
    assert ref.run_launcher_data.module_name == "launcher"


def test_workspace_names_the_code_server(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    origins = list(location_origins_from_yaml_paths([str(AWS / "workspace.yaml")]))
    origin: Any = origins[0]
    assert (origin.host, origin.port) == (VARIABLES["CODE_SERVER_HOST"], 4000)


def test_command_of_a_run_carries_no_secret_and_fits_into_a_request() -> None:
    origin = JobPythonOrigin(
        job_name="credit_risk_pipeline",
        repository_origin=RepositoryPythonOrigin(
            executable_path=sys.executable,
            code_pointer=ModuleCodePointer("interlock.definitions", "defs", "/app"),
            entry_point=["dagster"],
            container_context={},
        ),
    )
    ref = InstanceRef.from_dir(str(AWS))
    command = ExecuteRunArgs(origin, run_id="0" * 36, instance_ref=ref).get_command_args()
    text = " ".join(command)
    assert PASSWORD not in text
    assert "DAGSTER_DB_PASSWORD" in text
    assert len(text) < ECS_OVERRIDE_CHARACTERS * 0.75


@pytest.mark.parametrize("image", ["platform", "dagster"])
def test_image_holds_the_instance_and_finds_the_launcher(image: str) -> None:
    text = (REPOSITORY / "docker" / image / "Dockerfile").read_text()
    assert "COPY docker/dagster/aws/ /opt/dagster/aws/" in text
    assert "PYTHONPATH=/opt/dagster" in text
    assert "docker/dagster/launcher.py" in text or "docker/dagster/*.py" in text
    wanted = (REPOSITORY / "docker" / image / "requirements.txt").read_text().splitlines()
    assert {"dagster", "dagster-aws", "dagster-postgres"} <= set(wanted)
