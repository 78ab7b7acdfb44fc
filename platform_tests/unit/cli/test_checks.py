"""What the doctor finds, on this machine and in the services."""

from __future__ import annotations

import socket
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from product_fixtures import tiny_product, write_defs
from simulators import FakeClock, MemoryObjectStore

from interlock import definitions
from interlock.adapters.directory import Person
from interlock.adapters.environment_mark import write_mark
from interlock.adapters.run_identity import COMMANDS, IdentitySigner
from interlock.adapters.signed_in import SignedIn
from interlock.adapters.signer import LocalSigner
from interlock.assembly import open_directory, utc_now
from interlock.cli import checks_machine, checks_platform
from interlock.cli.checks import Check, Health, checked, fail, ok
from interlock.definitions import load_products
from interlock.errors import StoreUnavailable
from interlock.governance.principal import Environment, IdentitySource, Role
from interlock.local.home import Home
from interlock.local.services import DEFAULT_PORTS
from interlock.product import ModelProduct
from interlock.settings import Settings


def settings_of(home: Path, **environ: str) -> Settings:
    return Settings.from_environment({"INTERLOCK_HOME": str(home), **environ})


def require_remedy(check: Check) -> None:
    assert bool(check.remedy) == (check.health is not Health.OK)


@pytest.mark.parametrize(
    ("version", "health"),
    [
        ((3, 10), Health.FAIL),
        ((3, 11), Health.OK),
        ((3, 13), Health.OK),
        ((3, 14), Health.FAIL),
        ((4, 0), Health.FAIL),
    ],
)
def test_python(version: tuple[int, int], health: Health) -> None:
    check = checks_machine.python_version(version)
    assert check.health is health
    require_remedy(check)


def test_shared_environment_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.prefix", "/opt/own")
    monkeypatch.setattr("sys.base_prefix", "/usr")
    assert checks_machine.virtual_environment().health is Health.OK
    monkeypatch.setattr("sys.base_prefix", "/opt/own")
    check = checks_machine.virtual_environment()
    assert check.health is Health.WARN
    require_remedy(check)


@pytest.mark.parametrize(
    ("found", "health"), [(None, Health.WARN), ("/usr/bin/uv", Health.OK)], ids=["missing", "there"]
)
def test_uv(monkeypatch: pytest.MonkeyPatch, found: str | None, health: Health) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_options: found)
    check = checks_machine.uv()
    assert check.health is health
    require_remedy(check)


@pytest.mark.parametrize(
    ("free", "health"),
    [(500_000_000, Health.FAIL), (2_000_000_000, Health.WARN), (9_000_000_000, Health.OK)],
)
def test_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, health: Health) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: SimpleNamespace(free=free))
    check = checks_machine.disk(tmp_path / "not" / "there" / "yet")
    assert check.health is health
    assert str(tmp_path) in check.found
    require_remedy(check)


def test_home_that_can_be_written(tmp_path: Path) -> None:
    assert "not made yet" in checks_machine.writable(tmp_path / "home").found
    assert checks_machine.writable(tmp_path).health is Health.OK


def test_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    check = checks_machine.writable(tmp_path)
    assert check.health is Health.FAIL
    assert "Permission denied" in check.found
    require_remedy(check)


def test_taken_port_names_it_and_its_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(checks_machine, "DEFAULT_PORTS", replace(DEFAULT_PORTS, mlflow=port))
        checks = {check.name: check for check in checks_machine.ports(Home(tmp_path))}
    taken = checks[f"port {port}"]
    assert taken.health is Health.WARN
    assert "MLflow" in taken.found
    assert "--mlflow-port" in taken.remedy


def test_machine_of_own_services_needs_no_ports(tmp_path: Path) -> None:
    names = [check.name for check in checks_machine.machine_checks(tmp_path, embedded=False)]
    assert names == ["Python", "environment", "uv", "disk", "INTERLOCK_HOME"]
    embedded = [check.name for check in checks_machine.machine_checks(tmp_path, embedded=True)]
    assert embedded[5:] == ["port 3000", "port 5000", "port 8333", "port 8080"]


def test_error_of_ours_is_a_failed_check() -> None:
    def look() -> Check:
        raise StoreUnavailable("s3 does not answer", remedy="start it")

    assert checked("S3", look) == fail("S3", "s3 does not answer", "start it")
    assert checked("S3", lambda: ok("S3", "fine")) == ok("S3", "fine")


def test_policies_and_products_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_defs(tmp_path)
    path = write_defs(tmp_path, name="broken", model="Broken", tier="huge")
    monkeypatch.setattr(definitions, "load_products", lambda: load_products(tmp_path))
    checks = {check.name: check for check in checks_platform.declared_checks()}
    assert checks["policies"].health is Health.OK
    assert checks["product broken"].health is Health.FAIL
    assert str(path) in checks["product broken"].found
    assert checks["product tiny"].health is Health.WARN


