"""Sources: every bad file is refused with its place, and leaves nothing behind."""

from __future__ import annotations

import errno
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import TypeAdapter, ValidationError
from simulators import MemoryObjectStore

from interlock.adapters.csv_text import BLOCK_BYTES, MAX_LINE_BYTES
from interlock.adapters.new_file import new_file
from interlock.adapters.sources import Spooled, spool
from interlock.adapters.tables import TableInfo, to_table
from interlock.errors import ConfigurationError, SourceChanged, SourceError
from interlock.ml.source import CsvSource, ParquetSource, Source

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


def no_secret(name: str) -> str:
    raise AssertionError(name)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def csv_source(path: Path | str, **settings: Any) -> CsvSource:
    return CsvSource(kind="csv", path=str(path), **settings)


def spooled(source: Source, out: Path, **options: Any) -> Spooled:
    options.setdefault("store", MemoryObjectStore())
    options.setdefault("root", out)
    return spool(source, directory=out, secret=no_secret, **options)


def table_of(
    content: bytes,
    tmp_path: Path,
    *,
    progress: Callable[[int], None] | None = None,
    **settings: Any,
) -> TableInfo:
    """Spool a CSV file of this content and read it."""
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    out = tmp_path / "out"
    out.mkdir(exist_ok=True)
    source = csv_source(path, **settings)
    return to_table(spooled(source, out), source, out / "table.parquet", progress=progress)


def rows_of(info: TableInfo) -> list[tuple[str | None, ...]]:
    return pl.read_parquet(info.path).rows()


def refusal(content: bytes, tmp_path: Path, **settings: Any) -> str:
    """What the refusal of a CSV file says; asserts that no table is left behind."""
    with pytest.raises(SourceError) as caught:
        table_of(content, tmp_path, **settings)
    assert [path.name for path in (tmp_path / "out").iterdir() if "source-" not in path.name] == []
    return caught.value.message


# --- the bytes


def test_bytes_are_copied_exactly_and_named_by_their_hash(tmp_path: Path, out: Path) -> None:
    content = b"a,b\r\n1,\xff\r\n" * 300_000
    (tmp_path / "data.csv").write_bytes(content)
    seen: list[int] = []
    result = spooled(csv_source("data.csv"), out, root=tmp_path, progress=seen.append)
    assert result.path.read_bytes() == content
    assert result.sha256 == hashlib.sha256(content).hexdigest()
    assert result.bytes == len(content) == seen[-1]
    assert seen == sorted(seen)
    assert [path.name for path in out.iterdir()] == [result.path.name]


def test_missing_file(tmp_path: Path, out: Path) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.csv does not exist"):
        spooled(csv_source(tmp_path / "nowhere.csv"), out)
    assert list(out.iterdir()) == []


def test_folder(tmp_path: Path, out: Path) -> None:
    with pytest.raises(SourceError, match="is a folder"):
        spooled(csv_source(tmp_path), out)
    assert list(out.iterdir()) == []


def test_named_pipe_is_refused_and_not_waited_for(tmp_path: Path, out: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceError, match="no regular file"):
        spooled(csv_source(tmp_path / "pipe"), out)


def test_path_through_a_file_is_unreadable(tmp_path: Path, out: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"does not exist|cannot be read"):
        spooled(csv_source(tmp_path / "file" / "data.csv"), out)
    assert list(out.iterdir()) == []


def _append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"9,9\n")


