"""The console of one environment, put together from settings. ADR-0013."""

from __future__ import annotations

import contextlib
import secrets
import uuid
from collections.abc import Collection, Iterator
from contextlib import ExitStack

from interlock.adapters.audit_pages import TrailPages
from interlock.adapters.remembered_store import RememberedStore
from interlock.adapters.signer import open_signer
from interlock.assembly import (
    open_audit_log,
    open_signing,
    open_store,
    open_workspace,
    utc_now,
)
from interlock.console.app import create_app
from interlock.console.entrance import ConsoleDoor
from interlock.console.files import RunFiles
from interlock.console.forms import Forms
from interlock.console.site import PLACE, Site
from interlock.console.summaries import Summaries
from interlock.console.verifications import Verifications
from interlock.settings import Settings
from interlock.webserver.opening import open_records, open_visitors

SECRET_BYTES = 32


@contextlib.contextmanager
def opened_site(settings: Settings) -> Iterator[Site]:
    """What the console stands on, as long as it serves.

    Args:
        settings: Of this process.

    Yields:
        The site.

    Raises:
        ConfigurationError: Environment or MLflow is not given.
        SigningError: A key is named and cannot be used.
    """
    # It acts for who is there, never for whose token the process holds, and reads no product's
    # source, so it needs no secrets of products.
    store = open_store(settings, RememberedStore)
    workspace = open_workspace(settings, secrets={}, believe_token=False, store=store)
    trail = TrailPages(
        store, bucket=settings.audit_bucket, prefix=settings.audit_log_prefix, clock=utc_now
    )
    with ExitStack() as stack:
        signer = None
        if settings.approval_key is not None:
            signer = stack.enter_context(
                open_signer(settings.approval_key, region=settings.aws_region)
            )
        yield Site(
            workspace=workspace,
            trail=trail,
            # Without a memory: a verification reads what is stored, all of it.
            verifications=Verifications(open_audit_log(settings, open_store(settings))),
            records=open_records(settings, store, place=PLACE),
            forms=Forms(secrets.token_bytes(SECRET_BYTES), clock=utc_now),
            signer=signer,
            source=settings.identity_source,
            name=uuid.uuid4().hex[:12],
            summaries=Summaries(trail),
            files=RunFiles(),
        )


def console(settings: Settings, site: Site, *, hosts: Collection[str], secure: bool) -> ConsoleDoor:
    """The ASGI application.

    Args:
        settings: Of this process.
        site: What it stands on.
        hosts: Names of this server with port, as browsers send them.
        secure: Whether browsers reach it over https alone.

    Raises:
        ConfigurationError: A key, a mapping or the operator is not given.
    """
    store = site.workspace.store
    return ConsoleDoor(
        create_app(site),
        visitors=open_visitors(settings, store, open_signing(settings)),
        records=site.records,
        hosts={host.lower() for host in hosts},
        environment=site.environment,
        clock=utc_now,
        secure=secure,
    )
