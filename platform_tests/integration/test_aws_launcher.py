"""Dagster's launcher on AWS: what a run becomes, and what its tags cannot make of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from aws_api import AwsApi
from dagster import DagsterInstance, DagsterRun, DagsterRunStatus
from dagster._core.code_pointer import FileCodePointer
from dagster._core.launcher.base import WorkerStatus
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import PARENT_RUN_ID_TAG
from dagster._core.test_utils import create_run_for_test, create_test_daemon_workspace_context
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import (
    QueuedRunCoordinatorDaemon,
)

from interlock.settings import REPOSITORY

FOLDER = REPOSITORY / "docker" / "dagster"
JOB = "import dagster as dg\n\n@dg.op\ndef work(): ...\n\n@dg.job\ndef pipeline(): work()\n"
IMAGE = "interlock.invalid/platform:1"
NO_WORKSPACE: Any = None  # the launcher asks for none
BURST = {"interlock/compute": "burst"}
# Every tag that dagster_aws 0.29 obeys, and some that a later one or another spelling might.
FORBIDDEN = {
    "ecs/container_overrides": '{"environment": [{"name": "ENVIRONMENT", "value": "dev"}]}',
    "ecs/task_overrides": '{"taskRoleArn": "arn:aws:iam::123456789012:role/admin"}',
    "ecs/run_task_kwargs": '{"taskDefinition": "other"}',
    "ecs/ephemeral_storage": "200",
    "ecs/task_definition": "other",
    "ecs/secrets": "[]",
    "ECS/task_overrides": "{}",
    "aws/role": "admin",
    "aws/": "",
}
REMOTE = RemoteJobOrigin(
    repository_origin=RemoteRepositoryOrigin(
        code_location_origin=GrpcServerCodeLocationOrigin(
            host="code-server", port=4000, location_name="interlock"
        ),
        repository_name="__repository__",
    ),
    job_name="pipeline",
)
FORGED = {
    "ecs/task_arn": "arn:aws:ecs:eu-central-1:123456789012:task/c/1",
    "ecs/cluster": "other",
    "aws/batch_job": "0",
}


@dataclass(frozen=True)
class Account:
    """What Terraform makes for the launcher, made on the local API.

    Attributes:
        api: The API.
        family: Task definition of runs.
        cluster: ECS cluster.
        queue: Batch queue.
        definition: Batch job definition.
        subnet: For tasks.
        group: Security group for tasks.
    """

    api: AwsApi
    family: str
    cluster: str
    queue: str
    definition: str
    subnet: str
    group: str

    def register_family(self) -> str:
        """A new revision of the task definition."""
        with self.api.client("ecs") as ecs:
            answer = ecs.register_task_definition(
                family=self.family,
                networkMode="awsvpc",
                requiresCompatibilities=["FARGATE"],
                cpu="1024",
                memory="4096",
                # moto wants the memory of each container.
                containerDefinitions=[{"name": "run", "image": IMAGE, "memory": 4096}],
            )
        return str(answer["taskDefinition"]["taskDefinitionArn"])

    def tasks_of(self, run: DagsterRun) -> list[dict[str, Any]]:
        """Every task that was started for a run."""
        with self.api.client("ecs") as ecs:
            arns = ecs.list_tasks(cluster=self.cluster)["taskArns"]
            if not arns:
                return []
            answer = ecs.describe_tasks(cluster=self.cluster, tasks=arns, include=["TAGS"])
        tag = {"key": "dagster/run_id", "value": run.run_id}
        return [task for task in answer["tasks"] if tag in task["tags"]]

    def stopped(self, run: DagsterRun) -> bool:
        """Whether the task that the launch of a run noted was told to stop."""
        with self.api.client("ecs") as ecs:
            arn = run.tags["ecs/task_arn"]
            (task,) = ecs.describe_tasks(cluster=self.cluster, tasks=[arn])["tasks"]
        return bool(task["desiredStatus"] == "STOPPED")

    def jobs_of(self, run: DagsterRun) -> list[dict[str, Any]]:
        """Every job that was submitted for a run, whatever became of it."""
        found: list[dict[str, Any]] = []
        with self.api.client("batch") as batch:
            for status in ("SUBMITTED", "SUCCEEDED", "FAILED"):
                listed = batch.list_jobs(jobQueue=self.queue, jobStatus=status)["jobSummaryList"]
                ids = [each["jobId"] for each in listed if each["jobName"] == f"run-{run.run_id}"]
                found += batch.describe_jobs(jobs=ids)["jobs"] if ids else []
        return found


@pytest.fixture(scope="module")
def network(aws: AwsApi) -> tuple[str, str, str]:
    """A subnet, a security group and a compute environment in it."""
    with aws.client("ec2") as ec2, aws.client("batch") as batch, aws.client("iam") as iam:
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(GroupName="run", Description="run", VpcId=vpc)["GroupId"]
        role = iam.create_role(RoleName=aws.new_name("batch"), AssumeRolePolicyDocument="{}")
        environment = batch.create_compute_environment(
            computeEnvironmentName=aws.new_name("burst"),
            type="MANAGED",
            state="ENABLED",
            serviceRole=role["Role"]["Arn"],
            computeResources={
                "type": "FARGATE",
                "maxvCpus": 16,
                "subnets": [subnet],
                "securityGroupIds": [group],
            },
        )["computeEnvironmentArn"]
    return subnet, group, environment


@pytest.fixture(scope="module")
def account(aws: AwsApi, network: tuple[str, str, str]) -> Account:
    subnet, group, environment = network
    made = Account(
        api=aws,
        family=aws.new_name("run"),
        cluster=aws.new_name("cluster"),
        queue=aws.new_name("queue"),
        definition=aws.new_name("definition"),
        subnet=subnet,
        group=group,
    )
    with aws.client("ecs") as ecs, aws.client("batch") as batch:
        ecs.create_cluster(clusterName=made.cluster)
        batch.create_job_queue(
            jobQueueName=made.queue,
            state="ENABLED",
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": environment}],
        )
        batch.register_job_definition(
            jobDefinitionName=made.definition,
            type="container",
            containerProperties={
                "image": IMAGE,
                "resourceRequirements": [
                    {"type": "VCPU", "value": "1"},
                    {"type": "MEMORY", "value": "4096"},
                ],
            },
        )
    made.register_family()
    return made


@pytest.fixture(scope="module")
def home(account: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """DAGSTER_HOME with launcher and queue of ``aws/dagster.yaml``, and SQLite."""
    path = tmp_path_factory.mktemp("dagster")
    variables = {
        "RUN_TASK_DEFINITION": account.family,
        "RUN_CONTAINER_NAME": "run",
        "ECS_CLUSTER": account.cluster,
        "RUN_SUBNETS": account.subnet,
        "RUN_SECURITY_GROUPS": f"{account.group}, {account.group}",
        "BATCH_JOB_QUEUE": account.queue,
        "BATCH_JOB_DEFINITION": account.definition,
        "MAX_CONCURRENT_RUNS": "70",
    }
    written = yaml.safe_load((FOLDER / "aws" / "dagster.yaml").read_text())
    kept = {name: written[name] for name in ("run_launcher", "run_coordinator", "telemetry")}
    (path / "dagster.yaml").write_text(yaml.safe_dump(kept))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        patch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
        for name, value in {**account.api.variables, **variables}.items():
            patch.setenv(name, value)
        yield path


@pytest.fixture(scope="module")
def instance(home: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.from_config(str(home)) as made:
        yield made


@pytest.fixture(scope="module")
def origin(home: Path) -> JobPythonOrigin:
    """A job that a process of its own can load."""
    path = home / "job.py"
    path.write_text(JOB)
    return JobPythonOrigin(
        job_name="pipeline",
        repository_origin=RepositoryPythonOrigin(
            executable_path=sys.executable,
            code_pointer=FileCodePointer(python_file=str(path), fn_name="pipeline"),
            entry_point=["dagster"],
            container_context={},
        ),
    )


@pytest.fixture
def new_run(instance: DagsterInstance, origin: JobPythonOrigin) -> Callable[..., DagsterRun]:
    def make(
        tags: dict[str, str] | None = None,
        status: DagsterRunStatus = DagsterRunStatus.NOT_STARTED,
    ) -> DagsterRun:
        made: DagsterRun = create_run_for_test(
            instance,
            job_name="pipeline",
            status=status,
            tags=tags or {},
            job_code_origin=origin,
            remote_job_origin=REMOTE,
        )
        return made

    return make


@pytest.fixture
def launched(
    instance: DagsterInstance, new_run: Callable[..., DagsterRun]
) -> Callable[..., DagsterRun]:
    """Launches a run, and reads it again with the tags that its launch wrote."""

    def launch(tags: dict[str, str] | None = None) -> DagsterRun:
        run = new_run(tags)
        instance.launch_run(run.run_id, NO_WORKSPACE)
        return stored(instance, run)

    return launch


def stored(instance: DagsterInstance, run: DagsterRun) -> DagsterRun:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found


def log_of(instance: DagsterInstance, run: DagsterRun) -> str:
    return "\n".join(entry.message for entry in instance.all_logs(run.run_id))


def assert_refused(instance: DagsterInstance, account: Account, run: DagsterRun, text: str) -> None:
    with pytest.raises(Exception, match="is not started") as refused:
        instance.launch_run(run.run_id, NO_WORKSPACE)
    assert type(refused.value).__name__ == "RunRefused"
    assert stored(instance, run).status is DagsterRunStatus.FAILURE
    assert text in log_of(instance, run)
    assert account.tasks_of(run) == []
    assert account.jobs_of(run) == []


def test_run_becomes_a_task_of_the_newest_revision_and_of_nothing_else(
    instance: DagsterInstance, account: Account, launched: Callable[..., DagsterRun]
) -> None:
    assert instance.run_launcher is not None
    newest = account.register_family()
    run = launched({"interlock/product": "credit_risk"})
    (task,) = account.tasks_of(run)
    assert task["taskDefinitionArn"] == newest
    assert task["launchType"] == "FARGATE"
    (container,) = task["overrides"]["containerOverrides"]
    assert set(task["overrides"]) == {"containerOverrides"}
    assert set(container) == {"name", "command"}
    assert container["name"] == "run"
    assert {"key": "dagster/run_id", "value": run.run_id} in task["tags"]
    assert run.tags["ecs/task_arn"] == task["taskArn"]
    details = {each["name"]: each["value"] for each in task["attachments"][0]["details"]}
    assert details["subnetId"] == account.subnet


def test_command_of_the_task_executes_the_run(
    instance: DagsterInstance, account: Account, launched: Callable[..., DagsterRun]
) -> None:
    run = launched()
    (task,) = account.tasks_of(run)
    command = task["overrides"]["containerOverrides"][0]["command"]
    assert command[:3] == ["dagster", "api", "execute_run"]
    program = Path(sys.executable).with_name("dagster")
    subprocess.run([program, *command[1:]], check=True, capture_output=True)
    assert stored(instance, run).status is DagsterRunStatus.SUCCESS


@pytest.mark.parametrize("tag", sorted(FORBIDDEN))
def test_tag_that_could_change_role_image_or_environment_is_refused(
    instance: DagsterInstance,
    account: Account,
    new_run: Callable[..., DagsterRun],
    tag: str,
) -> None:
    run = new_run({tag: FORBIDDEN[tag]})
    assert_refused(instance, account, run, f"the tag {tag} could change")


def test_burst_with_such_tags_is_refused_for_all_of_them(
    instance: DagsterInstance, account: Account, new_run: Callable[..., DagsterRun]
) -> None:
    run = new_run({**FORBIDDEN, **BURST})
    assert_refused(instance, account, run, "the tag ecs/task_overrides could change")
    assert log_of(instance, run).count("could change what the run is") >= len(FORBIDDEN)


@pytest.mark.parametrize("tag", sorted(FORGED))
def test_tag_of_the_launcher_that_somebody_typed_is_refused(
    instance: DagsterInstance,
    account: Account,
    new_run: Callable[..., DagsterRun],
    tag: str,
) -> None:
    run = new_run({tag: FORGED[tag]})
    assert_refused(instance, account, run, f"the tag {tag} is written by the launcher alone")


def test_tags_do_nothing_even_where_nobody_refused_them(
    instance: DagsterInstance, account: Account, new_run: Callable[..., DagsterRun]
) -> None:
    run = new_run(FORBIDDEN)
    launcher: Any = instance.run_launcher
    assert launcher._get_container_overrides(run) == {}
    assert launcher._get_task_overrides(None, run) == {}
    assert launcher._get_run_task_kwargs_from_run(run) == {}


def test_daemon_refuses_and_the_reason_is_in_the_log_of_the_run(
    instance: DagsterInstance, account: Account, new_run: Callable[..., DagsterRun]
) -> None:
    tags = {"ecs/task_overrides": FORBIDDEN["ecs/task_overrides"]}
    refused = new_run(tags, DagsterRunStatus.QUEUED)
    accepted = new_run({}, DagsterRunStatus.QUEUED)
    daemon = QueuedRunCoordinatorDaemon(interval_seconds=1)
    with (
        daemon,
        create_test_daemon_workspace_context(EmptyWorkspaceTarget(), instance) as workspace,
    ):
        list(daemon.run_iteration(workspace))
    assert stored(instance, refused).status is DagsterRunStatus.FAILURE
    assert "the tag ecs/task_overrides could change" in log_of(instance, refused)
    assert stored(instance, accepted).status is DagsterRunStatus.STARTING
    assert len(account.tasks_of(accepted)) == 1
    assert account.tasks_of(refused) == []


def test_concurrency_comes_from_the_environment(instance: DagsterInstance) -> None:
    queue = instance.get_concurrency_config().run_queue_config
    assert queue is not None
    assert queue.max_concurrent_runs == 70


@pytest.mark.parametrize(("cpu", "memory"), [("256", "512"), ("4096", "30720")])
def test_size_of_fargate_may_be_chosen(
    instance: DagsterInstance,
    account: Account,
    launched: Callable[..., DagsterRun],
    cpu: str,
    memory: str,
) -> None:
    size = {"ecs/cpu": cpu, "ecs/memory": memory}
    (task,) = account.tasks_of(launched(size))
    assert (task["overrides"]["cpu"], task["overrides"]["memory"]) == (cpu, memory)
    # moto forgets what a job asks for, so the request is looked at.
    sent: list[dict[str, Any]] = []
    launcher: Any = instance.run_launcher
    event = "before-parameter-build.batch.SubmitJob"
    launcher.batch.meta.events.register(event, lambda params, **_: sent.append(dict(params)))
    launched({**size, **BURST})
    assert sent[0]["containerOverrides"]["resourceRequirements"] == [
        {"type": "VCPU", "value": f"{int(cpu) / 1024:g}"},
        {"type": "MEMORY", "value": memory},
    ]
    assert sent[0]["retryStrategy"] == {"attempts": 1}


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ({"ecs/cpu": "1024"}, "only one of ecs/cpu and ecs/memory"),
        ({"ecs/memory": "2048"}, "only one of ecs/cpu and ecs/memory"),
        ({"ecs/cpu": "1024", "ecs/memory": "1024"}, "no size of Fargate"),
        ({"ecs/cpu": "1025", "ecs/memory": "2048"}, "no size of Fargate"),
        ({"ecs/cpu": "32768", "ecs/memory": "65536"}, "no size of Fargate"),
        ({"ecs/cpu": " 1024", "ecs/memory": "2048"}, "no size of Fargate"),
        ({"ecs/cpu": "1e3", "ecs/memory": "2048"}, "no size of Fargate"),
        ({"ecs/cpu": "", "ecs/memory": ""}, "no size of Fargate"),
        ({"interlock/compute": "spot"}, "expected 'burst'"),
        ({"interlock/compute": ""}, "expected 'burst'"),
    ],
)
def test_size_or_place_that_does_not_exist_is_refused(
    instance: DagsterInstance,
    account: Account,
    new_run: Callable[..., DagsterRun],
    tags: dict[str, str],
    text: str,
) -> None:
    assert_refused(instance, account, new_run(tags), text)


def test_container_context_of_the_code_location_is_refused(
    instance: DagsterInstance, account: Account, origin: JobPythonOrigin
) -> None:
    context = {"ecs": {"task_role_arn": "arn:aws:iam::123456789012:role/admin"}}
    changed = origin._replace(
        repository_origin=origin.repository_origin._replace(container_context=context)
    )
    run = create_run_for_test(instance, job_name="pipeline", job_code_origin=changed)
    assert_refused(instance, account, run, "brings a container context")


def test_burst_becomes_a_job_that_executes_the_same_command(
    instance: DagsterInstance, account: Account, launched: Callable[..., DagsterRun]
) -> None:
    run = launched(BURST)
    assert account.tasks_of(run) == []
    (job,) = account.jobs_of(run)
    assert job["jobName"] == f"run-{run.run_id}"
    assert job["tags"]["dagster/run_id"] == run.run_id
    assert job["jobDefinition"].rpartition("/")[2] == f"{account.definition}:1"
    command = job["container"]["command"]
    assert command[:3] == ["dagster", "api", "execute_run"]
    assert json.loads(command[3])["pipeline_run_id"] == run.run_id
    assert run.tags["aws/batch_job"] == job["jobId"]
    assert "Submitted the run to AWS Batch" in log_of(instance, run)


def test_burst_without_a_queue_is_refused(
    home: Path,
    account: Account,
    new_run: Callable[..., DagsterRun],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BATCH_JOB_QUEUE", "")
    with DagsterInstance.from_config(str(home)) as without:
        assert_refused(without, account, new_run(BURST), "there is no queue for bursts")


def test_burst_that_waits_is_alive_and_can_be_stopped(
    instance: DagsterInstance, account: Account, launched: Callable[..., DagsterRun]
) -> None:
    launcher = instance.run_launcher
    with account.api.waiting_jobs():
        run = launched(BURST)
        health = launcher.check_run_worker_health(run)
        assert health.status is WorkerStatus.RUNNING
        assert "is SUBMITTED" in (launcher.get_run_worker_debug_info(run) or "")
        assert launcher.terminate(run.run_id)
        (job,) = account.jobs_of(run)
        assert job["statusReason"] == "stopped by Dagster"
    assert stored(instance, run).status is DagsterRunStatus.CANCELING


def test_burst_that_ended_is_told(
    instance: DagsterInstance, account: Account, launched: Callable[..., DagsterRun]
) -> None:
    launcher = instance.run_launcher
    good = launched(BURST)
    assert launcher.check_run_worker_health(good).status is WorkerStatus.SUCCESS
    assert not launcher.terminate(good.run_id)
    with account.api.waiting_jobs():
        bad = launched(BURST)
        launcher.terminate(bad.run_id)
    # Goes on without the switch, and ends because there is no such image.
    until = time.monotonic() + 30
    while launcher.check_run_worker_health(bad).status is WorkerStatus.RUNNING:
        assert time.monotonic() < until
        time.sleep(0.1)
    health = launcher.check_run_worker_health(bad)
    assert health.status is WorkerStatus.FAILED
    assert "is FAILED, stopped by Dagster" in (health.msg or "")


@pytest.mark.parametrize("tags", [{}, BURST], ids=["task", "burst"])
def test_run_that_is_over_is_not_stopped(
    instance: DagsterInstance, launched: Callable[..., DagsterRun], tags: dict[str, str]
) -> None:
    run = launched(tags)
    instance.report_run_failed(run)
    assert not instance.run_launcher.terminate(run.run_id)
    assert not instance.run_launcher.terminate("no such run")
    assert stored(instance, run).status is DagsterRunStatus.FAILURE


def test_task_can_be_stopped_and_its_end_is_seen(
    instance: DagsterInstance, account: Account, launched: Callable[..., DagsterRun]
) -> None:
    run = launched()
    launcher = instance.run_launcher
    assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    assert launcher.get_run_worker_debug_info(run) is None
    assert launcher.terminate(run.run_id)
    assert account.stopped(run)
    ended = launcher.check_run_worker_health(run)
    assert ended.status in {WorkerStatus.SUCCESS, WorkerStatus.FAILED}


def test_forged_task_tag_stops_nobody_elses_task(
    instance: DagsterInstance, account: Account, launched: Callable[..., DagsterRun]
) -> None:
    victim = launched()
    taken = {name: victim.tags[name] for name in ("ecs/task_arn", "ecs/cluster")}
    # As a run that repeats the victim's has them before it is launched.
    forger = launched({**taken, PARENT_RUN_ID_TAG: victim.run_id})
    assert forger.tags["ecs/task_arn"] != victim.tags["ecs/task_arn"]
    for forged in (taken, {**taken, "ecs/cluster": "other"}, {"ecs/task_arn": "no ARN"}):
        instance.add_run_tags(forger.run_id, forged)
        assert not instance.run_launcher.terminate(forger.run_id)
        health = instance.run_launcher.check_run_worker_health(stored(instance, forger))
        assert health.status is WorkerStatus.UNKNOWN
    assert not account.stopped(victim)
    assert not account.stopped(forger)


def test_forged_job_tag_stops_nobody_elses_job(
    instance: DagsterInstance, account: Account, launched: Callable[..., DagsterRun]
) -> None:
    launcher = instance.run_launcher
    with account.api.waiting_jobs():
        victim = launched(BURST)
        taken = {"aws/batch_job": victim.tags["aws/batch_job"]}
        forger = launched({**BURST, **taken, PARENT_RUN_ID_TAG: victim.run_id})
        assert forger.tags["aws/batch_job"] != taken["aws/batch_job"]
        for forged in (taken, {"aws/batch_job": "no job"}):
            instance.add_run_tags(forger.run_id, forged)
            assert not launcher.terminate(forger.run_id)
            health = launcher.check_run_worker_health(stored(instance, forger))
            assert health.status is WorkerStatus.UNKNOWN
        (job,) = account.jobs_of(victim)
        assert "statusReason" not in job


def test_job_of_the_right_name_that_somebody_else_submitted_is_not_this_runs(
    instance: DagsterInstance, account: Account, launched: Callable[..., DagsterRun]
) -> None:
    with account.api.waiting_jobs():
        run = launched(BURST)
        with account.api.client("batch") as batch:
            made = batch.submit_job(
                jobName=f"run-{run.run_id}",
                jobQueue=account.queue,
                jobDefinition=account.definition,
            )
        instance.add_run_tags(run.run_id, {"aws/batch_job": made["jobId"]})
        assert not instance.run_launcher.terminate(run.run_id)


@pytest.mark.parametrize("first", [{}, BURST], ids=["task", "burst"])
def test_retried_run_inherits_the_tags_of_its_parent_and_gets_its_own(
    instance: DagsterInstance,
    launched: Callable[..., DagsterRun],
    first: dict[str, str],
) -> None:
    parent = launched(first)
    child = launched({**parent.tags, PARENT_RUN_ID_TAG: parent.run_id})
    name = "aws/batch_job" if first else "ecs/task_arn"
    assert child.tags[name] != parent.tags[name]


@pytest.mark.parametrize("tag", sorted(FORGED))
def test_tag_that_is_not_the_parents_is_refused(
    instance: DagsterInstance,
    new_run: Callable[..., DagsterRun],
    tag: str,
) -> None:
    parent = new_run()
    run = new_run({tag: FORGED[tag], PARENT_RUN_ID_TAG: parent.run_id})
    with pytest.raises(Exception, match="written by the launcher alone"):
        instance.launch_run(run.run_id, NO_WORKSPACE)
    orphan = new_run({tag: FORGED[tag], PARENT_RUN_ID_TAG: "no such run"})
    with pytest.raises(Exception, match="written by the launcher alone"):
        instance.launch_run(orphan.run_id, NO_WORKSPACE)


def test_run_is_never_resumed_in_a_new_task(
    instance: DagsterInstance, account: Account, launched: Callable[..., DagsterRun]
) -> None:
    run = launched()
    assert not instance.run_launcher.supports_resume_run
    with pytest.raises(Exception, match="never resumed"):
        instance.resume_run(run.run_id, NO_WORKSPACE, 1)
    assert len(account.tasks_of(run)) == 1
    assert stored(instance, run).status is DagsterRunStatus.FAILURE
