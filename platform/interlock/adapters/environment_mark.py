"""The mark of a bucket: the environment it was created for.

Here: where the mark lies and how it reads. Who writes it: whoever creates the buckets (embedded
mode does in ``local/``). What it means for a decision is in ``governance/``; the registry's mark
is in ``model_registry.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from interlock.adapters.object_store import ObjectStore
from interlock.errors import ConfigurationError, ObjectExists, ObjectMissing
from interlock.governance.principal import Environment

MARK_KEY = "_interlock/environment.json"
MARK_SCHEMA = "interlock.environment/v1"


def read_mark(store: ObjectStore, bucket: str) -> Environment | None:
    """The environment that a bucket was created for.

    The oldest version counts: a later one cannot move a bucket to another environment.

    Args:
        store: Where the bucket is.
        bucket: Its name.

    Returns:
        The environment; None when the bucket is missing or carries no mark.

    Raises:
        ConfigurationError: The mark is not one that this version understands.
        StoreUnavailable: The store does not answer.
    """
    try:
        body = store.get_oldest(bucket, MARK_KEY)
    except ObjectMissing:
        return None
    try:
        return _environment(body)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"the environment mark {MARK_KEY} of bucket {bucket} reads {body[:80]!r}, expected "
            f"schema {MARK_SCHEMA} with dev, staging or prod",
            remedy="use a bucket that Interlock created; a mark is never edited",
        ) from error


def write_mark(
    store: ObjectStore,
    bucket: str,
    environment: Environment,
    *,
    clock: Callable[[], datetime],
) -> Environment:
    """Marks a bucket, unless it is marked already.

    Args:
        store: Where the bucket is.
        bucket: Its name.
        environment: What it is created for.
        clock: The time, aware UTC.

    Returns:
        The environment that the bucket carries now: of two writers exactly one wins.

    Raises:
        ConfigurationError: The mark that is there is not one that this version understands.
        StoreUnavailable: The store does not answer.
    """
    mark = {
        "schema": MARK_SCHEMA,
        "environment": str(environment),
        "created": clock().isoformat(timespec="seconds"),
    }
    try:
        store.put_new(bucket, MARK_KEY, json.dumps(mark, indent=2).encode())
    except ObjectExists:
        found = read_mark(store, bucket)
        return environment if found is None else found
    return environment


def _environment(body: bytes) -> Environment:
    mark = json.loads(body)
    if mark["schema"] != MARK_SCHEMA:
        raise ValueError(mark["schema"])
    return Environment(mark["environment"])
