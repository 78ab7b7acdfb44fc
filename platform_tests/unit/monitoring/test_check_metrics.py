"""Recorded checks as metrics: of the champion, as recorded, bounded, and with their age."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from monitors import monitor_of, samples, sources
from product_fixtures import (
    DATA,
    Made,
    World,
    after_raw,
    after_validated,
    rows_of_applicants,
    tiny_product,
)

from interlock.actions.current_data import Declared, GivenFile, NewestSnapshot
from interlock.actions.drift_check import DriftChecked, check_drift
from interlock.actions.ingest import ingest
from interlock.actions.validate import ValidatedSnapshot, validate
from interlock.errors import DataError, MonitoringError
from interlock.ml.source import CsvSource
from monitoring.catalogue import MAX_VALUES, Families
from monitoring.check_figures import (
    DriftFigures,
    Measure,
    PerformanceFigures,
    drift_figures,
    performance_figures,
)
from monitoring.check_metrics import fill_checks, shown_by_check
from monitoring.drift_check import MAX_FEATURES
from monitoring.observed import CheckView
from monitoring.trail_state import RecordedCheck

DAY = "2040-01-02"  # of the promotion
WATCHED = {
    "current": {"kind": "csv", "path": "day-{partition}.csv"},
    "partitions": "daily",
    "since": "2039-12-01",
}
RECORDED = RecordedCheck("1", DAY, False, "key", "hash", 1_000.0)


def deliver(world: World, *, more: float = 0.0, columns: str = "age,income,region") -> Path:
    lines = [line.split(",") for line in rows_of_applicants(200, seed=9)]
    rows = [f"{age},{float(income) + more},{region}" for age, income, region, _ in lines]
    path = world.folder / f"day-{DAY}.csv"
    path.write_text("\n".join([columns, *rows]) + "\n")
    return path


def check(world: World) -> DriftChecked:
    product = tiny_product(monitoring=WATCHED)
    world.clock.advance(minutes=1)
    return check_drift(world.workspace(), product, world.run("check"), Declared(DAY))


def ingest_again(world: World) -> ValidatedSnapshot:
    world.clock.advance(minutes=1)
    work, run = world.workspace(), f"run-{world.clock():%H%M}"
    raw = ingest(work, tiny_product(), world.run(run, step="tiny/raw_data"))
    step = world.run(run, step="tiny/validated_data")
    return validate(work, tiny_product(), step, after_raw(raw))


def test_a_recorded_check_tells_drift_of_features_and_scores_and_its_age(
    made: tuple[World, Made], tmp_path: Path
) -> None:
    world, _ = made
    monitor = monitor_of(sources(world, tmp_path))
    assert "prediction_drift_score tiny ks" not in samples(monitor)
    path = deliver(world, more=40)
    found = check(world)
    shown = samples(monitor)
    income = next(each for each in found.verdict.columns if each.name == "income")
    for statistic, value in income.statistics.items():
        assert shown[f"feature_drift_score tiny income {statistic.value}"] == value
    assert shown["data_drift_detected tiny"] == 1
    assert shown["prediction_drift_detected tiny"] == 1
    assert shown["prediction_drift_score tiny ks"] > 0.1
    assert shown["monitoring_check_up tiny drift"] == 1
    assert shown["monitoring_check_daily tiny drift"] == 1
    age = world.clock().timestamp() - shown["monitoring_check_last_timestamp_seconds tiny drift"]
    assert 0 <= age < 60

    # A file that somebody named says nothing about what the champion decides on.
    deliver(world)
    given = GivenFile(path, CsvSource(kind="csv", path=path.name))
    check_drift(world.workspace(), tiny_product(), world.run("by-hand"), given)
    assert samples(monitor)["data_drift_detected tiny"] == 1

    # A check without verdict: the last figures stay, and it shows that they are not renewed.
    deliver(world, columns="age,wealth,region")
    with pytest.raises(DataError):
        check(world)
    broken = samples(monitor)
    assert broken["monitoring_check_up tiny drift"] == 0
    last = "monitoring_check_last_timestamp_seconds tiny drift"
    assert broken[last] == shown[last]

    # What is ingested for training says nothing about what is served.
    usual = world.csv.read_text()
    ingest_again(world)
    fresh = samples(monitor)
    assert fresh["data_drift_detected tiny"] == 1
    assert fresh["prediction_drift_detected tiny"] == 1

    # Of a snapshot, the next one ends what a check said: the monitor measures that itself.
    lines = [line.split(",") for line in rows_of_applicants()]
    rows = [",".join((age, str(float(income) + 40), *rest)) for age, income, *rest in lines]
    world.csv.write_text("\n".join([usual.partition("\n")[0], *rows]) + "\n")
    snapshot = NewestSnapshot(after_validated(ingest_again(world)))
    found = check_drift(world.workspace(), tiny_product(), world.run("snapshot"), snapshot)
    assert samples(monitor)["data_drift_detected tiny"] == 1
    world.csv.write_text(usual)
    ingest_again(world)
    assert samples(monitor)["data_drift_detected tiny"] == 0

    # Figures that are others than recorded are not shown.
    versions = world.store.buckets[DATA].versions[found.figures_key]
    versions[-1] = replace(versions[-1], data=b"{}")
    fresh_monitor = samples(monitor_of(sources(world, tmp_path)))
    assert "prediction_drift_detected tiny" not in fresh_monitor
    assert fresh_monitor["monitoring_check_daily tiny drift"] == 0


def column(name: str, **changes: Any) -> dict[str, Any]:
    figures = {"ks": 0.2, "psi": float("nan"), "invented": 1.0, "chi_square": "many"}
    return {"name": name, "outcome": "drift", "statistics": figures} | changes


def stored(document: object) -> bytes:
    return json.dumps(document).encode()


def test_labels_come_from_the_codes_vocabulary_and_are_bounded() -> None:
    columns = [column(f"x{place}") for place in range(MAX_FEATURES + 50)]
    found = drift_figures(
        stored({"outcome": "drift", "columns": columns, "predictions": [column("score")]})
    )
    assert found.detected
    assert found.predictions_detected
    assert list(found.features) == [f"x{place}" for place in range(MAX_FEATURES)]
    assert found.features["x0"] == found.predictions == {"ks": 0.2}
    out = Families()
    many = {
        (f"p{place:03}", "drift"): CheckView(True, RECORDED, found, True)
        for place in range(MAX_VALUES + 3)
    }
    fill_checks(out, many)
    assert len(shown_by_check(many)) == MAX_VALUES + 3
    products = {s.labels["product"] for f in out.all() for s in f.samples if "product" in s.labels}
    assert len(products) == MAX_VALUES


def window(day: int, **changes: Any) -> dict[str, Any]:
    metric = {"value": 0.8, "low": 0.7, "high": 0.9, "verdict": "within"}
    beyond = {"value": 0.5, "low": None, "high": None, "verdict": "beyond_limit"}
    return {
        "name": f"2026-11-{day}",
        "end": f"2026-11-{day}T00:00:00+00:00",
        "labelled": 300,
        "groups": [{"metrics": {"accuracy": metric}}, {"metrics": {"accuracy": beyond}}],
        "estimate": None,
    } | changes


def test_performance_is_that_of_the_newest_window_with_labels() -> None:
    estimate = {"metrics": {"f1": {"value": 0.6, "low": 0.5, "high": 0.7}}}
    without = window(22, labelled=0, groups=[{"metrics": {}}], estimate=estimate)
    found = performance_figures(stored({"windows": [window(20), window(21), without]}))
    assert found == PerformanceFigures(
        beyond=2,
        metrics={"accuracy": Measure(0.8, 0.7, 0.9)},
        estimated={"f1": Measure(0.6, 0.5, 0.7)},
        window_end=1_795_219_200.0,
    )
    out = Families()
    fill_checks(out, {("tiny", "performance"): CheckView(True, RECORDED, found, True)})
    shown = {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in out.all()
        for sample in family.samples
    }
    assert shown["model_performance_beyond_limit tiny"] == 2
    assert shown["model_performance tiny accuracy"] == 0.8
    assert shown["model_performance_interval tiny accuracy low"] == 0.7
    assert shown["model_performance_interval tiny accuracy high"] == 0.9
    assert shown["model_performance_estimated tiny f1"] == 0.6
    assert shown["model_performance_window_end_timestamp_seconds tiny"] == 1_795_219_200


def test_an_attempt_alone_has_no_age_and_no_figures() -> None:
    out = Families()
    hand = replace(RECORDED, partition="20260101")
    fill_checks(
        out,
        {
            ("tiny", "drift"): CheckView(False, None, None, False),
            ("other", "drift"): CheckView(True, hand, DriftFigures(False, False, {}, {}), False),
        },
    )
    names = {(s.name, *s.labels.values()): s.value for f in out.all() for s in f.samples}
    assert names["monitoring_check_up", "tiny", "drift"] == 0
    assert ("monitoring_check_last_timestamp_seconds", "tiny", "drift") not in names
    assert names["monitoring_check_daily", "other", "drift"] == 0
    assert ("data_drift_detected", "other") not in names


@pytest.mark.parametrize("read", [drift_figures, performance_figures])
@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"windows": [1]}', b'{"predictions": 3, "outcome": 1}', b"\xff"],
)
def test_figures_of_another_shape_are_refused_as_a_whole(
    read: Callable[[bytes], object], content: bytes
) -> None:
    with pytest.raises(MonitoringError, match="are no figures"):
        read(content)
