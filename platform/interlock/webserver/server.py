"""Dagster's web server behind the gate, put together from settings.

Where people sign in, it holds the key that signs identities and reads credentials; no run has
either. ``__main__.py`` starts it. ADR-0012.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from dagster import DagsterInstance
from dagster_webserver.webserver import DagsterWebserver
from starlette.requests import HTTPConnection

from interlock.actions.authority import Authority
from interlock.adapters.directory import Person
from interlock.adapters.object_store import ObjectStore
from interlock.assembly import (
    Signing,
    open_authority,
    open_signing,
    open_store,
    utc_now,
)
from interlock.governance.access import Action, Decision, Resource
from interlock.governance.principal import UNVERIFIED, Environment, IdentitySource, Principal
from interlock.settings import Settings
from interlock.webserver.context import GovernedProcessContext
from interlock.webserver.coordinator import note_enabled
from interlock.webserver.dagster_names import REFUSED
from interlock.webserver.decisions import of_others
from interlock.webserver.door import PERSON
from interlock.webserver.gate import Gate
from interlock.webserver.opening import open_records, open_visitors
from interlock.webserver.rights import Rights

POLL_MILLISECONDS = 2_000  # as Dagster's own command
MAX_PEOPLE = 256  # whose rights are kept
ENABLING = {
    "startSchedule": "scheduleName",
    "resetSchedule": "scheduleName",
    "startSensor": "sensorName",
    "resetSensor": "sensorName",
}


class GovernedWebserver:
    """What the web server of one instance needs besides Dagster.

    Args:
        settings: Of this process.
        instance: Dagster's.
        store: The object store; that of the settings by default.

    Raises:
        ConfigurationError: A key, a mapping or the operator is not given.
    """

    def __init__(
        self, settings: Settings, instance: DagsterInstance, store: ObjectStore | None = None
    ) -> None:
        self._instance = instance
        self._settings = settings
        self._store = open_store(settings) if store is None else store
        self._signing: Signing = open_signing(settings)
        self._authority: Authority = open_authority(settings, self._store, UNVERIFIED)
        self._visitors = open_visitors(settings, self._store, self._signing)
        self._by_owner = settings.identity_source is not IdentitySource.ENV
        self._signer = self._signing.signer if self._by_owner else None
        # Policies and facts are those of this process; another role or team is another principal.
        self._rights_for = functools.lru_cache(MAX_PEOPLE)(self._rights_of_principal)

    def process_context(self, load_target: Any, **options: Any) -> GovernedProcessContext:
        """Dagster's process context, with people in it."""
        return GovernedProcessContext(
            self._instance,
            load_target,
            rights_of=self._rights_of,
            backfill_tag=None if self._signer is None else self._backfill_tag,
            **options,
        )

    def app(self, context: GovernedProcessContext, *, hosts: Collection[str], secure: bool) -> Gate:
        """The ASGI application.

        Args:
            context: As ``process_context`` made it, entered.
            hosts: As for ``Gate``.
            secure: Whether browsers reach it over https alone.
        """
        return Gate(
            DagsterWebserver(context, live_data_poll_rate=POLL_MILLISECONDS).create_asgi_app(),
            visitors=self._visitors,
            records=open_records(self._settings, self._store),
            hosts=hosts,
            environment=self._signing.environment,
            clock=utc_now,
            secure=secure,
            succeeded=self._note,
            refused=REFUSED if self._by_owner else {},
        )

    def _rights_of(self, source: object | None) -> Rights:
        person = source.scope.get(PERSON) if isinstance(source, HTTPConnection) else None
        if not isinstance(person, Person):
            return Rights(None, self._undecided, by_owner=self._by_owner)
        return self._rights_for(person.principal)

    def _rights_of_principal(self, principal: Principal) -> Rights:
        acting = self._authority.acting_as(principal)

        def decide(action: Action) -> Decision:
            return acting.engine.decide(
                principal=acting.principal,
                action=action,
                resource=Resource(action.resource_kind, "any"),
                environment=acting.environment,
                context=of_others(action, acting.context),
            )

        return Rights(
            acting.principal,
            decide,
            by_owner=self._by_owner,
            in_dev=acting.environment is Environment.DEV,
        )

    @staticmethod
    def _undecided(action: Action) -> Decision:
        msg = f"nobody asks about {action}"  # rights of nobody never do
        raise RuntimeError(msg)

    def _backfill_tag(self, name: str) -> str:
        assert self._signer is not None  # noqa: S101 - not asked otherwise
        return self._signer.backfill_tag(
            name=name, nonce=uuid.uuid4().hex, environment=self._signing.environment
        )

    def _note(self, mutation: str, arguments: Mapping[str, Any], person: Person) -> None:
        """Note who enabled a schedule or sensor, for the daemon."""
        wanted = ENABLING.get(mutation)
        if self._signer is None:
            return
        selectors = [each for each in arguments.values() if isinstance(each, Mapping)]
        for selector in selectors:
            if wanted is not None and isinstance(selector.get(wanted), str):
                note_enabled(
                    self._instance,
                    self._signer,
                    name=person.name,
                    instigator=selector[wanted],
                    where=self._signing.environment,
                )
