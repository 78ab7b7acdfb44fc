"""Who may sign in, for tests of the web server: a directory with a person and a service account."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from simulators import FakeClock, MemoryObjectStore

from interlock.adapters.credentials import Credentials
from interlock.adapters.directory import Directory, Person
from interlock.adapters.run_identity import IdentitySigner, IdentityVerifier
from interlock.adapters.signer import LocalSigner, is_signed_by, new_private_key
from interlock.governance.principal import IdentitySource, Role
from interlock.webserver.visitors import COOKIE, Visitors

BUCKET = "artifacts"
PASSWORD = "correct horse battery staple"


class Desk:
    """A directory with ada, who has a password, and robot, who has a token."""

    def __init__(self, clock: FakeClock, folder: Path) -> None:
        self.clock, self.folder = clock, folder
        self.store = MemoryObjectStore()
        self.store.create_bucket(BUCKET)
        self.directory = Directory(self.store, bucket=BUCKET, clock=clock)
        self.credentials = Credentials(
            self.store,
            bucket=BUCKET,
            directory=self.directory,
            clock=clock,
            hasher=PasswordHasher(time_cost=1, memory_cost=8, parallelism=1),
        )
        for name, service in (("Ada", False), ("robot", True)):
            self.directory.add(
                Person(
                    name=name,
                    role=Role.ML_ENGINEER,
                    teams=frozenset(),
                    source=IdentitySource.LOCAL,
                    sessions_from=clock(),
                    service=service,
                )
            )
        self.credentials.set_password("ada", PASSWORD)
        self.token = self.credentials.new_token("robot")
        self.signer, self.verifier = self.key("server")
        self.visitors = self.visitors_of()

    def key(self, name: str) -> tuple[IdentitySigner, IdentityVerifier]:
        path = self.folder / f"{name}.pem"
        path.write_bytes(new_private_key())
        path.chmod(0o600)
        signer = LocalSigner(path)
        verifier = IdentityVerifier(is_signed_by((signer.public_key,)))
        return IdentitySigner(signer, clock=self.clock), verifier

    def visitors_of(self, **changes: Any) -> Visitors:
        usual: dict[str, Any] = {
            "directory": self.directory,
            "credentials": self.credentials,
            "signer": self.signer,
            "verifier": self.verifier,
            "environment": "prod",
            "clock": self.clock,
        }
        return Visitors(**{**usual, **changes})

    def disable(self, name: str) -> None:
        self.directory.change(name, lambda known: replace(known, disabled=True))

    def by_cookie(self, cookie: str) -> Person:
        found = self.visitors.find({}, {COOKIE: cookie})
        assert found is not None
        assert found.by_cookie
        return found.person
