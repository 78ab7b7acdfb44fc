from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from monitors import monitor_of, samples, sources
from product_fixtures import (
    AUDIT,
    DATA,
    PREFIX,
    Made,
    World,
    after_raw,
    rows_of_applicants,
    run_all,
    table_text,
    tiny_product,
)

from interlock.actions.ingest import ingest
from interlock.actions.validate import validate
from interlock.adapters.new_file import file_sha256
from interlock.errors import AccessDenied, ConfigurationError, MonitoringError, StoreUnavailable
from interlock.governance.audit import Stream
from interlock.governance.principal import Role
from interlock.settings import Settings
from monitoring import drift_check, drift_metrics, drift_monitor
from monitoring.catalogue import Families
from monitoring.drift_check import baseline_of
from monitoring.drift_monitor import DriftMonitor, main, sources_of
from monitoring.drift_observer import DriftObserver
from monitoring.trail_state import ProductState, RawSnapshot, ValidatedSnapshot


def richer(line: str) -> str:
    age, income, rest = line.split(",", 2)
    return f"{age},{float(income) + 40:.1f},{rest}"


def next_data(world: World, lines: list[str], *, run: str = "run-2") -> None:
    """Another source, ingested and validated."""
    world.clock.advance(minutes=1)
    world.csv.write_text(table_text(lines))
    work = world.workspace()
    raw = ingest(work, tiny_product(), world.run(run, step="tiny/raw_data"))
    validate(work, tiny_product(), world.run(run, step="tiny/validated_data"), after_raw(raw))


def test_an_empty_trail_has_counted_nothing(world: World, tmp_path: Path) -> None:
    found = samples(monitor_of(sources(world, tmp_path)))
    assert found.pop("audit_streams") == 0
    assert found.pop("data_drift_threshold") == 0.2
    counted = {name: value for name, value in found.items() if name.startswith("audit_")}
    assert set(counted.values()) == {0}
    rest = {name.split()[0] for name in found.keys() - counted.keys()}
    assert rest <= {"disk_free_bytes", "disk_size_bytes", "exporter_dropped_values"}
    assert not world.database.exists(), "an empty MLflow is not opened, which would mark it"


def test_trail_is_verified_as_soon_as_there_is_one_and_then_at_its_own_interval(
    world: World, tmp_path: Path
) -> None:
    passed = [0.0]
    monitor = DriftMonitor(
        DriftObserver(sources(world, tmp_path)),
        threshold=0.2,
        interval=30,
        verify_interval=600,
        monotonic=lambda: passed[0],
    )
    name = "audit_last_verification_timestamp_seconds"
    assert name not in samples(monitor)
    ingest(world.workspace(), tiny_product(), world.run("run-1", step="tiny/raw_data"))
    first = samples(monitor)[name]
    world.clock.advance(minutes=9)
    passed[0] += 540
    assert samples(monitor)[name] == first
    world.clock.advance(minutes=2)
    passed[0] += 120
    assert samples(monitor)[name] == pytest.approx(first + 660, abs=1)


