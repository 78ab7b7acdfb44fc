"""A drift report as one HTML file, for people: the verdict first, then every column.

Here lives looks alone; what was found is ``ml.verdict``, in words ``ml.drift_document``. The file
needs nothing from elsewhere, holds no script, and can be printed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from html import escape

from interlock.ml.drift_document import drift_sentence
from interlock.ml.profiles import TableProfile
from interlock.ml.verdict import ColumnVerdict, DriftVerdict

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;color:#22262b}"
    "table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;text-align:left;"
    "border-bottom:1px solid #e6e8eb;vertical-align:top}td.n{text-align:right}"
    "@media print{body{margin:0}}"
)


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
        reference: The profile before, for pictures.
        current: The profile now.
        withheld: Columns whose values are not shown.

    Returns:
        A whole document.
    """
    del reference, current
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f"<p><strong>{escape(drift_sentence(verdict).capitalize())}.</strong></p>",
            "<dl>",
            *(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items()),
            "</dl>",
            *_section("Model scores", verdict.predictions, withheld),
            *_section("Columns", verdict.columns, withheld),
            *_section("Pairs", verdict.pairs, withheld),
            *_section(
                "Correlations", (verdict.dependence,) if verdict.dependence else (), withheld
            ),
            "</body></html>",
        ]
    )


def _section(
    heading: str, found: tuple[ColumnVerdict, ...], withheld: Collection[str]
) -> Iterator[str]:
    if not found:
        return
    yield f"<h2>{escape(heading)}</h2>"
    yield "<table><thead><tr><th>name</th><th>verdict</th><th>why</th><th>statistics</th>"
    yield "</tr></thead><tbody>"
    for each in found:
        figures = "; ".join(f"{name} {value:.4g}" for name, value in each.statistics.items())
        # The reason names new values of a category.
        shown = each.reason if each.name not in withheld else "(values of this column are withheld)"
        yield (
            f"<tr><td>{escape(each.name)}</td><td>{escape(each.outcome.value)}</td>"
            f"<td>{escape(shown)}</td><td>{escape(figures)}</td></tr>"
        )
    yield "</tbody></table>"
