"""One life of ``interlock up``: everything started, watched, and in every case stopped.

It holds the lock of ``state.json`` as long as it lives. What each service is: ``services.py``.
How a service ends with its parent: ``keeper.py``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from interlock.errors import LocalError
from interlock.governance.principal import IdentitySource
from interlock.local.home import Home
from interlock.local.liveness import end_left_behind, status, until
from interlock.local.locks import PROBE_SECONDS, FileLock, is_held, read_held
from interlock.local.platform import Echo, EmbeddedPlatform, seaweed_of
from interlock.local.ports import require_free
from interlock.local.seaweed import SeaweedServer
from interlock.local.services import Ports, Service, location_errors
from interlock.settings import Settings, child_environment

READY_SECONDS = 180.0  # measured: 20 s on two cores; a loaded machine gets more
LOOK_SECONDS = 0.2  # between two looks at the services


class BuildServices(Protocol):
    """Makes the services besides S3; see ``build_services``."""

    def __call__(
        self,
        home: Home,
        ports: Ports,
        *,
        module: str,
        environment: Mapping[str, str],
        signing: Mapping[str, str],
        artifact_root: str,
    ) -> tuple[Service, ...]:
        """The services, none of them started."""
        ...


class Supervisor:
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
            end_left_behind(self.home)
            require_free(
                self.ports.by_service(),
                setting="`--dagster-port`, `--console-port`, `--mlflow-port` or `--s3-port`",
            )
            self._start_all()
            while not self.stop.wait(LOOK_SECONDS):
                self._check()
        finally:
            self._stop_all()

    def _claim(self) -> None:
        if not self.state.acquire(seconds=PROBE_SECONDS):
            found = status(self.home)
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
            until(lambda: self.stop.is_set() or not is_held(self.home.session), READY_SECONDS)

    def _start_services(self) -> None:
        self.server = seaweed_of(self.home, self.home.credentials(), port=self.ports.s3)
        self.server.start()
        self._say_ready("S3")
        mark = self.platform.prepare_store(self.server.endpoint_url)
        addresses = {"s3": self.server.endpoint_url, "mlflow": self.ports.mlflow_url}
        if self.settings.identity_source is not IdentitySource.ENV:
            addresses["identity_source"] = str(self.settings.identity_source)
        environment = child_environment(self.platform.environment(addresses, mark))
        if "identity_source" in addresses:
            # Policies and actions, which a supervisor needs for nothing else.
            from interlock.local.accounts import provide_scheduler

            if provide_scheduler(Settings.from_environment(environment), echo=self.echo):
                self.echo("the service account of schedules was added to the directory")
        self.services = self.build(
            self.home,
            self.ports,
            module=self.module,
            environment=environment,
            signing=self.platform.signing,
            artifact_root=f"s3://{self.settings.artifact_bucket}/mlflow",
        )
        if not self._wait_until_ready():
            return
        shown = {
            "Dagster": self.ports.dagster_url,
            "Console": self.ports.console_url,
            "MLflow": self.ports.mlflow_url,
            "S3": self.server.endpoint_url,
        }
        self.state.write({"pid": os.getpid(), "ready": True, **addresses, "addresses": shown})
        for message in location_errors(self.home):
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
