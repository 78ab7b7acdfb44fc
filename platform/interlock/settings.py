"""What the environment variables say: the only module that reads them.

Here: the process's environment, and the values that it gives. Which variables there are and how
each is read: ``variables.py``. Entry points read settings and hand plain arguments down;
``actions/`` and ``adapters/`` never import this.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pwd
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar
from urllib.parse import urlsplit

from interlock import variables
from interlock.errors import ConfigurationError
from interlock.governance.principal import Environment, IdentitySource, Principal, Role
from interlock.variables import MAX_RETENTION_DAYS, VARIABLES

T = TypeVar("T")

REPOSITORY = Path(__file__).resolve().parents[2]
_KEYS = frozenset({"APPROVAL_KEY", "IDENTITY_KEY", "IDENTITY_TOKEN"})
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says. Secrets and addresses with credentials stay out of the repr."""

    environment: Environment | None
    identity_source: IdentitySource
    identity_chosen: bool
    run_owner: str | None
    run_role: Role | None
    run_teams: frozenset[str]
    allowed_staging_roles: frozenset[Role] | None
    allowed_prod_roles: frozenset[Role] | None
    data_bucket: str
    artifact_bucket: str
    audit_bucket: str
    audit_log_prefix: str
    audit_retention_days: int
    baseline_data_hash: str | None
    run_signing_key: str | None = field(repr=False)
    approval_key: str | None
    approval_public_keys: Path | str | None
    identity_key: str | None
    identity_public_keys: Path | str | None
    identity_mapping: Path | str | None
    identity_token: str | None = field(repr=False)
    mlflow_tracking_uri: str | None = field(repr=False)
    min_accuracy: float | None
    min_f1_score: float | None
    drift_threshold: float
    home: Path
    s3_endpoint_url: str | None = field(repr=False)
    aws_access_key_id: str | None = field(repr=False)
    aws_secret_access_key: str | None = field(repr=False)
    aws_session_token: str | None = field(repr=False)
    aws_region: str

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """Reads and checks the variables.

        Args:
            environ: Environment variables; those that are not ours are ignored, and an empty one
                counts as unset.

        Returns:
            The settings.

        Raises:
            ConfigurationError: Naming the variable, what was found and what is possible.
        """
        read = _Reader(environ)
        environment = read.optional("ENVIRONMENT", variables.choice(Environment))
        dev = environment in {None, Environment.DEV}
        settings = cls(
            environment=environment,
            identity_source=read.required("IDENTITY_SOURCE", variables.identity_source),
            identity_chosen=read.is_set("IDENTITY_SOURCE"),
            run_owner=read.optional("RUN_OWNER", variables.one_line),
            run_role=read.optional("RUN_ROLE", variables.person_role)
            or (Role.ML_ENGINEER if dev else None),
            run_teams=read.optional("RUN_TEAMS", variables.team_list) or frozenset(),
            allowed_staging_roles=read.roles("ALLOWED_STAGING_ROLES"),
            allowed_prod_roles=read.roles("ALLOWED_PROD_ROLES"),
            data_bucket=read.required("DATA_BUCKET", variables.bucket),
            artifact_bucket=read.required("ARTIFACT_BUCKET", variables.bucket),
            audit_bucket=read.required("AUDIT_BUCKET", variables.bucket),
            audit_log_prefix=read.required("AUDIT_LOG_PREFIX", variables.prefix),
            audit_retention_days=read.required("AUDIT_RETENTION_DAYS", variables.days),
            baseline_data_hash=read.optional("BASELINE_DATA_HASH", variables.sha256),
            run_signing_key=read.optional("RUN_SIGNING_KEY", variables.one_line),
            approval_key=read.optional("APPROVAL_KEY", variables.one_line),
            approval_public_keys=read.optional("APPROVAL_PUBLIC_KEYS", variables.public_keys),
            identity_key=read.optional("IDENTITY_KEY", variables.one_line),
            identity_public_keys=read.optional("IDENTITY_PUBLIC_KEYS", variables.public_keys),
            identity_mapping=read.optional("IDENTITY_MAPPING", variables.file_or_json),
            identity_token=read.optional("IDENTITY_TOKEN", variables.one_line),
            mlflow_tracking_uri=read.optional("MLFLOW_TRACKING_URI", variables.one_line),
            min_accuracy=read.optional("MIN_ACCURACY", variables.share),
            min_f1_score=read.optional("MIN_F1_SCORE", variables.share),
            drift_threshold=read.required("DRIFT_THRESHOLD", variables.threshold),
            home=_home(
                read.required("INTERLOCK_HOME", variables.one_line),
                chosen=read.is_set("INTERLOCK_HOME"),
            ),
            s3_endpoint_url=read.optional("AWS_ENDPOINT_URL_S3", variables.http_address),
            aws_access_key_id=read.optional("AWS_ACCESS_KEY_ID", variables.one_line),
            aws_secret_access_key=read.optional("AWS_SECRET_ACCESS_KEY", variables.one_line),
            aws_session_token=read.optional("AWS_SESSION_TOKEN", variables.one_line),
            aws_region=read.required("AWS_DEFAULT_REGION", variables.one_line),
        )
        settings._check_together(retention_chosen=read.is_set("AUDIT_RETENTION_DAYS"))
        return settings

    @property
    def embedded(self) -> bool:
        """Whether S3 and MLflow are the embedded ones: no address of either is given."""
        return self.mlflow_tracking_uri is None and self.s3_endpoint_url is None

    @property
    def audit_retention(self) -> timedelta:
        """How long each audit event is locked."""
        return timedelta(days=self.audit_retention_days)

    @property
    def spool_directory(self) -> Path:
        """Where audit records wait that could not be written to S3.

        A folder for each trail: a record of one store never ends up in the trail of another
        that is used from the same home. The embedded store's port changes; it counts as one.
        """
        host = urlsplit(self.s3_endpoint_url or "").netloc.rpartition("@")[2]
        if self.embedded or urlsplit(f"//{host}").hostname in _LOOPBACK:
            host = "localhost"
        trail = f"{host}/{self.audit_bucket}/{self.audit_log_prefix}"
        digest = hashlib.sha256(trail.encode()).hexdigest()[:12]
        return self.home / "spool" / f"{self.audit_bucket}-{digest}"

    @property
    def metric_floors(self) -> Mapping[str, float]:
        """Platform-wide lower limits by metric; a product may tighten them, never loosen."""
        floors = {"accuracy": self.min_accuracy, "f1": self.min_f1_score}
        return {metric: floor for metric, floor in floors.items() if floor is not None}

    def allowed_roles(self, environment: Environment) -> frozenset[Role] | None:
        """Roles that the operator lets act in an environment.

        Args:
            environment: Which one.

        Returns:
            The roles; None where nothing narrows what the policies permit.
        """
        return {
            Environment.STAGING: self.allowed_staging_roles,
            Environment.PROD: self.allowed_prod_roles,
        }.get(environment)

    def _check_together(self, *, retention_chosen: bool) -> None:
        buckets = (self.data_bucket, self.artifact_bucket, self.audit_bucket)
        if len(set(buckets)) != len(buckets):
            raise ConfigurationError(
                "DATA_BUCKET, ARTIFACT_BUCKET and AUDIT_BUCKET are "
                f"{', '.join(buckets)}, expected three different names",
                remedy="give each its own bucket: the audit trail's is locked, the others are not",
            )
        if self.environment in {Environment.STAGING, Environment.PROD} and not retention_chosen:
            raise ConfigurationError(
                f"AUDIT_RETENTION_DAYS is unset in {self.environment}, expected 1 to "
                f"{MAX_RETENTION_DAYS} days",
                remedy="set it to what your rules demand; a COMPLIANCE lock cannot be shortened",
            )
        if self.s3_endpoint_url is not None and self.mlflow_tracking_uri is None:
            raise ConfigurationError(
                "AWS_ENDPOINT_URL_S3 is set and MLFLOW_TRACKING_URI is not, expected both or none",
                remedy="set MLFLOW_TRACKING_URI too, or unset AWS_ENDPOINT_URL_S3 to use the "
                "embedded services",
            )