def _rewrite(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    os.utime(path, ns=(0, 0))


def _shrink(path: Path) -> None:
    os.truncate(path, 10)


def _replace(path: Path) -> None:
    other = path.with_name("other.csv")
    other.write_bytes(path.read_bytes())
    os.utime(other, ns=(path.stat().st_mtime_ns,) * 2)
    other.replace(path)


def _remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("meddle", [_append, _rewrite, _shrink, _replace, _remove])
def test_file_that_changes_while_it_is_read(
    tmp_path: Path, out: Path, meddle: Callable[[Path], None]
) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\n" + b"1,2\n" * 700_000)
    touched: list[int] = []

    def on_progress(done: int) -> None:
        if not touched:
            touched.append(done)
            meddle(path)

    with pytest.raises(SourceChanged, match="changed while it was read"):
        spooled(csv_source(path), out, progress=on_progress)
    assert list(out.iterdir()) == []


def test_object_is_read_through_the_store(out: Path) -> None:
    store = MemoryObjectStore()
    store.create_bucket("lake")
    store.put_new("lake", "in/data.csv", b"a,b\n1,2\n")
    result = spooled(csv_source("s3://lake/in/data.csv"), out, store=store)
    assert result.path.read_bytes() == b"a,b\n1,2\n"
    assert result.sha256 == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert result.bytes == 8


def test_missing_object(out: Path) -> None:
    store = MemoryObjectStore()
    store.create_bucket("lake")
    with pytest.raises(SourceError, match=r"s3://lake/in/data\.csv does not exist"):
        spooled(csv_source("s3://lake/in/data.csv"), out, store=store)
    assert list(out.iterdir()) == []


def test_object_that_changes_while_it_is_read(out: Path) -> None:
    class Restless(MemoryObjectStore):
        def download(self, bucket: str, key: str, path: Path) -> None:
            super().download(bucket, key, path)
            self.overwrite(bucket, key, b"a,b\n3,4\n")

    store = Restless()
    store.create_bucket("lake")
    store.put_new("lake", "data.csv", b"a,b\n1,2\n")
    with pytest.raises(SourceChanged):
        spooled(csv_source("s3://lake/data.csv"), out, store=store)
    assert list(out.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's disk without room")
def test_full_disk_is_told_as_such_and_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with new_file(tmp_path / "table.parquet") as temporary:
            temporary.write_bytes(b"half of it")
            with Path("/dev/full").open("wb", buffering=0) as full:
                full.write(b"the rest")

    with pytest.raises(SourceError, match="no room on the disk") as caught:
        write()
    assert "free space" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's disk without room")
def test_full_disk_under_the_parquet_writer_is_told_as_such() -> None:
    from interlock.adapters.parquet import ParquetWriter

    frame = pl.select(pl.int_range(0, 3_000_000).shuffle(1).alias("x"))

    def write() -> None:
        with ParquetWriter(Path("/dev/full")) as writer:
            for part in frame.iter_slices(200_000):
                writer.write(part)

    with pytest.raises(OSError, match="No space left") as caught:
        write()
    assert caught.value.errno == errno.ENOSPC


def test_folder_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"a\n1\n")
    with pytest.raises(SourceError, match="cannot be written"):
        spooled(csv_source(tmp_path / "data.csv"), tmp_path / "nowhere")


def test_secret_that_is_missing_passes_through(out: Path) -> None:
    def secret(name: str) -> str:
        raise ConfigurationError(f"{name} is not set", remedy="set it")

    source: Source = TypeAdapter(Source).validate_python(
        {"kind": "postgres", "dsn_variable": "DSN", "query": "SELECT 1", "order_by": ["a"]}
    )
    with pytest.raises(ConfigurationError, match="DSN is not set"):
        spool(source, directory=out, root=out, store=MemoryObjectStore(), secret=secret)
    assert list(out.iterdir()) == []


# --- the rows


def test_every_value_is_kept_as_written(tmp_path: Path) -> None:
    info = table_of(b'a,b,"c, d"\n007, x ,\n1.50,"say ""hi""",NA\n,"",null\n', tmp_path)
    assert info.columns == ("a", "b", "c, d")
    assert rows_of(info) == [("007", " x ", ""), ("1.50", 'say "hi"', "NA"), ("", "", "null")]
    assert (info.rows, info.preview) == (3, tuple(rows_of(info)))
    assert info.sha256 == hashlib.sha256(info.path.read_bytes()).hexdigest()
    assert info.bytes == info.path.stat().st_size


def test_summary_of_columns(tmp_path: Path) -> None:
    content = (
        b"id,n,rows\n" + b"".join(b"%d,%d,x\n" % (i, i % 7) for i in range(2_000)) + b"9, ,y\n"
    )
    info = table_of(content, tmp_path)
    found = {each.name: each for each in info.summary}
    assert (found["id"].min, found["id"].max, found["id"].distinct) == ("0", "1999", None)
    assert (found["n"].min, found["n"].max, found["n"].distinct) == ("0", "6", 7)
    assert (found["n"].nulls, found["rows"].nulls) == (1, 0)
    assert (found["rows"].min, found["rows"].max, found["rows"].type) == ("x", "y", "text")
    assert len(info.preview) == 5


def test_equal_bytes_give_equal_tables(tmp_path: Path) -> None:
    content = b"a,b\n" + b"1,two\n" * 300_000
    first = table_of(content, tmp_path)
    assert table_of(content, tmp_path).sha256 == first.sha256
    assert first.rows == 300_000


def test_progress_counts_rows(tmp_path: Path) -> None:
    seen: list[int] = []
    table_of(b"a,b\n" + b"1,two\n" * 900_000, tmp_path, progress=seen.append)
    assert len(seen) > 1
    assert seen[-1] == 900_000


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        (b"\xef\xbb\xbfa,b\n1,2\n", {}),
        (b"\xef\xbb\xbfa,b\n1,2\n", {"encoding": "utf-8-sig"}),
        (b"a,b\r\n1,2\r\n", {}),
        (b"a,b\r1,2\r", {}),
        (b"a,b\n1,2", {}),
        (b"\na,b\n\n1,2\n\n\n", {}),
        (b'"a","b"\n"1","2"\n', {}),
        (b"a;b\n1;2\n", {"delimiter": ";"}),
        (b"a\tb\n1\t2\n", {"delimiter": "\t"}),
        ("a,b\n1,2\n".encode("utf-16"), {"encoding": "utf-16"}),
    ],
)
def test_dialects_of_one_table(tmp_path: Path, content: bytes, settings: dict[str, Any]) -> None:
    info = table_of(content, tmp_path, **settings)
    assert info.columns == ("a", "b")
    assert rows_of(info) == [("1", "2")]


