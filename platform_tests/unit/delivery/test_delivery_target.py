"""Where a deployment goes, what it takes from AWS, and what it asks the registry."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import check_models
import pytest
import release_images
import run_job
from aws_api import AwsApi
from delivery_target import DeliveryTarget, target_of
from one_shot import exit_code
from revisions import reimaged
from rollout import Timing

from interlock.errors import ConfigurationError, ProcessFailed

DOCUMENT: dict[str, Any] = {
    "subnets": ["subnet-0123456789abcdef0"],
    "security_group": "sg-0123456789abcdef0",
    "alarms": ["interlock-staging-tasks-mlflow"],
    "cluster": "interlock-staging",
    "services": {"mlflow": "mlflow"},
}
DIGEST = "sha256:" + "1" * 64


def test_names_follow_from_the_environment() -> None:
    target = target_of("staging", json.dumps(DOCUMENT))
    assert target.cluster == "interlock-staging"
    assert target.family("run") == "interlock-staging-run"
    assert target.repository("mlflow") == "interlock-staging/mlflow"
    assert "interlock-staging-run-spot" in target.job_definitions


@pytest.mark.parametrize(
    ("environment", "change"),
    [
        ("qa", {}),
        ("prod", {}),
        ("prod", {"cluster": "interlock-prod", "alarms": []}),
        ("staging", {"alarms": "all"}),
        ("staging", {"alarms": [""]}),
        ("staging", {"subnets": []}),
        ("staging", {"subnets": ["subnet-1; id"]}),
        ("staging", {"security_group": ["sg"]}),
        ("staging", {"security_group": "sg-1; id"}),
        ("staging", {"cluster": "../x"}),
        ("staging", {"cluster": "interlock-prod"}),
        ("staging", {"cluster": 1}),
    ],
)
def test_target_that_is_not_usable_is_refused(environment: str, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        target_of(environment, json.dumps(DOCUMENT | change))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"subnets": []}'])
def test_target_that_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="delivery target"):
        target_of("staging", text)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("host/interlock-dev/platform:1", f"host/interlock-dev/platform@{DIGEST}"),
        (f"host:5000/x/platform@sha256:{'0' * 64}", f"host:5000/x/platform@{DIGEST}"),
        (f"platform:1@sha256:{'0' * 64}", f"platform@{DIGEST}"),
        ("host:5000/other/collector:1", "host:5000/other/collector:1"),
        ("host/platform/sidecar", "host/platform/sidecar"),
    ],
)
def test_image_changes_its_digest_and_nothing_else(image: str, expected: str) -> None:
    assert reimaged(image, {"platform": DIGEST}) == expected


def test_exit_code_is_that_of_the_container_that_failed() -> None:
    containers = [{"exitCode": 0}, {"exitCode": 137}, {"name": "never ran"}]
    assert exit_code("f", {"containers": containers}) == 137
    assert exit_code("f", {"containers": [{"exitCode": -9}, {"exitCode": 0}]}) == -9
    with pytest.raises(ProcessFailed, match="no image"):
        exit_code("f", {"containers": [{}], "stoppedReason": "no image"})


@pytest.mark.parametrize("text", ["a b;c", "--json", "Model@@x", "Model@", "$(id)"])
def test_models_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no MODEL"):
        check_models.references(text)


def test_environment_that_serves_no_model_has_nothing_to_check(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert check_models.main(["--models="]) == 0
    assert "none is checked" in capsys.readouterr().out
    assert check_models.references(" A  B@challenger ") == ["A", "B@challenger"]


@pytest.mark.parametrize(
    ("script", "expected"), [("exit 0", 0), ("exit 2", 2), ("kill -9 $$", 1), ("kill -15 $$", 1)]
)
def test_check_that_was_killed_permits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: int
) -> None:
    command = tmp_path / "interlock"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert check_models.main(["--models=Model"]) == expected


@pytest.fixture
def target(aws_environment: AwsApi) -> DeliveryTarget:
    """An environment on the local API in which nothing is yet."""
    name = aws_environment.new_name("interlock") + "-staging"
    return target_of("staging", json.dumps(DOCUMENT | {"cluster": name}))


def test_command_over_there_that_cannot_be_run_is_said(
    target: DeliveryTarget, capsys: pytest.CaptureFixture[str]
) -> None:
    document = json.dumps(DOCUMENT | {"cluster": target.name})
    words = ["--environment=staging", f"--target={document}", "--", "interlock", "doctor"]
    assert run_job.main(words) == 2
    assert "error:" in capsys.readouterr().err


def test_findings_of_the_registry_are_counted(
    target: DeliveryTarget, aws_environment: AwsApi
) -> None:
    repository = target.repository("mlflow")
    with aws_environment.client("ecr") as ecr:
        ecr.create_repository(repositoryName=repository)
        answer = ecr.put_image(
            repositoryName=repository,
            imageTag="x",
            imageManifest=json.dumps({"layers": []}),
            imageManifestMediaType="application/vnd.oci.image.manifest.v1+json",
        )
        digest = answer["image"]["imageId"]["imageDigest"]
        with pytest.raises(ProcessFailed, match="gave no result"):
            release_images.wait_for_findings(ecr, repository, digest, seconds=0, poll_seconds=0.01)
        ecr.start_image_scan(repositoryName=repository, imageId={"imageDigest": digest})
        counts = release_images.wait_for_findings(
            ecr, repository, digest, seconds=5, poll_seconds=0.01
        )
    assert sum(counts.values()) > 0


def test_a_deployment_and_its_way_back_end_within_the_hour_of_its_credentials() -> None:
    timing = Timing()
    smoke_seconds = 600  # `make smoke-test`
    forth = timing.job_seconds + timing.stable_seconds + smoke_seconds + timing.watch_seconds
    assert forth + timing.stable_seconds <= 3600 - 300
