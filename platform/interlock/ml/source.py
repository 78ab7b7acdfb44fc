"""The YAML section ``source``: where a product's data comes from.

Pure declarations. What reads them is ``adapters.sources``; what the data must look like is
``ml.contract``.
"""

from __future__ import annotations

import codecs
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

S3_SCHEME = "s3://"
_ENVIRONMENT_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]*$"


def _checked_path(path: str) -> str:
    if "\0" in path:
        msg = "the path holds a NUL character; remove it"
        raise ValueError(msg)
    if path.startswith(S3_SCHEME):
        bucket, _, key = path.removeprefix(S3_SCHEME).partition("/")
        if not bucket or not key:
            msg = f"{path!r} names no object; write s3://bucket/key"
            raise ValueError(msg)
    return path


class CsvSource(BaseModel):
    """A delimited text file with one header line, quoted as RFC 4180 says.

    Attributes:
        kind: ``csv``.
        path: Local path, relative to the product root or absolute, or ``s3://bucket/key``.
        delimiter: One ASCII character between two values.
        encoding: Any text encoding that Python knows, e.g. ``utf-8`` or ``latin-1``; a
            byte-order mark of UTF-8 is skipped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["csv"]
    path: Annotated[str, Field(min_length=1)]
    delimiter: str = ","
    encoding: str = "utf-8"

    _path = field_validator("path")(_checked_path)

    @field_validator("delimiter")
    @classmethod
    def _is_delimiter(cls, delimiter: str) -> str:
        if len(delimiter) != 1 or not delimiter.isascii() or delimiter in '"\r\n\0':
            msg = f"{delimiter!r} cannot separate values; write one ASCII character"
            raise ValueError(msg)
        return delimiter

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, encoding: str) -> str:
        try:
            "".encode(encoding)
        except (LookupError, ValueError) as error:
            msg = f"{encoding!r} is no known text encoding; write e.g. utf-8 or latin-1"
            raise ValueError(msg) from error
        return codecs.lookup(encoding).name


class ParquetSource(BaseModel):
    """A Parquet file of flat columns.

    Attributes:
        kind: ``parquet``.
        path: Local path, relative to the product root or absolute, or ``s3://bucket/key``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["parquet"]
    path: Annotated[str, Field(min_length=1)]

    _path = field_validator("path")(_checked_path)


class PostgresSource(BaseModel):
    """A query, read in one repeatable, read-only snapshot.

    Attributes:
        kind: ``postgres``.
        dsn_variable: Name of the environment variable that holds the connection string; the
            string itself is a secret and stands in no file.
        query: One SELECT without a final semicolon.
        order_by: Columns of the query's result that fix the order of its rows. Rows that are
            equal in all of them come in any order, so name enough to tell every two apart:
            another order is another snapshot.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["postgres"]
    dsn_variable: Annotated[str, Field(pattern=_ENVIRONMENT_VARIABLE)]
    query: Annotated[str, Field(min_length=1)]
    order_by: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]

    @field_validator("query")
    @classmethod
    def _is_one_query(cls, query: str) -> str:
        if not query.strip() or query.rstrip().endswith(";"):
            msg = "the query must be one SELECT without a final semicolon"
            raise ValueError(msg)
        return query.strip()


Source = Annotated[CsvSource | ParquetSource | PostgresSource, Field(discriminator="kind")]
"""Where a product's data comes from, told apart by ``kind``."""
