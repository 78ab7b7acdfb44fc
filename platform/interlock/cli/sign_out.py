"""``interlock sign-out``: this command line is nobody's again."""

from __future__ import annotations

from interlock.adapters.signed_in import SignedIn
from interlock.cli.entering import checked_settings
from interlock.cli.verb import Result, Terminal, verb


@verb("sign-out")
def command(terminal: Terminal) -> Result:
    """Forget who signed in on this command line; their pages stay open."""
    forgotten = SignedIn(checked_settings(terminal).home).forget()
    said = "signed out" if forgotten else "nobody was signed in"
    return Result({"signed_out": forgotten}, view=[said])
