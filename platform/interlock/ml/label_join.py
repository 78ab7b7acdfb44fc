"""Labels that arrive late: joined to the predictions they belong to, and every row accounted for.

Two tables go in. Predictions hold ``id``, ``time``, ``score`` (probability of the positive class),
``predicted`` (what was decided) and any further columns, which are kept; labels hold ``id``,
``label`` and ``time`` (when the outcome became known). The rules:

- a row is used, or set aside with one reason of ``Reason``; nothing is dropped without a count;
- an id that comes twice with equal content counts once, and that is said; one that comes with
  contradicting content is not believed, neither time;
- of equal labels the earliest counts, because the delay ends when the outcome is first known;
- a label older than its prediction is not believed: the outcome was known, or a clock is wrong;
- a prediction whose label is not believed stays in the table without outcome, and so lowers the
  coverage instead of vanishing from it;
- a time without zone is refused unless the caller declares the zone it is meant in; so is a local
  time that the zone's clock shows never or twice;
- the current time is passed in, and nothing is believed that claims to be later.

What the joined table says about the model is in ``ml.performance``; reading files is elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import polars as pl

from interlock.errors import DataError
from interlock.ml.label_values import as_called, as_ids, as_outcomes, as_times
from interlock.ml.target import Target

PREDICTION_COLUMNS = ("id", "time", "score", "predicted")
LABEL_COLUMNS = ("id", "label", "time")
ADDED_COLUMNS = ("outcome", "label_time", "label_state")
"""Columns that the joined table has besides those of the predictions."""

DELAY_SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
"""Quantiles kept of the delay of labels."""

_ROW, _WHY = "__row", "__why"
_SAME_IDS = "see that both tables write the same id in the same way"


class Reason(StrEnum):
    """Why a row was set aside."""

    MISSING_ID = "missing_id"
    UNUSABLE_TIME = "unusable_time"
    IN_THE_FUTURE = "in_the_future"
    UNUSABLE_SCORE = "unusable_score"
    UNUSABLE_DECISION = "unusable_decision"
    MISSING_LABEL = "missing_label"
    UNKNOWN_LABEL = "unknown_label"
    REPEATED = "repeated"
    CONTRADICTING = "contradicting"
    BEFORE_PREDICTION = "before_prediction"
    WITHOUT_PREDICTION = "without_prediction"
    PREDICTION_SET_ASIDE = "prediction_set_aside"


class LabelState(StrEnum):
    """What is known of a prediction's outcome."""

    LABELLED = "labelled"
    AWAITED = "awaited"
    CONTRADICTING = "contradicting"
    BEFORE_PREDICTION = "before_prediction"
    UNUSABLE = "unusable"


_SENTENCES: Mapping[Reason, str] = {
    Reason.MISSING_ID: "have no id",
    Reason.UNUSABLE_TIME: "have no time, or one that cannot be read or that the zone does not have",
    Reason.IN_THE_FUTURE: "claim to be from the future; check clocks and zones",
    Reason.UNUSABLE_SCORE: "have no score in [0, 1]",
    Reason.UNUSABLE_DECISION: "have no decision of the two classes",
    Reason.MISSING_LABEL: "hold no label",
    Reason.UNKNOWN_LABEL: "hold a label of neither class",
    Reason.REPEATED: "repeat another row and count once",
    Reason.CONTRADICTING: "contradict another row of the same id; neither is believed",
    Reason.BEFORE_PREDICTION: "are older than their prediction; check for leaks and clocks",
    Reason.WITHOUT_PREDICTION: "belong to no prediction",
    Reason.PREDICTION_SET_ASIDE: "belong to a prediction that was set aside",
}


@dataclass(frozen=True)
class Side:
    """Rows of one of the two tables, accounted for.

    Attributes:
        rows: Rows that came.
        used: Rows that were used.
        set_aside: Reason to rows; only reasons that occur. ``used`` and these add up to ``rows``.
    """

    rows: int
    used: int
    set_aside: Mapping[Reason, int]


