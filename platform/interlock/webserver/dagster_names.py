"""Every private name of Dagster that the web server touches; what mutations need and answer.

Dagster promises nothing about these. One contract test holds them to the installed version: it
fails when a name is gone, or when there is a mutation or permission that nobody gave a rule here.
Until somebody does, the unknown one is denied. ADR-0012.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from dagster._core.execution.backfill import BulkActionsFilter
from dagster._core.run_coordinator import QueuedRunCoordinator, SubmitRunContext
from dagster._core.storage.tags import (
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    PARENT_RUN_ID_TAG,
    SCHEDULE_NAME_TAG,
    SENSOR_NAME_TAG,
)
from dagster._core.workspace.context import (
    WorkspaceProcessContext,
    WorkspaceRequestContext,
)
from dagster._core.workspace.load_target import (
    CompositeTarget,
    ModuleTarget,
    WorkspaceFileTarget,
    WorkspaceLoadTarget,
)
from dagster._core.workspace.permissions import (
    LOCATION_SCOPED_PERMISSIONS,
    PermissionResult,
    Permissions,
)
from dagster._daemon.controller import all_daemons_healthy

from interlock.governance.access import Action

__all__ = [
    "AUTO_RETRY_RUN_ID_TAG",
    "BACKFILL_ID_TAG",
    "LOCATION_SCOPED_PERMISSIONS",
    "MUTATIONS",
    "NEEDED",
    "OF_OWNERS",
    "PARENT_RUN_ID_TAG",
    "REFUSED",
    "SCHEDULE_NAME_TAG",
    "SENSOR_NAME_TAG",
    "SEVERAL",
    "SUCCESSES",
    "BulkActionsFilter",
    "CompositeTarget",
    "ModuleTarget",
    "PermissionResult",
    "Permissions",
    "QueuedRunCoordinator",
    "SubmitRunContext",
    "WorkspaceFileTarget",
    "WorkspaceLoadTarget",
    "WorkspaceProcessContext",
    "WorkspaceRequestContext",
    "all_daemons_healthy",
]

NEEDED: Final[Mapping[str, Action | None]] = MappingProxyType(
    {
        # Who may begin a product's pipeline here may launch and end runs; its steps ask again.
        Permissions.LAUNCH_PIPELINE_EXECUTION: Action.DATA_INGEST,
        Permissions.LAUNCH_PIPELINE_REEXECUTION: Action.DATA_INGEST,
        Permissions.LAUNCH_PARTITION_BACKFILL: Action.DATA_INGEST,
        Permissions.CANCEL_PARTITION_BACKFILL: Action.DATA_INGEST,
        Permissions.TERMINATE_PIPELINE_EXECUTION: Action.DATA_INGEST,
        # A schedule does everything up to a registered version: so must who turns it on or off.
        Permissions.START_SCHEDULE: Action.MODEL_REGISTER,
        Permissions.STOP_RUNNING_SCHEDULE: Action.MODEL_REGISTER,
        Permissions.SCHEDULE_DRY_RUN: Action.MODEL_REGISTER,
        Permissions.EDIT_DYNAMIC_PARTITIONS: Action.MODEL_REGISTER,
        # A sensor watches champions: stopping it is no matter of those who are watched.
        Permissions.EDIT_SENSOR: Action.PLATFORM_ADMINISTER,
        Permissions.SENSOR_DRY_RUN: Action.PLATFORM_ADMINISTER,
        Permissions.UPDATE_SENSOR_CURSOR: Action.PLATFORM_ADMINISTER,
        Permissions.DELETE_PIPELINE_RUN: Action.PLATFORM_ADMINISTER,
        Permissions.RELOAD_REPOSITORY_LOCATION: Action.PLATFORM_ADMINISTER,
        Permissions.RELOAD_WORKSPACE: Action.PLATFORM_ADMINISTER,
        Permissions.WIPE_ASSETS: Action.PLATFORM_ADMINISTER,
        Permissions.TOGGLE_AUTO_MATERIALIZE: Action.PLATFORM_ADMINISTER,
        Permissions.EDIT_CONCURRENCY_LIMIT: Action.PLATFORM_ADMINISTER,
        Permissions.REFRESH_COMPONENT_STATE: Action.PLATFORM_ADMINISTER,
        # Nobody: a materialization that no step made, and code that nobody reviewed.
        Permissions.REPORT_RUNLESS_ASSET_EVENTS: None,
        Permissions.EDIT_APP_MANAGED_COMPONENTS: None,
    }
)
"""The action that a permission of Dagster needs; None is given to nobody."""

ENOUGH_IN_DEV: Final[Mapping[str, Action]] = MappingProxyType(
    {
        Permissions.RELOAD_REPOSITORY_LOCATION: Action.MODEL_TRAIN,
        Permissions.RELOAD_WORKSPACE: Action.MODEL_TRAIN,
    }
)
"""An action that is enough in dev, where whoever writes a product's YAML loads it again."""

OF_OWNERS: Final = frozenset(
    {
        Permissions.LAUNCH_PIPELINE_EXECUTION,
        Permissions.LAUNCH_PIPELINE_REEXECUTION,
        Permissions.LAUNCH_PARTITION_BACKFILL,
        Permissions.CANCEL_PARTITION_BACKFILL,
        Permissions.TERMINATE_PIPELINE_EXECUTION,
    }
)
"""What somebody may do to assets and jobs that they or their team own, where people sign in."""

