"""Alert rules, runbooks and dashboards held against each other and against the exporters."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from interlock.governance.policy import Action
from interlock.governance.principal import Role
from monitoring import check_rules
from monitoring.catalogue import METRICS, Kind
from monitoring.check_dashboards import interpolated
from monitoring.check_rules import COMMANDS, ROOT, promtool
from monitoring.dashboards import generate
from monitoring.dashboards.generate import DASHBOARDS, FOLDER, differences, main, write
from monitoring.dashboards.panels import Panel, Query, document
from monitoring.trail_state import ACTIONS, ROLES

RULES: dict[str, Any] = yaml.safe_load((ROOT / "alert_rules.yml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
TESTS = [
    (path.name, yaml.safe_load(path.read_text()))
    for path in sorted((ROOT / "monitoring/tests").glob("*.yml"))
]
PANELS = [(board.uid, panel) for board in DASHBOARDS for panel in board.panels]
QUERIES = [(uid, panel, query) for uid, panel in PANELS for query in panel.queries]
# Metrics of others, seen in what MinIO, MLflow and Prometheus themselves serve.
FOREIGN = {
    "up": {"job", "instance"},
    "ALERTS": {
        *("alertname", "severity", "alertstate", "product", "schedule", "pipeline", "section"),
    },
    "scrape_duration_seconds": {"job"},
    "process_resident_memory_bytes": {"job"},
    "prometheus_tsdb_head_series": set(),
    "prometheus_tsdb_storage_blocks_bytes": set(),
    "prometheus_tsdb_wal_storage_size_bytes": set(),
    "mlflow_http_request_duration_seconds_bucket": {"le", "method", "status"},
    "mlflow_http_request_total": {"method", "status"},
    "minio_cluster_capacity_usable_free_bytes": {"instance"},
    "minio_cluster_capacity_usable_total_bytes": {"instance"},
    "minio_cluster_health_status": set(),
    "minio_bucket_usage_total_bytes": {"bucket"},
    "minio_bucket_usage_object_total": {"bucket"},
    "minio_s3_requests_total": {"api"},
    "minio_s3_requests_errors_total": {"api"},
    "minio_node_process_resident_memory_bytes": set(),
}

every_alert = pytest.mark.parametrize("name", sorted(ALERTS))


def selectors(expr: Any) -> Iterator[Any]:
    """Every selector of a parsed query."""
    if isinstance(expr, promql_parser.VectorSelector):
        yield expr
    for name in ("lhs", "rhs", "expr", "vector_selector", "vs"):
        if (part := getattr(expr, name, None)) is not None:
            yield from selectors(part)
    for part in getattr(expr, "args", None) or ():
        yield from selectors(part)


def labels_of(metric: str) -> set[str]:
    base = re.sub(r"_(bucket|count|sum)$", "", metric)
    if metric in METRICS:
        return {*METRICS[metric].labels, "job", "instance"}
    if base in METRICS and METRICS[base].kind is Kind.HISTOGRAM:
        return {*METRICS[base].labels, "le", "job"}
    assert metric in FOREIGN, f"nobody serves {metric}"
    return FOREIGN[metric]


def check_query(text: str) -> None:
    found = list(selectors(promql_parser.parse(text)))
    known: set[str] = set()
    for selector in found:
        labels = labels_of(selector.name)
        known |= labels
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels, f"{selector.name} has no label {matcher.name}"
    for grouped in re.findall(r"\b(?:by|on) \(([^)]*)\)", text):
        assert {each.strip() for each in grouped.split(",")} <= known, grouped
    assert found or text == "vector(1)"


def test_a_query_of_an_unknown_metric_or_label_is_found_out() -> None:
    for wrong in ("made_up", 'up{colour="red"}', "sum by (colour) (up)", "rate(made_up[1m]) > 1"):
        with pytest.raises(AssertionError):
            check_query(wrong)


@every_alert
def test_an_alert_asks_for_metrics_that_somebody_serves(name: str) -> None:
    check_query(ALERTS[name]["expr"])


@every_alert
def test_an_alert_says_what_and_how_bad_and_where_to_read_on(name: str) -> None:
    alert = ALERTS[name]
    assert alert["labels"]["severity"] in {"critical", "warning", "info", "none"}
    assert alert["annotations"]["runbook_url"] == f"http://localhost:9200/runbooks/{name}"
    assert alert["annotations"]["summary"].endswith(".")
    grouped = re.findall(r"\bby \(([^)]*)\)", alert["expr"])
    if grouped:
        told = alert["annotations"]["summary"]
        for label in grouped[0].split(","):
            assert f"$labels.{label.strip()} " in told, "the summary names the thing"


@every_alert
def test_an_alert_has_a_runbook(name: str) -> None:
    page = (ROOT / "monitoring/runbooks" / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n\nSeverity: {ALERTS[name]['labels']['severity']}.\n")
    for heading in ("Look", "Do", "It clears"):
        assert f"\n## {heading}\n" in page


def test_no_runbook_is_without_alert_and_no_link_is_broken() -> None:
    pages = {path.stem: path.read_text() for path in (ROOT / "monitoring/runbooks").glob("*.md")}
    assert set(pages) - {"README"} == set(ALERTS)
    for text in pages.values():
        assert set(re.findall(r"\]\((\w+)\.md\)", text)) <= set(ALERTS)


@every_alert
def test_an_alert_is_tested_to_fire_and_not_to(name: str) -> None:
    cases = [
        case
        for _, suite in TESTS
        for test in suite["tests"]
        for case in test["alert_rule_test"]
        if case["alertname"] == name
    ]
    assert any(case["exp_alerts"] for case in cases), "no test that it fires"
    if name != "Watchdog":
        assert any(not case["exp_alerts"] for case in cases), "no test that it does not"


def test_all_tests_are_run() -> None:
    assert set(COMMANDS[1][2:]) == {f"monitoring/tests/{name}" for name, _ in TESTS}


def test_every_scraped_service_exists() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    scraped = yaml.safe_load((ROOT / "prometheus.yml").read_text())["scrape_configs"]
    targets = {
        target.rpartition(":")[0]
        for job in scraped
        for config in job["static_configs"]
        for target in config["targets"]
    }
    assert targets <= set(services)
    assert {job["job_name"] for job in scraped} >= {"mlflow", "minio", "dagster-exporter"}


def test_alertmanager_knows_the_alerts_that_it_routes() -> None:
    config = yaml.safe_load((ROOT / "monitoring/alertmanager.yml").read_text())
    rules = config["inhibit_rules"]
    matchers = [
        text for rule in rules for text in rule["source_matchers"] + rule["target_matchers"]
    ]
    matchers += [text for route in config["route"]["routes"] for text in route["matchers"]]
    named = re.findall(r'alertname =~? "([^"]*)"', "\n".join(matchers))
    assert {each for names in named for each in names.split("|")} <= set(ALERTS)
    receivers = {receiver["name"] for receiver in config["receivers"]}
    routed = {route["receiver"] for route in [config["route"], *config["route"]["routes"]]}
    assert routed == receivers


@pytest.mark.parametrize(
    "query", [query for _, _, query in QUERIES], ids=lambda query: query.expr[:60]
)
def test_a_panel_asks_for_metrics_that_somebody_serves(query: Query) -> None:
    expr = interpolated(query.expr)
    assert "$" not in expr
    check_query(expr)


@pytest.mark.parametrize("panel", [panel for _, panel in PANELS], ids=lambda panel: panel.title)
def test_a_panel_can_be_understood(panel: Panel) -> None:
    assert panel.description.endswith(".")
    assert panel.queries
    assert panel.thresholds[0][0] is None
    limits = [value for value, _ in panel.thresholds[1:] if value is not None]
    assert limits == sorted(limits)
    for title, address in panel.links:
        assert re.match(r"\$\{(DAGIT|MLFLOW|RUNBOOKS)\}/", address), title
        if address.startswith("${RUNBOOKS}"):
            assert address.rpartition("/")[2] in {*ALERTS, "README"}


def test_every_metric_is_on_a_dashboard_or_in_an_alert() -> None:
    shown = " ".join([query.expr for *_, query in QUERIES] + [a["expr"] for a in ALERTS.values()])
    unused = {name for name in METRICS if not re.search(rf"\b{name}(_bucket)?\b", shown)}
    assert unused == {"dagster_schedule_last_tick_timestamp_seconds"}


def test_panels_do_not_overlap_and_stay_on_the_grid() -> None:
    for board in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in document(board)["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken
            taken |= cells


def test_the_five_dashboards_are_as_generated() -> None:
    assert [board.title for board in DASHBOARDS] == [
        "MLOps Observability",
        "Pipeline execution",
        "Model performance",
        "Governance",
        "Resources",
    ]
    assert differences() == []


def test_every_panel_takes_its_datasource_from_the_variable() -> None:
    for path in FOLDER.glob("*.json"):
        board = json.loads(path.read_text())
        variables = {each["name"] for each in board["templating"]["list"]}
        assert {"PROM_DS", "product", "DAGIT", "MLFLOW", "RUNBOOKS"} == variables
        found = {json.dumps(each["datasource"]) for each in board["panels"] if "datasource" in each}
        assert found == {json.dumps({"type": "prometheus", "uid": "${PROM_DS}"})}
        assert len({each["id"] for each in board["panels"]}) == len(board["panels"])


def test_what_was_edited_or_left_behind_is_found_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path)
    assert differences(tmp_path) == []
    edited = tmp_path / "interlock-models.json"
    edited.write_text("{}")
    (tmp_path / "surplus.json").write_text("{}")
    assert differences(tmp_path) == ["interlock-models.json", "surplus.json"]
    monkeypatch.setattr(generate, "differences", lambda: differences(tmp_path))
    with pytest.raises(SystemExit, match=r"interlock-models\.json, surplus\.json: not as"):
        main(["--check"])
    monkeypatch.setattr(generate, "write", lambda: write(tmp_path))
    main([])
    assert differences(tmp_path) == []
    main(["--check"])


def test_grafana_finds_what_is_generated() -> None:
    folder = ROOT / "grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = yaml.safe_load((folder / "dashboards/interlock.yml").read_text())["providers"]
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    mounted = [volume.split(":")[1] for volume in grafana["volumes"] if "dashboards" in volume]
    assert mounted == [provider["options"]["path"]]


def test_actions_and_roles_are_counted_by_the_names_they_have() -> None:
    assert {action.value for action in Action} <= set(ACTIONS)
    assert {role.value for role in Role} == set(ROLES)


def test_promtool_is_looked_for_where_it_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    assert promtool(lambda name: f"/usr/bin/{name}") == ("/usr/bin/promtool",)
    assert promtool(lambda _: None) is None
    no_image = {"docker": "/bin/false"}
    assert promtool(no_image.get) is None
    with_image = {"docker": "/bin/true"}
    found = promtool(with_image.get)
    assert found is not None
    assert found[0] == "/bin/true"
    assert found[-1].startswith("prom/prometheus:v")
    assert check_rules.run(["/bin/true"]) == 0
    assert check_rules.run(["/bin/false"]) == 2
    for tool, expected in ((None, "promtool was not found"), (["/bin/false"], "1")):
        monkeypatch.setattr(check_rules, "promtool", lambda tool=tool: tool)
        with pytest.raises(SystemExit, match=expected):
            check_rules.main()
