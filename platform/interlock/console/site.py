"""What the console stands on, and who is at it: one value per process, one per request.

Everything is connected in ``server.py``; tests connect simulators instead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, Request

from interlock.actions.run_context import RunContext
from interlock.actions.workspace import Workspace
from interlock.adapters.audit_pages import TrailPages
from interlock.adapters.directory import Person
from interlock.adapters.signer import Signer
from interlock.console.files import RunFiles
from interlock.console.forms import Forms
from interlock.console.summaries import Summaries
from interlock.console.verifications import Verifications
from interlock.governance.access import Action, Decision, Resource
from interlock.governance.audit import Outcome, RunRef, Stream, as_reason
from interlock.governance.facts import RequestContext
from interlock.governance.principal import IdentitySource
from interlock.webserver.door import PERSON
from interlock.webserver.records import Records

PLACE: Final = "console"
TRAIL: Final = Resource("audit", "trail")
READING: Final = timedelta(minutes=15)  # who reads the trail is recorded once in this time
MAX_READERS: Final = 1_000

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the console stands on.

    Attributes:
        workspace: The outside world, acting as nobody in particular.
        trail: Leafs through the audit trail.
        verifications: Verifies it, and knows when that was done last.
        records: Writes what is refused before it is an action.
        forms: Makes and checks what proves that a form is of this console.
        signer: Signs decisions; None where this process holds no key for that.
        source: Where principals come from.
        chosen: Whether the operator chose that.
        name: Of this process, part of the streams that it writes.
    """

    workspace: Workspace
    trail: TrailPages
    verifications: Verifications
    records: Records
    forms: Forms
    signer: Signer | None
    source: IdentitySource
    name: str
    summaries: Summaries
    files: RunFiles
    readers: dict[str, datetime] = field(default_factory=dict)

    @property
    def clock(self) -> Callable[[], datetime]:
        """The time, aware UTC."""
        return self.workspace.clock

    @property
    def environment(self) -> str:
        """Where this runs."""
        return self.workspace.authority.environment.value

    def run(self) -> RunContext:
        """Where what happens now is recorded: one stream per process and day."""
        today = self.clock().date()
        stream = Stream(f"{PLACE}-{today:%Y%m%d}-{self.name}", today)
        return RunContext(stream=stream, ref=RunRef(), report=log.info)


@dataclass(frozen=True)
class Here:
    """A request: somebody at the console.

    Attributes:
        site: The console.
        person: Who.
        workspace: The outside world, acting as them.
    """

    site: Site
    person: Person
    workspace: Workspace

    @property
    def account(self) -> str:
        """The name by which they are one."""
        return self.person.account

    def decide(self, action: Action, name: str, context: RequestContext | None = None) -> Decision:
        """What the policies say about an action of theirs; nothing is recorded.

        Args:
            action: Which.
            name: On what.
            context: What the policies must know beyond the standing context.
        """
        authority = self.workspace.authority
        return authority.engine.decide(
            principal=authority.principal,
            action=action,
            resource=Resource(action.resource_kind, name),
            environment=authority.environment,
            context=context or authority.context,
        )

    def record_refusal(
        self,
        what: str,
        why: str,
        *,
        resource: str | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        """Record what was refused before it was an action.

        Args:
            what: Was asked for, one word.
            why: Not.
            resource: On what; the console itself by default.
            evidence: What is known.

        Raises:
            AuditWriteFailed: It cannot be recorded.
        """
        self.site.records.write(
            f"{PLACE}:{what}",
            Outcome.DENIED,
            self.person,
            resource=resource,
            reason=as_reason(why),
            evidence=evidence,
        )

    def read_trail(self) -> None:
        """Let them read the trail, on record; once for all the pages that they leaf through.

        Raises:
            AccessDenied: The policies do not permit it; each time is recorded.
            AuditWriteFailed: That they read it cannot be recorded.
        """
        site, authority = self.site, self.workspace.authority
        now = site.clock()
        since = site.readers.get(self.account)
        if since is not None and now - since < READING:
            authority.authorise(Action.AUDIT_READ, TRAIL, site.run())
            return
        with authority.govern(Action.AUDIT_READ, TRAIL, site.run(), evidence={"in": PLACE}):
            if len(site.readers) >= MAX_READERS:
                site.readers.clear()
            site.readers[self.account] = now


def site_of(request: Request) -> Site:
    """The console that a request reached."""
    site: Site = request.app.state.site
    return site


def here_of(request: Request) -> Here:
    """Who sent a request, and where they are."""
    site, person = site_of(request), request.scope[PERSON]
    return Here(site, person, site.workspace.acting_as(person.principal))


AtConsole = Annotated[Here, Depends(here_of)]
"""The parameter of a page that says who is there."""
