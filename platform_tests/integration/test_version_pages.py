"""Versions a page at a time, as MLflow's own database gives them."""

from __future__ import annotations

import pytest
from product_fixtures import World

from interlock.adapters import model_registry
from interlock.adapters.model_registry import ModelVersion
from interlock.errors import RegistryError

MODEL = "O'Brien's model"


@pytest.fixture
def registered(world: World) -> World:
    client = world.connection.client
    client.create_registered_model(MODEL)
    for number in range(1, 6):
        client.create_model_version(MODEL, f"file:///m-{number}", tags={"place": str(number)})
    client.set_registered_model_alias(MODEL, "champion", "2")
    client.set_registered_model_alias(MODEL, "challenger", "5")
    return world


def test_pages_give_every_version_once_with_tags_and_aliases(registered: World) -> None:
    found: list[ModelVersion] = []
    after: str | None = None
    while True:
        page = registered.registry.page(MODEL, size=2, after=after)
        found += page.versions
        after = page.after
        if after is None:
            break
        assert isinstance(after, str)
    assert [each.version for each in found] == ["5", "4", "3", "2", "1"]
    assert [each.tags["place"] for each in found] == ["5", "4", "3", "2", "1"]
    assert {each.version: each.aliases for each in found if each.aliases} == {
        "5": ("challenger",),
        "2": ("champion",),
    }


def test_all_versions_are_those_of_all_pages(
    registered: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_registry, "_LARGEST_PAGE", 2)
    assert [each.version for each in registered.registry.versions(MODEL)] == list("54321")


def test_unknown_model_has_no_versions_and_made_up_place_is_refused(registered: World) -> None:
    assert registered.registry.versions("NoSuchModel") == []
    with pytest.raises(RegistryError):
        registered.registry.page(MODEL, size=2, after="not a place")
