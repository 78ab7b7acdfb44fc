"""``interlock product new``, ``list`` and ``check``."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import call, one_line, values
from product_fixtures import attributes, table_text, write_defs

from interlock import definitions
from interlock.cli.app import FAILURE, OK, USAGE
from interlock.definitions import LoadedProducts, load_products
from interlock.product import read_product


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "applicants.csv"
    path.write_text(table_text())
    return path


def new(data: Path, out: Path, *words: str, target: str = "outcome") -> tuple[str, ...]:
    given = ("--data", str(data), "--target", target, "--out", str(out))
    return ("product", "new", "applicants", *given, *words)


def test_draft_loads_and_says_what_a_person_must_confirm(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    called = call(capsys, *new(data, tmp_path / "defs", "--json"))
    assert called.code == OK
    path = tmp_path / "defs" / "applicants" / "defs.yaml"
    product = read_product(path)
    document = called.document
    assert document["path"] == str(path)
    assert document["target"] == {"column": "outcome", "positive": "bad", "negative": "good"}
    assert tuple(document["features"]) == product.features
    lines = path.read_text().splitlines()
    assert document["review"]
    for each in document["review"]:
        assert lines[each["line"] - 1].strip() == each["text"]
    assert any("owners:" in text for text in values(document["review"], "text"))


def test_draft_is_shown_with_its_lines(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    called = call(capsys, *new(data, tmp_path / "defs"))
    assert called.code == OK
    assert "To be confirmed by a person" in called.out
    assert "positive is 'bad'" in called.out
    assert "move the folder there to run it" in one_line(called.err)


def test_draft_in_the_loaded_folder_says_how_to_run_it(
    capsys: pytest.CaptureFixture[str],
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(definitions, "DEFS", tmp_path / "loaded")
    words = ("--data", str(data), "--target", "outcome")
    called = call(capsys, "product", "new", "applicants", *words)
    assert called.code == OK
    assert "run applicants\n" in called.out
    assert "every six hours" in called.out
    checked = call(capsys, "product", "check", "applicants")
    assert checked.code == OK
    assert "Beware: its owner is still team:name-your-team" in one_line(checked.out)
    path = tmp_path / "loaded" / "applicants" / "defs.yaml"
    path.write_text(path.read_text().replace("team:name-your-team", "team:risk"))
    checked = call(capsys, "product", "check", "applicants")
    assert (checked.code, checked.out) == (OK, "ok    applicants\n")


def test_file_that_is_there_is_replaced_only_when_asked(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "defs" / "applicants" / "defs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    called = call(capsys, *new(data, tmp_path / "defs"))
    assert called.code == FAILURE
    assert "--force" in called.err
    assert path.read_text() == "mine"
    assert call(capsys, *new(data, tmp_path / "defs", "--force")).code == OK
    assert read_product(path).name == "applicants"


@pytest.mark.parametrize(
    ("target", "text", "says"),
    [
        ("absent", table_text(), "the data has no column 'absent'"),
        ("outcome", "age,outcome\n", "has no rows"),
        ("outcome", None, "cannot be read"),
    ],
    ids=["no such target", "header only", "no such file"],
)
def test_data_that_gives_no_product_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, target: str, text: str | None, says: str
) -> None:
    data = tmp_path / "other.csv"
    if text is not None:
        data.write_text(text)
    called = call(capsys, *new(data, tmp_path / "defs", target=target))
    assert called.code == FAILURE
    assert says in one_line(called.err)
    assert not (tmp_path / "defs").exists()


def test_folder_that_cannot_be_written_is_a_clear_error(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "defs").mkdir()
    (tmp_path / "defs" / "applicants").write_text("a file")
    called = call(capsys, *new(data, tmp_path / "defs", "--json"))
    assert called.code == FAILURE
    assert "cannot be written" in called.document["error"]["message"]


def test_model_that_is_taken_is_said_at_once(
    capsys: pytest.CaptureFixture[str], data: Path, tmp_path: Path
) -> None:
    write_defs(tmp_path / "defs", name="another", model="ApplicantsModel")
    called = call(capsys, *new(data, tmp_path / "defs", "--json"))
    assert called.code == FAILURE
    assert "ApplicantsModel" in called.document["error"]["message"]


def broken(folder: Path) -> Path:
    write_defs(folder)
    return write_defs(folder, **attributes(name="broken", model="BrokenModel", tier="huge"))


def test_check_says_file_and_line_and_the_others_are_right(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = broken(tmp_path)
    line = next(
        number for number, text in enumerate(path.read_text().splitlines(), 1) if "tier:" in text
    )
    called = call(capsys, "product", "check", "--folder", str(tmp_path), "--json")
    assert (called.code, called.document["valid"]) == (FAILURE, False)
    found = {each["name"]: each for each in called.document["products"]}
    assert found["tiny"]["valid"] is True
    assert (found["broken"]["path"], found["broken"]["line"]) == (str(path), line)
    shown = call(capsys, "product", "check", "--folder", str(tmp_path))
    assert f"{path}:{line}" in "".join(shown.out.split("\n"))
    assert "What to do" in shown.out


def test_check_of_one_product_fails_as_it_does(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    broken(tmp_path)
    words = ("product", "check", "--folder", str(tmp_path))
    assert call(capsys, *words, "tiny").code == OK
    assert call(capsys, *words, "broken").code == FAILURE
    unknown = call(capsys, *words, "absent")
    assert unknown.code == USAGE
    assert "choose one of: broken, tiny" in unknown.err


def test_list_shows_broken_products_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(tmp_path)
    loaded: LoadedProducts = load_products(tmp_path)
    monkeypatch.setattr(definitions, "load_products", lambda *_: loaded)
    document = call(capsys, "product", "list", "--json").document
    assert values(document["products"], "name") == ["tiny", "broken"]
    assert "tier" in document["products"][1]["error"]
    shown = call(capsys, "product", "list").out
    assert "TinyModel" in shown
    assert "broken:" in shown
