"""The environment variables that Interlock knows: meaning, default, and how each is read.

Here: the table and the readers of single values. A reader raises ``ValueError`` with what it
expected; ``settings.py`` adds the variable's name and value, and is the only module that reads
the process's environment. ``.env.example`` lists the same variables; a test compares the two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from interlock.governance.principal import IdentitySource, Role

T = TypeVar("T")

MAX_RETENTION_DAYS = 36_500  # 100 years; a COMPLIANCE lock cannot be shortened afterwards
# PSI above which a distribution has moved; Siddiqi 2006, ch. 8, calls 0.10 to 0.25 a small shift.
DEFAULT_DRIFT_THRESHOLD = 0.2
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
TEAM = re.compile(r"[A-Za-z0-9_-]+")
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
            Variable(
                "RUN_TEAMS",
                "",
                "Their teams, with commas; one that owns a product cannot approve it",
            ),
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
            Variable(
                "APPROVAL_KEY",
                "",
                "Signs approvals: a PEM file or awskms:///alias/NAME; never for runs",
            ),
            Variable(
                "APPROVAL_PUBLIC_KEYS",
                "",
                "Keys whose approvals are believed, and whose they are: a PEM file, or its text",
            ),
            Variable(
                "IDENTITY_KEY",
                "",
                "Signs who acts: a PEM file or awskms:///alias/NAME; for web server and daemon",
            ),
            Variable(
                "IDENTITY_PUBLIC_KEYS",
                "",
                "Keys whose signed identities are believed: a PEM file, or its text",
            ),
            Variable(
                "IDENTITY_MAPPING",
                "",
                "Whose tokens are believed, what groups mean: a YAML file, or the same as JSON",
            ),
            Variable(
                "IDENTITY_TOKEN",
                "",
                "Token of a service account that the command line acts as",
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


def listed(choices: type[StrEnum]) -> str:
    """The members of an enumeration, for a message."""
    return ", ".join(str(choice) for choice in choices)


def choice(choices: type[T]) -> Callable[[str], T]:
    """Reads a member of an enumeration."""

    def parse(value: str) -> T:
        try:
            return choices(value)  # type: ignore[call-arg]
        except ValueError as error:
            assert issubclass(choices, StrEnum)  # noqa: S101 - the only kind used here
            raise ValueError(f"one of: {listed(choices)}") from error

    return parse


def identity_source(value: str) -> IdentitySource:
    """Reads where principals come from; ``schedule`` is for the platform itself."""
    if value not in {IdentitySource.ENV, IdentitySource.LOCAL, IdentitySource.OIDC_PROXY}:
        raise ValueError("one of: env, local, oidc-proxy")
    return IdentitySource(value)


def person_role(value: str) -> Role:
    """Reads the role of a person."""
    role = choice(Role)(value)
    if role.is_platforms:
        raise ValueError(f"a person's role: {role} is for runs that no person started")
    return role


def role_list(value: str) -> frozenset[Role]:
    """Reads roles separated by commas."""
    return frozenset(choice(Role)(name.strip()) for name in value.split(","))


def team_list(value: str) -> frozenset[str]:
    """Reads teams separated by commas."""
    teams = frozenset(name.strip() for name in value.split(",") if name.strip())
    for team in teams:
        if TEAM.fullmatch(team) is None:
            raise ValueError("teams as products name them: letters, digits, hyphens, underscores")
    return teams


def file_path(value: str) -> Path:
    """Reads the path of a file."""
    return Path(one_line(value)).expanduser().absolute()


def public_keys(value: str) -> Path | str:
    """Reads public keys: a file's path, or PEM itself, whose line breaks may be written out."""
    if "-----BEGIN" in value:
        return value.replace("\\n", "\n")
    if value.startswith("awskms:"):
        # An alias can be moved to another key: who is believed would change without a trace.
        raise ValueError(
            "the public keys themselves, from `aws kms get-public-key` in PEM, or a file of them"
        )
    return file_path(value)


def file_or_json(value: str) -> Path | str:
    """Reads the path of a file, or a JSON object itself."""
    return one_line(value) if value.startswith("{") else file_path(value)


def one_line(value: str) -> str:
    """Reads text without line breaks and control characters."""
    if not value.isprintable():
        raise ValueError("one line of printable characters")
    return value


def http_address(value: str) -> str:
    """Reads an address; a slash at its end is dropped."""
    if not re.match(r"https?://[^/]", one_line(value)):
        raise ValueError("an address that begins with http:// or https://")
    return value.rstrip("/")


def bucket(value: str) -> str:
    """Reads a bucket's name, by the rules of S3."""
    if BUCKET_NAME.fullmatch(value) is None:
        raise ValueError("a bucket name: 3 to 63 lower-case letters, digits, dots and hyphens")
    return value


def prefix(value: str) -> str:
    """Reads a key prefix; a slash is put at its end."""
    prefix = f"{value.rstrip('/')}/"
    if PREFIX.fullmatch(prefix) is None:
        raise ValueError("a prefix such as governance/audit/, without a slash in front")
    return prefix


def sha256(value: str) -> str:
    """Reads a SHA-256."""
    if SHA256.fullmatch(value) is None:
        raise ValueError("a SHA-256: 64 hexadecimal digits in lower case")
    return value


def days(value: str) -> int:
    """Reads a retention in days."""
    if not (value.isdecimal() and 1 <= int(value) <= MAX_RETENTION_DAYS):
        raise ValueError(f"a whole number of days from 1 to {MAX_RETENTION_DAYS}")
    return int(value)


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def share(value: str) -> float:
    """Reads a share, 0 to 1."""
    number = _number(value)
    if not 0.0 <= number <= 1.0:
        raise ValueError("a number from 0 to 1")
    return number


def threshold(value: str) -> float:
    """Reads a finite number above 0."""
    number = _number(value)
    if not (math.isfinite(number) and number > 0.0):
        raise ValueError("a finite number above 0")
    return number
