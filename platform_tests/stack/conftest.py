"""One stack for all tests of this folder, in the order in which they are given."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from stack.composed import PROJECT, ComposedStack, left_of
from stack.host import Report, docker, pullable, small_disk

from interlock.settings import REPOSITORY

# Grafana's image can be had from its registry alone; where there is none, the rest is tested.
GRAFANA = "grafana/grafana"


@pytest.fixture(scope="session")
def report() -> Report:
    return Report()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, report: Report) -> Iterator[ComposedStack]:
    assert list(left_of(PROJECT)) == [], f"remove what is left of {PROJECT} first"
    compose = (REPOSITORY / "docker-compose.yml").read_text()
    grafana = next(word for word in compose.split() if word.startswith(GRAFANA))
    folder = tmp_path_factory.mktemp("stack")
    found = ComposedStack(folder / "repository", without=[] if pullable(grafana) else ["grafana"])
    report.note("left out", list(found.without))
    device = small_disk(folder)
    report.note("object store on a small disk", device is not None)
    yield found
    # Whatever a failed test left behind.
    found.script("decommission.sh", "--yes", "--destroy-audit", "--accept-broken-trail")
    for each in left_of(PROJECT):
        kind, _, name = each.partition(" ")
        remove = {"ps": ["rm", "--force"], "image": ["image", "rm", "--force"]}
        docker(*remove.get(kind, [kind, "rm"]), name)
    if device is not None:
        subprocess.run(["losetup", "--detach", device], check=True)
