"""What `make aws-test` makes of the answers that it gets, and what it hands on to Terraform."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from infrastructure import (
    applied,
    guardrails,
    moto_limits,
    moto_server,
    static_checks,
    terraform_command,
    tools,
)
from infrastructure.report import Report, Status, failed, ok, skipped

TERRAFORM = tools.TERRAFORM


def report() -> tuple[Report, list[str]]:
    lines: list[str] = []
    return Report(lines.append, clock=lambda: 0.0), lines


def test_a_skipped_step_is_named_in_the_summary_with_its_reason() -> None:
    made, _ = report()
    made.run("fmt", lambda: ok("3 files"))
    made.skip("tflint", "is not installed")
    assert made.summary() == ("SKIPPED: tflint: is not installed", "1 ok, 0 failed, 1 skipped, 0 s")
    assert made.failures() == ()


def test_a_failed_step_shows_its_notes_and_stops_what_depends_on_it() -> None:
    made, lines = report()
    assert made.run("init", lambda: failed("1 of 2", "storage: no provider")) is False
    assert made.run("lint", lambda: skipped("not here")) is False
    assert "    storage: no provider" in lines
    assert made.summary()[-1] == "FAILED: init"


def mirror(tmp_path: Path) -> Path:
    (tmp_path / tools.PROVIDER / "6.47.0" / "linux_amd64").mkdir(parents=True)
    return tmp_path


def test_a_named_mirror_is_used_without_asking_the_registry(tmp_path: Path) -> None:
    def answers() -> bool:
        raise AssertionError("the registry was asked")

    found = tools.find_provider({tools.MIRROR_VARIABLE: str(mirror(tmp_path))}, answers)
    assert isinstance(found, tools.Provider)
    assert "6.47.0" in found.said
    text = found.command_line_configuration(tmp_path)
    assert "filesystem_mirror" in text
    assert "direct" not in text


def test_archives_in_a_mirror_count(tmp_path: Path) -> None:
    folder = tmp_path / tools.PROVIDER
    folder.mkdir(parents=True)
    (folder / "terraform-provider-aws_6.1.0_linux_amd64.zip").touch()
    assert tools.mirrored_versions(tmp_path) == ("6.1.0",)


def test_an_empty_mirror_is_no_provider(tmp_path: Path) -> None:
    found = tools.find_provider({tools.MIRROR_VARIABLE: str(tmp_path)}, lambda: True)
    assert isinstance(found, str)
    assert str(tmp_path) in found


def test_without_mirror_the_registry_decides(tmp_path: Path) -> None:
    assert isinstance(tools.find_provider({}, lambda: False), str)
    found = tools.find_provider({}, lambda: True)
    assert isinstance(found, tools.Provider)
    assert "plugin_cache_dir" in found.command_line_configuration(tmp_path)


def test_the_callers_credentials_never_reach_terraform(tmp_path: Path) -> None:
    caller = {"AWS_PROFILE": "prod", "TF_VAR_name": "x", "PATH": "/bin", "AWS_ACCESS_KEY_ID": "A"}
    made = terraform_command.Terraform("t", tmp_path, {"AWS_ACCESS_KEY_ID": "test"}, caller)
    assert made.environment == {
        "AWS_ACCESS_KEY_ID": "test",
        "PATH": "/bin",
        "TF_IN_AUTOMATION": "1",
        "TF_INPUT": "0",
    }


DATABASE = "terraform: deleting RDS Cluster (x): Cannot delete protected Cluster"
AUDIT = "terraform: deleting S3 Bucket (x-audit-1) Object (y): https response error StatusCode: 403"


def test_a_protected_environment_has_to_refuse_its_end_on_every_count() -> None:
    assert applied.protected([DATABASE, AUDIT]).status is Status.OK
    assert applied.protected([DATABASE]).status is Status.FAILED
    assert applied.protected([]).status is Status.FAILED


def change(address: str, actions: list[str], **values: Any) -> dict[str, Any]:
    return {"address": address, "mode": "managed", "change": {"actions": actions, **values}}


def test_a_plan_is_counted_by_action_and_data_sources_are_not() -> None:
    document = {
        "resource_changes": [
            change("a", ["create"]),
            change("b", ["delete", "create"]),
            change("c", ["no-op"]),
            {"address": "data.d", "mode": "data", "change": {"actions": ["read"]}},
        ]
    }
    assert terraform_command.planned(document) == Counter(create=2, delete=1)


def test_a_difference_names_resource_and_attributes() -> None:
    document = {
        "resource_changes": [
            change(
                "aws_x.y",
                ["update"],
                before={"a": 1, "b": 2},
                after={"a": 1, "b": 3},
                after_unknown={"id": True},
            ),
            change("aws_x.z", ["no-op"], before={}, after={}),
        ]
    }
    assert terraform_command.drifted(document) == ("aws_x.y: update (b, id)",)


def lines_of(*messages: dict[str, Any]) -> str:
    return "\n".join(["not JSON", *map(json.dumps, messages), "{broken"])


def test_errors_of_terraform_are_told_with_their_resource() -> None:
    text = lines_of(
        {"type": "apply_complete", "hook": {"action": "create"}},
        {"diagnostic": {"severity": "error", "summary": "no", "detail": "a\n b", "address": "x.y"}},
        {"diagnostic": {"severity": "warning", "summary": "perhaps", "detail": ""}},
        {
            "diagnostic": {
                "severity": "error",
                "summary": "bad",
                "detail": "",
                "range": {"filename": "main.tf", "start": {"line": 7}},
            }
        },
    )
    answer = terraform_command.Answer(1, text, "")
    assert answer.complaints == ("x.y: no: a b", "main.tf:7: bad")
    assert terraform_command.done(answer.messages) == Counter(create=1)


def test_a_failure_without_json_is_told_in_terraforms_words() -> None:
    answer = terraform_command.Answer(1, "", "╷\n│ Error: no backend\n╵\n")
    assert answer.complaints == ("Error: no backend",)


def test_test_runs_are_counted() -> None:
    text = lines_of(
        {"type": "test_summary", "test_summary": {"passed": 2, "failed": 1, "errored": 0}},
        {"type": "test_summary", "test_summary": {"passed": 3, "skipped": 1}},
    )
    answer = terraform_command.Answer(0, text, "")
    assert terraform_command.tests(answer.messages) == Counter(passed=5, failed=1, skipped=1)


def test_findings_of_tflint_are_one_line_each() -> None:
    document = {
        "issues": [
            {
                "range": {"filename": "main.tf", "start": {"line": 3}},
                "rule": {"name": "aws_x"},
                "message": "is wrong",
            }
        ],
        "errors": [{"message": "no\nplugin"}],
    }
    assert list(static_checks.lint_findings(document)) == [
        "main.tf:3: aws_x: is wrong",
        "no plugin",
    ]


def test_an_answer_of_checkov_without_a_passed_check_is_no_success() -> None:
    nothing = {"passed": 0, "failed": 0, "skipped": 0, "parsing_errors": 0}
    assert static_checks.security_result([nothing]).status is Status.FAILED


def test_failed_checks_of_checkov_are_named() -> None:
    document = {
        "summary": {"passed": 5, "failed": 1, "skipped": 2, "parsing_errors": 0},
        "results": {
            "failed_checks": [
                {
                    "check_id": "CKV_1",
                    "resource": "aws_x.y",
                    "file_path": "/main.tf",
                    "file_line_range": [4, 9],
                    "check_name": "no",
                }
            ]
        },
    }
    result = static_checks.security_result([document])
    assert result.status is Status.FAILED
    assert result.detail == "5 passed, 1 failed, 2 skipped, 0 parsing errors"
    assert result.notes == ("CKV_1 aws_x.y (/main.tf:4): no",)


def test_every_exception_for_the_whole_tree_has_its_reason_above_it() -> None:
    lines = static_checks.CHECKOV_CONFIGURATION.read_text().splitlines()
    excepted = yaml.safe_load("\n".join(lines)).get("skip-check", [])
    for check in excepted:
        (index,) = [number for number, line in enumerate(lines) if line.strip() == f"- {check}"]
        assert lines[index - 1].strip().startswith("# "), check


def test_every_exception_beside_a_resource_has_its_reason() -> None:
    for file in TERRAFORM.rglob("*.tf"):
        for line in file.read_text().splitlines():
            if "checkov:skip=" in line:
                _, _, reason = line.partition("checkov:skip=")[2].partition(":")
                assert len(reason.split()) >= 3, f"{file}: {line}"


@pytest.mark.parametrize("limit", moto_limits.read().limits, ids=lambda each: each.resources[0])
def test_each_limit_of_moto_concerns_resources_that_exist(limit: moto_limits.Limit) -> None:
    assert set(limit.resources) <= set(moto_limits.declared(TERRAFORM / limit.module))


def test_each_correction_of_moto_is_listed_with_its_reason() -> None:
    listed = [each.name for each in moto_limits.read().server]
    assert listed == list(moto_server.CORRECTIONS)


MODULE = """\
resource "aws_x" "one" {
  for_each = local.ones

  name = each.key
}

