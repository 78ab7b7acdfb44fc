"""What a person sees of a step in Dagit, and of a version in MLflow."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest
from product_fixtures import Made, World, tiny_product

from interlock.actions.ingest import ingest
from interlock.actions.register import Registration
from interlock.adapters.model_registry import LoggedRun
from interlock.components.model_product import presentation
from interlock.components.model_product.assets import describe_version
from interlock.components.model_product.presentation import GOVERNED, WITHHELD, raw_data
from interlock.governance.audit import RunRef
from interlock.governance.gates import Gate, GateResult, evaluate_gates
from interlock.ml.contract import contract_rules
from interlock.ml.plots import PLOTS

IN_PLACE = 1_000  # characters of Markdown; from there on Dagit shows a link


def cells(metadata: Any) -> list[list[str]]:
    """A Markdown table as rows of cells, without the rule below the header."""
    rows = [
        [c.strip() for c in line.strip("| ").split(" | ")] for line in metadata.value.split("\n")
    ]
    return [rows[0], *rows[2:]]


def test_values_of_protected_columns_are_in_no_preview_and_no_summary(world: World) -> None:
    product = tiny_product(protected=["age"])
    snapshot = ingest(world.workspace(), product, world.run())
    metadata = raw_data(snapshot, protected=product.protected).metadata or {}
    header, *rows = cells(metadata["preview"])
    place = header.index("age")
    assert {row[place] for row in rows} == {WITHHELD}
    assert WITHHELD not in {row[header.index("income")] for row in rows}
    summary = {row[0]: row for row in cells(metadata["summary"])}
    assert summary["age"][3:] == [WITHHELD, WITHHELD]
    assert WITHHELD not in summary["income"]


def shown(result: dg.MaterializeResult[Any]) -> dict[str, Any]:
    return dict(result.metadata or {})


def only_check(registration: Registration) -> Any:
    (check,) = presentation.registered_version(registration).check_results
    return check


def judged(*gates: tuple[Gate, float]) -> tuple[GateResult, ...]:
    return tuple(evaluate_gates([gate], {gate.metric: value})[0] for gate, value in gates)


def test_what_was_found_stands_before_plots_and_what_is_to_be_copied_stands_last(
    made: tuple[World, Made],
) -> None:
    _, steps = made
    plots = [f"plot_{name}" for name in PLOTS]
    keys = list(shown(presentation.trained_model(steps.trained)))
    assert keys[:8] == ["winner", "candidates", "holdout", *plots]
    proof = ["mlflow_run", "model_uri", "model_digest", "data_hash", "audit_event"]
    assert keys[-5:] == proof
    for result in (
        presentation.raw_data(steps.raw, protected=()),
        presentation.validated_data(steps.validated),
        presentation.registered_version(steps.registration),
    ):
        assert list(shown(result))[-1] == "audit_event"


def test_tables_of_a_model_are_short_enough_to_be_shown_in_place(made: tuple[World, Made]) -> None:
    _, steps = made
    trained = shown(presentation.trained_model(steps.trained))
    registered = shown(presentation.registered_version(steps.registration))
    for table in (trained["candidates"], trained["holdout"], registered["gates"]):
        assert len(table.value) < IN_PLACE


def test_numbers_of_the_holdout_agree_with_its_table_to_the_last_digit(
    made: tuple[World, Made],
) -> None:
    _, steps = made
    metadata = shown(presentation.trained_model(steps.trained))
    _, *rows = cells(metadata["holdout"])
    for metric, value, interval in rows:
        assert float(value) == metadata[metric]
        assert " to " in interval


def test_threshold_is_a_number_and_no_measured_metric(made: tuple[World, Made]) -> None:
    _, steps = made
    metadata = shown(presentation.trained_model(steps.trained))
    assert "threshold" not in {row[0] for row in cells(metadata["holdout"])}
    assert metadata["threshold"] == round(steps.trained.metrics["threshold"], 4)


def test_candidates_have_a_column_for_notes_only_when_something_is_noted(
    made: tuple[World, Made],
) -> None:
    _, steps = made
    quiet = [replace(each, notes=(), failure=None) for each in steps.trained.candidates]
    model = replace(steps.trained, candidates=tuple(quiet))
    header, *rows = cells(shown(presentation.trained_model(model))["candidates"])
    assert header == ["candidate", model.search_metric, "± fold", "fits", "seconds"]
    assert {len(row) for row in rows} == {5}
    noted = replace(model, candidates=(replace(quiet[0], notes=("two", "notes")), *quiet[1:]))
    header, first, *_ = cells(shown(presentation.trained_model(noted))["candidates"])
    assert (header[-1], first[-1]) == ("notes", "two; notes")


def test_check_of_the_gates_says_every_value_and_limit_and_gives_numbers_to_plot(
    made: tuple[World, Made],
) -> None:
    _, steps = made
    gates = judged(
        (Gate(metric="roc_auc", min=0.7), 0.7635714285714286),
        (Gate(metric="expected_cost", max=0.65), 0.615),
        (Gate(metric="rows", min=900), 1000.0),
    )
    check = only_check(replace(steps.registration, gates=gates))
    assert check.passed
    assert check.description == (
        "Every gate passed: roc_auc 0.764 ≥ 0.70; expected_cost 0.615 ≤ 0.65; rows 1,000 ≥ 900."
    )
    numbers = {name: entry.value for name, entry in check.metadata.items()}
    assert numbers == {"roc_auc": 0.7636, "expected_cost": 0.615, "rows": 1000.0}


def test_table_of_the_gates_has_digits_for_measures_and_none_for_counts(
    made: tuple[World, Made],
) -> None:
    _, steps = made
    gates = judged(
        (Gate(metric="roc_auc", min=0.7), 0.7635714285714286),
        (Gate(metric="expected_cost", max=0.65), 0.615),
        (Gate(metric="rows", min=900), 1000.0),
    )
    registration = replace(steps.registration, gates=gates)
    table = shown(presentation.registered_version(registration))["gates"]
    assert cells(table)[1:] == [
        ["roc_auc", "0.7636", "≥ 0.7", "passed"],
        ["expected_cost", "0.6150", "≤ 0.65", "passed"],
        ["rows", "1,000", "≥ 900", "passed"],
    ]


def test_check_of_the_gates_says_that_a_failed_gate_blocks_the_version(
    made: tuple[World, Made],
) -> None:
    _, steps = made
    gates = judged(
        (Gate(metric="roc_auc", min=0.7), 0.65), (Gate(metric="brier", max=0.2), float("nan"))
    )
    ks = judged((Gate(metric="ks", min=0.3), 0.4262))
    check = only_check(replace(steps.registration, gates=(*gates, *ks)))
    assert not check.passed
    assert check.description == (
        f"Version 1 is registered blocked: {gates[0].reason}; {gates[1].reason}. "
        "Passed: ks 0.426 ≥ 0.30."
    )
    assert set(check.metadata) == {"roc_auc", "ks"}
    none_passed = only_check(replace(steps.registration, gates=gates))
    assert "Passed" not in none_passed.description


@pytest.mark.parametrize(
    ("value", "limit", "text"),
    [
        (0.69996, 0.7, "0.69996"),
        (0.7, 0.7, "0.7000"),
        (0.70001, 0.7, "0.70001"),
        (0.72512, 0.7251, "0.72512"),
        (0.1 + 0.2, 0.3, "0.30000000000000004"),
        (1.0, 0.98, "1"),
        (1234.5, 1000, "1,234.5000"),
    ],
)
def test_value_of_a_gate_is_never_rounded_onto_or_over_its_limit(
    made: tuple[World, Made], value: float, limit: float, text: str
) -> None:
    _, steps = made
    gates = judged((Gate(metric="roc_auc", min=limit), value))
    registration = replace(steps.registration, gates=gates)
    table = shown(presentation.registered_version(registration))["gates"]
    assert cells(table)[1][1] == text


def test_rules_of_one_column_follow_each_other_and_say_what_follows(world: World) -> None:
    product = tiny_product()
    rules = contract_rules(product.contract, product.target)
    by_name = [rule.name.partition("__")[0] for rule in sorted(rules, key=lambda rule: rule.name)]
    changes = [
        each for each, before in zip(by_name, ["", *by_name], strict=False) if each != before
    ]
    assert len(changes) == len(set(changes))
    for rule in rules:
        text = presentation.rule_meaning(rule)
        assert text.startswith(rule.description)
        assert ("nothing is trained" in text) == rule.blocking
        assert ("quarantine" in text.removeprefix(rule.description)) != rule.blocking


def test_version_in_mlflow_says_winner_gates_run_and_who_governs_it(
    made: tuple[World, Made],
) -> None:
    world, steps = made
    version = steps.registration.version
    text = presentation.version_description(
        steps.registration,
        tiny_product(),
        RunRef(dagster_run="1f0c", step="tiny/registered_version"),
        world.registry.logged_run(version),
    )
    interval, value = steps.trained.intervals["roc_auc"], steps.trained.metrics["roc_auc"]
    bounds = f"(95 % interval {interval.low:.3f} to {interval.high:.3f})"
    assert text.split("\n\n") == [
        f"logistic_regression, roc_auc {value:.3f} on the holdout {bounds}.",
        only_check(steps.registration).description,
        "Dagster run `1f0c`.",
        GOVERNED,
    ]
    world.registry.describe(version, text)
    assert world.connection.client.get_model_version("TinyModel", "1").description == text
    assert world.registry.version("TinyModel", "1") == version


def test_version_whose_run_says_nothing_is_described_without_it(made: tuple[World, Made]) -> None:
    _, steps = made
    text = presentation.version_description(
        steps.registration, tiny_product(), RunRef(), LoggedRun(params={}, metrics={})
    )
    assert text == f"{only_check(steps.registration).description}\n\n{GOVERNED}"


def test_description_that_mlflow_refuses_undoes_no_registration(
    made: tuple[World, Made], caplog: pytest.LogCaptureFixture
) -> None:
    world, steps = made
    lost = replace(steps.registration, version=replace(steps.registration.version, run_id="gone"))
    log = logging.getLogger("of a step")
    describe_version(log, world.workspace(), tiny_product(), world.run(), lost)
    assert "TinyModel 1 has no description: " in caplog.text
    assert not world.connection.client.get_model_version("TinyModel", "1").description