def load_settings() -> Settings:
    """The settings of this process.

    Raises:
        ConfigurationError: A variable is wrong.
    """
    return Settings.from_environment(os.environ)


def process_environment() -> Mapping[str, str]:
    """All variables of this process, where a product's named secrets are looked up."""
    return MappingProxyType(dict(os.environ))


def child_environment(additions: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child process: this one's, without keys that sign, with additions.

    No service and no run may sign approvals, so none of them is told where that key is; only
    those that sign identities are told where the other one is.

    Args:
        additions: Variables to add or replace.

    Returns:
        All variables.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in _KEYS}
    return {**inherited, **additions}


@contextlib.contextmanager
def applied_to_process(additions: Mapping[str, str]) -> Iterator[Settings]:
    """Sets variables for libraries that read them in this process (boto3, MLflow, Dagster).

    Args:
        additions: Variables to add or replace while the block runs.

    Yields:
        The settings that they give.
    """
    before = {name: os.environ.get(name) for name in additions}
    os.environ.update(additions)
    try:
        yield load_settings()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def no_proxy_on_loopback() -> dict[str, str]:
    """Variables that keep requests to this machine off the proxy, where one is configured."""
    before = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    hosts = [host for host in before.split(",") if host.strip()]
    hosts += [host for host in ("127.0.0.1", "localhost") if host not in hosts]
    return {"NO_PROXY": ",".join(hosts), "no_proxy": ",".join(hosts)}


