"""Which stream is meant, and what is known of actions without an end."""

from __future__ import annotations

import io
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, job
from product_fixtures import OPENED, World, run_all, tiny_product
from rich.console import Console

from interlock.cli.run_state import RunState, dagster_instance, known_to_live, report_dead, state_of
from interlock.cli.trail import (
    day_opened,
    event_row,
    events_view,
    find_stream,
    open_actions,
    read_audit,
    read_events,
)
from interlock.errors import AuditError, ConfigurationError
from interlock.governance.audit import (
    AuditRecord,
    Outcome,
    RecordedPrincipal,
    RunRef,
    Stream,
    champion_ledger,
)
from interlock.governance.policy import Action, Resource
from interlock.local.home import Home
from interlock.local.locks import FileLock
from interlock.settings import Settings


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


@pytest.fixture
def settings(home: Home) -> Settings:
    return Settings.from_environment({"INTERLOCK_HOME": str(home.path)})


@pytest.fixture
def instance(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    with dagster_instance() as made:
        yield made


@job
def nothing() -> None:
    """A job without steps."""


def new_run(instance: DagsterInstance, status: DagsterRunStatus) -> str:
    run_id = str(uuid.uuid4())
    instance.create_run_for_job(nothing, run_id=run_id, status=status)
    return run_id


def test_stream_is_found_by_name_beginning_or_day(world: World) -> None:
    run_all(world, tiny_product(), run="one", upto="raw_data")
    run_all(world, tiny_product(), run="two", upto="raw_data")
    day = OPENED.date()
    assert find_stream(world.audit, "tiny-one") == Stream("tiny-one", day)
    assert find_stream(world.audit, "tiny-t") == Stream("tiny-two", day)
    assert find_stream(world.audit, f"{day}/tiny-two") == Stream("tiny-two", day)


@pytest.mark.parametrize(
    ("text", "says"),
    [("absent", "has no stream 'absent'"), ("tiny-", "names 2 streams")],
)
def test_stream_that_is_not_clear_is_refused(world: World, text: str, says: str) -> None:
    run_all(world, tiny_product(), run="one", upto="raw_data")
    run_all(world, tiny_product(), run="two", upto="raw_data")
    with pytest.raises(AuditError, match=says):
        find_stream(world.audit, text)


def test_stream_whose_name_occurs_twice_needs_its_day(world: World) -> None:
    run_all(world, tiny_product(), run="one", upto="raw_data")
    world.clock.advance(days=1)
    run = replace(world.run("one"), stream=Stream("tiny-one", world.clock.now.date()))
    with world.workspace().authority.govern(Action.DATA_INGEST, Resource("product", "tiny"), run):
        pass
    with pytest.raises(AuditError, match="names 2 streams"):
        find_stream(world.audit, "tiny-one")
    assert find_stream(world.audit, f"{OPENED.date()}/tiny-one").opened == OPENED.date()


def test_version_and_reason_are_shown_where_the_evidence_has_them(world: World) -> None:
    ledger = champion_ledger("TinyModel")
    with world.workspace().authority.govern(
        Action.DATA_INGEST,
        Resource("product", "tiny"),
        world.run("one"),
        evidence={"version": "3", "reason": "it declines everybody"},
        ledger=ledger,
    ):
        pass
    rows = [event_row(event) for event in read_events(world.audit, ledger)]
    assert [row["version"] for row in rows] == ["3", "3"]
    assert [row["reason"] for row in rows] == ["", "it declines everybody"]
    console = Console(file=io.StringIO(), width=100)
    console.print(*events_view(rows))
    assert isinstance(console.file, io.StringIO)
    assert "version" in console.file.getvalue()
    assert "#2: it declines everybody" in console.file.getvalue()
    assert day_opened(ledger) is None
    assert day_opened(Stream("tiny-one", OPENED.date())) == OPENED.date()


def leave_open(world: World, run_id: str | None) -> None:
    """The record of an action whose process ended before it did."""
    stream = Stream(f"tiny-{run_id or 'process'}", OPENED.date())
    record = AuditRecord(
        id=str(uuid.uuid4()),
        time=world.clock(),
        environment="dev",
        principal=RecordedPrincipal("ada", "ml_engineer", "env"),
        action=Action.MODEL_TRAIN,
        resource="product/tiny",
        outcome=Outcome.STARTED,
        run=None if run_id is None else RunRef(dagster_run=run_id),
    )
    world.audit.append(stream, record)


def states(world: World, settings: Settings, *, embedded: bool = True) -> list[RunState]:
    found = open_actions(settings, world.audit, world.audit.verify(), embedded=embedded)
    return [each.state for each in found]


def test_trail_without_open_actions_asks_nobody(world: World, settings: Settings) -> None:
    run_all(world, tiny_product(), upto="raw_data")
    assert states(world, settings) == []


def test_action_outside_runs_is_known_to_nobody(world: World, settings: Settings) -> None:
    leave_open(world, None)
    assert states(world, settings) == [RunState.UNKNOWN]


def test_action_of_a_living_command_is_in_progress(
    world: World, settings: Settings, home: Home
) -> None:
    leave_open(world, "a-run")
    with known_to_live(home, "a-run"):
        assert states(world, settings) == [RunState.RUNNING]
    assert states(world, settings) == [RunState.UNKNOWN]


def test_run_audit_with_an_open_action_is_not_verified(world: World) -> None:
    leave_open(world, "a-run")
    audit = read_audit(world.audit, Stream("tiny-a-run", OPENED.date()))
    assert audit.report is not None
    assert audit.report.intact
    assert not audit.verified


def test_lock_of_a_run_goes_with_it_and_stays_when_it_is_killed(home: Home) -> None:
    with known_to_live(home, "well"):
        assert (home.run / "run-well.lock").exists()
    assert not (home.run / "run-well.lock").exists()
    code = (
        "import os, signal; from pathlib import Path\n"
        "from interlock.cli.run_state import known_to_live\n"
        "from interlock.local.home import Home\n"
        f"with known_to_live(Home(Path({str(home.path)!r})), 'killed'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (home.run / "run-killed.lock").exists()


def test_no_trace_is_left_where_no_embedded_services_live(tmp_path: Path) -> None:
    with known_to_live(Home(tmp_path / "elsewhere"), "a-run"):
        assert not (tmp_path / "elsewhere").exists()


def test_dagster_knows_which_runs_are_over(settings: Settings, instance: DagsterInstance) -> None:
    assert state_of(settings, str(uuid.uuid4()), embedded=True) is RunState.UNKNOWN
    ended = new_run(instance, DagsterRunStatus.FAILURE)
    assert state_of(settings, ended, embedded=True) is RunState.ENDED


def test_embedded_dagster_is_not_believed_without_a_process(
    settings: Settings, instance: DagsterInstance, home: Home
) -> None:
    started = new_run(instance, DagsterRunStatus.STARTED)
    assert state_of(settings, started, embedded=True) is RunState.ENDED
    assert state_of(settings, started, embedded=False) is RunState.RUNNING
    up = FileLock(home.state)
    with up.holding():  # as `interlock up` does
        assert state_of(settings, started, embedded=True) is RunState.RUNNING
        (home.run / f"run-{started}.lock").touch()  # of an `interlock run` that was killed
        assert state_of(settings, started, embedded=True) is RunState.ENDED


def test_dead_run_is_reported_to_dagster(
    settings: Settings, instance: DagsterInstance, home: Home
) -> None:
    started = new_run(instance, DagsterRunStatus.STARTED)
    lock = home.run / f"run-{started}.lock"
    lock.touch()
    report_dead(settings, started, "power cut")
    run = instance.get_run_by_id(started)
    assert run is not None
    assert run.status is DagsterRunStatus.FAILURE
    assert not lock.exists()
    report_dead(settings, started, "again")
    report_dead(settings, str(uuid.uuid4()), "never known")


def test_without_dagsters_records_nothing_is_known(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert state_of(settings, "a-run", embedded=False) is RunState.UNKNOWN
    report_dead(settings, "a-run", "power cut")
    instance = dagster_instance()
    with pytest.raises(ConfigurationError, match="DAGSTER_HOME is unset"), instance:
        pass