def test_quoted_line_breaks_stay_inside_the_value(tmp_path: Path) -> None:
    info = table_of(b'a,"b\n2"\r\n"x\r\ny",z\r\n', tmp_path)
    assert info.columns == ("a", "b\n2")
    assert rows_of(info) == [("x\r\ny", "z")]


def test_latin_1_is_read_as_declared(tmp_path: Path) -> None:
    content = "größe,b\n" + "ä,ß\n" * 700_000
    info = table_of(content.encode("latin-1"), tmp_path, encoding="latin-1")
    assert info.columns == ("größe", "b")
    assert info.rows == 700_000
    assert pl.read_parquet(info.path).unique().rows() == [("ä", "ß")]


def test_utf8_characters_across_chunks(tmp_path: Path) -> None:
    row = "x,€€€\n"
    info = table_of(("a,b\n" + row * 500_000).encode(), tmp_path)
    assert pl.read_parquet(info.path).unique().rows() == [("x", "€€€")]


def test_header_cell_without_text_gets_its_position_as_name(tmp_path: Path) -> None:
    assert table_of(b",b, \n1,2,3\n", tmp_path).columns == ("column_1", "b", "column_3")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"  \n", b"\xef\xbb\xbf"])
def test_empty_file(tmp_path: Path, content: bytes) -> None:
    assert "empty" in refusal(content, tmp_path)


@pytest.mark.parametrize("content", [b"a,b\n", b"a,b", b"a,b\n\n\n"])
def test_header_only(tmp_path: Path, content: bytes) -> None:
    assert "no rows" in refusal(content, tmp_path)


