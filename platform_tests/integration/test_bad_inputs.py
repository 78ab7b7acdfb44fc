"""Bad input: a clear error and nothing lost.

Each case asserts what is said, that nothing else changed, and what is on record.
"""

from __future__ import annotations

import contextlib
import functools
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from product_fixtures import (
    DATA,
    HEADER,
    ROWS,
    World,
    after_raw,
    after_validated,
    attributes,
    rows_of_applicants,
    run_all,
    table_text,
    tiny_product,
)

from interlock.actions.ingest import ingest
from interlock.actions.train import train_candidates
from interlock.actions.validate import validate
from interlock.errors import (
    ConfigurationError,
    DataError,
    EvidenceError,
    InterlockError,
    SourceChanged,
    SourceError,
    TrainingError,
)

LINES = rows_of_applicants()


@dataclass(frozen=True)
class Case:
    """A source that is not as declared.

    Attributes:
        name: Of the case.
        content: The file.
        error: What the action raises.
        says: What the message holds: found and expected.
        remedy: What the remedy holds.
        changes: Of the declaration.
    """

    name: str
    content: bytes
    error: type[InterlockError]
    says: str
    remedy: str
    changes: dict[str, Any] = field(default_factory=dict)


def case(name: str, content: str | bytes, says: str, remedy: str, **changes: Any) -> Case:
    data = content.encode() if isinstance(content, str) else content
    return Case(name, data, SourceError, says, remedy, changes)


UNREADABLE = [
    case("empty", b"", "the file is empty", "a header and rows"),
    case("blank lines alone", b"\n\n\n", "the file is empty", "a header and rows"),
    case("header only", HEADER + "\n", "the table has no rows", "that has some"),
    case(
        "wrong delimiter",
        table_text().replace(",", ";"),
        "the header has one column with delimiter ',', but holds ';' 3 times",
        "write delimiter: ';'",
    ),
    case("binary", bytes(range(256)) * 100, "byte 128 (0x80) is no utf-8", "name a text file"),
    case("NUL byte", table_text([*LINES, "30,5\x000,west,good"]), "holds a NUL byte", "text file"),
    case(
        "10 MB line",
        HEADER + "\n" + "1,2," + "x" * 10_000_000 + ",bad\n",
        "line 2 is longer than 1,048,576 bytes",
        "one row per line",
    ),
    case(
        "quotation that never ends",
        table_text([*LINES, '30,50.0,"west,good']),
        "a quoted value never ends",
        "close it",
    ),
    case(
        "duplicate columns",
        table_text().replace(HEADER, "age,age,region,outcome"),
        "the header names 'age' more than once",
        "a name of its own",
    ),
    case(
        "row with too few values",
        table_text([*LINES, "30,50.0"]),
        f"row {ROWS + 2} has 2 values, the header (row 1) has 4",
        "correct the row",
    ),
    case(
        "another encoding",
        table_text(["30,50,nørth,good"]).encode("latin-1"),
        "is no utf-8",
        "declare the encoding",
    ),
]


@pytest.mark.parametrize("bad", UNREADABLE, ids=lambda each: each.name)
def test_source_that_cannot_be_read_as_declared_is_refused(world: World, bad: Case) -> None:
    world.csv.write_bytes(bad.content)
    assert_refused_and_nothing_lost(
        world,
        lambda: ingest(world.workspace(), tiny_product(**bad.changes), world.run()),
        error=bad.error,
        says=bad.says,
        remedy=bad.remedy,
        action="data:ingest",
    )
    assert world.state().data == ()


def test_source_that_does_not_exist_is_refused(world: World) -> None:
    world.csv.unlink()
    assert_refused_and_nothing_lost(
        world,
        lambda: ingest(world.workspace(), tiny_product(), world.run()),
        error=SourceError,
        says=f"source {world.csv} does not exist",
        remedy="correct source.path",
        action="data:ingest",
    )


def test_folder_as_source_is_refused(world: World) -> None:
    world.csv.unlink()
    world.csv.mkdir()
    assert_refused_and_nothing_lost(
        world,
        lambda: ingest(world.workspace(), tiny_product(), world.run()),
        error=SourceError,
        says="is a folder",
        remedy="name a file",
        action="data:ingest",
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda path: path.write_text(path.read_text() + "30,50.0,west,good\n"), "bytes before"),
        (lambda path: path.write_text(""), "bytes before and 0 after"),
        (lambda path: path.unlink(), "is gone"),
        (lambda path: path.with_name("new").rename(path), "was replaced by another file"),
    ],
    ids=["appended to", "truncated", "deleted", "replaced"],
)
def test_source_that_changes_while_it_is_read_is_refused(
    world: World, change: Callable[[Path], object], says: str
) -> None:
    world.csv.with_name("new").write_text(table_text(LINES[:100]))
    world.on_report = on_first("read ", lambda: change(world.csv))
    assert_refused_and_nothing_lost(
        world,
        lambda: ingest(world.workspace(), tiny_product(), world.run()),
        error=SourceChanged,
        says=says,
        remedy="run again when nobody writes to it",
        action="data:ingest",
        on_disk=False,
    )
    assert world.state().data == ()


