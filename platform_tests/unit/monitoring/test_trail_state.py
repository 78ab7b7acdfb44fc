from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from interlock.adapters.audit_tail import TailEvent
from interlock.governance.audit import (
    AuditEvent,
    AuditRecord,
    Chain,
    Outcome,
    RecordedPrincipal,
    Stream,
)
from monitoring.trail_state import GateLimit, TrailState, ValidatedSnapshot

START = datetime(2040, 1, 2, tzinfo=UTC)
STREAM = Stream("tiny-run-1", START.date())
_serial = count(1)


def event(
    action: str,
    *,
    resource: str = "product/tiny",
    outcome: Outcome = Outcome.SUCCEEDED,
    role: str = "ml_engineer",
    minutes: float = 0,
    evidence: Mapping[str, Any] | None = None,
) -> TailEvent:
    place = next(_serial)
    record = AuditRecord(
        id=f"event-{place}",
        time=START + timedelta(minutes=minutes),
        environment="dev",
        principal=RecordedPrincipal("ada", role, "env"),
        action=action,
        resource=resource,
        outcome=outcome,
        evidence=evidence or {},
    )
    return TailEvent(f"key-{place}", AuditEvent(record, Chain(STREAM, place, None)))


def state_of(*events: TailEvent) -> TrailState:
    state = TrailState()
    state.add(events)
    return state


def test_events_are_counted_by_action_role_and_outcome() -> None:
    state = state_of(
        event("model:train", outcome=Outcome.DENIED, role="viewer"),
        event("model:train", outcome=Outcome.DENIED, role="viewer", minutes=3),
        event("data:steal", outcome=Outcome.DENIED, role="root"),
        event("data:ingest", outcome=Outcome.STARTED),
    )
    assert state.events == {
        ("model:train", "denied"): 2,
        ("other", "denied"): 1,
        ("data:ingest", "started"): 1,
    }
    assert state.events_by_role == {
        ("viewer", "denied"): 2,
        ("other", "denied"): 1,
        ("ml_engineer", "started"): 1,
    }
    assert state.newest == (START + timedelta(minutes=3)).timestamp()
    assert state.products == {}


def test_the_newest_snapshot_is_that_of_the_latest_time() -> None:
    newest = event("data:ingest", minutes=5, evidence={"data_hash": "b", "rows": 2, "columns": 3})
    oldest = event("data:ingest", minutes=1, evidence={"data_hash": "a", "rows": 1, "columns": 3})
    product = state_of(newest, oldest).products["tiny"]
    assert product.raw is not None
    assert (product.raw.hash, product.raw.rows, product.raw.columns) == ("b", 2, 3)
    assert product.raw_hashes == {"a", "b"}


def test_a_validation_is_kept_with_its_verdicts() -> None:
    evidence = {
        "data_hash": "v",
        "raw_hash": "r",
        "accepted_key": "snapshots/tiny/v",
        "rows": 90,
        "quarantined": 10,
        "data_quality_score": 0.9,
        "blocking_checks": {"types": True, "rows": False, "nulls": "yes"},
    }
    product = state_of(event("data:validate", evidence=evidence)).products["tiny"]
    expected = ValidatedSnapshot("v", "r", "snapshots/tiny/v", 90, 10, 0.9, 2)
    assert product.validated == expected
    assert product.snapshots == {"v": expected}


def gate(metric: str, *, passed: object, limit: object = 0.5) -> dict[str, Any]:
    return {"metric": metric, "direction": "min", "limit": limit, "passed": passed}


def registration(upstream: str, version: str, minutes: float, **evidence: Any) -> TailEvent:
    found = {"model": "TinyModel", "version": version, "data_hash": "v"} | evidence
    return event(
        "model:register",
        resource="model/TinyModel",
        minutes=minutes,
        evidence=found | {"upstream_event": upstream},
    )


def test_a_registration_belongs_to_the_product_it_was_trained_for() -> None:
    trained = event("model:train", minutes=1)
    state = state_of(
        registration(
            trained.key,
            "2",
            9,
            metrics={"roc_auc": 0.7, "bad": "0.9", "flag": True, "accuracy": 1},
            gates=[gate("roc_auc", passed=True), gate("brier", passed=False)],
        ),
        registration(trained.key, "1", 5, gates=[gate("brier", passed="true")]),
        registration("key of nobody", "7", 10),
        trained,
    )
    assert set(state.products) == {"tiny"}
    product = state.products["tiny"]
    assert product.model == "TinyModel"
    assert set(product.versions) == {"1", "2"}
    newest = product.newest_version
    assert newest is not None
    assert newest.version == "2"
    assert newest.metrics == {"roc_auc": 0.7, "accuracy": 1.0}
    assert newest.gates == (
        GateLimit("roc_auc", "min", 0.5, True),
        GateLimit("brier", "min", 0.5, False),
    )
    assert dict(product.gates_failed) == {"roc_auc": 0, "brier": 2}


