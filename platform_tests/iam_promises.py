"""What the policies promise: predicates over one request, and requests that might break them.

The search for such a request, and the proof that it finds one in weaker policies, is in
``unit/infrastructure/test_iam_policies.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hypothesis import strategies as st
from iam_evaluator import Request
from iam_templates import (
    ADMINISTRATOR,
    ANYBODY,
    APPROVAL_KEY,
    APPROVER,
    ARTIFACTS,
    AUDIT,
    DATA,
    IDENTITY_KEY,
    NAME,
    PREFIX,
    RETENTION_DAYS,
    STORAGE_KEY,
    Policies,
)

Promise = Callable[[Policies, Request], bool]
POLICIES = Policies.load()
ROLE = f"{APPROVER.rpartition('/')[0]}/{NAME}-"
RUN, DAEMON, WEBSERVER, CONSOLE = (
    f"{ROLE}task-{duty}" for duty in ("run", "daemon", "webserver", "console")
)
# Who knows the person that acts, and may sign for them.
SIGNING: Mapping[str, frozenset[str]] = {
    APPROVAL_KEY: frozenset({APPROVER, WEBSERVER, CONSOLE}),
    IDENTITY_KEY: frozenset({DAEMON, WEBSERVER, CONSOLE}),
}

# --- Requests that somebody might try ---

DELETES = ("s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention")
WRITES = ("s3:PutObject", "s3:PutObjectRetention", "s3:PutObjectLegalHold", "s3:PutObjectAcl")
READS = ("s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectRetention", "s3:ListBucket")
OF_BUCKETS = (
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:PutBucketAcl",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutReplicationConfiguration",
)
OF_KEYS = (
    "kms:CreateGrant",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GetPublicKey",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
    "kms:Sign",
    "kms:Verify",
)
# Actions with which a role could come by other rights than its own.
ESCALATIONS = (
    "iam:AttachRolePolicy",
    "iam:CreateAccessKey",
    "iam:PutRolePolicy",
    "iam:UpdateAssumeRolePolicy",
    "sts:AssumeRole",
)

# Half of the time somebody with all rights, so that policies of buckets and keys are what decides.
EVERY_ROLE = st.one_of(
    st.sampled_from([ANYBODY, ADMINISTRATOR]), st.sampled_from(sorted(POLICIES.roles))
)
TASKS = st.sampled_from(POLICIES.tasks)
segments = st.text("abcXYZ0189_-. é", min_size=1, max_size=6)
keys = st.one_of(
    st.builds("{}{}".format, st.just(PREFIX), segments),
    st.builds(
        "{}{}/{}.json".format, st.just(PREFIX), segments, st.integers(0, 10**6).map("{:08}".format)
    ),
    st.builds("_interlock/probe/{}".format, segments),
    st.just("_interlock/environment.json"),
    st.builds("leases/{}".format, segments),
    st.builds("mlflow/{}".format, segments),
    st.builds("dagster/{}".format, segments),
    segments,
)
# What a client says that does everything right.
RIGHT: Mapping[str, str] = {
    "aws:SecureTransport": "true",
    "s3:TlsVersion": "1.3",
    "s3:if-none-match": "*",
    "s3:object-lock-mode": "COMPLIANCE",
    "s3:object-lock-remaining-retention-days": str(RETENTION_DAYS - 1),
    "kms:ViaService": "s3.eu-central-1.amazonaws.com",
    "kms:SigningAlgorithm": "ECDSA_SHA_256",
    "kms:MessageType": "DIGEST",
    "kms:GrantIsForAWSResource": "true",
    "kms:ScheduleKeyDeletionPendingWindowInDays": "30",
}
# What it may say otherwise, or not say at all.
OTHERWISE: Mapping[str, tuple[str | None, ...]] = {
    "aws:SecureTransport": ("false",),
    "s3:TlsVersion": (None, "1.2", "1.1"),
    "s3:if-none-match": (None,),
    "s3:object-lock-mode": (None, "GOVERNANCE"),
    "s3:object-lock-remaining-retention-days": (None, "0", str(RETENTION_DAYS - 2), "3650"),
    "s3:x-amz-server-side-encryption": ("aws:kms", "AES256"),
    "s3:x-amz-server-side-encryption-aws-kms-key-id": (STORAGE_KEY, f"{STORAGE_KEY}-of-others"),
    "s3:x-amz-server-side-encryption-customer-algorithm": ("AES256",),
    "s3:prefix": ("", "dagster/", "mlflow/"),
    "kms:ViaService": (None, "secretsmanager.eu-central-1.amazonaws.com"),
    "kms:SigningAlgorithm": (None, "ECDSA_SHA_384"),
    "kms:MessageType": (None, "RAW"),
    "kms:GrantIsForAWSResource": (None, "false"),
    "kms:ScheduleKeyDeletionPendingWindowInDays": ("7",),
}
deviations = st.lists(
    st.sampled_from([(key, value) for key, values in OTHERWISE.items() for value in values]),
    max_size=4,
    unique_by=lambda each: each[0],
)


def context_with(changed: list[tuple[str, str | None]]) -> dict[str, str]:
    found: dict[str, str | None] = {**RIGHT, **dict(changed)}
    return {key: value for key, value in found.items() if value is not None}


def requests(
    actions: st.SearchStrategy[str],
    resources: st.SearchStrategy[str],
    principals: st.SearchStrategy[str] | None = None,
) -> st.SearchStrategy[Request]:
    asking = EVERY_ROLE if principals is None else principals
    return st.builds(Request, asking, actions, resources, deviations.map(context_with))


def objects(bucket: str) -> st.SearchStrategy[str]:
    return keys.map(lambda key: f"{bucket}/{key}")


# --- Promises: whatever is asked, this holds ---


def nothing_of_the_trail_is_deleted(policies: Policies, asked: Request) -> bool:
    return not policies.may(asked)


def nothing_is_written_without_the_lock(policies: Policies, asked: Request) -> bool:
    locked = asked.value("s3:object-lock-mode") == "COMPLIANCE"
    return locked or not policies.may(asked)


def nothing_is_overwritten(policies: Policies, asked: Request) -> bool:
    return asked.value("s3:if-none-match") is not None or not policies.may(asked)


def no_lock_is_short(policies: Policies, asked: Request) -> bool:
    days = asked.value("s3:object-lock-remaining-retention-days")
    probe = asked.resource.startswith(f"{AUDIT}/_interlock/probe/")
    short = days is not None and int(days) < RETENTION_DAYS - 1 and not probe
    return not (short and policies.may(asked))


def no_lock_is_too_long(policies: Policies, asked: Request) -> bool:
    days = asked.value("s3:object-lock-remaining-retention-days")
    too_long = days is not None and int(days) > RETENTION_DAYS + 1
    return not (too_long and policies.may(asked))


def buckets_are_the_administrators(policies: Policies, asked: Request) -> bool:
    return asked.principal == ADMINISTRATOR or not policies.may(asked)


def nothing_goes_in_the_clear(policies: Policies, asked: Request) -> bool:
    outdated = float(asked.value("s3:TlsVersion") or "1.2") < 1.2
    clear = asked.value("aws:SecureTransport") == "false" or outdated
    return not (clear and policies.may(asked))


def nothing_is_encrypted_with_another_key(policies: Policies, asked: Request) -> bool:
    named = asked.value("s3:x-amz-server-side-encryption-aws-kms-key-id")
    foreign = named not in {None, STORAGE_KEY} or (
        asked.value("s3:x-amz-server-side-encryption-customer-algorithm") is not None
    )
    weaker = asked.value("s3:x-amz-server-side-encryption") not in {None, "aws:kms"}
    return not ((foreign or weaker) and policies.may(asked))


def marks_are_the_administrators(policies: Policies, asked: Request) -> bool:
    return asked.principal == ADMINISTRATOR or not policies.may(asked)


def only_who_knows_who_acts_signs(policies: Policies, asked: Request) -> bool:
    signs = asked.action == "kms:Sign" and asked.principal in SIGNING[asked.resource]
    return signs or not policies.may(asked)


def accounts_are_the_web_servers(policies: Policies, asked: Request) -> bool:
    return asked.principal in {ADMINISTRATOR, WEBSERVER, CONSOLE} or not policies.may(asked)


def other_tasks_do_not_touch_keys_that_sign(policies: Policies, asked: Request) -> bool:
    return asked.principal in SIGNING[asked.resource] or not policies.may(asked)


def tasks_come_by_no_other_rights(policies: Policies, asked: Request) -> bool:
    return not policies.may(asked)


def storage_key_is_used_through_aws_services(policies: Policies, asked: Request) -> bool:
    return asked.value("kms:ViaService") is not None or not policies.may(asked)


def the_key_outlives_the_trail(policies: Policies, asked: Request) -> bool:
    return not policies.may(asked)


def services_without_data_read_none(policies: Policies, asked: Request) -> bool:
    return not policies.may(asked)


def web_servers_read_no_snapshots(policies: Policies, asked: Request) -> bool:
    of_data = not asked.resource.startswith((f"{DATA}/_interlock/", f"{DATA}/leases/"))
    return not (of_data and policies.may(asked))


def runs_delete_leases_alone(policies: Policies, asked: Request) -> bool:
    return asked.resource.startswith(f"{DATA}/leases/") or not policies.may(asked)


def runs_keep_away_from_models(policies: Policies, asked: Request) -> bool:
    return not policies.may(asked)


PROMISES: Mapping[Promise, st.SearchStrategy[Request]] = {
    nothing_of_the_trail_is_deleted: requests(st.sampled_from(DELETES), objects(AUDIT)),
    nothing_is_written_without_the_lock: requests(st.just("s3:PutObject"), objects(AUDIT)),
    nothing_is_overwritten: requests(st.just("s3:PutObject"), objects(AUDIT)),
    no_lock_is_short: requests(
        st.sampled_from(["s3:PutObject", "s3:PutObjectRetention"]), objects(AUDIT)
    ),
    no_lock_is_too_long: requests(
        st.sampled_from(["s3:PutObject", "s3:PutObjectRetention"]), objects(AUDIT)
    ),
    buckets_are_the_administrators: requests(
        st.sampled_from(OF_BUCKETS), st.sampled_from([AUDIT, DATA])
    ),
    nothing_goes_in_the_clear: requests(
        st.sampled_from([*WRITES, *READS]), st.one_of(objects(AUDIT), objects(DATA))
    ),
    nothing_is_encrypted_with_another_key: requests(
        st.just("s3:PutObject"), st.one_of(objects(AUDIT), objects(DATA))
    ),
    marks_are_the_administrators: requests(
        st.sampled_from(["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"]),
        st.sampled_from([f"{bucket}/_interlock/environment.json" for bucket in (AUDIT, DATA)]),
        st.sampled_from([*POLICIES.tasks, ANYBODY, ADMINISTRATOR]),
    ),
    only_who_knows_who_acts_signs: requests(
        st.sampled_from(["kms:Sign", "kms:CreateGrant"]), st.sampled_from(sorted(SIGNING))
    ),
    accounts_are_the_web_servers: st.one_of(
        requests(
            st.sampled_from(["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"]),
            segments.map(lambda name: f"{ARTIFACTS}/_interlock/people/{name}.json"),
        ),
        requests(
            st.sampled_from([*DELETES[:2], "s3:PutObject", "s3:GetObject", "s3:GetObjectVersion"]),
            segments.map(lambda name: f"{ARTIFACTS}/credentials/{name}.json"),
        ),
    ),
    other_tasks_do_not_touch_keys_that_sign: requests(
        st.sampled_from(
            [each for each in OF_KEYS if each not in {"kms:GetPublicKey", "kms:Verify"}]
        ),
        st.sampled_from(sorted(SIGNING)),
        TASKS,
    ),
    tasks_come_by_no_other_rights: requests(
        st.sampled_from(ESCALATIONS), st.sampled_from([APPROVER, ADMINISTRATOR, RUN]), TASKS
    ),
    storage_key_is_used_through_aws_services: requests(
        st.sampled_from(OF_KEYS), st.just(STORAGE_KEY), TASKS
    ),
    the_key_outlives_the_trail: requests(st.just("kms:ScheduleKeyDeletion"), st.just(STORAGE_KEY)),
    services_without_data_read_none: requests(
        st.sampled_from(["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject", "s3:ListBucket"]),
        st.one_of(objects(DATA), objects(AUDIT), st.sampled_from([DATA, AUDIT])),
        st.sampled_from([DAEMON, f"{ROLE}task-mlflow"]),
    ),
    web_servers_read_no_snapshots: requests(
        st.sampled_from(["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"]),
        objects(DATA),
        st.sampled_from([WEBSERVER, CONSOLE]),
    ),
    runs_delete_leases_alone: requests(
        st.sampled_from(DELETES),
        st.one_of(objects(DATA), objects(ARTIFACTS), objects(AUDIT)),
        st.just(RUN),
    ),
    runs_keep_away_from_models: requests(
        st.sampled_from([*DELETES, *WRITES, "s3:GetObject"]),
        segments.map(lambda key: f"{ARTIFACTS}/mlflow/{key}"),
        TASKS.filter(lambda role: not role.endswith("-mlflow")),
    ),
}
