"""What holds a key that signs starts without the packages that read data or train models."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

from interlock.settings import REPOSITORY

# Of the platform's image alone: requirements.txt of the two says so.
ABSENT: Final = (
    *("datasketches", "matplotlib", "pandas", "polars", "prometheus_client", "pyarrow"),
    *("scipy", "sklearn", "skops", "xgboost"),
)
MODULES: Final = (
    "interlock.webserver.__main__",
    "interlock.webserver.coordinator",
    "interlock.console.__main__",
    *(
        f"interlock.cli.{verb}"
        for verb in ("approvals", "approve", "audit_verify", "deploy_check", "promote", "reject")
    ),
    *(f"interlock.cli.{verb}" for verb in ("rollback", "sign_in", "user_add", "user_list")),
)
PROGRAM: Final = f"""
import importlib, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(ABSENT)}:
            raise ImportError(f"{{name}} is not in the image of web server, daemon and console")

sys.meta_path.insert(0, Absent())
for name in {MODULES}:
    importlib.import_module(name)
"""


def test_web_server_console_daemon_and_their_verbs_start_without_them() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]


def test_they_are_not_in_that_image() -> None:
    listed = (REPOSITORY / "docker/dagster/requirements.txt").read_text().splitlines()
    assert {name.replace("scikit-learn", "sklearn") for name in listed}.isdisjoint(ABSENT)
