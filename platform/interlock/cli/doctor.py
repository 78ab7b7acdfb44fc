"""``interlock doctor``: what usually goes wrong, each with its remedy."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from interlock.cli.app import FAILURE, OK
from interlock.cli.checks import Check, Health, checked, fail, ok
from interlock.cli.entering import checked_settings
from interlock.cli.verb import Result, Terminal, verb
from interlock.errors import InterlockError
from interlock.local.platform import connected
from interlock.settings import Settings

STYLES = {Health.OK: "green", Health.WARN: "yellow", Health.FAIL: "bold red"}


@verb("doctor")
def command(terminal: Terminal) -> Result:
    """Check what usually goes wrong: Python, ports, disk, services, lock, policies, YAML.

    Exits with 1 when a check fails; warnings do not count.
    """
    checks = []
    with terminal.err.status("examining") as status:
        for check in _all_checks(terminal):
            checks.append(check)
            status.update(f"examining; {check.name} done")
    count = {health: sum(check.health is health for check in checks) for health in Health}
    healthy = count[Health.FAIL] == 0
    summary = ", ".join(f"{number} {health}" for health, number in count.items())
    return Result(
        {"healthy": healthy, "checks": [asdict(check) for check in checks]},
        view=[_view(checks), "", Text(summary, style="bold")],
        code=OK if healthy else FAILURE,
    )


def _all_checks(terminal: Terminal) -> Iterator[Check]:
    from interlock.cli import checks_machine, checks_platform

    try:
        settings = checked_settings(terminal)
    except InterlockError as error:
        yield fail("settings", error.message, error.remedy)
        yield checks_machine.python_version(sys.version_info[:2])
        yield from checks_platform.declared_checks()
        return
    mode = "embedded services" if settings.embedded else "services of your own"
    yield ok("settings", f"ENVIRONMENT is {settings.environment or 'unset'}, {mode}")
    yield from checks_machine.machine_checks(settings.home, embedded=settings.embedded)
    yield from checks_platform.declared_checks()
    yield checked("approvals", lambda: checks_platform.approvals(settings))
    yield checks_platform.spool(settings)
    yield from _service_checks(terminal, settings)


def _service_checks(terminal: Terminal, settings: Settings) -> Iterator[Check]:
    from interlock.cli import checks_platform

    try:
        with connected(settings, echo=terminal.say) as found:
            yield checked("identity", lambda: checks_platform.identity(found))
            yield from list(checks_platform.service_checks(found))
    except InterlockError as error:
        yield fail("services", error.message, error.remedy)


def _view(checks: Sequence[Check]) -> RenderableType:
    shown = Table.grid(padding=(0, 2, 0, 0))
    shown.add_column(no_wrap=True)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for check in checks:
        word = Text(check.health, style=STYLES[check.health])
        found = Text(check.found)
        if check.remedy:
            found.append(f"\nWhat to do: {check.remedy}", style="dim")
        shown.add_row(word, check.name, found)
    return shown