@dataclass(frozen=True)
class DelayDistribution:
    """Time from prediction to label, over the predictions that have one.

    Attributes:
        rows: How many.
        quantiles: Share in ``DELAY_SHARES`` to delay; 0 is the shortest, 1 the longest.
    """

    rows: int
    quantiles: Mapping[float, timedelta]

    @property
    def median(self) -> timedelta:
        """Half of the labels came at least as fast."""
        return self.quantiles[0.5]


@dataclass(frozen=True)
class JoinedLabels:
    """Predictions with their outcomes.

    Attributes:
        table: The used predictions in their order, times in UTC, ``predicted`` true for the
            positive class; further ``outcome`` (true, false, or null without a usable label),
            ``label_time`` and ``label_state`` (of ``LabelState``).
        predictions: Account of the predictions.
        labels: Account of the labels.
        set_aside: Every row that was not used: ``side``, ``row`` (position in its table, from 0),
            ``id`` as text, ``reason``.
        delay: Of the labels; none where there is no label yet.
        findings: What a reader should know, one sentence each.
    """

    table: pl.DataFrame
    predictions: Side
    labels: Side
    set_aside: pl.DataFrame
    delay: DelayDistribution | None
    findings: tuple[str, ...]

    @property
    def coverage(self) -> float:
        """Share of used predictions with a usable label; 0 without predictions."""
        return self.labels.used / self.predictions.used if self.predictions.used else 0.0


def join_labels(
    predictions: pl.DataFrame,
    labels: pl.DataFrame,
    *,
    target: Target,
    now: datetime,
    zone: str | None = None,
    own: bool = True,
) -> JoinedLabels:
    """Join labels to predictions by id.

    Args:
        predictions: ``PREDICTION_COLUMNS`` and any further ones. ``predicted`` is a truth value
            (called positive) or holds the target's two values.
        labels: ``LABEL_COLUMNS``; further columns are not read. May be empty.
        target: The two classes. Its values are compared as text, so that 1, 1.0 and "1" agree.
        now: The current time, with a zone.
        zone: IANA zone that times without one are meant in; none refuses them.
        own: Whether the labels are meant to be of these predictions alone. Among labels of others
            too, those of these may all still be to come: that none joins is then a finding.

    Returns:
        The joined table and the account of all rows.

    Raises:
        DataError: Missing or reserved columns, ids of different kinds, times without zone,
            labels of which none is of the two classes, ids of which none joins though they are
            of these predictions.
    """
    _require_columns(predictions, PREDICTION_COLUMNS, side="predictions", reserved=ADDED_COLUMNS)
    _require_columns(labels, LABEL_COLUMNS, side="labels", reserved=())
    if now.tzinfo is None:
        raise DataError("the current time has no zone", remedy="pass an aware time")
    ids = as_ids(predictions["id"], labels["id"])
    made = _checked_predictions(predictions, ids[0], target=target, now=now, zone=zone)
    told = _checked_labels(labels.select(LABEL_COLUMNS), ids[1], target=target, now=now, zone=zone)

    kept = made.filter(pl.col(_WHY).is_null())
    told = _matched(told, made, kept)
    usable = told.filter(pl.col(_WHY).is_null())
    none_joins = _none_joins(kept, told)
    if none_joins and own:
        raise DataError(none_joins, remedy=f"{_SAME_IDS}, or pass the labels of these predictions")
    table = _with_outcomes(kept, usable, told).drop(_ROW, _WHY)
    sides = _side(made), _side(told)
    delay = _delays(table)
    return JoinedLabels(
        table=table,
        predictions=sides[0],
        labels=sides[1],
        set_aside=pl.concat([_refused(made, "predictions"), _refused(told, "labels")]),
        delay=delay,
        findings=tuple(_findings(*sides, table, delay, none_joins)),
    )


