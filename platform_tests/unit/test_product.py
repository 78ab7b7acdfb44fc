"""A product's YAML: every mistake is named with file and line, and none passes silently."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from product_fixtures import attributes, tiny_product, write_defs
from pydantic import ValidationError

from interlock.definitions import DEFS
from interlock.errors import ProductError
from interlock.product import COMPONENT_TYPE, RESERVED_NAMES, ModelProduct, read_product


def written(tmp_path: Path, change: Callable[[str], str | bytes] = str, **changes: Any) -> Path:
    path = write_defs(tmp_path, **changes)
    content = change(path.read_text())
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path: Path) -> ProductError:
    with pytest.raises(ProductError) as refusal:
        read_product(path)
    assert str(refusal.value).startswith(f"{path}:")
    assert refusal.value.remedy
    return refusal.value


def line_of(path: Path, text: str) -> int:
    lines = path.read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if text in line)


def test_product_is_read_with_its_defaults(tmp_path: Path) -> None:
    product = read_product(written(tmp_path))
    assert product == tiny_product()
    assert product.schedule is None
    assert product.contract.extra_columns == "refuse"


@pytest.mark.parametrize(
    "path", sorted(DEFS.glob("*/defs.yaml")), ids=lambda path: path.parent.name
)
def test_shipped_products_are_well_declared(path: Path) -> None:
    assert read_product(path).name == path.parent.name


def test_digest_changes_with_the_declaration_alone() -> None:
    assert tiny_product().digest == tiny_product().digest
    assert tiny_product().digest != tiny_product(owners=["team:others"]).digest


def test_platform_floors_tighten_and_never_loosen_the_gates() -> None:
    gates = tiny_product(gates=[{"metric": "accuracy", "min": 0.7}]).effective_gates(
        {"accuracy": 0.6, "f1": 0.5}
    )
    assert [(gate.metric, gate.limit) for gate in gates] == [("accuracy", 0.7), ("f1", 0.5)]
    (tighter,) = tiny_product(gates=[{"metric": "accuracy", "min": 0.7}]).effective_gates(
        {"accuracy": 0.9}
    )
    assert tighter.limit == 0.9


def test_missing_file_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path / "tiny" / "defs.yaml")
    assert "cannot be read (No such file or directory)" in str(error)
    assert error.remedy == "write it with `interlock product new`"


@pytest.mark.parametrize(
    ("change", "message", "line"),
    [
        (lambda _: "", "has no `attributes` mapping", 1),
        (lambda _: "- a list\n", "has no `attributes` mapping", 1),
        (lambda text: text + "\n\t:", "is no YAML: found character '\\t'", None),
        (lambda text: text + "# \x00\n", "is no YAML: special characters", None),
        (lambda text: text + "since: 2026-13-45\n", "is no YAML: month must be in 1..12", None),
        (lambda _: "[" * 5_000, "is no YAML: it is nested too deeply", None),
        (lambda text: text.encode("utf-16"), "is not UTF-8 at byte 0", None),
        (lambda text: text + "---\nx: 1\n", "is no YAML: but found another document", None),
    ],
    ids=["empty", "list", "tab", "NUL", "impossible date", "depth", "UTF-16", "two documents"],
)
def test_file_that_is_no_product_is_refused(
    tmp_path: Path, change: Callable[[str], str | bytes], message: str, line: int | None
) -> None:
    error = refused(written(tmp_path, change))
    assert message in str(error)
    if line is not None:
        assert error.line == line


def test_unclosed_bracket_is_refused_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, lambda text: text.replace("- team:tests", "[team:tests"))
    error = refused(path)
    assert "is no YAML" in str(error)
    assert error.line == line_of(path, "[team:tests") + 1


def test_another_component_type_is_refused_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, lambda text: text.replace(COMPONENT_TYPE, "os.system"))
    error = refused(path)
    assert error.line == line_of(path, "type: os.system")
    assert f"write `type: {COMPONENT_TYPE}`" in str(error)


def test_python_objects_in_yaml_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, lambda text: text + "x: !!python/object/apply:os.getcwd []\n")
    assert "could not determine a constructor" in str(refused(path))


def test_key_outside_attributes_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, lambda text: text + "gate: []\n")
    error = refused(path)
    assert "unknown keys ['gate']" in str(error)
    assert error.line == line_of(path, "gate: []")


def test_second_gates_section_that_would_replace_the_first_is_refused(tmp_path: Path) -> None:
    loose = "  gates:\n  - {metric: roc_auc, min: 0.0}\ntype:"
    path = written(tmp_path, lambda text: text.replace("\ntype:", f"\n{loose}"))
    error = refused(path)
    assert "key 'gates' stands there twice" in str(error)
    assert error.line == line_of(path, "min: 0.0") - 1


def test_alias_that_contains_itself_is_refused(tmp_path: Path) -> None:
    path = written(
        tmp_path, lambda _: f"type: {COMPONENT_TYPE}\nattributes: &a {{name: *a, model: *a}}\n"
    )
    assert "name: Input should be a valid string" in str(refused(path))


def test_name_must_be_that_of_the_folder(tmp_path: Path) -> None:
    path = written(tmp_path)
    moved = path.parent.rename(tmp_path / "other") / "defs.yaml"
    error = refused(moved)
    assert "name 'tiny' differs from its folder 'other'" in str(error)
    assert error.line == line_of(moved, "name: tiny")


MISTAKES: list[tuple[str, dict[str, Any], str, str]] = [
    (
        "metric nobody measures",
        {"gates": [{"metric": "rock_auc", "min": 0.5}]},
        "gates",
        "rock_auc",
    ),
    ("gate without a limit", {"gates": [{"metric": "ks"}]}, "metric: ks", "neither of min and max"),
    (
        "gate with a limit as text",
        {"gates": [{"metric": "ks", "min": "0.5"}]},
        "min: '0.5'",
        "valid number",
    ),
    ("gate at infinity", {"gates": [{"metric": "ks", "min": float("inf")}]}, "min: .inf", "finite"),
    ("no gates", {"gates": []}, "gates", "at least 1 item"),
    ("no owner", {"owners": []}, "owners", "at least 1 item"),
    ("owner without a team", {"owners": ["ada"]}, "owners", "'ada' is no owner"),
    ("owner that Dagster refuses", {"owners": ["ü@example.org"]}, "owners", "is no owner"),
    ("unknown tier", {"tier": "highest"}, "tier", "'low', 'medium' or 'high'"),
    ("unknown key", {"gatez": []}, "gatez", "unknown key"),
    ("feature not in the contract", {"features": ["incom"]}, "features", "['incom'] are not in"),
    ("feature named twice", {"features": ["age", "age"]}, "features", "named twice"),
    ("target as feature", {"features": ["outcome"]}, "features", "is among the features"),
    ("protected not in the contract", {"protected": ["sex"]}, "protected", "['sex'] are not in"),
    (
        "target not in the contract",
        {"target": {"column": "y", "positive": "a", "negative": "b"}},
        "target",
        "'y' is not in the contract",
    ),
    (
        "label that cannot occur",
        {"target": {"column": "outcome", "positive": "worse", "negative": "good"}},
        "target",
        "label 'worse' is not among the values",
    ),
    (
        "unquoted yes as label",
        {"target": {"column": "outcome", "positive": True, "negative": "good"}},
        "target",
        "quote the label",
    ),
    (
        "one class",
        {"target": {"column": "outcome", "positive": "bad", "negative": "bad"}},
        "target",
        "name two values",
    ),
    ("unknown candidate", {"candidates": {"oracle": {}}}, "oracle", "logistic_regression"),
    ("unknown source", {"source": {"kind": "fax", "path": "x"}}, "source", "'csv', 'parquet'"),
    ("cron of six fields", {"schedule": "0 0 * * * *"}, "schedule", "no cron expression"),
    ("dots in the name", {"model": "Tiny.Model"}, "model", "is no model name"),
    ("model too long for a tag", {"model": "T" * 64}, "model", "at most 63"),
]


@pytest.mark.parametrize(
    ("changes", "at", "message"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES]
)
def test_mistake_is_named_with_its_line(
    tmp_path: Path, changes: dict[str, Any], at: str, message: str
) -> None:
    path = written(tmp_path, **changes)
    error = refused(path)
    assert message in str(error)
    # Of two lines with the same word the section's own is meant, which ends with a colon.
    own = f"{at}:" if f"\n  {at}:" in path.read_text() else at
    assert error.line == line_of(path, own)


def test_every_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, owners=[], tier="highest")
    error = refused(path)
    assert "owners: " in error.message
    assert f"; line {line_of(path, 'tier')}: tier: Input should be" in error.message


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_names_of_the_platform_are_refused(tmp_path: Path, name: str) -> None:
    assert "a name that the platform uses itself" in str(refused(written(tmp_path, name=name)))


@pytest.mark.parametrize("name", ["Tiny", "ti.ny", "ti-ny", "_tiny", "t", "1tiny", "tïny"])
def test_names_that_dagster_cannot_use_are_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="is no product name"):
        tiny_product(name=name)


@pytest.mark.parametrize(
    "cron", ["0 */6 * * *", "5 4 * * 0", "0,30 8-18/2 1-15 * 1-5", "0 0 29 2 *", "59 23 31 12 7"]
)
def test_cron_expressions_are_taken(cron: str) -> None:
    assert tiny_product(schedule=cron).schedule == cron


@pytest.mark.parametrize(
    "cron",
    [
        *("", "0", "* * * *", "* * * * * *", "a b c d e", "@daily", "60 * * * *", "* 24 * * *"),
        *("* * 0 * *", "* * 32 * *", "* * * 13 *", "* * * 0 *", "* * * * 8", "*/0 * * * *"),
        *("*/60 * * * *", "5-1 * * * *", "1/5 * * * *", "1, * * * *", "0 0 31 2 *"),
        *("0 0 31 4,6 *", "-1 * * * *", "0 0 * jan *"),
    ],
)
def test_what_is_no_cron_expression_is_refused(cron: str) -> None:
    with pytest.raises(ValidationError, match="no cron expression"):
        tiny_product(schedule=cron)


_FIELD = st.one_of(
    st.just("*"),
    st.integers(0, 60).map(str),
    st.tuples(st.integers(0, 32), st.integers(0, 32)).map(lambda pair: f"{pair[0]}-{pair[1]}"),
    st.integers(0, 32).map(lambda step: f"*/{step}"),
)


@given(cron=st.lists(_FIELD, min_size=5, max_size=5).map(" ".join))
def test_every_cron_that_is_taken_is_one_for_dagster(cron: str) -> None:
    from dagster._utils.schedules import is_valid_cron_string

    try:
        tiny_product(schedule=cron)
    except ValidationError:
        return
    assert is_valid_cron_string(cron)


@given(
    damage=st.tuples(
        st.integers(0, 1_000), st.sampled_from(["", "\x00", "\t", "[", "*", "'", "💥"])
    )
)
def test_damaged_file_is_read_or_refused_with_its_name(
    damage: tuple[int, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    at, text = damage
    path = tmp_path_factory.getbasetemp() / "damaged" / "tiny" / "defs.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = yaml.safe_dump({"type": COMPONENT_TYPE, "attributes": attributes()})
    path.write_text(content[:at] + text + content[at + 1 :])
    try:
        product = read_product(path)
    except ProductError as error:
        refusal = error
    else:
        assert isinstance(product, ModelProduct)
        return
    assert refusal.path == path
