"""A tiny model product, and a world to run it in: store in memory, MLflow in a SQLite file.

Fixtures that hand these out are in ``conftest.py``. Everything under test is the real thing;
only the object store is simulated, so that it can be tampered with and fail on demand.
"""

from __future__ import annotations

import functools
import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import numpy as np
import yaml
from simulators import FakeClock, MemoryObjectStore

from interlock.actions.authority import Authority, RunContext
from interlock.actions.evidence import Upstream
from interlock.actions.ingest import RawSnapshot, ingest
from interlock.actions.register import Registration, register
from interlock.actions.train import TrainedModel, train_candidates
from interlock.actions.validate import ValidatedSnapshot, validate
from interlock.actions.workspace import Workspace
from interlock.adapters.audit_log import AuditLog
from interlock.adapters.believed_keys import NOBODY, Signatories
from interlock.adapters.directory import Directory
from interlock.adapters.mlflow_connection import MARK_EXPERIMENT, MARK_TAG, MlflowConnection
from interlock.adapters.model_registry import ModelRegistry
from interlock.adapters.object_store import ObjectStore
from interlock.adapters.tracking import ExperimentTracker
from interlock.errors import ConfigurationError
from interlock.governance.audit import (
    AuditRecord,
    RunRef,
    Stream,
    champion_ledger,
    decision_ledger,
    decode,
)
from interlock.governance.policy import PolicyEngine, RequestContext
from interlock.governance.principal import Environment, IdentitySource, Principal, Role
from interlock.product import COMPONENT_TYPE, ModelProduct

DATA, AUDIT = "data", "audit"
PREFIX = "governance/audit/"
ROWS = 240
OPENED = datetime(2040, 1, 2, 9, 0, tzinfo=UTC)
STEPS = ("data:ingest", "data:validate", "model:train", "model:register")

HEADER = "age,income,region,outcome"
WATCHED_DAILY: dict[str, Any] = {  # the tiny product's ``monitoring``
    "current": {"kind": "csv", "path": "served-{partition}.csv"},
    "partitions": "daily",
    "since": "2026-01-01",
    "id": "case",
    "time": "decided",
    "labels": {"source": {"kind": "csv", "path": "labels.csv"}, "id": "case", "time": "known"},
}


def rows_of_applicants(rows: int = ROWS, *, seed: int = 7) -> list[str]:
    """Lines of a small table with a dependence that a model finds."""
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(rows):
        age, income = int(rng.integers(18, 80)), round(float(rng.normal(50, 15)), 1)
        region = ("north", "south", "west")[int(rng.integers(3))]
        score = (income - 50) / 10 + (0.8 if region == "north" else -0.4)
        bad = rng.random() < 1 / (1 + np.exp(score))
        lines.append(f"{age},{income},{region},{'bad' if bad else 'good'}")
    return lines


def table_text(lines: list[str] | None = None) -> str:
    """The CSV file of these lines, or of the usual ones."""
    return "\n".join([HEADER, *(rows_of_applicants() if lines is None else lines)]) + "\n"


def attributes(**changes: Any) -> dict[str, Any]:
    """What the YAML of the tiny product says, with top-level keys replaced."""
    return {
        "name": "tiny",
        "model": "TinyModel",
        "owners": ["team:tests"],
        "tier": "low",
        "source": {"kind": "csv", "path": "tiny.csv"},
        "contract": {
            "min_rows": 100,
            "max_quarantined": 0.05,
            "columns": [
                {"name": "age", "type": "integer", "min": 18, "max": 100},
                {"name": "income", "type": "number", "min": -50, "max": 500},
                {"name": "region", "type": "category", "values": ["north", "south", "west"]},
                {"name": "outcome", "type": "category", "values": ["good", "bad"]},
            ],
        },
        "target": {"column": "outcome", "positive": "bad", "negative": "good"},
        "protected": ["age"],
        "features": ["income", "region"],
        "candidates": {"logistic_regression": {}},
        "search": {"iterations": 1, "folds": 2},
        "gates": [
            {"metric": "roc_auc", "min": 0.6},
            {"metric": "data_quality_score", "min": 0.9},
            {"metric": "rows", "min": 100},
        ],
    } | changes


def tiny_product(**changes: Any) -> ModelProduct:
    """The tiny product, with top-level keys replaced."""
    return ModelProduct.model_validate(attributes(**changes))


