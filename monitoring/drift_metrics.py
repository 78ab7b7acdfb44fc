"""What the drift monitor knows as samples: values in, families out. Names: ``catalogue.py``."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from monitoring.catalogue import Families
from monitoring.drift_check import Comparison
from monitoring.observed import AliasedVersion, DriftView, Integrity, LocalView, TrailView
from monitoring.trail_state import ACTIONS, OTHER, OUTCOMES, ROLES, ProductState


def fill_trail(out: Families, found: TrailView) -> None:
    """What the trail says: events, snapshots, gates."""
    # Zero events is what was counted, and lets the first one show as an increase.
    for action in (*ACTIONS, OTHER):
        for outcome in OUTCOMES:
            out.add("audit_events_total", found.events.get((action, outcome), 0), action, outcome)
    for role in (*ROLES, OTHER):
        for outcome in OUTCOMES:
            count = found.events_by_role.get((role, outcome), 0)
            out.add("audit_events_by_role_total", count, role, outcome)
    out.add("audit_missing_total", found.missing)
    out.add("audit_streams", found.streams)
    if found.newest is not None:
        out.add("audit_last_event_timestamp_seconds", found.newest)
    if found.baseline_found is not None:
        out.add("data_baseline_found", found.baseline_found)
    for name in out.bounded("product", found.products):
        _fill_data(out, name, found.products[name])
        _fill_gates(out, name, found.products[name])
        if (model := found.products[name].model) is not None:
            out.add("model_tampering_found_total", found.tampering.get(model, 0), name)


def fill_models(out: Families, found: Mapping[tuple[str, str], AliasedVersion]) -> None:
    """Champion and challenger of each product."""
    products = set(out.bounded("product", (product for product, _ in found)))
    for (product, alias), each in found.items():
        if product not in products:
            continue
        if each.version.isdigit():
            out.add("model_version", int(each.version), product, alias)
        out.add("model_alias_recorded", each.registration is not None, product, alias)
        out.add("model_approval_suspended", each.suspended, product, alias)
        if each.registration is None:
            continue
        metrics = each.registration.metrics
        out.add("model_registered_timestamp_seconds", each.registration.time, product, alias)
        for metric in out.bounded("metric", metrics):
            out.add("model_metric", metrics[metric], product, alias, metric)
        if "accuracy" in metrics:
            out.add("model_accuracy", metrics["accuracy"], product, alias)


def fill_drift(
    out: Families,
    found: Mapping[str, DriftView],
    *,
    threshold: float,
    but: Collection[str] = (),
) -> None:
    """Each product's data against its baseline.

    Args:
        out: Where to.
        found: Product to its data.
        threshold: ``DRIFT_THRESHOLD``.
        but: Products whose distances a recorded check tells.
    """
    out.add("data_drift_threshold", threshold)
    for name in out.bounded("product", found):
        each = found[name]
        if each.hash_changed is not None:
            out.add("data_hash_changed", each.hash_changed, name)
        if each.measured is not None:
            out.add("data_drift_check_up", each.measured, name)
        if each.checked is not None:
            out.add("data_drift_last_check_timestamp_seconds", each.checked, name)
        if each.comparison is not None and name not in but:
            out.add("data_drift_detected", each.comparison.has_drift(threshold), name)
            _fill_distances(out, name, each.comparison)


def fill_integrity(out: Families, found: Integrity) -> None:
    """What verifying the trail found."""
    out.add("audit_chain_intact", found.intact)
    out.add("audit_findings", found.findings)
    out.add("audit_unfinished_actions", found.unfinished)
    out.add("audit_last_verification_timestamp_seconds", found.time)


def fill_local(out: Families, found: LocalView) -> None:
    """What is on this machine's disks."""
    if found.spooled is not None:
        out.add("audit_spooled_records", found.spooled)
    for folder, (free, total) in found.disks.items():
        out.add("disk_free_bytes", free, folder)
        out.add("disk_size_bytes", total, folder)


def _fill_data(out: Families, name: str, product: ProductState) -> None:
    raw, validated = product.raw, product.validated
    if raw is not None:
        _add_known(out, "data_row_count", raw.rows, name, "raw_data")
        _add_known(out, "data_column_count", raw.columns, name)
        out.add("data_last_ingest_timestamp_seconds", raw.time, name)
    if validated is not None:
        _add_known(out, "data_row_count", validated.rows, name, "validated_data")
        _add_known(out, "data_quarantined_rows", validated.quarantined, name)
        _add_known(out, "data_quality_score", validated.quality, name)
        _add_known(out, "data_blocking_checks_failed", validated.blocking_failed, name)


def _fill_gates(out: Families, name: str, product: ProductState) -> None:
    newest = product.newest_version
    if newest is None:
        return
    out.add("model_gates_failed", sum(not gate.passed for gate in newest.gates), name)
    limits = {(gate.metric, gate.direction): gate.limit for gate in newest.gates}
    metrics = set(out.bounded("metric", (metric for metric, _ in limits)))
    for (metric, direction), limit in limits.items():
        if metric in metrics:
            out.add("model_gate_limit", limit, name, metric, direction)
    for metric in out.bounded("metric", product.gates_failed):
        out.add("gates_failed_total", product.gates_failed[metric], name, metric)


def _fill_distances(out: Families, name: str, comparison: Comparison) -> None:
    for feature, measured in comparison.distances.items():
        for statistic, value in measured.items():
            out.add("feature_drift_score", value, name, feature, statistic.value)


def _add_known(out: Families, metric: str, value: float | None, *labels: str) -> None:
    if value is not None:
        out.add(metric, value, *labels)