def test_source_in_s3_that_changes_while_it_is_read_is_refused(world: World) -> None:
    product = tiny_product(source={"kind": "csv", "path": "s3://incoming/tiny.csv"})
    world.store.create_bucket("incoming")
    world.store.put_new("incoming", "tiny.csv", table_text().encode())

    def replace_after_download(operation: str, bucket: str, key: str) -> None:
        if (operation, bucket) == ("download", "incoming"):
            world.store.before.clear()
            world.store.overwrite(bucket, key, table_text(LINES[:100]).encode())

    world.store.before.append(replace_after_download)
    assert_refused_and_nothing_lost(
        world,
        lambda: ingest(world.workspace(), product, world.run()),
        error=SourceChanged,
        says="changed while it was read",
        remedy="run again",
        action="data:ingest",
    )


def test_secret_that_is_not_set_is_refused(world: World) -> None:
    source = {
        "kind": "postgres",
        "dsn_variable": "TINY_DSN",
        "query": "select 1 as age",
        "order_by": ["age"],
    }
    assert_refused_and_nothing_lost(
        world,
        lambda: ingest(world.workspace(), tiny_product(source=source), world.run()),
        error=ConfigurationError,
        says="the secret TINY_DSN is not set",
        remedy="set TINY_DSN",
        action="data:ingest",
    )


NULLABLE = attributes()["contract"]
NULLABLE["columns"][1]["nullable"] = True


def without_income(line: str) -> str:
    age, _, rest = line.split(",", 2)
    return f"{age},,{rest}"


def blocked(name: str, lines: list[str], says: str, **changes: Any) -> Case:
    return Case(
        name,
        table_text(lines).encode(),
        EvidenceError,
        f"blocking checks of validated_data failed: {says}",
        "correct the data or the contract and materialize validated_data again",
        changes,
    )


BLOCKED = [
    Case(
        "target missing",
        table_text().replace(HEADER, "age,income,region,result").encode(),
        EvidenceError,
        "table__missing_columns",
        "correct the data or the contract",
    ),
    Case(
        "unknown column",
        table_text([f"{line},1" for line in LINES]).replace(HEADER, f"{HEADER},more").encode(),
        EvidenceError,
        "blocking checks of validated_data failed: table__extra_columns",
        "correct the data or the contract",
    ),
    blocked(
        "target with one class",
        [line.replace("bad", "good") for line in LINES],
        "outcome__both_classes",
    ),
    blocked(
        "all-null column that may not be null",
        [without_income(line) for line in LINES],
        "outcome__both_classes, table__min_rows, table__quarantined",
    ),
    blocked(
        "all-null column that may be null",
        [without_income(line) for line in LINES],
        "income__has_values",
        contract=NULLABLE,
    ),
    blocked(
        "an unseen category in too many rows",
        LINES + ["30,50.0,east,good"] * 30,
        "table__quarantined",
    ),
    blocked("NaN in too many rows", LINES + ["30,NaN,west,good"] * 30, "table__quarantined"),
    blocked(
        "dates as text",
        [f"2020-01-01{line[2:]}" for line in LINES],
        "outcome__both_classes, table__min_rows, table__quarantined",
    ),
    blocked("too few rows", LINES[:50], "table__min_rows"),
]


@pytest.mark.parametrize("bad", BLOCKED, ids=lambda each: each.name)
def test_nothing_is_trained_on_a_snapshot_whose_blocking_checks_failed(
    world: World, bad: Case
) -> None:
    world.csv.write_bytes(bad.content)
    product = tiny_product(**bad.changes)
    work = world.workspace()
    validated = run_all(world, product, upto="validated_data").validated
    assert not validated.report.passed
    assert_nothing_lost(world, validated.report.rows)
    for run in ("run-1", "alone"):  # Dagster's own blocking checks would stop the first alone
        at = world.run(run)
        assert_refused_and_nothing_lost(
            world,
            functools.partial(train_candidates, work, product, at, after_validated(validated)),
            error=bad.error,
            says=bad.says,
            remedy=bad.remedy,
            action="model:train",
            run=run,
        )
    assert world.state().mlflow == ()


