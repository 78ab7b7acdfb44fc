"""Settings and store on AWS, with the variables of the task definitions and no endpoint.

What moto does not keep of S3's promises is written down here as tests: the day one of them
fails, moto has learnt it, and the probe can be demanded of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aws_api import REGION, AwsApi
from trails import STREAM, record

from interlock.adapters.environment_mark import MARK_KEY, write_mark
from interlock.adapters.object_store import S3ObjectStore
from interlock.adapters.store_probe import probe_prefix
from interlock.assembly import (
    PROBE_PREFIX,
    open_audit_log,
    open_store,
    open_workspace,
    process_context,
    utc_now,
)
from interlock.errors import ObjectExists, PreconditionFailed, StoreError, StoreUnfit
from interlock.governance.policy import Action, Resource
from interlock.governance.principal import Environment
from interlock.settings import Settings

LATER = timedelta(days=3)


@dataclass(frozen=True)
class Place:
    """A staging environment on the local API.

    Attributes:
        settings: As its run task has them.
        store: Its store.
    """

    settings: Settings
    store: S3ObjectStore

    @property
    def audit(self) -> str:
        """The audit bucket."""
        return self.settings.audit_bucket


@pytest.fixture
def variables(aws: AwsApi, tmp_path: Path) -> dict[str, str]:
    """What the task definition of runs sets, and nothing else of Interlock's."""
    return {
        "ENVIRONMENT": "staging",
        "IDENTITY_SOURCE": "env",
        "RUN_OWNER": "pipeline",
        "RUN_ROLE": "ml_engineer",
        "DATA_BUCKET": aws.new_name("data"),
        "ARTIFACT_BUCKET": aws.new_name("artifacts"),
        "AUDIT_BUCKET": aws.new_name("audit"),
        "AUDIT_LOG_PREFIX": "governance/audit/",
        "AUDIT_RETENTION_DAYS": "3",
        "MLFLOW_TRACKING_URI": "http://mlflow.staging.interlock.internal:5000",
        "RUN_SIGNING_KEY": "k" * 64,
        "INTERLOCK_HOME": str(tmp_path / "home"),
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
    }


@pytest.fixture
def place(variables: dict[str, str], aws_environment: AwsApi) -> Iterator[Place]:
    settings = Settings.from_environment(variables)
    store = open_store(settings)
    assert isinstance(store, S3ObjectStore)
    for bucket in (settings.data_bucket, settings.artifact_bucket, settings.audit_bucket):
        locked = bucket == settings.audit_bucket
        store.create_bucket(bucket, object_lock=locked, retention_days=3 if locked else None)
        write_mark(store, bucket, Environment.STAGING, clock=utc_now)
    yield Place(settings, store)
    store._s3.client().close()


def test_variables_of_the_task_give_aws_itself(variables: dict[str, str]) -> None:
    settings = Settings.from_environment(variables)
    assert not settings.embedded
    assert settings.s3_endpoint_url is None
    assert settings.aws_access_key_id is None  # the task's role
    assert settings.aws_region == REGION
    assert settings.environment is Environment.STAGING
    assert settings.identity_chosen
    assert "AWS S3 in eu-central-1" in repr(open_store(settings))


def test_retention_and_environment_have_no_default_there(variables: dict[str, str]) -> None:
    del variables["AUDIT_RETENTION_DAYS"]
    with pytest.raises(Exception, match="AUDIT_RETENTION_DAYS is unset in staging"):
        Settings.from_environment(variables)


def test_trail_is_written_and_verified_without_an_endpoint(place: Place) -> None:
    audit = open_audit_log(place.settings, place.store)
    for _ in range(3):
        event = audit.append(STREAM, record())
    assert audit.location == f"s3://{place.audit}/governance/audit/"
    report = audit.verify(None)
    assert (report.intact, report.events) == (True, 3)
    version = next(iter(place.store.list_versions(place.audit, event.key)))
    until = place.store.retention(place.audit, event.key, version.version_id)
    assert until is not None
    assert until > datetime.now(UTC) + timedelta(days=2)
    with pytest.raises(StoreError, match="AccessDenied"):
        place.store.delete_version(place.audit, event.key, version.version_id)
    place.store.overwrite(place.audit, event.key, b"forged")
    assert not audit.verify(None).intact


