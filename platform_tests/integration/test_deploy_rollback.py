"""Deployments against a local AWS API: one that ends well, and every one that does not."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import deploy
import pytest
from aws_api import AwsApi, running_api
from delivery_target import IMAGES, SERVICES

from interlock.settings import REPOSITORY

DEPLOY = REPOSITORY / "scripts" / "ci" / "deploy.py"
OLD = "sha256:" + "0" * 64
REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
IMAGE_OF = {"mlflow": "mlflow", "dagster-webserver": "dagster", "dagster-daemon": "dagster"}
SIDECAR = "public.ecr.aws/other/collector:1"
COMMIT_A, COMMIT_B = "a" * 40, "b" * 40
PASSES = ("true",)
FAILS = ("false",)
INDEX = "application/vnd.oci.image.index.v1+json"
SECONDS = 60.0


@dataclass(frozen=True)
class Deployed:
    """What a deployment came to: its exit code, and everything that it said."""

    code: int
    said: str


@dataclass
class Environment:
    """What Terraform makes, made on the local API, and deployments to it.

    Attributes:
        api: The API.
        clients: Clients by service.
        folder: Where records are written.
        name: Prefix of its names.
        subnet: For tasks.
        group: For tasks.
        digests: Image and commit to digest.
    """

    api: AwsApi
    clients: dict[str, Any]
    folder: Path
    name: str
    subnet: str
    group: str
    digests: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def alarm(self) -> str:
        return f"{self.name}-webserver-down"

    @property
    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "deployment.json").read_text())
        return found

    def target(self, **changes: Any) -> str:
        document = {
            "cluster": self.name,
            "subnets": [self.subnet],
            "security_group": self.group,
            "alarms": [self.alarm],
        }
        return json.dumps(document | changes)

    def command(self, release: str, *options: str, smoke: tuple[str, ...] = PASSES) -> list[str]:
        return [
            sys.executable,
            str(DEPLOY),
            "--environment=staging",
            f"--release={release}",
            f"--target={self.target()}",
            f"--record={self.folder / 'deployment.json'}",
            "--poll-seconds=0.05",
            "--job-seconds=30",
            "--stable-seconds=2",
            "--watch-seconds=0.2",
            *options,
            "--",
            *smoke,
        ]

    def deploy(self, release: str, *options: str, smoke: tuple[str, ...] = PASSES) -> Deployed:
        """In this process; the API's variables are set."""
        said = io.StringIO()
        words = self.command(release, *options, smoke=smoke)[2:]
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            code = deploy.main(words)
        return Deployed(code, said.getvalue())

    @contextlib.contextmanager
    def deploying(self, *, until: str) -> Iterator[subprocess.Popen[str]]:
        """COMMIT_A, in a process of its own that has come to a step; its end is waited for."""
        with subprocess.Popen(
            self.command(COMMIT_A, "--watch-seconds=60"),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            see(process, until)
            yield process
            process.communicate()

    # --- what Terraform makes

    def make(self) -> None:
        self.clients["ecs"].create_cluster(clusterName=self.name)
        for name in (*SERVICES, "run", "jobs", "databases"):
            self.register(name)
        for service in SERVICES:
            network = {"subnets": [self.subnet], "securityGroups": [self.group]}
            self.clients["ecs"].create_service(
                cluster=self.name,
                serviceName=service,
                taskDefinition=f"{self.name}-{service}",
                desiredCount=0,
                launchType="FARGATE",
                networkConfiguration={"awsvpcConfiguration": network},
            )
            self.count(service, 1)
        self.clients["batch"].register_job_definition(
            jobDefinitionName=f"{self.name}-run-spot",
            type="container",
            platformCapabilities=["FARGATE"],
            tags={"owner": "platform"},
            containerProperties={
                "image": f"{REGISTRY}/{self.name}/platform@{OLD}",
                "executionRoleArn": "arn:aws:iam::123456789012:role/execution",
                "resourceRequirements": [
                    {"type": "VCPU", "value": "1"},
                    {"type": "MEMORY", "value": "2048"},
                ],
            },
        )
        self.clients["cloudwatch"].put_metric_alarm(
            AlarmName=self.alarm,
            Namespace="AWS/ECS",
            MetricName="RunningTaskCount",
            Statistic="Minimum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=1,
            ComparisonOperator="LessThanThreshold",
        )
        self.set_alarm("OK")
        for image in IMAGES:
            self.clients["ecr"].create_repository(repositoryName=f"{self.name}/{image}")
        for commit in (COMMIT_A, COMMIT_B):
            for image in IMAGES:
                self.push(image, commit)

    def register(self, name: str, **settings: str) -> None:
        image = f"{REGISTRY}/{self.name}/{IMAGE_OF.get(name, 'platform')}@{OLD}"
        containers = [
            {
                "name": name,
                "image": image,
                "memory": 512,
                "essential": True,
                "environment": [{"name": key, "value": each} for key, each in settings.items()],
            },
            {"name": "collector", "image": SIDECAR, "memory": 128, "essential": False},
        ]
        self.clients["ecs"].register_task_definition(
            family=f"{self.name}-{name}",
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu="1024",
            memory="2048",
            taskRoleArn="arn:aws:iam::123456789012:role/task",
            runtimePlatform={"cpuArchitecture": "X86_64", "operatingSystemFamily": "LINUX"},
            containerDefinitions=containers,
            tags=[{"key": "owner", "value": "platform"}],
        )

    def push(self, image: str, commit: str, *, attested: bool = True) -> None:
        manifests: list[dict[str, Any]] = [{"digest": f"sha256:{commit}{image}"}]
        if attested:
            mark = {"vnd.docker.reference.type": "attestation-manifest"}
            manifests.append({"digest": f"sha256:{commit}{image}-how", "annotations": mark})
        answer = self.clients["ecr"].put_image(
            repositoryName=f"{self.name}/{image}",
            imageTag=commit,
            imageManifest=json.dumps({"mediaType": INDEX, "manifests": manifests}),
            imageManifestMediaType=INDEX,
        )
        self.digests[image, commit] = answer["image"]["imageId"]["imageDigest"]

    # --- what may happen

    def count(self, service: str, desired: int) -> None:
        self.clients["ecs"].update_service(cluster=self.name, service=service, desiredCount=desired)

    def set_alarm(self, state: str) -> None:
        self.clients["cloudwatch"].set_alarm_state(
            AlarmName=self.alarm, StateValue=state, StateReason="test"
        )

    # --- what is there

    def services(self) -> dict[str, str]:
        answer = self.clients["ecs"].describe_services(cluster=self.name, services=list(SERVICES))
        return {each["serviceName"]: each["taskDefinition"] for each in answer["services"]}

    def definition(self, arn: str) -> dict[str, Any]:
        found = self.clients["ecs"].describe_task_definition(taskDefinition=arn, include=["TAGS"])
        definition: dict[str, Any] = found["taskDefinition"]
        return definition | {"tags": {each["key"]: each["value"] for each in found["tags"]}}

    def images(self) -> dict[str, str]:
        """Service or family to the image that it runs now."""
        arns = self.services() | {
            name: f"{self.name}-{name}" for name in ("run", "jobs", "databases")
        }
        found = {
            name: self.definition(arn)["containerDefinitions"][0]["image"]
            for name, arn in arns.items()
        }
        return found | {"batch": self.job()["containerProperties"]["image"]}

    def job(self) -> dict[str, Any]:
        answer = self.clients["batch"].describe_job_definitions(
            jobDefinitionName=f"{self.name}-run-spot", status="ACTIVE"
        )
        found: dict[str, Any] = max(answer["jobDefinitions"], key=lambda each: each["revision"])
        return found

    def images_at(self, commit: str | None) -> dict[str, str]:
        """What ``images`` is where everything runs one commit; None for Terraform's own."""
        names = (*SERVICES, "run", "jobs", "databases", "batch")
        images = {name: IMAGE_OF.get(name, "platform") for name in names}
        return {
            name: f"{REGISTRY}/{self.name}/{image}@"
            + (OLD if commit is None else self.digests[image, commit])
            for name, image in images.items()
        }


def see(process: subprocess.Popen[str], step: str) -> None:
    """Reads what a deployment says until it is at a step."""
    assert process.stdout is not None
    assert any(f" {step}: " in line for line in process.stdout), step


@pytest.fixture(scope="module")
def own_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsApi]:
    """An API whose tasks end by themselves; those of the shared one run until they are stopped."""
    with running_api(tmp_path_factory.mktemp("moto")) as api:
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{api.url}/moto-api/state-manager/unset-transition",
            data=json.dumps({"model_name": "ecs::task"}).encode(),
            method="POST",
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=SECONDS) as answer:
            answer.read()
        yield api


