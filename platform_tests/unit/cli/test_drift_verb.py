"""``interlock drift check``: exit codes, tables, reports, and every kind of bad data."""

from __future__ import annotations

import contextlib
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from command_line import call, one_line, values, widest
from product_fixtures import Made, World, rows_of_applicants, tiny_product
from rich.console import Console

from interlock.actions.workspace import Workspace
from interlock.cli import drift_check
from interlock.cli.app import DENIED, DRIFT, FAILURE, OK, USAGE
from interlock.cli.bar import bar_on, count_on
from interlock.governance.principal import Role
from interlock.ml.model_reference import profile_of_training
from interlock.ml.monitoring import SCORE
from interlock.ml.profile_bytes import to_bytes
from interlock.ml.profile_plan import ColumnRole
from interlock.ml.profiles import profile_reference

Capture = pytest.CaptureFixture[str]


def table(rows: int = 400, *, seed: int = 1, moved: float = 0.0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "age": rng.normal(40 + 12 * moved, 12, rows),
            "steps": rng.integers(0, 50, rows),
            "region": rng.choice(["north", "south"], rows),
        }
    )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a reference and usual data, which commands start in."""
    monkeypatch.chdir(tmp_path)
    table(1_000).write_parquet("reference.parquet")
    table(seed=2).write_parquet("usual.parquet")
    table(seed=2, moved=1.0).write_csv("moved.csv")
    return tmp_path


def words(*files: str, reference: str = "reference.parquet") -> list[str]:
    return ["drift", "check", "--reference", reference, "--jobs", "1", "--current", *files]


def test_usual_data_ends_with_zero_and_drift_with_a_code_of_its_own(
    here: Path, capsys: Capture
) -> None:
    del here
    usual = call(capsys, *words("usual.parquet"))
    assert usual.code == OK
    assert "no drift (400 rows against 1,000)" in one_line(usual.out)
    assert usual.err == ""
    moved = call(capsys, *words("moved.csv"))
    assert moved.code == DRIFT == 4
    assert "drift of age (400 rows against 1,000)" in one_line(moved.out)
    assert moved.out.index("age") < moved.out.index("region")
    assert widest(moved.out) <= 80


def test_names_are_in_one_piece_and_in_the_order_of_the_verdict(
    here: Path, capsys: Capture
) -> None:
    del here
    names = {"age": "average_utilisation_last_12m", "region": "region_of_residence"}
    table(1_000).rename(names).write_parquet("long.parquet")
    moved = table(seed=2, moved=1.0).with_columns(pl.col("steps") + 200, region=pl.lit("north"))
    moved.rename(names).write_csv("far.csv")
    called = call(capsys, *words("far.csv", reference="long.parquet"))
    assert called.code == DRIFT
    assert widest(called.out) <= 80
    said = re.search(r"drift of (.*?) \(400 rows", one_line(called.out))
    assert said
    drifted = said[1].split(", ")
    assert len(drifted) == 3
    rows = [line.split()[0] for line in called.out.splitlines() if line.startswith(tuple(drifted))]
    assert rows == drifted


def test_one_document_holds_verdict_files_and_hashes(here: Path, capsys: Capture) -> None:
    called = call(capsys, *words("usual.parquet", "moved.csv", "--html", "out.html"), "--json")
    assert called.code == DRIFT
    found = called.document
    assert values(found["current"], "file") == ["usual.parquet", "moved.csv"]
    assert values(found["current"], "rows") == [400, 400]
    assert all(len(each["sha256"]) == 64 for each in (found["reference"], *found["current"]))
    assert found["verdict"]["drifted"] == ["age"]
    assert found["refused"] == []
    page = (here / "out.html").read_text()
    assert "usual.parquet and 1 more against reference.parquet" in page
    assert all(each["sha256"] in page for each in found["current"])


def test_stored_profile_stands_in_for_its_rows(here: Path, capsys: Capture) -> None:
    (here / "profile.bin").write_bytes(to_bytes(profile_reference(table(1_000))))
    assert call(capsys, *words("usual.parquet", reference="profile.bin")).code == OK
    assert call(capsys, *words("moved.csv", reference="profile.bin")).code == DRIFT


def test_profile_with_scores_is_compared_without_them_and_says_so(
    here: Path, capsys: Capture
) -> None:
    rows = table(1_000).with_columns(pl.Series(SCORE, np.linspace(0, 1, 1_000)))
    made = profile_reference(rows, roles={SCORE: ColumnRole.PREDICTION}, pairs=[(SCORE, "region")])
    (here / "profile.bin").write_bytes(to_bytes(made))
    called = call(capsys, *words("usual.parquet", reference="profile.bin"))
    assert called.code == OK
    assert "name the version to have them scored" in called.err
    table(seed=3).with_columns(pl.Series(SCORE, np.full(400, 0.5))).write_parquet("scored.parquet")
    assert call(capsys, *words("scored.parquet", reference="profile.bin")).code == DRIFT


def test_rows_of_a_training_that_were_never_scored_are_no_drift_of_scores(
    here: Path, capsys: Capture
) -> None:
    score = np.random.default_rng(4).random(1_000)
    held = np.arange(0, 1_000, 5)
    made = profile_of_training(
        table(1_000), features=["age", "steps", "region"], held=held, score=score[held]
    )
    (here / "profile.bin").write_bytes(to_bytes(made))
    table(1_000, seed=2).with_columns(pl.Series(SCORE, score)).write_parquet("scored.parquet")
    assert call(capsys, *words("scored.parquet", reference="profile.bin")).code == OK


def bad(name: str) -> Callable[[pl.DataFrame], pl.DataFrame]:
    nothing = pl.lit(None, dtype=pl.Float64)
    return {
        "missing": lambda rows: rows.drop("age"),
        "renamed": lambda rows: rows.rename({"age": "Age"}),
        "type": lambda rows: rows.with_columns(age=pl.col("age") > 40),
        "one row": lambda rows: rows.head(1),
        "no rows": lambda rows: rows.head(0),
        "added": lambda rows: rows.with_columns(more=pl.lit(1)),
        "all null": lambda rows: rows.with_columns(age=nothing),
        "constant": lambda rows: rows.with_columns(age=pl.lit(40.0)),
        "infinite": lambda rows: rows.with_columns(
            age=pl.when(pl.int_range(pl.len()) % 3 == 0).then(np.inf).otherwise("age")
        ),
    }[name]


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("missing", FAILURE, "the columns are not those of the reference; missing: age"),
        ("renamed", FAILURE, "missing: age; not in the reference: Age"),
        ("type", FAILURE, "of another type: age (boolean, in the reference number)"),
        ("one row", FAILURE, "no verdict: 1 rows against 1,000 are too few"),
        ("no rows", FAILURE, "bad.parquet: no rows"),
        ("added", OK, "not in the reference, so not compared: more"),
        ("all null", DRIFT, ""),
        ("constant", DRIFT, ""),
        ("infinite", DRIFT, ""),
    ],
)
def test_bad_data_is_named_and_never_reads_as_no_drift(
    here: Path, capsys: Capture, name: str, code: int, said: str
) -> None:
    del here
    bad(name)(table(seed=2)).write_parquet("bad.parquet")
    called = call(capsys, *words("bad.parquet", "--html", "out.html"))
    assert called.code == code
    assert said in one_line(called.err)
    assert (code == FAILURE) == ("What to do:" in called.err)
    if code == DRIFT:
        assert "drift of age" in one_line(called.out)


def test_damaged_file_among_good_ones_is_named_and_the_others_count(
    here: Path, capsys: Capture
) -> None:
    stored = (here / "usual.parquet").read_bytes()
    (here / "cut.parquet").write_bytes(stored[: len(stored) // 2])
    called = call(capsys, *words("usual.parquet", "cut.parquet"), "--json")
    assert called.code == FAILURE
    found = called.document
    assert found["verdict"]["outcome"] == "no drift"
    assert values(found["current"], "file") == ["usual.parquet"]
    assert values(found["refused"], "name") == ["cut.parquet"]
    assert "1 of 2 files cannot be read: cut.parquet" in found["error"]["message"]
    (here / "zero.csv").touch()
    both = call(capsys, *words("zero.csv", "cut.parquet"))
    assert both.code == FAILURE
    assert "zero.csv" in both.err
    assert "cut.parquet" in both.err


def test_wrong_references_are_refused(here: Path, capsys: Capture) -> None:
    other = profile_reference(pl.DataFrame({"height": np.arange(100.0)}))
    (here / "other.bin").write_bytes(to_bytes(other))
    called = call(capsys, *words("usual.parquet", reference="other.bin"))
    assert called.code == FAILURE
    assert "missing: height" in one_line(called.err)
    (here / "torn.bin").write_bytes(to_bytes(other)[:-9])
    called = call(capsys, *words("usual.parquet", reference="torn.bin"))
    assert called.code == FAILURE
    assert "torn.bin" in called.err
    assert "are no profile of version 1" in one_line(called.err)


@pytest.mark.parametrize(
    "line",
    [
        words("usual.parquet", reference="nowhere.bin"),
        words("usual.parquet", reference="Model@"),
        words("nowhere.parquet"),
        words("usual.parquet", "--html", "no/such/folder.html"),
        words("usual.parquet", "--product", "nobody"),
        words("usual.parquet", reference="Nobody@champion"),
        ["drift", "check", "--reference", "reference.parquet"],
    ],
)
def test_what_is_not_there_is_a_mistake_of_usage(
    here: Path, capsys: Capture, line: list[str]
) -> None:
    del here
    assert call(capsys, *line).code == USAGE


def test_product_gives_its_limits(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    del here
    lax = {"drift": {"default": {"ks": 0.9, "psi": 5.0}}}
    product = tiny_product(monitoring=lax)
    monkeypatch.setattr(drift_check, "_product", lambda _name, _model: product)
    assert call(capsys, *words("moved.csv", "--product", "tiny")).code == OK


def test_product_says_how_its_csv_is_written(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    del here
    written = {"kind": "csv", "path": "tiny.csv", "delimiter": ";", "encoding": "cp1252"}
    product = tiny_product(source=written)
    product = product.model_copy(
        update={"contract": product.contract.model_copy(update={"decimal": ","})}
    )
    monkeypatch.setattr(drift_check, "_product", lambda _name, _model: product)
    for name, seed in (("before.csv", 1), ("now.csv", 2)):
        rows = zip(*table(seed=seed).to_dict(as_series=False).values(), strict=True)
        lines = [f"{str(age).replace('.', ',')};{steps};S\u00fcd" for age, steps, _ in rows]
        Path(name).write_text("age;steps;region\n" + "\n".join(lines), encoding="cp1252")
    called = call(capsys, *words("now.csv", reference="before.csv"), "--product", "tiny", "--json")
    assert called.code == OK
    (age,) = [each for each in called.document["verdict"]["columns"] if each["name"] == "age"]
    assert "ks" in age["statistics"]


def test_bars_are_for_terminals_alone() -> None:
    for terminal in (True, False):
        out = io.StringIO()
        console = Console(file=out, force_terminal=terminal, width=80)
        with bar_on(console, "counting") as share:
            share(0.5)
        with count_on(console, "counting") as far:
            far("12 rows")
        assert ("counting" in out.getvalue()) == terminal


def test_process_ends_without_complaint_of_libraries(here: Path) -> None:
    line = [sys.executable, "-m", "interlock.cli", *words("moved.csv"), "--json"]
    found = subprocess.run(line, cwd=here, capture_output=True, text=True, check=False)
    assert found.returncode == DRIFT
    assert json.loads(found.stdout)["verdict"]["drifted"] == ["age"]
    assert found.stderr == ""
    (here / "empty.csv").write_text("age,steps,region\n")
    line[-2] = "empty.csv"
    found = subprocess.run(line, cwd=here, capture_output=True, text=True, check=False)
    assert found.returncode == FAILURE
    assert "leaked" not in found.stderr


@pytest.fixture
def platform(
    made: tuple[World, Made], here: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[World, Callable[..., None]]:
    """A world with a champion; the verb enters it, and by the second as somebody else."""
    world, _ = made
    entering: dict[str, object] = {}

    @contextlib.contextmanager
    def opened(_terminal: object) -> Iterator[Workspace]:
        yield world.workspace(**entering)

    monkeypatch.setattr(drift_check, "opened", opened)
    # A feature that came after the champion.
    product = tiny_product(
        features=["income", "region", "age"], monitoring={"drift": {"columns": {"age": {}}}}
    )
    monkeypatch.setattr(drift_check, "_product", lambda _name, _model: product)
    monkeypatch.chdir(here)
    return world, entering.update


def test_version_is_proven_scores_the_rows_and_the_check_is_on_record(
    platform: tuple[World, Callable[..., None]], here: Path, capsys: Capture
) -> None:
    world, enter_as = platform
    header, rows = "age,income,region\n", rows_of_applicants(240, seed=9)
    usual = [line.rpartition(",")[0] for line in rows]
    rich = [f"{age},{float(income) + 40},{place}" for age, income, place in
            (line.split(",") for line in usual)]  # fmt: skip
    (here / "first.csv").write_text(header + "\n".join(usual[:120]) + "\n")
    (here / "second.csv").write_text(header + "\n".join(usual[120:]) + "\n")
    (here / "rich.csv").write_text(header + "\n".join(rich) + "\n")
    calm = call(capsys, *words("first.csv", "second.csv", reference="TinyModel"), "--json")
    assert calm.code == OK
    assert calm.document["verdict"]["rows"]["current"] == 240
    assert [each["name"] for each in calm.document["verdict"]["predictions"]] == [SCORE]
    record = [each for each in world.records() if each.action == "model:monitor"][-1]
    assert record.evidence["data"] == "first.csv and 1 more"
    (note,) = calm.document["notes"]
    assert note == "not in the reference, so their limits judge nothing: age"
    drifted = call(capsys, *words("rich.csv", "--html", "out.html", reference="TinyModel/1"))
    assert drifted.code == DRIFT
    assert "model:suspend" not in {each.action for each in world.records()}
    assert "TinyModel version 1" in (here / "out.html").read_text()
    (here / "second.csv").write_text("age,income\n1,2\n")
    wrong = call(capsys, *words("first.csv", "second.csv", reference="1"))
    assert wrong.code == FAILURE
    assert "second.csv: the columns are not those of the reference" in one_line(wrong.err)
    assert call(capsys, *words("rich.csv", reference="TinyModel/9")).code == FAILURE
    nobody = call(capsys, *words("rich.csv", reference="TinyModel@nobody"))
    assert nobody.code == FAILURE
    assert "no version at alias 'nobody'" in one_line(nobody.err)
    enter_as(role=Role.VIEWER, name="mallory")
    assert call(capsys, *words("first.csv", reference="TinyModel")).code == DENIED
