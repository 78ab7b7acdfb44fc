"""What the environment variables say: the only module that reads them.

Here: each variable with its meaning, default and limits, and the values they give. Entry points
read settings and hand plain arguments down; ``actions/`` and ``adapters/`` never import this.
``.env.example`` lists the same variables; a test compares the two.
"""

from __future__ import annotations

import contextlib
import math
import os
import pwd
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from interlock.errors import ConfigurationError
from interlock.governance.principal import Environment, IdentitySource, Principal, Role

T = TypeVar("T")

REPOSITORY = Path(__file__).resolve().parents[2]
MAX_RETENTION_DAYS = 36_500  # 100 years; a COMPLIANCE lock cannot be shortened afterwards
# PSI above which a distribution has moved; Siddiqi 2006, ch. 8, calls 0.10 to 0.25 a small shift.
DEFAULT_DRIFT_THRESHOLD = 0.2
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
SHA256 = re.compile(r"[0-9a-f]{64}")
PREFIX = re.compile(r"(?:[A-Za-z0-9_=-][A-Za-z0-9_.=-]*/)+")


@dataclass(frozen=True)
class Variable:
    """One environment variable.

    Args:
        name: Its name.
        default: What is taken when it is unset or empty; "" where nothing is.
        meaning: One sentence for ``.env.example`` and ``doctor``.
        secret: Whether its value may never be shown.
    """

    name: str
    default: str
    meaning: str
    secret: bool = False


