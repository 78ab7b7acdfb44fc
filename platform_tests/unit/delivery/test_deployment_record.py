"""The record of a deployment, where it cannot be written or said."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from deployment_record import DeploymentRecord

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_what_cannot_be_written_is_said_and_hinders_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "deployment.json"
    record = DeploymentRecord(path, {}, clock=lambda: NOW, say=said.append)
    record.began({"services": {"mlflow": "arn"}})
    draft = tmp_path / "deployment.json.draft"
    draft.mkdir()  # where it would be written
    record.step("update", "mlflow")
    assert any("could not be written" in line for line in said)
    draft.rmdir()
    record.ended("rolled-back")
    found = json.loads(path.read_text())
    assert [each["step"] for each in found["steps"]] == ["update", "ended"]


def test_closed_pipe_hinders_nothing(tmp_path: Path) -> None:
    def say(_line: str) -> None:
        raise BrokenPipeError

    path = tmp_path / "deployment.json"
    DeploymentRecord(path, {}, clock=lambda: NOW, say=say).ended("succeeded")
    assert json.loads(path.read_text())["status"] == "succeeded"


def test_nothing_begins_without_a_record_of_what_ran_before(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "deployment.json"
    with pytest.raises(OSError, match="missing"):
        DeploymentRecord(path, {}, clock=lambda: NOW, say=print).began({})
