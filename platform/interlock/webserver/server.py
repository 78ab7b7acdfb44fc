"""Dagster's web server behind the gate, put together from settings.

It holds the key that signs identities
and reads credentials; no run has either. What starts it for good is up to its callers. ADR-0012.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from typing import Any

from dagster import DagsterInstance
from dagster_webserver.webserver import DagsterWebserver
from starlette.requests import HTTPConnection

from interlock.actions.authority import Authority
from interlock.adapters.directory import Person
from interlock.adapters.identity_mapping import read_mapping
from interlock.adapters.object_store import ObjectStore
from interlock.assembly import (
    Signing,
    open_audit_log,
    open_authority,
    open_credentials,
    open_directory,
    open_signing,
    open_store,
    utc_now,
)
from interlock.errors import ConfigurationError
from interlock.governance.access import Action, Decision, Resource
from interlock.governance.principal import UNVERIFIED, IdentitySource
from interlock.settings import Settings
from interlock.webserver.context import GovernedProcessContext
from interlock.webserver.coordinator import note_enabled
from interlock.webserver.gate import PERSON, Gate
from interlock.webserver.records import Records
from interlock.webserver.rights import Rights
from interlock.webserver.visitors import Proxy, Visitors

ENABLING = {"startSchedule": "scheduleName", "startSensor": "sensorName"}


class GovernedWebserver:
    """What the web server of one instance needs besides Dagster.

    Args:
        settings: Of this process.
        instance: Dagster's.
        store: The object store; that of the settings by default.

    Raises:
        ConfigurationError: People do not sign in here, or a key or mapping is not given.
    """

    def __init__(
        self, settings: Settings, instance: DagsterInstance, store: ObjectStore | None = None
    ) -> None:
        if settings.identity_source is IdentitySource.ENV:
            raise ConfigurationError(
                "IDENTITY_SOURCE is env, so nobody signs in here",
                remedy="set IDENTITY_SOURCE to local or oidc-proxy, or use dagster-webserver",
            )
        self._instance = instance
        self._settings = settings
        self._store = open_store(settings) if store is None else store
        self._signing: Signing = open_signing(settings)
        self._authority: Authority = open_authority(settings, self._store, UNVERIFIED)
        if self._signing.signer is None:
            raise ConfigurationError(
                "IDENTITY_KEY is unset, expected the key that signs who acts",
                remedy="set it to a PEM file of this server's own, or to awskms:///alias/NAME",
            )
        self._signer = self._signing.signer

    def process_context(self, load_target: Any, **options: Any) -> GovernedProcessContext:
        """Dagster's process context, with people in it."""
        return GovernedProcessContext(
            self._instance,
            load_target,
            rights_of=self._rights_of,
            backfill_tag=self._backfill_tag,
            **options,
        )

    def app(self, context: GovernedProcessContext, *, hosts: Collection[str], secure: bool) -> Gate:
        """The ASGI application.

        Args:
            context: As ``process_context`` made it, entered.
            hosts: Names of this server with port, as browsers send them.
            secure: Whether browsers reach it over https alone.
        """
        audit = open_audit_log(self._settings, self._store)
        return Gate(
            DagsterWebserver(context).create_asgi_app(),
            visitors=self._visitors(),
            records=Records(audit, environment=self._signing.environment, clock=utc_now),
            hosts={host.lower() for host in hosts},
            environment=self._signing.environment,
            clock=utc_now,
            secure=secure,
            succeeded=self._note,
        )

    def _visitors(self) -> Visitors:
        proxy = None
        if self._settings.identity_source is IdentitySource.OIDC_PROXY:
            path = self._settings.identity_mapping
            if path is None:
                raise ConfigurationError(
                    "IDENTITY_MAPPING is unset, expected whose tokens are believed",
                    remedy="set it to a YAML file as docs/identity.md describes it",
                )
            mapping = read_mapping(path)
            proxy = Proxy(mapping, mapping.verifier(clock=utc_now))
        return Visitors(
            directory=open_directory(self._settings, self._store),
            credentials=open_credentials(self._settings, self._store),
            signer=self._signer,
            verifier=self._signing.verifier,
            environment=self._signing.environment,
            clock=utc_now,
            proxy=proxy,
        )

    def _rights_of(self, source: object | None) -> Rights:
        person = source.scope.get(PERSON) if isinstance(source, HTTPConnection) else None
        if not isinstance(person, Person):
            return Rights(None, self._undecided, by_owner=True)
        acting = self._authority.acting_as(person.principal)

        def decide(action: Action) -> Decision:
            return acting.engine.decide(
                principal=acting.principal,
                action=action,
                resource=Resource(action.resource_kind, "any"),
                environment=acting.environment,
                context=acting.context,
            )

        return Rights(acting.principal, decide, by_owner=True)

    @staticmethod
    def _undecided(action: Action) -> Decision:
        msg = f"nobody asks about {action}"  # rights of nobody never do
        raise RuntimeError(msg)

    def _backfill_tag(self, name: str) -> str:
        return self._signer.backfill_tag(
            name=name, nonce=uuid.uuid4().hex, environment=self._signing.environment
        )

    def _note(self, mutation: str, variables: Mapping[str, Any], person: Person) -> None:
        """Note who enabled a schedule or sensor, for the daemon."""
        wanted = ENABLING.get(mutation)
        selectors = [each for each in variables.values() if isinstance(each, Mapping)]
        for selector in selectors:
            if wanted is not None and isinstance(selector.get(wanted), str):
                note_enabled(
                    self._instance,
                    self._signer,
                    name=person.name,
                    instigator=selector[wanted],
                    where=self._signing.environment,
                )
