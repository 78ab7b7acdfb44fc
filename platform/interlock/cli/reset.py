"""``interlock reset``: start anew with empty embedded services."""

from __future__ import annotations

import click

from interlock.cli.entering import checked_settings
from interlock.cli.verb import Result, Terminal, verb
from interlock.local.home import Home


@verb("reset")
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(terminal: Terminal, yes: bool) -> Result:
    """Remove the folder of the embedded services with all its data, and nothing else.

    Snapshots, models, Dagster's history and the audit trail of this machine are gone then.
    """
    home = Home(checked_settings(terminal).home)
    if home.path.exists() and not yes:
        if terminal.as_json:
            msg = "--json cannot ask; say --yes"
            raise click.UsageError(msg)
        click.confirm(
            f"Remove {home.path} with all snapshots, models and audit events in it?",
            abort=True,
            err=True,
        )
    removed = home.reset()
    said = f"{home.path} is removed." if removed else f"{home.path} does not exist."
    return Result({"removed": removed, "home": home.path}, view=[said])
