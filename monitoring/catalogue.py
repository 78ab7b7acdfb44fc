"""Every metric that the exporters serve: name, kind, labels, meaning.

Exporters take their metrics from here, and tests hold alert rules and dashboards against it.
Labels are bounded: values come from the code's own vocabulary, or from names that a person
declared (products, pipelines, schedules), of which ``MAX_VALUES`` are kept. Dagster's jobs are
pipelines here: the label ``job`` is Prometheus's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from prometheus_client import Metric as Family

MAX_VALUES: Final = 200  # of a label that people name; the rest is counted as dropped


class Kind(StrEnum):
    """What Prometheus makes of a metric."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: Full name; a counter's ends in ``_total``.
        kind: See ``Kind``.
        labels: Names of its labels.
        help: One sentence with the unit, for ``# HELP``.
    """

    name: str
    kind: Kind
    labels: tuple[str, ...]
    help: str


def _gauge(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, labels, help_text)


def _counter(name: str, help_text: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, labels, help_text)


_SHARED = (
    _gauge("exporter_section_up", "Whether the last reading of this part succeeded.", "section"),
    _gauge(
        "exporter_section_age_seconds",
        "Seconds since this part was last read; too old a part serves no metrics.",
        "section",
    ),
    _gauge(
        "exporter_dropped_values",
        "Values left out because a label has more than an exporter keeps.",
        "label",
    ),
)

DAGSTER_METRICS: Final = (
    _gauge("dagster_webserver_up", "Whether Dagster's web server answers in time."),
    _gauge("dagster_webserver_response_seconds", "Seconds that its last answer took."),
    _gauge(
        "dagster_webserver_admits_exporter",
        "Whether Dagster's web server lets the exporter in; its account's token decides.",
    ),
    _gauge(
        "service_reachable",
        "Whether a service without metrics of its own accepts connections.",
        "service",
    ),
    _gauge(
        "dagster_code_location_loaded",
        "Whether a code location answers with its definitions.",
        "location",
    ),
    _gauge("dagster_daemon_healthy", "Whether Dagster calls a daemon healthy.", "daemon"),
    _gauge(
        "dagster_daemon_heartbeat_timestamp_seconds",
        "When a daemon last gave a sign of life, Unix time.",
        "daemon",
    ),
    _gauge("dagster_schedule_running", "Whether a schedule is switched on.", "schedule"),
    _gauge(
        "dagster_schedule_overdue_seconds",
        "Seconds since a tick was due that has not come; 0 when none is. Running schedules only.",
        "schedule",
    ),
    _gauge(
        "dagster_schedule_last_tick_timestamp_seconds",
        "For when the newest tick was due, Unix time.",
        "schedule",
    ),
    _counter(
        "dagster_schedule_ticks_total",
        "Ticks since the exporter started: success, skipped or failure.",
        "schedule",
        "status",
    ),
    _gauge(
        "dagster_sensor_completed_timestamp_seconds",
        "When a sensor's newest tick without an error began, Unix time; 0 before the first.",
        "sensor",
    ),
    _counter(
        "pipeline_runs_total",
        "Ended runs that Dagster's storage holds: success, failure or canceled.",
        "pipeline",
        "status",
    ),
    Metric(
        "pipeline_duration_seconds",
        Kind.HISTOGRAM,
        ("pipeline", "status"),
        "Seconds from start to end of runs that ended since the exporter started.",
    ),
    _gauge(
        "pipeline_runs_active",
        "Runs that have not ended: queued, starting, started or canceling.",
        "status",
    ),
    _gauge(
        "pipeline_oldest_run_age_seconds",
        "Age of the oldest run that has not ended; of started ones since their start.",
        "status",
    ),
    _gauge(
        "pipeline_consecutive_failures",
        "How many runs in a row failed, counted from the newest ended one, at most 10.",
        "pipeline",
    ),
    _gauge(
        "pipeline_last_run_timestamp_seconds",
        "When the newest of the last 10 ended runs with this status ended, Unix time.",
        "pipeline",
        "status",
    ),
    _gauge(
        "pipeline_last_run_duration_seconds",
        "Seconds from start to end of the newest ended run.",
        "pipeline",
    ),
    _gauge(
        "pipeline_last_failure_timestamp_seconds",
        "When the newest of the last 10 runs that failed with this error ended, Unix time.",
        "pipeline",
        "error",
    ),
    _gauge(
        "asset_last_materialization_timestamp_seconds",
        "When a product's asset was last materialized, Unix time.",
        "product",
        "asset",
    ),
    _gauge(
        "asset_checks_failed",
        "Checks of the newest materialization that failed: error or warn.",
        "product",
        "asset",
        "severity",
    ),
    *_SHARED,
)

DRIFT_METRICS: Final = (
    _gauge("data_row_count", "Rows of the newest snapshot.", "product", "asset"),
    _gauge("data_column_count", "Columns of the newest raw snapshot.", "product"),
    _gauge("data_quarantined_rows", "Rows that broke the contract, newest snapshot.", "product"),
    _gauge(
        "data_quality_score",
        "Share of rule evaluations that held, 0 to 1, newest validated snapshot.",
        "product",
    ),
    _gauge(
        "data_blocking_checks_failed",
        "Blocking rules that the newest snapshot broke; nothing may build on it.",
        "product",
    ),
    _gauge(
        "data_last_ingest_timestamp_seconds", "When data was last ingested, Unix time.", "product"
    ),
    _gauge(
        "data_hash_changed",
        "Whether the newest raw snapshot is another than the baseline's. News, not drift.",
        "product",
    ),
    _gauge(
        "data_baseline_found",
        "Whether a snapshot has BASELINE_DATA_HASH; absent when that is unset.",
    ),
    _gauge(
        "data_drift_detected",
        "Whether the newest data drifted: by the product's recorded check, or by PSI.",
        "product",
    ),
    _gauge("data_drift_threshold", "DRIFT_THRESHOLD: highest PSI without an alarm."),
    _gauge(
        "feature_drift_score",
        "Distance of a feature's newest data from the reference, by statistic.",
        "product",
        "feature",
        "statistic",
    ),
    _gauge(
        "prediction_drift_score",
        "Distance of the champion's scores from those of its holdout, by statistic.",
        "product",
        "statistic",
    ),
    _gauge(
        "prediction_drift_detected", "Whether the champion's scores are beyond limit.", "product"
    ),
    _gauge(
        "monitoring_check_up",
        "Whether the newest check came to a verdict: drift or performance.",
        "product",
        "check",
    ),
    _gauge(
        "monitoring_check_last_timestamp_seconds",
        "When a check last came to a verdict, Unix time.",
        "product",
        "check",
    ),
    _gauge("monitoring_check_daily", "Whether that check was of a day.", "product", "check"),
    _gauge(
        "model_performance",
        "Metric of the champion over the newest labels, in the metric's unit.",
        "product",
        "metric",
    ),
    _gauge(
        "model_performance_interval",
        "End of its confidence interval: low or high.",
        "product",
        "metric",
        "end",
    ),
    _gauge(
        "model_performance_estimated",
        "The same without labels, estimated from the scores.",
        "product",
        "metric",
    ),
    _gauge(
        "model_performance_beyond_limit",
        "Metrics beyond their limit, over all windows and groups of the newest check.",
        "product",
    ),
    _gauge(
        "model_performance_window_end_timestamp_seconds",
        "End of the newest window with labels, Unix time.",
        "product",
    ),
    _gauge("data_drift_check_up", "Whether drift could be measured.", "product"),
    _gauge("data_drift_last_check_timestamp_seconds", "When it last could, Unix time.", "product"),
    _gauge("model_accuracy", "Share of the holdout predicted right, 0 to 1.", "product", "alias"),
    _gauge(
        "model_metric",
        "Metric of the holdout, as the audit trail recorded it.",
        "product",
        "alias",
        "metric",
    ),
    _gauge("model_version", "Number of the version that an alias points at.", "product", "alias"),
    _gauge(
        "model_alias_recorded",
        "Whether the audit trail holds the registration of the version an alias points at.",
        "product",
        "alias",
    ),
    _gauge(
        "model_approval_suspended",
        "Whether the approval of the version at an alias is suspended.",
        "product",
        "alias",
    ),
    _gauge(
        "model_registered_timestamp_seconds",
        "When the version was registered, Unix time.",
        "product",
        "alias",
    ),
    _gauge(
        "model_gate_limit",
        "Limit of a gate at the newest registration, in the unit of its metric.",
        "product",
        "metric",
        "direction",
    ),
    _gauge("model_gates_failed", "Gates that the newest registration failed.", "product"),
    _counter("gates_failed_total", "Failed gates of all registrations.", "product", "metric"),
    _counter(
        "model_tampering_found_total",
        "Changes of aliases, tags or versions from outside of Interlock that were found.",
        "product",
    ),
    _counter("audit_events_total", "Events in the audit trail.", "action", "outcome"),
    _counter(
        "audit_events_by_role_total",
        "Events in the audit trail by the role that acted.",
        "role",
        "outcome",
    ),
    _counter("audit_missing_total", "Places in audit streams whose event is gone."),
    _gauge("audit_streams", "Streams in the audit trail."),
    _gauge(
        "audit_last_event_timestamp_seconds", "Time of the newest event in the trail, Unix time."
    ),
    _gauge("audit_chain_intact", "Whether the whole trail verified."),
    _gauge("audit_findings", "What contradicts an intact trail, number of findings."),
    _gauge("audit_unfinished_actions", "Actions that started and have no end on record."),
    _gauge("audit_last_verification_timestamp_seconds", "When it was verified, Unix time."),
    _gauge("audit_spooled_records", "Audit records on disk that wait for the audit bucket."),
    _gauge("disk_free_bytes", "Free bytes of the disk under a folder.", "folder"),
    _gauge("disk_size_bytes", "Size of the disk under a folder in bytes.", "folder"),
    *_SHARED,
)

METRICS: Final[Mapping[str, Metric]] = MappingProxyType(
    {metric.name: metric for metric in (*DAGSTER_METRICS, *DRIFT_METRICS)}
)


class Families:
    """Samples on their way to Prometheus, by metric; labels are checked and bounded."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}
        self._dropped: dict[str, set[str]] = {}

    def add(self, name: str, value: float, *labels: str) -> None:
        """Adds a sample.

        Args:
            name: A gauge or counter in ``METRICS``.
            value: In its unit.
            labels: As many values as it has labels, in their order.
        """
        family, named = self._family(name, labels)
        family.add_sample(name, named, float(value))

    def add_histogram(
        self, name: str, buckets: Sequence[tuple[str, float]], total: float, *labels: str
    ) -> None:
        """Adds the samples of a histogram.

        Args:
            name: A histogram in ``METRICS``.
            buckets: Upper end as text and cumulative count, the last ``+Inf``.
            total: Sum of the observations.
            labels: As in ``add``.
        """
        family, named = self._family(name, labels)
        for end, count in buckets:
            family.add_sample(f"{name}_bucket", named | {"le": end}, count)
        family.add_sample(f"{name}_count", named, buckets[-1][1])
        family.add_sample(f"{name}_sum", named, total)

    def bounded(self, label: str, values: Iterable[str]) -> tuple[str, ...]:
        """The first ``MAX_VALUES`` of a label's values in order; the others are dropped.

        Args:
            label: The label.
            values: Its values.
        """
        ordered = sorted(set(values))
        self._dropped.setdefault(label, set()).update(ordered[MAX_VALUES:])
        return tuple(ordered[:MAX_VALUES])

    def all(self) -> list[Family]:
        """The families, with how many values were dropped of each bounded label."""
        for label, values in self._dropped.items():
            self.add("exporter_dropped_values", len(values), label)
        self._dropped = {}
        return list(self._families.values())

    def _family(self, name: str, labels: tuple[str, ...]) -> tuple[Family, dict[str, str]]:
        metric = METRICS[name]
        if name not in self._families:
            plain = name.removesuffix("_total") if metric.kind is Kind.COUNTER else name
            self._families[name] = Family(plain, metric.help, metric.kind.value)
        return self._families[name], dict(zip(metric.labels, labels, strict=True))
