"""Servers of this platform in processes of their own, and who may sign in to them: no Docker."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from stack.composed import wait_until

from interlock.adapters.directory import Person
from interlock.assembly import open_credentials, open_directory, open_store, utc_now
from interlock.governance.principal import IdentitySource, Role
from interlock.local.home import Home
from interlock.local.ports import LOOPBACK, free_ports
from interlock.local.services import fetch
from interlock.settings import Settings

PASSWORD = "correct horse battery staple"
START_SECONDS = 300.0  # of a server, on a busy machine


def add_account(
    settings: Settings, name: str, role: Role, *, team: str | None = None, password: str = PASSWORD
) -> None:
    """Adds somebody who can sign in.

    Args:
        settings: With the services' addresses.
        name: Theirs.
        role: Theirs.
        team: Theirs, if any.
        password: Theirs.
    """
    store = open_store(settings)
    open_directory(settings, store).add(
        Person(
            name=name,
            role=role,
            teams=frozenset({team} if team else ()),
            source=IdentitySource.LOCAL,
            sessions_from=utc_now(),
        )
    )
    open_credentials(settings, store).set_password(name, password)


@contextlib.contextmanager
def served(settings: Settings, module: str, *options: str, log: Path, **own: str) -> Iterator[str]:
    """A server of this platform to which people sign in, with the identity key of the home.

    Args:
        settings: With the services' addresses, which are in the environment too.
        module: Which server.
        options: Of its command line.
        log: Where it writes.
        own: Variables besides those of the key.

    Yields:
        Its address.
    """
    home, (port,) = Home(settings.home), free_ports(1)
    keys = {
        "IDENTITY_SOURCE": "local",
        "IDENTITY_PUBLIC_KEYS": str(home.identity_public_keys()),
        "IDENTITY_KEY": str(home.identity_key),
    }
    with running(
        [sys.executable, "-m", module, "--port", str(port), *options],
        {**os.environ, **keys, **own},
        is_ready=lambda: fetch(port, "/healthz") is not None,
        log=log,
        seconds=START_SECONDS,
    ):
        yield f"http://{LOOPBACK}:{port}"


@contextlib.contextmanager
def running(
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    is_ready: Callable[[], bool],
    log: Path,
    seconds: float,
    end: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    """A process from when it is ready; ended afterwards.

    Args:
        command: What to start.
        environment: Its variables.
        is_ready: Whether it is.
        log: Where it writes.
        seconds: How long it may take.
        end: The signal that ends it.
    """
    with (
        log.open("w") as file,
        subprocess.Popen(
            command, env=environment, stdout=file, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            wait_until(
                lambda: is_ready() or process.poll() is not None,
                f"{' '.join(command)} is ready",
                seconds=seconds,
            )
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.send_signal(end)
