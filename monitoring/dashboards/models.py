"""Model performance: champion, challenger and gates, as the audit trail recorded them."""

from monitoring.dashboards.panels import (
    GREEN,
    ONE_IS_GOOD,
    PLAIN,
    RED,
    YELLOW,
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

NO_VERSION = Excuse("no version was registered yet", until_first_run=True)
NO_CHECK = Excuse("no drift_report was made of the champion")
NO_LABELS = Excuse("no product declares where labels arrive, or none have yet")
NO_ALIAS = Excuse("no version has passed its gates yet", until_first_run=True)


def _metric(title: str, metric: str, description: str, *, unit: str = "short") -> Panel:
    """One metric of champion and challenger, with the product's gate."""
    chosen = f'product=~"$product", metric="{metric}"'
    return Panel(
        title,
        description,
        (
            Query(f"model_metric{{{chosen}}}", "{{product}} {{alias}}", may_be_empty=NO_ALIAS),
            Query(
                f"model_gate_limit{{{chosen}}}",
                "{{product}} gate ({{direction}})",
                may_be_empty=Excuse("no gate limits it"),
            ),
        ),
        unit=unit,
        links=(mlflow("/#/models"), runbook("ChampionBelowGate")),
    )


MODELS = Dashboard(
    uid="interlock-models",
    title="Model performance",
    description="What champion and challenger reached on data that no search saw.",
    rows=(
        Row(
            "Champion and challenger",
            (
                Panel(
                    "Accuracy",
                    "Share of the holdout predicted right.",
                    (
                        Query(
                            'model_accuracy{product=~"$product"}',
                            "{{product}} {{alias}}",
                            may_be_empty=NO_ALIAS,
                        ),
                    ),
                    kind=Kind.STAT,
                    unit="percentunit",
                    links=(mlflow("/#/models"),),
                ),
                Panel(
                    "Version",
                    "Number of the version that each alias points at.",
                    (
                        Query(
                            'model_version{product=~"$product"}',
                            "{{product}} {{alias}}",
                            may_be_empty=NO_ALIAS,
                        ),
                    ),
                    kind=Kind.STAT,
                    thresholds=PLAIN,
                    links=(mlflow("/#/models"),),
                    width=4,
                ),
                Panel(
                    "On record",
                    "Whether the audit trail holds the registration of that version.",
                    (
                        Query(
                            'model_alias_recorded{product=~"$product"}',
                            "{{product}} {{alias}}",
                            may_be_empty=NO_ALIAS,
                        ),
                    ),
                    kind=Kind.STAT,
                    thresholds=ONE_IS_GOOD,
                    mappings=((0, "no", RED), (1, "yes", GREEN)),
                    links=(runbook("ModelWithoutRecord"),),
                    width=4,
                ),
                Panel(
                    "Approval",
                    "Whether it is suspended; deploy-check then refuses the version.",
                    (
                        Query(
                            'model_approval_suspended{product=~"$product"}',
                            "{{product}} {{alias}}",
                            may_be_empty=NO_ALIAS,
                        ),
                    ),
                    kind=Kind.STAT,
                    thresholds=ZERO_IS_GOOD,
                    mappings=((0, "not suspended", GREEN), (1, "suspended", RED)),
                    links=(runbook("ApprovalSuspended"),),
                    width=4,
                ),
                Panel(
                    "Age",
                    "Time since that version was registered.",
                    (
                        Query(
                            'time() - model_registered_timestamp_seconds{product=~"$product"}',
                            "{{product}} {{alias}}",
                            may_be_empty=NO_ALIAS,
                        ),
                    ),
                    kind=Kind.STAT,
                    unit="s",
                    thresholds=((None, GREEN), (30 * 86_400, YELLOW), (90 * 86_400, RED)),
                    width=4,
                ),
                _metric("ROC AUC", "roc_auc", "How well scores rank; 0.5 is chance."),
                _metric("KS", "ks", "Largest gap between the scores of both classes."),
                _metric(
                    "Brier score", "brier", "Mean squared error of the scores; less is better."
                ),
                _metric("F1", "f1", "Harmonic mean of precision and recall."),
                _metric(
                    "Expected cost", "expected_cost", "Per row, in the unit of the cost matrix."
                ),
                _metric(
                    "Share called positive",
                    "positive_rate",
                    "At the chosen threshold.",
                    unit="percentunit",
                ),
                Panel(
                    "All metrics",
                    "Everything that the holdout gave, of champion and challenger.",
                    (
                        Query(
                            'max by (product, metric, alias) (model_metric{product=~"$product"})',
                            may_be_empty=NO_ALIAS,
                        ),
                    ),
                    kind=Kind.TABLE,
                    links=(mlflow("/#/models"),),
                    width=12,
                    height=12,
                ),
            ),
        ),
        Row(
            "In use",
            (
                Panel(
                    "Score drift",
                    "Distance of the champion's scores from those of its holdout. Limits are in "
                    "the product's YAML.",
                    (
                        Query(
                            'prediction_drift_score{product=~"$product", statistic=~"ks|psi"}',
                            "{{product}} {{statistic}}",
                            may_be_empty=NO_CHECK,
                        ),
                    ),
                    links=(dagit("/assets"), runbook("PredictionDriftDetected")),
                    low=0,
                ),
                Panel(
                    "On labels that arrived",
                    "Metrics of the newest window, with the ends of their intervals.",
                    (
                        Query(
                            'model_performance{product=~"$product", metric=~"accuracy|f1|roc_auc"}',
                            "{{product}} {{metric}}",
                            may_be_empty=NO_LABELS,
                        ),
                        Query(
                            "model_performance_interval"
                            '{product=~"$product", metric=~"accuracy|f1|roc_auc"}',
                            "{{product}} {{metric}} {{end}}",
                            may_be_empty=NO_LABELS,
                        ),
                        Query(
                            "model_performance_estimated"
                            '{product=~"$product", metric=~"accuracy|f1|roc_auc"}',
                            "{{product}} {{metric}} estimated",
                            may_be_empty=NO_LABELS,
                        ),
                    ),
                    links=(dagit("/assets"), runbook("PerformanceBeyondLimit")),
                ),
                Panel(
                    "Metrics beyond their limit",
                    "Over all windows, segments and protected groups of the newest check.",
                    (
                        Query(
                            'model_performance_beyond_limit{product=~"$product"}',
                            "{{product}}",
                            may_be_empty=NO_LABELS,
                        ),
                    ),
                    kind=Kind.STAT,
                    thresholds=((None, GREEN), (1, RED)),
                    links=(runbook("PerformanceBeyondLimit"),),
                    width=4,
                ),
                Panel(
                    "Age of checks",
                    "Time since a check of drift or performance came to a verdict, and since the "
                    "end of the newest window with labels.",
                    (
                        Query(
                            'time() - monitoring_check_last_timestamp_seconds{product=~"$product"}',
                            "{{product}} {{check}}",
                            may_be_empty=NO_CHECK,
                        ),
                        Query(
                            "time() - model_performance_window_end_timestamp_seconds"
                            '{product=~"$product"}',
                            "{{product}} newest labels",
                            may_be_empty=NO_LABELS,
                        ),
                    ),
                    kind=Kind.STAT,
                    unit="s",
                    thresholds=((None, GREEN), (2 * 86_400, YELLOW)),
                    links=(runbook("MonitoringCheckOverdue"), runbook("MonitoringCheckFailed")),
                    width=4,
                ),
            ),
        ),
        Row(
            "Gates",
            (
                Panel(
                    "Champion's margin over its gates",
                    "Metric minus limit, turned so that below zero fails. Gates are those of the "
                    "newest registration.",
                    (
                        Query(
                            "max by (product, metric) "
                            '(model_metric{product=~"$product", alias="champion"}) '
                            "- on (product, metric) max by (product, metric) "
                            '(model_gate_limit{direction="min"})',
                            "{{product}} {{metric}}",
                            may_be_empty=NO_ALIAS,
                        ),
                        Query(
                            "min by (product, metric) "
                            '(model_gate_limit{direction="max"}) '
                            "- on (product, metric) max by (product, metric) "
                            '(model_metric{product=~"$product", alias="champion"})',
                            "{{product}} {{metric}}",
                            may_be_empty=Excuse(
                                "no gate has an upper limit, or there is no champion"
                            ),
                        ),
                    ),
                    kind=Kind.BARS,
                    thresholds=((None, RED), (0, GREEN)),
                    links=(runbook("ChampionBelowGate"),),
                    width=12,
                ),
                Panel(
                    "Gates failed by the newest version",
                    "0 is a version that became challenger.",
                    (
                        Query(
                            'model_gates_failed{product=~"$product"}',
                            "{{product}}",
                            may_be_empty=NO_VERSION,
                        ),
                    ),
                    kind=Kind.STAT,
                    thresholds=((None, GREEN), (1, YELLOW)),
                    links=(dagit("/assets"), runbook("GatesFailed")),
                    width=4,
                ),
                Panel(
                    "Gates failed so far",
                    "Of all registrations, by metric.",
                    (
                        Query(
                            'gates_failed_total{product=~"$product"}',
                            "{{product}} {{metric}}",
                            may_be_empty=NO_VERSION,
                        ),
                    ),
                    kind=Kind.BARS,
                    links=(runbook("GatesFailed"),),
                    low=0,
                ),
            ),
        ),
    ),
)
