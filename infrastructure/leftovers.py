"""What is still there after everything was destroyed, and what a lock keeps from going.

A key waits for its deletion, and a locked object for the end of its retention: that is as it
should be. Anything else is a leftover.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from infrastructure.local_aws import LocalAws

# Service, call, the list in its answer, what names an entry; calls that need no argument.
LISTS: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("s3", "list_buckets", "Buckets", "Name"),
    ("ecs", "list_task_definitions", "taskDefinitionArns", ""),
    ("rds", "describe_db_clusters", "DBClusters", "DBClusterIdentifier"),
    ("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"),
    ("ecr", "describe_repositories", "repositories", "repositoryName"),
    ("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
    ("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupName"),
    ("ec2", "describe_nat_gateways", "NatGateways", "NatGatewayId"),
    ("ec2", "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    ("ec2", "describe_addresses", "Addresses", "AllocationId"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("secretsmanager", "list_secrets", "SecretList", "Name"),
    ("sns", "list_topics", "Topics", "TopicArn"),
    ("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    ("batch", "describe_job_queues", "jobQueues", "jobQueueName"),
    ("batch", "describe_compute_environments", "computeEnvironments", "computeEnvironmentName"),
    ("servicediscovery", "list_namespaces", "Namespaces", "Name"),
    ("efs", "describe_file_systems", "FileSystems", "FileSystemId"),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("iam", "list_instance_profiles", "InstanceProfiles", "InstanceProfileName"),
    ("iam", "list_open_id_connect_providers", "OpenIDConnectProviderList", "Arn"),
)
GONE: Final = frozenset({"deleted", "DELETED", "INACTIVE"})  # listed for a while, but over


def leftovers(aws: LocalAws, kept: Iterable[str] = ()) -> tuple[str, ...]:
    """Everything that is still there, one line each.

    Args:
        aws: The local AWS API.
        kept: Regular expressions of lines to leave out: what moto keeps although it is deleted.
    """
    found = list(_lists(aws))
    ecs = aws.client("ecs")
    clusters = ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"]
    found += [f"ecs: {each['clusterName']}" for each in clusters if each["status"] not in GONE]
    ec2 = aws.client("ec2")
    vpcs = ec2.describe_vpcs()["Vpcs"]
    found += [f"ec2: {each['VpcId']}" for each in vpcs if not each.get("IsDefault")]
    kms = aws.client("kms")
    for each in kms.list_keys()["Keys"]:
        told = kms.describe_key(KeyId=each["KeyId"])["KeyMetadata"]
        if told["KeyState"] != "PendingDeletion" and told["KeyManager"] == "CUSTOMER":
            found.append(f"kms: {each['KeyId']}: {told.get('Description', '')}")
    return tuple(sorted(each for each in found if not any(re.match(one, each) for one in kept)))


def _lists(aws: LocalAws) -> Iterator[str]:
    for service, call, key, name in LISTS:
        for entry in getattr(aws.client(service), call)()[key]:
            if name and (entry.get("State") in GONE or entry.get("status") in GONE):
                continue
            if service == "iam" and "/aws-service-role/" in str(entry.get("Path", "")):
                continue
            yield f"{service}: {entry[name] if name else entry}"


def outlive_retention(aws: LocalAws) -> tuple[str, ...]:
    """Stands in for the days that pass until no lock holds any more; the objects concerned.

    moto lets a retention be shortened, which S3 refuses. Nothing else here relies on that.
    """
    s3 = aws.client("s3")
    passed = []
    past = datetime.now(UTC) - timedelta(days=1)
    for bucket in s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        for version in s3.list_object_versions(Bucket=name).get("Versions", []):
            what = {"Bucket": name, "Key": version["Key"], "VersionId": version["VersionId"]}
            if "ObjectLockRetainUntilDate" in s3.head_object(**what):
                retention = {"Mode": "COMPLIANCE", "RetainUntilDate": past}
                s3.put_object_retention(**what, Retention=retention)
                passed.append(f"{name}/{version['Key']}")
    return tuple(passed)


def empty_bucket(aws: LocalAws, name: str) -> None:
    """Deletes every version of every object of a bucket."""
    s3 = aws.client("s3")
    listed = s3.list_object_versions(Bucket=name)
    for version in (*listed.get("Versions", []), *listed.get("DeleteMarkers", [])):
        s3.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
