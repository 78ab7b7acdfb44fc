"""Reading policy files, and everything that is checked before one of them decides.

A Cedar ``forbid`` that stumbles over a missing attribute is skipped, which allows. So
nothing is left to the moment of decision:

* every file parses, and its policies agree with the schema (strict validation: types,
  roles, environments, actions, optional attributes read without asking for them first);
* every policy carries an ``@id`` of its own and a ``@reason``, and every ``forbid`` a
  ``@remedy``: sentences with placeholders for facts of the request (``FACT_NAMES``);
* there are no templates, which permit nothing until somebody links them.

What the policies decide is in ``policy.py``. ADR-0002.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Formatter
from typing import Any, TypeVar

import cedarpy

from interlock.errors import PolicyError
from interlock.governance.facts import FACT_NAMES

SHIPPED = Path(__file__).parent / "policies"
SCHEMA_NAME = "schema.cedarschema"

_ID = re.compile(r"[a-z][a-z0-9-]*")
_Parsed = TypeVar("_Parsed")
_UNFINISHED = "unexpected end of input"  # cedarpy 4.12, of a text that stops too early
_WRONG_HERE = "unexpected token"  # cedarpy 4.12, of a text wrong at its end
_UNRESOLVED = "failed to resolve"  # cedarpy 4.12, of a type that may be declared later


@dataclass(frozen=True)
class Rule:
    """One policy as a person reads it.

    Attributes:
        id: Its ``@id``, unique among all files.
        effect: ``permit`` or ``forbid``.
        reason: Its ``@reason``, with placeholders.
        remedy: Its ``@remedy``, with placeholders; empty for a permit without one.
        file: Name of its file.
    """

    id: str
    effect: str
    reason: str
    remedy: str
    file: str


@dataclass(frozen=True)
class PolicyFiles:
    """Policies and schema that passed every check.

    Attributes:
        directory: Where they were read.
        files: Names of all files, sorted; the schema is one of them.
        rules: Identifier to policy, in the order of files and of policies in a file.
        digest: SHA-256 over names, lengths and bytes of the files, hexadecimal.
        policies: Parsed policies, named by their ``@id``.
        schema: Parsed schema.
    """

    directory: Path
    files: tuple[str, ...]
    rules: Mapping[str, Rule]
    digest: str
    policies: cedarpy.PolicySet
    schema: cedarpy.Schema


def read_policy_files(directory: Path = SHIPPED) -> PolicyFiles:
    """Read and check all ``*.cedar`` files of a folder and its schema.

    Args:
        directory: The folder; by default the one that ships with the package.

    Returns:
        The checked policies.

    Raises:
        PolicyError: A file is missing, unreadable, does not parse, does not agree with the
            schema, or has a policy without identifier or reason; with file and, where it
            is known, line.
    """
    contents = _read(directory)
    texts = {name: _decode(directory / name, body) for name, body in contents.items()}
    schema = _parse(directory / SCHEMA_NAME, texts.pop(SCHEMA_NAME), cedarpy.Schema.from_str)
    rules: dict[str, Rule] = {}
    trees: dict[str, object] = {}
    for name, text in texts.items():
        path = directory / name
        parsed = json.loads(_parse(path, text, cedarpy.policies_to_json_str))
        if parsed["templates"]:
            raise PolicyError(
                f"{path}: a policy has the slot ?principal or ?resource, expected none",
                remedy="write the policy out, templates are never linked here",
            )
        ids = {}
        for number, (cedar_id, tree) in enumerate(_in_order(parsed["staticPolicies"]), start=1):
            rule = _rule(path, number, tree)
            if rule.id in rules:
                raise PolicyError(
                    f"{_place(path, text, rule.id)}: @id {rule.id!r} is taken by a policy in "
                    f"{rules[rule.id].file}, expected one of its own",
                    remedy="rename one of the two",
                )
            rules[rule.id], trees[rule.id], ids[cedar_id] = rule, tree, rule.id
        _validate(path, text, schema, ids)
    document = {"templates": {}, "staticPolicies": trees, "templateLinks": []}
    return PolicyFiles(
        directory=directory,
        files=tuple(contents),
        rules=rules,
        digest=_digest(contents),
        policies=cedarpy.PolicySet.from_json_str(json.dumps(document)),
        schema=schema,
    )


def _read(directory: Path) -> dict[str, bytes]:
    """Name to bytes of the schema and at least one policy file, sorted by name."""
    try:
        names = sorted(
            entry.name
            for entry in directory.iterdir()
            if entry.suffix == ".cedar" or entry.name == SCHEMA_NAME
        )
        contents = {name: (directory / name).read_bytes() for name in names}
    except OSError as error:
        raise PolicyError(
            f"{error.filename}: cannot be read ({error.strerror})",
            remedy="name a folder with policy files that this account may read",
        ) from error
    if SCHEMA_NAME not in contents:
        raise PolicyError(
            f"{directory / SCHEMA_NAME}: missing",
            remedy="put the schema beside the policies: without it a mistake in them would allow",
        )
    if len(contents) == 1:
        raise PolicyError(
            f"{directory}: holds no policies, expected files *.cedar",
            remedy="name the folder that holds them",
        )
    return contents


def _decode(path: Path, body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise PolicyError(f"{path}:{line}: is not UTF-8", remedy="save it as UTF-8") from error


def _parse(path: Path, text: str, parser: Callable[[str], _Parsed]) -> _Parsed:
    try:
        return parser(text)
    except ValueError as error:
        raise PolicyError(
            f"{path}{_line_of_mistake(text, parser)}: {error}",
            remedy="correct the syntax there, or restore the file",
        ) from error


def _line_of_mistake(text: str, parser: Callable[[str], object]) -> str:
    """``:line`` of the first mistake, or ``:first-last`` of the statement that holds it.

    Cedar's parser tells no position to Python. It does tell a text that merely stops too
    early from one that cannot be continued, so the first line after which the beginning of
    the text is wrong for good is the line of the mistake. A mistake in the meaning of a
    statement shows at its end only: then it is given whole.
    """
    lines = text.splitlines(keepends=True)
    clean = last = 0  # lines read while every statement was complete; lines read at all
    for last in range(1, len(lines) + 1):
        try:
            parser("".join(lines[:last]))
            clean = last
        except ValueError as error:
            if _WRONG_HERE in str(error):
                return f":{last}"
            if _UNFINISHED not in str(error) and _UNRESOLVED not in str(error):
                break
    return f":{clean + 1}-{last}"


def _in_order(policies: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Policies as they stand in the file: Cedar names them policy0, policy1, ..."""
    yield from sorted(policies.items(), key=lambda item: int(item[0].removeprefix("policy")))


