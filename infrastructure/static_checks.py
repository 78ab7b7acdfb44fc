"""The checks of the Terraform tree that apply nothing: format, validity, tests, linters.

Each check is a function that gives a ``Result``. The ones that need the AWS provider get it from
``tools``; what is applied for real is in ``applied``.
"""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infrastructure import tools
from infrastructure.report import Report, Result, failed, ok, skipped
from infrastructure.terraform_command import Terraform, diagnostics, tests
from infrastructure.working_copy import copy_tree, roots

CHECKOV_CONFIGURATION: Final = tools.ROOT / "infrastructure" / ".checkov.yaml"
LINT_CONFIGURATION: Final = tools.TERRAFORM / ".tflint.hcl"
LINT_SECONDS: Final = 900
MAX_NOTES: Final = 40


@dataclass(frozen=True)
class Tree:
    """The tree under check, in a copy where every root module can be initialised.

    Attributes:
        folder: The copy's ``infrastructure/terraform``.
        program: Terraform.
        variables: What Terraform's processes see.
        caller: The variables of the caller.
    """

    folder: Path
    program: str
    variables: Mapping[str, str]
    caller: Mapping[str, str]

    @classmethod
    def copied(
        cls,
        temporary: Path,
        program: str,
        provider: tools.Provider | None,
        caller: Mapping[str, str],
    ) -> Tree:
        """A fresh copy.

        Args:
            temporary: An existing folder for everything that is written.
            program: Terraform.
            provider: Where the AWS provider comes from; None when there is none.
            caller: The variables of the caller.
        """
        repository, cache = temporary / "repository", temporary / "plugins"
        repository.mkdir()
        cache.mkdir()
        configuration = temporary / "terraformrc"
        configuration.write_text(provider.command_line_configuration(cache) if provider else "")
        variables = {"TF_CLI_CONFIG_FILE": str(configuration), "AWS_REGION": "eu-central-1"}
        return cls(copy_tree(repository), program, variables, caller)

    def at(self, place: Path | str) -> Terraform:
        """Terraform in one of the tree's folders."""
        return Terraform(self.program, self.folder / place, self.variables, self.caller)


def check_format(tree: Tree) -> Result:
    """``terraform fmt -check``."""
    answer = tree.at(".").call("fmt", "-check", "-recursive", "-no-color")
    if answer.code == 0:
        return ok(f"{len(tuple(tree.folder.rglob('*.tf')))} files")
    return failed("run terraform fmt -recursive", *answer.output.splitlines(), *answer.complaints)


def initialise(tree: Tree, places: Sequence[Path]) -> Result:
    """``terraform init`` without a backend, everywhere."""
    wrong = []
    for place in places:
        answer = tree.at(place).call("init", "-backend=false", "-input=false", "-no-color")
        if answer.code:
            wrong.append(f"{place}: {' '.join(answer.errors.split())[:600]}")
    if wrong:
        return failed(f"{len(wrong)} of {len(places)} root modules", *wrong)
    return ok(f"{len(places)} root modules")


def validate(tree: Tree, places: Sequence[Path]) -> Result:
    """``terraform validate``, everywhere; warnings count as errors."""
    wrong = []
    for place in places:
        document = json.loads(tree.at(place).call("validate", "-json").output or "{}")
        told = document.get("diagnostics", [])
        for each in told:
            where = each.get("range") or {}
            wrong.append(
                f"{place}/{where.get('filename')}:{where.get('start', {}).get('line')}: "
                f"{each['severity']}: {each['summary']}: {' '.join(each['detail'].split())}"
            )
        if not told and not document.get("valid"):
            wrong.append(f"{place}: no answer")
    if wrong:
        return failed(f"{len(wrong)} complaints", *wrong)
    return ok(f"{len(places)} root modules")