def test_workspace_opens_and_staging_stops_where_the_store_is_weaker_than_s3(place: Place) -> None:
    workspace = open_workspace(place.settings, secrets={})
    authority = workspace.authority
    context = process_context("test", lambda _: None)
    with (
        pytest.raises(StoreUnfit, match="retention of a locked version be shortened"),
        authority.govern(Action.DATA_INGEST, Resource("product", "credit_risk"), context),
    ):
        pytest.fail("an action began on a store that is unfit")
    assert list(place.store.list(place.audit, "governance/audit/")) == []


def test_buckets_of_another_environment_are_seen(place: Place, variables: dict[str, str]) -> None:
    settings = Settings.from_environment({**variables, "ENVIRONMENT": "prod"})
    context = open_workspace(settings, secrets={}).authority.context
    assert context.mark == "staging"
    assert json.loads(place.store.get(place.audit, MARK_KEY))["environment"] == "staging"


def test_probe_says_exactly_where_moto_is_weaker(place: Place) -> None:
    with pytest.raises(StoreUnfit) as unfit:
        place.store.probe(place.audit, PROBE_PREFIX)
    # Everything before it in the probe passed: versions, the lock, conditional puts, deletion.
    assert "lets the retention of a locked version be shortened" in str(unfit.value)
    assert place.store.bucket_lock(place.audit).mode == "COMPLIANCE"
    keys = {each.key for each in place.store.list_versions(place.audit, PROBE_PREFIX)}
    assert any(key.startswith(probe_prefix(PROBE_PREFIX)) for key in keys)


def test_promises_that_moto_keeps(place: Place) -> None:
    bucket, store = place.audit, place.store
    until = utc_now().replace(microsecond=0) + LATER
    first = store.put_new(bucket, "k", b"first", retain_until=until)
    with pytest.raises(ObjectExists):
        store.put_new(bucket, "k", b"second", retain_until=until)
    store.overwrite(bucket, "k", b"second")
    store.delete(bucket, "k")
    assert store.get_oldest(bucket, "k") == b"first"
    assert store.retention(bucket, "k", first) == until
    with pytest.raises(StoreError, match="AccessDenied"):
        store.delete_version(bucket, "k", first)
    with pytest.raises(PreconditionFailed):
        store.put_matching(place.settings.data_bucket, "k", b"1", etag='"x"')
    with pytest.raises(StoreError, match="ObjectLockConfiguration"):
        store.put_new(place.settings.data_bucket, "k", b"1", retain_until=until)


def _shorten(place: Place, version: str, until: datetime) -> None:
    place.store.set_retention(place.audit, "k", version, until - timedelta(days=1))


def _weaken(place: Place, version: str, until: datetime) -> None:
    place.store._s3.call(
        "put_object_retention",
        place.audit,
        "k",
        VersionId=version,
        Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until},
    )


def _suspend(place: Place, version: str, until: datetime) -> None:
    suspended = {"Status": "Suspended"}
    place.store._s3.call("put_bucket_versioning", place.audit, VersioningConfiguration=suspended)


def _lock_in_the_past(place: Place, version: str, until: datetime) -> None:
    place.store.put_new(place.audit, "past", b"1", retain_until=until - 2 * LATER)


@pytest.mark.parametrize(
    "attempt", [_shorten, _weaken, _suspend, _lock_in_the_past], ids=lambda each: each.__name__
)
def test_promises_that_moto_does_not_keep_and_s3_does(
    place: Place, attempt: Callable[[Place, str, datetime], None]
) -> None:
    until = utc_now().replace(microsecond=0) + LATER
    version = place.store.put_new(place.audit, "k", b"first", retain_until=until)
    attempt(place, version, until)  # S3 answers each of these with an error
