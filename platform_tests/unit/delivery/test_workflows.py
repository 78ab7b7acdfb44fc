"""The workflows and the Jenkinsfile, held against the rules of docs/delivery.md."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import check_workflows
import pytest
import yaml

from interlock.settings import REPOSITORY

FOLDER = REPOSITORY / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*.yml"))
JENKINS = (REPOSITORY / "Jenkinsfile").read_text()
MAKEFILE = (REPOSITORY / "Makefile").read_text()
PINNED = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
# Who may run in here; each is pinned by commit.
ACTIONS = {
    "actions/checkout",
    "actions/download-artifact",
    "actions/upload-artifact",
    "aws-actions/configure-aws-credentials",
    "hashicorp/setup-terraform",
}
MAKE = re.compile(r"make(?P<targets>( [a-z-]+)+)( ENVIRONMENT=(\"\$(TO|AT)\"|staging|prod))?")
SETTING_UP = {'cat metrics.md >> "$GITHUB_STEP_SUMMARY"'}
WRITES = {"id-token", "pull-requests"}
# What Jenkins has a plugin for, and the builder of a linter for GitHub's files.
GITHUB_ONLY = {"actionlint", "comment", "fetch-champion"}

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def workflow(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def jobs(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from workflow(path)["jobs"].items()


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for _, job in jobs(path):
        yield from job.get("steps", [])


def triggers(path: Path) -> set[str]:
    document: dict[Any, Any] = workflow(path)
    found = document[True]  # YAML 1.1 takes `on` for a truth value
    return {found} if isinstance(found, str) else set(found)


def targets_of_workflows() -> set[str]:
    found = set()
    for path in FILES:
        for step in steps(path):
            if match := MAKE.fullmatch(step.get("run", "")):
                found |= set(match["targets"].split())
    return found


def test_there_is_a_workflow_for_each_occasion() -> None:
    assert {path.name: triggers(path) for path in FILES} == {
        "checks.yml": {"workflow_call"},
        "deploy.yml": {"workflow_call"},
        "main.yml": {"push"},
        "pull-request.yml": {"pull_request"},
        "watch.yml": {"schedule", "workflow_dispatch"},
    }


@each_file
def test_every_action_is_known_and_pinned_by_commit(path: Path) -> None:
    for line in path.read_text().splitlines():
        if not (match := re.search(r"uses: (\S+)(.*)", line)):
            continue
        used, comment = match.groups()
        if used.startswith("./"):
            assert (REPOSITORY / used).exists()
            continue
        assert PINNED.fullmatch(used), line
        assert used.partition("@")[0] in ACTIONS, line
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), line


def test_one_action_has_one_version() -> None:
    used = {
        match
        for path in FILES
        for match in re.findall(r"uses: ([\w.-]+/\S+@[0-9a-f]{40} # \S+)", path.read_text())
    }
    assert len(used) == len({each.partition("@")[0] for each in used})


@each_file
def test_every_step_is_an_action_or_a_target_of_the_makefile(path: Path) -> None:
    for step in steps(path):
        if "run" in step:
            assert MAKE.fullmatch(step["run"]) or step["run"] in SETTING_UP, step["run"]


def test_every_target_exists_and_is_documented() -> None:
    for target in targets_of_workflows():
        assert re.search(rf"^{target}:.*## \S", MAKEFILE, re.MULTILINE), target


@each_file
def test_nothing_is_permitted_unless_a_job_says_so(path: Path) -> None:
    assert workflow(path)["permissions"] == {}
    for name, job in jobs(path):
        permissions = job["permissions"]
        assert permissions["contents"] == "read", name
        writing = {key for key, value in permissions.items() if value != "read"}
        assert writing <= WRITES, name
        assert "write-all" not in permissions.values()


@each_file
def test_code_of_a_change_can_write_nothing(path: Path) -> None:
    """Where a pull request's own code runs, nothing may be written and AWS not be reached."""
    if not triggers(path) & {"pull_request"} and path.name != "checks.yml":
        return
    for name, job in jobs(path):
        writing = {key for key, value in job["permissions"].items() if value != "read"}
        assert writing <= ({"pull-requests"} if name == "comment" else set()), name