def test_wrong_delimiter_is_named_with_the_likely_one(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds ';' 2 times") as caught:
        table_of(b"a;b;c\n1;2;3\n", tmp_path)
    assert "delimiter: ';'" in caught.value.remedy


def test_table_of_one_column_is_a_table(tmp_path: Path) -> None:
    assert rows_of(table_of(b"a\n1\n2\n", tmp_path)) == [("1",), ("2",)]


@pytest.mark.parametrize(("row", "found"), [(b"4,5", 2), (b"4,5,6,7", 4)])
def test_row_with_fewer_or_more_values_is_refused_with_its_number(
    tmp_path: Path, row: bytes, found: int
) -> None:
    message = refusal(b"a,b,c\n1,2,3\n" + row + b"\n7,8,9\n", tmp_path)
    assert message == f"row 3 has {found} values, the header (row 1) has 3"


def test_ragged_row_far_into_the_file_has_its_number(tmp_path: Path) -> None:
    message = refusal(b"a,b\n" + b"1,secret\n" * 600_000 + b"secret\n", tmp_path)
    assert message.startswith("row 600002 has 1 values")
    assert "secret" not in message


def test_binary_file(tmp_path: Path) -> None:
    assert "byte 5 holds a NUL byte" in refusal(b"a,b\n1\0,2\n", tmp_path)
    assert "line 2 holds a NUL byte" in refusal(b"a,b\n1\0,2\n", tmp_path, encoding="latin-1")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_bytes_of_another_encoding_are_refused_with_their_offset(
    tmp_path: Path, encoding: str
) -> None:
    start = b"a,b\n" + b"1,2\n" * 600_000
    message = refusal(start + b"\xe4,2\n", tmp_path, encoding=encoding)
    assert message == f"byte {len(start)} (0xe4) is no {encoding}"


def test_character_that_the_file_cuts_short_is_refused(tmp_path: Path) -> None:
    assert "byte 6" in refusal(b"a,b\n1,\xe2\x82", tmp_path)


@pytest.mark.parametrize("before", [0, 100_000])
def test_line_of_ten_megabytes_is_refused_with_its_number(tmp_path: Path, before: int) -> None:
    content = b"a,b\n" + b"1,2\n" * before + b"x" * 10_000_000 + b",2\n1,2\n"
    assert f"line {before + 2} is longer than" in refusal(content, tmp_path)


def test_line_just_within_the_limit_is_read(tmp_path: Path) -> None:
    value = b"x" * (MAX_LINE_BYTES - 3)
    info = table_of(b"a,b\n1,2\n" + value + b",y\n3,4\n", tmp_path)
    assert info.rows == 3


def test_quoted_value_that_never_ends_does_not_swallow_rows(tmp_path: Path) -> None:
    assert "a quoted value never ends" in refusal(b'a,b\n1,"x\n2,3\n4,5\n', tmp_path)


def test_row_longer_than_a_block_is_refused(tmp_path: Path) -> None:
    lines = b"x" * 1000 + b"\n"
    content = b'a,b\n1,"' + lines * (3 * BLOCK_BYTES // 1000) + b'"\n'
    assert f"a row is longer than {BLOCK_BYTES:,} bytes" in refusal(content, tmp_path)


def test_header_that_never_ends_is_refused(tmp_path: Path) -> None:
    assert "header cannot be read" in refusal(b'"a,b\n1,2"x,3\n1,2\n', tmp_path)


def test_duplicate_columns(tmp_path: Path) -> None:
    assert (
        refusal(b"a,b,a,b,c\n1,2,3,4,5\n", tmp_path) == "the header names 'a', 'b' more than once"
    )


# --- Parquet


def parquet_table(path: Path, out: Path) -> TableInfo:
    source = ParquetSource(kind="parquet", path=str(path))
    return to_table(spooled(source, out), source, out / "table.parquet")


def test_parquet_keeps_its_types(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "data.parquet"
    words = pa.array(["x", "y", None]).dictionary_encode()
    pq.write_table(pa.table({"n": [1.5, None, 3.0], "i": [1, 2, 3], "w": words}), path)
    info = parquet_table(path, out)
    frame = pl.read_parquet(info.path)
    assert dict(frame.schema) == {"n": pl.Float64, "i": pl.Int64, "w": pl.String}
    assert frame.rows() == [(1.5, 1, "x"), (None, 2, "y"), (3.0, 3, None)]
    assert info.preview[1] == (None, "2", "y")
    assert [each.type for each in info.summary] == ["Float64", "Int64", "text"]
    assert [(each.nulls, each.min, each.max) for each in info.summary] == [
        (1, "1.5", "3"),
        (0, "1", "3"),
        (1, "x", "y"),
    ]


def test_file_that_is_no_parquet(tmp_path: Path, out: Path) -> None:
    (tmp_path / "data.parquet").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(SourceError, match="no Parquet file"):
        parquet_table(tmp_path / "data.parquet", out)
    assert not (out / "table.parquet").exists()


def test_empty_parquet_file(tmp_path: Path, out: Path) -> None:
    (tmp_path / "data.parquet").write_bytes(b"")
    with pytest.raises(SourceError, match="no Parquet file"):
        parquet_table(tmp_path / "data.parquet", out)


def test_damaged_parquet(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": [str(i) for i in range(100_000)]}), path)
    content = bytearray(path.read_bytes())
    content[1000:200_000] = b"\xff" * 199_000
    path.write_bytes(content)
    with pytest.raises(SourceError, match="damaged after row 0"):
        parquet_table(path, out)
    assert not (out / "table.parquet").exists()


def test_parquet_that_cannot_be_a_table(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]), path)
    with pytest.raises(SourceError, match="names 'a' more than once"):
        parquet_table(path, out)
    pq.write_table(pa.table({"a": [[1, 2]]}), path)
    with pytest.raises(SourceError, match="expected a flat column"):
        parquet_table(path, out)
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), path)
    with pytest.raises(SourceError, match="no rows"):
        parquet_table(path, out)
    assert not (out / "table.parquet").exists()


# --- the declaration


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": "s3://bucket"}, "names no object"),
        ({"path": "s3:///key"}, "names no object"),
        ({"path": ""}, "at least 1 character"),
        ({"path": "a\0b"}, "NUL"),
        ({"delimiter": ";;"}, "cannot separate"),
        ({"delimiter": '"'}, "cannot separate"),
        ({"encoding": "utf-9"}, "no known text encoding"),
        ({"encoding": "base64"}, "no known text encoding"),
        ({"kind": "excel"}, "does not match any of the expected tags"),
        ({"sheet": 1}, "Extra inputs"),
    ],
)
def test_source_that_cannot_be_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Source).validate_python({"kind": "csv", "path": "data.csv"} | settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"query": "SELECT 1;"},
        {"query": " "},
        {"order_by": []},
        {"order_by": [""]},
        {"dsn_variable": "postgresql://user:password@host/db"},
    ],
)
def test_query_that_cannot_be_is_refused(settings: dict[str, Any]) -> None:
    source = {"kind": "postgres", "dsn_variable": "DSN", "query": "SELECT 1", "order_by": ["a"]}
    with pytest.raises(ValidationError):
        TypeAdapter(Source).validate_python(source | settings)