def principal(settings: Settings) -> Principal:
    """The person that this process acts for.

    Args:
        settings: Settings of the process.

    Returns:
        Name and role, and that an environment variable is all that vouches for them.

    Raises:
        ConfigurationError: Outside dev, owner or role is not given.
    """
    owner, role = settings.run_owner, settings.run_role
    if owner is None and settings.environment in {None, Environment.DEV}:
        owner = _operating_system_user()
    for name, value in (("RUN_OWNER", owner), ("RUN_ROLE", role)):
        if value is None:
            raise ConfigurationError(
                f"{name} is unset in {settings.environment}, expected who acts and in which role",
                remedy=f"set {name}; only dev has a default",
            )
    assert owner is not None  # noqa: S101 - checked in the loop
    assert role is not None  # noqa: S101 - checked in the loop
    return Principal(
        name=owner,
        role=role,
        verified_by=str(settings.identity_source),
        teams=settings.run_teams,
    )


def operator_principal(settings: Settings) -> Principal:
    """Whose word it is where nobody signs in: RUN_OWNER, or the operating system's user."""
    return Principal(
        name=settings.run_owner or _operating_system_user(),
        role=Role.PLATFORM_ADMIN,
        verified_by=str(IdentitySource.ENV),
    )


def scheduler_principal() -> Principal:
    """The service account of runs that no person started."""
    return Principal(name="scheduler", role=Role.SCHEDULER, verified_by="schedule")


def reconciler_principal() -> Principal:
    """The service account that puts back what was changed outside of Interlock."""
    return Principal(name="reconciler", role=Role.SCHEDULER, verified_by="schedule")


class _Reader:
    """Reads the known variables; an empty one counts as unset."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._values = {name: environ.get(name, "").strip() for name in VARIABLES}
        self._environ = environ

    def is_set(self, name: str) -> bool:
        return bool(self._values[name])

    def optional(self, name: str, parse: Callable[[str], T]) -> T | None:
        value = self._values[name] or VARIABLES[name].default
        return self._parsed(name, value, parse) if value else None

    def required(self, name: str, parse: Callable[[str], T]) -> T:
        return self._parsed(name, self._values[name] or VARIABLES[name].default, parse)

    def roles(self, name: str) -> frozenset[Role] | None:
        # Set but empty could mean nobody or everybody; a guard must not have to guess.
        if name in self._environ and not self._values[name]:
            raise ConfigurationError(
                f"{name} is set and empty, expected roles",
                remedy=f"unset it to narrow nothing, or list some of: {variables.listed(Role)}",
            )
        return self.optional(name, variables.role_list)

    def _parsed(self, name: str, value: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(value)
        except ValueError as error:
            found = "a value that is not shown" if VARIABLES[name].secret else repr(value)
            raise ConfigurationError(
                f"{name} is {found}, expected {error}", remedy=f"correct {name}, or unset it"
            ) from error


def _home(value: str, *, chosen: bool) -> Path:
    path = Path(value).expanduser()
    if chosen:
        return path.absolute()
    in_repository = (REPOSITORY / "platform" / "dg.toml").is_file()
    return (REPOSITORY if in_repository else Path.cwd()) / path


def _operating_system_user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container that runs under a number without a name
        return f"uid-{os.getuid()}"
