"""From settings to a workspace: where plain values become connected parts.

Every entry point (code location, CLI, later console and serving) opens its workspace here,
so that all of them act under the same policies, marks and audit trail.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import interlock
from interlock.actions.authority import Authority, RunContext
from interlock.actions.workspace import SYSTEM_PATHS, Workspace
from interlock.adapters.audit_log import AuditLog
from interlock.adapters.believed_keys import Signatories, read_believed_keys
from interlock.adapters.credentials import Credentials
from interlock.adapters.directory import Directory
from interlock.adapters.environment_mark import read_mark
from interlock.adapters.mlflow_connection import MlflowConnection
from interlock.adapters.model_registry import ModelRegistry
from interlock.adapters.object_store import ObjectStore, S3ObjectStore
from interlock.adapters.run_identity import IdentitySigner, IdentityVerifier, RunPrincipals
from interlock.adapters.signed_in import SignedIn
from interlock.adapters.signer import KMS_SCHEME, is_signed_by, open_signer
from interlock.adapters.tokens import RunTokens
from interlock.adapters.tracking import ExperimentTracker
from interlock.errors import ConfigurationError, IdentityError, SigningError, SignInRefused
from interlock.governance.audit import (
    RunRef,
    Stream,
)
from interlock.governance.policy import PolicyEngine, RequestContext
from interlock.governance.principal import UNVERIFIED, Environment, IdentitySource, Principal
from interlock.settings import REPOSITORY, Settings, principal, scheduler_principal

PROBE_PREFIX = "_interlock/"


@dataclass(frozen=True)
class Signing:
    """How a process says who acts.

    Attributes:
        source: Where principals come from.
        environment: Where it runs.
        signer: Signs identities; None in a process that holds no key.
        verifier: Checks them.
    """

    source: IdentitySource
    environment: str
    signer: IdentitySigner | None
    verifier: IdentityVerifier


def utc_now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


@cache
def code_version() -> str:
    """Which code acts: the package's version and a SHA-256 over its source files."""
    package = Path(interlock.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*")):
        if path.suffix in {".py", ".cedar", ".cedarschema", ".json", ".html"}:
            digest.update(path.relative_to(package).as_posix().encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{interlock.__version__}+{digest.hexdigest()[:16]}"


def open_store(
    settings: Settings, kind: Callable[..., S3ObjectStore] = S3ObjectStore
) -> S3ObjectStore:
    """The object store that the settings name.

    Temporary keys are left to AWS's own chain, which reads all three parts from where the
    settings did.

    Args:
        settings: Of this process.
        kind: Makes it; another kind for servers that read the same again and again.
    """
    temporary = settings.aws_session_token is not None
    return kind(
        endpoint_url=settings.s3_endpoint_url,
        access_key=None if temporary else settings.aws_access_key_id,
        secret_key=None if temporary else settings.aws_secret_access_key,
        region=settings.aws_region,
    )


def open_audit_log(settings: Settings, store: ObjectStore) -> AuditLog:
    """The audit trail that the settings name."""
    return AuditLog(
        store,
        bucket=settings.audit_bucket,
        prefix=settings.audit_log_prefix,
        retention=settings.audit_retention,
        spool_directory=settings.spool_directory,
        clock=utc_now,
    )


def open_workspace(
    settings: Settings,
    *,
    secrets: Mapping[str, str],
    believe_token: bool = True,
    store: ObjectStore | None = None,
) -> Workspace:
    """Everything that actions work with.

    Args:
        settings: Of this process.
        secrets: Where a product's named secrets are looked up, e.g. a database's address.
        believe_token: Whether this process may act as whose IDENTITY_TOKEN it holds; not the
            code location, whose runs say themselves who they act for.
        store: The object store; that of the settings by default.

    Returns:
        The workspace.

    Raises:
        ConfigurationError: Environment, MLflow or a scratch folder is not given.
        PolicyError: The policies do not load.
    """
    environment = _environment(settings)
    if settings.mlflow_tracking_uri is None:
        raise ConfigurationError(
            "MLFLOW_TRACKING_URI is unset",
            remedy="set it, or use `interlock demo`, `run` or `up`, which start everything",
        )
    store = open_store(settings) if store is None else store
    connection = MlflowConnection(
        tracking_uri=settings.mlflow_tracking_uri,
        artifact_root=(
            f"s3://{settings.artifact_bucket}/mlflow"
            if settings.mlflow_tracking_uri.startswith("sqlite:")
            else None
        ),
        environment=environment,
    )
    registry = ModelRegistry(connection)
    return Workspace(
        authority=open_own_authority(settings, store, believe_token=believe_token),
        store=store,
        tracker=ExperimentTracker(connection),
        registry=registry,
        data_bucket=settings.data_bucket,
        scratch=Path(tempfile.gettempdir()),
        root=REPOSITORY,
        floors=settings.metric_floors,
        jobs=os.cpu_count() or 1,
        clock=utc_now,
        secret=_secret_of(secrets),
        signatories=_signatories(settings),
        directory=open_directory(settings, store),
        private_paths=_private_paths(settings),
        private_buckets=(settings.audit_bucket, settings.artifact_bucket),
    )


def open_authority(settings: Settings, store: ObjectStore, who: Principal) -> Authority:
    """Who acts here, under which policies, and where it is recorded.

    Args:
        settings: Of this process.
        store: The object store that they name.
        who: Who acts.

    Returns:
        The authority.

    Raises:
        ConfigurationError: The environment is not given.
        PolicyError: The policies do not load.
    """
    environment = _environment(settings)
    return Authority(
        principal=who,
        environment=environment,
        engine=PolicyEngine.load(),
        audit=open_audit_log(settings, store),
        context=_standing_context(settings, environment, store),
        code_version=code_version(),
        probe=lambda: store.probe(settings.audit_bucket, PROBE_PREFIX),
        clock=utc_now,
    )


def open_own_authority(
    settings: Settings, store: ObjectStore, *, believe_token: bool = True
) -> Authority:
    """Who this process acts for: the operator's word, whose token it holds, or who signed in.

    Args:
        settings: Of this process.
        store: The object store that they name.
        believe_token: As for ``open_workspace``.

    Returns:
        The authority; one that permits nothing when nobody proves who they are.

    Raises:
        ConfigurationError: The environment, or outside dev the owner, is not given.
        PolicyError: The policies do not load.
        StoreUnavailable: The directory cannot be asked.
    """
    if settings.identity_source is IdentitySource.ENV:
        return open_authority(settings, store, principal(settings))
    authority = open_authority(settings, store, UNVERIFIED)
    if not believe_token:
        return authority.unverified("nothing says who acts")
    try:
        if settings.identity_token is not None:
            person = open_credentials(settings, store).check_token(settings.identity_token)
        else:
            person = SignedIn(settings.home).person(
                _identity_verifier(settings),
                open_directory(settings, store),
                environment=authority.environment.value,
                now=utc_now(),
            )
    except SignInRefused as error:
        return authority.unverified(f"IDENTITY_TOKEN: {error.why}")
    except IdentityError as error:
        return authority.unverified(error.message)
    return authority.acting_as(person.principal)


def open_signing(settings: Settings) -> Signing:
    """How this process says who acts.

    Raises:
        SigningError: A key is named and cannot be used.
    """
    signer = None
    if settings.identity_key is not None:
        # Stays open as long as the process lives.
        key = ExitStack().enter_context(
            open_signer(settings.identity_key, region=settings.aws_region)
        )
        signer = IdentitySigner(key, clock=utc_now)
    return Signing(
        source=settings.identity_source,
        environment=str(settings.environment or ""),
        signer=signer,
        verifier=_identity_verifier(settings),
    )


def run_principals(settings: Settings) -> Callable[[Workspace], RunPrincipals] | None:
    """What finds the principal of a run; None where principals are the operator's word.

    Raises:
        SigningError: IDENTITY_PUBLIC_KEYS holds something else than public keys.
    """
    if settings.identity_source is IdentitySource.ENV:
        return None
    verifier = _identity_verifier(settings)
    return lambda workspace: RunPrincipals(
        verifier, open_directory(settings, workspace.store), service=scheduler_principal()
    )


def open_directory(settings: Settings, store: ObjectStore) -> Directory:
    """People and service accounts."""
    return Directory(store, bucket=settings.artifact_bucket, clock=utc_now)


def open_credentials(settings: Settings, store: ObjectStore) -> Credentials:
    """What proves who they are; for processes whose key may read it, which no run's may."""
    directory = open_directory(settings, store)
    return Credentials(store, bucket=settings.artifact_bucket, directory=directory, clock=utc_now)


def open_tokens(settings: Settings) -> RunTokens | None:
    """What issues and checks the tokens of scheduled runs; None without a key."""
    if settings.run_signing_key is None:
        return None
    return RunTokens(settings.run_signing_key.encode(), clock=utc_now)


def process_context(verb: str, report: Callable[[str], None]) -> RunContext:
    """The context of an action outside Dagster runs: one stream per process.

    Args:
        verb: What the process does, e.g. ``deploy-check``.
        report: Told what is being done.

    Returns:
        The context.
    """
    today = utc_now().date()
    return RunContext(
        stream=Stream(name=f"{verb}-{today:%Y%m%d}-{uuid.uuid4().hex[:12]}", opened=today),
        ref=RunRef(),
        report=report,
    )


def _environment(settings: Settings) -> Environment:
    if settings.environment is None:
        raise ConfigurationError(
            "ENVIRONMENT is unset, expected dev, staging or prod",
            remedy="set ENVIRONMENT to what the buckets and the registry were created for",
        )
    return settings.environment


def _standing_context(
    settings: Settings, environment: Environment, store: ObjectStore
) -> RequestContext:
    """What every request tells the policies, the environment mark of all buckets included."""
    marks = {
        read_mark(store, bucket)
        for bucket in (settings.data_bucket, settings.artifact_bucket, settings.audit_bucket)
    }
    mark = marks.pop() if len(marks) == 1 else None
    allowed = settings.allowed_roles(environment)
    return RequestContext(
        mark="" if mark is None else mark.value,
        identity_source=IdentitySource(settings.identity_source.value),
        identity_chosen=settings.identity_chosen,
        roles_restricted=allowed is not None,
        allowed_roles=allowed,
    )


def _identity_verifier(settings: Settings) -> IdentityVerifier:
    source = settings.identity_public_keys
    found = () if source is None else read_believed_keys(source)
    people = sorted(each.account for each in found if each.account)
    if people:
        raise SigningError(
            f"IDENTITY_PUBLIC_KEYS holds a key of {', '.join(people)}, expected keys of servers",
            remedy="name the public half of the key that web server and daemon sign with",
        )
    return IdentityVerifier(is_signed_by([each.key for each in found]))


def _signatories(settings: Settings) -> Signatories:
    """Who is believed to have decided; nobody where no public key is given.

    Raises:
        SigningError: What is given is something else than such keys.
    """
    source = settings.approval_public_keys
    return Signatories() if source is None else Signatories(read_believed_keys(source))


def _private_paths(settings: Settings) -> tuple[Path, ...]:
    """What no product may make a snapshot of."""
    named = (settings.approval_key, settings.identity_key)
    keys = [Path(key).absolute() for key in named if key and not key.startswith(KMS_SCHEME)]
    return (*SYSTEM_PATHS, settings.home, Path.home() / ".aws", REPOSITORY / ".env", *keys)


def _secret_of(secrets: Mapping[str, str]) -> Callable[[str], str]:
    def secret(name: str) -> str:
        value = secrets.get(name)
        if not value:
            raise ConfigurationError(
                f"the secret {name} that a product names is not set",
                remedy=f"set the environment variable {name} for the code location",
            )
        return value

    return secret