def _require_columns(
    table: pl.DataFrame, needed: tuple[str, ...], *, side: str, reserved: tuple[str, ...]
) -> None:
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise DataError(
            f"{side} lack {', '.join(missing)}; they have {', '.join(table.columns) or 'nothing'}",
            remedy=f"name the columns {', '.join(needed)}",
        )
    taken = [name for name in (*reserved, _ROW, _WHY) if name in table.columns]
    if taken:
        raise DataError(
            f"{side} have the column {', '.join(taken)}, which the join adds",
            remedy="rename it",
        )


def _checked_predictions(
    table: pl.DataFrame, ids: pl.Series, *, target: Target, now: datetime, zone: str | None
) -> pl.DataFrame:
    """Predictions as they are used, with the reason against each that is not."""
    score = table["score"]
    if not score.dtype.is_numeric():
        score = score.cast(pl.String).cast(pl.Float64, strict=False)
    read = table.with_columns(
        ids.alias("id"),
        as_times(table["time"], zone=zone, side="predictions").alias("time"),
        score.cast(pl.Float64).alias("score"),
        as_called(table["predicted"], target).alias("predicted"),
    ).with_row_index(_ROW)
    why = _first_reason(
        (pl.col("id").is_null(), Reason.MISSING_ID),
        (pl.col("time").is_null(), Reason.UNUSABLE_TIME),
        (pl.col("time") > now, Reason.IN_THE_FUTURE),
        (~pl.col("score").is_between(0.0, 1.0).fill_null(value=False), Reason.UNUSABLE_SCORE),
        (pl.col("predicted").is_null(), Reason.UNUSABLE_DECISION),
    )
    content = [name for name in read.columns if name not in ("id", _ROW)]
    return _once_per_id(read.with_columns(why), content)


def _checked_labels(
    table: pl.DataFrame, ids: pl.Series, *, target: Target, now: datetime, zone: str | None
) -> pl.DataFrame:
    """Labels as they are used, the earliest first, with the reason against each that is not."""
    outcome = as_outcomes(table["label"], target)
    read = table.select(
        ids.alias("id"),
        as_times(table["time"], zone=zone, side="labels").alias("label_time"),
        table["label"].is_null().alias("missing"),
        outcome.alias("outcome"),
    ).with_row_index(_ROW)
    why = _first_reason(
        (pl.col("id").is_null(), Reason.MISSING_ID),
        (pl.col("missing"), Reason.MISSING_LABEL),
        (pl.col("outcome").is_null(), Reason.UNKNOWN_LABEL),
        (pl.col("label_time").is_null(), Reason.UNUSABLE_TIME),
        (pl.col("label_time") > now, Reason.IN_THE_FUTURE),
    )
    return _once_per_id(read.with_columns(why).sort("label_time", _ROW), ["outcome"])


def _first_reason(*rules: tuple[pl.Expr, Reason]) -> pl.Expr:
    """The first reason that applies to a row, or null."""
    reasons = [pl.when(broken).then(pl.lit(str(reason))) for broken, reason in rules]
    return pl.coalesce(reasons).alias(_WHY)


def _once_per_id(table: pl.DataFrame, content: list[str]) -> pl.DataFrame:
    """Of the rows still in use, the first per id, and none where their content differs."""
    used = table.filter(pl.col(_WHY).is_null())
    again = used.filter(pl.col("id").is_duplicated())
    if not again.height:
        return table
    distinct = again.select("id", pl.struct(content).alias("content")).unique()
    contradicting = distinct.filter(pl.col("id").is_duplicated())["id"].unique()
    repeated = again.filter(~pl.col("id").is_first_distinct())[_ROW]
    found = _first_reason(
        (pl.col("id").is_in(contradicting.implode()), Reason.CONTRADICTING),
        (pl.col(_ROW).is_in(repeated.implode()), Reason.REPEATED),
    )
    return table.with_columns(pl.coalesce(pl.col(_WHY), found))