VARIABLES: Mapping[str, Variable] = MappingProxyType(
    {
        variable.name: variable
        for variable in (
            Variable("ENVIRONMENT", "", "dev, staging or prod; unset is denied every write"),
            Variable("IDENTITY_SOURCE", "env", "Where principals come from; outside dev to be set"),
            Variable("RUN_OWNER", "", "Who acts; in dev the operating system's user by default"),
            Variable("RUN_ROLE", "", "Their role; in dev ml_engineer by default"),
            Variable("ALLOWED_STAGING_ROLES", "", "Roles that may act in staging, with commas"),
            Variable("ALLOWED_PROD_ROLES", "", "Roles that may act in prod, with commas"),
            Variable("DATA_BUCKET", "interlock-data", "Bucket of snapshots"),
            Variable("ARTIFACT_BUCKET", "interlock-artifacts", "Bucket of MLflow's artifacts"),
            Variable("AUDIT_BUCKET", "interlock-audit", "Bucket of the audit trail, with lock"),
            Variable("AUDIT_LOG_PREFIX", "governance/audit/", "Where the trail begins in it"),
            Variable(
                "AUDIT_RETENTION_DAYS", "1", "Days each event is locked; outside dev to be set"
            ),
            Variable(
                "BASELINE_DATA_HASH", "", "SHA-256 of the snapshot that drift is measured from"
            ),
            Variable(
                "RUN_SIGNING_KEY",
                "",
                "Proves that a schedule started a run; 32 bytes or more, unset skips schedules",
                secret=True,
            ),
            Variable("MLFLOW_TRACKING_URI", "", "MLflow; unset means the embedded one"),
            Variable("MIN_ACCURACY", "", "Lowest accuracy that any product may ask for, 0 to 1"),
            Variable("MIN_F1_SCORE", "", "Lowest F1 score that any product may ask for, 0 to 1"),
            Variable(
                "DRIFT_THRESHOLD", str(DEFAULT_DRIFT_THRESHOLD), "Highest PSI without an alarm"
            ),
            Variable(
                "INTERLOCK_HOME", ".interlock", "Folder of the embedded services and the spool"
            ),
            Variable("AWS_ENDPOINT_URL_S3", "", "S3; unset means the embedded one, or AWS's own"),
            Variable("AWS_ACCESS_KEY_ID", "", "S3 access key; unset means AWS's own chain"),
            Variable("AWS_SECRET_ACCESS_KEY", "", "Its secret", secret=True),
            Variable("AWS_SESSION_TOKEN", "", "Its session, for temporary keys", secret=True),
            Variable("AWS_DEFAULT_REGION", "us-east-1", "Region of the buckets"),
        )
    }
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What the environment says. Secrets and addresses with credentials stay out of the repr."""

    environment: Environment | None
    identity_source: IdentitySource
    identity_chosen: bool
    run_owner: str | None
    run_role: Role | None
    allowed_staging_roles: frozenset[Role] | None
    allowed_prod_roles: frozenset[Role] | None
    data_bucket: str
    artifact_bucket: str
    audit_bucket: str
    audit_log_prefix: str
    audit_retention_days: int
    baseline_data_hash: str | None
    run_signing_key: str | None = field(repr=False)
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
        environment = read.optional("ENVIRONMENT", _choice(Environment))
        dev = environment in {None, Environment.DEV}
        settings = cls(
            environment=environment,
            identity_source=read.required("IDENTITY_SOURCE", _identity_source),
            identity_chosen=read.is_set("IDENTITY_SOURCE"),
            run_owner=read.optional("RUN_OWNER", _one_line),
            run_role=read.optional("RUN_ROLE", _person_role) or (Role.ML_ENGINEER if dev else None),
            allowed_staging_roles=read.roles("ALLOWED_STAGING_ROLES"),
            allowed_prod_roles=read.roles("ALLOWED_PROD_ROLES"),
            data_bucket=read.required("DATA_BUCKET", _bucket),
            artifact_bucket=read.required("ARTIFACT_BUCKET", _bucket),
            audit_bucket=read.required("AUDIT_BUCKET", _bucket),
            audit_log_prefix=read.required("AUDIT_LOG_PREFIX", _prefix),
            audit_retention_days=read.required("AUDIT_RETENTION_DAYS", _days),
            baseline_data_hash=read.optional("BASELINE_DATA_HASH", _sha256),
            run_signing_key=read.optional("RUN_SIGNING_KEY", _one_line),
            mlflow_tracking_uri=read.optional("MLFLOW_TRACKING_URI", _one_line),
            min_accuracy=read.optional("MIN_ACCURACY", _share),
            min_f1_score=read.optional("MIN_F1_SCORE", _share),
            drift_threshold=read.required("DRIFT_THRESHOLD", _threshold),
            home=_home(read.required("INTERLOCK_HOME", _one_line), read.is_set("INTERLOCK_HOME")),
            s3_endpoint_url=read.optional("AWS_ENDPOINT_URL_S3", _http_address),
            aws_access_key_id=read.optional("AWS_ACCESS_KEY_ID", _one_line),
            aws_secret_access_key=read.optional("AWS_SECRET_ACCESS_KEY", _one_line),
            aws_session_token=read.optional("AWS_SESSION_TOKEN", _one_line),
            aws_region=read.required("AWS_DEFAULT_REGION", _one_line),
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
        """Where audit records wait that could not be written to S3."""
        return self.home / "spool"

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
    """The environment of a child process: this one's, with additions.

    Args:
        additions: Variables to add or replace.

    Returns:
        All variables.
    """
    return {**os.environ, **additions}


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
    return Principal(name=owner, role=role, verified_by=str(settings.identity_source))


def scheduler_principal() -> Principal:
    """The service account of runs that no person started."""
    return Principal(name="scheduler", role=Role.SCHEDULER, verified_by="schedule")


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
                remedy=f"unset it to narrow nothing, or list some of: {_listed(Role)}",
            )
        return self.optional(name, _role_list)

    def _parsed(self, name: str, value: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(value)
        except ValueError as error:
            found = "a value that is not shown" if VARIABLES[name].secret else repr(value)
            raise ConfigurationError(
                f"{name} is {found}, expected {error}", remedy=f"correct {name}, or unset it"
            ) from error


def _listed(choices: type[StrEnum]) -> str:
    return ", ".join(str(choice) for choice in choices)


def _choice(choices: type[T]) -> Callable[[str], T]:
    def parse(value: str) -> T:
        try:
            return choices(value)  # type: ignore[call-arg]
        except ValueError as error:
            assert issubclass(choices, StrEnum)  # noqa: S101 - the only kind used here
            raise ValueError(f"one of: {_listed(choices)}") from error

    return parse


def _identity_source(value: str) -> IdentitySource:
    if value in {IdentitySource.LOCAL, IdentitySource.OIDC_PROXY}:
        raise ValueError(f"env: {value} is not available in this version")
    if value != IdentitySource.ENV:
        raise ValueError("env (local and oidc-proxy are not available in this version)")
    return IdentitySource.ENV


def _person_role(value: str) -> Role:
    role = _choice(Role)(value)
    if role is Role.SCHEDULER:
        raise ValueError("a person's role: scheduler is for runs that no person started")
    return role


def _role_list(value: str) -> frozenset[Role]:
    return frozenset(_choice(Role)(name.strip()) for name in value.split(","))


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("one line of printable characters")
    return value


def _http_address(value: str) -> str:
    if not re.match(r"https?://[^/]", _one_line(value)):
        raise ValueError("an address that begins with http:// or https://")
    return value.rstrip("/")


def _bucket(value: str) -> str:
    if BUCKET_NAME.fullmatch(value) is None:
        raise ValueError("a bucket name: 3 to 63 lower-case letters, digits, dots and hyphens")
    return value


def _prefix(value: str) -> str:
    prefix = f"{value.rstrip('/')}/"
    if PREFIX.fullmatch(prefix) is None:
        raise ValueError("a prefix such as governance/audit/, without a slash in front")
    return prefix


def _sha256(value: str) -> str:
    if SHA256.fullmatch(value) is None:
        raise ValueError("a SHA-256: 64 hexadecimal digits in lower case")
    return value


def _days(value: str) -> int:
    if not (value.isdecimal() and 1 <= int(value) <= MAX_RETENTION_DAYS):
        raise ValueError(f"a whole number of days from 1 to {MAX_RETENTION_DAYS}")
    return int(value)


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def _share(value: str) -> float:
    number = _number(value)
    if not 0.0 <= number <= 1.0:
        raise ValueError("a number from 0 to 1")
    return number


def _threshold(value: str) -> float:
    number = _number(value)
    if not (math.isfinite(number) and number > 0.0):
        raise ValueError("a finite number above 0")
    return number


def _home(value: str, chosen: bool) -> Path:
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
