"""What the doctor looks at on this machine, before any service is asked."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from interlock.cli.checks import Check, fail, ok, warn
from interlock.local.home import Home
from interlock.local.liveness import status
from interlock.local.ports import is_free
from interlock.local.services import DEFAULT_PORTS

GB = 1_000_000_000  # bytes
LEAST_DISK = 1 * GB  # the environment alone takes 1.5 GB, a run of the demo 5 MB
GOOD_DISK = 5 * GB
LEAST_PYTHON, FIRST_UNKNOWN_PYTHON = (3, 11), (3, 14)  # pyproject.toml, requires-python


def machine_checks(home: Path, *, embedded: bool) -> Iterator[Check]:
    """All of them.

    Args:
        home: Folder of the embedded services and of records that wait.
        embedded: Whether the embedded services are used.
    """
    yield python_version(sys.version_info[:2])
    yield virtual_environment()
    yield uv()
    yield disk(home)
    yield writable(home)
    if embedded:
        yield from ports(Home(home))


def python_version(version: tuple[int, int]) -> Check:
    """Whether this Python is one that Interlock is tested with."""
    text = f"Python {version[0]}.{version[1]}"
    if LEAST_PYTHON <= version < FIRST_UNKNOWN_PYTHON:
        return ok("Python", text)
    return fail("Python", f"{text}, expected 3.11 to 3.13", "run ./scripts/demo.sh, which gets one")


def virtual_environment() -> Check:
    """Whether Interlock has an environment of its own."""
    if sys.prefix != sys.base_prefix:
        return ok("environment", sys.prefix)
    return warn(
        "environment",
        f"{sys.prefix} is shared with other programs",
        "run ./scripts/demo.sh, which makes .venv with the locked versions",
    )


def uv() -> Check:
    """Whether ``uv``, which sets the environment up, is there."""
    found = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}")
    found = found or shutil.which("uv")
    if found is not None:
        return ok("uv", found)
    return warn(
        "uv", "it is not installed", "run ./scripts/demo.sh, which gets it, or `pip install uv`"
    )


def disk(home: Path) -> Check:
    """Whether there is room for data."""
    folder = next(each for each in (home, *home.parents) if each.exists())
    free = shutil.disk_usage(folder).free
    text = f"{free / GB:.1f} GB free in {folder}"
    remedy = f"make room there; {GOOD_DISK / GB:.0f} GB let you work for a while"
    if free < LEAST_DISK:
        return fail("disk", text, remedy)
    return ok("disk", text) if free >= GOOD_DISK else warn("disk", text, remedy)


def writable(home: Path) -> Check:
    """Whether INTERLOCK_HOME, or the folder that it will be made in, takes files."""
    folder = next(each for each in (home, *home.parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return fail(
            "INTERLOCK_HOME",
            f"{home} cannot be written ({error.strerror})",
            "correct its rights, or choose another folder",
        )
    return ok("INTERLOCK_HOME", f"{home}{'' if home.exists() else ', not made yet'}")


def ports(home: Home) -> Iterator[Check]:
    """Whether ``interlock up`` can have its ports, or has them."""
    running = status(home)
    served = " ".join(running.addresses.values()) if running is not None else ""
    for service, port in DEFAULT_PORTS.by_service().items():
        name = f"port {port}"
        if f":{port}" in served:
            yield ok(name, f"{service} of `interlock up` serves there")
        elif is_free(port):
            yield ok(name, f"free for {service}")
        else:
            yield warn(
                name,
                f"somebody else listens where `interlock up` wants {service}",
                f"stop it (`lsof -i :{port}` names it), or give `interlock up` "
                f"--{service.lower()}-port; `demo` and `run` need no fixed port",
            )
