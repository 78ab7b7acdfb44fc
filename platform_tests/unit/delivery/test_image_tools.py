"""Building, pushing and copying images, and looking for vulnerabilities: what is asked of whom."""

from __future__ import annotations

import json
import os
import stat
from datetime import date
from pathlib import Path

import image_scan
import images
import pytest

RELEASE = "a" * 40
TODAY = date(2040, 1, 2)
DIGEST = "sha256:" + "1" * 64
OTHER = "sha256:" + "2" * 64
# A registry in a folder: a file per reference, which holds its digest.
DOCKER = """#!/usr/bin/env bash
printf '%s\\n' "$*" >>"$REGISTRY_FOLDER/calls"
file() { printf '%s/%s' "$REGISTRY_FOLDER" "$(printf '%s' "$1" | tr '/:@' '___')"; }
case "$1 $2 $3" in
  'buildx imagetools inspect')
    [ -f "$(file "$4")" ] || { echo 'ERROR: not found' >&2; exit 1; }
    printf '"%s"\\n' "$(cat "$(file "$4")")" ;;
  'buildx imagetools create')
    cp "$(file "${5%@*}:$RELEASE")" "$(file "${4#--tag=}")" ;;
  'buildx build '*)
    for each in "$@"; do
      case $each in --tag=*) printf '%s' "$DIGEST" >"$(file "${each#--tag=}")" ;; esac
    done ;;
esac
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("REGISTRY_FOLDER", str(tmp_path))
    monkeypatch.setenv("RELEASE", RELEASE)
    monkeypatch.setenv("DIGEST", DIGEST)
    return tmp_path


def calls(registry: Path, verb: str) -> list[str]:
    return [line for line in (registry / "calls").read_text().splitlines() if verb in line]


def test_pushed_images_carry_provenance_and_contents(registry: Path) -> None:
    assert images.main(["push", "--to=host/interlock-staging", f"--release={RELEASE}"]) == 0
    built = calls(registry, "buildx build")
    assert len(built) == len(images.IMAGES)
    for line in built:
        assert "--provenance=mode=max" in line
        assert "--sbom=true" in line
        assert f"org.opencontainers.image.revision={RELEASE}" in line


def test_push_that_was_cut_off_goes_on(registry: Path) -> None:
    for _ in range(2):
        assert images.main(["push", "--to=host/interlock-staging", f"--release={RELEASE}"]) == 0
    assert len(calls(registry, "buildx build")) == len(images.IMAGES)


def test_copy_keeps_the_digest(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["copy", "--from=here/a", "--to=there/b", f"--release={RELEASE}"]
    assert images.main(words) == 1  # nothing is there yet
    images.main(["push", "--to=here/a", f"--release={RELEASE}"])
    assert images.main(words) == 0
    assert images.digest_of(f"there/b/mlflow:{RELEASE}") == DIGEST
    (registry / f"there_b_mlflow_{RELEASE}").write_text(OTHER)
    assert images.main(words) == 1
    monkeypatch.delenv("DIGEST")


@pytest.mark.parametrize(
    "words",
    [
        ["push", "--to=host/x", "--release=main"],
        ["push", "--to=host/x", "--release=" + "a" * 39],
        ["push", "--to=host;id", f"--release={RELEASE}"],
        ["copy", "--from=host", "--to=--push", f"--release={RELEASE}"],
    ],
)
def test_words_of_another_form_are_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit):
        images.main(words)


def test_local_build_pushes_nothing() -> None:
    command = images.build_command("mlflow", "interlock/mlflow:x", commit=RELEASE, push=False)
    assert "--load" in command
    assert "--push" not in command


# --- vulnerabilities

AUDIT = {
    "dependencies": [
        {"name": "good", "version": "1", "vulns": []},
        {"name": "bad", "version": "2", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"]}]},
    ]
}


def accepted(name: str, until: date) -> image_scan.Accepted:
    return image_scan.Accepted(id=name, reason="never called", until=until)


def test_finding_stops_the_build() -> None:
    audit = image_scan.read_audit(AUDIT)
    assert audit.audited == 2
    assert image_scan.verdict(audit, [], TODAY) == ["bad 2 has PYSEC-1"]


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_exception_holds_until_its_day(name: str) -> None:
    audit = image_scan.read_audit(AUDIT)
    assert image_scan.verdict(audit, [accepted(name, TODAY)], TODAY) == []
    reasons = image_scan.verdict(audit, [accepted(name, date(2040, 1, 1))], TODAY)
    assert len(reasons) == 2
    assert "ended on 2040-01-01" in reasons[1]


def test_packages_that_nobody_knows_are_no_clean_packages() -> None:
    skipped = {"name": "mystery", "skip_reason": "not found on PyPI"}
    audit = image_scan.read_audit({"dependencies": [skipped]})
    (reason,) = image_scan.verdict(audit, [], TODAY)
    assert "1 of 1 packages could not be looked up (mystery)" in reason


def test_list_of_exceptions_is_readable_and_each_has_a_reason() -> None:
    for each in image_scan.read_exceptions(image_scan.EXCEPTIONS.read_text()):
        assert each.reason
        assert isinstance(each.until, date)
    text = '[[accepted]]\nid = "CVE-1"\nreason = "x"\nuntil = 2040-01-02\n'
    assert image_scan.read_exceptions(text) == (image_scan.Accepted("CVE-1", "x", TODAY),)


def test_without_a_scanner_it_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert image_scan.scan_images("x") == []
    assert "no trivy or grype" in capsys.readouterr().out


def test_scanner_on_path_judges_each_image(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trivy = tmp_path / "trivy"
    trivy.write_text('#!/bin/sh\ncase "$*" in *mlflow*) exit 1 ;; esac\n')
    trivy.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert image_scan.scan_images("x") == ["trivy refuses interlock/mlflow:x"]
    assert json.dumps(capsys.readouterr().out)
