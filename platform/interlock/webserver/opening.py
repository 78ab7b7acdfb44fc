"""From settings to the parts of a door: who may come in, and where it is recorded.

For every web server of the platform; nothing here knows of Dagster. ADR-0012.
"""

from __future__ import annotations

from interlock.adapters.directory import Person
from interlock.adapters.identity_mapping import read_mapping
from interlock.adapters.object_store import ObjectStore
from interlock.assembly import (
    Signing,
    open_audit_log,
    open_credentials,
    open_directory,
    utc_now,
)
from interlock.errors import ConfigurationError
from interlock.governance.principal import IdentitySource
from interlock.settings import Settings, principal
from interlock.webserver.records import DAGIT, Records
from interlock.webserver.visitors import OperatorAlone, Proxy, Visitors


def open_visitors(settings: Settings, store: ObjectStore, signing: Signing) -> Visitors:
    """What finds who sends a request; where nobody signs in, that is the operator.

    Args:
        settings: Of this process.
        store: The object store that they name.
        signing: How this process says who acts.

    Raises:
        ConfigurationError: A key, a mapping or the operator is not given.
    """
    if settings.identity_source is IdentitySource.ENV:
        return OperatorAlone(operator(settings))
    if signing.signer is None:
        raise ConfigurationError(
            "IDENTITY_KEY is unset, expected the key that signs who acts",
            remedy="set it to a PEM file of this server's own, or to awskms:///alias/NAME",
        )
    return Visitors(
        directory=open_directory(settings, store),
        credentials=open_credentials(settings, store),
        signer=signing.signer,
        verifier=signing.verifier,
        environment=signing.environment,
        clock=utc_now,
        proxy=_proxy(settings),
    )


def open_records(settings: Settings, store: ObjectStore, *, place: str = DAGIT) -> Records:
    """What writes what people do on a page.

    Args:
        settings: Of this process.
        store: The object store that they name.
        place: Which page it is.
    """
    audit = open_audit_log(settings, store)
    return Records(audit, environment=str(settings.environment or ""), clock=utc_now, place=place)


def operator(settings: Settings) -> Person:
    """Who operates this process, as an account; nothing but their word vouches for them.

    Raises:
        ConfigurationError: Outside dev, owner or role is not given.
    """
    who = principal(settings)
    return Person(
        name=who.name,
        role=who.role,
        teams=who.teams,
        source=settings.identity_source,
        sessions_from=utc_now(),
    )


def own_hosts(host: str, port: int, allowed: tuple[str, ...] = ()) -> frozenset[str]:
    """The names by which browsers may call a server, in lower case and with port.

    Args:
        host: Where it listens.
        port: Its port.
        allowed: Further names; one without a port is good with this port and with the usual ones.
    """
    names = {f"{name}:{port}" for name in (host, "localhost", "127.0.0.1")}
    for name in (each.strip().lower() for each in allowed):
        names |= {name} if ":" in name else {name, f"{name}:{port}"}
    return frozenset(names)


def _proxy(settings: Settings) -> Proxy | None:
    if settings.identity_source is not IdentitySource.OIDC_PROXY:
        return None
    if settings.identity_mapping is None:
        raise ConfigurationError(
            "IDENTITY_MAPPING is unset, expected whose tokens are believed",
            remedy="set it to a YAML file as docs/identity.md describes it",
        )
    mapping = read_mapping(settings.identity_mapping)
    return Proxy(mapping, mapping.verifier(clock=utc_now))
