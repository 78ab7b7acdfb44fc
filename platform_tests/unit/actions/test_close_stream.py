"""Recording that a killed run will not finish."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from product_fixtures import OPENED, World, run_all, tiny_product

from interlock.actions.close_stream import ClosedStream, close_stream
from interlock.errors import (
    AccessDenied,
    AuditError,
    EvidenceError,
    ProductBusy,
    RegistryUnavailable,
)
from interlock.governance.audit import Stream
from interlock.governance.principal import Role

DEAD = Stream("tiny-dead", OPENED.date())


class Killed(BaseException):
    """The process ends here, and with it every chance to write something."""


def kill_in_training(world: World) -> None:
    """A run whose process ends in the middle of training; its last record is never written."""

    def away(operation: str, _bucket: str, _key: str) -> None:
        if world.reports and "fetching the validated snapshot" in world.reports[-1]:
            raise Killed

    world.reports.clear()
    world.store.before.append(away)
    with pytest.raises(Killed):
        run_all(world, tiny_product(), run="dead")
    world.store.before.clear()
    # Nobody gives back what a killed process held.
    world.clock.advance(minutes=5)


@pytest.fixture
def dead(world: World) -> World:
    kill_in_training(world)
    return world


def close(
    world: World,
    *,
    role: Role = Role.PLATFORM_ADMIN,
    is_running: Callable[[str], bool] = lambda _: False,
    **workspace: Any,
) -> ClosedStream:
    run = replace(world.run("unused"), stream=Stream("audit-close-1", OPENED.date()))
    opened = replace(world.workspace(role=role, name="grace"), **workspace)
    return close_stream(opened, DEAD, run, reason="power cut", is_running=is_running)


def test_open_action_is_recorded_as_killed_by_who_closed_it(dead: World) -> None:
    assert [each.action for each in dead.audit.verify(DEAD).unfinished] == ["model:train"]
    closed = close(dead)
    assert len(closed.events) == 1
    assert closed.dagster_runs == ("dead",)
    report = dead.audit.verify()
    assert (report.intact, report.unfinished) == (True, ())
    last = dead.records("dead")[-1]
    assert (last.action, last.outcome.value) == ("model:train", "failed")
    assert last.reason == "killed: power cut"
    assert (last.principal.name, last.principal.role) == ("grace", "platform_admin")
    assert last.evidence["started"] == 5


def test_closing_is_an_action_of_its_own(dead: World) -> None:
    close(dead)
    own = [each for each in dead.records() if each.action == "platform:administer"]
    assert [each.outcome.value for each in own] == ["started", "succeeded"]
    assert own[0].evidence["closes"] == str(DEAD)
    assert own[1].evidence["why"] == "power cut"


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PLATFORM_ADMIN])
def test_only_who_administers_may_close(dead: World, role: Role) -> None:
    before = len(dead.records("dead"))
    with pytest.raises(AccessDenied):
        close(dead, role=role)
    assert len(dead.records("dead")) == before
    last = [each for each in dead.records() if each.action == "platform:administer"][-1]
    assert last.outcome.value == "denied"


def test_run_that_works_is_not_closed(dead: World) -> None:
    before = len(dead.records("dead"))
    with pytest.raises(ProductBusy, match=r"run dead of stream .* still works"):
        close(dead, is_running=lambda run_id: run_id == "dead")
    assert len(dead.records("dead")) == before
    assert dead.audit.verify(DEAD).unfinished


def test_stream_without_open_actions_is_not_touched(dead: World) -> None:
    close(dead)
    before = len(dead.records("dead"))
    with pytest.raises(AuditError, match="no action of the audit stream"):
        close(dead)
    assert len(dead.records("dead")) == before


def test_tampered_stream_is_not_closed(dead: World) -> None:
    bucket = dead.store.buckets[dead.audit_bucket]
    key = next(key for key in sorted(bucket.versions) if "tiny-dead/000002" in key)
    version = bucket.versions[key][0]
    bucket.versions[key][0] = replace(version, data=version.data.replace(b"ada", b"eve"))
    with pytest.raises(EvidenceError, match="does not verify"):
        close(dead)
    assert len([key for key in bucket.versions if "tiny-dead" in key]) == 5


def test_several_open_actions_end_in_the_reverse_order(world: World) -> None:
    kill_in_training(world)
    kill_in_training(world)  # the same run again, as after a retry of Dagster's
    assert len(world.audit.verify(DEAD).unfinished) == 2
    close(world)
    assert [each.evidence["started"] for each in world.records("dead")[-2:]] == [10, 5]
    assert world.audit.verify().intact


def test_mlflow_runs_of_the_dead_run_are_ended(dead: World) -> None:
    tracker = dead.workspace().tracker
    client = dead.connection.client
    experiment = client.create_experiment("tiny", artifact_location=dead.artifacts.as_uri())
    for run_id in ("dead", "alive"):
        client.create_run(experiment, tags={"dagster_run_id": run_id})
    closed = close(dead, tracker=tracker)
    assert [client.get_run(each).info.status for each in closed.mlflow_runs] == ["KILLED"]
    states = sorted(run.info.status for run in client.search_runs([experiment]))
    assert states == ["KILLED", "RUNNING"]


def test_trail_is_closed_when_mlflow_is_away(dead: World) -> None:
    class Away:
        def end_abandoned_runs(self, *_: str) -> tuple[str, ...]:
            raise RegistryUnavailable("MLflow does not answer", remedy="start it")

    closed = close(dead, tracker=Away())
    assert closed.mlflow_left_open == "MLflow does not answer; start it"
    assert closed.mlflow_runs == ()
    assert dead.audit.verify().unfinished == ()
