"""Pipeline execution: what ran, how long, what failed and why, what was due."""

from monitoring.dashboards.panels import (
    GREEN,
    ONE_IS_GOOD,
    RED,
    UP_DOWN,
    YELLOW,
    ZERO_IS_GOOD,
    Dashboard,
    Excuse,
    Kind,
    Panel,
    Query,
    Row,
    dagit,
    runbook,
)

NO_RUN = Excuse("no run has ended yet", until_first_run=True)
NO_RUN_LATELY = Excuse("no run has ended since the exporter started")

PIPELINE = Dashboard(
    uid="interlock-pipeline",
    title="Pipeline execution",
    description="Runs, schedules, daemons and assets, as Dagster tells them.",
    rows=(
        Row(
            "Runs",
            (
                Panel(
                    "Ended runs",
                    "Runs that Dagster's storage holds, by pipeline and status.",
                    (
                        Query(
                            "sum by (pipeline, status) (pipeline_runs_total) > 0",
                            may_be_empty=NO_RUN,
                        ),
                    ),
                    kind=Kind.TABLE,
                    links=(dagit("/runs"),),
                ),
                Panel(
                    "Runs ended per hour",
                    "How many runs ended, by status.",
                    (Query("sum by (status) (increase(pipeline_runs_total[1h]))", "{{status}}"),),
                    links=(dagit("/runs"),),
                    low=0,
                ),
                Panel(
                    "Success rate",
                    "Share of all ended runs that succeeded.",
                    (
                        Query(
                            'sum by (pipeline) (pipeline_runs_total{status="success"}) '
                            "/ (sum by (pipeline) (pipeline_runs_total) > 0)",
                            "{{pipeline}}",
                            may_be_empty=NO_RUN,
                        ),
                    ),
                    kind=Kind.BARS,
                    unit="percentunit",
                    thresholds=((None, RED), (0.9, YELLOW), (0.99, GREEN)),
                    links=(dagit("/runs"),),
                    low=0,
                    high=1,
                ),
                Panel(
                    "Duration",
                    "Median and 95th percentile of the successful runs of a day.",
                    tuple(
                        Query(
                            f"histogram_quantile({quantile}, sum by (le, pipeline) (increase("
                            'pipeline_duration_seconds_bucket{status="success"}[24h]))) > 0',
                            f"{{{{pipeline}}}} p{quantile * 100:g}",
                            may_be_empty=NO_RUN_LATELY,
                        )
                        for quantile in (0.5, 0.95)
                    ),
                    unit="s",
                    links=(dagit("/overview/timeline"),),
                    low=0,
                ),
                Panel(
                    "Duration of the newest run",
                    "Seconds from start to end.",
                    (
                        Query(
                            "pipeline_last_run_duration_seconds",
                            "{{pipeline}}",
                            may_be_empty=NO_RUN,
                        ),
                    ),
                    unit="s",
                    links=(dagit("/runs"),),
                    low=0,
                ),
                Panel(
                    "Time since the newest success",
                    "How long ago a run of each pipeline last succeeded.",
                    (
                        Query(
                            'time() - pipeline_last_run_timestamp_seconds{status="success"}',
                            "{{pipeline}}",
                            may_be_empty=NO_RUN,
                        ),
                    ),
                    kind=Kind.STAT,
                    unit="s",
                    thresholds=((None, GREEN), (6.5 * 3600, YELLOW), (24 * 3600, RED)),
                    links=(runbook("PipelineFailing"),),
                ),
                Panel(
                    "Failures in a row",
                    "How many of the newest runs failed in a row.",
                    (Query("pipeline_consecutive_failures", "{{pipeline}}", may_be_empty=NO_RUN),),
                    kind=Kind.STAT,
                    thresholds=((None, GREEN), (1, YELLOW), (3, RED)),
                    links=(runbook("PipelineFailing"),),
                ),
                Panel(
                    "Failures by error",
                    "When runs last failed with which of Interlock's errors.",
                    (
                        Query(
                            "1000 * max by (pipeline, error) "
                            "(pipeline_last_failure_timestamp_seconds)",
                            may_be_empty=Excuse("no run has failed"),
                        ),
                    ),
                    kind=Kind.TABLE,
                    unit="dateTimeFromNow",
                    links=(dagit("/runs"), runbook("PipelineFailing")),
                ),
                Panel(
                    "Runs under way",
                    "Runs that have not ended, by status.",
                    (Query("pipeline_runs_active", "{{status}}"),),
                    links=(dagit("/runs"), runbook("RunStuck")),
                    low=0,
                ),
                Panel(
                    "Age of the oldest run",
                    "Of those that have not ended; an hour is long for three minutes of work.",
                    (
                        Query(
                            "pipeline_oldest_run_age_seconds",
                            "{{status}}",
                            may_be_empty=Excuse("no run is under way"),
                        ),
                    ),
                    unit="s",
                    thresholds=((None, GREEN), (3600, RED)),
                    links=(dagit("/runs"), runbook("RunStuck")),
                    low=0,
                ),
            ),
        ),
        Row(
            "Schedules and daemons",
            (
                Panel(
                    "Overdue ticks",
                    "How long a tick that was due has not come; 0 is on time.",
                    (
                        Query(
                            "dagster_schedule_overdue_seconds",
                            "{{schedule}}",
                            may_be_empty=Excuse("no schedule is switched on"),
                        ),
                    ),
                    kind=Kind.STAT,
                    unit="s",
                    thresholds=((None, GREEN), (60, YELLOW), (600, RED)),
                    links=(dagit("/automation"), runbook("ScheduleMissed")),
                ),
                Panel(
                    "Ticks of a day",
                    "What came of the ticks of the last 24 hours.",
                    (
                        Query(
                            "sum by (schedule, status) "
                            "(increase(dagster_schedule_ticks_total[24h]))",
                            "{{schedule}} {{status}}",
                        ),
                    ),
                    kind=Kind.BARS,
                    links=(dagit("/automation"), runbook("ScheduleTickFailed")),
                    low=0,
                ),
                Panel(
                    "Schedules",
                    "Whether each schedule is switched on.",
                    (Query("dagster_schedule_running", "{{schedule}}"),),
                    kind=Kind.STAT,
                    thresholds=((None, YELLOW), (1, GREEN)),
                    mappings=((0, "off", YELLOW), (1, "on", GREEN)),
                    links=(dagit("/automation"),),
                    width=4,
                ),
                Panel(
                    "Code locations",
                    "Whether Dagster has their definitions.",
                    (Query("dagster_code_location_loaded", "{{location}}"),),
                    kind=Kind.STAT,
                    thresholds=ONE_IS_GOOD,
                    mappings=UP_DOWN,
                    links=(dagit("/locations"), runbook("CodeLocationNotLoaded")),
                    width=4,
                ),
                Panel(
                    "Heartbeats of daemons",
                    "Seconds since the last sign of life.",
                    (Query("time() - dagster_daemon_heartbeat_timestamp_seconds", "{{daemon}}"),),
                    unit="s",
                    thresholds=((None, GREEN), (180, RED)),
                    links=(dagit("/health"), runbook("DagsterDaemonDown")),
                    width=12,
                    low=0,
                ),
                Panel(
                    "Daemons",
                    "Whether Dagster calls them healthy.",
                    (Query("dagster_daemon_healthy", "{{daemon}}"),),
                    kind=Kind.STAT,
                    thresholds=ONE_IS_GOOD,
                    mappings=UP_DOWN,
                    links=(dagit("/health"), runbook("DagsterDaemonDown")),
                    width=12,
                ),
            ),
        ),
        Row(
            "Assets",
            (
                Panel(
                    "Age of assets",
                    "Time since each asset was last materialized.",
                    (
                        Query(
                            "time() - asset_last_materialization_timestamp_seconds"
                            '{product=~"$product"}',
                            "{{product}} {{asset}}",
                            may_be_empty=Excuse(
                                "no asset was materialized yet", until_first_run=True
                            ),
                        ),
                    ),
                    kind=Kind.BARS,
                    unit="s",
                    thresholds=((None, GREEN), (6.5 * 3600, YELLOW), (24 * 3600, RED)),
                    links=(dagit("/assets"),),
                    width=12,
                    low=0,
                ),
                Panel(
                    "Failed checks",
                    "Checks of each asset's newest materialization that failed.",
                    (
                        Query(
                            'asset_checks_failed{product=~"$product"}',
                            "{{product}} {{asset}} {{severity}}",
                            may_be_empty=Excuse("no check was made yet", until_first_run=True),
                        ),
                    ),
                    kind=Kind.BARS,
                    thresholds=ZERO_IS_GOOD,
                    links=(dagit("/assets"), runbook("DataBlocked")),
                    width=12,
                    low=0,
                ),
            ),
        ),
    ),
)
