"""A Postgres query as CSV: one snapshot, rows in a declared order.

What is read is decided by ``ml.source.PostgresSource``; hashing and files are
``adapters.sources``. The session is read-only, but a product's query is code of its author:
let the connection string name a database user who may only read.
"""

from __future__ import annotations

from typing import Any, Protocol

from interlock.errors import SourceError
from interlock.ml.source import PostgresSource

CONNECT_SECONDS = 10  # a database that is there answers within one
_CODES_THAT_QUOTE_VALUES = {"22", "23"}  # data exceptions, integrity violations (SQL classes)
# Values as text depend on these settings; fixed, equal rows give equal bytes.
_SESSION = (
    "SET LOCAL DateStyle = 'ISO, YMD'",
    "SET LOCAL IntervalStyle = 'iso_8601'",
    "SET LOCAL TimeZone = 'UTC'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL bytea_output = 'hex'",
)


class Sink(Protocol):
    """Takes bytes."""

    def write(self, chunk: bytes, /) -> int:
        """Append a chunk."""
        ...


def copy_query(source: PostgresSource, *, dsn: str, sink: Sink) -> None:
    """Write a query's rows as CSV: UTF-8, commas, a header line, nulls as empty values.

    Args:
        source: What to read.
        dsn: The connection string, a secret; it stands in no error.
        sink: Takes the bytes.

    Raises:
        SourceError: No connection, or the database refuses the query.
    """
    import psycopg2

    connection = _connect(source, dsn)
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        connection.set_client_encoding("UTF8")
        with connection.cursor() as cursor:
            for statement in _SESSION:
                cursor.execute(statement)
            cursor.copy_expert(_copy_statement(source, connection), sink)
    except psycopg2.Error as error:
        found = _text_of(error)
        raise SourceError(
            f"the database refuses the query of {source.dsn_variable}: {found}",
            remedy="correct source.query and source.order_by of the product; psql shows all of it",
        ) from error
    finally:
        connection.close()


def _text_of(error: Any) -> str:
    """What the database says, unless that may quote the values of rows.

    The text ends in the audit trail, from which nothing can be removed.
    """
    code = error.pgcode or ""
    if code[:2] in _CODES_THAT_QUOTE_VALUES:
        return f"{type(error).__name__}, SQLSTATE {code}"
    return error.diag.message_primary or str(error).strip() or type(error).__name__


def _copy_statement(source: PostgresSource, connection: Any) -> str:
    from psycopg2.extensions import quote_ident

    order = ", ".join(quote_ident(name, connection) for name in source.order_by)
    # The line break ends a comment in the query's last line.
    return (
        f"COPY (SELECT * FROM (\n{source.query}\n) AS source ORDER BY {order})"  # noqa: S608 - the query is the product's own declaration
        " TO STDOUT WITH (FORMAT csv, HEADER true)"
    )


def _connect(source: PostgresSource, dsn: str) -> Any:
    """Open a connection; errors name the variable and never what it holds."""
    import psycopg2
    from psycopg2.extensions import make_dsn, parse_dsn

    try:
        parts = parse_dsn(dsn)
    except psycopg2.ProgrammingError:
        # The cause would quote the string, password included.
        raise SourceError(
            f"{source.dsn_variable} holds no valid connection string",
            remedy="write postgresql://user:password@host:5432/database",
        ) from None
    try:
        return psycopg2.connect(make_dsn(dsn, **{"connect_timeout": CONNECT_SECONDS} | parts))
    except psycopg2.OperationalError as error:
        found = " ".join(str(error).split())
        if password := parts.get("password"):
            found = found.replace(password, "***")
        raise SourceError(
            f"no connection to the database of {source.dsn_variable}: {found}",
            remedy="check that it is up and that user and password are right",
        ) from None
