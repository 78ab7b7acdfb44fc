"""Resources: room in the object store and on disks, memory, and how monitoring itself does."""

from monitoring.dashboards.panels import (
    GREEN,
    ONE_IS_GOOD,
    PLAIN,
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
    runbook,
)

NOT_SCANNED = Excuse("MinIO has not counted its buckets since it started")
ROOM = ((None, RED), (0.1, YELLOW), (0.25, GREEN))

RESOURCES = Dashboard(
    uid="interlock-resources",
    title="Resources",
    description="Room, memory and requests.",
    rows=(
        Row(
            "Object store",
            (
                Panel(
                    "Room left",
                    "Share of the object store that is free. When it is full every action stops.",
                    (
                        Query(
                            "min(minio_cluster_capacity_usable_free_bytes) "
                            "/ min(minio_cluster_capacity_usable_total_bytes)",
                            "free",
                        ),
                    ),
                    kind=Kind.STAT,
                    unit="percentunit",
                    thresholds=ROOM,
                    links=(runbook("ObjectStoreNearFull"),),
                    width=6,
                ),
                Panel(
                    "Drives",
                    "Whether all drives of the object store are there.",
                    (Query("min(minio_cluster_health_status)", "cluster"),),
                    kind=Kind.STAT,
                    thresholds=ONE_IS_GOOD,
                    mappings=UP_DOWN,
                    width=6,
                ),
                Panel(
                    "Size of buckets",
                    "Bytes, all versions.",
                    (
                        Query(
                            "max by (bucket) (minio_bucket_usage_total_bytes)",
                            "{{bucket}}",
                            may_be_empty=NOT_SCANNED,
                        ),
                    ),
                    unit="bytes",
                    width=12,
                    low=0,
                ),
                Panel(
                    "Objects",
                    "Objects by bucket.",
                    (
                        Query(
                            "max by (bucket) (minio_bucket_usage_object_total)",
                            "{{bucket}}",
                            may_be_empty=NOT_SCANNED,
                        ),
                    ),
                    low=0,
                ),
                Panel(
                    "Requests",
                    "S3 requests per second, by call.",
                    (
                        Query(
                            "sum by (api) (rate(minio_s3_requests_total[$__rate_interval]))",
                            "{{api}}",
                        ),
                    ),
                    unit="reqps",
                    low=0,
                ),
                Panel(
                    "Failed requests",
                    "S3 requests per second that failed, by call. A conditional put on a key that "
                    "is taken counts too.",
                    (
                        Query(
                            "sum by (api) (rate(minio_s3_requests_errors_total[$__rate_interval]))",
                            "{{api}}",
                            may_be_empty=Excuse("no request has failed"),
                        ),
                    ),
                    unit="reqps",
                    low=0,
                ),
            ),
        ),
        Row(
            "Machine",
            (
                Panel(
                    "Room on disks",
                    "Share of the disk under each folder that is free.",
                    (Query("min by (folder) (disk_free_bytes / disk_size_bytes)", "{{folder}}"),),
                    kind=Kind.STAT,
                    unit="percentunit",
                    thresholds=ROOM,
                    links=(runbook("DiskNearFull"),),
                ),
                Panel(
                    "Memory",
                    "Resident bytes of the processes that tell it.",
                    (
                        Query("sum by (job) (process_resident_memory_bytes)", "{{job}}"),
                        Query("sum(minio_node_process_resident_memory_bytes)", "minio"),
                    ),
                    unit="bytes",
                    low=0,
                ),
                Panel(
                    "MLflow requests",
                    "Requests per second, by status.",
                    (
                        Query(
                            "sum by (status) (rate(mlflow_http_request_total[$__rate_interval]))",
                            "{{status}}",
                            may_be_empty=Excuse("nobody has asked MLflow yet"),
                        ),
                    ),
                    unit="reqps",
                    low=0,
                ),
            ),
        ),
        Row(
            "Monitoring itself",
            (
                Panel(
                    "Age of what exporters know",
                    "Seconds since each part was last read.",
                    (Query("exporter_section_age_seconds", "{{job}} {{section}}"),),
                    unit="s",
                    thresholds=((None, GREEN), (1_800, RED)),
                    links=(runbook("DriftMonitorStale"), runbook("ExporterPartUnreadable")),
                    low=0,
                ),
                Panel(
                    "Parts that cannot be read",
                    "Parts of an exporter whose last reading failed.",
                    (Query("sum by (job) (1 - exporter_section_up)", "{{job}}"),),
                    kind=Kind.STAT,
                    thresholds=ZERO_IS_GOOD,
                    links=(runbook("ExporterPartUnreadable"),),
                ),
                Panel(
                    "Label values dropped",
                    "Names beyond what an exporter keeps of a label.",
                    (Query("sum by (job, label) (exporter_dropped_values)", "{{job}} {{label}}"),),
                    kind=Kind.BARS,
                    thresholds=((None, GREEN), (1, YELLOW)),
                    low=0,
                ),
                Panel(
                    "Series",
                    "Time series that Prometheus holds in memory.",
                    (Query("prometheus_tsdb_head_series", "series"),),
                    thresholds=PLAIN,
                    low=0,
                ),
                Panel(
                    "Duration of scrapes",
                    "Seconds; more than ten is given up.",
                    (Query("scrape_duration_seconds", "{{job}}"),),
                    unit="s",
                    thresholds=((None, GREEN), (5, RED)),
                    links=(runbook("ServiceDown"),),
                    low=0,
                ),
                Panel(
                    "Size of Prometheus's store",
                    "Bytes of blocks and of the write-ahead log.",
                    (
                        Query(
                            "prometheus_tsdb_storage_blocks_bytes "
                            "+ prometheus_tsdb_wal_storage_size_bytes",
                            "store",
                        ),
                    ),
                    unit="bytes",
                    low=0,
                ),
            ),
        ),
    ),
)