def run_tests(tree: Tree, places: Sequence[Path]) -> Result:
    """``terraform test`` wherever there are tests; a module without any is named."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    tested = [each for each in places if any((tree.folder / each / "tests").glob("*.tftest.hcl"))]
    untested = [each.name for each in places if each.parts[0] == "modules" and each not in tested]
    for place in tested:
        messages = tree.at(place).call("test", "-json").messages
        counts.update(found := tests(messages))
        if not found["passed"] or found["failed"] or found["errored"]:
            wrong += [f"{place}: {each}" for each in diagnostics(messages)] or [f"{place}: failed"]
    figures = f"{counts['passed']} passed, {counts['failed'] + counts['errored']} failed"
    figures += f", {len(tested)} modules"
    if untested:
        wrong.append(f"without tests: {', '.join(untested)}")
    return failed(figures, *wrong) if wrong else ok(figures)


def lint(program: str | None) -> Result:
    """Runs tflint over every folder, with its AWS rules."""
    if program is None:
        return skipped("tflint is not installed (github.com/terraform-linters/tflint)")
    command = (program, "--recursive", "--format=json", f"--config={LINT_CONFIGURATION}")
    done = subprocess.run(  # noqa: S603 - fixed words
        command,
        cwd=tools.TERRAFORM,
        capture_output=True,
        text=True,
        check=False,
        timeout=LINT_SECONDS,
    )
    try:
        document = json.loads(done.stdout)
    except json.JSONDecodeError:
        document = {"errors": [{"message": done.stderr or done.stdout}]}
    wrong = list(lint_findings(document))
    if wrong or done.returncode:
        missing = "tflint --init" if "Plugin" in done.stderr + done.stdout else "see below"
        return failed(f"{len(wrong)} findings, {missing}", *wrong[:MAX_NOTES])
    return ok("no findings")


def lint_findings(document: Mapping[str, Any]) -> Iterator[str]:
    """Each finding of tflint's JSON on one line."""
    for each in document.get("issues", []):
        where = each["range"]
        yield (
            f"{where['filename']}:{where['start']['line']}: "
            f"{each['rule']['name']}: {each['message']}"
        )
    for each in document.get("errors", []):
        yield " ".join(str(each.get("message", each)).split())[:600]


def check_security(program: Path | str) -> Result:
    """Runs checkov over the tree, with the exceptions of ``.checkov.yaml`` and of the files."""
    if isinstance(program, str):
        return skipped(program)
    command = (program, "--directory", tools.TERRAFORM, "--config-file", CHECKOV_CONFIGURATION)
    done = subprocess.run(  # noqa: S603 - fixed words
        (*command, "--output", "json"),
        cwd=tools.ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=LINT_SECONDS,
    )
    try:
        found = json.loads(done.stdout)
    except json.JSONDecodeError:
        return failed("no answer", *done.stderr.splitlines()[-5:])
    return security_result(found if isinstance(found, list) else [found])


def security_result(documents: Sequence[Mapping[str, Any]]) -> Result:
    """What checkov's JSON says: passed, failed and skipped checks, and the failed ones by name."""
    counts: Counter[str] = Counter()
    wrong = []
    for document in documents:
        summary = document.get("summary", document)
        for key in ("passed", "failed", "skipped", "parsing_errors"):
            counts[key] += int(summary.get(key, 0))
        results = document.get("results", {})
        wrong += [
            f"{each['check_id']} {each['resource']} ({each['file_path']}:"
            f"{each['file_line_range'][0]}): {each['check_name']}"
            for each in results.get("failed_checks", [])
        ]
        wrong += [f"not parsed: {each}" for each in results.get("parsing_errors", [])]
    figures = ", ".join(
        f"{counts[key]} {key.replace('_', ' ')}"
        for key in ("passed", "failed", "skipped", "parsing_errors")
    )
    if wrong or not counts["passed"]:
        return failed(figures, *sorted(set(wrong))[:MAX_NOTES])
    return ok(figures)


def run_all(report: Report, tree: Tree | str, provider: tools.Provider | str) -> None:
    """Runs every check and reports it.

    Args:
        report: Where to.
        tree: The copy, or why there is none.
        provider: The AWS provider, or why there is none.
    """
    if isinstance(tree, str):
        report.skip("terraform", tree)
    else:
        report.run("fmt", lambda: check_format(tree))
        places = roots(tree.folder)
        if isinstance(provider, str):
            report.skip("init, validate, test", provider)
        elif report.run("init", lambda: initialise(tree, places)):
            report.run("validate", lambda: validate(tree, places))
            report.run("test", lambda: run_tests(tree, places))
    report.run("tflint", lambda: lint(tools.tflint()))
    report.run("checkov", lambda: check_security(tools.checkov()))