resource "aws_x" "two" {
  name = "two"

  lifecycle {
    ignore_changes = [parts[0].count, size] # why [not]
  }
}
"""


def limit(**fields: Any) -> moto_limits.Limit:
    told = {"module": "modules/a", "effect": "left out", "moto": "answers without the attribute"}
    return moto_limits.Limit.model_validate(told | fields)


def test_what_is_left_out_or_overlooked_is_overridden_beside_the_module(tmp_path: Path) -> None:
    folder = tmp_path / "modules" / "a"
    folder.mkdir(parents=True)
    (folder / "main.tf").write_text(MODULE)
    limits = (
        limit(resources=["aws_x.one"], outputs=["names"]),
        limit(resources=["aws_x.two"], effect="overlooked", attributes=["size", "colour"]),
    )
    moto_limits.write_overrides(tmp_path, limits)
    assert (folder / moto_limits.OVERRIDE_FILE).read_text() == (
        'resource "aws_x" "one" {\n  for_each = {}\n}\n'
        'output "names" {\n  value = null\n}\n'
        'resource "aws_x" "two" {\n  lifecycle {\n'
        "    ignore_changes = [parts[0].count, size, colour]\n  }\n}\n"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"resources": ["aws_x.y"], "moto": "no"},
        {"resources": ["y"]},
        {"resources": []},
        {"resources": ["aws_x.y"], "attributes": ["size"]},
        {"resources": ["aws_x.y"], "effect": "overlooked"},
    ],
)
def test_an_incomplete_limit_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        limit(**wrong)


POLICY = json.dumps(
    {
        "Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": ["s3:DeleteObject", "s3:PutObject"]},
            {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:DeleteObjectVersion"},
            {"Effect": "Deny", "Principal": {"AWS": "arn"}, "Action": "s3:GetObject"},
            {"Effect": "Allow", "Principal": "*", "Action": "s3:ListBucket"},
        ]
    }
)


def test_only_what_is_denied_to_everybody_counts_as_denied() -> None:
    assert guardrails.denied(POLICY) == {
        "s3:DeleteObject",
        "s3:PutObject",
        "s3:DeleteObjectVersion",
    }


@pytest.mark.parametrize("value", ["false", False])
def test_tls_is_demanded_by_a_denial(value: object) -> None:
    statement = {"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": value}}}
    assert not guardrails.demands_tls(POLICY)
    assert guardrails.demands_tls(json.dumps({"Statement": statement}))


def test_a_secret_is_looked_for_by_its_telling_parts() -> None:
    assert guardrails.secret_parts("plain") == ("plain",)
    assert guardrails.secret_parts('"text"') == ('"text"',)
    assert guardrails.secret_parts('{"username": "mlflow", "password": "p"}') == ("p",)


def test_resources_of_nested_modules_are_found() -> None:
    inner = {"resources": [{"mode": "managed", "address": "b", "type": "t", "values": {}}]}
    data = {"mode": "data", "address": "d", "type": "t", "values": {}}
    document = {"values": {"root_module": {"resources": [data], "child_modules": [inner]}}}
    assert [each.address for each in guardrails.resources(document)] == ["b"]
    assert guardrails.resources({}) == ()


def test_a_guardrail_that_found_nothing_to_inspect_is_broken() -> None:
    made_there = guardrails.Applied(aws=None, made=(), state=b"")  # type: ignore[arg-type]
    result = guardrails.inspect(made_there, [guardrails.everything_is_tagged])
    assert result.status is Status.FAILED
    assert "nothing to inspect" in result.notes[0]


def test_a_resource_without_the_mandatory_tags_is_found() -> None:
    values = {"tags_all": {"owner": "o", "environment": "dev"}}
    made = guardrails.Made("aws_x.y", "aws_x", values)
    made_there = guardrails.Applied(aws=None, made=(made,), state=b"")  # type: ignore[arg-type]
    result = guardrails.inspect(made_there, [guardrails.everything_is_tagged])
    assert result.notes[0].endswith("aws_x.y: lacks the tags cost_centre")
