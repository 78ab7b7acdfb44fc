"""The service account of runs that no person started, where people sign in.

Ticks act as it whether it is in the directory or not; in the directory, an administrator can
disable it. ADR-0012.
"""

from __future__ import annotations

from interlock.actions.administer import add_account
from interlock.adapters.directory import Person
from interlock.assembly import (
    open_authority,
    open_credentials,
    open_directory,
    open_store,
    process_context,
    utc_now,
)
from interlock.governance.principal import IdentitySource
from interlock.local.platform import Echo
from interlock.settings import Settings, operator_principal, scheduler_principal


def provide_scheduler(settings: Settings, *, echo: Echo) -> bool:
    """Add the account, on record and on the word of who operates the platform.

    Args:
        settings: With the addresses of the services.
        echo: Takes a line for the person who waits.

    Returns:
        Whether it was added; not where it is already.

    Raises:
        AccessDenied: The store is not one of this environment.
        AuditWriteFailed: It cannot be recorded.
    """
    store = open_store(settings)
    directory, service = open_directory(settings, store), scheduler_principal()
    if directory.find(service.name) is not None:
        return False
    add_account(
        open_authority(settings, store, operator_principal(settings)),
        process_context("accounts", echo),
        directory=directory,
        credentials=open_credentials(settings, store),
        person=Person(
            name=service.name,
            role=service.role,
            teams=frozenset(),
            source=IdentitySource.LOCAL,
            sessions_from=utc_now(),
            service=True,
        ),
        password=None,  # its token is shown to nobody: the daemon signs for it
    )
    return True