def _rule(path: Path, number: int, tree: Mapping[str, Any]) -> Rule:
    annotations = tree.get("annotations", {})
    name = annotations.get("id") or ""
    if not _ID.fullmatch(name):
        raise PolicyError(
            f"{path}: policy {number} has the @id {name!r}, expected lower-case letters, "
            "digits and hyphens",
            remedy='name it, e.g. @id("gates-must-pass")',
        )
    needed = ("reason",) if tree["effect"] == "permit" else ("reason", "remedy")
    sentences = {key: annotations.get(key) or "" for key in ("reason", "remedy")}
    for key in needed:
        if not sentences[key].strip():
            raise PolicyError(
                f"{path}: policy {name} has no @{key}",
                remedy=f'explain it in a sentence, @{key}("...")',
            )
    for key, sentence in sentences.items():
        _check_placeholders(f"{path}: @{key} of policy {name}", sentence)
    return Rule(name, tree["effect"], sentences["reason"], sentences["remedy"], path.name)


def _check_placeholders(where: str, sentence: str) -> None:
    remedy = f"quote only facts, in plain braces: {', '.join(sorted(FACT_NAMES))}"
    try:
        fields = [field[1:] for field in Formatter().parse(sentence)]
    except ValueError as error:
        raise PolicyError(f"{where}: {error}", remedy=remedy) from error
    for name, layout, conversion in fields:
        if name is not None and (name not in FACT_NAMES or layout or conversion):
            raise PolicyError(f"{where} quotes {name!r}, expected a known fact", remedy=remedy)


def _validate(path: Path, text: str, schema: cedarpy.Schema, ids: Mapping[str, str]) -> None:
    result = cedarpy.validate_policies(text, schema)
    if result.validation_passed:
        return
    # A result without errors that did not pass would be a surprise: it refuses all the same.
    first = next(iter(result.errors), None)
    cedar_id, found = (first.policy_id, first.error) if first else ("", "not valid")
    name = ids.get(cedar_id, cedar_id)
    found = found.removeprefix(f"for policy `{cedar_id}`").lstrip(":, ")
    more = f" (and {len(result.errors) - 1} more)" if len(result.errors) > 1 else ""
    raise PolicyError(
        f"{_place(path, text, name)}: policy {name} does not agree with {SCHEMA_NAME}: "
        f"{found}{more}",
        remedy="correct the policy, or declare in the schema what it uses",
    )


def _place(path: Path, text: str, name: str) -> str:
    """The file and the line of a policy's ``@id``, the last of that name."""
    matches = list(re.finditer(rf'@id\s*\(\s*"{re.escape(name)}"', text))
    return f"{path}:{text.count(chr(10), 0, matches[-1].start()) + 1}" if matches else str(path)


def _digest(contents: Mapping[str, bytes]) -> str:
    sha = hashlib.sha256()
    for name, body in contents.items():
        # With its length before it, no byte can move from one file to the next unseen.
        sha.update(f"{name}\0{len(body)}\0".encode())
        sha.update(body)
    return sha.hexdigest()
