"""Rows of a source as a reference's columns, with the scores that a model gives them.

Here rows are read, typed as the reference has them, and scored, one batch at a time. What is
counted of them is ``ml.profiles``; which model and which rows is ``interlock.actions``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from interlock.adapters.mlflow_connection import quiet, translated
from interlock.adapters.raw_rows import raw_batches
from interlock.adapters.table_files import TableFile, typed, typed_as
from interlock.errors import ProfileError, TrainingError
from interlock.ml.features import feature_frame
from interlock.ml.monitoring import SCORE
from interlock.ml.profile_plan import ColumnKind, Family, ProfilePlan
from interlock.ml.profiling import check_schema
from interlock.ml.source import Source
from interlock.ml.training import scores_of

_AS_NUMBERS: Final = frozenset(Family) - {Family.TEXT}


def load_pipeline(folder: Path) -> Any:
    """The fitted pipeline in a model's files, whose digest the caller has proven.

    Raises:
        RegistryError: They cannot be loaded.
    """
    import mlflow.sklearn

    with translated(f"load the model in {folder.name}"), quiet("mlflow.sklearn"):
        return mlflow.sklearn.load_model(str(folder))


def scored_batches(
    path: Path,
    source: Source,
    *,
    plan: ProfilePlan,
    pipeline: Any,
    features: Sequence[str],
    null_values: Sequence[str] = (),
    decimal: str = ".",
    keep: Sequence[str] = (),
) -> Iterator[pl.DataFrame]:
    """Rows of a file as the reference's columns, with ``SCORE``.

    An infinite number is scored as a missing one; it is counted as what it is.

    Args:
        path: The source's bytes on this machine.
        source: How to read them.
        plan: Of the reference; its features are among the columns.
        pipeline: Scores a feature frame.
        features: The model's, in its order.
        null_values: Texts besides blanks that mean "no value".
        decimal: Decimal mark of numbers written as text.
        keep: Columns to hand on as they were written, in place of what the reference has of them:
            a time without zone is not one of UTC.

    Yields:
        Batches with the plan's columns and those to keep.

    Raises:
        ProfileError: Columns are missing or of another type.
        SourceError: The bytes are not what the source declares, or a value is of another type.
    """
    file = typed_as(TableFile(path, null_values=tuple(null_values), decimal=decimal), plan)
    names = [column.name for column in plan.columns if column.name != SCORE]
    texts = {column.name for column in plan.columns if column.family is Family.TEXT}
    rows = 0
    for raw in raw_batches(path, source):
        _require(raw, [*names, *keep])
        table = pl.DataFrame(
            [
                typed(file, raw[name], rows_before=rows)
                if raw[name].dtype == pl.String and name not in texts
                else _present(raw[name], null_values)
                for name in names
            ]
        )
        check_schema(plan, {**table.schema, SCORE: pl.Float64()})
        rows += raw.height
        score = score_rows(pipeline, table, plan, features)
        yield table.with_columns(score, *(raw[name] for name in dict.fromkeys(keep)))


def score_rows(
    pipeline: Any, table: pl.DataFrame, plan: ProfilePlan, features: Sequence[str]
) -> pl.Series:
    """The model's score of each row, named ``SCORE``."""
    import pandas as pd

    if not table.height:
        return pl.Series(SCORE, [], dtype=pl.Float64)
    empty = [name for name in features if not _finite(table[name]).drop_nulls().len()]
    filled = [name for name in features if name not in empty]
    source = pl.DataFrame([_finite(table[name]) for name in filled]).to_pandas()
    try:
        # A batch may hold no value of a column, of which training would learn nothing.
        frame = feature_frame(source, filled) if filled else pd.DataFrame(index=range(table.height))
    except TrainingError as error:
        raise ProfileError(
            f"the rows cannot be scored: {error.message}", remedy="correct the data"
        ) from error
    for name in empty:
        column = plan.column(name)
        numbers = column.kind is ColumnKind.NUMERIC or column.family in _AS_NUMBERS
        frame[name] = pd.Series([None] * len(frame), dtype="float64" if numbers else "object")
    return pl.Series(SCORE, scores_of(pipeline, frame[list(features)]))


def _finite(column: pl.Series) -> pl.Series:
    """A column with missing values in place of infinite ones."""
    if not column.dtype.is_float():
        return column
    return column.zip_with(column.is_finite().fill_null(value=True), _nothing(column))


def _present(column: pl.Series, null_values: Sequence[str]) -> pl.Series:
    """Text with missing values where it says so."""
    if column.dtype != pl.String:
        return column
    blank = column.str.strip_chars().is_in(["", *null_values]).fill_null(value=True)
    return column.zip_with(~blank, _nothing(column))


def _nothing(column: pl.Series) -> pl.Series:
    return pl.Series([None], dtype=column.dtype)


def _require(table: pl.DataFrame, names: Sequence[str]) -> None:
    gone = [name for name in names if name not in table.columns]
    if gone:
        unknown = [name for name in table.columns if name not in names]
        more = f"; not in the reference: {', '.join(unknown[:20])}" if unknown else ""
        raise ProfileError(
            f"the columns are not those of the reference; missing: {', '.join(gone[:20])}{more}",
            remedy="rename the columns, or make a reference of data as it is now: train again",
        )