def test_comment_runs_the_scripts_of_the_branch_that_is_merged_into() -> None:
    job = workflow(FOLDER / "pull-request.yml")["jobs"]["comment"]
    condition = "github.event.pull_request.head.repo.full_name == github.repository"
    assert condition in job["if"]
    checkout = job["steps"][0]
    assert checkout["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
    # Nothing is installed there: what runs beside the token is Python's own library.
    for target in ("compare-champion", "comment"):
        assert re.search(rf"^{target}: ##", MAKEFILE, re.MULTILINE), target


@each_file
def test_no_checkout_leaves_its_token_behind(path: Path) -> None:
    for step in steps(path):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@each_file
def test_nothing_is_pasted_into_a_shell(path: Path) -> None:
    for step in steps(path):
        assert "${{" not in step.get("run", "")
        assert "${{" not in step.get("shell", "")


@each_file
def test_nobody_elses_code_runs_with_rights(path: Path) -> None:
    assert not triggers(path) & {"pull_request_target", "workflow_run", "issue_comment"}
    assert "self-hosted" not in path.read_text()


@each_file
def test_there_is_no_long_lived_key(path: Path) -> None:
    assert "secrets." not in path.read_text()
    assert "secrets:" not in path.read_text()


@each_file
def test_every_job_ends_in_time(path: Path) -> None:
    for name, job in jobs(path):
        assert "uses" in job or 0 < job["timeout-minutes"] <= 90, name


@each_file
def test_runs_of_the_same_do_not_meet(path: Path) -> None:
    found = workflow(path)
    groups = [found.get("concurrency"), *(job.get("concurrency") for job in found["jobs"].values())]
    assert any(groups) or path.name == "checks.yml"
    if path.name != "pull-request.yml":
        assert not any(group["cancel-in-progress"] for group in groups if group)


def test_production_waits_for_a_person_and_asks_again() -> None:
    main = workflow(FOLDER / "main.yml")["jobs"]
    assert main["production"]["with"] == {
        "environment": "prod",
        "check-models-first": True,
    }
    order = ["checks", "images", "staging", "production-images", "production"]
    for before, after in itertools.pairwise(order):
        assert main[after]["needs"] == [before]
    deploy = workflow(FOLDER / "deploy.yml")["jobs"]["deploy"]
    assert deploy["environment"] == "${{ inputs.environment }}"


def test_jenkins_calls_the_same_targets() -> None:
    called = set()
    for command in re.findall(r"\bsh '([^']*)'", JENKINS):
        match = MAKE.fullmatch(command)
        assert match is not None, command
        called |= set(match["targets"].split())
    assert called == targets_of_workflows() - GITHUB_ONLY


def test_jenkins_has_the_same_stages() -> None:
    stages = [
        name.replace("\\'", "'") for name in re.findall(r"stage\('((?:\\'|[^'])*)'\)", JENKINS)
    ]
    named = [
        job["name"]
        for path in (FOLDER / "checks.yml", FOLDER / "main.yml", FOLDER / "pull-request.yml")
        for name, job in jobs(path)
        if name != "comment"
    ]
    assert set(named) <= set(stages)
    for environment in ("staging", "prod"):
        assert f"Trail and drift of {environment}" in stages


def test_jenkins_hands_nothing_of_a_change_to_a_shell() -> None:
    """Groovy's double quotes would paste a branch's name into the command."""
    assert not re.search(r"\bsh\s*\(?\s*\"", JENKINS)
    assert "sh(" not in JENKINS


def test_jenkins_has_balanced_braces() -> None:
    text = re.sub(r"'(?:\\'|[^'])*'|\"[^\"]*\"|//[^\n]*", "", JENKINS)
    for opening, closing in ("{}", "()", "[]"):
        assert text.count(opening) == text.count(closing)


def test_linters_find_nothing() -> None:
    files = [str(path.relative_to(REPOSITORY)) for path in FILES]
    found, _ = check_workflows.commands(files, check_workflows._which)
    for command in found:
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_linter_that_is_not_here_is_named() -> None:
    run, left_out = check_workflows.commands(["a.yml"], lambda _: None)
    assert len(run) == 2
    assert "actionlint" in left_out[0]


def test_deployment_and_last_check_have_an_hour_of_credentials_each() -> None:
    """What came before must not use up what the way back needs."""
    (job,) = (job for _, job in jobs(FOLDER / "deploy.yml"))
    did = [step.get("uses", "").partition("@")[0] or step.get("run", "") for step in job["steps"]]
    doing = [each for each in did if each != "actions/upload-artifact"]
    for place, each in enumerate(doing):
        if each.startswith(("make deploy ", "make deploy-check ")):
            assert doing[place - 1] == "aws-actions/configure-aws-credentials", each
