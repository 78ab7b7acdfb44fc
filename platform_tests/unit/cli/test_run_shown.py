"""What a run came to, as a document and as tables: both say the same."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from command_line import values, widest
from product_fixtures import Made, World, run_all, table_text, tiny_product
from rich.console import Console

from interlock.cli.next_steps import after_run
from interlock.cli.run_document import PipelineRun, run_document
from interlock.cli.run_view import run_view
from interlock.cli.trail import RunAudit, read_audit, read_moves
from interlock.cli.verb import plain
from interlock.errors import AccessDenied, StoreUnavailable
from interlock.governance.audit import Stream
from interlock.governance.principal import Role

DOCUMENT_KEYS = {
    *("product", "run_id", "assets", "quarantine", "candidates", "metrics", "intervals"),
    *("gates", "model", "audit", "promotion", "seconds"),
}


def pipeline_run(world: World, made: Made, **changes: Any) -> PipelineRun:
    (stream,) = [each for each in world.audit.streams() if each.name == "tiny-run-1"]
    run = PipelineRun(
        product="tiny",
        run_id="run-1",
        results=made.steps,
        error=None,
        seconds={**dict.fromkeys(made.steps, 1.25), "total": 7.0},
        audit=read_audit(world.audit, stream),
        promotion=read_moves(world.audit, "TinyModel", "run-1"),
    )
    return replace(run, **changes)


def shown(document: dict[str, Any], *, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, no_color=True)
    for part in [*run_view(document), *after_run(document, {})]:
        console.print(part, soft_wrap=bool(getattr(part, "no_wrap", False)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.fixture
def document(made: tuple[World, Made]) -> dict[str, Any]:
    return run_document(pipeline_run(*made))


def test_document_holds_everything_that_a_run_made(
    document: dict[str, Any], made: tuple[World, Made]
) -> None:
    world, steps = made
    assert set(document) == DOCUMENT_KEYS
    json.dumps(plain(document), allow_nan=False)
    assert values(document["assets"], "asset") == [f"tiny/{name}" for name in steps.steps]
    assert values(document["assets"], "rows")[:2] == [240, 240]
    assert document["assets"][0]["hash"] == steps.raw.data_hash
    assert document["metrics"] == dict(steps.trained.metrics)
    assert document["intervals"]["roc_auc"].keys() == {"low", "high"}
    assert values(document["gates"], "passed") == [True, True, True]
    assert document["model"]["aliases"] == ["challenger", "champion"]
    assert document["model"]["tags"] == dict(steps.registration.version.tags)
    assert document["audit"]["verified"] is True
    assert [each["outcome"] for each in document["audit"]["events"]] == [
        *("started", "succeeded") * 4,
    ]
    promotion = document["promotion"]
    assert promotion["verified"] is True
    assert promotion["stream"] == "champion.TinyModel"
    assert [(each["action"], each["outcome"]) for each in promotion["events"]] == world.moves()
    assert world.moves() == [("model:promote", "started"), ("model:promote", "succeeded")]
    assert len(world.records()) == len(document["audit"]["events"]) + len(promotion["events"])
    assert document["seconds"]["total"] == 7.0


@pytest.mark.parametrize("width", [80, 100, 120])
def test_tables_say_the_same_and_fit(document: dict[str, Any], width: int) -> None:
    text = shown(document, width=width)
    tables, _, commands = text.partition("\nNext")
    assert widest(tables) <= width
    for part in ("Assets", "Quarantine", "Candidates", "Holdout", "Gates", "Audit trail", "Time"):
        assert f"\n{part}" in tables
    assert "tiny/raw_data" in tables
    assert document["assets"][0]["hash"][:12] in tables
    assert "TinyModel version 1" in tables
    for name in document["model"]["tags"]:
        assert name in tables
    assert "Verified: 8 events" in tables
    assert "\nPromotion  champion.TinyModel" in tables
    assert "Verified: 2 events" in tables
    assert "7.0 s in total: 5.0 s in steps, 2.0 s around them" in tables
    assert "deploy-check TinyModel\n" in commands


def test_promotion_by_another_run_is_not_shown_as_its_own(made: tuple[World, Made]) -> None:
    assert read_moves(made[0].audit, "TinyModel", "run-2") is None
    assert read_moves(made[0].audit, "OtherModel", "run-1") is None


def test_quarantine_names_the_rules_that_most_rows_broke(world: World) -> None:
    lines = ["17,50.0,north,good"] * 3 + ["40,50.0,east,bad"] * 2 + ["40,50.0,north,good"]
    world.csv.write_text(table_text() + "\n".join(lines) + "\n")
    made = run_all(world, tiny_product(), upto="validated_data")
    document = run_document(pipeline_run(world, made))
    assert document["quarantine"]["rows"] == 5
    assert values(document["quarantine"]["reasons"], "rows") == [3, 2]
    assert document["candidates"] == []
    assert document["model"] is None
    text = shown(document)
    assert "Quarantine  5 rows, 2.03%" in text
    assert "Candidates" not in text
    assert "doctor" in text


def test_failed_gate_is_named_and_no_champion_suggested(world: World) -> None:
    product = tiny_product(gates=[{"metric": "roc_auc", "min": 0.999}])
    document = run_document(pipeline_run(world, run_all(world, product)))
    assert document["gates"][0]["passed"] is False
    assert document["model"]["aliases"] == []
    text = " ".join(shown(document).split())
    assert "failed: roc_auc" in text
    assert "no alias" in text


def test_denied_run_is_shown_with_its_audit_event(world: World) -> None:
    with pytest.raises(AccessDenied) as denied:
        run_all(world, tiny_product(), workspace=world.workspace(role=Role.VIEWER))
    run = pipeline_run(world, Made({}), error=denied.value)
    document = run_document(run)
    assert set(document) == DOCUMENT_KEYS | {"error", "denied"}
    assert document["denied"]["principal"] == "ada"
    assert document["denied"]["action"] == "data:ingest"
    assert document["denied"]["policy"] == "default deny"
    assert [each["outcome"] for each in document["audit"]["events"]] == ["denied"]
    text = shown(document)
    assert "denied" in text
    assert "policy explain data:ingest" in text


def test_trail_that_cannot_be_read_is_not_verified(made: tuple[World, Made]) -> None:
    world, steps = made
    audit = RunAudit(
        Stream("tiny-run-1", world.clock.now.date()),
        error=StoreUnavailable("s3 does not answer", remedy="start it"),
    )
    document = run_document(pipeline_run(world, steps, audit=audit))
    assert document["audit"]["verified"] is False
    assert document["audit"]["error"]["message"] == "s3 does not answer"
    assert "could not be read: s3 does not answer" in shown(document)


def test_tampered_trail_is_not_verified(made: tuple[World, Made]) -> None:
    world, steps = made
    bucket = world.store.buckets[world.audit_bucket]
    key = steps.trained.event_key
    version = bucket.versions[key][0]
    bucket.versions[key][0] = replace(version, data=version.data + b" ")
    document = run_document(pipeline_run(world, steps))
    assert document["audit"]["verified"] is False
    assert document["audit"]["findings"]
    assert "NOT verified" in shown(document)


def test_running_platform_is_named_instead_of_suggested(document: dict[str, Any]) -> None:
    console = Console(file=io.StringIO(), width=80)
    for part in after_run(document, {"Dagster": "http://127.0.0.1:3000"}):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "http://127.0.0.1:3000" in text
    assert "interlock up" not in text


def next_of(aliases: list[str], state: str, *, by_word: bool = True) -> str:
    """What is said to be next after a run that registered version 2."""
    tags = {"approval_state": state}
    model = {"name": "TinyModel", "version": "2", "aliases": aliases, "tags": tags}
    document = {"product": "tiny", "model": model, "audit": {"events": []}}
    console = Console(file=io.StringIO(), width=200)
    for part in after_run(document, {}, by_word=by_word):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_version_that_waits_is_followed_by_its_approval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENVIRONMENT", "staging")
    text = next_of(["challenger"], "pending")
    assert "ENVIRONMENT=staging" in text
    assert "approvals TinyModel\n" in text
    assert "approve TinyModel 2 --reason WHY\n" in text
    assert "deploy-check" not in text
    challenger = next_of(["challenger"], "not_required")
    assert "deploy-check TinyModel@challenger\n" in challenger
    assert "promote TinyModel 2\n" in challenger
    assert "The champion stays" not in challenger
    blocked = next_of([], "rejected_by_gates")
    assert "approve" not in blocked
    assert "TinyModel" not in blocked


def test_denial_to_see_is_one_where_people_sign_in_too() -> None:
    assert "RUN_ROLE=auditor" in next_of(["champion"], "not_required")
    signed_in = next_of(["champion"], "not_required", by_word=False)
    assert "RUN_ROLE" not in signed_in
    assert "sign-in NAME\n" in signed_in