def write_defs(folder: Path, **changes: Any) -> Path:
    """A folder of products that holds the tiny one; returns its ``defs.yaml``."""
    content = attributes(**changes)
    path = folder / str(content["name"]) / "defs.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"type": COMPONENT_TYPE, "attributes": content}))
    return path


class TickingClock(FakeClock):
    """A clock that moves on a little whenever somebody looks, so that records have an order."""

    def __call__(self) -> datetime:
        self.advance(milliseconds=1)
        return self.now


class HookedStore(MemoryObjectStore):
    """A store in memory that lets a test act between any two requests."""

    def __init__(self, *, clock: Callable[[], Any]) -> None:
        super().__init__(clock=clock)
        self.before: list[Callable[[str, str, str], None]] = []
        """Called with operation, bucket and key before each request."""
        self.after: list[Callable[[str, str, str], None]] = []
        """The same after its effect; what it raises is what the caller gets for an answer."""


def _hooked(name: str) -> Any:
    original = getattr(MemoryObjectStore, name)

    @functools.wraps(original)
    def method(self: HookedStore, bucket: str, key: str = "", *rest: Any, **options: Any) -> Any:
        for hook in list(self.before):
            hook(name, bucket, key)
        answer = original(self, bucket, key, *rest, **options)
        for hook in list(self.after):
            hook(name, bucket, key)
        return answer

    return method


for _name in (
    *("put_new", "put_matching", "upload_new", "get", "read", "get_oldest", "download"),
    *("head", "list", "list_versions", "delete"),
):
    setattr(HookedStore, _name, _hooked(_name))


class _LateConnection(MlflowConnection):
    """A connection whose database is made when it is first asked for."""

    def __init__(self, *, prepare: Callable[[], None], **options: Any) -> None:
        super().__init__(**options)
        self._prepare = prepare

    @property
    def client(self) -> Any:
        self._prepare()
        return super().client


@dataclass(frozen=True)
class State:
    """Everything that a refused action must leave alone.

    Attributes:
        data: Key to content of every object in the data bucket.
        mlflow: Rows of MLflow's tables of experiments, runs, versions, tags and aliases.
    """

    data: tuple[tuple[str, str], ...]
    mlflow: tuple[tuple[Any, ...], ...]


_OF_THE_TEMPLATE = frozenset({"Default", MARK_EXPERIMENT})
_TABLES = (
    *("experiments", "runs", "tags", "params", "metrics", "logged_models"),
    *("registered_models", "model_versions", "model_version_tags", "registered_model_aliases"),
)