def _matched(told: pl.DataFrame, made: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Labels with the reason against those that their predictions rule out."""
    known = made.filter(pl.col("id").is_not_null()).select("id").unique()
    times = kept.select("id", "time")
    both = told.join(times, on="id", how="left", maintain_order="left")
    both = both.join(
        known.with_columns(known=pl.lit(value=True)), on="id", how="left", maintain_order="left"
    )
    found = _first_reason(
        (pl.col("known").is_null(), Reason.WITHOUT_PREDICTION),
        (pl.col("time").is_null(), Reason.PREDICTION_SET_ASIDE),
        (pl.col("label_time") < pl.col("time"), Reason.BEFORE_PREDICTION),
    )
    return both.with_columns(pl.coalesce(pl.col(_WHY), found))


def _none_joins(kept: pl.DataFrame, told: pl.DataFrame) -> str | None:
    if kept.height and told.height and told["known"].is_null().all():
        return f"none of the {told.height:,} labels has the id of a prediction"
    return None


def _with_outcomes(kept: pl.DataFrame, usable: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Predictions with outcome, time of the label and what is known of it."""
    others = told.filter(pl.col(_WHY).is_not_null() & pl.col("id").is_not_null())
    blame = others.select(
        "id",
        pl.col(_WHY)
        .replace_strict(
            {
                Reason.CONTRADICTING: LabelState.CONTRADICTING,
                Reason.BEFORE_PREDICTION: LabelState.BEFORE_PREDICTION,
            },
            default=LabelState.UNUSABLE,
            return_dtype=pl.String,
        )
        .alias("blame"),
    ).unique("id", keep="first", maintain_order=True)
    joined = kept.join(
        usable.select("id", "outcome", "label_time"), on="id", how="left", maintain_order="left"
    ).join(blame, on="id", how="left", maintain_order="left")
    state = (
        pl.when(pl.col("outcome").is_not_null())
        .then(pl.lit(str(LabelState.LABELLED)))
        .otherwise(pl.coalesce("blame", pl.lit(str(LabelState.AWAITED))))
    )
    return joined.with_columns(state.alias("label_state")).drop("blame")


def _side(table: pl.DataFrame) -> Side:
    counts = dict(table[_WHY].drop_nulls().value_counts().iter_rows())
    return Side(
        rows=table.height,
        used=table[_WHY].null_count(),
        set_aside={reason: counts[reason] for reason in Reason if reason in counts},
    )


def _refused(table: pl.DataFrame, side: str) -> pl.DataFrame:
    return (
        table.filter(pl.col(_WHY).is_not_null())
        .sort(_ROW)
        .select(
            pl.lit(side).alias("side"),
            pl.col(_ROW).alias("row"),
            "id",
            pl.col(_WHY).alias("reason"),
        )
    )


def _delays(table: pl.DataFrame) -> DelayDistribution | None:
    delay = (table["label_time"] - table["time"]).drop_nulls()
    if not len(delay):
        return None
    exact = delay.to_physical().sort()  # microseconds
    places = {share: round(share * (len(exact) - 1)) for share in DELAY_SHARES}
    return DelayDistribution(
        rows=len(delay),
        quantiles={share: timedelta(microseconds=exact[place]) for share, place in places.items()},
    )


def _findings(
    predictions: Side,
    labels: Side,
    table: pl.DataFrame,
    delay: DelayDistribution | None,
    none_joins: str | None,
) -> Iterator[str]:
    if none_joins:
        yield f"{none_joins}; if they are not all still to come, {_SAME_IDS}"
    for name, side in (("predictions", predictions), ("labels", labels)):
        for reason, rows in side.set_aside.items():
            yield f"{rows:,} of {side.rows:,} {name} {_SENTENCES[reason]}"
    without = predictions.used - labels.used
    if without:
        yield f"{without:,} of {predictions.used:,} predictions have no usable label yet"
    if delay is not None:
        yield (
            f"labels came after {delay.median} at the median and {delay.quantiles[0.9]} for nine "
            f"of ten; waiting predictions are not in these figures"
        )
    if table.height and not labels.used:
        yield "no prediction has a usable label, so no metric can be measured"
