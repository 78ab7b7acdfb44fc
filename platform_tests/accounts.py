"""A directory with who may sign in, for tests: a person, a service account, and their secrets."""

from __future__ import annotations

from argon2 import PasswordHasher
from simulators import FakeClock, MemoryObjectStore

from interlock.adapters.credentials import Credentials
from interlock.adapters.directory import Directory, Person
from interlock.governance.principal import IdentitySource, Role

BUCKET = "artifacts"
PASSWORD = "correct horse battery staple"
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Accounts:
    """A directory with ada, who has a password, and robot, who has a token.

    Args:
        clock: Of everything here.
        written: Ada's name as the directory has it.
    """

    def __init__(self, clock: FakeClock, *, written: str = "ada") -> None:
        self.clock = clock
        self.store = MemoryObjectStore()
        self.store.create_bucket(BUCKET)
        self.directory = Directory(self.store, bucket=BUCKET, clock=clock)
        self.credentials = Credentials(
            self.store, bucket=BUCKET, directory=self.directory, clock=clock, hasher=QUICK
        )
        for name, service in ((written, False), ("robot", True)):
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
