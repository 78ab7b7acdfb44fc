"""Writes the tables of each Terraform module's README from its ``.tf`` files.

What stands between the two markers is generated; what stands before and after is written by
hand. ``python -m infrastructure.readme`` writes, ``--check`` only says what is out of date; a
test compares as well.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import hcl2

TERRAFORM: Final = Path(__file__).resolve().parent / "terraform"
BEGIN: Final = "<!-- BEGIN_TF_DOCS: written by `python -m infrastructure.readme` -->"
END: Final = "<!-- END_TF_DOCS -->"
_HEREDOC: Final = re.compile(r"<<-?(\w+)\n(.*)\n\s*\1\Z", re.DOTALL)
_REQUIRED: Final = object()


@dataclass(frozen=True)
class Input:
    """A variable of a module.

    Attributes:
        name: Its name.
        type: Its type as it is written; "" where there is none.
        description: What it is for; "" where it is not said.
        default: Its default as JSON or as an expression; None where it has to be given.
        validations: How many validation blocks it has.
        comments: What comments inside its block say.
        sensitive: Whether its value is hidden in plans.
        ephemeral: Whether its value is kept out of plans and state.
    """

    name: str
    type: str
    description: str
    default: str | None
    validations: int
    comments: tuple[str, ...]
    sensitive: bool = False
    ephemeral: bool = False


@dataclass(frozen=True)
class Output:
    """A value that a module gives.

    Attributes:
        name: Its name.
        description: What it is; "" where it is not said.
    """

    name: str
    description: str


@dataclass(frozen=True)
class Module:
    """What the files of one folder declare.

    Attributes:
        path: The folder.
        versions: Demanded versions by name, Terraform's own first.
        resources: Addresses of resources, data sources and ephemeral resources.
        modules: Sources of called modules by name.
        inputs: Variables in alphabetical order.
        outputs: Outputs in alphabetical order.
    """

    path: Path
    versions: Mapping[str, str]
    resources: tuple[str, ...]
    modules: Mapping[str, str]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]


def module_folders(root: Path = TERRAFORM) -> tuple[Path, ...]:
    """Every folder that holds Terraform files of its own."""
    return tuple(
        sorted({file.parent for file in root.rglob("*.tf") if ".terraform" not in str(file)})
    )


def read_module(path: Path) -> Module:
    """Reads a folder.

    Args:
        path: The folder.

    Returns:
        What its files declare.
    """
    files = [hcl2.loads(file.read_text(encoding="utf-8")) for file in sorted(path.glob("*.tf"))]
    resources = [
        f"{prefix}{kind}.{name}"
        for prefix, block in (("", "resource"), ("data.", "data"), ("ephemeral.", "ephemeral"))
        for kind, named in _blocks(files, block)
        for name in map(_unquoted, _declared(named))
    ]
    modules = {name: _text(body.get("source", "")) for name, body in _blocks(files, "module")}
    return Module(
        path=path,
        versions=_versions(files),
        resources=tuple(sorted(resources)),
        modules=dict(sorted(modules.items())),
        inputs=tuple(
            sorted((_input(*each) for each in _blocks(files, "variable")), key=lambda i: i.name)
        ),
        outputs=tuple(
            sorted(
                (
                    Output(name, _text(body.get("description", "")))
                    for name, body in _blocks(files, "output")
                ),
                key=lambda o: o.name,
            )
        ),
    )


def tables(module: Module) -> str:
    """The generated part of a README, markers included."""
    parts = [
        BEGIN,
        _table(("Needs", "Version"), [(f"`{name}`", v) for name, v in module.versions.items()]),
        _table(
            ("Input", "Type", "Default", "Meaning"),
            [
                (
                    f"`{each.name}`",
                    f"`{_line(each.type)}`",
                    "required" if each.default is None else f"`{each.default}`",
                    _line(each.description) + _marks(each),
                )
                for each in module.inputs
            ],
        ),
        _table(
            ("Output", "Meaning"),
            [(f"`{each.name}`", _line(each.description)) for each in module.outputs],
        ),
        _table(
            ("Module", "Source"), [(f"`{name}`", f"`{at}`") for name, at in module.modules.items()]
        ),
        _table(("Resource",), [(f"`{each}`",) for each in module.resources]),
        END,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def readme(module: Module, before: str) -> str:
    """A README with its tables in step with the module.

    Args:
        module: The module.
        before: The README as it is; "" where there is none.

    Returns:
        The README as it should be.
    """
    head, begin, rest = before.partition(BEGIN)
    if not begin:
        head = f"{before.rstrip()}\n\n" if before.strip() else f"# {module.path.name}\n\n"
        return head + tables(module)
    return head + tables(module) + rest.partition(END)[2].lstrip("\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes every README, or says which are out of date.

    Returns:
        0; 1 where ``--check`` found one out of date.
    """
    parser = argparse.ArgumentParser(prog="python -m infrastructure.readme", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(arguments)
    stale = [(path, text) for path, text in _expected() if _read(path) != text]
    for path, text in stale:
        if options.check:
            print(f"{path}: out of date; run `python -m infrastructure.readme`", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(path)
    return 1 if options.check and stale else 0


def _expected() -> Iterator[tuple[Path, str]]:
    for folder in module_folders():
        path = folder / "README.md"
        yield path, readme(read_module(folder), _read(path))


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _declared(body: Mapping[str, Any]) -> Iterator[str]:
    return (key for key in body if not key.startswith("__"))


def _blocks(files: Sequence[Mapping[str, Any]], kind: str) -> Iterator[tuple[str, Any]]:
    for file in files:
        for block in file.get(kind, ()):
            for label in _declared(block):
                yield _unquoted(label), block[label]


def _versions(files: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in files:
        for block in file.get("terraform", ()):
            if "required_version" in block:
                found["terraform"] = _text(block["required_version"])
            for providers in block.get("required_providers", ()):
                for name in _declared(providers):
                    found[_unquoted(name)] = _text(providers[name].get("version", "any"))
    return found


def _input(name: str, body: Mapping[str, Any]) -> Input:
    default = body.get("default", _REQUIRED)
    return Input(
        name=name,
        type=_text(body.get("type", "")),
        description=_text(body.get("description", "")),
        default=None if default is _REQUIRED else _default(default),
        validations=len(body.get("validation", ())),
        comments=tuple(each["value"] for each in body.get("__comments__", ())),
        sensitive=body.get("sensitive", False) is True,
        ephemeral=body.get("ephemeral", False) is True,
    )


def _default(value: object) -> str:
    return _line(json.dumps(_plain(value), ensure_ascii=False))


def _plain(value: object) -> object:
    """A value without the quotes that the reader keeps."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return {_unquoted(key): _plain(each) for key, each in value.items() if key[:2] != "__"}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def _unquoted(text: str) -> str:
    quoted = len(text) >= 2 and text[0] == text[-1] == '"'  # noqa: PLR2004 - two quotes
    return text[1:-1].replace('\\"', '"') if quoted else text


def _text(value: object) -> str:
    """A string, an expression or a heredoc as it reads."""
    text = _unquoted(str(value))
    heredoc = _HEREDOC.fullmatch(text)
    if heredoc:
        return "\n".join(line.strip() for line in heredoc[2].splitlines()).strip()
    expression = text.startswith("${") and text.endswith("}") and text.count("${") == 1
    return text[2:-1] if expression else text


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _marks(each: Input) -> str:
    marks = [
        word
        for word, set_ in (("sensitive", each.sensitive), ("ephemeral", each.ephemeral))
        if set_
    ]
    return f" ({', '.join(marks)})" if marks else ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