def test_a_training_is_known_also_when_clocks_disagree() -> None:
    trained = event("model:train", minutes=5)
    state = state_of(registration(trained.key, "1", 1), trained)
    assert set(state.products["tiny"].versions) == {"1"}


@pytest.mark.parametrize(
    "evidence",
    [
        {},
        {"rows": "many", "columns": None, "blocking_checks": "all", "data_quality_score": True},
        {"metrics": [1], "gates": {"a": 1}},
        {"gates": [1, {"metric": 1, "limit": "x"}, {"limit": 1.0}], "metrics": {"a": None}},
    ],
)
def test_evidence_of_another_shape_is_passed_over(evidence: Mapping[str, Any]) -> None:
    trained = event("model:train")
    state = state_of(
        trained,
        event("data:ingest", evidence=evidence),
        event("data:validate", evidence=evidence),
        registration(trained.key, "1", 1, **evidence),
    )
    product = state.products["tiny"]
    assert product.raw is not None
    assert (product.raw.rows, product.raw.columns) == (None, None)
    assert product.validated is not None
    assert (product.validated.quality, product.validated.blocking_failed) == (None, None)
    assert product.newest_version is not None
    assert product.newest_version.metrics == {}


def test_only_what_succeeded_makes_a_snapshot() -> None:
    state = state_of(
        *(event("data:ingest", outcome=each) for each in Outcome if each != "succeeded")
    )
    assert state.products == {}


@pytest.mark.parametrize(
    ("tampering", "expected"),
    [(["alias moved", "tag changed"], 2), ([], 0), ("alias", 0), (None, 0)],
)
def test_what_the_reconciler_found_is_counted_by_model(tampering: object, expected: int) -> None:
    found = event("model:reconcile", resource="model/TinyModel", evidence={"tampering": tampering})
    assert state_of(found).tampering["TinyModel"] == expected
    assert state_of(found).events["model:reconcile", "succeeded"] == 1


def checked(
    partition: str | None, version: str = "1", *, counts: bool = True, **options: Any
) -> TailEvent:
    found = {"check": "drift", "product": "tiny", "partition": partition, "version": version}
    found |= {"figures_key": f"of {partition}", "figures_hash": "hash"}
    evidence = found | {"counts": counts}
    return event("model:monitor", resource="model/TinyModel", evidence=evidence, **options)


def test_the_newest_day_tells_however_late_an_older_one_was_checked() -> None:
    first, late = checked("2040-01-02", minutes=1), checked("2039-12-01", minutes=2)
    again = checked("2040-01-02", minutes=3)
    for events, minutes in (((first, late), 1), ((first, late, again), 3)):
        found = state_of(*events).products["tiny"].check_of("drift", "1")
        assert found is not None
        assert found.figures_key == "of 2040-01-02"
        assert found.time == (START + timedelta(minutes=minutes)).timestamp()


def test_what_does_not_count_for_the_champion_tells_nothing_of_it() -> None:
    aside = checked("2040-01-01", "2", minutes=3, counts=False)
    broken = checked("2040-01-01", "2", minutes=4, counts=False, outcome=Outcome.FAILED)
    product = state_of(checked("2040-01-02", "1", minutes=1), aside, broken).products["tiny"]
    found, attempt = product.check_of("drift", "2"), product.attempt_of("drift", "2")
    assert found is not None
    assert attempt is not None
    assert (found.version, attempt.succeeded) == ("1", True)


def test_a_check_of_another_version_takes_nothing_from_the_champions() -> None:
    failed = checked("2040-01-03", version="1", minutes=3, outcome=Outcome.FAILED)
    product = state_of(
        checked("2040-01-02", version="2", minutes=1),
        checked("2040-01-03", version="1", minutes=2),
        failed,
    ).products["tiny"]
    own, attempt = product.check_of("drift", "2"), product.attempt_of("drift", "2")
    assert own is not None
    assert attempt is not None
    assert (own.version, attempt.succeeded) == ("2", True)
    last, attempt = product.check_of("drift", None), product.attempt_of("drift", None)
    assert last is not None
    assert attempt is not None
    assert (last.version, attempt.succeeded) == ("1", False)


def test_an_attempt_that_found_no_champion_is_one_at_the_champion() -> None:
    failed = checked("2040-01-03", version="", minutes=3, outcome=Outcome.FAILED)
    attempt = (
        state_of(checked("2040-01-02", minutes=1), failed).products["tiny"].attempt_of("drift", "1")
    )
    assert attempt is not None
    assert not attempt.succeeded


@pytest.mark.parametrize("champion", ["2", None])
def test_an_old_attempt_that_found_no_champion_is_not_the_last_one(champion: str | None) -> None:
    failed = checked("2040-01-02", version="", minutes=1, outcome=Outcome.FAILED)
    product = state_of(failed, checked("2040-01-03", version="1", minutes=2)).products["tiny"]
    attempt = product.attempt_of("drift", champion)
    assert attempt is not None
    assert attempt.succeeded
