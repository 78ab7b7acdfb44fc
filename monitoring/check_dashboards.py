"""Asks a live Prometheus every query of every panel: ``python -m monitoring.check_dashboards``.

A query must give data, or say in the dashboard's code why it may give none on a healthy
platform. Exits 1 for a query that is empty without such a reason, or that Prometheus refuses.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from interlock.errors import MonitoringError
from monitoring.bounded_http import fetch_json
from monitoring.dashboards.generate import DASHBOARDS
from monitoring.dashboards.panels import Dashboard, Panel

# What Grafana puts in place of its variables when all products and a day are shown.
VARIABLES: Final[Mapping[str, str]] = {
    "$__rate_interval": "1m",
    "$__interval": "1m",
    "$__range": "24h",
    "$product": ".*",
}


class Verdict(StrEnum):
    """What a query gave."""

    DATA = "data"
    EMPTY_FOR_A_REASON = "empty for a reason"
    EMPTY = "empty"
    REFUSED = "refused"


@dataclass(frozen=True)
class Finding:
    """One query and what it gave.

    Attributes:
        dashboard: Title of the dashboard.
        panel: Title of the panel.
        expr: The query as it was asked.
        verdict: See ``Verdict``.
        series: How many series with a number it gave.
        note: Why it may be empty, or why it was refused.
    """

    dashboard: str
    panel: str
    expr: str
    verdict: Verdict
    series: int
    note: str

    @property
    def is_good(self) -> bool:
        """Whether nothing is to be done about it."""
        return self.verdict in {Verdict.DATA, Verdict.EMPTY_FOR_A_REASON}


def interpolated(expr: str) -> str:
    """A query with values in place of Grafana's variables."""
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    return expr


def check(
    url: str,
    *,
    timeout: float,
    after_a_run: bool = False,
    dashboards: Iterable[Dashboard] = DASHBOARDS,
) -> list[Finding]:
    """Asks every query.

    Args:
        url: Of Prometheus, ``http://host:port``.
        timeout: For one answer, seconds.
        after_a_run: Whether a product has run and passed its gates; fewer excuses hold then.
        dashboards: Whose panels.

    Returns:
        A finding per query, in the dashboards' order.
    """
    return [
        Finding(dashboard.title, panel.title, expr, *_asked(url, expr, excuse, timeout=timeout))
        for dashboard in dashboards
        for panel in dashboard.panels
        for expr, excuse in _questions(panel, after_a_run=after_a_run)
    ]


def _questions(panel: Panel, *, after_a_run: bool) -> Iterator[tuple[str, str]]:
    """Each query of a panel, and why it may be empty; "" where it may not."""
    for query in panel.queries:
        excuse = query.may_be_empty
        holds = excuse is not None and not (after_a_run and excuse.until_first_run)
        yield interpolated(query.expr), excuse.text if excuse is not None and holds else ""


def _asked(url: str, expr: str, excuse: str, *, timeout: float) -> tuple[Verdict, int, str]:
    try:
        series = _series(url, expr, timeout=timeout)
    except MonitoringError as error:
        return Verdict.REFUSED, 0, error.message
    if series:
        return Verdict.DATA, series, ""
    return Verdict.EMPTY_FOR_A_REASON if excuse else Verdict.EMPTY, 0, excuse


def _series(url: str, expr: str, *, timeout: float) -> int:
    """How many series a query gives whose value is a number."""
    address = f"{url.rstrip('/')}/api/v1/query?query={quote(expr, safe='')}"
    answer = fetch_json(address, timeout=timeout)
    try:
        result = answer["data"]["result"]  # type: ignore[index]
        return sum(not math.isnan(float(each["value"][1])) for each in result)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise MonitoringError(
            f"the answer to {expr!r} has another shape than expected",
            remedy="give the address of a Prometheus",
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """The entry point."""
    parser = argparse.ArgumentParser(
        prog="python -m monitoring.check_dashboards",
        description="Does every query of every panel give data?",
    )
    parser.add_argument("--prometheus-url", default="http://127.0.0.1:9090")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds for one answer")
    parser.add_argument(
        "--after-a-run", action="store_true", help="a product has run and passed its gates"
    )
    parser.add_argument("--json", action="store_true", help="print findings as JSON")
    options = parser.parse_args(arguments)
    findings = check(
        options.prometheus_url, timeout=options.timeout, after_a_run=options.after_a_run
    )
    if options.json:
        print(json.dumps([asdict(each) for each in findings], indent=2))
    else:
        print(_report(findings))
    sys.exit(0 if all(each.is_good for each in findings) else 1)


def _report(findings: Sequence[Finding]) -> str:
    lines = []
    for verdict in Verdict:
        chosen = [each for each in findings if each.verdict is verdict]
        lines.append(f"{len(chosen):4} {verdict}")
        if verdict is not Verdict.DATA:
            lines += [
                f"       {each.dashboard} / {each.panel}: {each.note or each.expr}"
                for each in chosen
            ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
