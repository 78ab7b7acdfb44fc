"""The stack's own service account: there at every start, with a token that its file holds."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from product_fixtures import World
from programs import load_program

from interlock.actions.administer import set_disabled
from interlock.adapters.credentials import Credentials
from interlock.adapters.directory import Directory
from interlock.errors import AccessDenied
from interlock.governance.audit import Outcome
from interlock.governance.principal import Role

ARTIFACTS = "artifacts"


@dataclass
class Post:
    """A world in which the job runs."""

    world: World
    file: Path
    program: ModuleType
    role: Role = Role.PLATFORM_ADMIN
    where: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.world.store.create_bucket(ARTIFACTS)
        where: dict[str, Any] = {"bucket": ARTIFACTS, "clock": self.world.clock}
        self.directory = Directory(self.world.store, **where)
        self.credentials = Credentials(self.world.store, directory=self.directory, **where)
        self.run = self.world.run("process-1")

    def provide(self) -> str:
        said: str = self.program.provide(
            self.world.workspace(name="operator", role=self.role).authority,
            self.run,
            directory=self.directory,
            credentials=self.credentials,
            name="exporter",
            role=Role.VIEWER,
            file=self.file,
        )
        return said

    def recorded(self) -> list[tuple[Outcome, Any]]:
        records = self.world.ledger(self.run.stream)
        return [(each.outcome, each.evidence.get("change")) for each in records]


@pytest.fixture(scope="module")
def program() -> ModuleType:
    return load_program("docker/dagster/create_accounts.py")


@pytest.fixture
def post(world: World, tmp_path: Path, program: ModuleType) -> Post:
    return Post(world, tmp_path / "token", program)


def test_account_is_added_once_on_record_with_its_token_in_a_private_file(post: Post) -> None:
    assert post.provide() == "exporter: added as viewer"
    token = post.file.read_text().strip()
    person = post.credentials.check_token(token)
    assert (person.name, person.role, person.service) == ("exporter", Role.VIEWER, True)
    assert stat.S_IMODE(post.file.stat().st_mode) == 0o600
    assert post.recorded() == [(Outcome.STARTED, "add"), (Outcome.SUCCEEDED, "add")]
    assert post.provide() == "exporter: its token is right"
    assert post.file.read_text().strip() == token
    assert len(post.recorded()) == 2
    assert post.directory.is_empty(), "the first person is still to be added"


@pytest.mark.parametrize("spoiled", ["lost", "of another store"])
def test_wrong_token_is_replaced(post: Post, spoiled: str) -> None:
    post.provide()
    if spoiled == "lost":
        post.file.unlink()
    else:
        post.file.write_text("interlock.6578706f72746572.0000\n")
    assert post.provide() == "exporter: given a new token"
    assert post.credentials.check_token(post.file.read_text().strip()).name == "exporter"
    assert post.recorded()[-1] == (Outcome.SUCCEEDED, "renew")


def test_account_that_an_administrator_disabled_stays_so(post: Post) -> None:
    post.provide()
    admin = post.world.workspace(name="root", role=Role.PLATFORM_ADMIN).authority
    set_disabled(admin, post.run, directory=post.directory, name="exporter", disabled=True)
    before = len(post.recorded())
    assert "left so" in post.provide()
    found = post.directory.find("exporter")
    assert found is not None
    assert found.disabled
    assert len(post.recorded()) == before


def test_nobody_else_gets_an_account_by_it(post: Post) -> None:
    post.role = Role.ML_ENGINEER
    with pytest.raises(AccessDenied):
        post.provide()
    assert list(post.directory.people()) == []
    assert not post.file.exists()
    assert post.recorded() == [(Outcome.DENIED, "add")]