@dataclass
class World:
    """Where the tiny product lives in one test.

    Attributes:
        folder: Everything on disk.
        store: The object store.
        clock: The time.
        environment: What the buckets and MLflow were created for.
        reports: What actions said they were doing.
        floors: Platform-wide limits of metrics.
        on_report: Called with every report and every progress.
        template: Gives MLflow's database to start with.
        data_bucket: Where snapshots are.
        audit_bucket: Where the trail is.
        tracking_uri: MLflow's address; None for a database of this world.
        signatories: Whose believed keys made a signature.
        directory: Who there is, where people sign in.
    """

    folder: Path
    store: Any
    clock: FakeClock
    environment: Environment = Environment.DEV
    reports: list[str] = field(default_factory=list)
    floors: dict[str, float] = field(default_factory=dict)
    on_report: Callable[[str], None] | None = None
    template: Callable[[], Path] | None = None
    data_bucket: str = DATA
    audit_bucket: str = AUDIT
    tracking_uri: str | None = None
    signatories: Signatories = NOBODY
    directory: Directory | None = None

    @property
    def csv(self) -> Path:
        """The product's source."""
        return self.folder / "tiny.csv"

    @property
    def database(self) -> Path:
        """MLflow's database."""
        return self.folder / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """Where MLflow keeps files."""
        return self.folder / "artifacts"

    @property
    def spool(self) -> Path:
        """Where audit records wait."""
        return self.folder / "spool"

    @functools.cached_property
    def connection(self) -> MlflowConnection:
        """The way to MLflow; its database appears when it is first asked for."""
        return _LateConnection(
            tracking_uri=self.tracking_uri or f"sqlite:///{self.database}",
            artifact_root=None if self.tracking_uri else self.artifacts.as_uri(),
            environment=self.environment,
            prepare=self._copy_template,
        )

    def _copy_template(self) -> None:
        if self.template is None or self.database.exists():
            return
        shutil.copy(self.template(), self.database)
        with changed(self.database) as database:
            database.execute(
                "update experiment_tags set value = ? where key = ?",
                (self.environment.value, MARK_TAG),
            )

    @functools.cached_property
    def audit(self) -> AuditLog:
        """The audit trail."""
        return AuditLog(
            self.store,
            bucket=self.audit_bucket,
            prefix=PREFIX,
            retention=timedelta(days=1),
            spool_directory=self.spool,
            clock=self.clock,
        )

    @property
    def registry(self) -> ModelRegistry:
        """MLflow's registry."""
        return ModelRegistry(self.connection)

    def authority(
        self,
        *,
        role: Role = Role.ML_ENGINEER,
        name: str = "ada",
        teams: frozenset[str] = frozenset(),
        environment: Environment | None = None,
        mark: str | None = None,
        probe: Callable[[], None] | None = None,
        source: IdentitySource = IdentitySource.ENV,
        **context: Any,
    ) -> Authority:
        """Who acts; the context's facts can be replaced one by one."""
        environment = environment or self.environment
        facts: dict[str, Any] = {
            "mark": self.environment.value if mark is None else mark,
            "identity_source": source,
            "identity_chosen": True,
            "roles_restricted": False,
        } | context
        store: ObjectStore = self.store
        return Authority(
            principal=Principal(name=name, role=role, verified_by=source.value, teams=teams),
            environment=environment,
            engine=_engine(),
            audit=self.audit,
            context=RequestContext(**facts),
            code_version="tests",
            probe=probe or (lambda: store.probe(self.audit_bucket, "_interlock/")),
            clock=self.clock,
        )

    def workspace(self, **options: Any) -> Workspace:
        """The world as actions see it; options are those of ``authority``."""
        return Workspace(
            authority=self.authority(**options),
            store=self.store,
            tracker=ExperimentTracker(self.connection),
            registry=self.registry,
            data_bucket=self.data_bucket,
            scratch=self.folder,
            root=self.folder,
            floors=self.floors,
            jobs=1,
            clock=self.clock,
            secret=_no_secret,
            signatories=self.signatories,
            directory=self.directory,
        )

    def run(self, name: str = "run-1", *, step: str = "step") -> RunContext:
        """The context of an action in a run of the tiny product."""

        def progress(message: str) -> None:
            if self.on_report is not None:
                self.on_report(message)

        def report(message: str) -> None:
            self.reports.append(message)
            progress(message)

        return RunContext(
            stream=Stream(name=f"tiny-{name}", opened=OPENED.date()),
            ref=RunRef(dagster_run=name, step=step),
            report=report,
            progress=progress,
        )

    def state(self) -> State:
        """What a refusal must not change."""
        bucket = self.store.buckets[self.data_bucket].versions if self._in_memory else {}
        data = tuple(
            (key, hashlib.sha256(version.data or b"").hexdigest())
            for key, versions in sorted(bucket.items())
            for version in versions
        )
        rows: list[tuple[Any, ...]] = []
        if self.database.exists():
            with closing(sqlite3.connect(self.database)) as database:
                for table in _TABLES:
                    query = f"select * from {table} order by 1, 2"  # noqa: S608 - fixed names
                    found = [(table, *row) for row in database.execute(query)]
                    rows += [row for row in found if not _OF_THE_TEMPLATE & set(row)]
        return State(data=data, mlflow=tuple(rows))

    @property
    def _in_memory(self) -> bool:
        return isinstance(self.store, MemoryObjectStore)

    def records(self, run: str | None = None) -> list[AuditRecord]:
        """The audit trail's records: of one run in the order of its chain, or all by time."""
        streams = self.audit.streams()
        chosen = [s for s in streams if run is None or s.name == f"tiny-{run}"]
        found = [decode(each.data).record for s in chosen for each in self.audit.read(s)]
        return found if run is not None else sorted(found, key=lambda record: record.time)

    def ledger(self, stream: Stream) -> list[AuditRecord]:
        """The records of a ledger."""
        return [decode(each.data).record for each in self.audit.read(stream)]

    def moves(self) -> list[tuple[str, str]]:
        """Action and outcome of each record about the champion of the tiny product's model."""
        records = self.ledger(champion_ledger("TinyModel"))
        return [(str(each.action), each.outcome.value) for each in records]

    def decisions(self, version: str = "1") -> list[tuple[str, str]]:
        """Action and outcome of each record of a decision about a version."""
        records = self.ledger(decision_ledger("TinyModel", version))
        return [(str(each.action), each.outcome.value) for each in records]

    def story(self, run: str | None = None) -> list[tuple[str, str]]:
        """Action and outcome of each record."""
        return [(str(each.action), each.outcome.value) for each in self.records(run)]

    def spooled(self) -> list[Path]:
        """Audit records that wait on disk."""
        return sorted(self.spool.rglob("*.json"))