@pytest.mark.parametrize(
    ("bad_lines", "reasons"),
    [
        (["30,50.0,east,good"], ["region__values"]),
        (["30,NaN,west,good", "30,inf,west,good"], ["income__finite", "income__finite"]),
        (["30,-Infinity,west,bad"], ["income__finite"]),
        (["thirty,50.0,west,good", "30,fifty,west,good"], ["age__type", "income__type"]),
        (["2020-01-01,50.0,west,good"], ["age__type"]),
        (["30,,west,good"], ["income__nulls"]),
        (["30,50.0,west,unknown"], ["outcome__values, outcome__label"]),
        (["17,50.0,west,good", "101,50.0,west,good"], ["age__range", "age__range"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_single_bad_rows_go_to_quarantine_with_their_reasons(
    world: World, bad_lines: list[str], reasons: list[str]
) -> None:
    world.csv.write_text(table_text([*LINES, *bad_lines]))
    made = run_all(world, tiny_product(), upto="validated_data").validated
    assert made.report.passed
    rows = quarantined(world, made.quarantine_key)
    assert rows["_row"].to_list() == [ROWS + number for number in range(len(bad_lines))]
    assert rows["_reasons"].to_list() == reasons
    written = rows.select(HEADER.split(",")).fill_null("").rows()
    assert [",".join(row) for row in written] == bad_lines
    evidence = world.records()[-1].evidence
    assert (evidence["rows"], evidence["quarantined"]) == (ROWS, len(bad_lines))


def test_too_few_rows_of_a_class_fail_the_training_and_end_its_run(world: World) -> None:
    only_one = [line.replace("bad", "good") for line in LINES[1:]]
    world.csv.write_text(table_text([LINES[0].replace("good", "bad"), *only_one]))
    with pytest.raises(TrainingError, match="2 folds need 2"):
        run_all(world, tiny_product())
    failed = world.records()[-1]
    assert (failed.action, failed.outcome.value) == ("model:train", "failed")
    assert failed.run is not None
    assert failed.run.mlflow_run is not None
    run = world.connection.client.get_run(failed.run.mlflow_run)
    assert run.info.status == "FAILED"


@pytest.mark.parametrize(
    "changes",
    [
        {"contract": attributes()["contract"] | {"min_rows": 1}},
        {"contract": attributes()["contract"] | {"max_quarantined": 1.0}},
        {"target": {"column": "outcome", "positive": "good", "negative": "bad"}},
    ],
    ids=["fewer rows", "more quarantine", "other label"],
)
def test_nothing_is_trained_under_another_contract_than_was_held(
    world: World, changes: dict[str, Any]
) -> None:
    validated = run_all(world, tiny_product(), upto="validated_data").validated
    assert_refused_and_nothing_lost(
        world,
        lambda: train_candidates(
            world.workspace(),
            tiny_product(**changes),
            world.run("run-2"),
            after_validated(validated),
        ),
        error=EvidenceError,
        says="was held against another contract",
        remedy="materialize validated_data again",
        action="model:train",
        run="run-2",
    )


def test_table_of_another_declaration_is_read_anew(world: World) -> None:
    """The wrong delimiter, corrected: the same bytes become another table."""
    world.csv.write_text(table_text().replace(",", ";"))
    with pytest.raises(SourceError):
        ingest(world.workspace(), tiny_product(), world.run())
    corrected = tiny_product(source={"kind": "csv", "path": "tiny.csv", "delimiter": ";"})
    made = run_all(world, corrected, run="run-2", upto="validated_data")
    assert made.validated.report.accepted == ROWS


@pytest.mark.parametrize("which", ["source", "table", "accepted"])
@pytest.mark.parametrize("how", ["deleted", "overwritten", "emptied"])
def test_snapshot_that_is_lost_between_steps_is_refused_and_made_again(
    world: World, which: str, how: str
) -> None:
    product, work = tiny_product(), world.workspace()
    made = run_all(world, product, upto="validated_data")
    key = {
        "source": made.raw.source_key,
        "table": made.raw.table_key,
        "accepted": made.validated.accepted_key,
    }[which]
    content = world.store.get(DATA, key)
    if how == "deleted":
        world.store.delete(DATA, key)
    else:
        world.store.overwrite(DATA, key, b"" if how == "emptied" else content[::-1])
    steps: dict[str, Callable[[], object]] = {
        "source": lambda: ingest(work, product, world.run("run-2")),
        "table": lambda: validate(work, product, world.run("run-2"), after_raw(made.raw)),
        "accepted": lambda: train_candidates(
            work, product, world.run("run-2"), after_validated(made.validated)
        ),
    }
    if (which, how) != ("source", "deleted"):  # nothing but ingestion asks for the source
        assert_refused_and_nothing_lost(
            world,
            steps[which],
            error=EvidenceError,
            says=f"{key} is gone" if how == "deleted" else key,
            remedy="materialize",
            action={
                "source": "data:ingest",
                "table": "data:validate",
                "accepted": "model:train",
            }[which],
            run="run-2",
        )
    world.store.delete(DATA, key)
    again = run_all(world, product, run="run-3", upto="validated_data")
    assert world.store.get(DATA, key) == content
    assert again.validated.data_hash == made.validated.data_hash


def test_disk_that_is_full_during_ingestion(world: World) -> None:
    work = world.workspace()
    with no_file_larger_than(2_000):
        assert_refused_and_nothing_lost(
            world,
            lambda: ingest(work, tiny_product(), world.run()),
            error=SourceError,
            says="no room on the disk",
            remedy="free space there",
            action="data:ingest",
        )
    assert ingest(work, tiny_product(), world.run("run-2")).table.rows == ROWS


def test_disk_that_is_full_during_validation(world: World) -> None:
    product, work = tiny_product(), world.workspace()
    raw = run_all(world, product, upto="raw_data").raw
    with contextlib.ExitStack() as full:
        world.on_report = on_first(
            f"{ROWS} rows checked", lambda: full.enter_context(no_file_larger_than(100))
        )
        assert_refused_and_nothing_lost(
            world,
            lambda: validate(work, product, world.run(), after_raw(raw)),
            error=SourceError,
            says="no room on the disk",
            remedy="free space there",
            action="data:validate",
        )
    world.on_report = None
    assert validate(work, product, world.run("run-2"), after_raw(raw)).report.accepted == ROWS


def test_disk_that_is_full_during_training(world: World) -> None:
    with contextlib.ExitStack() as full:
        world.on_report = on_first(
            "drawing", lambda: full.enter_context(no_file_larger_than(1_000))
        )
        with pytest.raises(DataError) as refusal:
            run_all(world, tiny_product())
    assert refusal.value.message == f"the disk of {world.folder} refuses: File too large"
    assert "make room there" in refusal.value.remedy
    cause = refusal.value.__cause__
    assert cause is not None
    assert "stays open" in cause.__notes__[0], "MLflow keeps its database on that disk too"
    assert len(world.workspace().tracker.end_abandoned_runs("tiny", "run-1")) == 1
    assert world.story()[-1] == ("model:train", "failed")
    assert world.records()[-1].reason == str(refusal.value)
    assert world.registry.version_at("TinyModel", "champion") is None


def assert_refused_and_nothing_lost(
    world: World,
    act: Callable[[], object],
    *,
    error: type[InterlockError],
    says: str,
    remedy: str,
    action: str,
    run: str = "run-1",
    on_disk: bool = True,
) -> None:
    """The three things every refusal owes: the error, the unchanged state, the record."""
    before, files = world.state(), sorted(world.folder.rglob("*"))
    with pytest.raises(error) as refusal:
        act()
    assert says in refusal.value.message
    assert remedy in refusal.value.remedy
    assert world.state() == before
    if on_disk:
        left = [path for path in sorted(world.folder.rglob("*")) if path not in files]
        assert [path.name for path in left if path != world.database] == []
    last = world.records(run)[-1]
    assert (last.action, last.outcome.value) == (action, "failed")
    assert last.reason == str(refusal.value)
    report = world.audit.verify()
    assert report.intact
    assert report.unfinished == ()


def assert_nothing_lost(world: World, rows: int) -> None:
    """Every row of the source is accepted or in quarantine."""
    evidence = world.records()[-1].evidence
    kept = quarantined(world, str(evidence["quarantine_key"]))
    assert evidence["rows"] + len(kept) == rows == evidence["rows"] + evidence["quarantined"]  # type: ignore[operator]


def quarantined(world: World, key: str) -> pl.DataFrame:
    return pl.read_parquet(world.store.get(DATA, key))


def on_first(start: str, act: Callable[[], object]) -> Callable[[str], None]:
    """Acts once, when something is reported that starts so."""
    done: list[str] = []

    def hook(message: str) -> None:
        if message.startswith(start) and not done:
            done.append(message)
            act()

    return hook


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """A disk that is full: no file grows beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
