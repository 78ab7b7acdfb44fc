"""The target: what is predicted, and which rows are of the positive class.

Here live the YAML section ``target`` and the reading of outcomes from a table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from interlock.errors import TrainingError
from interlock.ml.score_cells import Booleans

if TYPE_CHECKING:
    import pandas as pd

Label = bool | int | float | str

_SHOWN_VALUES = 5  # unexpected values of a target that an error shows


class Target(BaseModel):
    """The YAML section ``target``: what is predicted.

    Attributes:
        column: Column that holds the outcome.
        positive: Value of the class whose probability is predicted.
        negative: Value of the other class.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: Annotated[str, Field(min_length=1)]
    positive: Label
    negative: Label

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        if self.positive == self.negative:
            msg = f"positive and negative are both {self.positive!r}; name two values"
            raise ValueError(msg)
        return self


def outcomes_of(table: pd.DataFrame, target: Target) -> Booleans:
    """Which rows are of the positive class.

    Args:
        table: Any number of rows.
        target: Column and its two values.

    Returns:
        Shape (n,), True for the positive class; both classes are present.

    Raises:
        TrainingError: No such column, other values, missing ones, or one class alone.
    """
    if target.column not in table.columns:
        raise TrainingError(
            f"target {target.column!r} is not in the data, which has "
            f"{list(map(str, table.columns))}",
            remedy="correct `target.column`",
        )
    column = table[target.column]
    outcome = (column == target.positive).to_numpy(dtype=bool, na_value=False)
    known = outcome | (column == target.negative).to_numpy(dtype=bool, na_value=False)
    if not known.all():
        others = column[~known].unique()[:_SHOWN_VALUES].tolist()
        raise TrainingError(
            f"target {target.column!r} holds {', '.join(map(repr, others))} in "
            f"{int((~known).sum())} of {len(known)} rows; expected {target.positive!r} or "
            f"{target.negative!r}",
            remedy=(
                "write `target.positive` and `target.negative` as the data has them, text in "
                "quotes, and let the contract refuse other values"
            ),
        )
    for label, found in ((target.positive, outcome), (target.negative, ~outcome)):
        if not found.any():
            raise TrainingError(
                f"target {target.column!r} is never {label!r} in {len(table)} rows",
                remedy="train on data with both classes",
            )
    return outcome
