"""What the code server's container does before it serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import create_run_for_test
from programs import load_program

HERE = {GRPC_INFO_TAG: json.dumps({"host": "code-server", "port": 4000})}
ELSEWHERE = {GRPC_INFO_TAG: json.dumps({"host": "other", "port": 4000})}
OVER = {DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return load_program("docker/platform/code_server.py")


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as made:
        yield made


def run(instance: DagsterInstance, status: DagsterRunStatus, tags: dict[str, str]) -> str:
    made = create_run_for_test(instance, job_name="p", status=status, tags=tags)
    return str(made.run_id)


def status_of(instance: DagsterInstance, run_id: str) -> DagsterRunStatus:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return found.status


@pytest.mark.parametrize("status", [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
def test_run_of_a_dead_code_server_is_reported_as_failed(
    program: ModuleType, instance: DagsterInstance, status: DagsterRunStatus
) -> None:
    run_id = run(instance, status, HERE)
    assert program.find_orphans(instance) == [run_id]
    program.end_orphans(instance, [run_id])
    assert status_of(instance, run_id) is DagsterRunStatus.FAILURE
    assert any(program.REASON in entry.message for entry in instance.all_logs(run_id))


def test_run_that_was_being_cancelled_is_reported_as_cancelled(
    program: ModuleType, instance: DagsterInstance
) -> None:
    run_id = run(instance, DagsterRunStatus.CANCELING, HERE)
    program.end_orphans(instance, program.find_orphans(instance))
    assert status_of(instance, run_id) is DagsterRunStatus.CANCELED


@pytest.mark.parametrize(
    ("status", "tags"),
    [
        (DagsterRunStatus.STARTED, ELSEWHERE),
        (DagsterRunStatus.STARTED, {}),
        (DagsterRunStatus.NOT_STARTED, HERE),
        *((status, HERE) for status in sorted(OVER, key=str)),
    ],
)
def test_run_of_somebody_else_or_over_is_left_alone(
    program: ModuleType, instance: DagsterInstance, status: DagsterRunStatus, tags: dict[str, str]
) -> None:
    run_id = run(instance, status, tags)
    assert program.find_orphans(instance) == []
    assert status_of(instance, run_id) is status


def test_run_that_ended_while_its_lease_expired_keeps_its_end(
    program: ModuleType, instance: DagsterInstance
) -> None:
    run_id = run(instance, DagsterRunStatus.CANCELED, HERE)
    program.end_orphans(instance, [run_id])
    assert status_of(instance, run_id) is DagsterRunStatus.CANCELED


def test_scratch_is_emptied_and_links_are_not_followed(program: ModuleType, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    scratch = tmp_path / "scratch"
    (scratch / "run" / "deep").mkdir(parents=True)
    (scratch / "run" / "deep" / "part").touch()
    (scratch / "file").touch()
    (scratch / "link").symlink_to(outside)
    program.empty(scratch)
    assert list(scratch.iterdir()) == []
    assert (outside / "kept").exists()
