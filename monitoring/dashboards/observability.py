"""MLOps Observability: is everything there, is the data still the data."""

from monitoring.dashboards.panels import (
    GREEN,
    ONE_IS_GOOD,
    PLAIN,
    RED,
    UP_DOWN,
    YELLOW,
    YES_NO,
    ZERO_IS_GOOD,
    Dashboard,
    Excuse,
    Kind,
    Panel,
    Query,
    Row,
    dagit,
    mlflow,
    runbook,
)

NO_DATA = Excuse("nothing was ingested yet", until_first_run=True)
NO_CHAMPION = Excuse("needs a champion, whose snapshot is the baseline", until_first_run=True)

OBSERVABILITY = Dashboard(
    uid="interlock-observability",
    title="MLOps Observability",
    description="Service availability, drift, MLflow's latency, and the data that came in.",
    rows=(
        Row(
            "Services",
            (
                Panel(
                    "Alerts",
                    "How many alerts fire, the watchdog left out.",
                    (
                        Query(
                            'count(ALERTS{alertstate="firing", severity!="none"}) or vector(0)',
                            "firing",
                        ),
                    ),
                    kind=Kind.STAT,
                    thresholds=ZERO_IS_GOOD,
                    width=4,
                ),
                Panel(
                    "Services",
                    "Whether each service gives metrics, or accepts connections where it has none.",
                    (
                        Query("min by (job) (up)", "{{job}}"),
                        Query("min by (service) (service_reachable)", "{{service}}"),
                        Query("dagster_webserver_up", "dagster-webserver"),
                    ),
                    kind=Kind.STAT,
                    thresholds=ONE_IS_GOOD,
                    mappings=UP_DOWN,
                    links=(runbook("ServiceDown"), runbook("ServiceUnreachable")),
                    width=12,
                ),
                Panel(
                    "Availability, 24 h",
                    "Share of the last 24 hours in which each service answered.",
                    (
                        Query("avg by (job) (avg_over_time(up[24h]))", "{{job}}"),
                        Query("avg_over_time(dagster_webserver_up[24h])", "dagster-webserver"),
                    ),
                    kind=Kind.BARS,
                    unit="percentunit",
                    thresholds=((None, RED), (0.99, YELLOW), (0.999, GREEN)),
                    low=0,
                    high=1,
                ),
                Panel(
                    "Firing alerts",
                    "Which alerts fire, with what they are about.",
                    (
                        Query(
                            "sum by (alertname, severity, product, schedule, pipeline, section) "
                            '(ALERTS{alertstate="firing", severity!="none"})',
                            may_be_empty=Excuse("no alert fires"),
                        ),
                    ),
                    kind=Kind.TABLE,
                    links=(("Runbooks", "${RUNBOOKS}/README"),),
                ),
                Panel(
                    "Dagster response time",
                    "Seconds until Dagster's web server answers; no line while it does not.",
                    (Query("dagster_webserver_response_seconds", "web server"),),
                    unit="s",
                    thresholds=((None, GREEN), (2, RED)),
                    links=(dagit("/deployment"), runbook("DagsterWebserverDown")),
                    low=0,
                ),
                Panel(
                    "MLflow latency",
                    "Median and 95th percentile of MLflow's answers, uploads included.",
                    tuple(
                        Query(
                            f"histogram_quantile({quantile}, sum by (le) "
                            "(rate(mlflow_http_request_duration_seconds_bucket[$__rate_interval])))",
                            f"p{quantile * 100:g}",
                            may_be_empty=Excuse("nobody asked MLflow lately"),
                        )
                        for quantile in (0.5, 0.95)
                    ),
                    unit="s",
                    thresholds=((None, GREEN), (5, RED)),
                    links=(mlflow("/"),),
                    low=0,
                ),
            ),
        ),
        Row(
            "Data",
            (
                Panel(
                    "Rows",
                    "Rows of each product's newest snapshots: as they came, and accepted.",
                    (
                        Query(
                            'data_row_count{product=~"$product"}',
                            "{{product}} {{asset}}",
                            may_be_empty=NO_DATA,
                        ),
                    ),
                    links=(dagit("/assets"),),
                    low=0,
                ),
                Panel(
                    "Data quality",
                    "Score of the newest validated snapshot; 1 is a snapshot that broke no rule.",
                    (
                        Query(
                            'data_quality_score{product=~"$product"}',
                            "{{product}}",
                            may_be_empty=NO_DATA,
                        ),
                    ),
                    unit="percentunit",
                    thresholds=((None, RED), (0.95, GREEN)),
                    links=(dagit("/assets"), runbook("DataQualityLow")),
                    high=1,
                ),
                Panel(
                    "Quarantined rows",
                    "Rows of the newest snapshot that broke the contract.",
                    (
                        Query(
                            'data_quarantined_rows{product=~"$product"}',
                            "{{product}}",
                            may_be_empty=NO_DATA,
                        ),
                    ),
                    links=(dagit("/assets"), runbook("DataQualityLow")),
                    low=0,
                ),
                Panel(
                    "Columns",
                    "Columns of the newest raw snapshot.",
                    (
                        Query(
                            'data_column_count{product=~"$product"}',
                            "{{product}}",
                            may_be_empty=NO_DATA,
                        ),
                    ),
                    kind=Kind.STAT,
                    thresholds=PLAIN,
                ),
                Panel(
                    "Blocking rules broken",
                    "Rules that the newest snapshot broke and that let nothing build on it.",
                    (
                        Query(
                            'data_blocking_checks_failed{product=~"$product"}',
                            "{{product}}",
                            may_be_empty=NO_DATA,
                        ),
                    ),
                    kind=Kind.STAT,
                    thresholds=ZERO_IS_GOOD,
                    links=(runbook("DataBlocked"),),
                ),
                Panel(
                    "Age of the data",
                    "Time since each product's source was last ingested.",
                    (
                        Query(
                            'time() - data_last_ingest_timestamp_seconds{product=~"$product"}',
                            "{{product}}",
                            may_be_empty=NO_DATA,
                        ),
                    ),
                    kind=Kind.STAT,
                    unit="s",
                    thresholds=((None, GREEN), (6.5 * 3600, YELLOW), (24 * 3600, RED)),
                    links=(runbook("ScheduleMissed"),),
                ),
            ),
        ),
        Row(
            "Drift",
            (
                Panel(
                    "Drift",
                    "Whether a feature moved beyond its limit and beyond chance.",
                    (
                        Query(
                            'data_drift_detected{product=~"$product"}',
                            "{{product}}",
                            may_be_empty=NO_CHAMPION,
                        ),
                    ),
                    kind=Kind.STAT,
                    thresholds=ZERO_IS_GOOD,
                    mappings=YES_NO,
                    links=(runbook("DataDriftDetected"),),
                    width=6,
                ),
                Panel(
                    "Other data than the baseline",
                    "Whether the source's bytes differ from the baseline's. News, not drift.",
                    (
                        Query(
                            'data_hash_changed{product=~"$product"}',
                            "{{product}}",
                            may_be_empty=NO_CHAMPION,
                        ),
                    ),
                    kind=Kind.STAT,
                    mappings=((0, "no", GREEN), (1, "yes", "blue")),
                    links=(runbook("DataHashChanged"),),
                    width=6,
                ),
                Panel(
                    "Last check",
                    "Time since drift was last measured.",
                    (
                        Query(
                            'time() - data_drift_last_check_timestamp_seconds{product=~"$product"}',
                            "{{product}}",
                            may_be_empty=NO_CHAMPION,
                        ),
                    ),
                    kind=Kind.STAT,
                    unit="s",
                    thresholds=((None, GREEN), (600, YELLOW), (1800, RED)),
                    links=(runbook("DriftMonitorStale"), runbook("DriftNotMeasured")),
                    width=6,
                ),
                Panel(
                    "Measurable",
                    "Whether drift can be measured: both snapshots are there and as recorded.",
                    (
                        Query(
                            'data_drift_check_up{product=~"$product"}',
                            "{{product}}",
                            may_be_empty=NO_CHAMPION,
                        ),
                    ),
                    kind=Kind.STAT,
                    thresholds=ONE_IS_GOOD,
                    mappings=((0, "no", RED), (1, "yes", GREEN)),
                    links=(runbook("DriftNotMeasured"),),
                    width=6,
                ),
                Panel(
                    "Drift by feature",
                    "PSI of each feature of the newest snapshot; 0.1 is a small shift, 0.25 a "
                    "large one (Siddiqi 2006).",
                    (
                        Query(
                            'sort_desc(feature_drift_score{product=~"$product", statistic="psi"})',
                            "{{product}} {{feature}}",
                            may_be_empty=NO_CHAMPION,
                        ),
                    ),
                    kind=Kind.BARS,
                    thresholds=((None, GREEN), (0.1, YELLOW), (0.25, RED)),
                    links=(runbook("DataDriftDetected"),),
                    width=12,
                    height=12,
                    low=0,
                ),
                Panel(
                    "Largest drift",
                    "PSI of the feature that moved most, and DRIFT_THRESHOLD.",
                    (
                        Query(
                            "max by (product) "
                            '(feature_drift_score{product=~"$product", statistic="psi"})',
                            "{{product}}",
                            may_be_empty=NO_CHAMPION,
                        ),
                        Query("max(data_drift_threshold)", "threshold"),
                    ),
                    links=(runbook("DataDriftDetected"),),
                    width=6,
                    height=12,
                    low=0,
                ),
                Panel(
                    "Distance of numbers",
                    "Kolmogorov-Smirnov statistic of numeric features: the largest gap between two "
                    "distributions.",
                    (
                        Query(
                            'feature_drift_score{product=~"$product", statistic="ks"}',
                            "{{product}} {{feature}}",
                            may_be_empty=NO_CHAMPION,
                        ),
                    ),
                    width=6,
                    height=12,
                    low=0,
                    high=1,
                ),
            ),
        ),
    ),
)