@pytest.mark.parametrize(
    ("source", "health"),
    [
        ({"kind": "csv", "path": "data/sample_data.csv"}, Health.OK),
        ({"kind": "csv", "path": "data/absent.csv"}, Health.WARN),
        ({"kind": "parquet", "path": "s3://bucket/key.parquet"}, Health.OK),
        (
            {"kind": "postgres", "dsn_variable": "APPLICANTS", "query": "x", "order_by": ["a"]},
            Health.WARN,
        ),
    ],
    ids=["there", "missing", "in S3", "no secret"],
)
def test_source_of_a_product(source: dict[str, object], health: Health) -> None:
    check = checks_platform.source(tiny_product(source=source))
    assert check.health is health
    require_remedy(check)


def test_secret_of_a_product_is_found_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLICANTS", "postgres://user:secret@host/db")
    source = {"kind": "postgres", "dsn_variable": "APPLICANTS", "query": "x", "order_by": ["a"]}
    product: ModelProduct = tiny_product(source=source)
    check = checks_platform.source(product)
    assert check.health is Health.OK
    assert "secret" not in check.found


@pytest.mark.parametrize(
    ("environ", "health"),
    [
        ({}, Health.OK),
        ({"ENVIRONMENT": "prod", "RUN_OWNER": "ada", "RUN_ROLE": "approver"}, Health.FAIL),
        (
            {
                "ENVIRONMENT": "prod",
                "RUN_OWNER": "ada",
                "RUN_ROLE": "approver",
                "IDENTITY_SOURCE": "env",
            },
            Health.WARN,
        ),
    ],
    ids=["dev", "prod, not chosen", "prod, chosen"],
)
def test_identity(tmp_path: Path, environ: dict[str, str], health: Health) -> None:
    check = checks_platform.identity(settings_of(tmp_path, AUDIT_RETENTION_DAYS="1", **environ))
    assert check.health is health
    assert "verified by env" in check.found
    require_remedy(check)


def test_identity_where_people_sign_in(tmp_path: Path) -> None:
    nobody = checks_platform.identity(settings_of(tmp_path, IDENTITY_SOURCE="local"))
    assert nobody.health is Health.FAIL
    require_remedy(nobody)


def test_as_whom_commands_act_where_people_sign_in(
    tmp_path: Path, store: MemoryObjectStore, clock: FakeClock, approval_key: LocalSigner
) -> None:
    settings = settings_of(
        tmp_path,
        ENVIRONMENT="dev",
        IDENTITY_SOURCE="local",
        IDENTITY_PUBLIC_KEYS=approval_key.public_key.pem.decode(),
    )
    make_buckets(store, settings, clock)
    said = "people sign in (local); commands here act as "
    nobody = checks_platform.identity(settings)
    assert nobody.health is Health.OK
    assert nobody.found.startswith(f"{said}unverified (viewer) until somebody signs in")
    auditor = Person(
        name="ina",
        role=Role.AUDITOR,
        teams=frozenset(),
        source=IdentitySource.LOCAL,
        sessions_from=utc_now() - timedelta(hours=1),
    )
    open_directory(settings, store).add(auditor)
    token = IdentitySigner(approval_key, clock=utc_now).session(
        name="ina", environment="dev", lifetime=timedelta(hours=1), kind=COMMANDS
    )
    SignedIn(settings.home).keep(token)
    assert checks_platform.identity(settings).found == f"{said}ina (auditor)"


@pytest.mark.parametrize(
    ("environ", "health", "says"),
    [
        ({}, Health.OK, "dev demands none"),
        ({"ENVIRONMENT": "prod"}, Health.FAIL, "no version is ever approved"),
        ({"ENVIRONMENT": "prod", "keys": ""}, Health.FAIL, "none counts"),
        ({"ENVIRONMENT": "prod", "keys": "Account: grace"}, Health.WARN, "of grace: where nobody"),
        (
            {"ENVIRONMENT": "prod", "keys": "", "IDENTITY_SOURCE": "local"},
            Health.OK,
            "keys of 1 server(s), and of nobody",
        ),
        ({"keys": "Account: grace"}, Health.OK, "keys of 0 server(s), and of grace"),
    ],
    ids=str,
)
def test_whose_approvals_count_is_said(
    tmp_path: Path,
    approval_key: LocalSigner,
    environ: dict[str, str],
    health: Health,
    says: str,
) -> None:
    if "keys" in environ:
        named = environ.pop("keys")
        pem = f"{named}\n{approval_key.public_key.pem.decode()}"
        environ = {**environ, "APPROVAL_PUBLIC_KEYS": pem}
    check = checks_platform.approvals(settings_of(tmp_path, AUDIT_RETENTION_DAYS="1", **environ))
    assert check.health is health
    assert says in check.found
    require_remedy(check)


