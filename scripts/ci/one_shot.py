"""One-shot tasks in an environment's own network: a command, its end, and what it printed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import ClientError
from delivery_target import DeliveryTarget

from interlock.errors import ProcessFailed

STARTED_BY: Final = "interlock-delivery"
LOG_LINES: Final = 200  # of a task's end that are shown


class OneShotTasks:
    """Starts tasks and waits for them.

    Args:
        ecs: Client.
        logs: Client of CloudWatch Logs.
        target: The environment.
        say: Takes one line at a time.
        poll_seconds: Between two looks at a task.
    """

    def __init__(
        self,
        ecs: Any,
        logs: Any,
        *,
        target: DeliveryTarget,
        say: Callable[[str], None],
        poll_seconds: float,
    ) -> None:
        self._ecs = ecs
        self._logs = logs
        self._target = target
        self._say = say
        self._poll = poll_seconds

    def run(self, definition: str, command: Sequence[str], *, seconds: float) -> int:
        """Runs a task to its end.

        Args:
            definition: Family, of which the newest revision is run, or ARN of a revision.
            command: What it runs; empty for what the definition says.
            seconds: How long it may take.

        Returns:
            Exit code of its container.

        Raises:
            ProcessFailed: It could not be started, or did not end in time.
        """
        found = self._ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
        container = found["containerDefinitions"][0]
        overrides = [{"name": container["name"], "command": list(command)}] if command else []
        answer = self._ecs.run_task(
            cluster=self._target.cluster,
            taskDefinition=found["taskDefinitionArn"],
            launchType="FARGATE",
            startedBy=STARTED_BY,
            networkConfiguration={
                "awsvpcConfiguration": {
                    "subnets": list(self._target.subnets),
                    "securityGroups": [self._target.security_group],
                    "assignPublicIp": "DISABLED",
                }
            },
            overrides={"containerOverrides": overrides},
        )
        if not answer["tasks"]:
            reasons = "; ".join(each.get("reason", "") for each in answer.get("failures", []))
            raise _failed(definition, f"it could not be started: {reasons}")
        task = self._wait(definition, answer["tasks"][0]["taskArn"], seconds)
        self._show(container, task["taskArn"])
        return exit_code(definition, task)

    def _wait(self, definition: str, arn: str, seconds: float) -> Mapping[str, Any]:
        until = time.monotonic() + seconds
        while True:
            answer = self._ecs.describe_tasks(cluster=self._target.cluster, tasks=[arn])
            # A task that was started a moment ago may not be known everywhere yet.
            task = next(iter(answer["tasks"]), None)
            if task is not None and task["lastStatus"] == "STOPPED":
                found: Mapping[str, Any] = task
                return found
            if time.monotonic() >= until:
                raise _failed(definition, f"task {arn} has not ended within {seconds:g} s")
            time.sleep(self._poll)

    def _show(self, container: Mapping[str, Any], arn: str) -> None:
        options = container.get("logConfiguration", {}).get("options", {})
        group, prefix = options.get("awslogs-group"), options.get("awslogs-stream-prefix")
        if group is None or prefix is None:
            return
        stream = f"{prefix}/{container['name']}/{arn.rpartition('/')[2]}"
        try:
            events = self._logs.get_log_events(
                logGroupName=group, logStreamName=stream, limit=LOG_LINES
            )["events"]
        except ClientError as error:
            self._say(f"    its log {group} {stream} cannot be read: {error}")
            return
        for event in events:
            self._say(f"    | {event['message'].rstrip()}")


def exit_code(definition: str, task: Mapping[str, Any]) -> int:
    """How a task ended.

    Args:
        definition: What was run.
        task: As ECS describes it.

    Raises:
        ProcessFailed: Its container never ran.
    """
    codes: list[int] = [each["exitCode"] for each in task["containers"] if "exitCode" in each]
    if not codes:
        raise _failed(definition, f"its container never ran: {task.get('stoppedReason', '')}")
    return max(codes, key=abs)


def _failed(definition: str, what: str) -> ProcessFailed:
    return ProcessFailed(f"{definition}: {what}", remedy="see the task in ECS and its log")
