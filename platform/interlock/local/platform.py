"""The embedded S3 for one command: found running, or started and stopped again.

Commands of the same home share one S3. ``interlock up`` has one; else the first command starts
it on a free port, the ones that come while it runs use it, and the first stops it when the last
has ended. Three locks see to that: ``gate`` around every start and stop, ``session.json`` held
by the command that started S3, ``users`` shared by all that use it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from interlock.adapters.environment_mark import read_mark, write_mark
from interlock.adapters.object_store import ObjectStore, S3ObjectStore
from interlock.errors import ConfigurationError, PortTaken
from interlock.governance.principal import Environment
from interlock.local.home import Credentials, Home
from interlock.local.locks import FileLock, read_held
from interlock.local.ports import free_port
from interlock.local.seaweed import REGION, SeaweedServer
from interlock.settings import Settings, applied_to_process, no_proxy_on_loopback

START_ATTEMPTS = 3  # another process may take a free port between its choice and its use
Echo = Callable[[str], None]


def utc_now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


def silent(_line: str) -> None:
    """Says nothing."""


class EmbeddedPlatform:
    """S3, MLflow's database and Dagster's home in one folder.

    Args:
        settings: Settings of the process; its ``home`` is the folder.
        clock: The time, aware UTC.
        echo: Takes a line for the person who waits.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime] = utc_now,
        echo: Echo = silent,
    ) -> None:
        self.settings = settings
        self.home = Home(settings.home)
        self._clock = clock
        self._echo = echo

    @contextlib.contextmanager
    def session(self) -> Iterator[Settings]:
        """Everything that a command needs, in the process's environment while the block runs.

        Yields:
            The settings with the embedded services' addresses and credentials in them.

        Raises:
            ConfigurationError: The folder is not ours, or its marks contradict each other.
            ProcessFailed: S3 does not come up.
        """
        self.home.prepare()
        with contextlib.ExitStack() as stack:
            with FileLock(self.home.gate).holding():
                running = self._running()
                if running is None:
                    running = self._start_own(stack)
                elif "owner" in running:
                    self._use(stack)
                mark = self.prepare_store(str(running["s3"]))
            yield stack.enter_context(applied_to_process(self.environment(running, mark)))

    def environment(self, addresses: Mapping[str, Any], mark: Environment | None) -> dict[str, str]:
        """The variables that processes using this platform need.

        Args:
            addresses: ``s3`` and, where ``interlock up`` runs, ``mlflow`` and the
                ``identity_source`` by which people sign in.
            mark: The environment that the store was created for.

        Returns:
            Variables to add to the process's own.
        """
        settings, credentials = self.settings, self.home.credentials()
        variables = {
            "INTERLOCK_HOME": str(self.home.path),
            "DATA_BUCKET": settings.data_bucket,
            "ARTIFACT_BUCKET": settings.artifact_bucket,
            "AUDIT_BUCKET": settings.audit_bucket,
            "AWS_ENDPOINT_URL_S3": str(addresses["s3"]),
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": "",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_TRACKING_URI": str(addresses.get("mlflow", self.home.mlflow_database_uri)),
            "MLFLOW_S3_ENDPOINT_URL": str(addresses["s3"]),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "RUN_SIGNING_KEY": settings.run_signing_key or credentials.run_signing_key,
            "APPROVAL_PUBLIC_KEYS": str(
                settings.approval_public_keys or self.home.approval_public_keys()
            ),
            "IDENTITY_PUBLIC_KEYS": str(
                settings.identity_public_keys or self.home.identity_public_keys()
            ),
            "DAGSTER_HOME": str(self.home.dagster),
            **no_proxy_on_loopback(),
        }
        # Where people sign in to what runs, a command in another shell is nobody's by default too.
        source = settings.identity_source if settings.identity_chosen else None
        source = source or addresses.get("identity_source")
        if source is not None:
            variables["IDENTITY_SOURCE"] = str(source)
        # The embedded store alone takes an unset ENVIRONMENT as dev, and only one made for dev.
        if settings.environment is None and mark is Environment.DEV:
            variables["ENVIRONMENT"] = str(Environment.DEV)
        return variables

    @property
    def signing(self) -> dict[str, str]:
        """The variables of those who sign: who acts, and what somebody decided.

        The home's own keys, unless others are named or believed here.
        """
        settings, home = self.settings, self.home
        own = (
            (
                "IDENTITY_KEY",
                settings.identity_key,
                settings.identity_public_keys,
                home.identity_key,
            ),
            (
                "APPROVAL_KEY",
                settings.approval_key,
                settings.approval_public_keys,
                home.approval_key,
            ),
        )
        found = {name: key or ("" if believed else str(made)) for name, key, believed, made in own}
        return {name: key for name, key in found.items() if key}

    def object_store(self, endpoint_url: str) -> ObjectStore:
        """A client of the embedded S3."""
        credentials = self.home.credentials()
        return S3ObjectStore(
            endpoint_url=endpoint_url,
            access_key=credentials.access_key,
            secret_key=credentials.secret_key,
            region=REGION,
        )

    def prepare_store(self, endpoint_url: str) -> Environment:
        """Makes the buckets that are missing, and marks them.

        Args:
            endpoint_url: The embedded S3.

        Returns:
            The environment that the store was created for.

        Raises:
            ConfigurationError: The buckets carry different marks.
        """
        store, settings = self.object_store(endpoint_url), self.settings
        buckets = (settings.data_bucket, settings.artifact_bucket, settings.audit_bucket)
        marks = {bucket: read_mark(store, bucket) for bucket in buckets}
        found = {mark for mark in marks.values() if mark is not None}
        if len(found) > 1:
            listed = ", ".join(f"{bucket}: {mark}" for bucket, mark in marks.items())
            raise ConfigurationError(
                f"the buckets were created for different environments ({listed})",
                remedy="use buckets of one environment",
            )
        environment = found.pop() if found else settings.environment or Environment.DEV
        for bucket, mark in marks.items():
            if mark is None:
                lock = bucket == settings.audit_bucket
                store.create_bucket(
                    bucket,
                    object_lock=lock,
                    retention_days=settings.audit_retention_days if lock else None,
                )
                write_mark(store, bucket, environment, clock=self._clock)
        return environment

    def _running(self) -> Mapping[str, Any] | None:
        """Addresses of an S3 that runs; call it with the gate closed."""
        for path in (self.home.state, self.home.session):
            found = read_held(path)
            if found is not None and "s3" in found:
                return found
        return None

    def _use(self, stack: contextlib.ExitStack) -> None:
        users = FileLock(self.home.users)
        users.acquire(shared=True)
        stack.callback(users.release)

    def _start_own(self, stack: contextlib.ExitStack) -> Mapping[str, Any]:
        session, users = FileLock(self.home.session), FileLock(self.home.users)
        session.acquire()
        try:
            server = start_on_free_port(self.home)
        except BaseException:
            session.release()
            raise
        users.acquire(shared=True)
        stack.callback(self._stop_own, server, session, users)
        running = {"s3": server.endpoint_url, "owner": server.pid}
        session.write(running)
        return running

    def _stop_own(self, server: SeaweedServer, session: FileLock, users: FileLock) -> None:
        try:
            users.release()
            with FileLock(self.home.gate).holding():
                if not users.acquire(seconds=0):
                    self._echo("another command still uses the embedded S3; waiting for it")
                    users.acquire()
                server.stop()
                session.release()  # before the gate opens: who comes next must start anew
        finally:  # Ctrl-C while waiting; no effect otherwise
            session.release()
            server.kill()
            users.release()


