"""The frame of every verb: one document, errors with remedies, exit codes."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import click
import pytest
from command_line import Called, one_line
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from interlock.cli.app import DENIED, FAILURE, OK
from interlock.cli.verb import Result, Terminal, plain, verb
from interlock.errors import (
    AccessDenied,
    DeploymentRefused,
    InterlockError,
    ProductError,
    StoreUnavailable,
)

DENIAL = AccessDenied(
    principal="ada",
    role="viewer",
    action="model:train",
    resource="credit_risk",
    environment="prod",
    policies=("four-eyes",),
    reason="nobody decides on their own version",
    remedy="ask somebody else",
)

Try = Callable[..., Called]


@pytest.fixture
def attempt(capsys: pytest.CaptureFixture[str]) -> Try:
    """Makes a function a verb and calls it."""

    def call(function: Callable[[Terminal], Result], *words: str) -> Called:
        command = verb("attempt")(function)
        code = command.main(list(words), standalone_mode=False)
        captured = capsys.readouterr()
        return Called(code, captured.out, captured.err)

    return call


def raising(error: BaseException) -> Callable[[Terminal], Result]:
    def function(_terminal: Terminal) -> Result:
        raise error

    return function


def test_result_is_shown_to_a_person_or_as_one_document(attempt: Try) -> None:
    result = Result({"rows": 3}, view=[Text("three rows")], notes=["by the way"])
    shown = attempt(lambda _: result)
    assert (shown.code, shown.out, shown.err) == (OK, "three rows\n", "by the way\n")
    as_json = attempt(lambda _: result, "--json")
    assert (as_json.code, as_json.document) == (OK, {"rows": 3})
    assert as_json.err == "by the way\n"


def test_result_names_its_exit_code(attempt: Try) -> None:
    assert attempt(lambda _: Result({}, code=FAILURE)).code == FAILURE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreUnavailable("s3 does not answer", remedy="start it"), FAILURE),
        (ProductError("is wrong", path=Path("a.yaml"), line=3, remedy="correct it"), FAILURE),
        (DENIAL, DENIED),
        (DeploymentRefused(model="M@champion", reasons=["a", "b"], remedy="approve it"), DENIED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_error_says_what_happened_and_what_to_do(
    attempt: Try, error: InterlockError, code: int
) -> None:
    shown = attempt(raising(error))
    assert (shown.code, shown.out) == (code, "")
    assert one_line(shown.err).endswith(f"What to do: {error.remedy}.")
    assert "Traceback" not in shown.err
    as_json = attempt(raising(error), "--json")
    assert as_json.code == code
    found = as_json.document["error"]
    assert found["type"] == type(error).__name__
    assert (found["message"], found["remedy"]) == (error.message, error.remedy)
    assert ("denied" in as_json.document) == isinstance(error, AccessDenied)


def test_denial_says_who_what_where_and_which_policy(attempt: Try) -> None:
    assert attempt(raising(DENIAL), "--json").document["denied"] == {
        "principal": "ada",
        "role": "viewer",
        "action": "model:train",
        "resource": "credit_risk",
        "environment": "prod",
        "policy": "four-eyes",
        "reason": "nobody decides on their own version",
    }
    shown = one_line(attempt(raising(DENIAL)).err)
    assert shown.startswith("Denied: ada (viewer) may not model:train on credit_risk in prod")


def test_refused_deployment_lists_every_reason(attempt: Try) -> None:
    error = DeploymentRefused(model="M@champion", reasons=["first", "second"], remedy="see")
    assert attempt(raising(error), "--json").document["error"]["reasons"] == ["first", "second"]
    assert "  - first\n  - second\n" in attempt(raising(error)).err


def test_notes_of_an_error_are_shown(attempt: Try) -> None:
    error = InterlockError("it failed", remedy="look")
    error.add_note("recorded in /spool/1.json")
    assert "  recorded in /spool/1.json\n" in attempt(raising(error)).err


def test_traceback_is_shown_when_asked_for(attempt: Try) -> None:
    assert "Traceback" in attempt(raising(InterlockError("x", remedy="y")), "--debug").err


def test_result_with_an_error_shows_both(attempt: Try) -> None:
    result = Result({"seen": 1}, view=[Text("seen")], error=DENIAL)
    shown = attempt(lambda _: result)
    assert (shown.code, shown.out) == (DENIED, "seen\n")
    assert "Denied:" in shown.err
    assert attempt(lambda _: result, "--json").document == {"seen": 1}


def test_what_nobody_foresaw_is_an_error_too(attempt: Try) -> None:
    shown = attempt(raising(TypeError("no such thing")))
    assert shown.code == FAILURE
    assert "unexpected TypeError: no such thing" in one_line(shown.err)
    assert "--debug" in shown.err
    as_json = attempt(raising(TypeError("no such thing")), "--json")
    assert as_json.document["error"]["message"] == "unexpected TypeError: no such thing"
    assert "TypeError" in attempt(raising(TypeError("no such thing")), "--debug").err


def test_interrupted_command_says_so(attempt: Try) -> None:
    shown = attempt(raising(KeyboardInterrupt()))
    assert (shown.code, shown.out) == (FAILURE, "")
    assert "the command was interrupted" in shown.err
    assert attempt(raising(KeyboardInterrupt()), "--json").document["error"]["remedy"]


@pytest.mark.parametrize("error", [click.UsageError("x"), click.Abort(), BrokenPipeError()])
def test_what_belongs_to_the_process_is_passed_on(attempt: Try, error: Exception) -> None:
    with pytest.raises(type(error)):
        attempt(raising(error))


def test_what_libraries_print_is_kept_out_of_the_document(attempt: Try) -> None:
    def chatty(_terminal: Terminal) -> Result:
        print("View run at ...")
        return Result({"a": 1})

    called = attempt(chatty, "--json")
    assert called.document == {"a": 1}
    assert called.err == "View run at ...\n"


def test_warnings_of_ours_and_errors_of_others_are_shown(attempt: Try) -> None:
    def logging_verb(_terminal: Terminal) -> Result:
        for name in ("interlock.actions.authority", "somebody.else"):
            logger = logging.getLogger(name)
            logger.info("%s informs", name)
            logger.warning("%s warns", name)
            logger.error("%s fails", name)
        return Result({})

    assert attempt(logging_verb).err.splitlines() == [
        "Warning: interlock.actions.authority warns",
        "Error: interlock.actions.authority fails",
        "Error: somebody.else fails",
    ]


def test_command_to_copy_is_never_wrapped(attempt: Try) -> None:
    text = "interlock " + "x" * 200
    assert attempt(lambda _: Result({}, view=[Text(text, no_wrap=True)])).out == f"{text}\n"


class Colour(StrEnum):
    RED = "red"


def test_plain_values() -> None:
    value = {
        Colour.RED: (1, float("nan"), float("inf"), 0.5),
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "where": Path("a") / "b",
        "who": frozenset({"ada"}),
        "colour": Colour.RED,
        "nothing": None,
    }
    assert plain(value) == {
        "red": [1, None, None, 0.5],
        "when": "2026-01-02T00:00:00+00:00",
        "where": "a/b",
        "who": ["ada"],
        "colour": "red",
        "nothing": None,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@given(JSON)
def test_plain_values_are_always_json(value: object) -> None:
    json.dumps(plain(value), allow_nan=False)


def test_terminal_shows_no_colour_where_nobody_looks(attempt: Try) -> None:
    assert "\x1b" not in attempt(raising(DENIAL)).err
