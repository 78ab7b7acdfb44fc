"""A launcher whose runs compute nothing: what it takes, and what they take, is a setting."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Self

from dagster import DagsterEvent, DagsterEventType, Field, Float
from dagster._core.launcher.base import LaunchRunContext, RunLauncher
from dagster._serdes import ConfigurableClass, ConfigurableClassData


class StandingLauncher(RunLauncher[Any], ConfigurableClass):
    """Sleeps for a start, and reports the run's end some seconds later.

    Args:
        launch_seconds: What a start takes.
        run_seconds: From the end of the start to the end of the run.
        inst_data: Of Dagster.
    """

    def __init__(
        self,
        *,
        launch_seconds: float,
        run_seconds: float,
        inst_data: ConfigurableClassData | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Dagster's
        self._inst_data = inst_data
        self._launch_seconds = launch_seconds
        self._run_seconds = run_seconds
        self._threads: list[threading.Timer] = []
        self.started: list[float] = []

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """Of Dagster."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """What ``dagster.yaml`` may say."""
        return {"launch_seconds": Field(Float), "run_seconds": Field(Float)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """Of Dagster."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Starts a run that ends by itself.

        Args:
            context: Of Dagster.
        """
        time.sleep(self._launch_seconds)
        run = context.dagster_run
        end = threading.Timer(self._run_seconds, self._end, (run.run_id, run.job_name))
        self._threads.append(end)
        end.start()
        self.started.append(time.monotonic())

    def terminate(self, run_id: str) -> bool:
        """Never: nothing is there to be stopped.

        Args:
            run_id: The run.
        """
        del run_id
        return False

    def join(self, timeout: int = 30) -> None:
        """Waits until all runs have ended.

        Args:
            timeout: For each, s.
        """
        for each in self._threads:
            each.join(timeout)

    def _end(self, run_id: str, job_name: str) -> None:
        for kind in (DagsterEventType.RUN_START, DagsterEventType.RUN_SUCCESS):
            event = DagsterEvent(event_type_value=kind.value, job_name=job_name)
            self._instance.report_dagster_event(event, run_id=run_id)
