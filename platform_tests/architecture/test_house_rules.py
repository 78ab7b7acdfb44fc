"""The rules of the house, read from the code itself."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlock import errors
from interlock.settings import REPOSITORY

PACKAGE = REPOSITORY / "platform" / "interlock"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 400  # beyond that a module has usually become two subjects
PURE = ("governance", "ml")
ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
CLOCKS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
}


def name_of(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


each_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def attributes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each ``a.b`` in the code, as ("a", "b")."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            if isinstance(owner, ast.Attribute):
                yield owner.attr, node.attr
            elif isinstance(owner, ast.Name):
                yield owner.id, node.attr


def imported_names(tree: ast.AST, module: str) -> set[str]:
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == module
        for alias in node.names
    }


def test_imports_go_one_way() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    found = subprocess.run([program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout


def test_platform_is_still_the_standard_librarys() -> None:
    code = "import platform, sysconfig; print(platform.__file__, sysconfig.get_path('stdlib'))"
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    file, standard_library = found.stdout.split()
    assert Path(file).parent == Path(standard_library)


def test_the_source_root_is_no_package() -> None:
    assert not (REPOSITORY / "platform" / "__init__.py").exists()


@each_module
def test_environment_is_read_in_settings_alone(path: Path) -> None:
    if name_of(path) == "settings.py":
        return
    tree = tree_of(path)
    read = {name for owner, name in attributes(tree) if owner == "os" and name in ENVIRONMENT}
    assert read | (imported_names(tree, "os") & ENVIRONMENT) == set()


@each_module
def test_module_opens_with_its_boundary(path: Path) -> None:
    assert ast.get_docstring(tree_of(path)), "say what belongs here and what elsewhere"


@each_module
def test_module_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES, "split it by subject"


@each_module
def test_exceptions_are_defined_in_errors_alone(path: Path) -> None:
    if name_of(path) == "errors.py":
        return
    known = {name for name, _ in inspect.getmembers(errors, inspect.isclass)}
    known |= {"Exception", "BaseException", "ValueError", "RuntimeError", "OSError"}
    defined = [
        node.name
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name) and base.id in known
    ]
    assert defined == []


def test_error_tree_is_drawn_in_full() -> None:
    drawn = set(re.findall(r"^ *[│├└─ ]*\b([A-Z]\w+)", errors.__doc__ or "", re.MULTILINE))
    defined = {
        name
        for name, found in inspect.getmembers(errors, inspect.isclass)
        if issubclass(found, errors.InterlockError)
    }
    assert defined <= drawn


@pytest.mark.parametrize(
    "path", [path for path in MODULES if name_of(path).startswith(PURE)], ids=name_of
)
def test_decisions_and_numerics_read_no_clock(path: Path) -> None:
    assert set(attributes(tree_of(path))) & CLOCKS == set()


def test_product_folders_hold_yaml_alone() -> None:
    found = [path.name for path in (PACKAGE / "defs").rglob("*.py")]
    assert found == []
