"""The champion alias and the record of it never contradict each other for long."""

from __future__ import annotations

from typing import Any

import pytest
from product_fixtures import World, run_all, tiny_product

from interlock.actions.deploy_check import deploy_check
from interlock.errors import AuditWriteFailed, DeploymentRefused


def test_promotion_whose_record_waits_on_disk_is_undone_on_record_too(world: World) -> None:
    """The success reaches the trail later; so must that the alias went back."""
    product = tiny_product()

    def lose_the_store(operation: str, _bucket: str, key: str) -> None:
        if operation == "put_new" and key.endswith("champion.TinyModel/000002.json"):
            world.store.before.clear()
            world.store.go_away()

    world.store.before.append(lose_the_store)
    with pytest.raises(AuditWriteFailed, match="could not be written"):
        run_all(world, product)
    world.store.come_back()
    world.audit.flush_spool()
    assert world.registry.version_at("TinyModel", "champion") is None
    assert world.moves() == [
        ("model:promote", "started"),
        ("model:promote", "succeeded"),
        ("model:promote", "started"),
        ("model:promote", "failed"),
    ]
    assert world.audit.verify().intact
    # The record of success alone must not serve who moves the alias by hand.
    client: Any = world.connection.client
    client.set_registered_model_alias("TinyModel", "champion", "1")
    with pytest.raises(DeploymentRefused, match="holds no promotion"):
        deploy_check(world.workspace(), "TinyModel", world.run("deploy"))
