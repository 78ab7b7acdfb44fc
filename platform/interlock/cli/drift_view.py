"""What ``drift check`` shows on a terminal: the verdict, then a row per column, worst first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from interlock.cli import view
from interlock.ml.drift_document import drift_sentence
from interlock.ml.profile_plan import ColumnRole
from interlock.ml.verdict import ColumnVerdict, DriftVerdict, Outcome, Statistic

MAX_ROWS: Final = 20  # of columns without drift
LONGEST_NAME: Final = 32  # characters; of 80 there are enough left for the other columns
_STYLES: Final = {
    Outcome.DRIFT: "bold red",
    Outcome.NO_DRIFT: "green",
    Outcome.NOT_ENOUGH_DATA: "yellow",
}


def shown(verdict: DriftVerdict, about: Sequence[tuple[str, object]]) -> Sequence[RenderableType]:
    """A verdict for a person.

    Args:
        verdict: What was found.
        about: What was compared; without a value, a name is left out.
    """
    every = verdict.everything
    kept = every[: len(verdict.drifted) + MAX_ROWS]
    table = view.table(
        ("name", "verdict", "distance", ">value", ">limit", ">p", ">missing"),
        (_row(each) for each in kept),
    )
    # Where it gets narrow, words of the other columns are wrapped before a name is broken.
    longest = max((len(each.name) for each in kept), default=0)
    table.columns[0].min_width = min(LONGEST_NAME, longest)
    parts: list[RenderableType] = [table]
    if len(every) > len(kept):
        parts.append(Text(f"and {len(every) - len(kept):,} more without drift", style="dim"))
    sentence = Text(drift_sentence(verdict), style=_STYLES[verdict.outcome])
    known = [(name, value) for name, value in about if value is not None]
    return [*parts, "", view.pairs([*known, ("verdict", sentence)])]


def _row(found: ColumnVerdict) -> Sequence[object]:
    outcome = Text(found.outcome.value, style=_STYLES[found.outcome])
    # Rows that the model was fitted on have no score in its reference.
    of_score = found.role is ColumnRole.PREDICTION
    missing = 0.0 if of_score else found.statistics.get(Statistic.MISSING, 0.0)
    changed = f"{missing:.2g}" if missing else ""
    worst = max(found.shifts, key=lambda shift: shift.value / shift.limit, default=None)
    if worst is None:
        return found.name, outcome, "not judged", "", "", "", changed
    return (
        found.name,
        outcome,
        worst.statistic.value.replace("_", " "),
        f"{worst.value:.3g}",
        f"{worst.limit:g}",
        "< 1e-6" if worst.corrected < 1e-6 else f"{worst.corrected:.2g}",  # noqa: PLR2004
        changed,
    )
