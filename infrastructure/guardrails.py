"""Guardrails as they are once applied: asked of the services, not read from the configuration.

Each rule takes what Terraform made and asks the service about it. A rule that found nothing to
ask about counts as broken, so that none passes by looking at nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import ClientError

from infrastructure.local_aws import LocalAws
from infrastructure.report import Result, failed, ok

SECRET_NAME: Final = re.compile(r"PASSWORD|SECRET|TOKEN|(SIGNING|PRIVATE|ACCESS)_KEY")
MANDATORY_TAGS: Final = frozenset({"owner", "environment", "cost_centre"})
EVERYWHERE: Final = frozenset({"0.0.0.0/0", "::/0"})
WEB_PORTS: Final = frozenset({80, 443})


@dataclass(frozen=True)
class Made:
    """One resource that Terraform made.

    Attributes:
        address: Its address in the configuration.
        type: Its type.
        values: Its attributes.
    """

    address: str
    type: str
    values: Mapping[str, Any]


def resources(document: Mapping[str, Any]) -> tuple[Made, ...]:
    """All managed resources of a state (``terraform show -json``), of all its modules."""

    def of(module: Mapping[str, Any]) -> Iterator[Made]:
        for each in module.get("resources", []):
            if each["mode"] == "managed":
                yield Made(each["address"], each["type"], each["values"])
        for child in module.get("child_modules", []):
            yield from of(child)

    return tuple(of(document.get("values", {}).get("root_module", {})))


@dataclass(frozen=True)
class Applied:
    """What there is to inspect.

    Attributes:
        aws: The services.
        made: What Terraform made.
        state: The state as it is stored, byte for byte.
    """

    aws: LocalAws
    made: tuple[Made, ...]
    state: bytes

    def of(self, *types: str) -> tuple[Made, ...]:
        """The resources of some types."""
        return tuple(each for each in self.made if each.type in types)


Findings = Iterator[str]
Rule = Callable[[Applied, list[str]], Findings]


def statements(policy: str) -> tuple[Mapping[str, Any], ...]:
    """The statements of a policy document."""
    found = json.loads(policy)["Statement"]
    return tuple(found) if isinstance(found, list) else (found,)


def denied(policy: str) -> frozenset[str]:
    """The actions that a policy denies to everybody, with or without a condition."""
    actions: set[str] = set()
    for each in statements(policy):
        if each["Effect"] == "Deny" and each.get("Principal") in ("*", {"AWS": "*"}):
            named = each.get("Action", [])
            actions |= {named} if isinstance(named, str) else set(named)
    return frozenset(actions)


def demands_tls(policy: str) -> bool:
    """Whether a policy denies everything that does not come over TLS."""
    return any(
        each["Effect"] == "Deny"
        and each.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") in ("false", False)
        for each in statements(policy)
    )


def buckets_are_private(applied: Applied, asked: list[str]) -> Findings:
    """No bucket can be made public, all are encrypted, all demand TLS."""
    s3 = applied.aws.client("s3")
    for bucket in applied.of("aws_s3_bucket"):
        name = bucket.values["bucket"]
        asked.append(name)
        block = s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
        if not all(block.values()):
            yield f"{bucket.address}: public access is not blocked: {block}"
        rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]
        if not rules["Rules"]:
            yield f"{bucket.address}: is not encrypted"
        if not demands_tls(s3.get_bucket_policy(Bucket=name)["Policy"]):
            yield f"{bucket.address}: can be reached without TLS"


def audit_is_locked(applied: Applied, asked: list[str]) -> Findings:
    """The audit bucket locks what is put there, and denies everybody to delete it."""
    s3 = applied.aws.client("s3")
    for bucket in applied.of("aws_s3_bucket"):
        if not bucket.values.get("object_lock_enabled"):
            continue
        name = bucket.values["bucket"]
        asked.append(name)
        lock = s3.get_object_lock_configuration(Bucket=name)["ObjectLockConfiguration"]
        retention = lock.get("Rule", {}).get("DefaultRetention", {})
        if lock.get("ObjectLockEnabled") != "Enabled" or retention.get("Mode") != "COMPLIANCE":
            yield f"{bucket.address}: is not locked: {lock}"
        if s3.get_bucket_versioning(Bucket=name).get("Status") != "Enabled":
            yield f"{bucket.address}: has no versions"
        forbidden = denied(s3.get_bucket_policy(Bucket=name)["Policy"])
        wanted = {"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"}
        if lacking := wanted - forbidden:
            yield f"{bucket.address}: does not deny {', '.join(sorted(lacking))}"


def locked_objects_stay(applied: Applied, asked: list[str]) -> Findings:
    """Deleting a locked version is refused to the account's own administrator."""
    s3 = applied.aws.client("s3")
    for bucket in applied.of("aws_s3_bucket"):
        if not bucket.values.get("object_lock_enabled"):
            continue
        name = bucket.values["bucket"]
        for version in s3.list_object_versions(Bucket=name).get("Versions", []):
            asked.append(version["Key"])
            with suppress(ClientError):
                s3.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
                yield f"{bucket.address}: {version['Key']} could be deleted"


