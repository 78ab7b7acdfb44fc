"""The sensor that asks for a new training: when, how often, and that a restart forgets nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from product_fixtures import write_defs

from interlock.adapters.tokens import RunTokens
from interlock.components.model_product.report_presentation import COUNTS_METADATA
from interlock.components.model_product.retraining import (
    FINDING_TAG,
    RETRAINING_TAG,
    reason_to_wait,
)
from interlock.definitions import build_defs
from interlock.guard import EVENT_METADATA, SCHEDULE_TOKEN_TAG, Guard
from interlock.ml.monitoring import Retraining

NOW = datetime(2040, 1, 2, 9, tzinfo=UTC)
EVENT = "governance/audit/2040/01/02/tiny-run-9/000002.json"


def hours_ago(*hours: float) -> list[datetime]:
    return [NOW - timedelta(hours=each) for each in hours]


@pytest.mark.parametrize(
    ("requested", "words"),
    [
        ([], None),
        (hours_ago(13), None),
        (hours_ago(11.9), "cooling down until 2040-01-02 09:06 UTC"),
        (hours_ago(13, 23), "2 requests in 24 hours; at most 2"),
        (hours_ago(13, 25, 26, 27), None),
    ],
)
def test_requests_keep_their_distance_and_their_number(
    requested: list[datetime], words: str | None
) -> None:
    rules = Retraining(cool_down_hours=12, per_day=2)
    assert reason_to_wait(rules, now=NOW, requested=requested) == words


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def never_opened() -> Any:
    raise AssertionError("the sensor reads Dagster's record alone")


def look(instance: dg.DagsterInstance, folder: Path, **rules: int) -> Any:
    """One evaluation, by a process that remembers nothing."""
    write_defs(folder, monitoring={"retraining": rules})
    tokens = RunTokens(b"k" * 32, clock=lambda: datetime.now(UTC))
    defs = build_defs(folder=folder, guard=Guard(never_opened, tokens=tokens))
    sensor = defs.resolve_sensor_def("tiny_retraining")
    context = dg.build_sensor_context(
        instance=instance,
        repository_def=defs.get_repository_def(),
        resources={"guard": Guard(never_opened, tokens=tokens)},
    )
    return sensor.evaluate_tick(context)


def report(
    instance: dg.DagsterInstance, outcome: str, *, day: str | None = None, counts: bool = True
) -> None:
    shown: dict[str, Any] = {
        "outcome": outcome,
        "version": "1",
        EVENT_METADATA: EVENT,
        COUNTS_METADATA: counts,
    }
    key = dg.AssetKey(["tiny", "drift_report"])
    instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=shown, partition=day))


def start(instance: dg.DagsterInstance, **options: Any) -> None:
    @dg.job(name=options.pop("job", "another"))
    def started() -> None:
        pass

    instance.create_run_for_job(started, **options)


def test_nothing_found_asks_for_nothing(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    assert look(instance, tmp_path).run_requests == []
    report(instance, "drift")
    report(instance, "no drift")
    assert look(instance, tmp_path).run_requests == []


def test_finding_asks_for_a_training_as_the_scheduler(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    report(instance, "drift")
    (request,) = look(instance, tmp_path).run_requests
    assert request.tags[RETRAINING_TAG] == "tiny"
    assert request.tags[FINDING_TAG] == EVENT
    assert request.tags[SCHEDULE_TOKEN_TAG]
    assert request.run_key == f"{EVENT}#0"


def test_newest_day_decides_however_late_an_older_one_was_looked_at(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    report(instance, "drift", day="2026-11-03")
    report(instance, "no drift", day="2026-11-02")
    assert len(look(instance, tmp_path).run_requests) == 1


def test_report_of_another_version_or_from_before_its_promotion_asks_for_nothing(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    report(instance, "drift", day="2026-11-03", counts=False)
    assert look(instance, tmp_path).run_requests == []
    report(instance, "drift", day="2026-11-03")
    report(instance, "no drift", day="2026-11-03", counts=False)
    assert len(look(instance, tmp_path).run_requests) == 1


def test_request_on_record_keeps_the_next_one_waiting_after_a_restart(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    start(instance, tags={RETRAINING_TAG: "tiny"})
    report(instance, "drift")
    assert "cooling down" in look(instance, tmp_path, cool_down_hours=2).skip_message


def test_request_of_another_product_does_not_count(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    start(instance, tags={RETRAINING_TAG: "other"})
    report(instance, "drift")
    assert len(look(instance, tmp_path).run_requests) == 1


def test_training_since_the_finding_is_enough(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    report(instance, "beyond_limit")
    time.sleep(0.01)
    start(instance, job="tiny_pipeline")
    assert "trained since" in look(instance, tmp_path).skip_message


def test_failed_training_is_asked_for_again_under_a_key_of_its_own(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    report(instance, "drift")
    (first,) = look(instance, tmp_path).run_requests
    # Of this finding, and too long ago for the rules that keep requests apart.
    start(instance, job="tiny_pipeline", tags={FINDING_TAG: EVENT})
    (failed,) = instance.get_runs()
    instance.report_run_failed(failed)
    (again,) = look(instance, tmp_path).run_requests
    assert again.run_key != first.run_key
