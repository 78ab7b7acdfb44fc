"""A drift report as one HTML file, for people: the verdict first, then every column.

Here lies what is said and in which order; what was found is ``ml.verdict``, in a sentence
``ml.drift_document``. The frame is ``ml.report_page``, pictures are ``ml.distribution_drawing``.
What data supplies, names of columns included, is escaped here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape
from typing import Final

from interlock.ml.column_drift import Statistic
from interlock.ml.column_profiles import ColumnProfile
from interlock.ml.distribution_drawing import current_begins, drawing, percent
from interlock.ml.distribution_shapes import medians, shape_of
from interlock.ml.drift_document import drift_sentence
from interlock.ml.drift_limits import Correction
from interlock.ml.profile_plan import ColumnRole
from interlock.ml.profiles import TableProfile
from interlock.ml.report_page import facts_list, page, probability, table
from interlock.ml.verdict import ColumnVerdict, DriftVerdict, Outcome

MAX_PICTURES: Final = 200  # columns that are shown on their own, worst first; 4 kB each
_MAX_NEW: Final = 5  # new categories that are named
_CLASSES: Final = {Outcome.DRIFT: "bad", Outcome.NO_DRIFT: "good", Outcome.NOT_ENOUGH_DATA: "open"}
_METER: Final = 2.0  # multiples of a limit that fill a bar
_WORDS: Final[Mapping[Statistic, str]] = {
    Statistic.KS: "KS",
    Statistic.KS_UPPER: "KS, at most",
    Statistic.PSI: "PSI",
    Statistic.JENSEN_SHANNON: "Jensen-Shannon",
    Statistic.WASSERSTEIN: "Wasserstein",
    Statistic.TOTAL_VARIATION: "total variation",
    Statistic.CHI_SQUARE: "chi-square",
    Statistic.MISSING: "missing values",
    Statistic.NEW_CATEGORIES: "new categories",
    Statistic.CORRELATION: "correlation",
}
_MEANINGS: Final[Mapping[str, str]] = {
    "KS": "Kolmogorov-Smirnov: greatest difference of the shares below any number, 0 to 1; "
    "“at most” where the profile's bins hide a part of it",
    "PSI": "population stability index over ten bins of the reference, or over categories",
    "Jensen-Shannon": "distance of the shares over the same bins, base 2, 0 to 1",
    "Wasserstein": "how far the rows moved on average, in standard deviations of the reference",
    "total variation": "share of rows that would have to change their category, 0 to 1",
    "PSI, Jensen-Shannon, total variation": "less what chance alone adds over as many bins",
    "missing values, new categories": "change of their share of rows, Cohen's h",
    "correlation": "surest change of a correlation, of those that reach the limit where any does; "
    "Cohen's q",
    "p": "how often chance alone gives as large a distance; “corrected” for all tests made",
}
_CORRECTIONS: Final = {
    Correction.HOLM: "Holm",
    Correction.BENJAMINI_HOCHBERG: "Benjamini-Hochberg",
}


def render_drift_report(
    verdict: DriftVerdict,
    *,
    title: str,
    facts: Mapping[str, str],
    reference: TableProfile,
    current: TableProfile,
    withheld: Collection[str] = (),
) -> str:
    """A verdict as HTML.

    Args:
        verdict: What was found.
        title: Whose data was held against what.
        facts: What else to say of it, e.g. the audit event, in this order.
        reference: The profile before.
        current: The profile now.
        withheld: Columns whose values are not shown.

    Returns:
        A whole document.
    """
    report = _Report(verdict, reference, current, frozenset(withheld))
    body = [
        *report.verdict_box(),
        *report.overview(),
        *report.columns(),
        *report.others(),
        *report.compared(facts),
    ]
    return page(title, body)


class _Report:
    """The parts of one report."""

    def __init__(
        self,
        verdict: DriftVerdict,
        reference: TableProfile,
        current: TableProfile,
        withheld: frozenset[str],
    ) -> None:
        self._verdict = verdict
        self._reference = reference
        self._current = current
        self._withheld = withheld
        alone = {each.name for each in (*verdict.predictions, *verdict.columns)}
        self._shown = [each for each in verdict.everything if each.name in alone]
        self._places = {each.name: place for place, each in enumerate(self._shown)}

    def verdict_box(self) -> Iterator[str]:
        """What was found and what to do, in plain words."""
        verdict = self._verdict
        sentence = drift_sentence(verdict)
        yield f'<div class="verdict {_CLASSES[verdict.outcome]}" role="status">'
        yield f"<p>{escape(sentence[:1].upper() + sentence[1:])}.</p>"
        yield f"<p>{self._meaning()}</p><ul>"
        yield from (f"<li>{step}</li>" for step in self._steps())
        yield "</ul></div>"

    def overview(self) -> Iterator[str]:
        """A row for everything that was judged."""
        yield "<h2>Everything that was judged</h2>"
        everything = self._verdict.everything
        yield from table(
            f"{len(everything):,} judged, drifted ones first; of each the distance that is "
            "greatest in multiples of its limit",
            (
                "name",
                "verdict",
                "of limit",
                "distance",
                ">value",
                ">limit",
                ">p, corrected",
                ">missing",
            ),
            (self._overview_row(each) for each in everything),
        )

    def columns(self) -> Iterator[str]:
        """Each column on its own: both distributions, and all figures."""
        shown = self._shown[:MAX_PICTURES]
        yield "<h2>Column by column</h2>"
        yield (
            '<p class="soft">Shares of rows with a value: left the reference, right the current '
            "data with the reference as a line. The outermost bars of numbers hold what lies "
            "beyond.</p>"
        )
        if len(shown) < len(self._shown):
            left = len(self._shown) - len(shown)
            yield f'<p class="soft">The {left:,} least changed columns are in the table alone.</p>'
        for place, found in enumerate(shown):
            yield from self._column(place, found)

    def others(self) -> Iterator[str]:
        """Pairs and correlations."""
        verdict = self._verdict
        last = () if verdict.dependence is None else (verdict.dependence,)
        if not verdict.pairs and not last:
            return
        yield "<h2>Columns together</h2>"
        for found in (*verdict.pairs, *last):
            yield '<section class="c">'
            yield from self._heading(found)
            yield f"<p>{escape(_reason(found))}</p>"
            yield from self._figures(found)
            yield "</section>"

    def compared(self, facts: Mapping[str, str]) -> Iterator[str]:
        """What was held against what, and how it was judged."""
        verdict, limits = self._verdict, self._verdict.limits
        yield "<h2>What was compared</h2>"
        yield facts_list(
            {
                **facts,
                "rows of the reference": f"{verdict.rows[0]:,}",
                "rows of the current data": f"{verdict.rows[1]:,}",
                "plan of both profiles": verdict.plan,
                "drift is": "a distance at or above its limit that chance explains with at most "
                f"p = {limits.significance:g} after correction ({_CORRECTIONS[limits.correction]}) "
                f"for {verdict.tests:,} tests",
                "least rows": f"{limits.min_rows:,} values per column on either side; "
                f"{limits.min_multivariate_rows:,} complete rows for correlations",
            }
        )
        yield "<h2>What the distances say</h2>"
        yield facts_list(_MEANINGS)

    def _meaning(self) -> str:
        verdict = self._verdict
        if verdict.outcome is Outcome.NOT_ENOUGH_DATA:
            return "Nothing can be said yet: of so few rows, every distance may be chance."
        if verdict.outcome is Outcome.NO_DRIFT:
            few = sum(each.outcome is Outcome.NOT_ENOUGH_DATA for each in verdict.everything)
            rest = f" Of {few:,} there are too few values to tell." if few else ""
            return f"The data is still like the data that the model learned from.{rest}"
        worst = verdict.everything[0]
        scores = any(map(_is_drift, verdict.predictions))
        effect = (
            "The model's scores have moved too: it decides otherwise than it did."
            if scores
            else "The model's scores have not moved beyond their limit."
            if verdict.predictions
            else ""
        )
        return f"Most changed: <b>{escape(worst.name)}</b>. {self._in_words(worst)} {effect}"

    def _steps(self) -> Sequence[str]:
        if self._verdict.outcome is Outcome.NO_DRIFT:
            return ("Nothing is to be done.",)
        if self._verdict.outcome is Outcome.NOT_ENOUGH_DATA:
            return (
                f"Collect at least {self._verdict.limits.min_rows:,} rows, then check again.",
                "Until then take this as no finding, neither good nor bad.",
            )
        return (
            (
                "Ask first whether the source changed: a unit, an encoding, a join, an export. "
                "If so, correct it and check again."
            ),
            (
                "If the world changed, train on data as it is now; the new version needs its own "
                "approval."
            ),
            (
                "If it was meant, and the model is still right, raise the column's limit in the "
                "product's YAML, with the reason in its review."
            ),
            (
                "Where this suspended a champion's approval: approve again, roll back, or promote "
                "the new version."
            ),
        )

    def _overview_row(self, found: ColumnVerdict) -> Sequence[str]:
        place = self._places.get(found.name)
        linked = place is not None and place < MAX_PICTURES
        name = f'<a href="#c{place}">{escape(found.name)}</a>' if linked else escape(found.name)
        missing = self._missing(found) if place is not None else ""
        if not found.shifts:
            nothing = '<span class="soft">not judged</span>'
            return (name, _word(found.outcome), "", nothing, "", "", "", missing)
        worst = max(found.shifts, key=lambda shift: shift.value / shift.limit)
        wide = min(1.0, worst.value / worst.limit / _METER)
        bad = " bad" if found.outcome is Outcome.DRIFT else ""
        return (
            name,
            _word(found.outcome),
            f'<span class="meter{bad}"><i style="width:{wide:.0%}"></i></span>',
            _WORDS[worst.statistic],
            f"{worst.value:.3g}",
            f"{worst.limit:g}",
            probability(worst.corrected),
            missing,
        )

    def _column(self, place: int, found: ColumnVerdict) -> Iterator[str]:
        yield f'<section class="c" id="c{place}">'
        yield from self._heading(found)
        yield f"<p>{escape(_reason(found))} {self._in_words(found)}</p>"
        yield '<div class="two">'
        yield self._picture(place, found)
        yield from self._figures(found)
        yield "</div></section>"

    def _heading(self, found: ColumnVerdict) -> Iterator[str]:
        what = f"{found.role.value}, {found.kind.value}" if found.kind else "columns together"
        yield f'<h3>{escape(found.name)}</h3> <span class="soft">{what}</span> '
        yield _word(found.outcome)

    def _picture(self, place: int, found: ColumnVerdict) -> str:
        if found.name in self._withheld:
            return '<p class="soft">Values of this column are not shown.</p>'
        shape = shape_of(self._reference.plan.column(found.name), *self._sides(found))
        if shape is None:
            return '<p class="soft">There is nothing to draw: a side has no finite value.</p>'
        before, now = found.rows
        return (
            f'<figure><figcaption><span style="flex:0 0 {current_begins(shape):.0%}">'
            '<i class="key k0"></i>reference, '
            f'{before:,} values</span><span><i class="key k1"></i>current, {now:,} values'
            "</span></figcaption>"
            f"{drawing(shape, name=found.name, place=place)}</figure>"
        )

    def _figures(self, found: ColumnVerdict) -> Iterator[str]:
        rows = [
            (
                _WORDS[shift.statistic],
                f'<b class="w bad">{shift.value:.4g}</b>'
                if shift.drifted
                else f"{shift.value:.4g}",
                f"{shift.limit:g}",
                probability(shift.corrected),
            )
            for shift in found.shifts
        ]
        judged = {shift.statistic for shift in found.shifts}
        also = [
            f"{_WORDS[name]} {value:.4g}"
            for name, value in found.statistics.items()
            if name not in judged and not (name is Statistic.MISSING and _is_score(found))
        ]
        yield "<div>"
        if rows:
            yield from table("", ("distance", ">value", ">limit", ">p, corrected"), rows)
        if also:
            yield f'<p class="soft">Without limit: {"; ".join(also)}</p>'
        yield "</div>"

    def _in_words(self, found: ColumnVerdict) -> str:
        """What changed, in the column's own terms, as HTML."""
        if found.name not in self._places:
            return ""
        before, now = self._sides(found)
        words = []
        if found.name not in self._withheld:
            typical = medians(self._reference.plan.column(found.name), before, now)
            if typical is not None:
                words.append(f"Median {typical[0]} → {typical[1]}.")
            if found.new_categories:
                named = ", ".join(f"“{name}”" for name in found.new_categories[:_MAX_NEW])
                more = len(found.new_categories) - _MAX_NEW
                words.append(f"New: {named}{f' and at least {more} more' if more > 0 else ''}.")
        if self._missing(found):
            words.append(f"Missing {self._missing(found)}.")
        infinite = getattr(before, "infinite", 0), getattr(now, "infinite", 0)
        if any(infinite):
            words.append(f"Infinite rows {infinite[0]:,} → {infinite[1]:,}.")
        return escape(" ".join(words), quote=False)

    def _missing(self, found: ColumnVerdict) -> str:
        if _is_score(found):
            return ""
        before, now = (_share_missing(side) for side in self._sides(found))
        return "" if not before and not now else f"{percent(before)} → {percent(now)}"

    def _sides(self, found: ColumnVerdict) -> tuple[ColumnProfile, ColumnProfile]:
        return self._reference.columns[found.name], self._current.columns[found.name]


def _share_missing(side: ColumnProfile) -> float:
    return side.missing / side.rows if side.rows else 0.0


def _is_score(found: ColumnVerdict) -> bool:
    """Whether these are scores, which rows that the model was fitted on have none of."""
    return found.role is ColumnRole.PREDICTION


def _is_drift(found: ColumnVerdict) -> bool:
    return found.outcome is Outcome.DRIFT


def _reason(found: ColumnVerdict) -> str:
    """Why, one sentence."""
    if not _is_drift(found):
        return f"{found.reason[:1].upper()}{found.reason[1:]}."
    worst = found.shifts[0]
    name, times = _WORDS[worst.statistic], worst.value / worst.limit
    return (
        f"{name[:1].upper()}{name[1:]}: {worst.value:.3g}, {times:.1f} times its limit of "
        f"{worst.limit:g}."
    )


def _word(outcome: Outcome) -> str:
    return f'<span class="w {_CLASSES[outcome]}">{outcome.value}</span>'