@pytest.fixture
def environment(
    own_aws: AwsApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Environment]:
    for name, value in own_aws.variables.items():
        monkeypatch.setenv(name, value)
    names = ("ecs", "ecr", "ec2", "batch", "cloudwatch")
    with ExitStack() as stack:
        clients = {name: stack.enter_context(own_aws.client(name)) for name in names}
        ec2 = clients["ec2"]
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(GroupName="jobs", Description="jobs", VpcId=vpc)
        made = Environment(
            own_aws,
            clients,
            tmp_path,
            own_aws.new_name("env") + "-staging",
            subnet,
            group["GroupId"],
        )
        made.make()
        yield made


def test_a_release_reaches_services_runs_jobs_and_bursts(environment: Environment) -> None:
    before = environment.definition(environment.services()["code-server"])
    done = environment.deploy(COMMIT_A)
    assert done.code == 0, done.said
    assert environment.images() == environment.images_at(COMMIT_A)
    after = environment.definition(environment.services()["code-server"])
    assert after["containerDefinitions"][1]["image"] == SIDECAR
    assert after["tags"]["owner"] == "platform"
    for each in (before, after):
        for key in ("containerDefinitions", "taskDefinitionArn", "revision", "tags"):
            each.pop(key)
    assert after == before
    assert environment.record["status"] == "succeeded"
    assert environment.job()["tags"]["owner"] == "platform"


