"""The console with people at it: the office's world behind the real door, in this process.

``ada`` trained and registered what waits; ``grace`` and ``henry`` approve; ``tess`` approves, but
is of the owning team; ``otto`` is on call; ``arno`` audits; ``vera`` looks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

from accounts import PASSWORD, QUICK
from asgi_client import AsgiClient
from httpx import Response
from office import MODEL, Office
from product_fixtures import AUDIT, PREFIX
from simulators import MemoryObjectStore

from interlock.adapters.audit_pages import TrailPages
from interlock.adapters.credentials import Credentials
from interlock.adapters.directory import Directory, Person
from interlock.adapters.run_identity import IdentitySigner, IdentityVerifier
from interlock.adapters.signer import LocalSigner, is_signed_by, new_private_key
from interlock.console.app import create_app
from interlock.console.entrance import ConsoleDoor
from interlock.console.files import RunFiles
from interlock.console.forms import Forms
from interlock.console.site import PLACE, Site
from interlock.console.summaries import Summaries
from interlock.console.verifications import Verifications
from interlock.governance.audit import AuditRecord
from interlock.governance.principal import IdentitySource, Role
from interlock.webserver.records import Records
from interlock.webserver.visitors import OperatorAlone, Visitors

HOST = "localhost:3000"  # as the client of ``asgi_client`` calls it
OWN = {"origin": f"http://{HOST}"}
VERSION = f"/models/{MODEL}/versions/1"
PEOPLE = {
    "ada": (Role.ML_ENGINEER, ()),
    "grace": (Role.APPROVER, ()),
    "henry": (Role.APPROVER, ()),
    "tess": (Role.APPROVER, ("tests",)),
    "otto": (Role.ML_ENGINEER, ()),
    "arno": (Role.AUDITOR, ()),
    "vera": (Role.VIEWER, ()),
}


class Counter:
    """A console in front of an office.

    Args:
        office: Staging, with a version that waits.
        folder: For keys.
    """

    def __init__(self, office: Office, folder: Path) -> None:
        self.office, self.world = office, office.world
        self.clock = office.world.clock
        people = MemoryObjectStore(clock=self.clock)
        people.create_bucket("people")
        self.directory = Directory(people, bucket="people", clock=self.clock)
        office.directory = self.directory
        self.world.directory = self.directory
        self.credentials = Credentials(
            people,
            bucket="people",
            directory=self.directory,
            clock=self.clock,
            hasher=QUICK,
        )
        for name, (role, teams) in PEOPLE.items():
            self.add(name, role, teams=frozenset(teams))
        key = folder / "identity.pem"
        key.write_bytes(new_private_key())
        key.chmod(0o600)
        signer = LocalSigner(key)
        self.visitors = Visitors(
            directory=self.directory,
            credentials=self.credentials,
            signer=IdentitySigner(signer, clock=self.clock),
            verifier=IdentityVerifier(is_signed_by((signer.public_key,))),
            environment=self.world.environment.value,
            clock=self.clock,
        )
        self.site = self.site_of()
        self.client = self.client_of(self.site, self.visitors)
        self._cookies: dict[str, str] = {}

    def add(self, name: str, role: Role, **changes: Any) -> None:
        """Have somebody in the directory, with a password."""
        usual: dict[str, Any] = {"teams": frozenset(), "source": IdentitySource.LOCAL}
        self.directory.add(
            Person(name=name, role=role, sessions_from=self.clock(), **{**usual, **changes})
        )
        self.credentials.set_password(name, PASSWORD)

    def site_of(self, **changes: Any) -> Site:
        """What a console stands on, with parts replaced."""
        world = self.world
        trail = TrailPages(world.store, bucket=AUDIT, prefix=PREFIX, clock=self.clock)
        usual: dict[str, Any] = {
            "workspace": world.workspace(),
            "trail": trail,
            "verifications": Verifications(world.audit),
            "records": Records(
                world.audit,
                environment=world.environment.value,
                clock=self.clock,
                place=PLACE,
            ),
            "forms": Forms(b"secret", clock=self.clock),
            "signer": self.office.key,
            "source": IdentitySource.LOCAL,
            "name": "tests",
            "summaries": Summaries(trail),
            "files": RunFiles(),
        }
        return Site(**{**usual, **changes})

    def client_of(self, site: Site, visitors: Visitors) -> AsgiClient:
        """What sends requests to a console."""
        door = ConsoleDoor(
            create_app(site),
            visitors=visitors,
            records=site.records,
            hosts={HOST},
            environment=site.environment,
            clock=self.clock,
            secure=False,
        )
        return AsgiClient(door)

    def without_sign_in(self, name: str, role: Role) -> AsgiClient:
        """The same console where the operator alone is at it."""
        person = Person(
            name=name,
            role=role,
            teams=frozenset(),
            source=IdentitySource.ENV,
            sessions_from=self.clock(),
        )
        return self.client_of(self.site_of(source=IdentitySource.ENV), OperatorAlone(person))

    def headers(self, name: str) -> dict[str, str]:
        """Those of somebody's browser, signed in."""
        if name not in self._cookies:
            form = {"name": name, "password": PASSWORD}
            done = self.client.post("/sign-in", data=form, headers=OWN)
            assert done.status_code == 303, done.text
            self._cookies[name] = done.headers["set-cookie"].split(";")[0]
        return {"cookie": self._cookies[name], "accept": "text/html"}

    def get(self, name: str, path: str) -> Response:
        """Somebody opens a page."""
        return self.client.get(path, headers=self.headers(name))

    def post(
        self,
        name: str,
        path: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Somebody sends a form."""
        sent = {**self.headers(name), **OWN, **(headers or {})}
        return self.client.post(path, data=dict(form), headers=sent)

    def form(self, name: str, path: str, action: str) -> dict[str, str]:
        """The hidden fields of a form on a page that somebody opens."""
        return hidden_fields(self.get(name, path).text, action)

    def decide(
        self,
        name: str,
        verb: str = "approve",
        *,
        page: str = VERSION,
        between: Callable[[], object] = lambda: None,
        **fields: str,
    ) -> Response:
        """Somebody opens a page, fills in its form, and confirms what is shown then.

        Args:
            name: Who.
            verb: What they choose.
            page: Where the form is.
            between: Happens before they confirm.
            fields: What they fill in, and fields that they forge.
        """
        action = f"{page}/{verb}"
        # Approve and reject are two buttons of one form.
        own = f"{page}/approve" if verb == "reject" else action
        usual = {"reason": "reviewed the holdout", "days": "90"}
        form = {**usual, **self.form(name, page, own), **fields}
        shown = self.post(name, action, form)
        if shown.status_code != 200:
            return shown
        between()
        return self.post(name, action, hidden_fields(shown.text, action))

    def approve_all(self) -> None:
        """The quorum of a high tier approves here."""
        for name in ("grace", "henry"):
            done = self.decide(name)
            assert done.status_code == 303, done.text

    def disable(self, name: str) -> None:
        """Somebody may do nothing any more, also where it was known that they may."""
        self.directory.change(name, lambda known: replace(known, disabled=True))
        self.clock.advance(seconds=3)

    def denials(self) -> list[AuditRecord]:
        """What was refused, in its order."""
        return [each for each in self.world.records() if each.outcome.value == "denied"]


def text_of(page: str) -> str:
    """What a person reads."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", page)).split())


def hidden_fields(page: str, action: str) -> dict[str, str]:
    """The hidden fields of the form that is sent to an address."""
    for form in re.findall(r"<form\b.*?</form>", page, re.DOTALL):
        sent_to = re.search(r'action="([^"]*)"', form)
        if sent_to and unescape(sent_to[1]) == action:
            found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', form)
            return {name: unescape(value) for name, value in found}
    raise AssertionError(f"no form goes to {action}: {page}")
