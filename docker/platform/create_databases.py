"""Makes the databases of Dagster and MLflow on AWS, with a user each; then ends.

A task of its own, with the database's administrator secret, which nothing else holds. It is
started at every deployment and after a secret was rotated: what is there stays, and the users get
the passwords that the secrets hold now. The composed stack has
``docker/postgres/create-databases.sh`` for the same.

Environment: DB_HOST, MASTER_SECRET (JSON with ``username`` and ``password``),
DAGSTER_DB_PASSWORD, MLFLOW_DB_PASSWORD; DB_PORT where it is not 5432.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

CONNECT_SECONDS: Final = 60  # a serverless database that sleeps takes some to wake up
LOCK: Final = 0x1EA5E  # advisory lock: of two of these jobs, one waits
PASSWORDS: Final[Mapping[str, str]] = {
    "dagster": "DAGSTER_DB_PASSWORD",
    "mlflow": "MLFLOW_DB_PASSWORD",
}


class Unusable(Exception):
    """The environment does not say what this job needs."""


@dataclass(frozen=True)
class Task:
    """What is to be made, and where; passwords stay out of the repr.

    Args:
        host: Address of the database server.
        port: Its port.
        administrator: User who may make roles and databases.
        password: The administrator's.
        passwords: User, which is also the database, to password.
    """

    host: str
    port: int
    administrator: str
    password: str = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)


def read_task(environ: Mapping[str, str]) -> Task:
    """Reads and checks the environment.

    Args:
        environ: Environment variables.

    Raises:
        Unusable: A variable is missing or no secret; names it and shows no value.
    """
    needed = ["DB_HOST", "MASTER_SECRET", *PASSWORDS.values()]
    missing = [name for name in needed if not environ.get(name)]
    if missing:
        raise Unusable(f"{', '.join(missing)} unset; see the task definition's secrets")
    try:
        secret = json.loads(environ["MASTER_SECRET"])
        administrator, password = str(secret["username"]), str(secret["password"])
    except (ValueError, KeyError, TypeError):
        raise Unusable("MASTER_SECRET is no JSON with username and password") from None
    port = environ.get("DB_PORT") or "5432"
    if not port.isdecimal():
        raise Unusable(f"DB_PORT is {port!r}, expected a number")
    return Task(
        host=environ["DB_HOST"],
        port=int(port),
        administrator=administrator,
        password=password,
        passwords={user: environ[name] for user, name in PASSWORDS.items()},
    )


def provide(task: Task) -> list[str]:
    """Makes what is missing.

    Args:
        task: What and where.

    Returns:
        One line per database, for the log.

    Raises:
        psycopg2.Error: The server does not answer, or refuses.
    """
    connection = psycopg2.connect(
        host=task.host,
        port=task.port,
        user=task.administrator,
        password=task.password,
        dbname="postgres",
        sslmode="require",
        connect_timeout=CONNECT_SECONDS,
    )
    with contextlib.closing(connection):
        connection.autocommit = True  # a database cannot be made inside a transaction
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            lines = [_provide(cursor, name, task.passwords[name]) for name in task.passwords]
            cursor.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    return lines


def main() -> int:
    """Provides what the environment asks for.

    Returns:
        0, or 1 after saying what is wrong.
    """
    try:
        for line in provide(read_task(os.environ)):
            print(line)
    except (Unusable, psycopg2.Error) as error:
        print(f"{type(error).__name__}: {str(error).strip()}", file=sys.stderr)
        return 1
    return 0


def _provide(cursor: Any, name: str, password: str) -> str:
    identifier = sql.Identifier(name)
    cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", [name])
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(identifier))
    # Hashed here, so that no log of statements shows it.
    digest = encrypt_password(password, name, cursor.connection, "scram-sha-256")
    cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(identifier, sql.Literal(digest)))
    # The administrator of a managed database is no superuser and must be a member to hand over.
    cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(identifier))
    cursor.execute("SELECT FROM pg_database WHERE datname = %s", [name])
    made = cursor.fetchone() is None
    if made:
        cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(identifier, identifier))
    cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(identifier))
    return f"database {name}: {'made' if made else 'in place'}, password set"


if __name__ == "__main__":
    sys.exit(main())
