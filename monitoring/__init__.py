"""Watching Interlock from outside: exporters, alert rules' tests, dashboards, runbooks.

Two processes serve metrics: ``python -m monitoring.dagster_exporter`` reads Dagster over HTTP,
``python -m monitoring.drift_monitor`` reads audit trail, registry and snapshots. Both only read.
They use ``interlock.ml``, ``interlock.adapters``, ``interlock.settings`` and its errors, never
the orchestrator: a monitor must live while that is down. ADR-0008.
"""
