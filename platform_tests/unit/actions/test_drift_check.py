"""Data held against what a version learned from, and what follows for the champion."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from product_fixtures import Made, World, after_validated, rows_of_applicants, tiny_product

from interlock.actions.current_data import Declared, GivenFile, NewestSnapshot
from interlock.actions.deploy_check import deploy_check
from interlock.actions.drift_check import DriftChecked, check_drift
from interlock.actions.evidence import recorded_event, require_text
from interlock.errors import (
    AccessDenied,
    AuditWriteFailed,
    DataError,
    DeploymentRefused,
    EvidenceError,
    InterlockError,
    ProfileError,
    RegistryError,
    SourceError,
    StoreUnavailable,
)
from interlock.governance.audit import AuditRecord, Outcome
from interlock.governance.principal import Role
from interlock.ml.monitoring import SCORE
from interlock.ml.source import CsvSource, ParquetSource
from interlock.ml.verdict import Outcome as Found

MODEL = "TinyModel"
WATCHED: dict[str, Any] = {
    "current": {"kind": "csv", "path": "day-{partition}.csv"},
    "partitions": "daily",
    "since": "2039-12-01",
}
DAY = "2040-01-02"  # of the promotion
HEADER = "age,income,region\n"


def shifted(line: str) -> str:
    """Somebody who earns far more, and whose outcome is not known yet."""
    age, income, region, _ = line.split(",")
    return f"{age},{float(income) + 40},{region}"


def usual(line: str) -> str:
    return line.rpartition(",")[0]


def deliver(world: World, change: Callable[[str], str], *, rows: int = 200, seed: int = 9) -> None:
    lines = (change(line) for line in rows_of_applicants(rows, seed=seed))
    write(world, HEADER + "\n".join(lines) + "\n")


def write(world: World, text: str) -> Path:
    path = world.folder / f"day-{DAY}.csv"
    path.write_text(text)
    return path


def check(world: World, partition: str | None = DAY, **options: Any) -> DriftChecked:
    product = tiny_product(monitoring=WATCHED)
    work = world.workspace(**options)
    return check_drift(work, product, world.run("check"), Declared(partition))


def last(world: World, action: str = "model:monitor") -> AuditRecord:
    return [each for each in world.records() if each.action == action][-1]


def deployable(world: World, run: str) -> None:
    deploy_check(world.workspace(), MODEL, world.run(run))


def test_drifted_day_is_recorded_reported_and_suspends_the_champion(
    made: tuple[World, Made],
) -> None:
    world, _ = made
    deliver(world, shifted)
    found = check(world)
    assert found.verdict.outcome is Found.DRIFT
    assert {"income", SCORE} <= set(found.verdict.drifted)
    assert "region" not in found.verdict.drifted
    record = last(world)
    evidence = record.evidence
    assert record.outcome is Outcome.SUCCEEDED
    assert (record.resource, evidence["version"]) == (f"model/{MODEL}", "1")
    assert evidence["partition"] == DAY
    assert evidence["outcome"] == "drift"
    assert evidence["data_hash"] == found.data_hash
    assert evidence["reference_profile"] == found.reference.profile_hash
    figures = json.loads(world.store.get(world.data_bucket, found.figures_key))
    assert figures["model"] == MODEL
    assert [each["name"] for each in figures["predictions"]] == [SCORE]
    assert "income" in found.page
    stored = world.registry.run_files(found.mlflow_run, "drift")
    assert stored == ["drift/drift.json", "drift/drift_report.html"]
    assert found.suspension is not None
    began = recorded_event(world.workspace(), found.suspension.check)
    assert (began.action, began.outcome) == ("model:monitor", Outcome.STARTED)
    assert evidence["suspension"] == found.suspension.event_key
    with pytest.raises(DeploymentRefused, match=f"drift of .* in {DAY}"):
        deployable(world, "ask")
    assert check(world).suspension == found.suspension  # no second one


def test_check_whose_suspension_cannot_be_recorded_has_failed(made: tuple[World, Made]) -> None:
    """No verdict is on record without what follows from it; the next attempt finds it again."""
    world, _ = made
    deliver(world, shifted)

    def refuse(operation: str, _bucket: str, key: str) -> None:
        if operation == "put_new" and "decisions." in key:
            raise StoreUnavailable("no answer", remedy="try again")

    world.store.before.append(refuse)
    with pytest.raises(AuditWriteFailed):
        check(world)
    world.store.before.clear()
    assert (last(world).outcome, "outcome" in last(world).evidence) == (Outcome.FAILED, True)
    assert "suspension" not in last(world).evidence
    assert check(world).suspension is not None
    with pytest.raises(DeploymentRefused):
        deployable(world, "ask")


def test_usual_day_suspends_nothing(made: tuple[World, Made]) -> None:
    world, _ = made
    deliver(world, usual)
    found = check(world)
    assert found.verdict.outcome is Found.NO_DRIFT
    assert found.suspension is None
    deployable(world, "ask")
    assert "model:suspend" not in {each.action for each in world.records()}


def test_newest_snapshot_is_held_against_itself_without_any_declaration(
    made: tuple[World, Made],
) -> None:
    world, result = made
    current = NewestSnapshot(after_validated(result.validated))
    found = check_drift(world.workspace(), tiny_product(), world.run("check"), current)
    assert found.verdict.outcome is Found.NO_DRIFT
    assert found.data_hash == result.validated.data_hash
    assert found.current.rows == result.trained.rows


def test_scores_of_rows_that_a_version_was_fitted_on_are_not_judged(
    made: tuple[World, Made],
) -> None:
    world, result = made
    snapshot = world.folder / "snapshot.parquet"
    key = require_text(last(world, "data:validate").evidence, "accepted_key", "validated_data")
    snapshot.write_bytes(world.store.get(world.data_bucket, key))
    for current in (
        NewestSnapshot(after_validated(result.validated)),
        GivenFile(snapshot, ParquetSource(kind="parquet", path=snapshot.name)),
    ):
        found = check_drift(world.workspace(), tiny_product(), world.run("check"), current)
        assert not found.verdict.predictions
        assert {each.name for each in found.verdict.columns} == {"income", "region"}
        assert last(world).evidence["notes"] == found.notes
        assert found.notes[0].startswith("scores are not judged")
        assert "scores are not judged" in found.page


def test_limit_of_a_feature_that_the_champion_lacks_is_left_out_and_told(
    made: tuple[World, Made],
) -> None:
    world, _ = made
    deliver(world, usual)
    columns = {"age": {"ks": 0.2}, "income": {"ks": 0.001, "psi": 0.001}, SCORE: {"ks": 0.3}}
    product = tiny_product(
        features=["income", "region", "age"],
        monitoring=WATCHED | {"drift": {"columns": columns}},
    )
    found = check_drift(world.workspace(), product, world.run("check"), Declared(DAY))
    assert found.notes == ("not in the reference, so their limits judge nothing: age",)
    assert last(world).evidence["notes"] == found.notes
    assert "judge nothing: age" in found.page
    income = next(each for each in found.verdict.columns if each.name == "income")
    assert {shift.limit for shift in income.shifts} == {0.001, 0.2}
    (score,) = found.verdict.predictions
    assert {shift.statistic.value: shift.limit for shift in score.shifts} == {"ks": 0.3, "psi": 0.2}


def test_product_that_names_performance_alone_is_not_suspended_for_drift(
    made: tuple[World, Made],
) -> None:
    world, _ = made
    deliver(world, shifted)
    labels = {"source": WATCHED["current"], "id": "case", "time": "known"}
    product = tiny_product(
        monitoring=WATCHED
        | {"suspend_on": ["performance"], "id": "case", "time": "made", "labels": labels}
    )
    found = check_drift(world.workspace(), product, world.run("check"), Declared(DAY))
    assert found.verdict.outcome is Found.DRIFT
    assert found.suspension is None
    with pytest.raises(ValueError, match="suspend_on"):
        tiny_product(monitoring={"suspend_on": []})


WRONG: dict[str, tuple[str, type[InterlockError], str]] = {
    "no rows": (HEADER, DataError, "has no rows"),
    "missing": ("age,income\n30,1.5\n", ProfileError, "missing: region"),
    "renamed": (
        "age,Income,region\n30,1,north\n",
        ProfileError,
        "not in the reference: age, Income",
    ),
    "type": (HEADER + "30,much,north\n", SourceError, "row 1 has no number in column 'income'"),
    "ragged": (HEADER + "30,1.5\n", SourceError, "2 values|2 fields|row|line"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_data_is_refused_recorded_and_changes_nothing(
    made: tuple[World, Made], name: str
) -> None:
    world, _ = made
    text, error, words = WRONG[name]
    write(world, text)
    before = world.state()
    with pytest.raises(error, match=words) as refused:
        check(world)
    assert refused.value.remedy
    record = last(world)
    assert record.outcome is Outcome.FAILED
    assert record.reason
    assert world.state() == before
    deployable(world, "ask")


def test_column_without_any_value_is_measured_not_refused(made: tuple[World, Made]) -> None:
    world, _ = made
    deliver(world, lambda line: f"{line.split(',')[0]},,{line.split(',')[2]}")
    found = check(world)
    assert "income" in found.verdict.drifted


@pytest.mark.parametrize("partition", [None, "../../tiny", "a/b", ""])
def test_partition_that_is_no_name_is_refused(
    made: tuple[World, Made], partition: str | None
) -> None:
    world, _ = made
    with pytest.raises(DataError, match="names no partition"):
        check(world, partition)
    assert last(world).outcome is Outcome.FAILED


def test_unknown_version_is_refused(made: tuple[World, Made]) -> None:
    world, _ = made
    path = write(world, HEADER)
    given = GivenFile(path, CsvSource(kind="csv", path=path.name))
    with pytest.raises(RegistryError):
        check_drift(world.workspace(), tiny_product(), world.run("check"), given, version="9")
    assert last(world).outcome is Outcome.FAILED


def test_file_that_somebody_names_is_reported_on_and_suspends_nothing(
    made: tuple[World, Made],
) -> None:
    world, _ = made
    deliver(world, shifted)
    path = world.folder / f"day-{DAY}.csv"
    given = GivenFile(path, CsvSource(kind="csv", path=path.name))
    found = check_drift(world.workspace(), tiny_product(), world.run("check"), given)
    assert found.verdict.outcome is Found.DRIFT
    assert last(world).evidence["outcome"] == "drift"
    assert found.suspension is None
    deployable(world, "ask")


def test_day_from_before_the_promotion_is_reported_on_and_suspends_nothing(
    made: tuple[World, Made],
) -> None:
    world, _ = made
    deliver(world, shifted)
    before = "2040-01-01"
    (world.folder / f"day-{DAY}.csv").rename(world.folder / f"day-{before}.csv")
    found = check(world, before)
    assert found.verdict.outcome is Found.DRIFT
    assert (found.counts, found.suspension) == (False, None)
    assert last(world).evidence["counts"] is False
    deployable(world, "ask")


def test_one_bad_file_fails_the_check_by_its_name_for_no_verdict_is_of_some_files(
    made: tuple[World, Made],
) -> None:
    world, _ = made
    deliver(world, usual)
    good, bad = world.folder / f"day-{DAY}.csv", world.folder / "bad.parquet"
    bad.write_bytes(b"PAR1")
    csv, parquet = CsvSource(kind="csv", path="x"), ParquetSource(kind="parquet", path="x")
    both = GivenFile(good, csv, more=(GivenFile(bad, parquet),))
    for given in (both, GivenFile(bad, parquet)):
        with pytest.raises(SourceError, match=r"^bad\.parquet: the file is no Parquet file"):
            check_drift(world.workspace(), tiny_product(), world.run("check"), given)
        assert last(world).outcome is Outcome.FAILED


def test_reference_of_another_model_is_refused(made: tuple[World, Made]) -> None:
    world, _ = made
    path = next(world.artifacts.rglob("reference/profile.bin"))
    path.write_bytes(path.read_bytes()[:-1])
    deliver(world, usual)
    with pytest.raises(EvidenceError, match="has SHA-256"):
        check(world)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.APPROVER, Role.MONITOR])
def test_who_may_not_is_denied_and_nothing_is_read(made: tuple[World, Made], role: Role) -> None:
    world, _ = made
    deliver(world, shifted)
    before = world.state()
    with pytest.raises(AccessDenied):
        check(world, role=role, name="mallory")
    record = last(world)
    assert record.outcome is Outcome.DENIED
    assert "data_hash" not in cast("dict[str, object]", record.evidence)
    assert world.state() == before
    deployable(world, "ask")
