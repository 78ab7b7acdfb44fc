"""A performance report as one HTML file, for people: the verdict first, then every window.

Here lives looks alone; what was found is ``ml.performance_report``, in words
``ml.performance_document``. The file needs nothing from elsewhere and holds no script.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from interlock.ml.estimated_performance import WindowEstimate
from interlock.ml.performance_document import performance_sentence
from interlock.ml.performance_report import (
    GroupPerformance,
    PerformanceReport,
    WindowPerformance,
)

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;color:#22262b}"
    "table{border-collapse:collapse;width:100%}th,td{padding:.3rem .6rem;text-align:left;"
    "border-bottom:1px solid #e6e8eb;vertical-align:top}@media print{body{margin:0}}"
)


def render_performance_report(
    report: PerformanceReport,
    *,
    title: str,
    facts: Mapping[str, str],
    findings: Sequence[str] = (),
    estimates: Sequence[WindowEstimate] = (),
) -> str:
    """A report as HTML.

    Args:
        report: What was measured.
        title: Which version on which data.
        facts: What else to say of it, e.g. the audit event, in this order.
        findings: What a reader should know of the labels, one sentence each.
        estimates: What was estimated without labels.

    Returns:
        A whole document.
    """
    by_name = {each.name: each for each in estimates}
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            f"<p><strong>{escape(performance_sentence(report).capitalize())}.</strong></p>",
            "<dl>",
            *(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts.items()),
            "</dl>",
            "<ul>",
            *(f"<li>{escape(each)}</li>" for each in findings),
            "</ul>",
            *(
                line
                for window in reversed(report.windows)
                for line in _window(window, by_name.get(window.name), report.settings.level)
            ),
            "</body></html>",
        ]
    )


def _window(
    window: WindowPerformance, estimate: WindowEstimate | None, level: float
) -> Iterator[str]:
    yield f"<h2>{escape(window.name)}</h2>"
    yield f"<p>{escape(window.coverage.statement(level=level))}</p>"
    yield "<table><thead><tr><th>rows</th><th>metric</th><th>value</th><th>interval</th>"
    yield "<th>verdict</th></tr></thead><tbody>"
    for each in (window.overall, *window.groups):
        yield from _group(each)
    yield "</tbody></table>"
    if estimate is not None:
        for name, found in estimate.estimate.metrics.items():
            low, high = found.interval.low, found.interval.high
            yield f"<p>estimated {name} {found.value:.4g} ({low:.4g} to {high:.4g})</p>"
        for refusal in estimate.estimate.refusals:
            yield f"<p>no estimate: {escape(refusal)}</p>"


def _group(found: GroupPerformance) -> Iterator[str]:
    who = "all" if found.group is None else str(found.group)
    for measured in found.metrics.values():
        if measured.value is None:
            continue
        interval = measured.interval
        ends = f"{interval.low:.4g} to {interval.high:.4g}" if interval else ""
        verdict = measured.verdict.value if measured.verdict else ""
        reasons = "; ".join(each.reason for each in measured.judgements)
        yield (
            f"<tr><td>{escape(who)} ({found.rows:,})</td><td>{measured.metric}</td>"
            f"<td>{measured.value:.4g}</td><td>{ends}</td>"
            f'<td title="{escape(reasons)}">{verdict}</td></tr>'
        )
