"""``interlock down``: stop what ``interlock up`` started."""

from __future__ import annotations

from interlock.cli.entering import checked_settings
from interlock.cli.verb import Result, Terminal, verb
from interlock.local.control import down


@verb("down")
def command(terminal: Terminal) -> Result:
    """Stop everything that `interlock up` started, also what a killed one left behind."""
    settings = checked_settings(terminal)
    stopped = down(settings, echo=terminal.say)
    said = "Everything is stopped." if stopped else "Nothing was running."
    return Result({"stopped": stopped, "home": settings.home}, view=[said])
