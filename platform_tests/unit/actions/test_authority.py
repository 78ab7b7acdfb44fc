"""The frame around every action: authorise, record, do, record."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from product_fixtures import AUDIT, DATA, World
from simulators import Unfit

from interlock.actions.authority import Authority, Governed
from interlock.errors import (
    AccessDenied,
    AuditWriteFailed,
    EvidenceError,
    SourceError,
    StoreUnavailable,
    StoreUnfit,
)
from interlock.governance.audit import Outcome, RunRef
from interlock.governance.policy import Action, Resource
from interlock.governance.principal import Environment, IdentitySource, Principal, Role

TINY = Resource("product", "tiny")
AWAY = StoreUnavailable("the store does not answer", remedy="start it")


def act(world: World, authority: Authority, *, run: str = "run-1") -> Governed:
    """An action that does something visible."""
    with authority.govern(Action.DATA_INGEST, TINY, world.run(run)) as governed:
        world.store.put_new(DATA, f"done-by-{run}", b"done")
        governed.evidence |= {"rows": 3}
    return governed


def fail(
    error: Exception,
    governed: Governed,
    *,
    before: Callable[[], None] = lambda: None,
    **evidence: object,
) -> None:
    """The end of an action that goes wrong."""
    before()
    governed.evidence |= evidence
    raise error


def test_success_is_recorded_before_and_after_with_evidence(world: World) -> None:
    governed = act(world, world.authority())
    started, succeeded = world.records()
    assert [started.outcome, succeeded.outcome] == [Outcome.STARTED, Outcome.SUCCEEDED]
    assert started.principal.name == "ada"
    assert started.principal.verified_by == "env"
    assert started.environment == "dev"
    assert started.resource == "product/tiny"
    assert started.run == RunRef("run-1", "step", None)
    assert set(started.evidence) == {"policy_hash", "code_version"}
    assert succeeded.evidence["rows"] == 3
    assert governed.event_key == f"{world.audit.prefix}2040/01/02/tiny-run-1/000002.json"
    assert world.audit.verify().intact


def test_event_key_is_known_only_after_the_end() -> None:
    with pytest.raises(RuntimeError, match="has not ended"):
        _ = Governed(run=RunRef()).event_key


def test_failure_is_recorded_with_its_reason_and_evidence(world: World) -> None:
    authority = world.authority()
    with (
        pytest.raises(SourceError, match="nothing there"),
        authority.govern(Action.DATA_INGEST, TINY, world.run()) as governed,
    ):
        fail(SourceError("nothing there", remedy="look elsewhere"), governed, bytes=0)
    _, failed = world.records()
    assert failed.outcome is Outcome.FAILED
    assert failed.reason == "nothing there; look elsewhere"
    assert failed.evidence["bytes"] == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), MemoryError()])
def test_interruption_is_recorded_as_failure(world: World, error: BaseException) -> None:
    with (
        pytest.raises(type(error)),
        world.authority().govern(Action.DATA_INGEST, TINY, world.run()),
    ):
        raise error
    _, failed = world.records()
    assert failed.outcome is Outcome.FAILED
    assert failed.reason.startswith(type(error).__name__)


def test_text_of_a_foreign_error_is_not_recorded(world: World) -> None:
    with (
        pytest.raises(ValueError, match="Anna"),
        world.authority().govern(Action.DATA_INGEST, TINY, world.run()),
    ):
        float("Anna Example, born 1970")
    _, failed = world.records()
    assert failed.outcome is Outcome.FAILED
    assert failed.reason.startswith("ValueError")
    assert "Anna" not in failed.reason


@pytest.mark.parametrize("wrong", [math.nan, math.inf, object(), {1: "number as a key"}])
def test_evidence_that_cannot_be_recorded_ends_as_failure(world: World, wrong: object) -> None:
    with (
        pytest.raises(AuditWriteFailed, match="evidence"),
        world.authority().govern(Action.DATA_INGEST, TINY, world.run()) as governed,
    ):
        governed.evidence |= {"metric": wrong}
    assert world.story() == [("data:ingest", "started"), ("data:ingest", "failed")]
    assert "metric" not in world.records()[1].evidence
    assert world.audit.verify().unfinished == ()


def test_evidence_beyond_the_size_of_an_event_ends_as_failure(world: World) -> None:
    with (
        pytest.raises(AuditWriteFailed, match="bytes"),
        world.authority().govern(Action.DATA_INGEST, TINY, world.run()) as governed,
    ):
        governed.evidence |= {"checks": ["x" * 100] * 1_000}
    assert world.story() == [("data:ingest", "started"), ("data:ingest", "failed")]
    assert world.spooled() == []


def test_failure_with_unrecordable_evidence_keeps_its_own_error(world: World) -> None:
    with (
        pytest.raises(EvidenceError, match="not proven"),
        world.authority().govern(Action.DATA_INGEST, TINY, world.run()) as governed,
    ):
        fail(EvidenceError("not proven", remedy="prove it"), governed, metric=math.nan)
    assert world.records()[1].reason == "not proven; prove it"


def test_denied_action_does_nothing_but_record_the_denial(world: World) -> None:
    before = world.state()
    with pytest.raises(AccessDenied) as denied:
        act(world, world.authority(role=Role.VIEWER))
    assert "ada (viewer) may not data:ingest on tiny in dev" in str(denied.value)
    assert "default deny" in str(denied.value)
    assert denied.value.remedy.startswith("ask somebody who is")
    assert world.state() == before
    (record,) = world.records()
    assert record.outcome is Outcome.DENIED
    assert record.reason == "no policy permits it to the role viewer"
    assert record.evidence["policies"] == ()
    assert world.audit.verify().intact


def test_denial_names_the_policy_that_forbids(world: World) -> None:
    with pytest.raises(AccessDenied) as denied:
        act(
            world,
            world.authority(roles_restricted=True, allowed_roles=frozenset({Role.DATA_SCIENTIST})),
        )
    assert denied.value.policies == ("role-must-be-listed",)
    assert world.records()[0].evidence["policies"] == ("role-must-be-listed",)


@pytest.mark.parametrize("mark", ["", "prod", "elsewhere"])
def test_wrong_environment_mark_writes_nothing_to_the_store(world: World, mark: str) -> None:
    versions = {name: dict(b.versions) for name, b in world.store.buckets.items()}
    with pytest.raises(AccessDenied) as denied:
        act(world, world.authority(mark=mark))
    assert "mark-must-match" in denied.value.policies
    assert {name: dict(b.versions) for name, b in world.store.buckets.items()} == versions
    (spooled,) = world.spooled()
    assert f"recorded in {spooled}" in denied.value.__notes__
    assert '"denied"' in spooled.read_text()


def test_denial_that_cannot_be_spooled_is_still_a_denial(world: World) -> None:
    world.spool.write_text("a file where the folder should be")
    with pytest.raises(AccessDenied) as denied:
        act(world, world.authority(mark="prod"))
    assert "could not be spooled" in denied.value.__notes__[0]


def test_denial_with_the_store_away_is_spooled_and_still_a_denial(world: World) -> None:
    world.store.go_away()
    with pytest.raises(AccessDenied) as denied:
        act(world, world.authority(role=Role.VIEWER))
    (spooled,) = world.spooled()
    assert str(spooled) in denied.value.__notes__[0]
    world.store.come_back()
    world.audit.flush_spool()
    assert world.story() == [("data:ingest", "denied")]


@pytest.mark.parametrize("environment", [Environment.STAGING, Environment.PROD])
def test_unrecorded_start_stops_the_action_outside_dev(
    world: World, environment: Environment
) -> None:
    world.environment = environment
    before = world.state()
    world.store.fail_next("put_new", AWAY, times=9)
    with pytest.raises(AuditWriteFailed, match="started of data:ingest on product/tiny"):
        act(world, world.authority(probe=lambda: None))
    assert world.state() == before
    assert world.story() == []
    assert world.spooled() == []


def test_unrecorded_start_is_spooled_in_dev_and_written_first(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    authority = world.authority(probe=lambda: None)
    world.store.fail_next("put_new", AWAY)
    with caplog.at_level(logging.WARNING):
        act(world, authority)
    assert "which dev alone permits" in caplog.text
    assert world.story() == [("data:ingest", "started"), ("data:ingest", "succeeded")]
    assert world.audit.verify().intact
    assert world.spooled() == []


def test_unrecorded_success_is_spooled_and_fails_the_run(world: World) -> None:
    authority = world.authority()
    with (
        pytest.raises(AuditWriteFailed) as failed,
        authority.govern(Action.DATA_INGEST, TINY, world.run()) as governed,
    ):
        world.store.go_away()
    assert "the record of data:ingest (succeeded) could not be written" in str(failed.value)
    assert failed.value.spooled is not None
    assert world.spooled() == [failed.value.spooled]
    assert governed.event is None
    world.store.come_back()
    act(world, world.authority(), run="run-2")
    assert world.story("run-1") == [("data:ingest", "started"), ("data:ingest", "succeeded")]
    assert world.audit.verify().intact


def test_unrecorded_failure_keeps_its_own_error(world: World) -> None:
    authority = world.authority()
    with (
        pytest.raises(SourceError) as failed,
        authority.govern(Action.DATA_INGEST, TINY, world.run()) as governed,
    ):
        fail(SourceError("no such file", remedy="find it"), governed, before=world.store.go_away)
    (spooled,) = world.spooled()
    assert str(spooled) in failed.value.__notes__[0]
    world.store.come_back()
    world.audit.flush_spool()
    assert world.story() == [("data:ingest", "started"), ("data:ingest", "failed")]


def test_success_whose_answer_was_lost_is_not_recorded_twice(world: World) -> None:
    authority = world.authority()
    with (
        pytest.raises(AuditWriteFailed),
        authority.govern(Action.DATA_INGEST, TINY, world.run()),
    ):
        world.store.fail_next("put_new", AWAY, after_effect=True)
    world.audit.flush_spool()
    assert world.story() == [("data:ingest", "started"), ("data:ingest", "succeeded")]
    assert world.audit.verify().intact


@pytest.mark.parametrize("environment", [Environment.STAGING, Environment.PROD])
@pytest.mark.parametrize("unfit", list(Unfit))
def test_unfit_store_stops_every_action_outside_dev(
    world: World, environment: Environment, unfit: Unfit
) -> None:
    world.environment = environment
    world.store.unfit = frozenset({unfit})
    world.store.buckets[AUDIT].locked = unfit is not Unfit.LOCKS_WITHOUT_VERSIONS
    before = world.state()
    with pytest.raises(StoreUnfit, match="bucket audit cannot hold an audit trail"):
        act(world, world.authority())
    assert world.state() == before
    assert [v.key for v in world.store.list_versions(AUDIT, world.audit.prefix)] == []


@pytest.mark.parametrize("environment", [Environment.STAGING, Environment.PROD])
def test_store_that_cannot_be_probed_stops_every_action_outside_dev(
    world: World, environment: Environment
) -> None:
    def probe() -> None:
        raise AWAY

    world.environment = environment
    with pytest.raises(StoreUnavailable):
        act(world, world.authority(probe=probe))
    assert world.story() == []


def test_unfit_store_warns_in_dev_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.store.unfit = frozenset({Unfit.FORGETS_RETENTION})
    authority = world.authority()
    with caplog.at_level(logging.WARNING):
        act(world, authority)
        act(world, authority, run="run-2")
    assert caplog.text.count("the audit store is unfit, tolerated in dev alone") == 1
    assert len(world.story()) == 4


def test_failed_probe_is_tried_again_with_the_next_action(world: World) -> None:
    tries: list[int] = []

    def probe() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise AWAY

    authority = world.authority(probe=probe)
    for run in ("run-1", "run-2", "run-3"):
        act(world, authority, run=run)
    assert len(tries) == 2


def test_probe_is_made_once_whoever_acts(world: World) -> None:
    tries: list[int] = []
    authority = world.authority(probe=lambda: tries.append(1))
    scheduler = Principal("scheduler", Role.SCHEDULER, "schedule")
    for run in ("run-1", "run-2"):
        act(world, authority.acting_as(scheduler), run=run)
    act(world, authority, run="run-3")
    assert tries == [1]


def test_scheduler_acts_by_its_own_identity_source(world: World) -> None:
    scheduler = Principal("scheduler", Role.SCHEDULER, "schedule")
    other = world.authority().acting_as(scheduler)
    assert other.context.identity_source is IdentitySource.SCHEDULE
    act(world, other)
    assert {record.principal.name for record in world.records()} == {"scheduler"}


def test_records_of_a_killed_process_join_the_trail_with_the_next_action(
    world: World, tmp_path: Path
) -> None:
    world.store.go_away()
    with pytest.raises(AccessDenied):
        act(world, world.authority(role=Role.VIEWER))
    world.store.come_back()
    act(world, world.authority(), run="run-2")
    assert world.story("run-1") == [("data:ingest", "denied")]
    assert world.spooled() == []