def test_the_same_release_again_changes_nothing(environment: Environment) -> None:
    environment.deploy(COMMIT_A)
    services, job = environment.services(), environment.job()["revision"]
    assert environment.deploy(COMMIT_A).code == 0
    assert environment.services() == services
    assert environment.job()["revision"] == job


def test_failing_smoke_test_rolls_back_to_the_exact_revisions(environment: Environment) -> None:
    environment.deploy(COMMIT_A)
    before = environment.services()
    done = environment.deploy(COMMIT_B, smoke=FAILS)
    assert done.code == 1
    assert "the smoke test failed" in done.said
    assert environment.services() == before
    assert environment.images() == environment.images_at(COMMIT_A)
    assert environment.record["status"] == "rolled-back"
    assert environment.record["former"]["services"] == before
    # What was rolled back is no base for the next: that one goes back to COMMIT_A as well.
    assert environment.deploy(COMMIT_B, smoke=FAILS).code == 1
    assert environment.services() == before
    assert environment.deploy(COMMIT_B).code == 0
    assert environment.images() == environment.images_at(COMMIT_B)


def settings(definition: dict[str, Any]) -> dict[str, str]:
    """Of its first container."""
    container = definition["containerDefinitions"][0]
    return {each["name"]: each["value"] for each in container["environment"]}


@pytest.mark.parametrize("release", [COMMIT_A, COMMIT_B])
def test_what_terraform_changed_arrives_with_the_next_deployment(
    environment: Environment, release: str
) -> None:
    environment.deploy(COMMIT_A)
    before = environment.services()
    for name in ("code-server", "run"):
        environment.register(name, LIMIT="2")
    assert environment.deploy(release, smoke=FAILS).code == 1
    assert environment.services() == before
    assert settings(environment.definition(before["code-server"])) == {}
    done = environment.deploy(release)
    assert done.code == 0, done.said
    assert environment.images() == environment.images_at(release)
    arns = (environment.services()["code-server"], f"{environment.name}-run")
    for arn in arns:
        assert settings(environment.definition(arn)) == {"LIMIT": "2"}
    assert environment.deploy(release).code == 0
    assert environment.services()["code-server"] == arns[0]


