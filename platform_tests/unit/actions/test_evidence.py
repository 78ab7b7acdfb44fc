"""What a step builds on must be proven: made-up, moved and altered upstreams are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from product_fixtures import AUDIT, DATA, World, after_raw, run_all, tiny_product

from interlock.actions.evidence import (
    Upstream,
    fetch_verified,
    file_sha256,
    require_checks,
    require_text,
    require_upstream,
)
from interlock.actions.ingest import ingest
from interlock.actions.snapshots import store_once
from interlock.errors import EvidenceError, StoreUnavailable
from interlock.governance.audit import AuditEvent, Stream, decode, event_key
from interlock.governance.policy import Action
from interlock.governance.principal import Environment


@pytest.fixture
def raw(world: World) -> Upstream:
    """A raw snapshot, taken in ``run-1``."""
    return after_raw(ingest(world.workspace(), tiny_product(), world.run()))


def proven(
    world: World,
    upstream: Upstream | None,
    *,
    product: str = "tiny",
    action: Action = Action.DATA_INGEST,
) -> AuditEvent:
    return require_upstream(
        world.workspace(),
        product=product,
        action=action,
        upstream=upstream,
        hash_field="data_hash",
        asset="raw_data",
    )


def refused(world: World, upstream: Upstream | None, **options: Any) -> EvidenceError:
    before = world.state()
    with pytest.raises(EvidenceError) as refusal:
        proven(world, upstream, **options)
    assert world.state() == before
    assert refusal.value.remedy
    return refusal.value


def test_recorded_snapshot_is_proven(world: World, raw: Upstream) -> None:
    assert proven(world, raw).record.evidence["data_hash"] == raw.hash


def test_asset_that_was_never_materialized_is_refused(world: World) -> None:
    assert str(refused(world, None)) == (
        "raw_data was never materialized; materialize raw_data first"
    )


@pytest.mark.parametrize(
    "key",
    [
        *("", "x", "../../etc/passwd", "governance/audit/", "governance/audit/2040/01/02/000002"),
        "governance/other/2040/01/02/tiny-run-1/000002.json",
        "governance/audit/2040/13/02/tiny-run-1/000002.json",
        "governance/audit/2040/01/02/tiny-run-1/000000.json",
    ],
)
def test_event_outside_the_trail_is_refused(world: World, raw: Upstream, key: str) -> None:
    error = refused(world, replace(raw, event_key=key))
    assert f"{key!r} is no key of this audit trail" in str(error)


def test_made_up_event_of_a_real_stream_is_refused(world: World, raw: Upstream) -> None:
    error = refused(world, replace(raw, event_key=raw.event_key.replace("000002", "000009")))
    assert "has no audit event" in str(error)


def test_made_up_stream_is_refused(world: World, raw: Upstream) -> None:
    error = refused(world, replace(raw, event_key=raw.event_key.replace("run-1", "run-9")))
    assert "is not on record: there are no events of stream 2040-01-02/tiny-run-9" in str(error)


def test_event_of_the_start_proves_nothing(world: World, raw: Upstream) -> None:
    error = refused(world, replace(raw, event_key=raw.event_key.replace("000002", "000001")))
    assert "has outcome" in str(error)


def test_made_up_hash_with_a_real_event_is_refused(world: World, raw: Upstream) -> None:
    error = refused(world, replace(raw, hash="0" * 64))
    assert f"has data_hash '{raw.hash}', expected '{'0' * 64}'" in str(error)


def test_event_of_another_product_is_refused(world: World, raw: Upstream) -> None:
    error = refused(world, raw, product="other")
    assert "has resource 'product/tiny', expected 'product/other'" in str(error)


def test_event_of_another_action_is_refused(world: World, raw: Upstream) -> None:
    error = refused(world, raw, action=Action.DATA_VALIDATE)
    assert "has action 'data:ingest', expected 'data:validate'" in str(error)


def test_event_of_another_environment_is_refused(world: World, raw: Upstream) -> None:
    world.environment = Environment.PROD
    error = refused(world, raw)
    assert "has environment 'dev', expected 'prod'" in str(error)


def test_event_that_was_replaced_past_the_lock_is_refused(world: World, raw: Upstream) -> None:
    versions = world.store.buckets[AUDIT].versions[raw.event_key]
    forged = versions[0].data.replace(b'"rows": 240', b'"rows": 999')
    assert forged != versions[0].data
    versions[0] = replace(versions[0], data=forged)
    assert "the audit stream tiny-run-1 does not verify" in str(refused(world, raw))


def test_event_before_it_that_was_replaced_past_the_lock_is_refused(
    world: World, raw: Upstream
) -> None:
    first = raw.event_key.replace("000002", "000001")
    versions = world.store.buckets[AUDIT].versions[first]
    versions[0] = replace(versions[0], data=versions[0].data.replace(b'"ada"', b'"eve"'))
    assert "does not verify" in str(refused(world, raw))


@pytest.mark.parametrize("number", ["000001", "000002"])
def test_event_that_was_overwritten_or_deleted_is_refused(
    world: World, raw: Upstream, number: str
) -> None:
    key = raw.event_key.replace("000002", number)
    world.store.overwrite(AUDIT, key, world.store.get(AUDIT, key))
    assert "1 version(s) stored over the event" in str(refused(world, raw))
    world.store.delete(AUDIT, key)
    assert "1 delete marker(s) on the event" in str(refused(world, raw))


def test_event_written_beside_the_chain_is_refused(world: World, raw: Upstream) -> None:
    """A materialization with a real hash and an event that its author wrote by hand."""
    real = world.store.get(AUDIT, raw.event_key)
    stream = Stream("tiny-forged", decode(real).chain.stream.opened)
    key = event_key(world.audit.prefix, stream, 1)
    world.store.put_new(AUDIT, key, real.replace(b"tiny-run-1", b"tiny-forged"))
    error = refused(world, replace(raw, event_key=key))
    assert "the audit stream tiny-forged does not verify" in str(error)


def test_store_away_is_no_proof(world: World, raw: Upstream) -> None:
    workspace = world.workspace()
    world.store.go_away()
    with pytest.raises(StoreUnavailable):
        require_upstream(
            workspace,
            product="tiny",
            action=Action.DATA_INGEST,
            upstream=raw,
            hash_field="data_hash",
            asset="raw_data",
        )


def test_passed_checks_are_enough() -> None:
    require_checks({"blocking_checks": {"a": True, "b": True}}, ["a"], "validated_data")


@pytest.mark.parametrize(
    ("recorded", "message"),
    [
        ({}, "blocking checks of validated_data were never made: a, b"),
        ({"blocking_checks": None}, "were never made: a, b"),
        ({"blocking_checks": ["a", "b"]}, "were never made: a, b"),
        ({"blocking_checks": {"a": True}}, "were never made: b"),
        ({"blocking_checks": {"a": True, "b": False}}, "validated_data failed: b"),
        ({"blocking_checks": {"a": True, "b": "true"}}, "validated_data failed: b"),
        ({"blocking_checks": {"a": True, "b": 1}}, "validated_data failed: b"),
        ({"blocking_checks": {"a": True, "b": None}}, "validated_data failed: b"),
        ({"blocking_checks": {"a": True, "b": True, "old": False}}, "failed: old"),
    ],
)
def test_failed_or_missing_checks_are_refused(recorded: Mapping[str, object], message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        require_checks(recorded, ["a", "b"], "validated_data")


@pytest.mark.parametrize("value", [None, "", 3, ["x"]])
def test_text_that_is_missing_or_none_is_refused(value: object) -> None:
    with pytest.raises(EvidenceError, match="the audit event of raw_data has no table_key"):
        require_text({"table_key": value}, "table_key", "raw_data")


def test_altered_snapshot_is_refused_and_the_remedy_works(world: World) -> None:
    made = ingest(world.workspace(), tiny_product(), world.run())
    table = made.table_key
    digest = made.table.sha256
    world.store.overwrite(DATA, table, b"other rows")
    path = world.folder / "fetched"
    with pytest.raises(EvidenceError) as refusal:
        fetch_verified(world.workspace(), key=table, sha256=digest, path=path, asset="raw_data")
    assert "the audit trail recorded" in str(refusal.value)
    assert "delete it and materialize raw_data again" in refusal.value.remedy
    world.store.delete(DATA, table)
    ingest(world.workspace(), tiny_product(), world.run("run-2"))
    fetch_verified(world.workspace(), key=table, sha256=digest, path=path, asset="raw_data")
    assert file_sha256(path) == digest


def test_deleted_snapshot_is_refused(world: World) -> None:
    with pytest.raises(EvidenceError, match="gone is gone from the data bucket"):
        fetch_verified(
            world.workspace(), key="gone", sha256="0", path=world.folder / "x", asset="raw_data"
        )


def test_snapshot_is_stored_once_and_the_same_content_is_recognised(world: World) -> None:
    path = world.folder / "file"
    path.write_bytes(b"rows")
    store = (world.workspace(), "key", path, file_sha256(path))
    assert store_once(store[0], key="key", path=path, sha256=store[3]) is True
    state = world.state()
    assert store_once(store[0], key="key", path=path, sha256=store[3]) is False
    assert world.state() == state


def test_key_that_holds_other_bytes_is_never_overwritten(world: World) -> None:
    path = world.folder / "file"
    path.write_bytes(b"rows")
    digest = file_sha256(path)
    world.store.put_new(DATA, "key", b"other rows", metadata={"sha256": "0" * 64})
    world.store.put_new(DATA, "shorter", b"row", metadata={"sha256": digest})
    state = world.state()
    for key in ("key", "shorter"):
        with pytest.raises(EvidenceError, match=f"{key} holds"):
            store_once(world.workspace(), key=key, path=path, sha256=digest)
    assert world.state() == state


def test_same_rows_under_another_declaration_are_files_of_their_own(world: World) -> None:
    """Changing what a report says must not look like tampering with the first one."""
    first = run_all(world, tiny_product(), run="run-1", upto="validated_data")
    changed: list[dict[str, Any]] = [
        {"protected": ["age", "region"]},
        {"target": {"column": "outcome", "positive": "good", "negative": "bad"}},
    ]
    for number, changes in enumerate(changed):
        again = run_all(
            world, tiny_product(**changes), run=f"again-{number}", upto="validated_data"
        )
        assert again.validated.data_hash == first.validated.data_hash
        assert again.validated.accepted_key == first.validated.accepted_key