def test_waiting_records_are_a_warning(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    assert checks_platform.spool(settings).health is Health.OK
    folder = settings.spool_directory / "2026-01-02" / "stream"
    folder.mkdir(parents=True)
    (folder / "1.json").write_text("{}")
    check = checks_platform.spool(settings)
    assert check.health is Health.WARN
    assert check.found.startswith("1 audit record(s)")


@pytest.fixture
def store(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> MemoryObjectStore:
    made = MemoryObjectStore(clock=clock)
    monkeypatch.setattr(checks_platform, "open_store", lambda _settings: made)
    monkeypatch.setattr(checks_platform, "mlflow", lambda _settings: ok("MLflow", "answers"))
    return made


@pytest.fixture
def in_dev(tmp_path: Path) -> Settings:
    return settings_of(
        tmp_path,
        ENVIRONMENT="dev",
        MLFLOW_TRACKING_URI="http://127.0.0.1:9",
        AWS_ENDPOINT_URL_S3="http://127.0.0.1:9",
    )


def by_name(settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in checks_platform.service_checks(settings)}


def make_buckets(
    store: MemoryObjectStore,
    settings: Settings,
    clock: Callable[[], object],
    *,
    lock: bool = True,
    mark: Environment | None = Environment.DEV,
) -> None:
    for bucket in (settings.data_bucket, settings.artifact_bucket, settings.audit_bucket):
        store.create_bucket(bucket, object_lock=lock and bucket == settings.audit_bucket)
        if mark is not None:
            write_mark(store, bucket, mark, clock=clock)  # type: ignore[arg-type]


def test_services_as_they_should_be(
    store: MemoryObjectStore, in_dev: Settings, clock: FakeClock
) -> None:
    make_buckets(store, in_dev, clock)
    checks = by_name(in_dev)
    assert list(checks) == [
        *("S3", "data bucket", "artifact bucket", "audit bucket", "Object Lock", "MLflow"),
    ]
    assert {check.health for check in checks.values()} == {Health.OK}


def test_missing_buckets_are_named(store: MemoryObjectStore, in_dev: Settings) -> None:
    checks = by_name(in_dev)
    assert checks["S3"].health is Health.OK
    assert "interlock-data" in checks["data bucket"].found
    assert "DATA_BUCKET" in checks["data bucket"].remedy
    assert "Object Lock" not in checks


def test_buckets_of_another_environment_fail(
    store: MemoryObjectStore, in_dev: Settings, clock: FakeClock
) -> None:
    make_buckets(store, in_dev, clock, mark=Environment.PROD)
    check = by_name(in_dev)["data bucket"]
    assert check.health is Health.FAIL
    assert "created for prod, ENVIRONMENT is dev" in check.found


def test_buckets_without_a_mark_fail(
    store: MemoryObjectStore, in_dev: Settings, clock: FakeClock
) -> None:
    make_buckets(store, in_dev, clock, mark=None)
    assert by_name(in_dev)["audit bucket"].health is Health.FAIL


def test_mark_that_nobody_understands_fails(
    store: MemoryObjectStore, in_dev: Settings, clock: FakeClock
) -> None:
    make_buckets(store, in_dev, clock, mark=None)
    store.put_new(in_dev.data_bucket, "_interlock/environment.json", b"prod?")
    assert by_name(in_dev)["data bucket"].health is Health.FAIL


@pytest.mark.parametrize(
    ("environment", "health"), [("dev", Health.WARN), ("staging", Health.FAIL)]
)
def test_store_without_lock_fails_outside_dev(
    store: MemoryObjectStore, in_dev: Settings, clock: FakeClock, environment: str, health: Health
) -> None:
    make_buckets(store, in_dev, clock, lock=False)
    settings = replace(in_dev, environment=Environment(environment))
    check = by_name(settings)["Object Lock"]
    assert check.health is health
    require_remedy(check)


def test_store_that_is_away_is_one_failure(in_dev: Settings) -> None:
    settings = replace(in_dev, aws_access_key_id="key", aws_secret_access_key="secret")
    first = next(checks_platform.service_checks(settings))
    assert (first.name, first.health) == ("S3", Health.FAIL)
    require_remedy(first)


def test_folder_rights_are_left_as_they_were(tmp_path: Path) -> None:
    before = stat.S_IMODE(tmp_path.stat().st_mode)
    checks_machine.writable(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == before
    assert list(tmp_path.iterdir()) == []
