"""``interlock status``: what ``interlock up`` has running."""

from __future__ import annotations

from interlock.cli import view
from interlock.cli.entering import checked_settings
from interlock.cli.next_steps import call
from interlock.cli.verb import Result, Terminal, verb
from interlock.local.home import Home
from interlock.local.liveness import status


@verb("status")
def command(terminal: Terminal) -> Result:
    """Say what `interlock up` has running, and where."""
    settings = checked_settings(terminal)
    found = status(Home(settings.home))
    document = {
        "home": settings.home,
        "running": found is not None,
        "ready": found is not None and found.ready,
        "pid": found.pid if found else None,
        "addresses": dict(found.addresses) if found else {},
    }
    if found is None:
        said = f"`interlock up` is not running in {settings.home}; start it with: {call('up')}"
        return Result(document, view=[said])
    state = "ready" if found.ready else "starting or stopping"
    rows = [("home", settings.home), ("process", found.pid), ("state", state)]
    return Result(document, view=[view.pairs([*rows, *found.addresses.items()])])
