"""Drafting a model product's ``defs.yaml`` from its data.

A draft is complete and loads as it is, but a person must read it: every guess carries a
comment that says what was seen. Here are the source, the target and the file as a whole;
columns are ``draft_columns``, looking at them is ``profile``.

The positive class is the value that says so (``yes``, ``1``, ``bad``, ``default``), or else
the rarer one.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from pydantic import ValidationError

from interlock.adapters.csv_dialect import guess_dialect
from interlock.adapters.raw_rows import raw_batches
from interlock.components.model_product.draft_columns import (
    DraftedColumn,
    DraftedColumns,
    draft_columns,
    scalar,
)
from interlock.components.model_product.profile import ColumnProfile, profile_columns
from interlock.errors import ConfigurationError, SourceError
from interlock.ml.columns import ColumnType
from interlock.ml.source import CsvSource, ParquetSource, Source
from interlock.product import COMPONENT_TYPE, ModelProduct

OWNER = "team:name-your-team"
_PARQUET_MAGIC = b"PAR1"
_POSITIVE = {"yes", "y", "1", "true", "t", "bad", "default", "defaulted", "churn", "churned"}
_POSITIVE |= {"fraud", "late", "positive", "pos", "charged off"}
MIN_ROC_AUC = 0.65  # clearly better than chance; a person raises it


def draft_product(name: str, path: Path, target_column: str, *, root: Path) -> str:
    """Write the ``defs.yaml`` of a new product.

    Args:
        name: The product's name.
        path: Its data, CSV or Parquet.
        target_column: What it predicts.
        root: Where relative source paths start.

    Returns:
        The text of the file; it loads as a ``ModelProduct``.

    Raises:
        SourceError: The data cannot be read.
        ConfigurationError: The name is no product name, the target column is missing or has
            not two values, or no column is left to learn from.
    """
    source = _source_of(path, root)
    profiles = profile_columns(raw_batches(path, source))
    if not profiles:
        raise SourceError(f"{path} has no rows", remedy="name a file with a header and rows")
    target = _target_of(profiles, target_column)
    columns = draft_columns(profiles, target_column, target.type)
    text = "\n".join(_document(name, source, columns, target)) + "\n"
    try:
        ModelProduct.model_validate(yaml.safe_load(text)["attributes"])
    except ValidationError as error:
        mistake = error.errors()[0]
        where = ".".join(map(str, mistake["loc"]))
        found = mistake["msg"].removeprefix("Value error, ")
        raise ConfigurationError(
            f"no product can be drafted: {where}: {found}",
            remedy="choose another name, e.g. credit_risk, or other data",
        ) from error
    return text


def _source_of(path: Path, root: Path) -> Source:
    """The source section for a file."""
    try:
        with path.open("rb") as file:
            is_parquet = file.read(len(_PARQUET_MAGIC)) == _PARQUET_MAGIC
    except OSError as error:
        raise SourceError(
            f"{path} cannot be read ({error.strerror or error})",
            remedy="name a CSV or Parquet file",
        ) from error
    absolute, base = path.resolve(), root.resolve()
    inside = absolute.is_relative_to(base)
    written = absolute.relative_to(base).as_posix() if inside else str(absolute)
    if is_parquet:
        return ParquetSource(kind="parquet", path=written)
    delimiter, encoding = guess_dialect(path)
    return CsvSource(kind="csv", path=written, delimiter=delimiter, encoding=encoding)


_TRAINING = """\
  candidates:
    logistic_regression: {}
    random_forest: {}
    hist_gradient_boosting: {}
    xgboost: {}

  search:
    metric: roc_auc
    iterations: 8
    folds: 5
    holdout: 0.2
    seed: 20260101
    sample_rows: 50000
    # What a missed positive and a false alarm cost; only their ratio matters. Ask who knows.
    cost: {false_negative: 1, false_positive: 1}

"""


@dataclass(frozen=True)
class _Target:
    profile: ColumnProfile
    type: ColumnType
    positive: Any
    negative: Any
    positive_share: float
    reason: str


def _target_of(profiles: Sequence[ColumnProfile], name: str) -> _Target:
    """The target, its type and which of its two values is the positive one."""
    profile = next((each for each in profiles if each.name == name), None)
    if profile is None:
        raise ConfigurationError(
            f"the data has no column {name!r}; it has {', '.join(each.name for each in profiles)}",
            remedy="name one of these as target",
        )
    column_type = _target_type(profile)
    counts = _label_counts(profile, column_type)
    if counts is None or len(counts) != 2:  # noqa: PLR2004 - two classes
        found = "many" if counts is None else str(len(counts))
        raise ConfigurationError(
            f"target column {name!r} has {found} values; a target has two",
            remedy="name a column with two values, or make one of it in the data",
        )
    (common, _), (rare, fewer) = counts.most_common()
    telling = [label for label in counts if str(label).strip().lower() in _POSITIVE]
    if len(telling) == 1:
        positive, reason = telling[0], "its name says so"
    else:
        positive, reason = rare, "it is the rarer one"
    return _Target(
        profile=profile,
        type=column_type,
        positive=positive,
        negative=common if positive == rare else rare,
        positive_share=(fewer if positive == rare else counts[common]) / counts.total(),
        reason=reason,
    )


def _target_type(profile: ColumnProfile) -> ColumnType:
    if profile.dtype == pl.Boolean:
        return ColumnType.BOOLEAN
    if profile.readings and profile.readings[0].type is ColumnType.INTEGER:
        return ColumnType.INTEGER
    return ColumnType.CATEGORY


def _label_counts(profile: ColumnProfile, column_type: ColumnType) -> Counter[Any] | None:
    """Rows per label, as the contract's type has it."""
    if profile.counts is None:
        return None
    counts: Counter[Any] = Counter()
    for text, rows in profile.counts.items():
        if column_type is ColumnType.INTEGER:
            counts[int(float(text))] += rows
        elif column_type is ColumnType.BOOLEAN:
            counts[text == "true"] += rows
        else:
            counts[text] += rows
    return counts


