"""``interlock sign-in``: act under one's own name on this command line, for an hour."""

from __future__ import annotations

import sys

import click

from interlock.adapters.signed_in import SignedIn, fetch_token
from interlock.cli.entering import checked_settings
from interlock.cli.verb import Result, Terminal, verb
from interlock.errors import ConfigurationError
from interlock.local.home import Home
from interlock.local.liveness import status
from interlock.settings import Settings


@verb("sign-in")
@click.argument("name")
@click.option("--server", help="Address of the web server; that of `interlock up` by default.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def command(terminal: Terminal, *, name: str, server: str | None, password_stdin: bool) -> Result:
    """Sign in as NAME, with the password of the web page.

    Commands then act as NAME for an hour, where IDENTITY_SOURCE is local.
    """
    settings = checked_settings(terminal)
    address = server or _own_server(settings)
    token = fetch_token(address, name=name, password=_password(name, from_stdin=password_stdin))
    SignedIn(settings.home).keep(token)
    document = {"signed_in": name, "server": address}
    return Result(document, view=[f"signed in as {name} for an hour"])


def _password(name: str, *, from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt(f"Password of {name}", hide_input=True, err=True))


def _own_server(settings: Settings) -> str:
    found = status(Home(settings.home))
    if found is None or "Dagster" not in found.addresses:
        raise ConfigurationError(
            "`interlock up` does not run here, expected a web server to sign in to",
            remedy="start it, or give --server",
        )
    return found.addresses["Dagster"]
