"""Drafts of products: whatever the table looks like, the draft loads and accepts its data."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from simulators import MemoryObjectStore

from interlock.adapters.csv_dialect import guess_dialect
from interlock.adapters.sources import spool
from interlock.adapters.tables import AppliedContract, apply_contract, to_table
from interlock.components.model_product.draft import draft_product
from interlock.components.model_product.draft_columns import scalar
from interlock.errors import ConfigurationError, SourceError
from interlock.ml.columns import Column, ColumnType
from interlock.ml.contract import check_target
from interlock.ml.source import CsvSource, ParquetSource
from interlock.product import ModelProduct, read_product

ROWS = 60
SAMPLE = Path(__file__).parents[2] / "data" / "sample_data.csv"


def write_csv(path: Path, *columns: tuple[str, list[str]], delimiter: str = ",") -> Path:
    """A CSV file of these columns and a target of yes and no."""
    table = dict(columns)
    table.setdefault("y", ["no", "no", "yes"] * (ROWS // 3))
    lines = [delimiter.join(table)]
    lines += [delimiter.join(values) for values in zip(*table.values(), strict=True)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def drafted(path: Path, target: str = "y", name: str = "new_product") -> ModelProduct:
    """Draft, store as a person would, and read back."""
    folder = path.parent / name
    folder.mkdir(exist_ok=True)
    text = draft_product(name, path, target, root=path.parent)
    (folder / "defs.yaml").write_text(text, encoding="utf-8")
    return read_product(folder / "defs.yaml")


def column(product: ModelProduct, name: str) -> Column:
    return next(each for each in product.contract.columns if each.name == name)


def applied(product: ModelProduct, folder: Path) -> AppliedContract:
    """The drafting data through the drafted contract."""
    work = folder / "work"
    work.mkdir()
    spooled = spool(
        product.source,
        directory=work,
        root=folder,
        store=MemoryObjectStore(),
        secret=lambda name: name,
    )
    to_table(spooled, product.source, work / "table.parquet")
    return apply_contract(
        work / "table.parquet",
        contract=product.contract,
        target=product.target,
        protected=product.protected,
        accepted=work / "accepted.parquet",
        quarantine=work / "quarantine.parquet",
        scratch=work,
    )


def numbers(step: float = 1.0) -> list[str]:
    return [str(round(step * (i % 23), 3)) for i in range(ROWS)]


def test_draft_of_the_sample_data() -> None:
    text = draft_product("german_credit", SAMPLE, "creditability", root=SAMPLE.parents[1])
    product = ModelProduct.model_validate(yaml.safe_load(text)["attributes"])
    assert product.model == "GermanCreditModel"
    assert product.source == CsvSource(kind="csv", path="data/sample_data.csv")
    assert (product.target.positive, product.target.negative) == ("bad", "good")
    assert product.protected == ("personal_status_and_sex", "age_in_years", "foreign_worker")
    assert not set(product.protected) & set(product.features)
    assert len(product.features) == 17
    purpose = column(product, "purpose")
    assert purpose.type is ColumnType.CATEGORY
    assert purpose.values is not None
    assert len(purpose.values) == 10
    age = column(product, "age_in_years")
    assert (age.min, age.max, age.nullable) == (5, 89, False)
    assert "# seen: 19 to 75" in text
    assert "confirm" in text


def test_semicolons_decimal_commas_blanks_and_latin_1(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "data.csv",
        ("größe", [each.replace(".", ",") for each in numbers(0.5)]),
        ("income", ["" if i % 10 == 0 else str(1000 + i) for i in range(ROWS)]),
        ("stadt", ["Köln", "Bonn"] * (ROWS // 2)),
        delimiter=";",
    )
    path.write_bytes(path.read_text(encoding="utf-8").encode("latin-1"))
    product = drafted(path)
    assert isinstance(product.source, CsvSource)
    assert product.source.delimiter == ";"
    assert product.source.encoding == "cp1252"
    assert product.contract.decimal == ","
    assert column(product, "größe").type is ColumnType.NUMBER
    assert column(product, "income").nullable
    report = applied(product, tmp_path).report
    assert report.passed
    assert report.quarantined == 0


@pytest.mark.parametrize(
    ("values", "positive", "negative", "column_type"),
    [
        (("No", "No", "Yes"), "Yes", "No", ColumnType.CATEGORY),
        (("0", "1", "1"), 1, 0, ColumnType.INTEGER),
        (("0.0", "0.0", "1.0"), 1, 0, ColumnType.INTEGER),
        (("2", "2", "1"), 1, 2, ColumnType.INTEGER),
        (("good", "good", "bad"), "bad", "good", ColumnType.CATEGORY),
        (("paid", "paid", "charged off"), "charged off", "paid", ColumnType.CATEGORY),
        (("left", "stayed", "stayed"), "left", "stayed", ColumnType.CATEGORY),
        (("True", "False", "False"), "True", "False", ColumnType.CATEGORY),
    ],
)
def test_targets(
    tmp_path: Path,
    values: tuple[str, ...],
    positive: object,
    negative: object,
    column_type: ColumnType,
) -> None:
    path = write_csv(tmp_path / "data.csv", ("x", numbers()), ("y", [*values] * (ROWS // 3)))
    product = drafted(path)
    assert (product.target.positive, product.target.negative) == (positive, negative)
    assert column(product, "y").type is column_type
    check_target(product.contract, product.target)
    assert "y" not in product.features
    assert applied(product, tmp_path).report.passed


def test_rows_without_label_go_to_quarantine(tmp_path: Path) -> None:
    labels = ["yes", "no"] * (ROWS // 2)
    labels[7] = ""
    path = write_csv(tmp_path / "data.csv", ("x", numbers()), ("y", labels))
    product = drafted(path)
    assert "# 1 rows have no label" in (tmp_path / "new_product" / "defs.yaml").read_text()
    assert applied(product, tmp_path).report.quarantined == 1


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["yes"] * ROWS, "has 1 values"),
        (["a", "b", "c"] * (ROWS // 3), "has 3 values"),
        ([""] * ROWS, "has 0 values"),
        ([f"t{i}" for i in range(ROWS)] + [f"u{i}" for i in range(ROWS)], "has many values"),
    ],
)
def test_target_without_two_classes_is_refused(
    tmp_path: Path, values: list[str], found: str
) -> None:
    path = write_csv(
        tmp_path / "data.csv", ("x", [str(i) for i in range(len(values))]), ("y", values)
    )
    with pytest.raises(ConfigurationError, match=found):
        drafted(path)


def test_target_that_is_missing_is_refused_with_the_columns(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "data.csv", ("x", numbers()))
    with pytest.raises(ConfigurationError, match="no column 'z'; it has x, y"):
        drafted(path, target="z")


def test_columns_that_identify_rows_are_no_features(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "data.csv",
        ("customerID", [f"C-{i * 7919 % 1000:03d}" for i in range(ROWS)]),
        ("row", [str(i) for i in range(ROWS)]),
        ("shuffled_nr", [str(i * 37 % 1009) for i in range(ROWS)]),
        ("comment", [f"said {i % 50} things" for i in range(ROWS)]),
        ("amount", [f"{i * 37 % 1009}.5" for i in range(ROWS)]),
    )
    product = drafted(path)
    assert product.features == ("amount",)
    assert product.contract.unique == (("customerID",), ("row",), ("shuffled_nr",))
    assert column(product, "row").max is None
    assert applied(product, tmp_path).report.passed


def test_texts_for_no_value_among_numbers_are_declared(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "data.csv",
        ("income", ["NA" if i % 20 == 0 else str(i % 9) for i in range(ROWS)]),
        ("kind", ["?", "a", "b"] * (ROWS // 3)),
        ("grade", ["NA", "b", "c"] * (ROWS // 3)),
    )
    product = drafted(path)
    assert product.contract.null_values == ("NA",)
    assert column(product, "income").nullable
    assert column(product, "kind").values == ("?", "a", "b")
    assert column(product, "grade").values == ("b", "c")
    assert column(product, "grade").nullable
    assert applied(product, tmp_path).report.passed


def test_dates_constants_and_empty_columns_are_no_features(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "data.csv",
        ("x", numbers()),
        ("opened", [f"2026-01-{i % 28 + 1:02d}" for i in range(ROWS)]),
        ("seen_at", [f"2026-01-{i % 28 + 1:02d} 10:00:00" for i in range(ROWS)]),
        ("country", ["DE"] * ROWS),
        ("unused", [""] * ROWS),
    )
    product = drafted(path)
    assert product.features == ("x",)
    assert column(product, "opened").type is ColumnType.DATE
    assert column(product, "seen_at").type is ColumnType.DATETIME
    assert "unused" not in {each.name for each in product.contract.columns}
    assert product.contract.extra_columns == "ignore"
    assert applied(product, tmp_path).report.passed


def test_protected_attributes_are_guessed_by_the_words_of_a_name(tmp_path: Path) -> None:
    names = ["Gender", "SeniorCitizen", "age_in_years", "maritalStatus", "average", "page_count"]
    path = write_csv(tmp_path / "data.csv", *((name, numbers()) for name in names))
    product = drafted(path)
    assert product.protected == ("Gender", "SeniorCitizen", "age_in_years", "maritalStatus")
    assert product.features == ("average", "page_count")


def test_table_with_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "data.csv", ("id", [str(i) for i in range(ROWS)]))
    with pytest.raises(ConfigurationError, match="features"):
        drafted(path)


@pytest.mark.parametrize("name", ["Credit", "credit.risk", "1st", "ml_training"])
def test_name_that_is_no_product_name_is_refused(tmp_path: Path, name: str) -> None:
    path = write_csv(tmp_path / "data.csv", ("x", numbers()))
    with pytest.raises(ConfigurationError, match="name"):
        draft_product(name, path, "y", root=tmp_path)


@pytest.mark.parametrize(
    ("low", "high", "least", "greatest"),
    [
        ("0", "1", 0, 1),
        ("0.2", "0.4", 0, 1),
        ("18", "75", 3, 90),
        ("-2", "8", -5, 11),
        ("-8", "-1", -10, 0),
        ("1.5", "1000.5", 0, 1300),
        ("0.001", "1.004", 0, 1.3),
        ("7", "7", 5, 9),
        ("-1000", "1000", -1500, 1500),
    ],
)
def test_ranges_have_a_margin_in_round_numbers(
    tmp_path: Path, low: str, high: str, least: float, greatest: float
) -> None:
    path = write_csv(tmp_path / "data.csv", ("x", [low, high] * (ROWS // 2)), ("z", numbers()))
    found = column(drafted(path), "x")
    assert (found.min, found.max) == (least, greatest)


def test_names_and_values_that_yaml_reads_otherwise_survive(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path / "data.csv",
        ("no", ["on", "off"] * (ROWS // 2)),
        ("a: b", ["null", "~"] * (ROWS // 2)),
        ("#1", ["x # y", "- z"] * (ROWS // 2)),
        ("back\\slash", ["it's", "1:30"] * (ROWS // 2)),
    )
    product = drafted(path)
    assert [each.name for each in product.contract.columns][:4] == [
        "no",
        "a: b",
        "#1",
        "back\\slash",
    ]
    assert column(product, "#1").values == ("- z", "x # y")
    assert applied(product, tmp_path).report.passed


@given(st.text())
def test_any_text_is_read_back_from_yaml(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates stand in no file
        return
    assert yaml.safe_load(f"[{scalar(text)}]") == [text]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "data.parquet"
    pl.DataFrame(
        {
            "amount": [float(i % 7) for i in range(ROWS)],
            "count": [i % 5 for i in range(ROWS)],
            "active": [True, False, None] * (ROWS // 3),
            "day": [date(2026, 1, 1)] * ROWS,
            "y": [True, False, False] * (ROWS // 3),
        }
    ).write_parquet(path)
    product = drafted(path)
    assert product.source == ParquetSource(kind="parquet", path="data.parquet")
    assert {each.name: each.type for each in product.contract.columns} == {
        "amount": ColumnType.NUMBER,
        "count": ColumnType.INTEGER,
        "active": ColumnType.BOOLEAN,
        "day": ColumnType.DATE,
        "y": ColumnType.BOOLEAN,
    }
    assert column(product, "active").nullable
    assert (product.target.positive, product.target.negative) == (True, False)
    assert applied(product, tmp_path).report.passed


def test_file_outside_the_root_is_named_absolutely(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "data.csv", ("x", numbers()))
    text = draft_product("new_product", path, "y", root=tmp_path / "elsewhere")
    assert yaml.safe_load(text)["attributes"]["source"]["path"] == str(path)


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        draft_product("new_product", tmp_path / "nowhere.csv", "y", root=tmp_path)
    with pytest.raises(SourceError, match="cannot be read"):
        draft_product("new_product", tmp_path, "y", root=tmp_path)
    (tmp_path / "empty.csv").write_text("x,y\n")
    with pytest.raises(SourceError, match="no rows"):
        draft_product("new_product", tmp_path / "empty.csv", "y", root=tmp_path)


@pytest.mark.parametrize(
    ("content", "delimiter", "encoding"),
    [
        (b"a,b\n1,2\n", ",", "utf-8"),
        (b"a;b\n1,5;2\n", ";", "utf-8"),
        (b"a\tb c\n1\t2 3\n", "\t", "utf-8"),
        (b"a|b\n1|2\n", "|", "utf-8"),
        (b"a\n1\n", ",", "utf-8"),
        (b"a;b\n1;2;3\n", ";", "utf-8"),
        (b'a;b\n"x;y";2\n', ";", "utf-8"),
        ("ä,b\n1,2\n".encode("latin-1"), ",", "cp1252"),
        (b"a,b\n\x81,2\n", ",", "latin-1"),
        (b"\xef\xbb\xbfa;b\n1;2\n", ";", "utf-8"),
        ("a;b\n1;2\n".encode("utf-16"), ";", "utf-16"),
        (b"a;b\n" + b"1;2,5\n" * 60_000, ";", "utf-8"),
    ],
)
def test_dialect_is_guessed(tmp_path: Path, content: bytes, delimiter: str, encoding: str) -> None:
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    assert guess_dialect(path) == (delimiter, encoding)


def test_folder_has_no_dialect(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        guess_dialect(tmp_path)
