"""What ``interlock doctor`` finds: one value per check, and how a check is made.

The checks of this machine are in ``checks_machine.py``, those of the services and of what is
declared in ``checks_platform.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from interlock.errors import InterlockError


class Health(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    """It works, but somebody will be surprised."""
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One line of the doctor's.

    Attributes:
        name: What was looked at, e.g. ``port 3000``.
        health: How it is.
        found: What was found, one sentence without full stop.
        remedy: What to do, imperative; empty when all is well.
    """

    name: str
    health: Health
    found: str
    remedy: str = ""


def ok(name: str, found: str) -> Check:
    """All is well."""
    return Check(name, Health.OK, found)


def warn(name: str, found: str, remedy: str) -> Check:
    """It works, with a surprise."""
    return Check(name, Health.WARN, found, remedy)


def fail(name: str, found: str, remedy: str) -> Check:
    """It does not work."""
    return Check(name, Health.FAIL, found, remedy)


def checked(name: str, look: Callable[[], Check]) -> Check:
    """A check; one of our errors in it is its failure.

    Args:
        name: What is looked at.
        look: Makes the check.
    """
    try:
        return look()
    except InterlockError as error:
        return fail(name, error.message, error.remedy)
