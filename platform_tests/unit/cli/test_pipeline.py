"""Running a product's pipeline in this process, whatever comes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from command_line import Called, call
from product_fixtures import World, tiny_product, write_defs

from interlock import definitions
from interlock.cli import pipeline
from interlock.cli.app import DENIED, FAILURE, OK
from interlock.cli.progress import PREPARE
from interlock.cli.run_document import PipelineRun
from interlock.errors import AccessDenied, ConfigurationError, EvidenceError, InterlockError
from interlock.governance.principal import IdentitySource, Role
from interlock.local.home import Home
from interlock.settings import Settings


class Heard:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, str]] = []
        self.messages: list[tuple[str, str]] = []

    def began(self, step: str) -> None:
        self.steps.append((step, "began"))

    def said(self, step: str, message: str) -> None:
        self.messages.append((step, message))

    def ended(self, step: str, *, well: bool) -> None:
        self.steps.append((step, "well" if well else "badly"))


Run = Callable[..., tuple[PipelineRun, Heard]]


@pytest.fixture
def run(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the tiny product in the world."""
    home = Home(tmp_path / "home")
    home.prepare()
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    settings = Settings.from_environment({"INTERLOCK_HOME": str(home.path)})

    def go(*, yaml: dict[str, Any] | None = None, **workspace: Any) -> tuple[PipelineRun, Heard]:
        changes = yaml or {}
        write_defs(tmp_path / "defs", **changes)
        monkeypatch.setattr(
            pipeline, "open_workspace", lambda *_args, **_options: world.workspace(**workspace)
        )
        monkeypatch.setattr(
            pipeline,
            "build_defs",
            lambda **options: definitions.build_defs(folder=tmp_path / "defs", **options),
        )
        heard = Heard()
        heard.began(PREPARE)
        return pipeline.run_pipeline(settings, tiny_product(**changes), heard), heard

    return go


def test_run_that_ends_well(run: Run, world: World) -> None:
    done, heard = run()
    assert done.error is None
    assert done.product == "tiny"
    assert heard.steps == [
        step
        for name in (PREPARE, "raw_data", "validated_data", "trained_model", "registered_version")
        for step in ((name, "began"), (name, "well"))
    ]
    assert list(done.results) == [name for name, what in heard.steps if what == "began"][1:]
    assert done.seconds.keys() == done.results.keys()
    assert ("trained_model", "logistic_regression: search 2/2") in heard.messages
    assert done.audit.verified
    assert len(done.audit.events) == 8
    assert done.promotion is not None
    assert done.promotion.verified
    promoted = [(e.record.action, e.record.outcome.value) for e in done.promotion.events]
    assert promoted == [("model:promote", "started"), ("model:promote", "succeeded")]
    assert done.audit.stream.name == f"tiny-{done.run_id}"


def test_denied_run_is_returned_with_its_trail(run: Run, world: World) -> None:
    before = world.state()
    done, heard = run(role=Role.AUDITOR)
    assert isinstance(done.error, AccessDenied)
    assert done.error.action == "data:ingest"
    assert heard.steps[2:] == [("raw_data", "began"), ("raw_data", "badly")]
    assert dict(done.results) == {}
    assert [event.record.outcome.value for event in done.audit.events] == ["denied"]
    assert done.audit.verified
    assert world.state() == before


def test_who_signed_in_launches_what_they_own_alone(run: Run, world: World) -> None:
    before = world.state()
    done, heard = run(source=IdentitySource.LOCAL, teams=frozenset({"others"}))
    assert isinstance(done.error, AccessDenied)
    assert "only a product's owners launch it: team:tests" in done.error.reason
    assert heard.steps[2:] == [("raw_data", "began"), ("raw_data", "badly")]
    (event,) = done.audit.events
    assert (event.record.action, event.record.outcome.value) == ("data:ingest", "denied")
    assert "only a product's owners" in event.record.reason
    assert world.state() == before
    done, _ = run(source=IdentitySource.LOCAL, teams=frozenset({"tests"}))
    assert done.error is None


