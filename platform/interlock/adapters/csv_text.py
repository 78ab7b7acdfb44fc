"""CSV, read strictly: every value as text, exactly as written between the delimiters.

Refused, always with the line or row: bytes that are no text of the declared encoding, NUL
bytes, lines beyond ``MAX_LINE_BYTES``, quoted values that never end, rows with more or fewer
values than the header, and headers that name a column twice or use another delimiter.
Blank lines are no rows. A header cell without text becomes ``column_<position>``.

Parquet and contracts are ``adapters.tables``. Reasons for pyarrow's parser: ADR-0004.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv

from interlock.errors import SourceError

MAX_LINE_BYTES = 1 << 20  # no credit file comes near; a longer line is another kind of file
BLOCK_BYTES = 4 << 20  # one parsed block, and the most that one row may take
_DELIMITERS = (",", ";", "\t", "|", ":", " ")
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_LINE_ENDS = (b"\n", b"\r")


def read_csv(path: Path, *, delimiter: str, encoding: str) -> Iterator[pa.RecordBatch]:
    """The rows of a CSV file, all columns as text.

    Args:
        path: The file.
        delimiter: One ASCII character.
        encoding: Any text encoding that Python knows.

    Yields:
        Batches of at most ``BLOCK_BYTES`` of text; at least one, which may have no row.

    Raises:
        SourceError: See above.
    """
    with path.open("rb") as file:
        text = CheckedText(file, encoding)
        names = _header(text, delimiter)
        try:
            with pa_csv.open_csv(
                pa.PythonFile(text, mode="r"),
                # One thread: only then do errors carry the row.
                read_options=pa_csv.ReadOptions(
                    use_threads=False,
                    block_size=BLOCK_BYTES,
                    column_names=names,
                    skip_rows_after_names=1,
                ),
                parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=False,
                    check_utf8=False,  # CheckedText did
                ),
            ) as reader:
                yield from reader
        except pa.ArrowInvalid as error:
            raise _unparsable(str(error)) from None


def csv_columns(path: Path, *, delimiter: str, encoding: str) -> list[str]:
    """Names of a CSV file's columns.

    Raises:
        SourceError: See above.
    """
    with path.open("rb") as file:
        return _header(CheckedText(file, encoding), delimiter)


class CheckedText:
    """A binary file that yields UTF-8 and refuses what is no text.

    Args:
        file: Open for reading, at its start.
        encoding: What its bytes mean.
    """

    closed = False

    def __init__(self, file: io.BufferedReader, encoding: str) -> None:
        self._file = file
        self._encoding = encoding
        self._is_utf8 = encoding in {"utf-8", "utf-8-sig"}
        self._decoder = codecs.getincrementaldecoder(encoding)("strict")
        self._ready = bytearray()
        self._source_bytes = 0
        self._lines = 0
        self._line_bytes = 0
        self._quotes = 0
        self._started = False  # whether anything but blank lines was seen
        self._last = b""
        self._ended = False

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes of UTF-8, at most ``size``; none at the end."""
        self._fill(size if size >= 0 else BLOCK_BYTES)
        chunk = bytes(self._ready[:size] if size >= 0 else self._ready)
        del self._ready[: len(chunk)]
        return chunk

    def peek(self, size: int) -> bytes:
        """Up to ``size`` of the bytes to be read next."""
        self._fill(size)
        return bytes(self._ready[:size])

    def close(self) -> None:
        """Nothing: the file belongs to the caller."""

    def _fill(self, size: int) -> None:
        while len(self._ready) < size and not self._ended:
            raw = self._file.read(MAX_LINE_BYTES)
            self._ended = not raw
            utf8 = self._decoded(raw)
            if not self._lines and not self._started:
                utf8 = utf8.removeprefix(codecs.BOM_UTF8)
            self._check_lines(utf8)
            if not self._started:
                # The parser would take a blank first line for the header.
                utf8 = utf8.lstrip(b"\r\n")
                self._started = bool(utf8)
            self._last = utf8[-1:] or self._last
            self._ready += utf8
        if self._ended and self._last not in _LINE_ENDS and self._started:
            # The parser takes a header without a line end for a row cut short.
            self._ready += b"\n"
            self._last = b"\n"
        if self._ended and self._quotes % 2:
            raise SourceError(
                f"an odd number of quotation marks ({self._quotes}): a quoted value never ends",
                remedy='close it, and double quotation marks inside quoted values ("")',
            )

    def _decoded(self, raw: bytes) -> bytes:
        """The chunk in UTF-8; NUL bytes and undecodable ones are refused with their place."""
        held = len(self._decoder.getstate()[0])
        try:
            text = self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            place = self._source_bytes - held + error.start
            raise SourceError(
                f"byte {place} ({error.object[error.start]:#04x}) is no {self._encoding}",
                remedy="declare the encoding the file has, e.g. latin-1, or name a text file",
            ) from None
        utf8 = raw if self._is_utf8 else text.encode()
        if "\0" in text:
            line = self._lines + text[: text.index("\0")].count("\n") + 1
            at = f", byte {self._source_bytes + raw.index(0)}" if self._is_utf8 else ""
            raise SourceError(
                f"line {line}{at} holds a NUL byte: this is a binary file",
                remedy="name a text file, or declare the encoding it has, e.g. utf-16",
            )
        self._source_bytes += len(raw)
        return utf8

    def _check_lines(self, utf8: bytes) -> None:
        """Count lines and quotation marks; refuse a line that is too long."""
        start = 0
        while True:
            allowed = start + MAX_LINE_BYTES - self._line_bytes
            end = max(utf8.rfind(mark, start, allowed + 1) for mark in _LINE_ENDS)
            if end >= 0:
                start, self._line_bytes = end + 1, 0
            elif len(utf8) > allowed:
                line = self._lines + utf8.count(b"\n", 0, start) + 1
                raise SourceError(
                    f"line {line} is longer than {MAX_LINE_BYTES:,} bytes",
                    remedy="name a file of one row per line; or a quoted value never ends there",
                )
            else:
                break
        self._line_bytes += len(utf8) - start
        self._lines += utf8.count(b"\n")
        self._quotes += utf8.count(b'"')


