"""The tasks of the platform module are told what the composed stack's containers are told."""

from __future__ import annotations

import re
from typing import Any, Final

import hcl2
import pytest
import yaml

from interlock.settings import REPOSITORY
from interlock.variables import VARIABLES

PLATFORM: Final = REPOSITORY / "infrastructure" / "terraform" / "modules" / "platform"
# What only a store and a database on the same machine need, and keys in place of roles.
OF_COMPOSE_ALONE: Final = {
    "AWS_ACCESS_KEY_ID",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_ENDPOINT_URL_S3",
    "AWS_SECRET_ACCESS_KEY",
    "MLFLOW_S3_ENDPOINT_URL",
}
# These come with the settings of the operator there.
AUDIT: Final = {"AUDIT_LOG_PREFIX", "AUDIT_RETENTION_DAYS"}


def local_values(file: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for block in hcl2.loads((PLATFORM / file).read_text())["locals"]:
        found |= block
    return found


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
    return document


def names(values: Any) -> set[str]:
    return {name for name in values if not name.startswith("__")}


CONTAINERS: Final = {
    name: each
    for name, each in local_values("containers.tf")["containers"].items()
    if name[:2] != "__"
}
SERVICES: Final = sorted(set(CONTAINERS) - {"run", "jobs", "databases"})


def test_storage_is_described_by_the_same_variables() -> None:
    composed = names(compose()["x-storage"]) - OF_COMPOSE_ALONE - AUDIT

    assert names(local_values("containers.tf")["storage"]) == composed | {"AWS_REGION"}


def test_settings_are_what_compose_hands_on_and_exist() -> None:
    text = (PLATFORM / "variables.tf").read_text()
    listed = text.split('variable "settings"')[1].split("])) == 0")[0]
    allowed = set(re.findall(r'"([A-Z_0-9]+)"', listed))

    # Whose signatures are believed comes from the key service there.
    public_keys = {"APPROVAL_PUBLIC_KEYS", "IDENTITY_PUBLIC_KEYS"}
    assert allowed == (names(compose()["x-governance"]) | AUDIT) - public_keys
    assert public_keys <= names(compose()["x-governance"])
    assert allowed <= set(VARIABLES)


def test_mlflow_is_told_the_same_and_who_may_call_it() -> None:
    composed = names(compose()["services"]["mlflow"]["environment"]) - OF_COMPOSE_ALONE
    told = names(CONTAINERS["mlflow"]["environment"])

    assert told - composed == {"AWS_REGION", "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", "PGSSLMODE"}
    assert composed <= told


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_checked_the_same_way(service: str) -> None:
    *_, composed = compose()["services"][service]["healthcheck"]["test"]
    *_, there = CONTAINERS[service]["health"]
    if composed.endswith(".py"):
        assert there.strip('"') == composed
    else:
        (path,) = re.findall(r"localhost:\d+(/\w+)", composed)
        assert f'"{path}"' in there


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_writes_where_it_does_in_compose(service: str) -> None:
    composed = compose()["services"][service]
    volumes = [str(volume).split(":")[1] for volume in composed.get("volumes", [])]
    mounted = {str(folder).split(":")[0] for folder in composed["tmpfs"]} | set(volumes)
    # Keys and tokens come from AWS's own services there, and web servers keep their home in /tmp.
    kept = ("/var/lib/interlock", "/keys/", "/tokens/")
    folders = {folder for folder in mounted if not folder.startswith(kept)}

    assert {f"/{each.strip(chr(34))}" for each in CONTAINERS[service]["writable"]} == folders


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_listens_on_the_same_port(service: str) -> None:
    ports = local_values("main.tf")["ports"]
    published = [each.rsplit(":", 1)[1] for each in compose()["services"][service].get("ports", [])]

    if published:
        assert [str(ports[service])] == published
    else:
        assert service in {"code-server", "dagster-daemon"}  # inside the stack alone


def test_all_images_run_as_the_same_user() -> None:
    user = local_values("containers.tf")["user_id"]
    for service in SERVICES:
        assert compose()["services"][service]["user"] == f"{user}:{user}"


@pytest.mark.parametrize(
    "image", sorted({each["image"].strip('"') for each in CONTAINERS.values()})
)
def test_images_declare_the_folders_that_their_tasks_write_to(image: str) -> None:
    """An empty folder on Fargate belongs to root, unless the image has a volume of that path."""
    folders = {
        f"/{folder.strip(chr(34))}"
        for each in CONTAINERS.values()
        if each["image"].strip('"') == image
        for folder in each["writable"]
    }
    dockerfile = (REPOSITORY / "docker" / image / "Dockerfile").read_text()
    declared = set(
        re.findall(r'"(/[^"]+)"', " ".join(re.findall(r"^VOLUME (.+)$", dockerfile, re.M)))
    )

    assert folders <= declared