def test_copy_that_the_way_back_made_is_not_taken_for_terraforms(environment: Environment) -> None:
    """Terraform registers a revision while a deployment runs, which then fails."""
    ecs = environment.clients["ecs"]
    changing = (
        "import boto3; e = boto3.client('ecs');"
        f"d = e.describe_task_definition(taskDefinition='{environment.name}-run:1');"
        "d = d['taskDefinition']; c = d['containerDefinitions'];"
        "c[0]['environment'] = [{'name': 'LIMIT', 'value': '2'}];"
        "e.register_task_definition(family=d['family'], containerDefinitions=c); exit(1)"
    )
    assert environment.deploy(COMMIT_A, smoke=(sys.executable, "-c", changing)).code == 1
    newest = environment.definition(f"{environment.name}-run")
    assert settings(newest) == {}
    assert environment.deploy(COMMIT_A).code == 0
    assert settings(environment.definition(f"{environment.name}-run")) == {"LIMIT": "2"}
    # What Terraform took back counts no more; without any of its own, the current one does.
    for number in (1, 3):
        ecs.deregister_task_definition(taskDefinition=f"{environment.name}-run:{number}")
    assert environment.deploy(COMMIT_B).code == 0
    assert settings(environment.definition(f"{environment.name}-run")) == {"LIMIT": "2"}
    assert environment.images() == environment.images_at(COMMIT_B)


def test_smoke_test_sees_the_new_release(environment: Environment, tmp_path: Path) -> None:
    seen = tmp_path / "seen.json"
    program = (
        "import boto3, sys; e = boto3.client('ecs');"
        f"s = e.describe_services(cluster='{environment.name}', services=['mlflow']);"
        "a = s['services'][0]['taskDefinition'];"
        f"open('{seen}', 'w').write(str(e.describe_task_definition(taskDefinition=a)))"
    )
    environment.deploy(COMMIT_A, smoke=(sys.executable, "-c", program))
    assert environment.digests["mlflow", COMMIT_A] in seen.read_text()


def test_alarm_in_the_first_minutes_rolls_back(environment: Environment) -> None:
    before = environment.services()
    alarm = (
        "import boto3; boto3.client('cloudwatch').set_alarm_state("
        f"AlarmName='{environment.alarm}', StateValue='ALARM', StateReason='test')"
    )
    done = environment.deploy(COMMIT_A, smoke=(sys.executable, "-c", alarm))
    assert done.code == 1
    assert f"{environment.alarm} fires" in done.said
    assert environment.services() == before
    assert environment.images() == environment.images_at(None)
    assert environment.record["status"] == "rolled-back"


def test_firing_alarm_refuses_the_deployment_before_anything_is_touched(
    environment: Environment,
) -> None:
    environment.set_alarm("ALARM")
    done = environment.deploy(COMMIT_A)
    assert done.code == 2
    assert "fires already" in done.said
    assert environment.images() == environment.images_at(None)
    assert environment.deploy(COMMIT_A, f"--ignore-alarm={environment.alarm}").code == 0


def test_service_that_does_not_become_stable_rolls_back(environment: Environment) -> None:
    ecs = environment.clients["ecs"]
    ecs.delete_service(cluster=environment.name, service="mlflow", force=True)
    network = {"subnets": [environment.subnet], "securityGroups": [environment.group]}
    ecs.create_service(  # moto starts none of its tasks
        cluster=environment.name,
        serviceName="mlflow",
        taskDefinition=f"{environment.name}-mlflow",
        desiredCount=1,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": network},
    )
    done = environment.deploy(COMMIT_A)
    assert done.code == 1
    # Nor does it under the former revision: said, not hidden.
    assert environment.record["status"] == "rollback-failed"
    assert "not stable within 2 s: mlflow" in done.said
    assert environment.images() == environment.images_at(None)


