"""Starts Dagster's runs on AWS: a Fargate task each, or a job of AWS Batch for a burst.

``dagster_aws`` lets the tags of a run replace the task's role, image, command, network and
environment. Anybody who may launch a run may type tags, so here no tag does any of that
(ADR-0010). What may be chosen by tag is listed in ``refusals_of``: the size, and whether the run
goes to Batch. The rest comes from ``aws/dagster.yaml``, which no user can write.

Tags also say which task a run became. They are never believed: before a task is looked at or
stopped, AWS is asked whether it was started for that run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import boto3
from dagster import DagsterInstance, DagsterRun, Field, StringSource
from dagster._core.events import EngineEventData
from dagster._core.launcher.base import (
    CheckRunHealthResult,
    LaunchRunContext,
    ResumeRunContext,
    WorkerStatus,
)
from dagster._core.storage.tags import PARENT_RUN_ID_TAG, RUN_WORKER_ID_TAG
from dagster._grpc.types import ExecuteRunArgs
from dagster._serdes import ConfigurableClassData
from dagster_aws.ecs import EcsRunLauncher
from dagster_aws.ecs.container_context import EcsContainerContext
from dagster_aws.ecs.launcher import Tags

COMPUTE_TAG: Final = "interlock/compute"
BURST: Final = "burst"
CPU_TAG: Final = "ecs/cpu"
MEMORY_TAG: Final = "ecs/memory"
TASK_TAG: Final = "ecs/task_arn"
CLUSTER_TAG: Final = "ecs/cluster"
BATCH_JOB_TAG: Final = "aws/batch_job"
RUN_ID_TAG: Final = "dagster/run_id"  # on the task or job, where only the launcher writes it
OWN_TAGS: Final = (TASK_TAG, CLUSTER_TAG, BATCH_JOB_TAG)
GUARDED_PREFIXES: Final = ("ecs/", "aws/")
CPU_UNITS: Final = 1024  # of ECS per vCPU of Batch

_GIB: Final = 1024  # MiB
FARGATE_SIZES: Final[Mapping[int, frozenset[int]]] = MappingProxyType(
    # CPU units to MiB; docs.aws.amazon.com, "Fargate task CPU and memory".
    {
        256: frozenset({512, 1 * _GIB, 2 * _GIB}),
        512: frozenset(range(1 * _GIB, 4 * _GIB + 1, _GIB)),
        1024: frozenset(range(2 * _GIB, 8 * _GIB + 1, _GIB)),
        2048: frozenset(range(4 * _GIB, 16 * _GIB + 1, _GIB)),
        4096: frozenset(range(8 * _GIB, 30 * _GIB + 1, _GIB)),
        8192: frozenset(range(16 * _GIB, 60 * _GIB + 1, 4 * _GIB)),
        16384: frozenset(range(32 * _GIB, 120 * _GIB + 1, 8 * _GIB)),
    }
)
_WAITING_OR_WORKING: Final = {
    "SUBMITTED",
    "PENDING",
    "RUNNABLE",
    "STARTING",
    "RUNNING",
}


class RunRefused(Exception):
    """The run asks for what no run may choose.

    Args:
        run_id: The run.
        reasons: What it asks for, and what to do instead; one sentence each.
    """

    def __init__(self, run_id: str, reasons: list[str]) -> None:
        super().__init__(f"run {run_id} is not started: " + "; ".join(reasons))
        self.reasons = tuple(reasons)


def refusals_of(run: DagsterRun, parent: DagsterRun | None) -> list[str]:
    """Why a run may not be started, from its tags and the code location's container context.

    - ``ecs/cpu`` and ``ecs/memory`` may name a size of Fargate, together;
    - ``interlock/compute`` may be ``burst``;
    - a repeated run may carry what its parent's launch noted, unchanged;
    - every other tag under ``ecs/`` or ``aws/`` is refused, known to AWS or not.

    Args:
        run: The run, with the tags of job, schedule and Launchpad merged.
        parent: The run that it repeats, where there is one.

    Returns:
        The reasons; empty when nothing stands against it.
    """
    reasons = []
    for tag in sorted(run.tags):
        if tag in {CPU_TAG, MEMORY_TAG} or not tag.lower().startswith(GUARDED_PREFIXES):
            continue
        if tag not in OWN_TAGS:
            reasons.append(
                f"the tag {tag} could change what the run is or may do; remove it: task "
                "definition, role, image, network and environment come from the platform's "
                "operator"
            )
        elif parent is None or parent.tags.get(tag) != run.tags[tag]:
            reasons.append(f"the tag {tag} is written by the launcher alone; remove it")
    compute = run.tags.get(COMPUTE_TAG, BURST)
    if compute != BURST:
        reasons.append(
            f"the tag {COMPUTE_TAG} is {compute!r}, expected {BURST!r}; correct or remove it"
        )
    size = _size_refusal(run.tags.get(CPU_TAG), run.tags.get(MEMORY_TAG))
    if size is not None:
        reasons.append(size)
    origin = run.job_code_origin
    if origin is not None and origin.repository_origin.container_context:
        reasons.append(
            "its code location brings a container context; start the code server without one"
        )
    return reasons


class GovernedRunLauncher(EcsRunLauncher[DagsterInstance]):
    """Starts each run as its own task of one task definition.

    Args:
        task_definition: Family; each run gets its newest revision.
        container_name: The container of it that works.
        cluster: Name of the ECS cluster.
        subnets: Ids, separated by commas.
        security_groups: Ids, separated by commas.
        batch_job_queue: Name of the queue for bursts; empty where there is none.
        batch_job_definition: Name of the job definition for bursts.
        inst_data: Of Dagster.
    """

    def __init__(
        self,
        *,
        task_definition: str,
        container_name: str,
        cluster: str,
        subnets: str,
        security_groups: str,
        batch_job_queue: str,
        batch_job_definition: str,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__(
            inst_data=inst_data,
            task_definition=task_definition,
            container_name=container_name,
            secrets_tag="",  # no secret joins a run because of how it is tagged
            use_current_ecs_task_config=False,  # the daemon's network and role are not the runs'
            run_task_kwargs={
                "cluster": cluster,
                "launchType": "FARGATE",
                "networkConfiguration": {
                    "awsvpcConfiguration": {
                        "subnets": _listed(subnets),
                        "securityGroups": _listed(security_groups),
                        "assignPublicIp": "DISABLED",
                    }
                },
                "enableECSManagedTags": True,
                "propagateTags": "TASK_DEFINITION",
            },
        )
        # The family, not the revision that was the newest when the daemon started.
        self.task_definition = task_definition
        self._cluster = cluster
        self._job_queue = batch_job_queue
        self._job_definition = batch_job_definition
        self.batch = boto3.client("batch")

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """What ``dagster.yaml`` may say: strings, each also as ``{env: NAME}``."""
        return {
            name: Field(StringSource)
            for name in (
                "task_definition",
                "container_name",
                "cluster",
                "subnets",
                "security_groups",
                "batch_job_queue",
                "batch_job_definition",
            )
        }

    def dispose(self) -> None:
        """Closes the connections to AWS."""
        for client in (self.ecs, self.ec2.meta.client, self.secrets_manager, self.logs, self.batch):
            client.close()

    def launch_run(self, context: LaunchRunContext) -> None:
        """Starts a run, unless it asks for what no run may choose.

        Args:
            context: Of Dagster.

        Raises:
            RunRefused: It does; the reasons are in the run's log, and Dagster ends the run.
        """
        run = context.dagster_run
        reasons = refusals_of(run, self._parent_of(run))
        if _is_burst(run) and not self._job_queue:
            reasons.append(f"there is no queue for bursts here; remove the tag {COMPUTE_TAG}")
        if reasons:
            refused = RunRefused(run.run_id, reasons)
            # The daemon logs only that something went wrong.
            self._instance.report_engine_event(str(refused), run, cls=self.__class__)
            raise refused
        if _is_burst(run):
            self._submit(context)
        else:
            super().launch_run(context)

    @property
    def supports_resume_run(self) -> bool:
        """No: a step whose process died is not entered a second time under the same run."""
        return False

    def resume_run(self, context: ResumeRunContext) -> None:
        """Refuses; Dagster starts a run anew instead (``run_retries`` in ``dagster.yaml``).

        Args:
            context: Of Dagster.

        Raises:
            RunRefused: Always.
        """
        raise RunRefused(
            context.dagster_run.run_id,
            ["a run is never resumed in a new task; launch it again as a run of its own"],
        )

    def terminate(self, run_id: str) -> bool:
        """Stops what works on a run.

        Args:
            run_id: The run.

        Returns:
            Whether something was stopped; False as well when AWS knows no task of this run.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        if not _is_burst(run):
            return bool(super().terminate(run_id))
        self._instance.report_run_canceling(run)
        job = self._job_of(run)
        if job is None or job["status"] not in _WAITING_OR_WORKING:
            return False
        self.batch.terminate_job(jobId=job["jobId"], reason="stopped by Dagster")
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """What became of the task or job of a run.

        Args:
            run: The run.
        """
        if not _is_burst(run):
            found: CheckRunHealthResult = super().check_run_worker_health(run)
            return found
        job = self._job_of(run)
        worker = run.tags.get(RUN_WORKER_ID_TAG)
        if job is None:
            return CheckRunHealthResult(
                WorkerStatus.UNKNOWN, "AWS Batch knows no job of this run", run_worker_id=worker
            )
        if job["status"] in _WAITING_OR_WORKING:
            return CheckRunHealthResult(WorkerStatus.RUNNING, run_worker_id=worker)
        if job["status"] == "SUCCEEDED":
            return CheckRunHealthResult(WorkerStatus.SUCCESS, run_worker_id=worker)
        return CheckRunHealthResult(WorkerStatus.FAILED, _told(job), run_worker_id=worker)

    def get_run_worker_debug_info(
        self,
        run: DagsterRun,
        include_container_logs: bool | None = True,  # noqa: ARG002 - of the interface
    ) -> str | None:
        """What AWS says of a burst that does not start or failed; None of other runs.

        Args:
            run: The run.
            include_container_logs: Of the interface; logs are in CloudWatch.
        """
        job = self._job_of(run) if _is_burst(run) else None
        return None if job is None else _told(job)

    def _parent_of(self, run: DagsterRun) -> DagsterRun | None:
        parent = run.tags.get(PARENT_RUN_ID_TAG)
        return None if parent is None else self._instance.get_run_by_id(parent)

    def _submit(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        origin = context.job_code_origin
        assert origin is not None  # noqa: S101 - every launched run has one
        command = ExecuteRunArgs(
            job_origin=origin, run_id=run.run_id, instance_ref=self._instance.get_ref()
        ).get_command_args()
        answer = self.batch.submit_job(
            jobName=_job_name(run.run_id),
            jobQueue=self._job_queue,
            jobDefinition=self._job_definition,
            containerOverrides={"command": list(command), **_batch_size(run)},
            # A second attempt under the same run would be refused; Dagster starts a new run.
            retryStrategy={"attempts": 1},
            tags={RUN_ID_TAG: run.run_id, "dagster/job_name": run.job_name},
            propagateTags=True,
        )
        job_id = answer["jobId"]
        self._instance.add_run_tags(run.run_id, {BATCH_JOB_TAG: job_id, RUN_WORKER_ID_TAG: job_id})
        self._instance.report_engine_event(
            message="Submitted the run to AWS Batch",
            dagster_run=run,
            engine_event_data=EngineEventData(
                {"Batch job": job_id, "Batch queue": self._job_queue, "Run ID": run.run_id}
            ),
            cls=self.__class__,
        )

    def _job_of(self, run: DagsterRun) -> Mapping[str, Any] | None:
        """The Batch job of a run, if the one that its tag names was submitted for it."""
        job_id = run.tags.get(BATCH_JOB_TAG)
        if job_id is None:
            return None
        for job in self.batch.describe_jobs(jobs=[job_id])["jobs"]:
            named = job["jobName"] == _job_name(run.run_id)
            tagged = job.get("tags", {}).get(RUN_ID_TAG) == run.run_id
            # Batch names the queue by its ARN.
            queued = job["jobQueue"].rpartition("/")[2] == self._job_queue.rpartition("/")[2]
            if named and tagged and queued:
                found: Mapping[str, Any] = job
                return found
        return None

    # From here on: what dagster_aws asks of its own launcher, answered without the tags of a run.

    def _get_run_tags(self, run_id: str) -> Tags:
        """Task and cluster of a run, if the task was started for it in this cluster."""
        tags = super()._get_run_tags(run_id)
        if tags.arn and tags.cluster and self._is_task_of(run_id, tags.arn, tags.cluster):
            return tags
        return Tags(None, None, None, None)

    def _is_task_of(self, run_id: str, task: str, cluster: str) -> bool:
        if cluster.rpartition("/")[2] != self._cluster.rpartition("/")[2]:
            return False
        with contextlib.suppress(self.ecs.exceptions.InvalidParameterException):  # no ARN at all
            answer = self.ecs.describe_tasks(tasks=[task], cluster=self._cluster, include=["TAGS"])
            for found in answer["tasks"]:
                if {"key": RUN_ID_TAG, "value": run_id} in found.get("tags", []):
                    return True
        return False

    def _get_task_overrides(
        self, container_context: EcsContainerContext, run: DagsterRun
    ) -> dict[str, Any]:
        del container_context, run
        return {}

    def _get_container_overrides(self, run: DagsterRun) -> dict[str, Any]:
        del run
        return {}

    def _get_run_task_kwargs_from_run(self, run: DagsterRun) -> dict[str, Any]:
        del run
        return {}


def _is_burst(run: DagsterRun) -> bool:
    return COMPUTE_TAG in run.tags


def _job_name(run_id: str) -> str:
    return f"run-{run_id}"


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _size_refusal(cpu: str | None, memory: str | None) -> str | None:
    if cpu is None and memory is None:
        return None
    if cpu is None or memory is None:
        return f"only one of {CPU_TAG} and {MEMORY_TAG} is set; set both or none"
    sizes = {str(units): {str(each) for each in mib} for units, mib in FARGATE_SIZES.items()}
    if memory in sizes.get(cpu, set()):
        return None
    return (
        f"{CPU_TAG} {cpu!r} with {MEMORY_TAG} {memory!r} is no size of Fargate; take CPU units and "
        "MiB that go together, such as 4096 and 16384"
    )


def _batch_size(run: DagsterRun) -> dict[str, Any]:
    if CPU_TAG not in run.tags:
        return {}
    return {
        "resourceRequirements": [
            {"type": "VCPU", "value": f"{int(run.tags[CPU_TAG]) / CPU_UNITS:g}"},
            {"type": "MEMORY", "value": run.tags[MEMORY_TAG]},
        ]
    }


def _told(job: Mapping[str, Any]) -> str:
    """Status of a Batch job with every reason that AWS gives."""
    return ", ".join(_facts_of(job))


def _facts_of(job: Mapping[str, Any]) -> Iterator[str]:
    container = job.get("container", {})
    yield f"Batch job {job['jobId']} is {job['status']}"
    for fact in (job.get("statusReason"), container.get("reason")):
        if fact:
            yield str(fact)
    if "exitCode" in container:
        yield f"exit code {container['exitCode']}"
    if "logStreamName" in container:
        yield f"log stream {container['logStreamName']}"
