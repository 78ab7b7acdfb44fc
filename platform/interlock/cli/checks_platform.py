"""What the doctor asks of the services and of what is declared: store, registry, rules."""

from __future__ import annotations

from collections.abc import Iterator

from interlock.adapters.believed_keys import Signatories, read_believed_keys
from interlock.adapters.environment_mark import read_mark
from interlock.adapters.object_store import ObjectStore
from interlock.assembly import PROBE_PREFIX, open_own_authority, open_store, open_workspace
from interlock.cli.checks import Check, Health, checked, fail, ok, warn
from interlock.cli.trail import waiting_records
from interlock.errors import InterlockError
from interlock.governance.policy import PolicyEngine
from interlock.governance.principal import UNVERIFIED, Environment, IdentitySource, Principal
from interlock.ml.source import S3_SCHEME
from interlock.product import ModelProduct
from interlock.settings import REPOSITORY, Settings, principal, process_environment


def declared_checks() -> Iterator[Check]:
    """What needs no service: policies and products."""
    yield checked("policies", policies)
    yield from products()


def policies() -> Check:
    """Whether the policies load."""
    files = PolicyEngine.check()
    return ok("policies", f"{len(files.rules)} agree with their schema, hash {files.digest[:12]}")


def products() -> Iterator[Check]:
    """Whether every product's YAML is right, by file and line."""
    from interlock.definitions import load_products

    loaded = load_products()
    for name, error in loaded.errors.items():
        yield fail(f"product {name}", error.message, error.remedy)
    for product in loaded.products:
        yield source(product)


def source(product: ModelProduct) -> Check:
    """Whether a product's source is where it says, as far as a look can tell."""
    name = f"product {product.name}"
    kind = product.source.kind
    if product.source.kind == "postgres":
        variable = product.source.dsn_variable
        if process_environment().get(variable):
            return ok(name, f"{kind} by {variable}")
        return warn(name, f"{variable} is not set", "set it for whoever materializes raw_data")
    path = product.source.path
    if path.startswith(S3_SCHEME) or (REPOSITORY / path).is_file():
        return ok(name, f"{kind}, {path}")
    return warn(name, f"there is no file {REPOSITORY / path}", "put it there, or correct `source`")


def identity(settings: Settings) -> Check:
    """Who acts, and who vouches for that."""
    source = settings.identity_source
    if source is not IdentitySource.ENV:
        if settings.identity_public_keys is None:
            return fail(
                "identity",
                f"people sign in ({source}), and no signed identity is believed",
                "set IDENTITY_PUBLIC_KEYS to the public half of the servers' key",
            )
        who = open_own_authority(settings, open_store(settings)).principal
        return ok("identity", f"people sign in ({source}); commands here act as {_named(who)}")
    who = principal(settings)
    text = f"commands here act as {_named(who)}, verified by {who.verified_by}"
    if settings.environment in {None, Environment.DEV}:
        return ok("identity", text)
    if not settings.identity_chosen:
        return fail(
            "identity",
            f"{text}, which nobody chose for {settings.environment}",
            "set IDENTITY_SOURCE explicitly",
        )
    return warn(
        "identity",
        f"{text}: the operator's word alone, as every event records",
        "let people sign in: IDENTITY_SOURCE=local or oidc-proxy",
    )


def _named(who: Principal) -> str:
    if who == UNVERIFIED:
        return f"{who.name} ({who.role}) until somebody signs in with `interlock sign-in`"
    return f"{who.name} ({who.role})"