@pytest.mark.parametrize(("again", "ends"), [(COMMIT_A, PASSES), (COMMIT_B, FAILS)])
@pytest.mark.parametrize("cut_off_at", ["register", "family", "batch", "update", "stable"])
def test_cut_off_anywhere_and_started_again(
    environment: Environment, cut_off_at: str, ends: tuple[str, ...], again: str
) -> None:
    before = environment.services()
    with environment.deploying(until=cut_off_at) as process:
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    (environment.folder / "deployment.json").unlink()  # another machine knows nothing of it
    done = environment.deploy(again, smoke=ends)
    if ends == PASSES:
        assert done.code == 0, done.said
        assert environment.images() == environment.images_at(again)
    else:
        assert done.code == 1
        assert environment.services() == before
        assert environment.images() == environment.images_at(None)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, -signal.SIGINT)]
)
def test_interrupted_deployment_is_taken_back_first(
    environment: Environment, number: signal.Signals, code: int
) -> None:
    before = environment.services()
    with environment.deploying(until="stable") as process:
        process.send_signal(number)
        see(process, "failed")
        process.send_signal(signal.SIGTERM)  # whoever cancels insists
        process.send_signal(signal.SIGINT)
    assert process.returncode == code
    assert environment.services() == before
    assert environment.images() == environment.images_at(None)
    assert environment.record["status"] == "rolled-back"


def test_missing_smoke_test_rolls_back(environment: Environment) -> None:
    before = environment.services()
    done = environment.deploy(COMMIT_A, smoke=("no-such-program",))
    assert done.code == 1
    assert "FileNotFoundError" in done.said
    assert environment.services() == before
    assert environment.images() == environment.images_at(None)
    assert environment.record["status"] == "rolled-back"


def test_failure_on_the_way_back_keeps_nothing_else_from_going_back(
    environment: Environment,
) -> None:
    """Here a service and the job definition, which somebody took away meanwhile."""
    before = environment.services()
    program = (
        "import boto3, sys; b = boto3.client('batch'); e = boto3.client('ecs');"
        "d = b.describe_job_definitions(status='ACTIVE')['jobDefinitions'];"
        f"n = '{environment.name}';"
        "[b.deregister_job_definition(jobDefinition=j['jobDefinitionArn'])"
        " for j in d if j['jobDefinitionName'].startswith(n)];"
        "e.delete_service(cluster=n, service='mlflow', force=True);"
        "sys.exit(1)"
    )
    done = environment.deploy(COMMIT_A, smoke=(sys.executable, "-c", program))
    assert done.code == 1
    assert environment.services() | {"mlflow": ""} == before | {"mlflow": ""}
    assert environment.record["status"] == "rollback-failed"
    reported = environment.record["steps"][-2]
    assert reported["step"] == "not rolled back"
    for said in (f"{environment.name}-run-spot: ", "no active service mlflow"):
        assert said in reported["text"]
        assert said in done.said
    for family in ("run", "jobs", "databases"):
        definition = environment.definition(f"{environment.name}-{family}")
        assert definition["containerDefinitions"][0]["image"].endswith(OLD)


def test_back_to_the_former_release_after_another_was_cut_off(environment: Environment) -> None:
    environment.deploy(COMMIT_A)
    with subprocess.Popen(
        environment.command(COMMIT_B, "--watch-seconds=60"), text=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if " stable: " in line:
                process.send_signal(signal.SIGKILL)
                break
    assert environment.images() == environment.images_at(COMMIT_B)
    assert environment.deploy(COMMIT_A).code == 0
    assert environment.images() == environment.images_at(COMMIT_A)


def test_release_without_provenance_is_refused(environment: Environment) -> None:
    commit = "c" * 40
    for image in IMAGES:
        environment.push(image, commit, attested=image != "dagster")
    done = environment.deploy(commit)
    assert done.code == 2
    assert "dagster:" + commit in done.said
    assert "carries no attestation" in done.said
    assert environment.images() == environment.images_at(None)


def test_release_that_was_never_pushed_is_refused(environment: Environment) -> None:
    done = environment.deploy("d" * 40)
    assert done.code == 2
    assert "the registry has no image" in done.said


@pytest.mark.parametrize("release", ["main", "abc123", "a; b", COMMIT_A + "\n"])
def test_release_must_be_a_whole_commit(environment: Environment, release: str) -> None:
    done = environment.deploy(release)
    assert done.code == 2
    assert environment.images() == environment.images_at(None)


def test_record_is_whole_at_every_moment(environment: Environment) -> None:
    process = subprocess.Popen(
        environment.command(COMMIT_A),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    path = environment.folder / "deployment.json"
    seen = set()
    until = time.monotonic() + SECONDS
    while process.poll() is None and time.monotonic() < until:
        if path.exists():
            seen.add(json.loads(path.read_text())["status"])
    assert process.returncode == 0
    assert "deploying" in seen