def _document(name: str, source: Source, columns: DraftedColumns, target: _Target) -> Iterator[str]:
    """The lines of the file."""
    rows = target.profile.rows
    least = max(rows // 2, 1)
    base_rate = target.positive_share * (1 - target.positive_share)
    yield f"# Drafted from {rows:,} rows. A person must confirm every line: what stands here was"
    yield "# read from the data, and the data may be wrong."
    yield f"type: {COMPONENT_TYPE}"
    yield "attributes:"
    yield f"  name: {scalar(name)}"
    yield f"  model: {_model_name(name)}"
    yield f"  owners: [{OWNER}]  # replace: team:<name> or an e-mail address"
    yield "  tier: medium  # low, medium or high: how much harm a wrong model can do"
    yield ""
    yield from _source_lines(source)
    yield ""
    yield "  contract:"
    yield f"    min_rows: {least}  # half of the rows seen; confirm"
    yield "    max_quarantined: 0.02  # share of rows that may break a rule; confirm"
    yield from columns.settings
    yield "    # Ranges are what was seen and a quarter of its width on either side; confirm each."
    yield "    columns:"
    for column in columns.columns:
        yield from column.lines
    yield ""
    yield "  target:"
    yield f"    column: {scalar(target.profile.name)}"
    yield (
        f"    positive: {scalar(target.positive)}"
        f"  # {target.positive_share:.1%} of the rows; taken because {target.reason}; confirm"
    )
    yield f"    negative: {scalar(target.negative)}"
    missing = target.profile.blanks + target.profile.null_texts.total()
    if missing:
        yield f"    # {missing:,} rows have no label; they go to quarantine"
    yield ""
    yield from _feature_lines(columns.columns)
    yield ""
    yield from _TRAINING.splitlines()
    yield "  # What a version must reach; confirm each limit."
    yield "  gates:"
    yield f"    - {{metric: roc_auc, min: {MIN_ROC_AUC}}}"
    yield (
        f"    - {{metric: brier, max: {math.ceil(base_rate * 1000) / 1000}}}"
        "  # what predicting the same share for everybody reaches"
    )
    yield "    - {metric: data_quality_score, min: 0.98}"
    yield f"    - {{metric: rows, min: {least}}}"
    yield ""
    yield "  schedule: null  # null: every six hours with the others; or five cron fields in UTC"
    yield ""
    yield "  # What versions in use are held against, docs/drift.md; null: the newest snapshot when"
    yield "  # somebody asks. What is beyond its limit suspends the champion's approval."
    yield "  monitoring: null"


def _source_lines(source: Source) -> Iterator[str]:
    yield "  source:"
    yield f"    kind: {source.kind}"
    if isinstance(source, CsvSource | ParquetSource):
        yield f"    path: {scalar(source.path)}"
    if isinstance(source, CsvSource):
        yield f"    delimiter: {scalar(source.delimiter)}"
        yield f"    encoding: {source.encoding}  # guessed from the bytes; confirm"


def _feature_lines(columns: Sequence[DraftedColumn]) -> Iterator[str]:
    """The protected attributes and the features, with what was left out and why."""
    protected = [column.name for column in columns if column.is_protected]
    yield "  # Guessed by name alone; confirm. Their values stand in no report."
    if protected:
        yield "  protected:"
        yield from (f"    - {scalar(name)}" for name in protected)
    else:
        yield "  protected: []"
    yield ""
    yield "  features:"
    for column in columns:
        if column.excluded is None:
            yield f"    - {scalar(column.name)}"
    for column in columns:
        if column.excluded is not None:
            yield f"    # {scalar(column.name)} is left out: {column.excluded}"


def _model_name(name: str) -> str:
    """``credit_risk`` as ``CreditRiskModel``."""
    words = [word for word in name.removesuffix("_model").split("_") if word]
    return "".join(word.capitalize() for word in words) + "Model"