def test_a_product_is_shown_with_its_champion(made: tuple[World, Made], tmp_path: Path) -> None:
    world, result = made
    found = samples(monitor_of(sources(world, tmp_path)))
    expected = {
        "data_row_count tiny raw_data": 240,
        "data_row_count tiny validated_data": 240,
        "data_column_count tiny": 4,
        "data_quarantined_rows tiny": 0,
        "data_quality_score tiny": 1,
        "data_blocking_checks_failed tiny": 0,
        "data_hash_changed tiny": 0,
        "data_drift_detected tiny": 0,
        "data_drift_check_up tiny": 1,
        "feature_drift_score tiny income psi": 0,
        "feature_drift_score tiny income ks": 0,
        "feature_drift_score tiny region psi": 0,
        "model_accuracy tiny champion": result.trained.metrics["accuracy"],
        "model_metric tiny challenger roc_auc": result.trained.metrics["roc_auc"],
        "model_version tiny champion": 1,
        "model_alias_recorded tiny champion": 1,
        "model_approval_suspended tiny champion": 0,
        "model_gate_limit tiny roc_auc min": 0.6,
        "model_gates_failed tiny": 0,
        "gates_failed_total tiny roc_auc": 0,
        "audit_events_total model:promote succeeded": 1,
        "audit_events_by_role_total ml_engineer succeeded": 5,
        "audit_chain_intact": 1,
        "audit_findings": 0,
        "audit_missing_total": 0,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert "feature_drift_score tiny age psi" not in found, "the model does not read it"
    assert "data_baseline_found" not in found
    assert "audit_spooled_records" not in found, "nothing was ever spooled there"
    assert not [name for name in found if "nowhere" in name]


def test_nothing_is_written(made: tuple[World, Made], tmp_path: Path) -> None:
    world, _ = made
    state, story = world.state(), world.story()
    samples(monitor_of(sources(world, tmp_path)))
    assert (world.state(), world.story()) == (state, story)


def test_other_bytes_of_the_same_distribution_are_news_and_no_drift(
    made: tuple[World, Made], tmp_path: Path
) -> None:
    world, _ = made
    monitor = monitor_of(sources(world, tmp_path))
    assert samples(monitor)["data_hash_changed tiny"] == 0
    next_data(world, rows_of_applicants(seed=8))
    found = samples(monitor)
    assert found["data_hash_changed tiny"] == 1
    assert found["data_drift_detected tiny"] == 0
    assert found["feature_drift_score tiny income ks"] > 0


def test_a_moved_feature_is_drift_and_ends_with_the_old_data(
    made: tuple[World, Made], tmp_path: Path
) -> None:
    world, _ = made
    monitor = monitor_of(sources(world, tmp_path))
    next_data(world, [richer(line) for line in rows_of_applicants(seed=8)])
    found = samples(monitor)
    assert found["data_drift_detected tiny"] == 1
    assert found["feature_drift_score tiny income psi"] > 0.2
    assert found["feature_drift_score tiny region psi"] < 0.2
    next_data(world, rows_of_applicants(), run="run-3")
    found = samples(monitor)
    assert (found["data_drift_detected tiny"], found["data_hash_changed tiny"]) == (0, 0)


def test_the_baseline_can_be_chosen(made: tuple[World, Made], tmp_path: Path) -> None:
    world, result = made
    next_data(world, [richer(line) for line in rows_of_applicants(seed=8)])
    chosen = samples(monitor_of(sources(world, tmp_path)))["data_hash_changed tiny"]
    assert chosen == 1, "without a choice the champion's snapshot is the baseline"
    state = DriftObserver(sources(world, tmp_path)).trail().products["tiny"]
    assert state.raw is not None
    assert state.validated is not None
    for baseline in (state.raw.hash, state.validated.hash):
        found = samples(monitor_of(sources(world, tmp_path, baseline=baseline)))
        assert found["data_baseline_found"] == 1
        assert (found["data_hash_changed tiny"], found["data_drift_detected tiny"]) == (0, 0)
    unknown = samples(monitor_of(sources(world, tmp_path, baseline="0" * 64)))
    assert unknown["data_baseline_found"] == 0
    assert unknown["data_hash_changed tiny"] == 1
    assert result.raw.data_hash in state.raw_hashes


def test_a_baseline_that_was_never_validated_still_tells_the_news() -> None:
    product = ProductState(raw=RawSnapshot("now", 1, 1, 0), raw_hashes={"then", "now"})
    found = baseline_of(product, chosen="then", champion=None)
    assert found == drift_check.Baseline("then", None)
    assert baseline_of(product, chosen=None, champion=None) is None


def test_snapshots_are_compared_once(made: tuple[World, Made], tmp_path: Path) -> None:
    world, _ = made
    monitor = monitor_of(sources(world, tmp_path))
    fetched: list[str] = []
    world.store.before.append(
        lambda operation, _bucket, key: fetched.append(key) if operation == "download" else None
    )
    samples(monitor)
    assert len(fetched) == 2
    first = samples(monitor)
    assert len(fetched) == 2
    world.clock.advance(minutes=5)
    later = samples(monitor)
    checked = "data_drift_last_check_timestamp_seconds tiny"
    passed = later[checked] - first[checked]
    assert passed == pytest.approx(300, abs=1), "unchanged snapshots count as checked"
    next_data(world, rows_of_applicants(seed=8))
    samples(monitor)
    assert len(fetched) == 4, "one by the validation, one here: the baseline's profile is kept"
    assert not list(tmp_path.glob("tmp*")), "nothing is left in the scratch folder"


def tampered(world: World) -> None:
    for key, versions in world.store.buckets[DATA].versions.items():
        if key.endswith("accepted.parquet"):
            versions[-1] = replace(versions[-1], data=b"PAR1 something else PAR1")


def gone(world: World) -> None:
    keys = list(world.store.buckets[DATA].versions)
    for key in keys:
        if key.endswith("accepted.parquet"):
            del world.store.buckets[DATA].versions[key]


@pytest.mark.parametrize("harm", [tampered, gone])
def test_a_snapshot_that_is_not_the_recorded_one_is_not_measured(
    made: tuple[World, Made],
    tmp_path: Path,
    harm: Callable[[World], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    world, _ = made
    harm(world)
    found = samples(monitor_of(sources(world, tmp_path)))
    assert found["data_drift_check_up tiny"] == 0
    assert found["data_hash_changed tiny"] == 0
    assert not [name for name in found if name.startswith(("data_drift_det", "feature_drift"))]
    assert "drift of tiny cannot be measured" in caplog.text


def test_a_feature_that_is_gone_or_changed_its_type_is_not_measured(
    made: tuple[World, Made], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, _ = made
    check = drift_check.DriftCheck(world.store, bucket=DATA, scratch=tmp_path)
    state = DriftObserver(sources(world, tmp_path)).trail().products["tiny"].validated
    assert state is not None
    with pytest.raises(MonitoringError, match="no column wealth"):
        check.compare(state, state, ["wealth"])
    check.compare(state, state, ["income"])
    as_text = tmp_path / "text.parquet"
    pl.DataFrame({"income": ["a"]}).write_parquet(as_text)
    empty = tmp_path / "empty.parquet"
    pl.DataFrame({"income": [0.0]}).clear().write_parquet(empty)
    for path, why in (
        (as_text, r"income \(text, in the reference number\)"),
        (empty, "has no rows"),
    ):
        world.store.upload_new(DATA, path.name, path)
        other = replace(state, hash=file_sha256(path), key=path.name)
        with pytest.raises(MonitoringError, match=why):
            check.compare(state, other, ["income"])


def test_a_store_that_is_away_takes_away_only_what_it_tells(
    made: tuple[World, Made], tmp_path: Path
) -> None:
    world, _ = made

    def away(*_: str) -> None:
        raise StoreUnavailable("no answer", remedy="start it")

    world.store.before.append(away)
    monitor = monitor_of(sources(world, tmp_path))
    found = samples(monitor)
    assert monitor.trail.up is False
    assert monitor.drift.up is False, "what the newest data is cannot be known"
    assert monitor.integrity.up is False
    assert monitor.local.up is True
    assert "disk_free_bytes home" in found
    assert not [name for name in found if name.startswith(("audit_events", "data_row", "model_"))]


def test_an_alias_without_a_record_is_shown_as_such(
    made: tuple[World, Made], tmp_path: Path
) -> None:
    world, result = made
    version = result.registration.version
    other = world.registry.register(
        model=version.name, source=version.source, run_id=version.run_id, tags={}
    )
    world.registry.set_alias(other, "champion")
    found = samples(monitor_of(sources(world, tmp_path)))
    assert found["model_alias_recorded tiny champion"] == 0
    assert found["model_version tiny champion"] == 2
    assert "model_accuracy tiny champion" not in found
    assert "data_hash_changed tiny" not in found, "nothing proven to compare with"
    assert found["model_alias_recorded tiny challenger"] == 1


def test_a_version_that_fails_its_gates_is_counted(world: World, tmp_path: Path) -> None:
    run_all(world, tiny_product(gates=[{"metric": "roc_auc", "min": 0.999}]))
    found = samples(monitor_of(sources(world, tmp_path)))
    assert found["model_gates_failed tiny"] == 1
    assert found["gates_failed_total tiny roc_auc"] == 1
    assert not [name for name in found if name.startswith("model_accuracy")]
    assert "data_hash_changed tiny" not in found


def test_denials_are_counted(world: World, tmp_path: Path) -> None:
    monitor = monitor_of(sources(world, tmp_path))
    assert samples(monitor)["audit_events_total data:ingest denied"] == 0
    with pytest.raises(AccessDenied):
        ingest(world.workspace(role=Role.VIEWER), tiny_product(), world.run())
    found = samples(monitor)
    assert found["audit_events_total data:ingest denied"] == 1
    assert found["audit_events_by_role_total viewer denied"] == 1


def test_a_broken_chain_and_missing_events_are_seen(
    made: tuple[World, Made], tmp_path: Path
) -> None:
    world, _ = made
    assert samples(monitor_of(sources(world, tmp_path)))["audit_chain_intact"] == 1
    versions = world.store.buckets[AUDIT].versions
    keys = sorted(key for key in versions if key.startswith(PREFIX))
    del versions[keys[2]]
    found = samples(monitor_of(sources(world, tmp_path)))
    assert found["audit_chain_intact"] == 0
    assert found["audit_findings"] > 0
    assert found["audit_missing_total"] == 1


def test_older_streams_are_looked_at_again_after_an_hour(
    made: tuple[World, Made], tmp_path: Path
) -> None:
    world, _ = made
    old = next(each for each in world.audit.streams() if not each.is_ledger)
    record = world.records("run-1")[0]
    world.clock.advance(days=3)
    world.audit.append(
        Stream("newest", old.opened + timedelta(days=3)), replace(record, id="newest")
    )
    monitor = monitor_of(sources(world, tmp_path))
    count = "audit_events_total data:ingest started"
    before = samples(monitor)[count]
    world.audit.append(old, replace(record, id="late"))
    assert samples(monitor)[count] == before
    world.clock.advance(hours=1)
    assert samples(monitor)[count] == before + 1


def test_a_stream_of_a_clock_that_is_ahead_is_followed(
    made: tuple[World, Made], tmp_path: Path
) -> None:
    world, _ = made
    record = world.records()[0]
    ahead = Stream("ahead", world.clock().date() + timedelta(days=400))
    world.audit.append(ahead, record)
    monitor = monitor_of(sources(world, tmp_path))
    count = "audit_events_total data:ingest started"
    before = samples(monitor)[count]
    world.audit.append(ahead, replace(record, id="next"))
    assert samples(monitor)[count] == before + 1


def test_records_that_wait_are_counted(made: tuple[World, Made], tmp_path: Path) -> None:
    world, _ = made
    record = world.records("run-1")[0]
    stream = world.run("run-1").stream
    world.audit.spool(stream, record)
    (world.spool / "2040-01-02" / stream.name / "broken.json").write_text("{")
    assert samples(monitor_of(sources(world, tmp_path)))["audit_spooled_records"] == 2
    shutil.rmtree(world.spool)
    assert "audit_spooled_records" not in samples(monitor_of(sources(world, tmp_path)))


def test_a_folder_that_cannot_be_read_is_said(
    made: tuple[World, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = made

    def denied(path: Path) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("monitoring.drift_observer.shutil.disk_usage", denied)
    monitor = monitor_of(sources(world, tmp_path))
    samples(monitor)
    assert monitor.local.up is False
    assert monitor.trail.up is True


def test_settings_say_what_is_observed(tmp_path: Path) -> None:
    complete = {
        "ENVIRONMENT": "dev",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "AWS_ENDPOINT_URL_S3": "http://minio:9000",
        "INTERLOCK_HOME": str(tmp_path),
        "BASELINE_DATA_HASH": "a" * 64,
    }
    found = sources_of(Settings.from_environment(complete), scratch=tmp_path)
    assert found.spool.parent == tmp_path / "spool"
    assert found.baseline == "a" * 64
    for name in ("ENVIRONMENT", "MLFLOW_TRACKING_URI"):
        rest = {key: value for key, value in complete.items() if key != name}
        rest.pop("AWS_ENDPOINT_URL_S3")
        with pytest.raises(ConfigurationError, match=f"{name} is unset"):
            sources_of(Settings.from_environment(rest), scratch=tmp_path)


def test_a_wrong_setting_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift_monitor, "load_settings", lambda: Settings.from_environment({}))
    with pytest.raises(SystemExit, match="drift-monitor: ENVIRONMENT is unset"):
        main([])


def test_wide_products_are_cut(
    made: tuple[World, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _ = made
    monkeypatch.setattr(drift_check, "MAX_FEATURES", 1)
    found = samples(monitor_of(sources(world, tmp_path)))
    scores = {name.split()[2] for name in found if name.startswith("feature_drift_score")}
    assert scores == {"income"}


def test_snapshots_of_unknown_rows_have_no_count(tmp_path: Path) -> None:
    out = Families()
    product = ProductState(
        raw=RawSnapshot("a", None, None, 1),
        validated=ValidatedSnapshot("b", "a", "key", None, None, None, None),
    )
    drift_metrics._fill_data(out, "tiny", product)
    names = [sample.name for family in out.all() for sample in family.samples]
    assert names == ["data_last_ingest_timestamp_seconds"]
