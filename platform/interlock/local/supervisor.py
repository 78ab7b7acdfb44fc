"""``interlock up``, ``down`` and ``status``: all services for daily work, together.

``up`` holds the lock of ``state.json`` as long as it lives, so that a second one, ``down`` and
every command can tell a living platform from the traces of a killed one. Each service holds a
lock of its own and ends with ``up``, however that ends (``keeper.py``).
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Protocol

from interlock.errors import LocalError
from interlock.local.home import Home
from interlock.local.locks import PROBE_SECONDS, FileLock, is_held, read_held
from interlock.local.platform import Echo, EmbeddedPlatform, seaweed_of, silent, utc_now
from interlock.local.ports import require_free
from interlock.local.process import end_orphan
from interlock.local.seaweed import SeaweedServer
from interlock.local.services import DEFAULT_PORTS, Ports, Service, build_services, location_errors
from interlock.settings import Settings, child_environment

MODULE = "interlock.definitions"
READY_SECONDS = 180.0  # measured: 20 s on two cores; a loaded machine gets more
DOWN_SECONDS = 15.0  # `up` stops within 10 s
ENDED_SECONDS = (
    8.0  # until the services of a killed `up` have ended: their keepers' grace, and more
)
LOOK_SECONDS = 0.2  # between two looks at the services
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class BuildServices(Protocol):
    """Makes the services besides S3; see ``build_services``."""

    def __call__(
        self,
        home: Home,
        ports: Ports,
        *,
        module: str,
        environment: Mapping[str, str],
        artifact_root: str,
    ) -> tuple[Service, ...]: ...


@dataclass(frozen=True)
class PlatformStatus:
    """What runs.

    Args:
        pid: Process of ``interlock up``.
        ready: Whether everything is up; False while it starts or stops.
        addresses: Service to address.
    """

    pid: int
    ready: bool
    addresses: Mapping[str, str]


def up(
    settings: Settings,
    *,
    ports: Ports = DEFAULT_PORTS,
    module: str = MODULE,
    echo: Echo = silent,
    clock: Callable[[], datetime] = utc_now,
    build: BuildServices = build_services,
) -> None:
    """Starts everything and stays until Ctrl-C, SIGTERM or ``down``.

    Args:
        settings: Settings of the process.
        ports: Where the services serve.
        module: Python module of the code location.
        echo: Takes each line for the person who waits.
        clock: The time, aware UTC.
        build: Makes the services besides S3; another one for tests.

    Raises:
        LocalError: It runs already.
        PortTaken: One of the ports is taken; nothing was started.
        ProcessFailed: A service did not come up, or ended; the others are stopped.
    """
    stop = threading.Event()
    with _signals_set(stop):
        _Supervisor(
            EmbeddedPlatform(settings, clock=clock, echo=echo),
            ports=ports,
            module=module,
            echo=echo,
            build=build,
            stop=stop,
        ).run()


def down(settings: Settings, *, echo: Echo = silent) -> bool:
    """Stops ``interlock up`` from another process, and what a killed one left behind.

    Args:
        settings: Settings of the process.
        echo: Takes each line for the person who waits.

    Returns:
        Whether anything was running.

    Raises:
        LocalError: It does not stop, even by force.
    """
    home = Home(settings.home)
    if not home.exists():
        return False
    found = status(settings)
    if found is not None:
        echo(f"stopping process {found.pid}")
        os.kill(found.pid, signal.SIGTERM)
        if not _until(lambda: not is_held(home.state), DOWN_SECONDS):
            echo("it does not answer; stopping it by force")
            os.kill(found.pid, signal.SIGKILL)
    left = _end_left_behind(home) if read_held(home.session) is None else False
    return found is not None or left


def status(settings: Settings) -> PlatformStatus | None:
    """What runs in the home of these settings; None when ``interlock up`` does not."""
    state = read_held(Home(settings.home).state)
    if state is None:
        return None
    return PlatformStatus(
        pid=int(state["pid"]),
        ready=bool(state.get("ready")),
        addresses=dict(state.get("addresses", {})),
    )


class _Supervisor:
    """One life of ``interlock up``."""

    def __init__(
        self,
        platform: EmbeddedPlatform,
        *,
        ports: Ports,
        module: str,
        echo: Echo,
        build: BuildServices,
        stop: threading.Event,
    ) -> None:
        self.platform = platform
        self.settings = platform.settings
        self.home = platform.home
        self.ports = ports
        self.module = module
        self.echo = echo
        self.build = build
        self.stop = stop
        self.state = FileLock(self.home.state)
        self.server: SeaweedServer | None = None
        self.services: tuple[Service, ...] = ()
        self.began = time.monotonic()

    def run(self) -> None:
        """Starts, watches, and in every case stops."""
        self.home.prepare()
        self._claim()
        try:
            _end_left_behind(self.home)
            require_free(self.ports.by_service(), setting="`interlock up`'s options")
            self._start_all()
            while not self.stop.wait(LOOK_SECONDS):
                self._check()
        finally:
            self._stop_all()

    def _claim(self) -> None:
        if not self.state.acquire(seconds=PROBE_SECONDS):
            found = status(self.settings)
            where = f"process {found.pid}" if found is not None else "another process"
            raise LocalError(
                f"`interlock up` runs already in {self.home.path} ({where})",
                remedy="use it, or stop it with `interlock down`",
            )
        self.state.write({"pid": os.getpid()})

    def _start_all(self) -> None:
        while not self.stop.is_set():
            # The gate stays closed until everything serves: commands that come meanwhile wait.
            with FileLock(self.home.gate).holding():
                other = read_held(self.home.session)
                if other is None:
                    self._start_services()
                    return
            self.echo("waiting for the command that uses the embedded S3")
            _until(lambda: self.stop.is_set() or not is_held(self.home.session), READY_SECONDS)

    def _start_services(self) -> None:
        self.server = seaweed_of(self.home, self.home.credentials(), port=self.ports.s3)
        self.server.start()
        self._say_ready("S3")
        mark = self.platform.prepare_store(self.server.endpoint_url)
        addresses = {"s3": self.server.endpoint_url, "mlflow": self.ports.mlflow_url}
        self.services = self.build(
            self.home,
            self.ports,
            module=self.module,
            environment=child_environment(self.platform.environment(addresses, mark)),
            artifact_root=f"s3://{self.settings.artifact_bucket}/mlflow",
        )
        if not self._wait_until_ready():
            return
        shown = {"Dagster": self.ports.dagster_url, "MLflow": self.ports.mlflow_url}
        shown["S3"] = self.server.endpoint_url
        self.state.write({"pid": os.getpid(), "ready": True, **addresses, "addresses": shown})
        for message in location_errors(self.ports.dagster):
            self.echo(f"the code location {self.module} does not load: {message}")
        for name, address in shown.items():
            self.echo(f"{name:<8} {address}")
        self.echo("Ctrl-C or `interlock down` stops everything")

    def _wait_until_ready(self) -> bool:
        """Starts each service when it may and waits for all; False when told to stop."""
        ready: set[str] = set()
        while len(ready) < len(self.services):
            for service in self.services:
                if service.name in ready or service.after not in {None, *ready}:
                    continue
                if service.child.pid is None:
                    service.child.start()
                elif service.is_ready():
                    ready.add(service.name)
                    self._say_ready(service.name)
            self._check()
            if time.monotonic() - self.began > READY_SECONDS:
                late = next(service for service in self.services if service.name not in ready)
                raise late.child.failure(f"was not ready within {READY_SECONDS:.0f} s")
            if self.stop.wait(LOOK_SECONDS):
                return False
        return True

    def _check(self) -> None:
        """Raises when a process that was started is no longer there."""
        children = [service.child for service in self.services]
        if self.server is not None and self.server.child is not None:
            children.append(self.server.child)
        for child in children:
            if child.pid is not None and not child.running:
                raise child.failure("ended unexpectedly")

    def _stop_all(self) -> None:
        """Stops whatever was started: at most twice the keepers' grace of four seconds."""
        began = time.monotonic()
        self.state.write({"pid": os.getpid()})  # commands that come now find no platform
        # Runs in the code location still write to MLflow and S3 when they are interrupted.
        last = [service.child for service in self.services if service.name == "MLflow"]
        first = [service.child for service in self.services if service.child not in last]
        if self.server is not None and self.server.child is not None:
            last.append(self.server.child)
        for group in (first, last):
            for child in group:
                child.ask_to_stop()
            for child in group:
                child.stop()
        if self.server is not None:
            self.server.stop()
            self.echo(f"everything stopped within {time.monotonic() - began:.1f} s")
        self.state.release()

    def _say_ready(self, name: str) -> None:
        self.echo(f"{name} is ready after {time.monotonic() - self.began:.1f} s")


def _service_locks(home: Home) -> Sequence[Path]:
    names = ("mlflow", "code-location", "dagster", "daemon")
    return (*(home.run / f"{name}.lock" for name in names), home.s3_lock)


def _end_left_behind(home: Home) -> bool:
    """Waits for what a killed ``up`` left to end, and ends what nobody watches.

    Returns:
        Whether there was anything.

    Raises:
        LocalError: Something does not end.
    """
    held = [lock for lock in _service_locks(home) if is_held(lock)]
    # A command that works on the home has an S3 of its own, which is none of ours.
    if not held or read_held(home.session) is not None:
        return False
    for lock in held:
        end_orphan(lock)
    if not _until(lambda: not any(is_held(lock) for lock in held), ENDED_SECONDS):
        names = ", ".join(lock.stem for lock in held if is_held(lock))
        raise LocalError(
            f"services of an earlier `interlock up` still run: {names}",
            remedy=f"end the processes named in {home.run}/*.lock",
        )
    return True


def _until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS / 4)
    return True


@contextlib.contextmanager
def _signals_set(stop: threading.Event) -> Iterator[None]:
    """Turns the signals that end a program into an event, where this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def remember(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, remember) for number in STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
