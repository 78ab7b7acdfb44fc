"""What a person clicks and sees with ``interlock up`` alone: no Docker, but a browser.

Not collected by an ordinary run of the tests. ``SAVE_PICTURES=docs/pictures`` keeps the README's
pictures:

    SAVE_PICTURES=docs/pictures .venv/bin/pytest platform_tests/stack/check_browser.py
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from stack.browser import materialize_by_clicking, open_browser, see_version_in_mlflow
from stack.composed import fetch
from stack.processes import running

from interlock.local.ports import LOOPBACK, free_ports

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Embedded:
    """Addresses of ``interlock up``."""

    dagster: str
    mlflow: str


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    ports = dict(zip(("dagster", "mlflow", "s3"), free_ports(3), strict=True))
    options = [word for name, port in ports.items() for word in (f"--{name}-port", str(port))]
    outside = {"ENVIRONMENT", "RUN_ROLE", "AWS_ENDPOINT_URL_S3", "MLFLOW_TRACKING_URI"}
    own = {"INTERLOCK_HOME": str(tmp_path / "home"), "RUN_OWNER": "ada"}
    kept = {name: value for name, value in os.environ.items() if name not in outside}
    urls = {name: f"http://{LOOPBACK}:{port}" for name, port in ports.items()}
    command = [str(Path(sys.executable).with_name("interlock")), "up", *options]
    log = tmp_path / "up.log"
    with running(
        command,
        {**kept, **own},
        is_ready=lambda: "stops everything" in log.read_text(),
        log=log,
        seconds=180,
        end=signal.SIGINT,
    ):
        fetch(f"{urls['mlflow']}/health")
        yield Embedded(dagster=urls["dagster"], mlflow=urls["mlflow"])


def test_person_materializes_by_clicking_and_sees_the_checks_green(
    embedded: Embedded, tmp_path: Path
) -> None:
    with open_browser(tmp_path) as browser:
        run_id = materialize_by_clicking(browser, embedded.dagster)
        see_version_in_mlflow(browser, embedded.mlflow, run_id)
