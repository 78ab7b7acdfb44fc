"""Terraform as a process: its environment, its calls, and what its JSON says.

Every process gets an environment that is built here and holds no credentials of whoever starts
it, so that nothing here can reach a real account.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

CALL_SECONDS: Final = 1800
CHANGES: Final = 2  # the exit code of plan -detailed-exitcode that says "there are changes"
OWN_VARIABLES: Final = ("AWS_", "TF_", "TERRAFORM_")  # never passed on from the caller


@dataclass(frozen=True)
class Answer:
    """What a call of Terraform gave.

    Attributes:
        code: Its exit code.
        output: Its standard output.
        errors: Its standard error.
    """

    code: int
    output: str
    errors: str

    @property
    def messages(self) -> tuple[Mapping[str, Any], ...]:
        """The messages of a call with ``-json``."""
        return tuple(json_lines(self.output))

    @property
    def complaints(self) -> tuple[str, ...]:
        """What went wrong, a few words each; from JSON where there is JSON."""
        found = tuple(diagnostics(self.messages))
        if found or self.code == 0:
            return found
        lines = (each.strip(" │╷╵") for each in self.errors.splitlines())
        return tuple(each for each in lines if each)[:40]


def json_lines(text: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects among the lines of a text."""
    for line in text.splitlines():
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue


def diagnostics(messages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Each error of a ``-json`` output, on one line, with its resource."""
    for message in messages:
        told = message.get("diagnostic")
        if not isinstance(told, Mapping) or told.get("severity") != "error":
            continue
        address = told.get("address") or _place(told.get("range"))
        words = f"{told.get('summary', '')}: {told.get('detail', '')}".strip(": ")
        yield " ".join(f"{address}: {words}".split())[:600]


def _place(told: object) -> str:
    if not isinstance(told, Mapping):
        return "terraform"
    return f"{told.get('filename')}:{told.get('start', {}).get('line')}"


def planned(document: Mapping[str, Any]) -> Counter[str]:
    """How many resources a plan (``show -json``) acts on, by action.

    A replacement counts as a deletion and a creation, as in Terraform's own summary.
    """
    counts: Counter[str] = Counter()
    for change in document.get("resource_changes", []):
        if change["mode"] == "managed":
            counts.update(each for each in change["change"]["actions"] if each != "no-op")
    return counts


def drifted(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Each resource of a plan (``show -json``) that is to change, with the attributes concerned."""
    lines = []
    for change in document.get("resource_changes", []):
        actions = change["change"]["actions"]
        if change["mode"] != "managed" or actions in (["no-op"], ["read"]):
            continue
        before, after = change["change"].get("before") or {}, change["change"].get("after") or {}
        unknown = change["change"].get("after_unknown") or {}
        differing = sorted(
            key
            for key in {*before, *after, *unknown}
            if before.get(key) != after.get(key) or unknown.get(key)
        )
        lines.append(f"{change['address']}: {'/'.join(actions)} ({', '.join(differing)})")
    return tuple(lines)


def done(messages: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How many resources an apply or a destroy really acted on, by action."""
    return Counter(
        str(message["hook"]["action"])
        for message in messages
        if message.get("type") == "apply_complete"
    )


def tests(messages: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How many runs of ``terraform test`` passed, failed, erred and were skipped."""
    counts: Counter[str] = Counter()
    for message in messages:
        if message.get("type") == "test_summary":
            summary = message["test_summary"]
            for key in ("passed", "failed", "errored", "skipped"):
                counts[key] += int(summary.get(key, 0))
    return counts


@dataclass(frozen=True)
class Terraform:
    """Calls Terraform in one folder.

    Attributes:
        program: Its path.
        folder: The root module.
        variables: What the process sees besides the caller's harmless variables.
        caller: The variables of the caller.
    """

    program: str
    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    caller: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of the process."""
        kept = {
            name: value for name, value in self.caller.items() if not name.startswith(OWN_VARIABLES)
        }
        return kept | {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0"} | dict(self.variables)

    def call(self, *words: str) -> Answer:
        """Runs ``terraform <words>``."""
        done = subprocess.run(  # noqa: S603 - words of this program
            [self.program, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=CALL_SECONDS,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def document(self, *words: str) -> Mapping[str, Any]:
        """The JSON document that ``terraform <words>`` prints."""
        answer = self.call(*words)
        found: Mapping[str, Any] = json.loads(answer.output) if answer.code == 0 else {}
        return found


def variable_words(values: Mapping[str, str]) -> Sequence[str]:
    """``-var`` words for some variables."""
    return [f"-var={name}={value}" for name, value in sorted(values.items())]
