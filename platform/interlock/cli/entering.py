"""How a verb enters the platform: settings, services, workspace.

What a role may do is decided in ``governance``; which services run is decided in ``local``;
who may not even enter is refused in ``refusal.py``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from interlock.actions.workspace import Workspace
from interlock.assembly import open_workspace
from interlock.cli.refusal import Refusal, refusal_of
from interlock.cli.verb import Terminal
from interlock.errors import ConfigurationError
from interlock.governance.principal import IdentitySource
from interlock.local.platform import connected
from interlock.settings import Settings, load_settings, process_environment

NAMING = ("RUN_OWNER", "RUN_ROLE", "RUN_TEAMS")
"""Variables that say who acts, where the operator's word counts."""


def settings_or_refusal(terminal: Terminal) -> Settings | Refusal:
    """The settings of this process, or the recorded refusal of who gave them.

    Raises:
        ConfigurationError: A setting is wrong that is no attempt to act as somebody else.
    """
    try:
        return load_settings()
    except ConfigurationError as error:
        refusal = refusal_of(error, terminal)
        if refusal is None:
            raise
        return refusal


def checked_settings(terminal: Terminal) -> Settings:
    """The settings of this process.

    Raises:
        AccessDenied: RUN_ROLE is no role or ENVIRONMENT no environment; it is recorded.
        ConfigurationError: Another setting is wrong.
    """
    found = settings_or_refusal(terminal)
    if isinstance(found, Refusal):
        raise found.denial
    return found


@contextlib.contextmanager
def services(terminal: Terminal, settings: Settings) -> Iterator[Settings]:
    """The services that settings name; says so where variables name somebody and do not decide.

    Args:
        terminal: Told what is being done.
        settings: Of this process.

    Yields:
        The settings with the services' addresses, and by what people sign in there.
    """
    with connected(settings, echo=terminal.say) as found:
        environment = process_environment()
        named = [name for name in NAMING if environment.get(name, "").strip()]
        if named and found.identity_source is not IdentitySource.ENV:
            terminal.say(
                f"not counted, for people sign in here ({found.identity_source}): "
                f"{', '.join(named)}; see `interlock sign-in`"
            )
        yield found


@contextlib.contextmanager
def opened(terminal: Terminal) -> Iterator[Workspace]:
    """Everything that a governed action needs, with the services that the settings name.

    Yields:
        The workspace, acting as the person of this process.

    Raises:
        AccessDenied: As for ``checked_settings``.
        ConfigurationError: As for ``checked_settings``.
    """
    with services(terminal, checked_settings(terminal)) as settings:
        yield open_workspace(settings, secrets=process_environment())
