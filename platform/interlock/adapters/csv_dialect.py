"""Guessing how a CSV file is written: its encoding and its delimiter.

For drafts that a person confirms; what is read for a product is read as it declares, by
``adapters.csv_text``.
"""

from __future__ import annotations

import codecs
import csv
import io
from pathlib import Path

from interlock.errors import SourceError

_DELIMITERS = (",", ";", "\t", "|", ":")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# After UTF-8, what most files in Western Europe are; Latin-1 accepts any bytes.
_ENCODINGS = ("utf-8", "cp1252", "latin-1")
_CHUNK = 1 << 20  # bytes
_SAMPLE = 1 << 18  # bytes; some thousand rows


def guess_dialect(path: Path) -> tuple[str, str]:
    """The delimiter and the encoding of a CSV file, as far as its bytes tell.

    Args:
        path: The file.

    Returns:
        Delimiter and encoding.

    Raises:
        SourceError: It cannot be read.
    """
    try:
        encoding = _encoding(path)
        with path.open("rb") as file:
            sample = file.read(_SAMPLE)
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read ({error.strerror or error})", remedy="name a CSV file"
        ) from error
    return _delimiter(sample.decode(encoding, errors="ignore")), encoding


def _encoding(path: Path) -> str:
    """The first encoding in which the whole file is text."""
    with path.open("rb") as file:
        start = file.read(4)
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    return next(encoding for encoding in _ENCODINGS if _decodes(path, encoding))


def _decodes(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        try:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _delimiter(sample: str) -> str:
    """The delimiter that divides every line of the sample into the most columns alike."""
    columns = {delimiter: _columns(sample, delimiter) for delimiter in _DELIMITERS}
    best = max(_DELIMITERS, key=lambda delimiter: columns[delimiter])
    if columns[best]:
        return best
    header = sample.lstrip().split("\n", maxsplit=1)[0]
    return max(_DELIMITERS, key=header.count)


def _columns(sample: str, delimiter: str) -> int:
    """How many columns a delimiter makes; 0 when the rows differ or there is but one."""
    try:
        rows = list(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter))
    except csv.Error:
        return 0
    if len(sample) >= _SAMPLE // 4 and len(rows) > 1:
        rows.pop()  # the sample may end in the middle of it
    widths = {len(row) for row in rows if row}
    return widths.pop() if len(widths) == 1 and widths != {1} else 0
