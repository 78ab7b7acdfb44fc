"""Makes the three buckets of the stack and marks them for their environment; then ends.

Runs once each time the stack starts, with the object store's administrator key, which no other
container of Interlock's holds. What is there already is left as it is: buckets of another
environment, or an audit bucket that does not keep what Object Lock promises, stop the stack.
"""

from __future__ import annotations

import sys

from interlock.adapters.environment_mark import read_mark, write_mark
from interlock.adapters.object_store import ObjectStore
from interlock.assembly import PROBE_PREFIX, open_store, utc_now
from interlock.errors import ConfigurationError, InterlockError
from interlock.governance.principal import Environment
from interlock.settings import Settings, load_settings


def prepare(store: ObjectStore, settings: Settings) -> list[str]:
    """Makes and marks what is missing.

    Args:
        store: The object store, with its administrator's key.
        settings: Names of the buckets, environment, retention.

    Returns:
        One line per bucket, for the log.

    Raises:
        ConfigurationError: ENVIRONMENT is unset, or a bucket belongs to another one.
        StoreUnfit: The audit bucket does not keep what Object Lock promises.
    """
    environment = settings.environment
    if environment is None:
        raise ConfigurationError(
            "ENVIRONMENT is unset, expected the one that the buckets are created for",
            remedy="set ENVIRONMENT to dev, staging or prod in .env",
        )
    lines = []
    for bucket in (settings.data_bucket, settings.artifact_bucket, settings.audit_bucket):
        locked = bucket == settings.audit_bucket
        store.create_bucket(
            bucket,
            object_lock=locked,
            retention_days=settings.audit_retention_days if locked else None,
        )
        _mark(store, bucket, environment)
        lines.append(f"{bucket}: {environment}{_lock_of(store, bucket) if locked else ''}")
    store.probe(settings.audit_bucket, PROBE_PREFIX)
    return lines


def main() -> int:
    """Prepares the store that the environment names.

    Returns:
        0, or 1 after saying what is wrong.
    """
    try:
        settings = load_settings()
        for line in prepare(open_store(settings), settings):
            print(line)
    except InterlockError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _mark(store: ObjectStore, bucket: str, environment: Environment) -> None:
    found = read_mark(store, bucket) or write_mark(store, bucket, environment, clock=utc_now)
    if found is not environment:
        raise ConfigurationError(
            f"bucket {bucket} was created for {found}, this stack is for {environment}",
            remedy="set ENVIRONMENT in .env to what the buckets were created for, or choose "
            "other buckets",
        )


def _lock_of(store: ObjectStore, bucket: str) -> str:
    lock = store.bucket_lock(bucket)
    return f", Object Lock {lock.mode} for {lock.retention_days} day(s)"


if __name__ == "__main__":
    sys.exit(main())