MUTATIONS: Final[Mapping[str, tuple[str, ...] | None]] = MappingProxyType(
    {
        "launchPipelineExecution": (Permissions.LAUNCH_PIPELINE_EXECUTION,),
        "launchRun": (Permissions.LAUNCH_PIPELINE_EXECUTION,),
        "launchMultipleRuns": (Permissions.LAUNCH_PIPELINE_EXECUTION,),
        "launchPipelineReexecution": (Permissions.LAUNCH_PIPELINE_REEXECUTION,),
        "launchRunReexecution": (Permissions.LAUNCH_PIPELINE_REEXECUTION,),
        "startSchedule": (Permissions.START_SCHEDULE,),
        "stopRunningSchedule": (Permissions.STOP_RUNNING_SCHEDULE,),
        "resetSchedule": (Permissions.START_SCHEDULE, Permissions.STOP_RUNNING_SCHEDULE),
        "startSensor": (Permissions.EDIT_SENSOR,),
        "stopSensor": (Permissions.EDIT_SENSOR,),
        "resetSensor": (Permissions.EDIT_SENSOR,),
        "setSensorCursor": (Permissions.UPDATE_SENSOR_CURSOR,),
        "sensorDryRun": (Permissions.SENSOR_DRY_RUN,),
        "scheduleDryRun": (Permissions.SCHEDULE_DRY_RUN,),
        "terminatePipelineExecution": (Permissions.TERMINATE_PIPELINE_EXECUTION,),
        "terminateRun": (Permissions.TERMINATE_PIPELINE_EXECUTION,),
        "terminateRuns": (Permissions.TERMINATE_PIPELINE_EXECUTION,),
        "deletePipelineRun": (Permissions.DELETE_PIPELINE_RUN,),
        "deleteRun": (Permissions.DELETE_PIPELINE_RUN,),
        "reloadRepositoryLocation": (Permissions.RELOAD_REPOSITORY_LOCATION,),
        "reloadWorkspace": (Permissions.RELOAD_WORKSPACE,),
        "shutdownRepositoryLocation": (Permissions.RELOAD_REPOSITORY_LOCATION,),
        "wipeAssets": (Permissions.WIPE_ASSETS,),
        "reportRunlessAssetEvents": (Permissions.REPORT_RUNLESS_ASSET_EVENTS,),
        "reportAssetCheckEvaluations": (Permissions.REPORT_RUNLESS_ASSET_EVENTS,),
        "launchPartitionBackfill": (Permissions.LAUNCH_PARTITION_BACKFILL,),
        "resumePartitionBackfill": (Permissions.LAUNCH_PARTITION_BACKFILL,),
        "reexecutePartitionBackfill": (Permissions.LAUNCH_PARTITION_BACKFILL,),
        "cancelPartitionBackfill": (Permissions.CANCEL_PARTITION_BACKFILL,),
        "addDynamicPartition": (Permissions.EDIT_DYNAMIC_PARTITIONS,),
        "deleteDynamicPartitions": (Permissions.EDIT_DYNAMIC_PARTITIONS,),
        "setAppManagedComponent": (Permissions.EDIT_APP_MANAGED_COMPONENTS,),
        "deleteAppManagedComponent": (Permissions.EDIT_APP_MANAGED_COMPONENTS,),
        "refreshComponentState": (Permissions.REFRESH_COMPONENT_STATE,),
        "setAutoMaterializePaused": (Permissions.TOGGLE_AUTO_MATERIALIZE,),
        "setConcurrencyLimit": (Permissions.EDIT_CONCURRENCY_LIMIT,),
        "deleteConcurrencyLimit": (Permissions.EDIT_CONCURRENCY_LIMIT,),
        "freeConcurrencySlotsForRun": (Permissions.EDIT_CONCURRENCY_LIMIT,),
        "freeConcurrencySlots": (Permissions.EDIT_CONCURRENCY_LIMIT,),
        # Dagster never checks these two; they change nothing here: telemetry and dialog are off.
        "logTelemetry": None,
        "setNuxSeen": None,
    }
)
"""The permissions that each mutation needs; None for those that need none."""

REFUSED: Final[Mapping[str, str]] = MappingProxyType(
    {
        # Of both, Dagster asks nobody for the tags of who sends it.
        "resumePartitionBackfill": "its runs would act for who started the backfill: launch a new "
        "backfill of what is missing",
        "reexecutePartitionBackfill": "its runs would be nobody's: launch a new backfill of the "
        "same partitions, or run its failed runs again",
    }
)
"""Mutations that nobody may send where people sign in, whatever their role, and why."""

SUCCESSES: Final = frozenset(
    {
        "AddDynamicPartitionSuccess",
        "AssetWipeSuccess",
        "Boolean",
        "CancelBackfillSuccess",
        "DeleteAppManagedComponentSuccess",
        "DeleteDynamicPartitionsSuccess",
        "DeletePipelineRunSuccess",
        "DryRunInstigationTick",
        "LaunchBackfillSuccess",
        "LaunchRunSuccess",
        "LogTelemetrySuccess",
        "RefreshComponentStateAccepted",
        "RefreshComponentStateSuccess",
        "ReportAssetCheckEvaluationsSuccess",
        "ReportRunlessAssetEventsSuccess",
        "ResumeBackfillSuccess",
        "ScheduleStateResult",
        "Sensor",
        "SetAppManagedComponentSuccess",
        "ShutdownRepositoryLocationSuccess",
        "StopSensorMutationResult",
        "TerminateRunSuccess",
        "Workspace",
        "WorkspaceLocationEntry",
    }
)
"""The types by which Dagster answers that a mutation was done; the answer of a few is a flag."""

SEVERAL: Final = frozenset({"LaunchMultipleRunsResult", "TerminateRunsResult"})
"""The types of an answer that holds several: what came of each is one level below."""
