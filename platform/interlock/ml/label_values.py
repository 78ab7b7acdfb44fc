"""Reading ids, times and classes of prediction and label tables, which come from many writers.

How the two tables are joined is in ``ml.label_join``. Reading a training table by its contract
is in ``ml.value_types``, which takes a time without zone for UTC; here that would shift a label
against its prediction, so the zone has to be declared.
"""

from __future__ import annotations

from zoneinfo import ZoneInfo

import polars as pl

from interlock.errors import DataError
from interlock.ml.target import Label, Target

TIME = pl.Datetime("us", "UTC")
"""Type of the times of a joined table."""

_WITH_ZONE = "%Y-%m-%d %H:%M:%S%.f%#z"
_WITHOUT_ZONE = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_SHOWN = 5  # unexpected labels that an error shows


def as_ids(predictions: pl.Series, labels: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The ids of both tables as text that compares; null for a missing or blank one.

    Args:
        predictions: Ids, integers or text.
        labels: Ids of the same kind, or an empty column.

    Returns:
        Both as text.

    Raises:
        DataError: One is text and the other is numbers, or an id is neither.
    """
    kinds = _kind_of_id(predictions, "predictions"), _kind_of_id(labels, "labels")
    if None not in kinds and kinds[0] != kinds[1]:
        raise DataError(
            f"ids are {kinds[0]} in the predictions and {kinds[1]} in the labels",
            remedy="write ids in the same way on both sides; 7 and '007' would not join",
        )
    return _as_text(predictions), _as_text(labels)


def as_times(times: pl.Series, *, zone: str | None, side: str) -> pl.Series:
    """Times in UTC; null where there is none, or none that the zone's clock shows exactly once.

    Args:
        times: Of any datetime or date type, or ISO 8601 text.
        zone: IANA zone of those without one; none refuses them.
        side: Which table, for the error.

    Returns:
        Of type ``TIME``.

    Raises:
        DataError: Times without zone and none declared, an unknown zone, or no times at all.
    """
    if zone is not None:
        _require_zone(zone)
    dtype = times.dtype
    if dtype == pl.Null:
        return times.cast(TIME)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return times.dt.convert_time_zone("UTC").cast(TIME)
    if isinstance(dtype, pl.Datetime) or dtype == pl.Date:
        naive, zoned = times.cast(pl.Datetime("us")), None
    elif dtype == pl.String:
        text = times.str.strip_chars().str.replace("T", " ", literal=True)
        zoned = text.str.to_datetime(_WITH_ZONE, strict=False, time_unit="us").cast(TIME)
        naive = pl.Series([None] * len(text), dtype=pl.Datetime("us"))
        for form in _WITHOUT_ZONE:
            naive = naive.fill_null(text.str.to_datetime(form, strict=False, time_unit="us"))
    else:
        raise DataError(
            f"times of the {side} are of type {dtype}",
            remedy="write times as ISO 8601 text or a datetime type",
        )
    without = len(naive) - naive.null_count()
    if without and zone is None:
        raise DataError(
            f"{without:,} of {len(times):,} times of the {side} have no time zone",
            remedy="write them with their offset, or declare the zone they are meant in",
        )
    local = naive.dt.replace_time_zone(zone or "UTC", ambiguous="null", non_existent="null")
    read = local.dt.convert_time_zone("UTC").cast(TIME)
    return read if zoned is None else zoned.fill_null(read)


def as_outcomes(labels: pl.Series, target: Target) -> pl.Series:
    """Whether a label is the positive class; null for a missing one or one of neither class.

    Raises:
        DataError: There are labels and none of them is of the two classes.
    """
    found = _classes(labels, target)
    if labels.drop_nulls().len() and found.null_count() == len(found):
        shown = labels.drop_nulls().unique(maintain_order=True).head(_SHOWN).to_list()
        raise DataError(
            f"no label is {target.positive!r} or {target.negative!r}; found "
            f"{', '.join(map(repr, shown))}",
            remedy="write labels as the product's `target` does",
        )
    return found


def as_called(predicted: pl.Series, target: Target) -> pl.Series:
    """Whether a row was called positive; null where that cannot be read."""
    return predicted if predicted.dtype == pl.Boolean else _classes(predicted, target)


def _kind_of_id(ids: pl.Series, side: str) -> str | None:
    dtype = ids.dtype
    if dtype == pl.Null or not len(ids):
        return None
    if dtype.is_integer():
        return "integers"
    if dtype == pl.String or isinstance(dtype, pl.Categorical | pl.Enum):
        return "text"
    raise DataError(
        f"ids of the {side} are of type {dtype}",
        remedy="write ids as text or integers; a floating-point number cannot hold every id",
    )


def _as_text(ids: pl.Series) -> pl.Series:
    text = ids.cast(pl.String)
    blank = (text.str.strip_chars() == "").fill_null(value=True)
    return text.zip_with(~blank, pl.Series([None], dtype=pl.String))


def _require_zone(zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise DataError(
            f"time zone {zone!r} is unknown", remedy="name an IANA zone, e.g. Europe/Berlin"
        ) from error


def _classes(values: pl.Series, target: Target) -> pl.Series:
    text = _canonical(values)
    positive = text == _written(target.positive)
    known = positive | (text == _written(target.negative))
    return positive.zip_with(known.fill_null(value=False), pl.Series([None], dtype=pl.Boolean))


def _canonical(values: pl.Series) -> pl.Series:
    """Values as text, whole floats as integers."""
    if values.dtype.is_float():
        whole = (values == values.round()).fill_null(value=False)
        integers = values.cast(pl.Int64, strict=False).cast(pl.String)
        return integers.zip_with(whole, values.cast(pl.String))
    return values.cast(pl.String)


def _written(label: Label) -> str:
    if isinstance(label, bool):
        return "true" if label else "false"
    if isinstance(label, float) and label.is_integer():
        return str(int(label))
    return str(label)
