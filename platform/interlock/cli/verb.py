"""The frame of every verb: ``--json`` and ``--debug``, errors, logs and exit codes.

A verb is a function that takes the ``Terminal`` first and returns a ``Result``, or raises one
of Interlock's errors. With ``--json`` exactly one document goes to standard output, errors
included; everything else goes to standard error. What tables look like is in ``view.py``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import click
from rich.console import Console, RenderableType
from rich.text import Text
from rich.traceback import Traceback

from interlock.cli.app import DENIED, FAILURE, OK
from interlock.errors import AccessDenied, DeploymentRefused, InterlockError

P = ParamSpec("P")


@dataclass(frozen=True)
class Terminal:
    """Where a verb shows what it does.

    Args:
        out: Standard output, for results.
        err: Standard error, for progress, warnings and errors.
        as_json: Whether standard output is one JSON document.
    """

    out: Console
    err: Console
    as_json: bool

    def say(self, line: str) -> None:
        """A line for the person who waits."""
        self.err.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Result:
    """What a verb found.

    Args:
        document: The same as ``view``, as JSON values; see ``plain``.
        view: What a person sees, from top to bottom.
        error: What went wrong, where there is something to show besides; decides the exit code.
        code: The exit code where no error decides it.
    """

    document: Mapping[str, Any]
    view: Sequence[RenderableType] = ()
    error: InterlockError | None = None
    code: int = OK
    notes: Sequence[str] = field(default=())


Verb = Callable[Concatenate[Terminal, P], Result]


def verb(name: str) -> Callable[[Verb[P]], click.Command]:
    """Make a function a verb of the command line; click's own decorators go below this one.

    Args:
        name: As it is typed.
    """

    def decorate(function: Verb[P]) -> click.Command:
        @functools.wraps(function)
        def call(*args: Any, as_json: bool, debug: bool, **values: Any) -> int:
            terminal = Terminal(
                out=Console(file=sys.stdout, highlight=False),
                err=Console(file=sys.stderr, highlight=False),
                as_json=as_json,
            )
            return _call(lambda: function(terminal, *args, **values), terminal, debug=debug)

        flags = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
        debug = click.option("--debug", is_flag=True, help="Show tracebacks.")
        return click.command(name)(flags(debug(call)))

    return decorate


def plain(value: Any) -> Any:
    """A value as JSON can hold it: no NaN, times in ISO 8601, paths and enums as text."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):  # and datetime
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value


def error_document(error: InterlockError) -> dict[str, Any]:
    """An error as part of a JSON document."""
    found: dict[str, Any] = {
        "type": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
    }
    document: dict[str, Any] = {"error": found}
    if isinstance(error, AccessDenied):
        document["denied"] = {
            "principal": error.principal,
            "role": error.role,
            "action": error.action,
            "resource": error.resource,
            "environment": error.environment,
            "policy": ", ".join(error.policies) or "default deny",
            "reason": error.reason,
        }
    elif isinstance(error, DeploymentRefused):
        found["reasons"] = list(error.reasons)
    return document


def exit_code(error: InterlockError) -> int:
    """The exit code that an error ends the process with."""
    return DENIED if isinstance(error, AccessDenied | DeploymentRefused) else FAILURE


def show_error(terminal: Terminal, error: InterlockError) -> None:
    """What happened and what to do about it, on standard error."""
    denied = exit_code(error) == DENIED
    word = Text("Denied: " if denied else "Error: ", style="bold red")
    if isinstance(error, DeploymentRefused):
        terminal.err.print(word + Text(f"{error.model} may not be deployed:"))
        for reason in error.reasons:
            terminal.err.print(Text(f"  - {reason}"))
    else:
        terminal.err.print(word + Text(f"{error.message}."))
    for note in getattr(error, "__notes__", ()):
        terminal.err.print(Text(f"  {note}"))
    terminal.err.print(Text("What to do: ", style="bold") + Text(f"{error.remedy}."))


def _call(function: Callable[[], Result], terminal: Terminal, *, debug: bool) -> int:
    with _logs_on(terminal), _stdout_for_document_alone(terminal):
        try:
            result = function()
        except InterlockError as error:
            result = Result(error_document(error), error=error)
        except KeyboardInterrupt:
            result = _failed("the command was interrupted", "run it again")
        except (click.ClickException, click.Abort, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - a mistake of ours must read like an error too
            mistake = unexpected(error)
            result = Result(error_document(mistake), error=mistake)
    if debug and result.error is not None:
        terminal.err.print(_traceback(result.error))
    return _finish(result, terminal)


def _failed(message: str, remedy: str) -> Result:
    error = InterlockError(message, remedy=remedy)
    return Result(error_document(error), error=error)


def unexpected(error: BaseException) -> InterlockError:
    """An error of ours for one that nobody foresaw."""
    wrapped = InterlockError(
        f"unexpected {type(error).__name__}: {error}".rstrip(". "),
        remedy="run it again with --debug and report what it prints",
    )
    wrapped.__cause__ = error
    return wrapped


def _finish(result: Result, terminal: Terminal) -> int:
    if terminal.as_json:
        _print_document(terminal, result.document)
    for part in () if terminal.as_json else result.view:
        # What says that it must not be wrapped, such as a command to copy, is not wrapped.
        terminal.out.print(part, soft_wrap=isinstance(part, Text) and bool(part.no_wrap))
    for note in result.notes:
        terminal.say(note)
    if result.error is None:
        return result.code
    show_error(terminal, result.error)
    return exit_code(result.error)


def _print_document(terminal: Terminal, document: Mapping[str, Any]) -> None:
    text = json.dumps(plain(document), indent=2, ensure_ascii=False, allow_nan=False)
    # Not through rich, which would wrap and colour it.
    terminal.out.file.write(f"{text}\n")
    terminal.out.file.flush()


def _traceback(error: BaseException) -> RenderableType:
    return Traceback.from_exception(type(error), error, error.__traceback__, suppress=[click])


@contextlib.contextmanager
def _stdout_for_document_alone(terminal: Terminal) -> Iterator[None]:
    """With ``--json``, what libraries print goes to standard error."""
    with contextlib.redirect_stdout(sys.stderr) if terminal.as_json else contextlib.nullcontext():
        yield


class _ToTerminal(logging.Handler):
    """Log records for operators, above a progress display where one is shown."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self.terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Show a record of ours from WARNING on, of libraries from ERROR on."""
        least = logging.WARNING if record.name.startswith("interlock") else logging.ERROR
        if record.levelno >= least:
            word = Text(f"{record.levelname.capitalize()}: ", style="yellow")
            self.terminal.err.print(word + Text(record.getMessage()))


@contextlib.contextmanager
def _logs_on(terminal: Terminal) -> Iterator[None]:
    handler = _ToTerminal(terminal)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
