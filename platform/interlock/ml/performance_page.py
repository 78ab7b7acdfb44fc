"""A performance report as one HTML file, for people: the verdict first, then every window.

Here lies what is said and in which order; what was found is ``ml.performance_report``, in words
``ml.performance_document``. The frame is ``ml.report_page``, pictures are
``ml.performance_drawing``. What data supplies, names of groups included, is escaped here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Final

from interlock.ml.estimated_performance import WindowEstimate
from interlock.ml.performance_document import outcome_of, performance_sentence
from interlock.ml.performance_drawing import metric_drawing
from interlock.ml.performance_limit import Verdict
from interlock.ml.performance_report import (
    GroupPerformance,
    PerformanceReport,
    WindowPerformance,
)
from interlock.ml.report_page import facts_list, page, table

_CLASSES: Final = {
    Verdict.BEYOND_LIMIT: "bad",
    Verdict.WITHIN: "good",
    Verdict.UNDECIDED: "open",
    Verdict.NOT_ENOUGH_DATA: "open",
}
_STEPS: Final[Mapping[Verdict, Sequence[str]]] = {
    Verdict.WITHIN: ("Nothing is to be done.",),
    Verdict.UNDECIDED: (
        "Wait for more labels: the interval holds both what is allowed and what is not.",
    ),
    Verdict.NOT_ENOUGH_DATA: (
        "Wait for labels, or see why they do not come; until then this is no finding.",
    ),
    Verdict.BEYOND_LIMIT: (
        "See first whether the labels are right: late, doubled, or joined to other rows.",
        "Then which group is worst, and whether its data drifted.",
        (
            "Train on newer data, or roll back; where this suspended a champion's approval, only "
            "people lift that."
        ),
    ),
}


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
    outcome, sentence = outcome_of(report), performance_sentence(report)
    return page(
        title,
        [
            f'<div class="verdict {_CLASSES[outcome]}" role="status">',
            f"<p>{escape(sentence[:1].upper() + sentence[1:])}.</p><ul>",
            *(f"<li>{step}</li>" for step in _STEPS[outcome]),
            "</ul></div>",
            *_labels(findings),
            *_over_time(report, estimates),
            "<h2>What was compared</h2>",
            facts_list(facts),
        ],
    )


def _over_time(report: PerformanceReport, estimates: Sequence[WindowEstimate]) -> Iterator[str]:
    """Metrics over time and every window."""
    by_name = {each.name: each for each in estimates}
    level = report.settings.level
    yield "<h2>Performance over time</h2>"
    yield (
        f'<p class="soft">A dot per window with its interval of {level:.0%}; dashed: the worst '
        "value that is within the limit.</p>"
    )
    for place, metric in enumerate(_judged(report)):
        yield '<section class="c">'
        yield f"<h3>{escape(metric)}</h3>"
        yield metric_drawing(report.windows, metric, place=place)
        yield "</section>"
    for window in reversed(report.windows):
        yield from _window(window, by_name.get(window.name), level)


def _labels(findings: Sequence[str]) -> Iterator[str]:
    if findings:
        yield "<h2>Labels</h2><ul>"
        yield from (f"<li>{escape(each)}</li>" for each in findings)
        yield "</ul>"


def _judged(report: PerformanceReport) -> list[str]:
    """Metrics that have a limit anywhere, in their order."""
    return list(
        dict.fromkeys(
            name
            for window in report.windows
            for name, each in window.overall.metrics.items()
            if each.judgements
        )
    )


def _window(
    window: WindowPerformance, estimate: WindowEstimate | None, level: float
) -> Iterator[str]:
    yield f"<h2>{escape(window.name)}</h2>"
    labels = window.coverage.statement(level=level)
    yield f"<p>{escape(labels[:1].upper() + labels[1:])}.</p>"
    yield from table(
        f"{window.start:%Y-%m-%d %H:%M} to {window.end:%Y-%m-%d %H:%M} UTC",
        ("rows", ">labelled", "metric", ">value", ">interval", "verdict", "why"),
        (row for each in (window.overall, *window.groups) for row in _group(each)),
    )
    if estimate is not None:
        for name, found in estimate.estimate.metrics.items():
            low, high = found.interval.low, found.interval.high
            yield (
                f"<p>Estimated {escape(name)} {found.value:.4g} ({low:.4g} to {high:.4g}), "
                f"{escape(estimate.estimate.method)}.</p>"
            )
        for refusal in estimate.estimate.refusals:
            yield f"<p>No estimate: {escape(refusal)}.</p>"
        for each in estimate.contradictions or ():
            yield f"<p>The labels contradict the estimate: {escape(each)}.</p>"


def _group(found: GroupPerformance) -> Iterator[Sequence[str]]:
    who = "all" if found.group is None else str(found.group)
    # What has a limit first; the others in their order.
    for measured in sorted(found.metrics.values(), key=lambda each: not each.judgements):
        if measured.value is None:
            continue
        interval, verdict = measured.interval, measured.verdict
        reasons = [each.reason for each in measured.judgements if each.verdict is verdict]
        words = verdict.value.replace("_", " ") if verdict else ""
        yield (
            escape(who),
            f"{found.rows:,} of {found.predictions:,}",
            escape(measured.metric),
            f"{measured.value:.4g}",
            f"{interval.low:.4g} to {interval.high:.4g}" if interval else "",
            f'<span class="w {_CLASSES[verdict]}">{words}</span>' if verdict else "",
            escape(next(iter(reasons), "")),
        )