def _header(text: CheckedText, delimiter: str) -> list[str]:
    """The names of the columns; leaves the header to be read."""
    start = text.peek(MAX_LINE_BYTES).decode(errors="ignore")
    if not start.strip():
        raise SourceError("the file is empty", remedy="name a file with a header and rows")
    reader = csv.reader(io.StringIO(start, newline=""), delimiter=delimiter, strict=True)
    try:
        names = next(cells for cells in reader if cells)
    except csv.Error as error:
        raise SourceError(
            f"the header cannot be read ({error})", remedy="quote its names as RFC 4180 says"
        ) from None
    if len(names) == 1:
        _refuse_other_delimiter(names[0], delimiter)
    names = [name if name.strip() else f"column_{i}" for i, name in enumerate(names, start=1)]
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise SourceError(
            f"the header names {', '.join(map(repr, repeated))} more than once",
            remedy="give every column a name of its own",
        )
    return names


def _refuse_other_delimiter(header: str, delimiter: str) -> None:
    counts = {other: header.count(other) for other in _DELIMITERS if other != delimiter}
    likely = max(counts, key=lambda other: counts[other])
    if counts[likely]:
        raise SourceError(
            f"the header has one column with delimiter {delimiter!r},"
            f" but holds {likely!r} {counts[likely]} times",
            remedy=f"write delimiter: {likely!r} in the product's source",
        )


def _unparsable(message: str) -> SourceError:
    """The parser's refusal, without the row's values."""
    ragged = _RAGGED.search(message)
    if ragged:
        row, expected, found = ragged.groups()
        return SourceError(
            f"row {row} has {found} values, the header (row 1) has {expected}",
            remedy="correct the row; values that hold the delimiter must be quoted",
        )
    if "straddling" in message:
        return SourceError(
            f"a row is longer than {BLOCK_BYTES:,} bytes: a quoted value never ends",
            remedy='close it, and double quotation marks inside quoted values ("")',
        )
    reason = message.split(":", maxsplit=1)[0]
    return SourceError(f"this is no CSV ({reason})", remedy="correct the file")