def approvals(settings: Settings) -> Check:
    """Whose decisions count here, and what shows that they decided."""
    name, source = "approvals", settings.approval_public_keys
    in_dev = settings.environment in {None, Environment.DEV}
    if source is None:
        if in_dev:
            return ok(name, "dev demands none, and only the embedded services believe a key here")
        return fail(
            name,
            f"no key is believed in {settings.environment}, so no version is ever approved",
            "set APPROVAL_PUBLIC_KEYS (docs/operations.md, Approvals)",
        )
    keys = Signatories(read_believed_keys(source))
    text = f"keys of {keys.servers} server(s), and of {', '.join(keys.people) or 'nobody'}"
    if in_dev or settings.identity_source is not IdentitySource.ENV:
        return ok(name, text)
    if not keys.people:
        return fail(
            name,
            f"{text}: where nobody signs in, no decision shows who made it, and none counts",
            "let people sign in, or give each approver a key of their own in APPROVAL_PUBLIC_KEYS",
        )
    return warn(
        name,
        f"{text}: where nobody signs in, only keys of people's own count",
        "let people sign in: IDENTITY_SOURCE=local or oidc-proxy",
    )


def spool(settings: Settings) -> Check:
    """Whether audit records wait on this machine's disk."""
    count = waiting_records(settings)
    if not count:
        return ok("spool", "no audit record waits on this disk")
    return warn(
        "spool",
        f"{count} audit record(s) wait in {settings.spool_directory}",
        "let the audit bucket be reachable; the next governed action writes them",
    )


def service_checks(settings: Settings) -> Iterator[Check]:
    """S3 with buckets, marks and lock, then MLflow.

    Args:
        settings: With the services' addresses.
    """
    store = open_store(settings)
    where = settings.s3_endpoint_url or "AWS"
    buckets = {
        "data": settings.data_bucket,
        "artifact": settings.artifact_bucket,
        "audit": settings.audit_bucket,
    }
    try:
        missing = [kind for kind, bucket in buckets.items() if not store.bucket_exists(bucket)]
    except InterlockError as error:
        yield fail("S3", error.message, error.remedy)
    else:
        yield ok("S3", f"{where} answers and takes the credentials")
        for kind, bucket in buckets.items():
            yield bucket_check(store, settings, kind, bucket, missing=kind in missing)
        if "audit" not in missing:
            yield lock(store, settings)
    yield checked("MLflow", lambda: mlflow(settings))


def bucket_check(
    store: ObjectStore, settings: Settings, kind: str, bucket: str, *, missing: bool
) -> Check:
    """Whether a bucket is there, and was created for this environment."""
    name = f"{kind} bucket"
    if missing:
        remedy = f"create it, or correct {kind.upper()}_BUCKET"
        return fail(name, f"there is no bucket {bucket}", remedy)
    try:
        environment = read_mark(store, bucket)
    except InterlockError as error:
        return fail(name, error.message, error.remedy)
    if environment is None:
        return fail(
            name,
            f"{bucket} carries no environment mark",
            "use a bucket that Interlock created, or let a platform administrator mark it",
        )
    if settings.environment is not environment:
        return fail(
            name,
            f"{bucket} was created for {environment}, ENVIRONMENT is "
            f"{settings.environment or 'unset'}",
            f"set ENVIRONMENT={environment}, or use the buckets of the other environment",
        )
    return ok(name, f"{bucket}, created for {environment}")


def lock(store: ObjectStore, settings: Settings) -> Check:
    """Whether the audit bucket keeps what Object Lock promises; writes below the probe's prefix."""
    name = "Object Lock"
    try:
        store.probe(settings.audit_bucket, PROBE_PREFIX)
    except InterlockError as error:
        check = fail(name, error.message, error.remedy)
        if settings.environment is Environment.DEV:  # which alone goes on without
            return Check(name, Health.WARN, check.found, check.remedy)
        return check
    days = settings.audit_retention_days
    return ok(name, f"tried and held; events are locked for {days} day{'s' if days > 1 else ''}")


def mlflow(settings: Settings) -> Check:
    """Whether MLflow answers, and was created for this environment."""
    workspace = open_workspace(settings, secrets=process_environment())
    workspace.registry.version_at("any", "any")  # None: there is no such model, says MLflow
    uri = settings.mlflow_tracking_uri or ""
    # Such an address may hold a password.
    return ok("MLflow", "it answers" if "@" in uri else f"{uri} answers")
