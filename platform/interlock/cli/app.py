"""The table of verbs, and the process around them.

A verb's module is imported when it is called, so that ``interlock --help`` answers at once.
Exit codes: 0 ok, 1 failure, 2 usage, 3 denied; 4 where ``drift check`` found drift.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

import interlock

OK, FAILURE, USAGE, DENIED, DRIFT = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class Entry:
    """A verb that is not imported yet.

    Args:
        module: Holds the verb as ``command``.
        help: One line for the overview, without a full stop.
    """

    module: str
    help: str


class LazyGroup(click.Group):
    """A group of verbs in the order of its table, each imported when it is called.

    Args:
        name: As it is typed.
        entries: Verb to where it is; or a group, which is given ready.
        about: For the top of the overview.
    """

    def __init__(
        self, name: str, *, entries: Mapping[str, Entry | LazyGroup], about: str, **rest: Any
    ) -> None:
        super().__init__(name, help=about, **rest)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The verbs in the table's order."""
        return list(self.entries)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """A verb, imported now."""
        entry = self.entries.get(cmd_name)
        if not isinstance(entry, Entry):
            return entry
        command = importlib.import_module(entry.module).command
        assert isinstance(command, click.Command)  # noqa: S101 - what verb.py makes
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """The overview, from the table alone."""
        rows = [
            (name, entry.help if isinstance(entry, Entry) else entry.get_short_help_str(limit=80))
            for name, entry in self.entries.items()
        ]
        with formatter.section("Verbs"):
            formatter.write_dl(rows)


def _verb(name: str, help_line: str) -> Entry:
    return Entry(f"interlock.cli.{name}", help_line)


app = LazyGroup(
    "interlock",
    about="""Models that are trained, registered and deployed only when everything is in order.

    Start with `interlock demo`. Every verb takes --json and --help. Exit codes: 0 ok,
    1 failure, 2 usage, 3 denied.
    """,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    entries={
        "demo": _verb("demo", "Run CreditRiskModel from raw data to a registered version"),
        "run": _verb("run", "Run a model product, the same way"),
        "up": _verb("up", "Start S3, MLflow, Dagster and the console for daily work"),
        "down": _verb("down", "Stop what `up` started"),
        "status": _verb("status", "Say what `up` has running"),
        "product": LazyGroup(
            "product",
            about="Write and check model products.",
            entries={
                "new": _verb("product_new", "Draft a product's defs.yaml from its data"),
                "list": _verb("product_list", "List the products"),
                "check": _verb("product_check", "Check the products' YAML, by file and line"),
            },
        ),
        "data": LazyGroup(
            "data",
            about="Make data for tests of scale.",
            entries={
                "generate": _verb("data_generate", "Write a synthetic credit portfolio"),
            },
        ),
        "approvals": _verb("approvals", "List what waits for approval, and what it still lacks"),
        "approve": _verb("approve", "Approve a model version, with a signature"),
        "reject": _verb("reject", "Reject a model version, with a signature"),
        "promote": _verb("promote", "Make an approved version the champion"),
        "rollback": _verb("rollback", "Go back to the champion before"),
        "reconcile": _verb("reconcile", "Put back what was changed outside of Interlock"),
        "deploy-check": _verb("deploy_check", "Say whether a model version may be deployed here"),
        "drift": LazyGroup(
            "drift",
            about="Hold data against what a version learned from.",
            entries={"check": _verb("drift_check", "Say whether data has drifted, and how far")},
        ),
        "audit": LazyGroup(
            "audit",
            about="Read and verify the audit trail.",
            entries={
                "list": _verb("audit_list", "List the streams of the trail"),
                "show": _verb("audit_show", "Show the events of a stream"),
                "verify": _verb("audit_verify", "Verify the trail, or one stream of it"),
                "export": _verb("audit_export", "Copy the trail into a folder for an auditor"),
                "close": _verb("audit_close", "Record that a dead run will not finish"),
            },
        ),
        "sign-in": _verb("sign_in", "Act under your own name on this command line"),
        "sign-out": _verb("sign_out", "Stop doing so"),
        "user": LazyGroup(
            "user",
            about="Add and change accounts of people and services.",
            entries={
                "add": _verb("user_add", "Add a person, or a service account"),
                "list": _verb("user_list", "List the accounts"),
                "change": _verb("user_change", "Give an account another role and teams"),
                "renew": _verb("user_renew", "Give an account a new password or token"),
                "disable": _verb("user_disable", "End an account's sessions and rights"),
                "enable": _verb("user_enable", "Give them back"),
            },
        ),
        "policy": LazyGroup(
            "policy",
            about="Check and explain the policies.",
            entries={
                "check": _verb("policy_check", "Validate the policies against their schema"),
                "explain": _verb("policy_explain", "Say who may do what, and which policy decides"),
            },
        ),
        "doctor": _verb("doctor", "Check what usually goes wrong, with remedies"),
        "reset": _verb("reset", "Remove the embedded services' folder with all its data"),
    },
)
app = click.version_option(interlock.__version__, prog_name="interlock")(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process.

    Args:
        arguments: Words after ``interlock``; those of the process when not given.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not sys.warnoptions:
        # Advice of libraries to their users' programmers; a developer asks for it with -W.
        warnings.simplefilter("ignore")
    # Nothing that is imported becomes garbage: looking for it while libraries load, and once
    # more when the process ends, costs seconds (measured: 0.9 of 8 s, and 3 s).
    gc.disable()
    code = run(words)
    # DataSketches counts what is left of it when the process ends, and complains at length of
    # what only the collector would have freed, such as the frames of an error.
    if "datasketches" not in sys.modules:
        gc.freeze()
    sys.exit(code)


def run(words: Sequence[str]) -> int:
    """Run one command line.

    Args:
        words: Those after ``interlock``.

    Returns:
        The exit code.
    """
    try:
        code = app.main(list(words), prog_name="interlock", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return USAGE
    except click.ClickException as error:
        return _refuse_usage(error, as_json="--json" in words)
    except click.Abort:
        click.echo("Interrupted.", err=True)
        return FAILURE
    except BrokenPipeError:
        # The reader of our output has gone, e.g. `interlock audit list | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    return code if isinstance(code, int) else OK


def _refuse_usage(error: click.ClickException, *, as_json: bool) -> int:
    if as_json:
        remedy = "see --help"
        found = {"type": type(error).__name__, "message": error.format_message(), "remedy": remedy}
        click.echo(json.dumps({"error": found}, indent=2, ensure_ascii=False))
    else:
        error.show()
    return USAGE
