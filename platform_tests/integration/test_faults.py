"""Faults of what the platform stands on: before, during and after every step.

Whatever goes away, the run fails with a clear error, the audit trail is intact and complete
once the store is back, and the same work succeeds then.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from product_fixtures import (
    Made,
    World,
    after_raw,
    after_trained,
    after_validated,
    new_world,
    run_all,
    tiny_product,
)
from stores import ACCESS_KEY, SECRET_KEY, Buckets, store_of

from interlock.actions.close_stream import close_stream
from interlock.actions.ingest import ingest
from interlock.actions.register import register
from interlock.actions.train import TrainedModel, train_candidates
from interlock.actions.validate import validate
from interlock.actions.workspace import LEASE_TTL
from interlock.adapters.lease import SKEW
from interlock.adapters.object_store import S3ObjectStore
from interlock.errors import (
    AuditWriteFailed,
    InterlockError,
    ProductBusy,
    RegistryUnavailable,
    StoreUnavailable,
)
from interlock.governance.principal import Environment, Role
from interlock.local.ports import LOOPBACK, free_port
from interlock.local.seaweed import SeaweedServer

TEMPLATE = Callable[[], Path]
PRODUCT = tiny_product()
AWAY = StoreUnavailable("the store does not answer", remedy="start it")


def step(world: World, name: str, made: Made, run: str) -> Callable[[], object]:
    """One step of the tiny product on what was made before."""
    work, at = world.workspace(), world.run(run)
    return {
        "ingest": lambda: ingest(work, PRODUCT, at),
        "validate": lambda: validate(work, PRODUCT, at, after_raw(made.raw)),
        "train": lambda: train_candidates(work, PRODUCT, at, after_validated(made.validated)),
        "register": lambda: register(work, PRODUCT, at, after_trained(made.trained)),
    }[name]


def requests_of(world: World, act: Callable[[], object]) -> int:
    """How many requests to the store an action makes."""
    seen: list[str] = []
    world.store.before.append(lambda operation, _bucket, _key: seen.append(operation))
    act()
    world.store.before.clear()
    return len(seen)


def at_request(number: int, act: Callable[[], None]) -> Callable[[str, str, str], None]:
    """A hook that acts at one request, counted from 0."""
    seen = iter(range(10_000))

    def hook(_operation: str, _bucket: str, _key: str) -> None:
        if next(seen) == number:
            act()

    return hook


def lose_answer() -> None:
    raise AWAY


def assert_complete(world: World) -> None:
    """Everything that began has an end on record, and the record is intact."""
    world.audit.flush_spool()
    report = world.audit.verify()
    assert report.all_findings == ()
    assert report.unfinished == ()
    assert world.spooled() == []


@pytest.mark.parametrize("name", ["ingest", "validate"])
def test_store_that_goes_away_at_any_request_of_a_step(made: tuple[World, Made], name: str) -> None:
    world, before = made
    count = requests_of(world, step(world, name, before, "counted"))
    assert count > 10
    for number in range(count):
        run = f"away-{number}"
        act = step(world, name, before, run)
        world.store.before.append(at_request(number, world.store.go_away))
        with pytest.raises(InterlockError) as refusal:
            act()
        assert refusal.value.remedy
        world.store.before.clear()
        world.store.come_back()
        assert_complete(world)
        world.clock.advance(seconds=(LEASE_TTL + SKEW).total_seconds())
        assert step(world, name, before, f"{run}-again")()


@pytest.mark.parametrize("name", ["ingest", "validate"])
def test_store_that_loses_any_answer_of_a_step(made: tuple[World, Made], name: str) -> None:
    world, before = made
    count = requests_of(world, step(world, name, before, "counted"))
    for number in range(count):
        run = f"lost-{number}"
        act = step(world, name, before, run)
        world.store.after.append(at_request(number, lose_answer))
        try:
            act()
        except InterlockError as error:
            assert error.remedy  # noqa: PT017 - whether it succeeds depends on the request
        world.store.after.clear()
        assert_complete(world)
        world.clock.advance(seconds=(LEASE_TTL + SKEW).total_seconds())
        assert step(world, name, before, f"{run}-again")()


@pytest.mark.parametrize("name", ["train", "register"])
@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_store_that_is_away_around_training_and_registration(
    made: tuple[World, Made], name: str, when: str
) -> None:
    world, before = made
    versions = len(world.registry.versions("TinyModel"))
    act = step(world, name, before, "run-2")
    if when == "before":
        world.store.go_away()
    else:
        moment = {
            ("train", "during"): "searching",
            ("train", "after"): "storing the model",
            ("register", "during"): "reading models",
            ("register", "after"): "registering",
        }[name, when]
        world.on_report = lambda text: world.store.go_away() if text.startswith(moment) else None
    with pytest.raises((StoreUnavailable, AuditWriteFailed)):
        act()
    for version in world.registry.versions("TinyModel")[: -versions or None]:
        assert version.tags["deployment_blocked"] == "true"
        assert "audit_event" not in version.tags
    running = world.connection.client.search_runs(
        [world.connection.client.get_experiment_by_name("tiny").experiment_id],
        "attributes.status = 'RUNNING'",
    )
    assert list(running) == []
    world.on_report = None
    world.store.come_back()
    assert_complete(world)
    world.clock.advance(seconds=(LEASE_TTL + SKEW).total_seconds())
    assert step(world, name, before, "run-3")()


@pytest.mark.parametrize("environment", [Environment.STAGING, Environment.PROD])
def test_store_that_is_away_stops_everything_outside_dev_without_a_trace(
    tmp_path: Path, mlflow_template: TEMPLATE, environment: Environment
) -> None:
    world = new_world(tmp_path / "world", mlflow_template, environment)
    work = world.workspace(probe=lambda: None)
    world.store.go_away()
    with pytest.raises(AuditWriteFailed, match="started of data:ingest"):
        ingest(work, PRODUCT, world.run())
    world.store.come_back()
    assert world.state().data == ()
    assert world.story() == []
    assert world.spooled() == []


def test_second_run_of_a_product_is_refused_while_the_first_works(world: World) -> None:
    busy: list[ProductBusy] = []
    work = world.workspace()

    def second_run(message: str) -> None:
        if message.startswith("storing"):
            before = world.state()
            with pytest.raises(ProductBusy) as refusal:
                ingest(work, PRODUCT, world.run("second"))
            busy.append(refusal.value)
            assert world.state() == before

    world.on_report = second_run
    assert ingest(work, PRODUCT, world.run("first")).table.rows
    assert "tiny-first holds it" in str(busy[0])
    assert busy[0].remedy.startswith("wait for the other run to end")
    assert world.story("second") == [("data:ingest", "started"), ("data:ingest", "failed")]
    assert world.records("second")[1].reason == str(busy[0])
    world.on_report = None
    assert ingest(work, PRODUCT, world.run("third")).new is False


def test_many_runs_at_once_never_mix(world: World) -> None:
    outcomes: dict[str, object] = {}
    gate = threading.Barrier(6)

    def one(run: str) -> None:
        gate.wait()
        try:
            outcomes[run] = run_all(world, PRODUCT, run=run, upto="validated_data")
        except ProductBusy as error:
            outcomes[run] = error

    names = [f"run-{number}" for number in range(6)]
    threads = [threading.Thread(target=one, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == len(names)
    assert any(isinstance(outcome, Made) for outcome in outcomes.values())
    assert_complete(world)
    assert (
        len(
            {
                record.evidence["data_hash"]
                for record in world.records()
                if record.action == "data:ingest" and record.outcome.value == "succeeded"
            }
        )
        == 1
    )


def test_lease_of_a_dead_run_blocks_for_its_time_alone(world: World) -> None:
    lease = world.workspace().lease("tiny", "a run that was killed")
    lease.__enter__()
    lease._stop.set()
    with pytest.raises(ProductBusy, match="a run that was killed holds it"):
        ingest(world.workspace(), PRODUCT, world.run())
    world.clock.advance(seconds=(LEASE_TTL + SKEW).total_seconds())
    assert ingest(world.workspace(), PRODUCT, world.run("run-2")).new


def test_lease_that_is_lost_meanwhile_fails_the_run(world: World) -> None:
    def somebody_takes_over(message: str) -> None:
        if message.startswith("storing"):
            world.clock.advance(seconds=(LEASE_TTL + SKEW).total_seconds())

    world.on_report = somebody_takes_over
    with pytest.raises(ProductBusy, match="could not be renewed in time"):
        ingest(world.workspace(), PRODUCT, world.run())
    assert world.story() == [("data:ingest", "started"), ("data:ingest", "failed")]


def test_mlflow_that_is_away_fails_the_training_before_anything_is_made(
    made: tuple[World, Made],
) -> None:
    world, before = made
    state = world.state()
    world.tracking_uri = f"http://{LOOPBACK}:{free_port()}"
    with pytest.raises(RegistryUnavailable, match="MLflow could not open"):
        step(world, "train", before, "run-2")()
    assert world.state() == state
    failed = world.records("run-2")[-1]
    assert (failed.action, failed.outcome.value) == ("model:train", "failed")
    assert failed.reason.startswith("MLflow could not open")
    assert_complete(world)


def test_data_steps_need_no_mlflow(world: World) -> None:
    world.tracking_uri = f"http://{LOOPBACK}:{free_port()}"
    assert run_all(world, PRODUCT, upto="validated_data").validated.report.passed


def real_world(folder: Path, template: TEMPLATE, store: S3ObjectStore, buckets: Buckets) -> World:
    """The tiny product on a real store; time is real, the store compares locks with it."""
    world = new_world(folder, template)
    world.store = store
    world.data_bucket, world.audit_bucket = buckets.data, buckets.audit
    return world


def test_real_store_that_is_stopped_between_and_during_steps(
    tmp_path: Path, mlflow_template: TEMPLATE, own_weed: SeaweedServer
) -> None:
    store = store_of(own_weed)
    buckets = Buckets(data="tiny-data", artifacts="tiny-artifacts", audit="tiny-audit")
    store.create_bucket(buckets.data)
    store.create_bucket(buckets.audit, object_lock=True)
    world = real_world(tmp_path / "world", mlflow_template, store, buckets)
    raw = run_all(world, PRODUCT, upto="raw_data")
    own_weed.stop()
    with pytest.raises(InterlockError) as refusal:
        step(world, "validate", raw, "between")()
    assert refusal.value.remedy
    own_weed.start()
    world.on_report = lambda text: own_weed.kill() if text.startswith("storing") else None
    with pytest.raises((StoreUnavailable, AuditWriteFailed)):
        step(world, "ingest", raw, "during")()
    world.on_report = None
    own_weed.start()
    assert_complete(world)
    assert world.story("during") == [("data:ingest", "started"), ("data:ingest", "failed")]
    world.clock.advance(seconds=(LEASE_TTL + SKEW).total_seconds())
    assert run_all(world, PRODUCT, run="later", upto="validated_data").validated.report.passed


@pytest.fixture
def mlflow_server(world: World) -> Iterator[subprocess.Popen[bytes]]:
    """A real MLflow server of this test alone, which is starting; ``world`` uses it."""
    port = free_port()
    assert world.connection.client  # its database is there
    world.tracking_uri = f"http://{LOOPBACK}:{port}"
    del world.connection
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", LOOPBACK, "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{world.database}"),
        *("--default-artifact-root", world.artifacts.as_uri(), "--no-serve-artifacts"),
    ]
    environment = {
        **os.environ,
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    with (world.folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield server
    finally:
        kill_group(server)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for a process and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def wait_until_healthy(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):  # noqa: S310 - http
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail("the MLflow server did not come up")


@pytest.mark.slow
def test_real_mlflow_that_is_killed_during_training(
    world: World, mlflow_server: subprocess.Popen[bytes]
) -> None:
    validated = run_all(world, PRODUCT, upto="validated_data")
    address = str(world.tracking_uri)
    wait_until_healthy(address, mlflow_server)
    world.on_report = lambda text: kill_group(mlflow_server) if text.startswith("draw") else None
    with pytest.raises(RegistryUnavailable) as refusal:
        step(world, "train", validated, "during")()
    assert "MLflow could not" in str(refusal.value)
    assert any("stays open" in note for note in refusal.value.__notes__)
    failed = world.records("during")[-1]
    assert (failed.action, failed.outcome.value) == ("model:train", "failed")
    assert_complete(world)
    world.on_report = world.tracking_uri = None
    del world.connection
    assert failed.run is not None
    assert world.workspace().tracker.end_abandoned_runs("tiny", "during") == (
        failed.run.mlflow_run,
    )
    trained = step(world, "train", validated, "later")()
    assert isinstance(trained, TrainedModel)


KILLED_PROCESS = """
import dataclasses, os, signal, sys
from pathlib import Path
from product_fixtures import HookedStore, TickingClock, OPENED, World, run_all, tiny_product
from interlock.adapters.object_store import S3ObjectStore

