"""Governance: which roles did what, what was denied, and whether the record is whole."""

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
    runbook,
)

EMPTY_TRAIL = Excuse("the audit trail is still empty", until_first_run=True)

GOVERNANCE = Dashboard(
    uid="interlock-governance",
    title="Governance",
    description="Acts by role, denials, failed gates, and the integrity of the audit trail. Names "
    "of people are in the trail alone: `interlock audit list`.",
    rows=(
        Row(
            "Integrity of the audit trail",
            (
                Panel(
                    "Trail",
                    "Whether the whole trail verified.",
                    (Query("min(audit_chain_intact)", "chain", may_be_empty=EMPTY_TRAIL),),
                    kind=Kind.STAT,
                    thresholds=ONE_IS_GOOD,
                    mappings=((0, "broken", RED), (1, "intact", GREEN)),
                    links=(runbook("AuditChainBroken"),),
                    width=4,
                    height=6,
                ),
                Panel(
                    "Findings",
                    "What contradicts an intact trail.",
                    (Query("max(audit_findings)", "findings", may_be_empty=EMPTY_TRAIL),),
                    kind=Kind.STAT,
                    thresholds=ZERO_IS_GOOD,
                    links=(runbook("AuditChainBroken"),),
                    width=4,
                    height=6,
                ),
                Panel(
                    "Missing events",
                    "Places in streams whose event is gone.",
                    (Query("max(audit_missing_total)", "missing"),),
                    kind=Kind.STAT,
                    thresholds=ZERO_IS_GOOD,
                    links=(runbook("AuditEventsMissing"),),
                    width=4,
                    height=6,
                ),
                Panel(
                    "Unfinished actions",
                    "Started and not ended: under way, or killed.",
                    (Query("max(audit_unfinished_actions)", "open", may_be_empty=EMPTY_TRAIL),),
                    kind=Kind.STAT,
                    thresholds=((None, GREEN), (1, YELLOW)),
                    links=(runbook("AuditActionUnfinished"),),
                    width=4,
                    height=6,
                ),
                Panel(
                    "Waiting records",
                    "Records on disk that the audit bucket did not take.",
                    (
                        Query(
                            "max(audit_spooled_records)",
                            "waiting",
                            may_be_empty=Excuse("nothing ever had to wait, so there is no spool"),
                        ),
                    ),
                    kind=Kind.STAT,
                    thresholds=ZERO_IS_GOOD,
                    links=(runbook("AuditWriteFailing"),),
                    width=4,
                    height=6,
                ),
                Panel(
                    "Last verification",
                    "Time since the whole trail was verified.",
                    (
                        Query(
                            "time() - max(audit_last_verification_timestamp_seconds)",
                            "ago",
                            may_be_empty=EMPTY_TRAIL,
                        ),
                    ),
                    kind=Kind.STAT,
                    unit="s",
                    thresholds=((None, GREEN), (1_800, YELLOW), (3_600, RED)),
                    links=(runbook("DriftMonitorStale"),),
                    width=4,
                    height=6,
                ),
                Panel(
                    "Streams",
                    "One per run, or per process and day.",
                    (Query("max(audit_streams)", "streams"),),
                    kind=Kind.STAT,
                    thresholds=PLAIN,
                    width=4,
                    height=6,
                ),
                Panel(
                    "Last event",
                    "Time since anything was recorded.",
                    (
                        Query(
                            "time() - max(audit_last_event_timestamp_seconds)",
                            "ago",
                            may_be_empty=EMPTY_TRAIL,
                        ),
                    ),
                    kind=Kind.STAT,
                    unit="s",
                    thresholds=PLAIN,
                    width=4,
                    height=6,
                ),
            ),
        ),
        Row(
            "Acts",
            (
                Panel(
                    "Events by action",
                    "All events of the trail.",
                    (
                        Query(
                            "sum by (action, outcome) (audit_events_total) > 0",
                            may_be_empty=EMPTY_TRAIL,
                        ),
                    ),
                    kind=Kind.TABLE,
                    width=12,
                    height=10,
                ),
                Panel(
                    "Events by role",
                    "All events of the trail, by the role that acted.",
                    (
                        Query(
                            "sum by (role, outcome) (audit_events_by_role_total) > 0",
                            may_be_empty=EMPTY_TRAIL,
                        ),
                    ),
                    kind=Kind.TABLE,
                    width=12,
                    height=10,
                ),
                Panel(
                    "Events per hour",
                    "By outcome.",
                    (Query("sum by (outcome) (increase(audit_events_total[1h]))", "{{outcome}}"),),
                    links=(dagit("/runs"),),
                    width=12,
                    low=0,
                ),
                Panel(
                    "Promotions and rollbacks",
                    "How often champions changed, and approvals were given or refused.",
                    (
                        Query(
                            "sum by (action, outcome) (audit_events_total{"
                            'action=~"model:(promote|rollback|approve|reject)"})',
                            "{{action}} {{outcome}}",
                        ),
                    ),
                    width=12,
                    low=0,
                ),
            ),
        ),
        Row(
            "Denials and gates",
            (
                Panel(
                    "Denials per hour, by role",
                    "A burst is a mistake in a role or policy, or somebody who tries.",
                    (
                        Query(
                            "sum by (role) "
                            '(increase(audit_events_by_role_total{outcome="denied"}[1h]))',
                            "{{role}}",
                        ),
                    ),
                    thresholds=((None, GREEN), (5, RED)),
                    links=(runbook("DeniedAttemptsBurst"),),
                    low=0,
                ),
                Panel(
                    "Denials per day, by action",
                    "What was tried and denied.",
                    (
                        Query(
                            'sum by (action) (increase(audit_events_total{outcome="denied"}[24h]))',
                            "{{action}}",
                        ),
                    ),
                    kind=Kind.BARS,
                    thresholds=((None, GREEN), (1, YELLOW)),
                    links=(runbook("DeniedAttemptsBurst"),),
                    low=0,
                ),
                Panel(
                    "Failed gates",
                    "Of all registrations, by product and metric.",
                    (
                        Query(
                            'sum by (product, metric) (gates_failed_total{product=~"$product"})',
                            "{{product}} {{metric}}",
                            may_be_empty=Excuse(
                                "no version was registered yet", until_first_run=True
                            ),
                        ),
                    ),
                    kind=Kind.BARS,
                    thresholds=((None, GREEN), (1, YELLOW)),
                    links=(runbook("GatesFailed"),),
                    low=0,
                ),
            ),
        ),
    ),
)
