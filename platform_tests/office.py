"""People who decide about versions of the tiny product's model, and who move its champion.

``ada`` trained and registered it; ``grace`` and ``henry`` approve; ``otto`` is on call. People sign
in, and the key is a server's, unless a test says otherwise.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from product_fixtures import Made, World, after_trained, tiny_product
from simulators import MemoryObjectStore

from interlock.actions.approve import Decided, decide
from interlock.actions.authority import RunContext
from interlock.actions.case import Case, open_case
from interlock.actions.promote import Move, promote
from interlock.actions.register import register
from interlock.actions.rollback import RolledBack, rollback
from interlock.actions.workspace import Workspace
from interlock.adapters.believed_keys import BelievedKey, Signatories
from interlock.adapters.directory import Directory, Person
from interlock.adapters.signer import LocalSigner
from interlock.governance.approval import DEFAULT_LIFETIME, SERVER, Verdict
from interlock.governance.audit import AuditRecord
from interlock.governance.principal import IdentitySource, Role

MODEL = "TinyModel"


@dataclass
class Office:
    """A world with versions to decide on, and the key that decisions are signed with."""

    world: World
    made: Made
    key: LocalSigner

    def __post_init__(self) -> None:
        self.believe(BelievedKey(self.key.public_key, SERVER))
        # A store of its own: what a test does to the world's does not change who there is.
        people = MemoryObjectStore(clock=self.world.clock)
        people.create_bucket("people")
        self.directory = Directory(people, bucket="people", clock=self.world.clock)
        self.world.directory = self.directory
        self._serial = itertools.count(1)

    @property
    def client(self) -> Any:
        """MLflow's own client: what somebody in its UI can do."""
        return self.world.connection.client

    def at(self, _name: str) -> RunContext:
        """A process of somebody's own."""
        return self.world.run(f"process-{next(self._serial)}")

    def believe(self, *keys: BelievedKey) -> None:
        """Believe these keys and no others."""
        self.world.signatories = Signatories(keys)

    def as_(
        self,
        name: str,
        role: Role,
        *,
        source: IdentitySource = IdentitySource.LOCAL,
        **options: Any,
    ) -> Workspace:
        """The world for somebody, who is then in the directory unless nobody signs in."""
        if source is not IdentitySource.ENV and role is not Role.SCHEDULER:
            self.know(name, role, source=source, teams=options.get("teams", frozenset()))
        return self.world.workspace(name=name, role=role, source=source, **options)

    def know(self, name: str, role: Role, **changes: Any) -> None:
        """Have somebody in the directory as they are now."""
        usual: dict[str, Any] = {"teams": frozenset(), "source": IdentitySource.LOCAL}
        person = Person(
            name=name, role=role, sessions_from=self.world.clock(), **{**usual, **changes}
        )
        if self.directory.find(name) is None:
            self.directory.add(person)
        self.directory.change(
            name, lambda known: replace(person, sessions_from=known.sessions_from)
        )

    def decide(
        self,
        verdict: Verdict,
        name: str = "grace",
        *,
        version: str = "1",
        reason: str = "reviewed the holdout",
        lifetime: timedelta = DEFAULT_LIFETIME,
        role: Role = Role.APPROVER,
        key: LocalSigner | None = None,
        **options: Any,
    ) -> Decided:
        """Somebody decides."""
        return decide(
            self.as_(name, role, **options),
            self.at(name),
            key or self.key,
            verdict=verdict,
            model=MODEL,
            version=version,
            reason=reason,
            lifetime=lifetime,
        )

    def approve(self, name: str = "grace", **options: Any) -> Decided:
        """Somebody approves."""
        return self.decide(Verdict.APPROVE, name, **options)

    def reject(self, name: str = "grace", **options: Any) -> Decided:
        """Somebody rejects."""
        return self.decide(Verdict.REJECT, name, **options)

    def approve_all(self, version: str = "1") -> None:
        """The quorum of a high tier approves."""
        for name in ("grace", "henry"):
            self.approve(name, version=version)

    def promote(
        self, version: str = "1", *, workspace: Workspace | None = None, **options: Any
    ) -> Move:
        """Somebody on call promotes."""
        work = workspace or self.as_("otto", Role.ML_ENGINEER, **options)
        return promote(work, self.at("otto"), model=MODEL, version=version)

    def rollback(self, *, reason: str = "it declines everybody", **options: Any) -> RolledBack:
        """Somebody on call rolls back."""
        work = self.as_("otto", options.pop("role", Role.ML_ENGINEER), **options)
        return rollback(work, self.at("otto"), model=MODEL, reason=reason)

    def another_version(self, **product: Any) -> str:
        """One more version of the same trained model."""
        made = register(
            self.world.workspace(),
            tiny_product(**({"tier": "high"} | product)),
            self.at("ada"),
            after_trained(self.made.trained),
        )
        return made.version.version

    def case(self, version: str = "1") -> Case:
        """What the trail says about a version."""
        return open_case(self.world.workspace(), MODEL, version)

    def champion(self) -> str | None:
        """The version that MLflow's alias points at."""
        found = self.world.registry.version_at(MODEL, "champion")
        return None if found is None else found.version

    def tags(self, version: str = "1") -> tuple[str, str]:
        """Approval state and flag as MLflow shows them."""
        tags = self.world.registry.version(MODEL, version).tags
        return tags["approval_state"], tags["deployment_blocked"]

    def last_refusal(self) -> AuditRecord:
        """The newest record of something that was refused."""
        return [each for each in self.world.records() if each.outcome.value == "denied"][-1]

    def requests(self, act: Callable[[], object]) -> int:
        """How many requests to the store something makes; the store is then as it was before."""
        seen: list[str] = []
        with self.unchanged_store():
            self.world.store.before.append(lambda operation, *_: seen.append(operation))
            act()
            self.world.store.before.clear()
        return len(seen)

    @contextmanager
    def cut_off(self, number: int) -> Iterator[None]:
        """The store goes away at one request, counted from 0, and comes back at the end."""
        store, seen = self.world.store, itertools.count()

        def cut(*_: str) -> None:
            if next(seen) == number:
                store.go_away()

        store.before.append(cut)
        try:
            yield
        finally:
            store.before.clear()
            store.come_back()

    @contextmanager
    def unchanged_store(self) -> Iterator[None]:
        """Whatever is stored meanwhile is gone at the end, records that wait on disk too."""
        buckets = self.world.store.buckets
        before = {
            name: {key: list(versions) for key, versions in bucket.versions.items()}
            for name, bucket in buckets.items()
        }
        try:
            yield
        finally:
            for name, bucket in buckets.items():
                bucket.versions = {key: list(kept) for key, kept in before[name].items()}
            shutil.rmtree(self.world.spool, ignore_errors=True)

    def with_registry(self, registry: Any, name: str = "otto") -> Workspace:
        """The world of somebody on call, with another registry."""
        return replace(self.as_(name, Role.ML_ENGINEER), registry=registry)
