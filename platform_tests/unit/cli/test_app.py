"""The table of verbs: what it knows, how fast it is there, and how it refuses."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from command_line import call

import interlock
from interlock.cli.app import FAILURE, OK, USAGE, Entry, LazyGroup, app, run

HEAVY = ("dagster", "mlflow", "numpy", "pandas", "polars", "boto3", "sklearn", "rich", "pydantic")


def verbs(group: LazyGroup = app, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, entry in group.entries.items():
        if isinstance(entry, Entry):
            yield (*prefix, name)
        else:
            yield from verbs(entry, (*prefix, name))


ALL = sorted(verbs())
each_verb = pytest.mark.parametrize("words", ALL, ids=" ".join)


def test_help_lists_every_verb_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from interlock.cli.app import run\n"
        "code = run(['--help'])\n"
        f"print([name for name in {HEAVY} if name in sys.modules], code)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert found.splitlines()[-1] == "[] 0"
    for words in ALL:
        assert f"  {words[0]} " in found


@each_verb
def test_every_verb_takes_help_json_and_debug(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    called = call(capsys, *words, "--help")
    assert called.code == OK
    assert f"Usage: interlock {' '.join(words)}" in called.out
    assert "--json" in called.out
    assert "--debug" in called.out


@each_verb
def test_every_verb_stands_in_a_file_of_its_own(words: tuple[str, ...]) -> None:
    module = importlib.import_module(f"interlock.cli.{'_'.join(words).replace('-', '_')}")
    assert isinstance(module.command, click.Command)
    assert module.command.name == words[-1]


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    called = call(capsys, "--version")
    assert (called.code, called.out) == (OK, f"interlock, version {interlock.__version__}\n")


@pytest.mark.parametrize("words", [(), ("audit",)], ids=["nothing", "a group"])
def test_no_verb_shows_what_there_is_and_is_a_usage_error(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    called = call(capsys, *words)
    assert called.code == USAGE
    assert called.out == ""
    assert "Verbs:" in called.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("paint",), "No such command 'paint'"),
        (("run",), "Missing argument 'NAME'"),
        (("audit", "show"), "Missing argument 'STREAM'"),
        (("audit", "close", "x"), "Missing option '--reason'"),
        (("data", "generate", "--rows", "0", "--out", "x.csv"), "0 is not in the range"),
        (("up", "--s3-port", "70000"), "70000 is not in the range"),
        (("policy", "explain", "model:paint"), "'model:paint' is not one of"),
        (("policy", "explain", "--role", "boss"), "'boss' is not one of"),
        (("audit", "verify", "x", "--export", "."), "an export is verified as a whole"),
        (("demo", "credit_risk"), "unexpected extra argument"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_wrong(
    words: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    called = call(capsys, *words)
    assert (called.code, called.out) == (USAGE, "")
    assert says in called.err
    as_json = call(capsys, *words, "--json")
    assert as_json.code == USAGE
    assert says in as_json.document["error"]["message"]
    assert as_json.document["error"]["remedy"]


def test_an_answer_no_ends_the_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command("ask")
    def ask() -> None:
        raise click.Abort

    monkeypatch.setitem(app.entries, "ask", LazyGroup("ask", entries={}, about=""))
    monkeypatch.setattr(LazyGroup, "get_command", lambda *_: ask)
    called = call(capsys, "ask")
    assert (called.code, called.err) == (FAILURE, "Interrupted.\n")


def test_a_reader_that_has_gone_is_no_traceback() -> None:
    program = f"{sys.executable} -m interlock.cli policy check --json | head -c 1"
    found = subprocess.run(
        ["bash", "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert found.stdout == "{"
    assert "Traceback" not in found.stderr
    assert "Exception" not in found.stderr


def test_run_and_main_agree_on_the_exit_code() -> None:
    main = "from interlock.cli import main; main(['policy', 'check', '--json'])"
    found = subprocess.run(
        [sys.executable, "-c", main], capture_output=True, text=True, check=False
    )
    assert found.returncode == OK
    assert json.loads(found.stdout)["valid"] is True
    assert run(["policy", "check", "--json"]) == OK