def keys_rotate(applied: Applied, asked: list[str]) -> Findings:
    """Symmetric keys rotate; a key that signs does nothing else."""
    kms = applied.aws.client("kms")
    for key in applied.of("aws_kms_key"):
        identity = key.values["key_id"]
        asked.append(identity)
        told = kms.describe_key(KeyId=identity)["KeyMetadata"]
        if told["KeyUsage"] == "SIGN_VERIFY":
            if told["KeySpec"] != "ECC_NIST_P256":
                yield f"{key.address}: signs with {told['KeySpec']}"
        elif not kms.get_key_rotation_status(KeyId=identity)["KeyRotationEnabled"]:
            yield f"{key.address}: does not rotate"


def listeners_sign_in(applied: Applied, asked: list[str]) -> Findings:
    """Whatever a listener forwards, it forwards after a sign-in, and over TLS."""
    balancers = applied.aws.client("elbv2")
    for listener in applied.of("aws_lb_listener"):
        arn = listener.values["arn"]
        asked.append(arn)
        (told,) = balancers.describe_listeners(ListenerArns=[arn])["Listeners"]
        rules = balancers.describe_rules(ListenerArn=arn)["Rules"]
        for actions in (told["DefaultActions"], *(each["Actions"] for each in rules)):
            kinds = [
                each["Type"] for each in sorted(actions, key=lambda each: each.get("Order", 0))
            ]
            if "forward" in kinds and kinds[0] != "authenticate-oidc":
                yield f"{listener.address}: forwards without sign-in: {kinds}"
            if "forward" in kinds and told["Protocol"] != "HTTPS":
                yield f"{listener.address}: forwards without TLS"


def tasks_take_secrets_by_reference(applied: Applied, asked: list[str]) -> Findings:
    """Secrets reach containers by reference, never as values; no container is privileged."""
    ecs = applied.aws.client("ecs")
    for task in applied.of("aws_ecs_task_definition"):
        told = ecs.describe_task_definition(taskDefinition=task.values["arn"])["taskDefinition"]
        asked.append(told["family"])
        for container in told["containerDefinitions"]:
            where = f"{task.address}, container {container['name']}"
            plain = {each["name"] for each in container.get("environment", [])}
            for name in sorted(filter(SECRET_NAME.search, plain)):
                yield f"{where}: {name} is a plain value"
            for each in container.get("secrets", []):
                if not each["valueFrom"].startswith("arn:aws:secretsmanager:"):
                    yield f"{where}: {each['name']} is not from Secrets Manager"
            if container.get("privileged"):
                yield f"{where}: is privileged"


def each_duty_has_its_role(applied: Applied, asked: list[str]) -> Findings:
    """No two task definitions share a role."""
    ecs = applied.aws.client("ecs")
    holders: dict[str, str] = {}
    for task in applied.of("aws_ecs_task_definition"):
        told = ecs.describe_task_definition(taskDefinition=task.values["arn"])["taskDefinition"]
        asked.append(told["family"])
        role = told.get("taskRoleArn")
        if role is None:
            yield f"{task.address}: has no role"
        elif role in holders:
            yield f"{task.address}: shares its role with {holders[role]}"
        else:
            holders[role] = task.address


