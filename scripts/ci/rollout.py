"""A rolling update of one environment that either ends well or is taken back.

The order: refuse while an alarm fires; register revisions; let the new image prepare the
databases; switch what is started anew (runs, jobs, bursts) and update the services; wait until
ECS calls them stable; smoke test; watch the alarms for some minutes. Whatever of that fails or is
interrupted, the services go back to exactly the revisions they came from, and the newest revision
of every other family says again what it said before (ECS starts the newest; nothing is
deregistered, so the delivery role needs no right to). No failure on the way back keeps the rest of
it from being tried.

Each step looks at what is there first, so the same deployment may be started again after it was
cut off anywhere: see ``revisions.py`` for how it then knows where it came from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from delivery_target import DATABASES, SERVICES, DeliveryTarget
from deployment_record import DeploymentRecord
from interruption import interruptions
from one_shot import OneShotTasks
from revisions import JobRevisions, Revision, TaskRevisions

from interlock.errors import ConfigurationError, InterlockError, ProcessFailed

ALARMS_AT_ONCE: Final = 100  # names that DescribeAlarms takes


@dataclass(frozen=True)
class Timing:
    """How long a rollout waits.

    Everything together, the smoke test's ten minutes and the way back included, ends within the
    hour that credentials last.

    Attributes:
        poll_seconds: Between two looks.
        job_seconds: For the databases job.
        stable_seconds: Until all services are stable.
        watch_seconds: Under the eyes of the alarms, after the smoke test.
    """

    poll_seconds: float = 15.0
    job_seconds: float = 300.0
    stable_seconds: float = 900.0
    watch_seconds: float = 600.0


@dataclass(frozen=True)
class Formers:
    """What ran before.

    Attributes:
        services: Service to its revision.
        families: Family of which the newest revision counts, to its revision.
        jobs: Batch's job definition to its revision.
    """

    services: Mapping[str, Revision]
    families: Mapping[str, Revision]
    jobs: Mapping[str, Revision]

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "services": {name: each.arn for name, each in self.services.items()},
            "families": {name: each.arn for name, each in self.families.items()},
            "jobs": {name: each.arn for name, each in self.jobs.items()},
        }


@dataclass(frozen=True)
class Rollout:
    """A deployment of one release to one environment.

    Attributes:
        ecs: Client.
        cloudwatch: Client.
        tasks: Revisions of task definitions.
        jobs: Revisions of Batch's job definition.
        one_shot: Runs the databases job.
        target: The environment.
        smoke_test: Says whether the platform works.
        timing: How long it waits.
        record: Takes each step.
        ignored_alarms: That may fire all the while.
        started: Revisions of this release by service or family; filled as they are registered.
        started_jobs: The same of Batch.
    """

    ecs: Any
    cloudwatch: Any
    tasks: TaskRevisions
    jobs: JobRevisions
    one_shot: OneShotTasks
    target: DeliveryTarget
    smoke_test: Callable[[], bool]
    timing: Timing
    record: DeploymentRecord
    ignored_alarms: frozenset[str] = frozenset()
    started: dict[str, Revision] = field(default_factory=dict)
    started_jobs: dict[str, Revision] = field(default_factory=dict)

    def run(self) -> None:
        """Deploys.

        Raises:
            ProcessFailed: It failed; what ran before runs again, or the record says what not.
            ConfigurationError: It was refused before anything was touched.
            KeyboardInterrupt: It was interrupted, by Ctrl-C; what ran before runs again.
            SystemExit: The same, by SIGTERM.
        """
        self._refuse_firing_alarms()
        formers = self._formers()
        self.record.began(formers.document())
        with interruptions() as signals:
            try:
                self._deploy(formers)
            except BaseException as error:
                signals.ignore()
                self.record.step("failed", _words(error))
                self._take_back(formers)
                if not isinstance(error, Exception):
                    raise
                raise ProcessFailed(
                    f"the deployment failed and was rolled back: {_words(error)}",
                    remedy="mend what failed and deploy again",
                ) from error
        self.record.ended("succeeded")

    def _deploy(self, formers: Formers) -> None:
        self._register_services(formers)
        databases = self.target.family(DATABASES)
        self._prepare_databases(self._switch(databases, formers))
        for family in self.target.newest_counts:
            if family != databases:
                self._switch(family, formers)
        for name, former in formers.jobs.items():
            revision = self.jobs.next(former)
            self.started_jobs[name] = self.jobs.restore(former) if revision == former else revision
            self.record.step("batch", f"newest is {_short(self.started_jobs[name].arn)}")
        self._update({name: self.started[name] for name in formers.services})
        self._wait_until_stable({name: self.started[name].arn for name in formers.services})
        if not self.smoke_test():
            raise ProcessFailed("the smoke test failed", remedy="see what it printed above")
        self.record.step("smoke test", "passed")
        self._watch()
        self._prove()

    # --- before

    def _refuse_firing_alarms(self) -> None:
        firing = self._firing()
        if firing:
            raise ConfigurationError(
                f"{', '.join(firing)} fires already, so a deployment could not be judged",
                remedy="mend it, or name it with --ignore-alarm if this deployment is to mend it",
            )

    def _formers(self) -> Formers:
        described = self._described()
        families = {family: self.tasks.former(family) for family in self.target.newest_counts}
        jobs = {name: self.jobs.former(name) for name in self.target.job_definitions}
        return Formers(
            services={
                service: self.tasks.former(each["taskDefinition"])
                for service, each in described.items()
            },
            families=families,
            jobs={name: former for name, former in jobs.items() if former is not None},
        )

    # --- steps

    def _register_services(self, formers: Formers) -> None:
        for service, former in formers.services.items():
            self.started[service] = self.tasks.next(former)
            self.record.step(
                "register", f"{_short(former.arn)} -> {_short(self.started[service].arn)}"
            )

    def _switch(self, family: str, formers: Formers) -> Revision:
        former = formers.families[family]
        revision = self.tasks.next(former)
        # A deployment of another release that was cut off may have left its own as the newest.
        self.started[family] = self.tasks.restore(former) if revision == former else revision
        self.record.step("family", f"newest of {family} is {_short(self.started[family].arn)}")
        return self.started[family]

    def _prepare_databases(self, revision: Revision) -> None:
        code = self.one_shot.run(revision.arn, (), seconds=self.timing.job_seconds)
        if code:
            raise ProcessFailed(
                f"the databases job ended with {code}", remedy="see what it printed above"
            )
        self.record.step("databases", "prepared")

    def _update(self, wanted: Mapping[str, Revision]) -> None:
        present = self._found()
        for service, revision in wanted.items():
            if present.get(service, {}).get("taskDefinition") == revision.arn:
                self.record.step("update", f"{service} is at {_short(revision.arn)} already")
                continue
            self.ecs.update_service(
                cluster=self.target.cluster, service=service, taskDefinition=revision.arn
            )
            self.record.step("update", f"{service} to {_short(revision.arn)}")

    def _wait_until_stable(self, wanted: Mapping[str, str], *, watched: bool = True) -> None:
        until = time.monotonic() + self.timing.stable_seconds
        while True:
            described = self._described()
            if watched:
                for service, arn in wanted.items():
                    _require_not_given_up(service, described[service], arn)
            waiting = [name for name, arn in wanted.items() if not _is_stable(described[name], arn)]
            if not waiting:
                self.record.step("stable", f"{len(wanted)} services")
                return
            if watched:
                self._stop_at_alarm()
            if time.monotonic() >= until:
                raise ProcessFailed(
                    f"not stable within {self.timing.stable_seconds:g} s: {', '.join(waiting)}",
                    remedy="see the services' events in ECS",
                )
            time.sleep(self.timing.poll_seconds)

    def _watch(self) -> None:
        until = time.monotonic() + self.timing.watch_seconds
        while True:
            self._stop_at_alarm()
            left = until - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(self.timing.poll_seconds, left))
        watched = len(self.target.alarms) - len(self.ignored_alarms & set(self.target.alarms))
        self.record.step(
            "alarms", f"{watched} stayed silent for {self.timing.watch_seconds / 60:g} minutes"
        )

    def _prove(self) -> None:
        for revision in self.started.values():
            self.tasks.prove(revision)
        for revision in self.started_jobs.values():
            self.jobs.prove(revision)

    # --- the way back

    def _take_back(self, formers: Formers) -> None:
        back: dict[str, str] = {}
        errors: list[str] = []
        for service, former in formers.services.items():
            failed = _attempt(service, partial(self._update, {service: former}))
            errors += failed
            if not failed:
                back[service] = former.arn
        for family, former in formers.families.items():
            errors += _attempt(family, partial(self._restore_family, former))
        for name, former in formers.jobs.items():
            errors += _attempt(name, partial(self._restore_job, former))
        errors += _attempt("services", partial(self._wait_until_stable, back, watched=False))
        if errors:
            self.record.step("not rolled back", "; ".join(errors))
            self.record.ended("rollback-failed")
            raise ProcessFailed(
                f"the deployment failed, and so did its rollback: {'; '.join(errors)}",
                remedy="the record names what ran before of each; put back by hand what is named",
            )
        self.record.ended("rolled-back")

    def _restore_family(self, former: Revision) -> None:
        newest = self.tasks.restore(former)
        self.record.step("restore", f"{_short(newest.arn)} says what {_short(former.arn)} does")

    def _restore_job(self, former: Revision) -> None:
        newest = self.jobs.restore(former)
        self.record.step("restore", f"{_short(newest.arn)} is Batch's newest")

    # --- what AWS says

    def _found(self) -> Mapping[str, Mapping[str, Any]]:
        answer = self.ecs.describe_services(cluster=self.target.cluster, services=list(SERVICES))
        return {each["serviceName"]: each for each in answer["services"]}

    def _described(self) -> Mapping[str, Mapping[str, Any]]:
        found = self._found()
        missing = [
            name for name in SERVICES if found.get(name, {}).get("status", "MISSING") != "ACTIVE"
        ]
        if missing:
            raise ConfigurationError(
                f"cluster {self.target.cluster} has no active service {', '.join(missing)}",
                remedy="apply Terraform first",
            )
        return {name: found[name] for name in SERVICES}

    def _stop_at_alarm(self) -> None:
        if firing := self._firing():
            raise ProcessFailed(f"{', '.join(firing)} fires", remedy="see the alarm in CloudWatch")

    def _firing(self) -> list[str]:
        watched = [name for name in self.target.alarms if name not in self.ignored_alarms]
        states = dict(self._alarm_states(watched))
        if missing := sorted(set(watched) - states.keys()):
            raise ConfigurationError(
                f"there is no alarm {', '.join(missing)}, so nothing would be noticed",
                remedy="apply Terraform first, or correct the delivery target",
            )
        return sorted(name for name, state in states.items() if state == "ALARM")

    def _alarm_states(self, names: list[str]) -> Iterator[tuple[str, str]]:
        for first in range(0, len(names), ALARMS_AT_ONCE):
            answer = self.cloudwatch.describe_alarms(
                AlarmNames=names[first : first + ALARMS_AT_ONCE],
                AlarmTypes=["MetricAlarm"],
            )
            for each in answer["MetricAlarms"]:
                yield each["AlarmName"], each["StateValue"]


def _attempt(what: str, step: Callable[[], None]) -> list[str]:
    """Takes a step of the way back; whatever its failure is, the next one has to be taken."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - it is reported with the others
        return [f"{what}: {_words(error)}"]
    return []


