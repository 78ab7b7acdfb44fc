"""Labels held against what a version promised, and what follows for the champion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from product_fixtures import Made, World, rows_of_applicants, tiny_product

from interlock.actions.current_data import Declared
from interlock.actions.deploy_check import deploy_check
from interlock.actions.performance_check import PerformanceChecked, check_performance
from interlock.errors import AccessDenied, DataError, DeploymentRefused, InterlockError
from interlock.governance.audit import AuditRecord, Outcome
from interlock.governance.principal import Role
from interlock.ml.performance_document import outcome_of
from interlock.ml.performance_limit import Verdict

MODEL = "TinyModel"
WATCHED: dict[str, Any] = {
    "current": {"kind": "csv", "path": "served-{partition}.csv"},
    "partitions": "batch",
    "id": "case",
    "time": "decided",
    "labels": {
        "source": {"kind": "csv", "path": "labels.csv"},
        "id": "case",
        "time": "known",
    },
}
BATCH = "january"
OTHER = {"good": "bad", "bad": "good"}


def as_it_was(_row: int, outcome: str) -> str:
    return outcome


def deliver(
    world: World,
    outcome: Callable[[int, str], str],
    *,
    rows: int = 400,
    protected: bool = True,
    case: Callable[[int], str] = str,
) -> None:
    """A batch that was served at New Year, and what became of it a day later."""
    served = ["case,decided,income,region" + (",age" if protected else "")]
    labels = ["case,outcome,known"]
    for number, line in enumerate(rows_of_applicants(rows, seed=21)):
        age, income, region, true = line.split(",")
        served.append(
            f"{number},2040-01-01T08:00:00Z,{income},{region}" + (f",{age}" if protected else "")
        )
        labels.append(f"{case(number)},{outcome(number, true)},2040-01-02T08:00:00Z")
    (world.folder / f"served-{BATCH}.csv").write_text("\n".join(served) + "\n")
    (world.folder / "labels.csv").write_text("\n".join(labels) + "\n")


def check(world: World, **changes: Any) -> PerformanceChecked:
    options = changes.pop("options", {})
    product = tiny_product(monitoring=WATCHED | changes)
    work = world.workspace(**options)
    return check_performance(work, product, world.run("check"), Declared(BATCH))


def last(world: World) -> AuditRecord:
    return [each for each in world.records() if each.action == "model:monitor"][-1]


def deployable(world: World, run: str) -> None:
    deploy_check(world.workspace(), MODEL, world.run(run))


def test_broken_promise_is_recorded_reported_and_suspends_the_champion(
    made: tuple[World, Made],
) -> None:
    world, _ = made
    deliver(world, lambda _, outcome: OTHER[outcome])
    found = check(world)
    assert outcome_of(found.report) is Verdict.BEYOND_LIMIT
    record = last(world)
    evidence = record.evidence
    assert record.outcome is Outcome.SUCCEEDED
    assert (evidence["check"], evidence["version"]) == ("performance", "1")
    assert (evidence["predictions"], evidence["labels"]) == (400, 400)
    assert evidence["outcome"] == "beyond_limit"
    assert "roc_auc of all rows in 2040-01-01" in str(evidence["beyond"])
    assert evidence["reference_performance"] == found.reference.performance_hash
    assert "age =" not in str(evidence)  # whose group it is, is nobody's business in the trail
    assert "2040-01-01" in found.page
    assert found.suspension is not None
    assert found.suspension.cause == "performance"
    with pytest.raises(DeploymentRefused, match="its approval is suspended"):
        deployable(world, "ask")


def test_kept_promise_suspends_nothing(made: tuple[World, Made]) -> None:
    world, _ = made
    deliver(world, as_it_was)
    found = check(world)
    assert outcome_of(found.report) in {Verdict.WITHIN, Verdict.UNDECIDED}
    assert found.suspension is None
    assert len(found.estimates) == 1
    deployable(world, "ask")


def test_days_are_those_of_the_zone_unless_performance_names_another(
    made: tuple[World, Made],
) -> None:
    world, _ = made
    deliver(world, as_it_was)
    served = world.folder / f"served-{BATCH}.csv"
    header, *rows = served.read_text().splitlines()
    rows[::2] = [row.replace("2040-01-01T08:00:00", "2040-01-01T23:30:00") for row in rows[::2]]
    rows[1::2] = [row.replace("2040-01-01T08:00:00", "2040-01-02T00:30:00") for row in rows[1::2]]
    served.write_text("\n".join([header, *rows]) + "\n")

    def windows(**changes: Any) -> list[str]:
        return [each.name for each in check(world, **changes).report.windows]

    assert windows(zone="Europe/Berlin") == ["2040-01-02"]
    apart = windows(zone="Europe/Berlin", performance={"zone": "UTC"})
    assert apart == ["2040-01-01", "2040-01-02"]


def test_groups_that_the_data_does_not_name_are_left_out_and_told(
    made: tuple[World, Made],
) -> None:
    world, _ = made
    deliver(world, as_it_was, protected=False)
    found = check(world)
    assert found.report.windows[0].groups == ()
    assert last(world).evidence["unmeasured"] == ("age",)
    assert "the data has no age" in found.page


def test_product_that_names_drift_alone_is_not_suspended_for_performance(
    made: tuple[World, Made],
) -> None:
    world, _ = made
    deliver(world, lambda _, outcome: OTHER[outcome])
    assert check(world, suspend_on=["drift"]).suspension is None
    deployable(world, "ask")


def test_ids_of_labels_of_their_own_that_do_not_join_are_refused_and_recorded(
    made: tuple[World, Made],
) -> None:
    world, _ = made
    deliver(world, as_it_was, case=lambda number: f"case-{number}")
    (world.folder / "labels.csv").rename(world.folder / f"labels-{BATCH}.csv")
    own = {"source": {"kind": "csv", "path": "labels-{partition}.csv"}}
    before = world.state()
    with pytest.raises(DataError, match="none of the 400 labels has the id") as refused:
        check(world, labels=WATCHED["labels"] | own)
    assert refused.value.remedy
    assert last(world).outcome is Outcome.FAILED
    assert world.state() == before
    deployable(world, "ask")


def test_labels_of_other_batches_alone_are_late_ones_and_no_verdict(
    made: tuple[World, Made],
) -> None:
    world, _ = made
    deliver(world, as_it_was, case=lambda number: str(number + 400))
    found = check(world)
    assert outcome_of(found.report) is Verdict.NOT_ENOUGH_DATA
    assert last(world).outcome is Outcome.SUCCEEDED
    assert "none of the 400 labels has the id of a prediction" in found.page
    assert found.suspension is None


def test_too_few_labels_are_no_verdict(made: tuple[World, Made]) -> None:
    world, _ = made
    deliver(world, lambda _, outcome: OTHER[outcome], rows=20)
    found = check(world)
    assert outcome_of(found.report) is Verdict.NOT_ENOUGH_DATA
    assert found.suspension is None


WRONG: dict[str, tuple[dict[str, Any], type[InterlockError], str]] = {
    "no column": (
        {"labels": {**WATCHED["labels"], "time": "when"}},
        DataError,
        "the labels have no column when",
    ),
    "no id": ({"id": "number"}, DataError, "missing: number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_declaration_is_refused(made: tuple[World, Made], name: str) -> None:
    world, _ = made
    changes, error, words = WRONG[name]
    deliver(world, as_it_was)
    with pytest.raises(error, match=words):
        check(world, **changes)
    assert last(world).outcome is Outcome.FAILED


def test_product_without_labels_says_what_to_declare(made: tuple[World, Made]) -> None:
    world, _ = made
    with pytest.raises(DataError, match="does not declare where labels arrive") as refused:
        check_performance(world.workspace(), tiny_product(), world.run("check"), Declared())
    assert "monitoring.labels" in refused.value.remedy
    assert last(world).outcome is Outcome.FAILED


def test_who_may_not_is_denied(made: tuple[World, Made]) -> None:
    world, _ = made
    deliver(world, lambda _, outcome: OTHER[outcome])
    before = world.state()
    with pytest.raises(AccessDenied):
        check(world, options={"role": Role.AUDITOR, "name": "mallory"})
    assert last(world).outcome is Outcome.DENIED
    assert world.state() == before