folder, endpoint, access_key, secret_key, data, audit, moment = sys.argv[1:]
store = S3ObjectStore(
    endpoint_url=endpoint, access_key=access_key, secret_key=secret_key, region="us-east-1"
)
world = World(
    folder=Path(folder), store=store, clock=TickingClock(OPENED), data_bucket=data,
    audit_bucket=audit,
)
def die(message):
    if message.startswith(moment):
        os.kill(os.getpid(), signal.SIGKILL)
world.on_report = die
run_all(world, tiny_product(), run="killed")
"""


def test_killed_process_leaves_a_trail_up_to_the_kill_and_an_open_step(
    tmp_path: Path,
    mlflow_template: TEMPLATE,
    s3: S3ObjectStore,
    weed: SeaweedServer,
    buckets: Buckets,
) -> None:
    world = new_world(tmp_path / "world", mlflow_template)
    world.store, world.data_bucket, world.audit_bucket = s3, buckets.data, buckets.audit
    assert world.connection.client
    killed = subprocess.run(
        [
            *(sys.executable, "-c", KILLED_PROCESS, str(world.folder), weed.endpoint_url),
            *(ACCESS_KEY, SECRET_KEY, buckets.data, buckets.audit, "drawing"),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    report = world.audit.verify()
    assert report.intact
    assert [(each.action, each.sequence) for each in report.unfinished] == [("model:train", 5)]
    assert world.story("killed")[-1] == ("model:train", "started")
    with pytest.raises(ProductBusy, match="tiny-killed holds it"):
        ingest(world.workspace(), PRODUCT, world.run("too-early"))
    stream = next(each for each in world.audit.streams() if each.name == "tiny-killed")
    closed = close_stream(
        world.workspace(role=Role.PLATFORM_ADMIN),
        stream,
        world.run("closing"),
        reason="the machine lost power",
        is_running=lambda _: False,
    )
    client = world.connection.client
    assert [client.get_run(run).info.status for run in closed.mlflow_runs] == ["KILLED"]
    assert_complete(world)
    assert world.records("killed")[-1].reason == "killed: the machine lost power"
    world.clock.advance(seconds=(LEASE_TTL + SKEW).total_seconds())
    assert run_all(world, PRODUCT, run="later", upto="validated_data").validated.report.passed