def _words(error: BaseException) -> str:
    """Of an error whose text may say nothing alone, as a KeyError's does not."""
    if isinstance(error, InterlockError | ClientError | BotoCoreError):
        return str(error)
    return f"{type(error).__name__}: {error}"


def _is_stable(service: Mapping[str, Any], arn: str) -> bool:
    deployments = service["deployments"]
    return (
        service["taskDefinition"] == arn
        and len(deployments) == 1
        and deployments[0].get("rolloutState", "COMPLETED") == "COMPLETED"
        and service["runningCount"] == service["desiredCount"]
    )


def _require_not_given_up(name: str, service: Mapping[str, Any], arn: str) -> None:
    """ECS itself goes back when tasks of a new revision keep dying (its circuit breaker)."""
    if service["taskDefinition"] != arn:
        found = _short(service["taskDefinition"])
        raise ProcessFailed(
            f"{name} is at {found} again: its new tasks did not stay up",
            remedy="see the service's events in ECS",
        )
    failed = [each for each in service["deployments"] if each.get("rolloutState") == "FAILED"]
    if failed:
        raise ProcessFailed(
            f"{name} was not rolled out: {failed[0].get('rolloutStateReason', '')}",
            remedy="see the service's events in ECS",
        )


def _short(arn: str) -> str:
    return arn.rpartition("/")[2]
