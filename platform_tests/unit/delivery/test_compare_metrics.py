"""The comparison of metrics: what it says, and that it believes nothing of the files."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sample_metrics
from compare_metrics import UnusableMetrics, comparison, main, read_metrics

from interlock.settings import REPOSITORY

RUN: dict[str, Any] = {
    "product": "credit_risk",
    "metrics": {"roc_auc": 0.78, "brier": 0.17, "threshold": 0.4, "ks": 0.4},
    "intervals": {
        "roc_auc": {"low": 0.75, "high": 0.81},
        "brier": {"low": 0.16, "high": 0.18},
        "ks": {"low": 0.3, "high": 0.5},
        "threshold": {"low": 0.3, "high": 0.5},
    },
    "gates": [
        {
            "metric": "roc_auc",
            "value": 0.78,
            "limit": 0.7,
            "direction": "min",
            "passed": True,
            "reason": "roc_auc 0.78 reaches the 0.7 minimum",
        }
    ],
    "model": {
        "tags": {
            "data_hash": "d" * 64,
            "model_fingerprint": "f" * 64,
            "deployment_blocked": "false",
        }
    },
    "audit": {"verified": True},
    "seconds": {"total": 20.0},
}


def document(commit: str = "a" * 40, **metrics: Any) -> dict[str, Any]:
    made = sample_metrics.metrics_document(copy.deepcopy(RUN), commit)
    made["metrics"] |= metrics
    return made


def row(text: str, metric: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"| {metric} |"))


def compared(candidate: dict[str, Any], champion: dict[str, Any] | None) -> str:
    other = None if champion is None else read_metrics(json.dumps(champion))
    return comparison(read_metrics(json.dumps(candidate)), other)


def test_difference_within_the_interval_is_no_difference() -> None:
    text = compared(document(), document("b" * 40, roc_auc=0.76))
    assert row(text, "roc_auc").endswith("| 0.7600 | +0.0200 | within the interval |")
    assert "all gates passed" in text
    assert "`aaaaaaaaaaaa` against main's champion, `bbbbbbbbbbbb`" in text


@pytest.mark.parametrize(
    ("metric", "champion", "verdict"),
    [
        ("roc_auc", 0.7, "better"),
        ("roc_auc", 0.9, "**worse**"),
        ("brier", 0.1, "**worse**"),  # where less is better
        ("brier", 0.2, "better"),
        ("threshold", 0.9, ""),  # neither is better
        ("ks", 0.4, "same"),
    ],
)
def test_difference_beyond_the_interval_is_judged(
    metric: str, champion: float, verdict: str
) -> None:
    other = document()
    other["metrics"][metric] = champion
    text = compared(document(), other)
    assert row(text, metric).endswith(f"| {verdict} |")


def test_without_a_champion_the_metrics_stand_alone() -> None:
    text = compared(document(), None)
    assert "no metrics of main to compare with yet" in text
    assert row(text, "roc_auc") == "| roc_auc | 0.7800 | 0.7500 to 0.8100 | | | |"


def test_other_data_is_said() -> None:
    champion = document() | {"data_hash": "e" * 64}
    assert "of other rows" in compared(document(), champion)
    assert "of other rows" not in compared(document(), document())


def test_failed_gate_is_in_the_heading() -> None:
    made = document()
    made["gates"][0]["passed"] = False
    text = compared(made, None)
    assert "1 of 1 gates failed" in text
    assert "**failed**" in row(text.partition("| gate |")[2], "roc_auc")


def test_unknown_gates_of_the_document_do_not_reach_the_text() -> None:
    made = document()
    made["gates"][0]["reason"] = "@everybody [look](http://evil)"
    assert "evil" not in compared(made, None)


ATTACKS: list[tuple[str, Any]] = [
    ("product", "`](http://evil) @team"),
    ("product", "x" * 41),
    ("commit", "main"),
    ("commit", "a" * 39 + "|"),
    ("data_hash", "<script>"),
    ("metrics", {"roc_auc": "0.9"}),
    ("metrics", {"roc_auc": True}),
    ("metrics", {"roc_auc": float("nan")}),
    ("metrics", {"a | b": 0.5}),
    ("metrics", {"@team": 0.5}),
    ("metrics", {f"m{number}": 0.5 for number in range(41)}),
    ("metrics", []),
    ("intervals", {"roc_auc": {"low": None, "high": 1}}),
    ("intervals", {"x\n## y": {"low": 0, "high": 1}}),
    ("gates", [{"metric": "x", "value": 1, "limit": 1, "passed": "true"}]),
    ("gates", [{"metric": "[x](y)", "value": 1, "limit": 1, "passed": True}]),
    ("gates", "none"),
    ("seconds", "twenty"),
    ("schema", "interlock.metrics/v2"),
]


@pytest.mark.parametrize(("key", "value"), ATTACKS)
def test_file_of_another_form_is_refused(key: str, value: Any) -> None:
    with pytest.raises(UnusableMetrics):
        read_metrics(json.dumps(document() | {key: value}))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '{"schema": 1}', "[" * 100_000, " " * 70_000]
)
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(UnusableMetrics):
        read_metrics(text)


def test_text_holds_nothing_but_words_numbers_and_tables() -> None:
    text = compared(document(), document("b" * 40, roc_auc=0.7))
    assert not re.search(r"https?:|@|<(?!!-- interlock-metrics -->)", text)


def test_unusable_champion_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    candidate, champion = tmp_path / "metrics.json", tmp_path / "champion.json"
    candidate.write_text(json.dumps(document()))
    champion.write_text("[]")
    out = tmp_path / "out.md"
    words = [f"--candidate={candidate}", f"--champion={champion}", f"--out={out}"]
    assert main(words) == 0
    assert "is left out" in capsys.readouterr().err
    assert "no metrics of main" in out.read_text()
    candidate.write_text("[]")
    assert main(words) == 1


def test_it_needs_nothing_but_python(tmp_path: Path) -> None:
    """It runs where a token may write; nothing is installed there."""
    candidate = tmp_path / "metrics.json"
    candidate.write_text(json.dumps(document()))
    program = REPOSITORY / "scripts" / "ci" / "compare_metrics.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(program), f"--candidate={candidate}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "roc_auc" in done.stdout


def test_build_with_all_gates_passed_may_pass() -> None:
    assert sample_metrics.reasons_against(document()) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gates": []}, "no gate was asked"),
        ({"deployment_blocked": "true"}, "is blocked"),
        ({"audit_verified": False}, "is not intact"),
        ({"gates": [{"metric": "m", "value": 0.1, "limit": 0.5, "passed": False}]}, "gate on m"),
        ({"gates": [{"metric": "m", "value": 0.1, "limit": 0.5, "passed": "yes"}]}, "gate on m"),
    ],
)
def test_anything_else_stops_the_build(change: dict[str, Any], reason: str) -> None:
    (found,) = sample_metrics.reasons_against(document() | change)
    assert reason in found


def test_run_that_registered_nothing_is_blocked() -> None:
    run = copy.deepcopy(RUN) | {"model": None, "gates": []}
    made = sample_metrics.metrics_document(run, "a" * 40)
    assert len(sample_metrics.reasons_against(made)) == 2