def databases_are_private(applied: Applied, asked: list[str]) -> Findings:
    """Databases are encrypted, backed up and out of reach from the internet."""
    rds = applied.aws.client("rds")
    for cluster in applied.of("aws_rds_cluster"):
        name = cluster.values["cluster_identifier"]
        asked.append(name)
        (told,) = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
        if not told["StorageEncrypted"]:
            yield f"{cluster.address}: is not encrypted"
        if told["BackupRetentionPeriod"] < 1:
            yield f"{cluster.address}: has no backups"
    for instance in applied.of("aws_rds_cluster_instance"):
        name = instance.values["identifier"]
        asked.append(name)
        (told,) = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
        if told["PubliclyAccessible"]:
            yield f"{instance.address}: is reachable from the internet"


def images_are_immutable(applied: Applied, asked: list[str]) -> Findings:
    """A tag of an image means one image for ever, and every image is scanned."""
    ecr = applied.aws.client("ecr")
    for repository in applied.of("aws_ecr_repository"):
        name = repository.values["name"]
        asked.append(name)
        (told,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
        if not told["imageTagMutability"].startswith("IMMUTABLE"):
            yield f"{repository.address}: tags can be moved"
        if not told["imageScanningConfiguration"]["scanOnPush"]:
            yield f"{repository.address}: images are not scanned"


def ports_are_closed(applied: Applied, asked: list[str]) -> Findings:
    """Nothing but the load balancer's web ports is open to the internet."""
    ec2 = applied.aws.client("ec2")
    ours = {
        each.values["id"] for each in applied.of("aws_security_group", "aws_default_security_group")
    }
    for group in ec2.describe_security_groups()["SecurityGroups"]:
        if group["GroupId"] not in ours:
            continue
        asked.append(group["GroupName"])
        for permission in group["IpPermissions"]:
            ranges = {each["CidrIp"] for each in permission.get("IpRanges", [])}
            ranges |= {each["CidrIpv6"] for each in permission.get("Ipv6Ranges", [])}
            ports = {permission.get("FromPort"), permission.get("ToPort")}
            if ranges & EVERYWHERE and not ports <= WEB_PORTS:
                yield f"{group['GroupName']}: open to the internet: {ports}"


def state_holds_no_secret(applied: Applied, asked: list[str]) -> Findings:
    """No value of any secret can be read in the stored state."""
    secrets = applied.aws.client("secretsmanager")
    for each in applied.of("aws_secretsmanager_secret_version"):
        value = secrets.get_secret_value(SecretId=each.values["secret_id"])["SecretString"]
        asked.append(each.address)
        if any(part.encode() in applied.state for part in secret_parts(value)):
            yield f"{each.address}: its value is in the state"


def secret_parts(value: str) -> tuple[str, ...]:
    """The strings of a secret that would give it away: the value, or a JSON value's fields."""
    try:
        document = json.loads(value)
    except json.JSONDecodeError:
        return (value,)
    if not isinstance(document, Mapping):
        return (value,)
    return tuple(str(part) for name, part in document.items() if SECRET_NAME.search(name.upper()))


def everything_is_tagged(applied: Applied, asked: list[str]) -> Findings:
    """Every resource that can have tags says who owns it, where it belongs and who pays."""
    for each in applied.made:
        if "tags_all" in each.values:
            asked.append(each.address)
            if lacking := MANDATORY_TAGS - set(each.values["tags_all"] or {}):
                yield f"{each.address}: lacks the tags {', '.join(sorted(lacking))}"


RULES: Final[tuple[Rule, ...]] = (
    buckets_are_private,
    audit_is_locked,
    locked_objects_stay,
    keys_rotate,
    listeners_sign_in,
    tasks_take_secrets_by_reference,
    each_duty_has_its_role,
    databases_are_private,
    images_are_immutable,
    ports_are_closed,
    state_holds_no_secret,
    everything_is_tagged,
)


def inspect(applied: Applied, rules: Iterable[Rule] = RULES) -> Result:
    """Applies every rule; the finding of any is a failure, and so is a rule without an object."""
    wrong: list[str] = []
    notes: list[str] = []
    count = 0
    for rule in rules:
        asked: list[str] = []
        name = rule.__name__.replace("_", " ")
        try:
            found = [f"{name}: {each}" for each in rule(applied, asked)]
        except ClientError as error:
            found = [f"{name}: {error}"]
        if not asked:
            found.append(f"{name}: nothing to inspect")
        wrong += found
        count += len(asked)
        notes.append(f"{name}: {len(asked)} inspected, {len(found)} wrong")
    if wrong:
        return failed(f"{len(wrong)} findings", *wrong, *notes)
    return ok(f"{len(notes)} rules, {count} inspected", *notes)