def test_blocking_check_is_named_with_what_it_found(run: Run) -> None:
    contract = {**tiny_product().contract.model_dump(mode="json"), "min_rows": 5_000}
    done, heard = run(yaml={"contract": contract})
    assert isinstance(done.error, EvidenceError)
    assert "blocking checks of validated_data failed: " in done.error.message
    assert "5000" in done.error.message.replace(",", "")
    assert "defs/tiny/defs.yaml" in done.error.remedy
    assert list(done.results) == ["raw_data", "validated_data"]
    assert heard.steps[-1] == ("validated_data", "well")
    assert done.audit.verified


def test_error_of_ours_is_returned_as_it_was(run: Run, world: World) -> None:
    world.csv.unlink()
    done, _ = run()
    assert type(done.error).__name__ == "SourceError"
    assert done.error is not None
    assert "tiny.csv" in done.error.message
    assert [event.record.outcome.value for event in done.audit.events] == ["started", "failed"]


def failing(error: BaseException) -> Callable[..., None]:
    def fail(*_args: object, **_options: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", [KeyboardInterrupt(), dg.DagsterExecutionInterruptedError()])
def test_interrupted_run_says_where(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr("interlock.actions.validate.fetch_verified", failing(error))
    done, heard = run()
    assert done.error is not None
    assert done.error.message == "the run was interrupted in validated_data"
    assert heard.steps[-1] == ("validated_data", "badly")
    assert done.audit.events[-1].record.outcome == "failed"


def test_mistake_in_a_step_is_unexpected(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake = TypeError("no such thing")
    monkeypatch.setattr("interlock.actions.validate.fetch_verified", failing(mistake))
    done, _ = run()
    assert type(done.error) is InterlockError
    assert done.error.message == "unexpected TypeError: no such thing"
    assert done.error.__cause__ is mistake
    assert "--debug" in done.error.remedy


def test_mistake_after_a_step_is_unexpected_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = "interlock.components.model_product.presentation.raw_data"
    monkeypatch.setattr(shown, failing(ValueError("cannot be shown")))
    done, heard = run()
    assert done.error is not None
    assert "cannot be shown (in tiny__raw_data)" in done.error.message
    assert "Traceback" not in done.error.message
    assert heard.steps[-1] == ("raw_data", "well")
    assert list(done.results) == ["raw_data"]


def test_workspace_that_cannot_be_opened_is_the_error(
    run: Run, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    def refuse(**_options: Any) -> Any:
        raise ConfigurationError("ENVIRONMENT is unset", remedy="set it")

    monkeypatch.setattr(world, "workspace", refuse)
    done, _ = run()
    assert isinstance(done.error, ConfigurationError)
    assert done.audit.error is done.error or isinstance(done.audit.error, ConfigurationError)
    assert not done.audit.verified


def test_without_dagsters_folder_nothing_runs(
    run: Run, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    with pytest.raises(ConfigurationError, match="DAGSTER_HOME is unset"):
        run()
    assert world.records() == []


@pytest.fixture
def typed(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Called]:
    """`interlock run tiny`, as it is typed, in the world."""

    def go(*words: str, **workspace: Any) -> Called:
        from interlock.cli import run as verb

        original = pipeline.run_pipeline

        def in_world(_settings: Settings, _product: object, watcher: Any) -> PipelineRun:
            monkeypatch.setattr(pipeline, "run_pipeline", original)
            return run(**workspace)[0]

        monkeypatch.setattr(pipeline, "run_pipeline", in_world)
        monkeypatch.setattr(verb, "named_product", lambda _name: tiny_product())
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///unused")
        return call(capsys, "run", "tiny", *words)

    return go


def test_verb_shows_the_run_and_exits_0(typed: Callable[..., Called]) -> None:
    called = typed()
    assert called.code == OK
    assert "TinyModel version 1" in called.out
    assert "deploy-check TinyModel" in called.out


def test_verb_of_a_denied_run_exits_3(typed: Callable[..., Called]) -> None:
    called = typed("--json", role=Role.VIEWER)
    assert called.code == DENIED
    assert called.document["denied"]["role"] == "viewer"
    assert "Denied: ada (viewer)" in called.err


def test_verb_of_a_failed_run_exits_1(typed: Callable[..., Called], world: World) -> None:
    world.csv.write_text("")
    called = typed("--json")
    assert called.code == FAILURE
    assert called.document["error"]["type"] == "SourceError"
    assert called.document["audit"]["verified"] is True