def start_on_free_port(home: Home) -> SeaweedServer:
    """Starts the embedded S3 where nobody listens.

    Args:
        home: Its folder.

    Returns:
        The running server.

    Raises:
        PortTaken: Others took every port that was tried.
        ProcessFailed: It does not come up.
    """
    for attempts_left in reversed(range(START_ATTEMPTS)):
        server = seaweed_of(home, home.credentials(), port=free_port())
        try:
            server.start()
        except PortTaken:
            if not attempts_left:
                raise
        else:
            break
    return server


def seaweed_of(home: Home, credentials: Credentials, *, port: int) -> SeaweedServer:
    """The embedded S3 of a home, not started."""
    return SeaweedServer(
        home.s3,
        port=port,
        access_key=credentials.access_key,
        secret_key=credentials.secret_key,
        log=home.logs / "s3.log",
    )


@contextlib.contextmanager
def connected(
    settings: Settings, *, clock: Callable[[], datetime] = utc_now, echo: Echo = silent
) -> Iterator[Settings]:
    """The services that a command needs: the ones that are configured, else the embedded ones.

    Args:
        settings: Settings of the process.
        clock: The time, aware UTC.
        echo: Takes a line for the person who waits.

    Yields:
        Settings with the addresses of S3 and MLflow.

    Raises:
        ConfigurationError: The embedded folder is not ours.
        ProcessFailed: The embedded S3 does not come up.
    """
    if not settings.embedded:
        yield settings
        return
    with EmbeddedPlatform(settings, clock=clock, echo=echo).session() as found:
        yield found
