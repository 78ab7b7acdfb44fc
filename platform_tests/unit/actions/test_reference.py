"""What a version is held against later: kept at training, proven when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from product_fixtures import Made, World, run_all, tiny_product

from interlock.actions.reference import (
    FOLDER,
    PERFORMANCE,
    PROFILE,
    champion_or,
    require_reference,
)
from interlock.errors import EvidenceError, RegistryError
from interlock.governance.audit import Outcome
from interlock.ml.monitoring import SCORE
from interlock.ml.profile_plan import ColumnRole

MODEL = "TinyModel"


def stored(world: World, name: str) -> Path:
    (path,) = world.artifacts.rglob(f"{FOLDER}/{name}")
    return path


def test_training_keeps_profile_and_performance_and_both_events_name_them(
    made: tuple[World, Made],
) -> None:
    world, result = made
    found = require_reference(world.workspace(), MODEL, "1")
    plan = found.profile.plan
    assert [each.name for each in plan.columns] == ["income", "region", SCORE]
    assert plan.column(SCORE).role is ColumnRole.PREDICTION
    assert found.profile.rows == result.trained.rows
    scored = found.profile.rows - found.profile.columns[SCORE].missing
    assert scored == result.trained.holdout_rows
    parting = found.performance.performance.segmentation.columns
    assert [(each.name, each.protected) for each in parting] == [
        ("age", True)
    ]  # protected, and no feature
    assert found.performance.threshold == result.trained.metrics["threshold"]
    trained, registered = (
        _reference_of(world, action) for action in ("model:train", "model:register")
    )
    assert trained == registered
    assert (registered["profile"], registered["performance"]) == (
        found.profile_hash,
        found.performance_hash,
    )
    assert registered["rows"] == result.trained.rows


def _reference_of(world: World, action: str) -> dict[str, Any]:
    (record,) = (
        each
        for each in world.records("run-1")
        if (each.action, each.outcome) == (action, Outcome.SUCCEEDED)
    )
    return dict(cast("Mapping[str, Any]", record.evidence["reference"]))


@pytest.mark.parametrize("name", [PROFILE, PERFORMANCE])
def test_changed_reference_is_refused(made: tuple[World, Made], name: str) -> None:
    world, _ = made
    path = stored(world, name)
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(EvidenceError, match=rf"{name} of TinyModel version 1 has SHA-256"):
        require_reference(world.workspace(), MODEL, "1")


@pytest.mark.parametrize("name", [PROFILE, PERFORMANCE])
def test_missing_reference_is_refused_with_its_remedy(made: tuple[World, Made], name: str) -> None:
    world, _ = made
    stored(world, name).unlink()
    with pytest.raises(EvidenceError, match="is gone") as refused:
        require_reference(world.workspace(), MODEL, "1")
    assert "train and register the model again" in refused.value.remedy


def test_version_from_before_profiles_says_train_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr("interlock.actions.train.keep_reference", lambda *_: None)
        run_all(world, tiny_product())
    with pytest.raises(EvidenceError, match="before such profiles were kept") as refused:
        require_reference(world.workspace(), MODEL, "1")
    assert refused.value.remedy.startswith("train and register the model again")


def test_unknown_version_is_refused(made: tuple[World, Made]) -> None:
    with pytest.raises(RegistryError):
        require_reference(made[0].workspace(), MODEL, "7")


def test_the_champion_is_meant_when_no_version_is_named(
    made: tuple[World, Made], world: World
) -> None:
    assert champion_or(made[0].workspace(), MODEL, None) == "1"
    assert champion_or(made[0].workspace(), MODEL, "3") == "3"
    with pytest.raises(EvidenceError, match="no champion") as refused:
        champion_or(world.workspace(), MODEL, None)
    assert refused.value.remedy == "promote a version, or name one"


def test_pair_of_no_feature_is_refused_by_the_declaration() -> None:
    with pytest.raises(ValueError, match="pairs"):
        tiny_product(monitoring={"pairs": [["income", "age"]]})
