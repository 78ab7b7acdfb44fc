"""The console put together from settings, as its process does it, on the real object store."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from asgi_client import AsgiClient
from click.testing import CliRunner
from stores import ACCESS_KEY, SECRET_KEY, Buckets

from interlock.adapters.environment_mark import write_mark
from interlock.adapters.object_store import S3ObjectStore
from interlock.adapters.signer import LocalSigner, new_private_key
from interlock.assembly import utc_now
from interlock.console.__main__ import command
from interlock.console.server import console, opened_site
from interlock.errors import ConfigurationError
from interlock.governance.principal import Environment
from interlock.local.seaweed import REGION, SeaweedServer
from interlock.settings import load_settings


@pytest.fixture
def configured(
    *,
    tmp_path: Path,
    weed: SeaweedServer,
    s3: S3ObjectStore,
    buckets: Buckets,
    mlflow_template: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Dev, with nothing in it yet; gives the key that signs decisions."""
    for bucket in (buckets.data, buckets.artifacts, buckets.audit):
        write_mark(s3, bucket, Environment.DEV, clock=utc_now)
    key, public, database = (tmp_path / name for name in ("key.pem", "public.pem", "mlflow.db"))
    key.write_bytes(new_private_key())
    key.chmod(0o600)
    public.write_bytes(LocalSigner(key).public_key.pem)
    database.write_bytes(mlflow_template().read_bytes())
    for name, value in {
        "ENVIRONMENT": "dev",
        "RUN_OWNER": "grace",
        "RUN_ROLE": "approver",
        "DATA_BUCKET": buckets.data,
        "ARTIFACT_BUCKET": buckets.artifacts,
        "AUDIT_BUCKET": buckets.audit,
        "INTERLOCK_HOME": str(tmp_path / "home"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{database}",
        "AWS_ENDPOINT_URL_S3": weed.endpoint_url,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": REGION,
        "APPROVAL_KEY": str(key),
        "APPROVAL_PUBLIC_KEYS": str(public),
    }.items():
        monkeypatch.setenv(name, value)
    return key


def test_console_of_an_empty_platform(configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[tuple[Any, dict[str, Any]]] = []

    def run(app: Any, **options: Any) -> None:
        served.append((app, options))
        client = AsgiClient(app)
        page = client.get("/", headers={"accept": "text/html"}).text
        assert "No model is registered in this environment yet" in page
        assert "acts as <strong>grace</strong>, approver" in page
        assert client.get("/audit").status_code == 200
        assert "audit:read" in client.get("/audit").text
        assert client.get("/waiting").status_code == 200
        assert "never verified" in client.get("/integrity").text

    monkeypatch.setattr(uvicorn, "run", run)
    done = CliRunner().invoke(command, ["--port", "3000"], catch_exceptions=False)
    assert done.exit_code == 0
    ((_, options),) = served
    assert (options["host"], options["port"], options["proxy_headers"]) == (
        "127.0.0.1",
        3000,
        False,
    )


def test_where_people_sign_in_a_key_is_needed(
    configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_SOURCE", "local")
    settings = load_settings()
    with opened_site(settings) as site, pytest.raises(ConfigurationError, match="IDENTITY_KEY"):
        console(settings, site, hosts={"localhost:3000"}, secure=False)


def test_without_a_key_the_console_looks_and_signs_nothing(
    configured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("APPROVAL_KEY")
    with opened_site(load_settings()) as site:
        assert site.signer is None


def test_console_never_loads_dagster() -> None:
    code = "import sys, interlock.console.server; print('dagster' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
