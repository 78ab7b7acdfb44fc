"""What a dashboard is made of, as values, and how it becomes Grafana's JSON.

Which panels there are is in the other modules of this package, one per dashboard.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

SCHEMA_VERSION: Final = 39  # of Grafana's dashboard JSON; later versions are read alike
COLUMNS: Final = 24  # of Grafana's grid
ROW_HEIGHT: Final = 1
DATASOURCE: Final = {"type": "prometheus", "uid": "${PROM_DS}"}

GREEN, YELLOW, RED, BLUE = "green", "yellow", "red", "blue"
Thresholds = tuple[tuple[float | None, str], ...]

ONE_IS_GOOD: Final[Thresholds] = ((None, RED), (1, GREEN))
ZERO_IS_GOOD: Final[Thresholds] = ((None, GREEN), (1, RED))
PLAIN: Final[Thresholds] = ((None, BLUE),)
UP_DOWN: Final = ((0, "down", RED), (1, "up", GREEN))
YES_NO: Final = ((0, "no", GREEN), (1, "yes", RED))


class Kind(StrEnum):
    """Grafana's panel types that are used."""

    STAT = "stat"
    SERIES = "timeseries"
    BARS = "bargauge"
    TABLE = "table"


@dataclass(frozen=True)
class Excuse:
    """Why a query may return nothing on a healthy platform.

    Attributes:
        text: The reason.
        until_first_run: Whether it holds only until a product has run once and passed its gates.
    """

    text: str
    until_first_run: bool = False


@dataclass(frozen=True)
class Query:
    """One query of a panel.

    Attributes:
        expr: PromQL.
        legend: Grafana's legend, e.g. ``{{product}}``.
        may_be_empty: Why it may return nothing; None when it may not.
    """

    expr: str
    legend: str = ""
    may_be_empty: Excuse | None = None


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: A noun.
        description: What it shows and when to worry, one or two sentences.
        queries: At least one.
        kind: See ``Kind``.
        unit: Grafana's unit, e.g. ``s``, ``bytes``, ``percentunit``.
        thresholds: From which value on which colour; the first has no value.
        mappings: Value to text and colour.
        links: Title to address; may use the dashboard's variables.
        width: Of ``COLUMNS``.
        height: Grid units.
        low: Least value of the axis.
        high: Greatest value of the axis.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    kind: Kind = Kind.SERIES
    unit: str = "short"
    thresholds: Thresholds = PLAIN
    mappings: tuple[tuple[float, str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    width: int = 8
    height: int = 8
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Dashboard:
    """One dashboard; its file is named by its uid."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    tags: tuple[str, ...] = field(default=("interlock",))

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, in order."""
        return tuple(panel for row in self.rows for panel in row.panels)


def dagit(path: str) -> tuple[str, str]:
    """A link into Dagster's UI."""
    return "Dagit", "${DAGIT}" + path


def mlflow(path: str) -> tuple[str, str]:
    """A link into MLflow's UI."""
    return "MLflow", "${MLFLOW}" + path


def runbook(alert: str) -> tuple[str, str]:
    """A link to the page of an alert."""
    return f"Runbook {alert}", "${RUNBOOKS}/" + alert


def document(dashboard: Dashboard) -> dict[str, Any]:
    """A dashboard as Grafana's JSON.

    Args:
        dashboard: The dashboard.
    """
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": list(dashboard.tags),
        "schemaVersion": SCHEMA_VERSION,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-24h", "to": "now"},
        "timezone": "utc",
        "links": [
            {
                "type": "dashboards",
                "title": "Interlock",
                "tags": ["interlock"],
                "asDropdown": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": _variables()},
        "panels": list(_placed(dashboard)),
    }


def _variables() -> list[dict[str, Any]]:
    addresses = {
        "DAGIT": ("Address of Dagster", "http://localhost:3000"),
        "MLFLOW": ("Address of MLflow", "http://localhost:5000"),
        "RUNBOOKS": ("Address of the runbooks", "http://localhost:9200/runbooks"),
    }
    return [
        {
            "name": "PROM_DS",
            "label": "Prometheus",
            "type": "datasource",
            "query": "prometheus",
            "current": {},
        },
        {
            "name": "product",
            "label": "Product",
            "type": "query",
            "datasource": DATASOURCE,
            "query": {"query": "label_values(data_row_count, product)", "refId": "product"},
            "refresh": 2,
            "includeAll": True,
            "multi": True,
            "allValue": ".*",
            "current": {"text": ["All"], "value": ["$__all"]},
        },
        *(
            {
                "name": name,
                "label": label,
                "type": "textbox",
                "query": value,
                "current": {"text": value, "value": value},
            }
            for name, (label, value) in addresses.items()
        ),
    ]


def _placed(dashboard: Dashboard) -> Iterator[dict[str, Any]]:
    """Headings and panels on the grid, from left to right and top to bottom."""
    number, top = 0, 0
    for row in dashboard.rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "panels": [],
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": ROW_HEIGHT},
        }
        top += ROW_HEIGHT
        left, tallest = 0, 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                left, top, tallest = 0, top + tallest, 0
            number += 1
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield {"id": number, "gridPos": place} | _panel(panel)
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest


def _panel(panel: Panel) -> dict[str, Any]:
    instant = panel.kind is not Kind.SERIES
    made: dict[str, Any] = {
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + place),
                "datasource": DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "instant": instant,
                "range": not instant,
                "format": "table" if panel.kind is Kind.TABLE else "time_series",
            }
            for place, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        "links": [{"title": title, "url": url, "targetBlank": True} for title, url in panel.links],
    }
    if panel.kind is Kind.TABLE:
        made["transformations"] = [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": {"Time": True}}},
        ]
    return made


def _defaults(panel: Panel) -> dict[str, Any]:
    steps = [{"value": value, "color": color} for value, color in panel.thresholds]
    made: dict[str, Any] = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": steps},
        "color": {"mode": "thresholds" if panel.kind is not Kind.SERIES else "palette-classic"},
        "mappings": [
            {
                "type": "value",
                "options": {f"{value:g}": {"text": text, "color": color, "index": place}},
            }
            for place, (value, text, color) in enumerate(panel.mappings)
        ],
    }
    if panel.low is not None:
        made["min"] = panel.low
    if panel.high is not None:
        made["max"] = panel.high
    if panel.kind is Kind.SERIES:
        drawn = "dashed" if len(panel.thresholds) > 1 else "off"
        made["custom"] = {"fillOpacity": 10, "thresholdsStyle": {"mode": drawn}}
    return made


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind is Kind.SERIES:
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if panel.kind is Kind.TABLE:
        return {"showHeader": True}
    reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if panel.kind is Kind.BARS:
        return {"reduceOptions": reduced, "orientation": "horizontal", "displayMode": "basic"}
    return {
        "reduceOptions": reduced,
        "colorMode": "background",
        "graphMode": "none",
        "textMode": "value_and_name",
    }