def _no_secret(name: str) -> str:
    raise ConfigurationError(f"the secret {name} is not set", remedy=f"set {name}")


@functools.cache
def _engine() -> PolicyEngine:
    return PolicyEngine.load()


@dataclass(frozen=True)
class Made:
    """What the four steps made; asking for a step that was not run is an error of the test."""

    steps: Mapping[str, Any]

    @property
    def raw(self) -> RawSnapshot:
        return cast("RawSnapshot", self.steps["raw_data"])

    @property
    def validated(self) -> ValidatedSnapshot:
        return cast("ValidatedSnapshot", self.steps["validated_data"])

    @property
    def trained(self) -> TrainedModel:
        return cast("TrainedModel", self.steps["trained_model"])

    @property
    def registration(self) -> Registration:
        return cast("Registration", self.steps["registered_version"])


def after_raw(snapshot: RawSnapshot) -> Upstream:
    """How validation refers to its upstream."""
    return Upstream(hash=snapshot.data_hash, event_key=snapshot.event_key)


def after_validated(snapshot: ValidatedSnapshot) -> Upstream:
    """How training refers to its upstream."""
    return Upstream(hash=snapshot.data_hash, event_key=snapshot.event_key)


def after_trained(model: TrainedModel) -> Upstream:
    """How registration refers to its upstream."""
    return Upstream(hash=model.fingerprint, event_key=model.event_key)


def run_all(
    world: World,
    product: ModelProduct,
    *,
    run: str = "run-1",
    workspace: Workspace | None = None,
    upto: str = "registered_version",
) -> Made:
    """The steps of one run, up to and with an asset."""
    work = workspace or world.workspace()
    steps: dict[str, Any] = {}
    made = Made(steps)
    actions: dict[str, Callable[[RunContext], Any]] = {
        "raw_data": lambda at: ingest(work, product, at),
        "validated_data": lambda at: validate(work, product, at, after_raw(made.raw)),
        "trained_model": lambda at: train_candidates(
            work, product, at, after_validated(made.validated)
        ),
        "registered_version": lambda at: register(work, product, at, after_trained(made.trained)),
    }
    for asset, action in actions.items():
        steps[asset] = action(world.run(run, step=f"{product.name}/{asset}"))
        if asset == upto:
            break
    return made


def new_world(
    folder: Path,
    template: Callable[[], Path],
    environment: Environment = Environment.DEV,
) -> World:
    """An empty world with the usual source.

    Args:
        folder: For everything on disk.
        template: A database of MLflow to copy; asked when MLflow is first used.
        environment: What it is marked for.
    """
    clock = TickingClock(OPENED)
    folder.mkdir(parents=True, exist_ok=True)
    world = World(
        folder=folder,
        store=HookedStore(clock=clock),
        clock=clock,
        environment=environment,
        template=template,
    )
    world.store.create_bucket(DATA)
    world.store.create_bucket(AUDIT, object_lock=True)
    world.csv.write_text(table_text())
    return world


def moved_world(world: World, folder: Path) -> World:
    """A copy of a world, which can be changed without changing the first."""
    clock = TickingClock(world.clock.now)
    shutil.copytree(world.folder, folder)
    copy = World(
        folder=folder, store=HookedStore(clock=clock), clock=clock, environment=world.environment
    )
    for name, bucket in world.store.buckets.items():
        copy.store.create_bucket(name, object_lock=bucket.locked)
        for key, versions in bucket.versions.items():
            copy.store.buckets[name].versions[key] = list(versions)
    with changed(copy.database) as database:
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("logged_models", "artifact_location"),
            ("model_versions", "storage_location"),
        ):
            database.execute(
                f"update {table} set {column} = replace({column}, ?, ?)",  # noqa: S608
                (world.artifacts.as_uri(), copy.artifacts.as_uri()),
            )
    return copy


@contextmanager
def changed(database: Path) -> Iterator[sqlite3.Connection]:
    """MLflow's database, to be changed behind its back."""
    with closing(sqlite3.connect(database)) as connection:
        yield connection
        connection.commit()
