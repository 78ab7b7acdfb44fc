"""Reports of a version in use as Dagster runs them: by batch, by hand, and refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from product_fixtures import Made, World, rows_of_applicants, write_defs

from interlock.components.model_product.retraining import newest_finding
from interlock.definitions import build_defs
from interlock.governance.principal import Role
from interlock.guard import EVENT_METADATA, Guard

BATCH, DAY = "week-1", "2026-01-05"
WATCHED: dict[str, Any] = {
    "current": {"kind": "csv", "path": "served-{partition}.csv"},
    "partitions": "batch",
    "id": "case",
    "time": "decided",
    "labels": {"source": {"kind": "csv", "path": "labels.csv"}, "id": "case", "time": "known"},
}
DRIFT = dg.AssetKey(["tiny", "drift_report"])
PERFORMANCE = dg.AssetKey(["tiny", "performance_report"])


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        found.add_dynamic_partitions("tiny_batches", [BATCH])
        yield found


def serve(world: World, *, raised: float) -> None:
    """A day of applicants with another income, and what became of them."""
    served, labels = ["case,decided,age,income,region"], ["case,outcome,known"]
    for number, line in enumerate(rows_of_applicants(300, seed=5)):
        age, income, region, outcome = line.split(",")
        served.append(f"{number},{DAY}T09:00:00Z,{age},{float(income) + raised},{region}")
        labels.append(f"{number},{outcome},2026-02-01T09:00:00Z")
    (world.folder / f"served-{BATCH}.csv").write_text("\n".join(served) + "\n")
    (world.folder / "labels.csv").write_text("\n".join(labels) + "\n")


def run(
    world: World,
    folder: Path,
    instance: dg.DagsterInstance,
    *,
    product: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    **execution: Any,
) -> tuple[Any, Guard]:
    """A run of the product's reports."""
    write_defs(folder, **(product or {}))
    guard = Guard(lambda: world.workspace(**(options or {})))
    job = build_defs(folder=folder, guard=guard).resolve_job_def("tiny_monitoring")
    result = job.execute_in_process(instance=instance, raise_on_error=False, **execution)
    return result, guard


def checks(result: Any) -> dict[str, tuple[bool, str]]:
    return {
        each.check_name: (each.passed, each.severity.value)
        for each in result.get_asset_check_evaluations()
    }


def test_batch_beyond_its_limits_fails_its_check_shows_why_and_is_a_finding(
    made: tuple[World, Made], tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world, _ = made
    serve(world, raised=40.0)
    result, guard = run(
        world, tmp_path / "defs", instance, product={"monitoring": WATCHED}, partition_key=BATCH
    )
    assert result.success
    assert checks(result)["no_drift"] == (False, "ERROR")
    (drift,) = instance.fetch_materializations(DRIFT, limit=1).records
    made_of = drift.asset_materialization
    assert made_of is not None
    assert made_of.partition == BATCH
    shown = {name: each.value for name, each in made_of.metadata.items()}
    assert "income" in str(shown["verdict"])
    assert str(shown["plot"]).startswith("![drift](data:image/png;base64,")
    assert str(shown["report"]).endswith("/drift/drift_report.html")
    assert "its approval is suspended" in str(shown["approval"])
    assert shown[EVENT_METADATA] == guard.results["tiny", "drift_report"].event_key
    (performance,) = instance.fetch_materializations(PERFORMANCE, limit=1).records
    assert performance.asset_materialization is not None
    assert "roc_auc" in str(performance.asset_materialization.metadata["newest_window"].value)
    finding = newest_finding(instance, "tiny")
    assert finding is not None
    assert finding.version == "1"
    assert world.registry.version("TinyModel", "1").tags["approval_state"] == "suspended"


def test_product_without_declaration_is_checked_by_hand(
    made: tuple[World, Made], tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world, steps = made
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            dg.AssetKey(["tiny", "validated_data"]),
            tags={"dagster/data_version": steps.validated.data_hash},
            metadata={EVENT_METADATA: steps.validated.event_key},
        )
    )
    result, _ = run(world, tmp_path / "defs", instance)
    assert result.success
    assert checks(result) == {"no_drift": (True, "WARN")}
    assert newest_finding(instance, "tiny") is None


def test_who_may_not_gets_no_report(
    made: tuple[World, Made], tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    world, _ = made
    serve(world, raised=40.0)
    result, _ = run(
        world,
        tmp_path / "defs",
        instance,
        product={"monitoring": WATCHED},
        options={"role": Role.VIEWER, "name": "mallory"},
        partition_key=BATCH,
    )
    assert not result.success
    assert not result.get_asset_materialization_events()
    denied = [each for each in world.records() if each.outcome.value == "denied"]
    assert {each.action for each in denied} == {"model:monitor"}
    assert world.registry.version("TinyModel", "1").tags["approval_state"] == "not_required"
